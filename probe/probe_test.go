package probe_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"icepush/frame"
	"icepush/icy"
	"icepush/probe"
	"icepush/push/pushtest"
	"icepush/track"
)

// frames returns the frames of a file of testdata.
func frames(t *testing.T, name string) (out []frame.Frame) {
	t.Helper()
	tr, err := track.Open(t.Context(), "../testdata/"+name, track.Info{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	for {
		f, err := tr.Next()
		if err != nil {
			return out
		}
		out = append(out, f)
	}
}

// show is a stream that a test makes.
type show struct {
	frames []frame.Frame
	status string        // line of the answer
	header string        // more lines
	burst  int           // frames at once
	every  int           // how many come together then
	pace   float64       // seconds of audio a second; 0 is 1
	gap    time.Duration // nothing comes for so long
	gapAt  int           // before this frame
	junk   map[int]string
	titles map[int]string // blocks, by the frame before which they are set
	ends   bool           // behind the last frame, in place of saying nothing
}

const metaint = 1000

// play sends the stream to a listener.
func (s show) play(c net.Conn) {
	head := cmp.Or(s.status, "HTTP/1.0 200 OK") + "\r\nServer: test\r\nAccess-Control-Allow-Origin: *\r\n"
	if !strings.Contains(s.header, "Content-Type") {
		head += "Content-Type: audio/mpeg\r\n"
	}
	if s.titles != nil {
		head += fmt.Sprintf("icy-metaint: %d\r\n", metaint)
	}
	if _, err := io.WriteString(c, head+s.header+"\r\n"); err != nil {
		return
	}
	left, block := metaint, ""
	var out bytes.Buffer
	audio := func(b []byte) {
		for s.titles != nil && len(b) >= left {
			out.Write(b[:left])
			b, left = b[left:], metaint
			out.WriteString(string(rune((len(block)+15)/16)) + block + strings.Repeat("\x00", (16-len(block)%16)%16))
			block = ""
		}
		out.Write(b)
		left -= len(b)
	}
	began, due := time.Now(), time.Duration(0)
	for i, f := range s.frames {
		if text, ok := s.titles[i]; ok {
			block = text
		}
		audio([]byte(s.junk[i]))
		audio(f.Data)
		if i == s.gapAt {
			began = began.Add(s.gap)
		}
		if i >= s.burst {
			due += time.Duration(float64(f.Lasts()) / max(s.pace, 1e-9))
		}
		behind := i + 1 - s.burst // the burst, then groups, then what is left
		if i+1 < len(s.frames) && (behind < 0 || behind%max(1, s.every) != 0) {
			continue
		}
		time.Sleep(time.Until(began.Add(due)))
		if _, err := c.Write(out.Bytes()); err != nil {
			return
		}
		out.Reset()
	}
	if !s.ends {
		io.Copy(io.Discard, c)
	}
}

// answers answers each listener of a network by what the path has, until stop.
func answers(t *testing.T, paths map[string]func(c net.Conn, r *http.Request)) (o icy.Options, stop func()) {
	network := pushtest.NewNetwork()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := network.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				answer, ok := paths[r.URL.Path]
				if !ok {
					io.WriteString(c, "HTTP/1.0 404 Not Found\r\nServer: test\r\n\r\n")
					return
				}
				answer(c, r)
			})
		}
	})
	return icy.Options{Dial: network.Dial}, func() {
		network.Close()
		serving.Wait()
	}
}

// listen probes a stream in virtual time.
func listen(t *testing.T, s show, p probe.Probe) (r *probe.Report) {
	t.Helper()
	if s.pace == 0 {
		s.pace = 1
	}
	synctest.Test(t, func(t *testing.T) {
		o, stop := answers(t, map[string]func(net.Conn, *http.Request){"/live": func(c net.Conn, _ *http.Request) { s.play(c) }})
		p.Join.Dial = o.Dial
		var err error
		if r, err = p.Run(t.Context(), "http://user:s3cret@localhost:8000/live"); err != nil {
			t.Error(err)
		}
		stop()
	})
	return r
}

// TestProbe listens to streams with nothing wrong, and to those that are made wrong.
func TestProbe(t *testing.T) {
	mp3 := frames(t, "demo/01-pebbles-on-the-quay.mp3")
	other := frames(t, "mp3/mpeg2-24000-mono.mp3")
	aac := slices.Repeat(frames(t, "aac/lc-44100-stereo.aac"), 30)
	sum := 0
	for _, f := range mp3[:200] {
		sum += f.Size
	}
	tag := "ID3\x03\x00\x00\x00\x00\x01\x00" + strings.Repeat("x", 128)
	hollow := []frame.Frame{{Header: mp3[0].Header}}
	picture := "\xFF\xD8\xFF\xE0" + strings.Repeat("\xFF\xFBjunk", 200)
	xing := string(mp3[0].Data[:4]) + strings.Repeat("\x00", 32) + "Xing" + strings.Repeat("\x00", mp3[0].Size-40)
	title := map[int]string{0: "StreamTitle='One';", 200: "StreamTitle='Jäälautta';StreamUrl='http://radio.example/';"}
	steady := show{frames: mp3, burst: 160, every: 16, titles: title, header: "icy-br: 128\r\nicy-name: Test\r\n"}
	changed := func(change func(*show)) show {
		s := steady
		change(&s)
		return s
	}
	for _, test := range []struct {
		name     string
		show     show
		check    func(*probe.Report) bool
		problems []string // what each begins with or holds
		notes    []string
	}{
		{
			name: "nothing wrong", show: steady,
			check: func(r *probe.Report) bool {
				second := int64(sum/metaint+1) * metaint
				return r.Rate > 0.999 && r.Rate < 1.001 && r.Burst > 4*time.Second && r.Burst < 5*time.Second && r.Gap > 390*time.Millisecond && r.Gap < 420*time.Millisecond &&
					r.LeadIn == 0 && r.Junk == 0 && r.Dry == 0 && len(r.Titles) == 2 && r.Titles[0].Text == "One" && r.Titles[0].Offset == metaint &&
					r.Titles[1].Text == "Jäälautta" && r.Titles[1].URL == "http://radio.example/" && r.Titles[1].Offset == second &&
					r.Titles[1].Time >= 200*mp3[0].Lasts() && r.Titles[1].Time < 204*mp3[0].Lasts() &&
					r.Lasted == 10*time.Second && !r.VBR && r.First.SampleRate == 44100 && r.Stream.Name == "Test" && r.Web.Range == 200 && r.URL == "http://localhost:8000/live"
			},
		},
		{
			name: "frame by frame, without a burst", show: changed(func(s *show) { s.burst, s.every = 1, 1 }),
			check: func(r *probe.Report) bool { return r.Dry == 0 && r.StartAt > 900*time.Millisecond },
			notes: []string{"a player with a buffer of 1s begins after 1.0 s"},
		},
		{
			name: "AAC", show: show{frames: aac, burst: 80, every: 4, header: "Content-Type: audio/aacp\r\n"},
			check: func(r *probe.Report) bool { return r.Junk == 0 && r.Rate > 0.999 && r.First.Format == frame.AAC },
			notes: []string{"the server sends no titles"},
		},
		{
			name: "half as fast", show: changed(func(s *show) { s.pace = 0.5 }),
			check:    func(r *probe.Report) bool { return r.Rate > 0.49 && r.Rate < 0.51 && r.Dry > 0 },
			problems: []string{"the stream comes at 50.0 % of the pace it is heard at; a player with a buffer of 1s ran dry once"},
		},
		{
			name: "2 % too fast", show: changed(func(s *show) { s.pace = 1.02 }),
			problems: []string{"the stream comes at 102.0 %"},
		},
		{
			name: "a pause that a buffer bridges", show: changed(func(s *show) { s.gap, s.gapAt = 3*time.Second, 240 }),
			check: func(r *probe.Report) bool { return r.Gap > 3*time.Second && r.Gap < 4*time.Second && r.Dry == 0 },
		},
		{
			name: "a pause that it does not", show: changed(func(s *show) { s.burst, s.gap, s.gapAt = 80, 4*time.Second, 160 }),
			check:    func(r *probe.Report) bool { return r.Dry == 1 && r.Silent > 2*time.Second && r.Silent < 4*time.Second },
			problems: []string{"nothing came for 4."},
		},
		{
			name: "it ends", show: changed(func(s *show) { s.frames, s.ends = mp3[:320], true }),
			problems: []string{"the stream ended after 4.2 s"},
		},
		{
			name: "it is stuck", show: changed(func(s *show) { s.frames = mp3[:320] }),
			problems: []string{"nothing came for 5.8 s at 0:04.2; a player with a buffer of 1s ran dry once and was silent for 1.6 s"}, // of 10 s
		},
		{
			name: "tags between tracks", show: changed(func(s *show) { s.junk = map[int]string{200: tag, 300: tag + picture} }),
			check: func(r *probe.Report) bool {
				return r.Skips[0].Kind == "ID3v2.3" && r.Skips[0].Offset == int64(sum) && r.Skips[0].Length == int64(len(tag)) && r.Junk > int64(2*len(tag)+len(picture)-1) && r.Skips[0].Time == 200*mp3[0].Lasts()
			},
			problems: []string{"there are tags of files between the frames (ID3v2.3, 276 bytes, in 2 places, first at 0:05.2)", "there are a picture between the frames"},
		},
		{
			name: "a tag at the beginning", show: changed(func(s *show) { s.junk = map[int]string{0: tag} }),
			problems: []string{"there are tags of files between the frames (ID3v2.3, 138 bytes, at 0:00.0)"},
		},
		{
			name: "in the middle of a frame", show: changed(func(s *show) { s.junk = map[int]string{0: string(mp3[0].Data[100:])} }),
			check: func(r *probe.Report) bool { return r.LeadIn == int64(mp3[0].Size-100) && r.Junk == 0 },
		},
		{
			name: "encoder headers", show: changed(func(s *show) { s.junk = map[int]string{200: xing} }),
			problems: []string{"there are encoder headers of files between the frames (Xing, 417 bytes, at 0:05.2)"},
		},
		{
			name: "chunk sizes", show: changed(func(s *show) { s.junk = map[int]string{200: "\r\nfa0\r\n", 300: "\r\nfa0\r\n"} }),
			problems: []string{"there are the sizes of chunks between the frames (14 bytes, in 2 places, first at 0:05.2): the source sends chunks"},
		},
		{
			name: "metadata nobody looks for", show: changed(func(s *show) { s.titles, s.junk = nil, map[int]string{200: string(icy.Block("One", 0))} }),
			problems: []string{"there are ICY metadata between the frames"},
			notes:    []string{"the server sends no titles with this stream"},
		},
		{
			name: "another content type", show: changed(func(s *show) { s.header = "Content-Type: audio/aac\r\n" }),
			problems: []string{"it is called audio/aac and is MPEG-1 Layer III, 44100 Hz, joint stereo"},
		},
		{
			name: "titles in Latin-1", show: changed(func(s *show) { s.titles = map[int]string{0: "StreamTitle='J\xe4\xe4lautta';"} }),
			problems: []string{`titles are not UTF-8 ("Jäälautta", once)`},
		},
		{
			name: "titles made UTF-8 twice", show: changed(func(s *show) { s.titles = map[int]string{0: "StreamTitle='JÃ¤Ã¤lautta â€“ Ã–';"} }),
			problems: []string{`titles have been taken for Latin-1 on their way ("JÃ¤Ã¤lautta â€“ Ã–", once)`},
		},
		{
			name: "an empty title", show: changed(func(s *show) { s.titles = map[int]string{0: "StreamTitle='';"} }),
			notes: []string{"a title is empty (at 0:00."},
		},
		{
			name: "no title", show: changed(func(s *show) { s.titles = map[int]string{} }),
			notes: []string{"no title came"},
		},
		{
			name: "icy-metaint that is wrong", show: changed(func(s *show) { s.titles = nil; s.header += "icy-metaint: 16000\r\n" }),
			problems: []string{"icy-metaint says 16000, and there is something else than metadata there"},
		},
		{
			name: "icy-metaint that is no distance", show: changed(func(s *show) { s.titles = nil; s.header += "icy-metaint: many\r\n" }),
			problems: []string{`icy-metaint is "many"`},
			notes:    []string{"the server sends no titles"},
		},
		{
			name: "another format", show: changed(func(s *show) { s.frames = slices.Concat(mp3[:300], other, mp3[300:]) }),
			check:    func(r *probe.Report) bool { return r.Changed == 2 && r.Changes[0].Header.SampleRate == 24000 },
			problems: []string{"the format changes (2 times, first at 0:07.8 from MPEG-1 Layer III, 44100 Hz, joint stereo to MPEG-2 Layer III, 24000 Hz, mono)"},
		},
		{
			name: "another bitrate than it says", show: changed(func(s *show) { s.header = "icy-br: 320\r\n" }),
			notes: []string{"icy-br says 320 kbit/s, and the frames have 128"},
		},
		{
			name: "SHOUTcast 1", show: changed(func(s *show) { s.status = "ICY 200 OK" }),
			check: func(r *probe.Report) bool { return r.Stream.Proto == "ICY" && r.Rate > 0.999 },
			notes: []string{"the server answers as SHOUTcast 1 does"},
		},
		{
			name: "a file", show: changed(func(s *show) {
				s.burst, s.ends, s.titles, s.header = len(s.frames)-1, true, nil, "Content-Length: 448000\r\n"
			}),
			notes: []string{"it is a file of 448000 bytes", "the server sends no titles"},
		},
		{
			name: "nothing", show: changed(func(s *show) { s.frames = nil }),
			problems: []string{"the server takes a listener, and nothing comes"},
		},
		{
			name: "the end", show: changed(func(s *show) { s.frames, s.ends = nil, true }),
			problems: []string{"the server takes a listener, and ends the stream"},
		},
		{
			name: "noise", show: changed(func(s *show) {
				s.frames, s.junk, s.titles = hollow, map[int]string{0: strings.Repeat("noise", 1000)}, nil
			}),
			problems: []string{"there are no frames of MPEG, AAC (ADTS) or Ogg in the 5000 bytes that came"},
		},
		{
			name: "FLAC", show: changed(func(s *show) {
				s.frames, s.junk, s.titles = mp3[:1], map[int]string{0: "fLaC" + strings.Repeat("x", 10000)}, nil
			}),
			problems: []string{"what comes is FLAC"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := listen(t, test.show, probe.Probe{})
			if test.check != nil && !test.check(r) {
				t.Errorf("%+v", r.Heard)
			}
			compare(t, "problems", r.Problems, test.problems)
			compare(t, "notes", r.Notes, test.notes)
		})
	}
}

// compare looks whether each sentence holds a text.
func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		ok = ok && strings.Contains(got[i], want[i])
	}
	if !ok {
		t.Errorf("%s:\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// TestWay goes through redirects and playlists to a stream.
func TestWay(t *testing.T) {
	mp3 := frames(t, "demo/01-pebbles-on-the-quay.mp3")
	s := show{frames: mp3, burst: 160, every: 16, pace: 1}
	page := func(kind, text string) func(net.Conn, *http.Request) {
		return func(c net.Conn, _ *http.Request) {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", kind, len(text), text)
		}
	}
	paths := map[string]func(net.Conn, *http.Request){
		"/live": func(c net.Conn, r *http.Request) {
			if _, password, _ := r.BasicAuth(); password != "s3cret" {
				io.WriteString(c, "HTTP/1.0 401 Unauthorized\r\n\r\n")
				return
			}
			s.play(c)
		},
		"/moved": func(c net.Conn, _ *http.Request) {
			io.WriteString(c, "HTTP/1.0 302 Found\r\nLocation: /live\r\n\r\n")
		},
		"/list.m3u":        page("audio/x-mpegurl", "#EXTM3U\n#EXTINF:-1,Test\nnot here.mp3\n"),
		"/live.m3u":        page("text/plain", "http://localhost:8000/moved\r\n"),
		"/live.pls":        page("audio/x-scpls", "[playlist]\nFile1=/live.m3u\n"),
		"/live.xspf":       page("application/xspf+xml", `<?xml version="1.0"?><playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList><track><location>live.pls</location></track></trackList></playlist>`),
		"/hls.m3u8":        page("application/vnd.apple.mpegurl", "#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:6,\nsegment0.ts\n"),
		"/loop.m3u":        page("audio/x-mpegurl", "loop.m3u"),
		"/empty.pls":       page("audio/x-scpls", "[playlist]\n"),
		"/":                page("text/html", "<!DOCTYPE html><html><title>Icecast</title></html>"),
		"/status-json.xsl": page("application/json", `{"icestats":{"dummy": - ,"source":[{"listenurl":"http://localhost:8000/live"},{"listenurl":"http:\/\/localhost:8000\/b%20c"},{"listenurl":"http://localhost:8000/live"}]}}`),
	}
	for path, want := range map[string]string{
		"/live":      "",
		"/moved":     "http://localhost:8000/moved redirect",
		"/live.m3u":  "http://localhost:8000/live.m3u M3U playlist, http://localhost:8000/moved redirect",
		"/live.xspf": "http://localhost:8000/live.xspf XSPF playlist, http://localhost:8000/live.pls PLS playlist, http://localhost:8000/live.m3u M3U playlist, http://localhost:8000/moved redirect",
		"/list.m3u":  "http://localhost:8000/list.m3u M3U playlist; http://localhost:8000/not%20here.mp3: 404 Not Found (test) /live /b%20c",
		"/none":      "; http://localhost:8000/none: 404 Not Found (test) /live /b%20c",
		"/hls.m3u8":  "http://localhost:8000/hls.m3u8 M3U playlist; http://localhost:8000/hls.m3u8: " + probe.ErrHLS.Error(),
		"/empty.pls": "http://localhost:8000/empty.pls PLS playlist; http://localhost:8000/empty.pls: there is no URL of a stream in this playlist",
		"/loop.m3u":  strings.TrimSuffix(strings.Repeat("http://localhost:8000/loop.m3u M3U playlist, ", 4), ", ") + "; http://localhost:8000/loop.m3u: there is no URL of a stream in this playlist: one leads to another, too often",
		"/":          "; this is a web page, not a stream; the server has /live, /b%20c",
	} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, stop := answers(t, paths)
				defer stop()
				p := probe.Probe{Join: o, For: 5 * time.Second}
				r, err := p.Run(t.Context(), "http://user:s3cret@localhost:8000"+path)
				var hops []string
				for _, h := range r.Via {
					hops = append(hops, h.URL+" "+h.How)
				}
				got := strings.Join(hops, ", ")
				switch {
				case err != nil:
					got += "; " + err.Error()
					if len(r.Mounts) > 0 {
						got += " " + strings.Join(r.Mounts, " ")
					}
				case len(r.Problems) > 0:
					got += "; " + r.Problems[0]
				}
				if got != want {
					t.Errorf("%s\nwant %s", got, want)
				}
			})
		})
	}
}

// TestInterrupted reports what was heard until then.
func TestInterrupted(t *testing.T) {
	s := show{frames: frames(t, "demo/01-pebbles-on-the-quay.mp3"), burst: 160, every: 16, pace: 1}
	synctest.Test(t, func(t *testing.T) {
		o, stop := answers(t, map[string]func(net.Conn, *http.Request){"/live": func(c net.Conn, _ *http.Request) { s.play(c) }})
		defer stop()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		p := probe.Probe{Join: o}
		r, err := p.Run(ctx, "http://localhost:8000/live")
		if err != nil || r.Lasted != 3*time.Second || len(r.Problems) > 0 || r.Web.Asked {
			t.Errorf("%v, %v, %q", err, r.Lasted, r.Problems)
		}
	})
}

// TestStatus has the refusals as errors.
func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, stop := answers(t, map[string]func(net.Conn, *http.Request){"/live": func(c net.Conn, _ *http.Request) {
			io.WriteString(c, "HTTP/1.0 403 Forbidden\r\n\r\n")
		}})
		defer stop()
		p := probe.Probe{Join: o}
		_, err := p.Run(t.Context(), "http://localhost:8000/live")
		var status *icy.StatusError
		if !errors.As(err, &status) || status.Code != http.StatusForbidden {
			t.Error(err)
		}
	})
}
