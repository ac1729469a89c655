package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hajimehoshi/go-mp3"

	"icepush/frame"
	"icepush/push/pushtest"
	"icepush/ratelimit"
	"icepush/serve"
	"icepush/station"
	"icepush/track"
)

// rig is a Server in virtual time.
type rig struct {
	*testing.T
	net    *pushtest.Network
	server *serve.Server
	mount  *serve.Mount
	client *http.Client
	stop   context.CancelFunc
	ended  sync.WaitGroup
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, net: pushtest.NewNetwork(), mount: &serve.Mount{Path: "/live", Name: "Ünï\r\nX-Evil: 1", Genre: "Noise"}}
	r.server = &serve.Server{Mounts: []*serve.Mount{r.mount}, Name: "icepush/test", Log: slog.New(slog.DiscardHandler)}
	r.client = &http.Client{Transport: &http.Transport{DialContext: r.net.Dial, DisableKeepAlives: true}}
	return r
}

// run runs the server until end.
func (r *rig) run() {
	ctx, cancel := context.WithCancel(r.Context())
	r.stop = cancel
	r.ended.Go(func() {
		if err := r.server.Run(ctx, r.net); err != nil {
			r.Error(err)
		}
	})
}

func (r *rig) end() {
	r.stop()
	r.ended.Wait()
}

// play paces files of testdata to the mount, in the background.
func (r *rig) play(ctx context.Context, files ...string) *sync.WaitGroup {
	tracks := make(chan *track.Track)
	var playing sync.WaitGroup
	playing.Go(func() {
		defer close(tracks)
		for _, name := range files {
			tr, err := track.Open(ctx, "../testdata/"+name, track.Info{})
			if err != nil {
				r.Error(err)
				return
			}
			tr.SetTitleFormat("{artist} - {title}")
			select {
			case tracks <- tr:
			case <-ctx.Done():
				tr.Close()
				return
			}
		}
	})
	st := &station.Station{Tracks: tracks, Sinks: []station.Sink{r.mount}, Pacer: ratelimit.Pacer{Group: 200 * time.Millisecond}, Log: slog.New(slog.DiscardHandler)}
	playing.Go(func() {
		st.Run(ctx)
		r.mount.Close()
	})
	return &playing
}

// get asks for a path.
func (r *rig) get(path string, header ...string) *http.Response {
	r.Helper()
	return r.do(http.MethodGet, path, header...)
}

// refused asks for a path that is refused.
func (r *rig) refused(path string, code int) {
	r.Helper()
	resp := r.get(path)
	defer resp.Body.Close()
	if resp.StatusCode != code {
		r.Errorf("%s: %s, want %d", path, resp.Status, code)
	}
}

func (r *rig) do(method, path string, header ...string) *http.Response {
	r.Helper()
	req, _ := http.NewRequest(method, "http://radio.example:8000"+path, nil)
	for _, h := range header {
		if name, value, ok := strings.Cut(h, ": "); ok {
			req.Header.Set(name, value)
		}
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	return resp
}

// audio returns the bytes of the frames of files.
func audio(t *testing.T, files ...string) []byte {
	t.Helper()
	var out []byte
	for _, name := range files {
		tr, err := track.Open(t.Context(), "../testdata/"+name, track.Info{})
		if err != nil {
			t.Fatal(err)
		}
		for {
			f, err := tr.Next()
			if err != nil {
				break
			}
			out = append(out, f.Data...)
		}
		tr.Close()
	}
	return out
}

var demo = []string{"demo/01-pebbles-on-the-quay.mp3", "demo/02-jaalautta.mp3"}

// TestListeners has listeners join at different moments: each hears the stream from a
// frame border on, from as far back as the burst, to the end and without a gap.
func TestListeners(t *testing.T) {
	want := audio(t, demo...)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run()
		playing := r.play(t.Context(), demo...)
		var listening sync.WaitGroup
		for i := range 50 {
			listening.Go(func() {
				at := time.Duration(i)*time.Second + time.Duration(i)*17*time.Millisecond + 10*time.Millisecond
				time.Sleep(at)
				resp := r.get("/live")
				got, _ := io.ReadAll(resp.Body)
				if !bytes.HasSuffix(want, got) {
					t.Errorf("listener %d: %d bytes are not the end of the stream", i, len(got))
				}
				if fr, err := frame.ParseMPEG(got); err != nil {
					t.Errorf("listener %d begins with %v, %v", i, fr, err)
				}
				// 128 kbit/s in the mean: the burst, and what came then.
				total := 57077 * time.Millisecond
				least := total - at + min(at, 3*time.Second)
				if have := time.Duration(float64(len(got)) / float64(len(want)) * float64(total)); have < least-2*time.Second || have > least+5*time.Second {
					t.Errorf("listener %d at %v has %v", i, at, have)
				}
			})
		}
		listening.Wait()
		playing.Wait()
		r.end()
	})
}

// TestTitles has a listener with metadata: the audio is the same, and each title stands
// at the first mark behind the first byte of its track.
func TestTitles(t *testing.T) {
	want := audio(t, demo...)
	border := len(audio(t, demo[0]))
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run()
		playing := r.play(t.Context(), demo...)
		time.Sleep(10 * time.Millisecond)
		resp := r.get("/live", "Icy-MetaData: 1")
		every, _ := strconv.Atoi(resp.Header.Get("icy-metaint"))
		if every != 16000 || resp.Header.Get("icy-name") != "Ünï  X-Evil: 1" || resp.Header.Get("X-Evil") != "" || resp.Header.Get("Content-Type") != "audio/mpeg" {
			t.Errorf("%v", resp.Header)
		}
		var got []byte
		titles := map[int]string{}
		for body := bufio.NewReader(resp.Body); ; {
			part := make([]byte, every)
			n, err := io.ReadFull(body, part)
			got = append(got, part[:n]...)
			if err != nil {
				break
			}
			units, err := body.ReadByte()
			if err != nil {
				break
			}
			block := make([]byte, int(units)*16)
			io.ReadFull(body, block)
			if units > 0 {
				titles[len(got)] = strings.TrimRight(string(block), "\x00")
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes, want %d", len(got), len(want))
		}
		second := (border + every) / every * every
		if len(titles) != 2 || titles[every] != "StreamTitle='The Ring Buffer Trio - Pebbles on the Quay';" || titles[second] != "StreamTitle='Slow Socket Ensemble - Jäälautta';" {
			t.Errorf("the border is at %d: %v", border, titles)
		}
		playing.Wait()
		r.end()
	})
}

// TestOgg has listeners join a stream of Ogg: each gets the headers first.
func TestOgg(t *testing.T) {
	files := []string{"ogg/opus-stereo.opus", "ogg/opus-60ms-mono.opus", "ogg/opus-stereo.opus", "ogg/opus-60ms-mono.opus"}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run()
		playing := r.play(t.Context(), files...)
		for range 8 {
			time.Sleep(300 * time.Millisecond)
			resp := r.get("/live", "Icy-MetaData: 1")
			if resp.Header.Get("Content-Type") != "audio/ogg" || resp.Header.Get("icy-metaint") != "" {
				t.Error(resp.Header)
			}
			playing.Go(func() {
				got, _ := io.ReadAll(resp.Body)
				if !bytes.HasPrefix(got, []byte("OggS\x00\x02")) {
					t.Errorf("%d bytes begin with %.20q", len(got), got)
				}
				begun := map[string]bool{}
				for at := range got {
					if bytes.HasPrefix(got[at:], []byte("OggS\x00\x02")) {
						if serial := string(got[at+14 : at+18]); begun[serial] {
							t.Errorf("stream %x begins twice", serial)
						} else {
							begun[serial] = true
						}
					}
				}
				pages := 0
				for fr := frame.NewReader(bytes.NewReader(got)); ; pages++ {
					_, err := fr.Next()
					for _, s := range fr.Skipped() {
						if !s.Kind.IsHeaderFrame() {
							t.Error(s)
						}
					}
					if err != nil {
						break
					}
				}
				if pages == 0 {
					t.Error("there is no audio")
				}
			})
		}
		playing.Wait()
		r.end()
	})
}

// TestWAV decodes what another listener gets at the same time: it is the same sound.
func TestWAV(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run()
		playing := r.play(t.Context(), demo...)
		time.Sleep(20 * time.Second)
		var coded, pcm []byte
		var listening sync.WaitGroup
		var mu sync.Mutex
		listening.Go(func() { coded, _ = io.ReadAll(r.get("/live").Body) })
		for range 2 {
			listening.Go(func() {
				resp := r.get("/live.wav")
				got, _ := io.ReadAll(resp.Body)
				if resp.Header.Get("Content-Type") != "audio/wav" || !bytes.HasPrefix(got, []byte("RIFF\xff\xff\xff\xffWAVEfmt ")) {
					t.Errorf("%v, %.40q", resp.Header, got)
				}
				mu.Lock()
				defer mu.Unlock()
				if len(got) > len(pcm) {
					pcm = got
				}
			})
		}
		listening.Wait()
		playing.Wait()
		d, err := mp3.NewDecoder(struct{ io.Reader }{bytes.NewReader(coded)})
		if err != nil {
			t.Fatal(err)
		}
		want, _ := io.ReadAll(d)
		likeFFmpeg(t, coded, want)
		if got := pcm[44:]; len(got) < len(want)/2 || !bytes.Equal(got, want[:len(got)]) {
			t.Errorf("%d bytes of sound, want %d", len(got), len(want))
		}
		r.refused("/live.wav", http.StatusServiceUnavailable)
		r.end()
	})
}

// likeFFmpeg compares sound with what ffmpeg decodes of the same frames: it is the same
// within rounding, but for the first frame, whose beginning no decoder has.
func likeFFmpeg(t *testing.T, coded, pcm []byte) {
	t.Helper()
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Error(err)
		}
		return
	}
	cmd := exec.Command(ffmpeg, "-v", "error", "-f", "mp3", "-i", "-", "-f", "s16le", "-")
	cmd.Stdin = bytes.NewReader(coded)
	other, err := cmd.Output()
	if err != nil {
		t.Error(err)
	}
	const frames = 3 * 1152 * 4
	if len(other) != len(pcm) {
		t.Errorf("ffmpeg has %d bytes of sound, go-mp3 %d", len(other), len(pcm))
		return
	}
	worst := 0
	for i := frames; i < len(pcm); i += 2 {
		d := int(int16(binary.LittleEndian.Uint16(pcm[i:]))) - int(int16(binary.LittleEndian.Uint16(other[i:])))
		worst = max(worst, d, -d)
	}
	if worst > 4 {
		t.Errorf("a sample differs by %d of 32768", worst)
	}
}

// TestNoWAV says why a stream is not decoded.
func TestNoWAV(t *testing.T) {
	for file, want := range map[string]string{
		"aac/lc-44100-stereo.aac": "415 only MP3 is decoded here, and this mount has AAC-LC", "mp3/layer2-44100-stereo.mp2": "415 only Layer III",
		"mp3/mpeg25-8000-mono.mp3": "415 MPEG-2.5 is not decoded here",
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.run()
			playing := r.play(t.Context(), file)
			time.Sleep(50 * time.Millisecond)
			resp := r.get("/live.wav")
			said, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusUnsupportedMediaType || !strings.HasPrefix(string(said), want) {
				t.Errorf("%s: %s: %s", file, resp.Status, said)
			}
			playing.Wait()
			r.end()
		})
	}
}

// TestSlow has a listener that takes nothing for a while among others: it goes on at a
// frame border at the present, and the others notice nothing.
func TestSlow(t *testing.T) {
	want := audio(t, demo...)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.mount.Burst = time.Second
		r.run()
		playing := r.play(t.Context(), demo...)
		time.Sleep(10 * time.Millisecond)
		slow, fast, stuck := r.get("/live"), r.get("/live"), r.get("/live")
		var listening sync.WaitGroup
		listening.Go(func() {
			got, _ := io.ReadAll(fast.Body)
			if !bytes.Equal(got, want) {
				t.Errorf("the fast one has %d bytes of %d", len(got), len(want))
			}
		})
		listening.Go(func() {
			time.Sleep(15 * time.Second) // less than it takes to be dropped
			got, _ := io.ReadAll(slow.Body)
			fr := frame.NewReader(bytes.NewReader(got))
			frames := 0
			for {
				_, err := fr.Next()
				if len(fr.Skipped()) > 0 {
					t.Error(fr.Skipped())
				}
				if err != nil {
					break
				}
				frames++
			}
			if frames < 1400 || frames > 2000 || !bytes.HasSuffix(want, got[len(got)-100_000:]) {
				t.Errorf("the slow one has %d frames", frames)
			}
		})
		listening.Go(func() {
			time.Sleep(50 * time.Second)
			if got, err := io.ReadAll(stuck.Body); len(got) > 50_000 {
				t.Errorf("the stuck one has %d bytes, %v", len(got), err)
			}
		})
		listening.Wait()
		playing.Wait()
		r.end()
	})
}

// TestHTTP shows what is answered to what clients ask beside the stream.
func TestHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.server.MaxListeners = 3
		r.run()
		r.refused("/live", http.StatusServiceUnavailable)
		r.refused("/healthz", http.StatusServiceUnavailable)
		playing := r.play(t.Context(), demo...)
		time.Sleep(time.Second)
		for _, test := range []struct {
			method, path, header string
			code                 int
			want                 string // of the body or the headers
		}{
			{"HEAD", "/live", "", 200, "Content-Type:[audio/mpeg]"},
			{"GET", "/live", "Range: bytes=0-", 200, "Cache-Control:[no-cache, no-store]"},
			{"OPTIONS", "/live", "Access-Control-Request-Headers: icy-metadata", 204, "Icy-MetaData"},
			{"GET", "/healthz", "", 200, "ok"},
			{"GET", "/live.m3u", "", 200, "#EXTM3U\r\n#EXTINF:-1,Ünï  X-Evil: 1\r\nhttp://radio.example:8000/live\r\n"},
			{"GET", "/live.pls", "", 200, "File1=http://radio.example:8000/live\r\n"},
			{"GET", "/live.xspf", "", 200, "<location>http://radio.example:8000/live</location>"},
			{"GET", "/", "", 200, "The Ring Buffer Trio - Pebbles on the Quay"},
			{"GET", "/nothing", "", 404, "there is no such mount"},
			{"DELETE", "/live", "", 405, "Allow:[GET, HEAD, OPTIONS]"},
			{"GET", "/live/../live", "", 404, ""},
		} {
			resp := r.do(test.method, test.path, test.header)
			text := fmt.Sprint(resp.Header)
			if resp.Header.Get("icy-name") == "" || test.method == "HEAD" {
				body, _ := io.ReadAll(resp.Body)
				text += string(body)
			}
			resp.Body.Close()
			if resp.StatusCode != test.code || !strings.Contains(text, test.want) || resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Server") != "icepush/test" {
				t.Errorf("%s %s: %s: %s", test.method, test.path, resp.Status, text)
			}
		}
		time.Sleep(time.Second) // those that have left are noticed
		var held []*http.Response
		for range 3 {
			held = append(held, r.get("/live"))
		}
		r.refused("/live", http.StatusServiceUnavailable) // the fourth of three
		var status struct {
			Icestats struct {
				Source struct {
					Listeners int    `json:"listeners"`
					Title     string `json:"title"`
					URL       string `json:"listenurl"`
					Type      string `json:"server_type"`
				} `json:"source"`
			} `json:"icestats"`
		}
		page := r.get("/status-json.xsl")
		if err := json.NewDecoder(page.Body).Decode(&status); err != nil {
			t.Fatal(err)
		}
		page.Body.Close()
		if s := status.Icestats.Source; s.Listeners != 3 || s.Title != "The Ring Buffer Trio - Pebbles on the Quay" || s.URL != "http://radio.example:8000/live" || s.Type != "audio/mpeg" {
			t.Errorf("%+v", s)
		}
		for _, resp := range held {
			resp.Body.Close()
		}
		playing.Wait()
		r.end()
	})
}

// TestOldClients speaks HTTP/1.0, and worse.
func TestOldClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run()
		playing := r.play(t.Context(), demo[0])
		time.Sleep(time.Second)
		ask := func(text string) string {
			c, err := r.net.Dial(t.Context(), "tcp", "radio.example:8000")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(15 * time.Second))
			go io.WriteString(c, text)
			b := make([]byte, 4096)
			n, _ := io.ReadAtLeast(c, b, 200)
			return string(b[:n])
		}
		if got := ask("GET /live HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.0 200 OK\r\n") || !strings.Contains(got, "Connection: close") {
			t.Errorf("%q", got)
		}
		if got := ask("GET /live HTTP/1.1\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("without Host: %q", got)
		}
		if got := ask("GET /live HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 100_000) + "\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 431 ") {
			t.Errorf("with long headers: %.60q", got)
		}
		began := time.Now()
		if got := ask("GET /live HTTP/1.1\r\nHost: x\r\nX: "); got != "" || time.Since(began) > 11*time.Second {
			t.Errorf("without an end: %q after %v", got, time.Since(began))
		}
		playing.Wait()
		r.end()
	})
}

// TestPCM plays raw sound as it comes: each piece is heard within 100 ms, a stall is filled,
// and what comes all at once is held back.
func TestPCM(t *testing.T) {
	shape, err := serve.ParsePCM("s16le:44100:1")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.mount.Path = "/live.wav"
		r.run()
		in, out := io.Pipe()
		var playing sync.WaitGroup
		playing.Go(func() {
			if err := r.mount.PlayPCM(t.Context(), in, shape); err != nil {
				t.Error(err)
			}
			r.mount.Close()
		})
		const tenth = 4410 * 2
		playing.Go(func() { // 4 s, a stall of 3 s, 4 s; then 2 s at once
			for i := range 110 {
				time.Sleep(100 * time.Millisecond)
				if i < 40 || i >= 70 {
					out.Write(bytes.Repeat([]byte{byte(i + 1)}, tenth))
				}
			}
			out.Write(bytes.Repeat([]byte{200}, 20*tenth))
			out.Close()
		})
		time.Sleep(150 * time.Millisecond)
		began := time.Now().Add(-150 * time.Millisecond)
		resp := r.get("/live.wav")
		if resp.Header.Get("Content-Type") != "audio/wav" {
			t.Error(resp.Header)
		}
		head := make([]byte, 44)
		io.ReadFull(resp.Body, head)
		if want := "RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x44\xac\x00\x00"; !strings.HasPrefix(string(head), want) {
			t.Errorf("%q", head)
		}
		seen := map[byte]bool{}
		silence, total := 0, 0
		b := make([]byte, 882)
		for {
			n, err := io.ReadFull(resp.Body, b)
			for _, c := range b[:n] {
				if total++; c == 0 {
					silence++
				} else if !seen[c] {
					seen[c] = true
					made := began.Add(time.Duration(c) * 100 * time.Millisecond)
					if d := time.Since(made); c < 200 && d > 100*time.Millisecond {
						t.Errorf("piece %d is heard %v after it was made", c, d)
					}
				}
			}
			if err != nil {
				break
			}
		}
		if len(seen) != 81 || silence < 29*tenth || silence > 31*tenth || total < 128*tenth || total > 132*tenth {
			t.Errorf("%d pieces, %.2f s of silence, %.2f s", len(seen), float64(silence)/tenth/10, float64(total)/tenth/10)
		}
		if d := time.Since(began); d < 12800*time.Millisecond || d > 13200*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		playing.Wait()
		r.end()
	})
	for _, s := range []string{"", "s16le", "s16be:44100:1", "s16le:0:1", "s16le:44100:9", "s16le:x:y"} {
		if p, err := serve.ParsePCM(s); err == nil {
			t.Errorf("%s is %+v", s, p)
		}
	}
}

// TestTLS has a listener on an encrypted connection.
func TestTLS(t *testing.T) {
	want := audio(t, demo[0])
	synctest.Test(t, func(t *testing.T) {
		ca := pushtest.NewAuthority()
		r := newRig(t)
		r.server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Certificate("radio.example")}}
		r.client.Transport = &http.Transport{DialContext: r.net.Dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}
		r.run()
		playing := r.play(t.Context(), demo[0])
		time.Sleep(10 * time.Millisecond)
		resp, err := r.client.Get("https://radio.example:8000/live")
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(resp.Body); !bytes.Equal(got, want) {
			t.Errorf("%d bytes, want %d", len(got), len(want))
		}
		playing.Wait()
		r.end()
	})
}
