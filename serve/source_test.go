package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"icepush/frame"
	"icepush/icy"
	"icepush/push"
	"icepush/ratelimit"
	"icepush/station"
	"icepush/track"
)

const (
	sourcePassword = "s3cret:@/%"
	basic          = "Authorization: Basic c291cmNlOnMzY3JldDpALyU=\r\n" // source and that
)

// newSourceRig is a rig that takes sources, with a log.
func newSourceRig(t *testing.T) (*rig, *logText) {
	r, log := newRig(t), &logText{}
	r.mount.SourcePassword = sourcePassword
	r.server.Log = slog.New(slog.NewTextHandler(log, nil))
	return r, log
}

// logText takes the log while the test reads it.
type logText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// dial connects and says something, and returns what is answered to it within a second.
func (r *rig) dial(text string) (net.Conn, string) {
	r.Helper()
	c, err := r.net.Dial(r.Context(), "tcp", "radio.example:8000")
	if err != nil {
		r.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		r.Fatal(err)
	}
	var said []byte
	b := make([]byte, 4096)
	c.SetReadDeadline(time.Now().Add(time.Second))
	for {
		n, err := c.Read(b)
		if said = append(said, b[:n]...); err != nil {
			return c, string(said)
		}
	}
}

// source puts a source on the air.
func (r *rig) source(headers string) net.Conn {
	r.Helper()
	c, said := r.dial("PUT /live HTTP/1.1\r\nHost: x\r\n" + basic + headers + "\r\n")
	if !strings.HasPrefix(said, "HTTP/1.0 200 OK\r\n") {
		r.Fatalf("%q", said)
	}
	return c
}

// frames returns the frames of files.
func frames(t *testing.T, files ...string) (out []frame.Frame) {
	t.Helper()
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
			out = append(out, f)
		}
		tr.Close()
	}
	return out
}

// join returns the bytes of frames.
func join(frames []frame.Frame) (b []byte) {
	for _, f := range frames {
		b = append(b, f.Data...)
	}
	return b
}

// pace writes frames when they are due. The error is that of the writer.
func (r *rig) pace(w io.Writer, frames []frame.Frame) error {
	var p ratelimit.Pacer
	for _, f := range frames {
		p.Wait(r.Context(), f.Samples, f.SampleRate)
		if _, err := w.Write(f.Data); err != nil {
			return err
		}
	}
	return nil
}

// title returns the title that the status shows.
func (r *rig) title() string {
	resp := r.get("/status-json.xsl")
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	_, rest, _ := strings.Cut(string(b), `"title":"`)
	title, _, _ := strings.Cut(rest, `"`)
	return title
}

const third = "demo/03-pinguino-de-paseo.mp3"

// TestSourceWays has sources ask for a mount in all the ways they do, and speak all of the
// framings. A mount without a show plays what they send, and nothing else.
func TestSourceWays(t *testing.T) {
	const accepted = "HTTP/1.0 200 OK\r\n"
	all := frames(t, third)[:200]
	identity := func(c net.Conn) io.Writer { return c }
	for _, test := range []struct {
		name, head, answer string
		writer             func(net.Conn) io.Writer
	}{
		{"PUT", "PUT /live HTTP/1.1\r\nHost: x\r\nContent-Type: audio/mpeg\r\n", accepted, identity},
		{"PUT with Expect", "PUT /live HTTP/1.1\r\nHost: x\r\nContent-Type: audio/mpeg\r\nExpect: 100-continue\r\n", "HTTP/1.1 100 Continue\r\n", identity},
		{"PUT with a length", "PUT /live HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n", accepted, identity},
		{"chunks", "PUT /live HTTP/1.1\r\nHost: x\r\nContent-Type: audio/mpeg; x=y\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n", "HTTP/1.1 100 Continue\r\n", func(c net.Conn) io.Writer { return httputil.NewChunkedWriter(c) }},
		{"SOURCE", "SOURCE /live HTTP/1.0\r\nContent-Type: audio/mpeg\r\n", accepted, identity},
		{"SOURCE 1.1", "SOURCE /live HTTP/1.1\r\nHost: x\r\nContent-Type: audio/mpeg\r\n", accepted, identity},
		{"ICE", "SOURCE /live ICE/1.0\r\nContent-Type: audio/mpeg\r\n", accepted, identity},
		{"untyped", "SOURCE /live HTTP/1.0\r\n", accepted, identity},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, log := newSourceRig(t)
				r.run()
				r.refused("/live", http.StatusServiceUnavailable)
				c, said := r.dial(test.head + "User-Agent: Some/1.0\r\n" + basic + "\r\n")
				if !strings.HasPrefix(said, test.answer) || !strings.Contains(said, accepted) {
					t.Errorf("%q", said)
				}
				r.refused("/live", http.StatusServiceUnavailable) // there is no audio yet
				w := test.writer(c)
				if err := r.pace(w, all[:20]); err != nil {
					t.Fatal(err)
				}
				var got []byte
				var listening sync.WaitGroup
				listening.Go(func() { got, _ = io.ReadAll(r.get("/live").Body) })
				if err := r.pace(w, all[20:]); err != nil {
					t.Fatal(err)
				}
				if end, ok := w.(io.Closer); ok {
					end.Close() // in chunks there is an end to them
				}
				c.Close()
				gone := time.Now()
				listening.Wait()
				if !bytes.Equal(got, join(all)) {
					t.Errorf("%d bytes were heard, %d sent", len(got), len(join(all)))
				}
				if wait := time.Since(gone); wait < 9*time.Second || wait > 11*time.Second {
					t.Errorf("listeners were kept for %v", wait)
				}
				r.refused("/live", http.StatusServiceUnavailable)
				r.end()
				for _, want := range []string{`"a source takes the mount" mount=/live`, `agent=Some/1.0`, `"a source has ended"`} {
					if !strings.Contains(log.String(), want) {
						t.Errorf("%s is not in the log: %s", want, log)
					}
				}
			})
		})
	}
}

// hearing is what a listener with metadata hears.
type hearing struct {
	audio  []byte
	titles []string
}

// hear joins the mount until the stream ends.
func (r *rig) hear() (h hearing) {
	resp := r.get("/live", "Icy-MetaData: 1")
	if resp.StatusCode != http.StatusOK {
		r.Errorf("%s", resp.Status)
	}
	body := bufio.NewReader(resp.Body)
	for part := make([]byte, 16000); ; {
		n, err := io.ReadFull(body, part)
		h.audio = append(h.audio, part[:n]...)
		if err != nil {
			return h
		}
		units, _ := body.ReadByte()
		block := make([]byte, int(units)*16)
		io.ReadFull(body, block)
		if units > 0 {
			_, title, _ := strings.Cut(string(block), "'")
			title, _, _ = strings.Cut(title, "';")
			h.titles = append(h.titles, title)
		}
	}
}

// compare looks whether what was heard is frames of the show up to some place, those of
// the source, all of them, and the show as it went on meanwhile, silent until its bits are
// all there. It returns how many frames of the show went unheard.
func compare(t *testing.T, got []byte, show, source []frame.Frame) (unheard int) {
	t.Helper()
	var heard []frame.Frame
	for fr := frame.NewReader(bytes.NewReader(got)); ; {
		f, err := fr.Next()
		for _, s := range fr.Skipped() {
			t.Error(s)
		}
		if err != nil {
			break
		}
		heard = append(heard, f)
	}
	same := func(a, b frame.Frame) bool { return bytes.Equal(a.Data, b.Data) }
	take := 0
	for take < len(heard) && take < len(show) && same(heard[take], show[take]) {
		take++
	}
	for i, f := range source {
		if take+i >= len(heard) || !same(heard[take+i], f) {
			t.Errorf("frame %d of the source is not heard behind %d of the show", i, take)
			return 0
		}
	}
	rest := heard[take+len(source):]
	from := len(show) - len(rest)
	muted := 0
	for i, f := range rest {
		switch {
		case same(f, show[from+i]):
		case muted == i && i < frame.MaxBefore && same(f, show[from+i].Muted()):
			muted++
		default:
			t.Errorf("frame %d of the show is not heard after it went on at %d", from+i, from)
			return 0
		}
	}
	have := 0
	for i, f := range rest {
		needs, brings := f.Reservoir()
		if needs > have && i < frame.MaxBefore {
			t.Errorf("frame %d needs %d bytes of %d", i, needs, have)
		}
		have += brings
	}
	return from - take
}

// TestTakeOver has a source take the mount from the show and give it back. Listeners hear
// one stream of whole frames, and each title in its time.
func TestTakeOver(t *testing.T) {
	show, all := frames(t, demo...), frames(t, third)[:400] // 10.4 s
	for name, end := range map[string]func(net.Conn){
		"it hangs up": func(c net.Conn) { c.Close() }, "it stalls": func(net.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, log := newSourceRig(t)
				r.run()
				playing := r.play(t.Context(), demo...)
				time.Sleep(10 * time.Millisecond)
				var got hearing
				playing.Go(func() { got = r.hear() })
				time.Sleep(15 * time.Second)
				c := r.source("Content-Type: audio/mpeg\r\n")
				if title := r.title(); title != "The Ring Buffer Trio - Pebbles on the Quay" {
					t.Errorf("before there is audio: %q", title)
				}
				update := func(query string, code int, want string) {
					t.Helper()
					resp := r.get("/admin/metadata?"+query, strings.TrimSpace(basic))
					b, _ := io.ReadAll(resp.Body)
					resp.Body.Close()
					if resp.StatusCode != code || !strings.Contains(string(b), want) {
						t.Errorf("%s: %s %s", query, resp.Status, b)
					}
				}
				update("mode=updinfo&mount=/live&song=First+%26+Foremost", 200, "Metadata update successful")
				playing.Go(func() {
					time.Sleep(5 * time.Second)
					update("mode=updinfo&mount=/live&artist=Z%FCrich&title=%C4%D6", 200, "<return>1</return>")
					update("mode=other&mount=/live&song=x", 200, "No such action")
					update("mount=/live", 400, "Missing parameter")
					if title := r.title(); title != "Zürich - ÄÖ" {
						t.Errorf("live: %q", title)
					}
				})
				r.pace(c, all)
				end(c)
				time.Sleep(11 * time.Second)
				if title := r.title(); title != "Slow Socket Ensemble - Jäälautta" {
					t.Errorf("given back: %q", title)
				}
				update("mode=updinfo&mount=/live&song=x", 400, "Source does not exist")
				playing.Wait()
				r.end()
				gap := 10 * time.Second
				if name == "it hangs up" {
					gap = 0
				}
				unheard := time.Duration(compare(t, got.audio, show, all)) * 1152 * time.Second / 44100
				if off := unheard - gap - 10448*time.Millisecond; off < -time.Second || off > time.Second {
					t.Errorf("%v of the show went unheard", unheard)
				}
				want := "[The Ring Buffer Trio - Pebbles on the Quay First & Foremost Zürich - ÄÖ Slow Socket Ensemble - Jäälautta]"
				if name == "it hangs up" {
					want = strings.Replace(want, "ÄÖ ", "ÄÖ The Ring Buffer Trio - Pebbles on the Quay ", 1)
				}
				if fmt.Sprint(got.titles) != want {
					t.Errorf("%q", got.titles)
				}
				if !strings.Contains(log.String(), `"the mount is given back"`) {
					t.Error(log)
				}
				c.Close()
			})
		})
	}
}

// TestTakeOverOgg does the same with Ogg: each time a link of its own begins.
func TestTakeOverOgg(t *testing.T) {
	files := []string{"ogg/opus-stereo.opus", "ogg/opus-60ms-mono.opus", "ogg/opus-stereo.opus", "ogg/opus-stereo.opus"}
	synctest.Test(t, func(t *testing.T) {
		r, _ := newSourceRig(t)
		r.run()
		playing := r.play(t.Context(), files...)
		time.Sleep(10 * time.Millisecond)
		resp := r.get("/live")
		var got []byte
		playing.Go(func() { got, _ = io.ReadAll(resp.Body) })
		time.Sleep(time.Second / 2)
		c := r.source("Content-Type: application/ogg\r\n")
		live := frames(t, "ogg/opus-stereo.opus")
		var chain frame.Chain
		for _, f := range live {
			c.Write(chain.Append(nil, f, "Live from the quay"))
			time.Sleep(time.Duration(f.Samples) * time.Second / time.Duration(f.SampleRate))
		}
		if title := r.title(); title != "Live from the quay" {
			t.Error(title)
		}
		c.Close()
		playing.Wait()
		var titles []string
		var last *frame.Setup
		for fr := frame.NewReader(bytes.NewReader(got)); ; {
			f, err := fr.Next()
			for _, s := range fr.Skipped() {
				if !s.Kind.IsHeaderFrame() {
					t.Error(s)
				}
			}
			if err != nil {
				break
			}
			if f.Setup != last {
				last = f.Setup
				titles = append(titles, last.Title())
			}
		}
		if !strings.Contains(strings.Join(titles, "|"), "|Live from the quay|") {
			t.Errorf("%q", titles)
		}
		begun := map[string]bool{}
		for at := range got {
			if bytes.HasPrefix(got[at:], []byte("OggS\x00\x02")) {
				serial := string(got[at+14 : at+18])
				if begun[serial] {
					t.Errorf("stream %x begins twice", serial)
				}
				begun[serial] = true
			}
		}
		r.end()
	})
}

// TestReconnect has a source come back within ten seconds to a mount without a show:
// listeners stay. One that comes later finds none.
func TestReconnect(t *testing.T) {
	all := frames(t, third)[:200]
	synctest.Test(t, func(t *testing.T) {
		r, _ := newSourceRig(t)
		r.run()
		var got []byte
		var listening sync.WaitGroup
		c := r.source("Content-Type: audio/mpeg\r\n")
		r.pace(c, all[:50])
		listening.Go(func() { got, _ = io.ReadAll(r.get("/live").Body) })
		r.pace(c, all[50:100])
		c.Close()
		time.Sleep(7 * time.Second)
		c = r.source("")
		time.Sleep(6 * time.Second) // nobody is let go while there is a source
		r.pace(c, all[100:])
		c.Close()
		listening.Wait()
		if h, ok := find(t, got, join(all[:100])); !ok || len(h) < 90 {
			t.Errorf("%d frames were heard of the second source", len(h))
		}
		time.Sleep(time.Minute)
		c = r.source("Content-Type: audio/aac\r\n") // of another format: nobody minds
		aac := frames(t, "aac/lc-44100-stereo.aac")
		if err := r.pace(c, aac); err != nil {
			t.Error(err)
		}
		resp := r.get("/live")
		if resp.Header.Get("Content-Type") != "audio/aac" {
			t.Error(resp.Header)
		}
		resp.Body.Close()
		c.Close()
		time.Sleep(11 * time.Second)
		r.end()
	})
}

// find returns the frames behind a beginning.
func find(t *testing.T, got, begin []byte) ([]frame.Frame, bool) {
	t.Helper()
	rest, ok := bytes.CutPrefix(got, begin)
	fr := frame.NewReader(bytes.NewReader(rest))
	var out []frame.Frame
	for {
		f, err := fr.Next()
		if len(fr.Skipped()) > 0 {
			t.Error(fr.Skipped())
		}
		if err != nil {
			return out, ok
		}
		out = append(out, f)
	}
}

// TestRefused says no to sources, each time with a sentence.
func TestRefused(t *testing.T) {
	const put = "PUT /live HTTP/1.1\r\nHost: x\r\n"
	synctest.Test(t, func(t *testing.T) {
		r, log := newSourceRig(t)
		r.run()
		c := r.source("Content-Type: audio/mpeg\r\n")
		r.pace(c, frames(t, third)[:40])
		for _, test := range []struct{ head, want, why string }{
			{put + basic + "Content-Type: audio/mpeg\r\n", "403 Forbidden", "Mountpoint in use"},
			{"SOURCE /live HTTP/1.0\r\n" + basic, "403 Forbidden", "Mountpoint in use"},
			{put + basic + "Content-Type: video/webm\r\n", "415 Unsupported Media Type", "video/webm is not"},
			{"PUT /other HTTP/1.1\r\nHost: x\r\n" + basic, "404 Not Found", "there is no such mount"},
			{put, "401 Unauthorized", "a source needs a user and a password"},
			{put + "Authorization: Basic c291cmNlOndyb25n\r\n", "401 Unauthorized", "wrong"},
			{put + "Content-Length: 0\r\n", "401 Unauthorized", "Www-Authenticate: Basic"},
			{put + "Content-Length: 0\r\n", "401 Unauthorized", "Allow: GET, HEAD, PUT, SOURCE, OPTIONS"},
			{"OPTIONS * HTTP/1.1\r\nHost: x\r\n", "204 No Content", "Allow: GET, HEAD, PUT, SOURCE, OPTIONS"},
			{"OPTIONS /live HTTP/1.1\r\nHost: x\r\n", "204 No Content", "Allow: GET, HEAD, PUT, SOURCE, OPTIONS"},
			{"GET /admin/metadata?mode=updinfo&mount=/live&song=x HTTP/1.1\r\nHost: x\r\n", "401 Unauthorized", "Www-Authenticate"},
			{"GET /admin/metadata?mode=updinfo&mount=/x&song=x HTTP/1.1\r\nHost: x\r\n", "400 Bad Request", "Source does not exist"},
		} {
			c, said := r.dial(test.head + "\r\n")
			if line, _, _ := strings.Cut(said, "\r\n"); !strings.HasSuffix(line, test.want) || !strings.Contains(said, test.why) {
				t.Errorf("%q: %q", test.head, said)
			}
			c.Close()
		}
		r.pace(c, frames(t, third)[40:400])
		if _, said := r.dial(put + basic + "Content-Type: audio/ogg\r\n\r\n"); !strings.Contains(said, "403 ") {
			t.Errorf("%q", said)
		}
		c.Close()
		time.Sleep(10 * time.Millisecond)
		if _, said := r.dial(put + basic + "Content-Type: audio/ogg\r\n\r\n"); !strings.Contains(said, "415 ") || !strings.Contains(said, "send audio/mpeg") {
			t.Errorf("of another format: %q", said)
		}
		c, said := r.dial(put + basic + "Content-Type: audio/mpeg\r\n\r\n") // which is not true
		if r.pace(c, frames(t, "aac/lc-44100-stereo.aac")); !strings.Contains(said, " 200 ") {
			t.Errorf("%q", said)
		}
		c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("AAC as audio/mpeg: %v", err)
		}
		if strings.Contains(log.String(), "s3cret") || strings.Contains(log.String(), basic) || strings.Count(log.String(), "is refused") != 1 {
			t.Error(log)
		}
		r.mount.SourcePassword = ""
		if _, said := r.dial(put + basic + "\r\n"); !strings.Contains(said, "403 ") || !strings.Contains(said, "sources are not wanted here") {
			t.Errorf("%q", said)
		}
		r.end()
	})
}

// TestGuessing tries a thousand passwords: most of them are not even looked at. The right
// one is heard again when that is over.
func TestGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, log := newSourceRig(t)
		r.run()
		answers := map[int]int{}
		try := func(password string) int {
			req, _ := http.NewRequest(http.MethodPut, "http://radio.example:8000/live", nil)
			req.SetBasicAuth("source", password)
			resp, err := r.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		began := time.Now()
		for i := range 1000 {
			answers[try(fmt.Sprint("guess", i))]++
		}
		if answers[401] != 5 || answers[429] != 995 || time.Since(began) > time.Second {
			t.Errorf("%v in %v", answers, time.Since(began))
		}
		began, answers = time.Now(), map[int]int{}
		for time.Since(began) < time.Hour {
			answers[try("again")]++
			time.Sleep(time.Second)
		}
		if answers[401] > 70 {
			t.Errorf("in an hour: %v", answers)
		}
		time.Sleep(time.Minute)
		c := r.source("Content-Type: audio/mpeg\r\n")
		r.pace(c, frames(t, third)[:40])
		c.Close()
		time.Sleep(11 * time.Second)
		r.end()
		if n := strings.Count(log.String(), "is refused"); n > 62 {
			t.Errorf("%d lines in the log", n)
		}
	})
}

// TestTooFast has a source send as fast as it can: it is held to ten seconds ahead, and
// what it has sent is heard before the show goes on.
func TestTooFast(t *testing.T) {
	show, all := frames(t, demo...), frames(t, third)[:800] // 20.9 s
	synctest.Test(t, func(t *testing.T) {
		r, _ := newSourceRig(t)
		r.run()
		playing := r.play(t.Context(), demo...)
		time.Sleep(10 * time.Millisecond)
		var got hearing
		playing.Go(func() { got = r.hear() })
		time.Sleep(5 * time.Second)
		c := r.source("Content-Type: audio/mpeg\r\n")
		began := time.Now()
		c.Write(join(all))
		if took := time.Since(began); took < 8*time.Second || took > 12*time.Second {
			t.Errorf("it could send in %v", took)
		}
		c.Close()
		playing.Wait()
		unheard := time.Duration(compare(t, got.audio, show, all)) * 1152 * time.Second / 44100
		if unheard < 20*time.Second || unheard > 22*time.Second {
			t.Errorf("%v of the show went unheard", unheard)
		}
		r.end()
	})
}

// TestNoise has sources send what is no audio, or nothing.
func TestNoise(t *testing.T) {
	for name, send := range map[string]func(net.Conn){
		"nothing":         func(net.Conn) {},
		"noise":           func(c net.Conn) { c.Write(make([]byte, 2<<20)) },
		"a byte a second": func(c net.Conn) { drip(c) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, log := newSourceRig(t)
				r.run()
				c := r.source("Content-Type: audio/mpeg\r\n")
				began := time.Now()
				go send(c)
				c.SetReadDeadline(time.Now().Add(time.Minute))
				c.Read(make([]byte, 1))
				took := time.Since(began)
				time.Sleep(time.Second)
				if took > 10*time.Second || !strings.Contains(log.String(), "a source has sent nothing to play") {
					t.Errorf("after %v: %s", took, log)
				}
				c.Close()
				time.Sleep(2 * time.Second)
				r.end()
			})
		})
	}
}

func drip(c net.Conn) {
	for {
		if _, err := c.Write([]byte{0xFF}); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// TestInBand has a source put its titles between the audio.
func TestInBand(t *testing.T) {
	all := frames(t, third)[:300]
	synctest.Test(t, func(t *testing.T) {
		r, _ := newSourceRig(t)
		r.run()
		c := r.source("Content-Type: audio/mpeg\r\nicy-metaint: 700\r\n")
		audio := join(all)
		var got []byte
		var listening sync.WaitGroup
		for at := 0; at < len(audio); at += 700 {
			part := audio[at:min(at+700, len(audio))]
			c.Write(part)
			if len(part) == 700 {
				switch at {
				case 700:
					c.Write(icy.Block("One'; two", 0))
				case 35000:
					c.Write(icy.Block("Ø", 4000))
				case 70000: // not one as it should be
					c.Write(append([]byte{2}, "StreamTitle='Drei\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"...))
				default:
					c.Write([]byte{0})
				}
			}
			time.Sleep(700 * time.Second / 16000)
			if at == 7000 {
				listening.Go(func() { got, _ = io.ReadAll(r.get("/live").Body) })
			}
			if want := map[int]string{2100: "One’; two", 36400: "Ø", 71400: "Drei"}[at]; want != "" {
				if title := r.title(); title != want {
					t.Errorf("at %d: %q", at, title)
				}
			}
		}
		c.Close()
		listening.Wait()
		if !bytes.Equal(got, audio) {
			t.Errorf("%d bytes, want %d", len(got), len(audio))
		}
		r.end()
	})
}

// TestPush has icepush itself be the source, and its line break: what is heard is what it
// sends, with its titles.
func TestPush(t *testing.T) {
	all := join(frames(t, demo...))
	for _, framing := range []push.Framing{push.AnyFraming, push.Identity} {
		synctest.Test(t, func(t *testing.T) {
			r, _ := newSourceRig(t)
			r.run()
			var log logText
			source := &push.Source{
				Mount: push.Mount{Host: "radio.example:8000", Path: "/live", Password: sourcePassword}, Framing: framing,
				Log: slog.New(slog.NewTextHandler(&log, nil)),
			}
			var mu sync.Mutex
			var line net.Conn // the last one
			source.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := r.net.Dial(ctx, network, address)
				mu.Lock()
				defer mu.Unlock()
				line = c
				return c, err
			}
			tracks := make(chan *track.Track, len(demo))
			for _, name := range demo {
				tr, err := track.Open(t.Context(), "../testdata/"+name, track.Info{})
				if err != nil {
					t.Fatal(err)
				}
				tr.SetTitleFormat("{artist} - {title}")
				tracks <- tr
			}
			close(tracks)
			st := &station.Station{Tracks: tracks, Sinks: []station.Sink{source}, Gate: source, Pacer: ratelimit.Pacer{Group: 200 * time.Millisecond, Lead: time.Second}, Log: slog.New(slog.DiscardHandler)}
			var running sync.WaitGroup
			running.Go(func() {
				if err := source.Run(t.Context()); err != nil {
					t.Error(err)
				}
			})
			running.Go(func() {
				st.Run(t.Context())
				source.Close()
			})
			time.Sleep(time.Second)
			var got hearing
			running.Go(func() { got = r.hear() })
			time.Sleep(20 * time.Second)
			mu.Lock()
			line.Close()
			mu.Unlock()
			running.Wait()
			r.end()
			want := "framing=chunked titles=inband"
			if framing == push.Identity {
				want = "framing=identity titles=inband"
			}
			if !strings.Contains(log.String(), want) || !strings.Contains(log.String(), "back on the air") {
				t.Error(log.String())
			}
			if fmt.Sprint(got.titles) != "[The Ring Buffer Trio - Pebbles on the Quay Slow Socket Ensemble - Jäälautta]" {
				t.Errorf("%q", got.titles)
			}
			// All of it, silent or again where the line broke.
			h, _ := find(t, got.audio, nil)
			if n := len(join(h)); n < len(all) || n > len(all)+40_000 || !bytes.Contains(got.audio, all[len(all)/2:len(all)-1000]) || !bytes.HasPrefix(got.audio, all[:200_000]) {
				t.Errorf("%d bytes were heard of %d", n, len(all))
			}
		})
	}
}
