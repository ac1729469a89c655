package push_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"icepush/frame"
	"icepush/push"
	"icepush/push/pushtest"
	"icepush/ratelimit"
	"icepush/track"
)

const password = "s3cret:@/%"

// rig is a Source and a fake server in virtual time.
type rig struct {
	*testing.T
	server *pushtest.Server
	net    *pushtest.Network
	source *push.Source
	log    logBuffer
	result chan error
	serve  sync.WaitGroup
}

// logBuffer takes the log while the test reads it.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newRig starts a server and, later by run, a Source.
func newRig(t *testing.T) *rig {
	r := &rig{T: t, server: &pushtest.Server{Password: password}, net: pushtest.NewNetwork(), result: make(chan error, 1)}
	r.source = &push.Source{
		Mount: push.Mount{Host: "radio.example:8000", Path: "/live", Password: password, Name: "Test\r\nX-Evil: 1", Genre: "Noise"},
		Dial:  r.net.Dial,
		Log:   slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	r.serve.Go(func() { r.server.Serve(r.net) })
	return r
}

func (r *rig) run(ctx context.Context) {
	go func() { r.result <- r.source.Run(ctx) }()
}

// end waits for the Source and the server, and looks for the password in the log.
func (r *rig) end() error {
	r.Helper()
	err := <-r.result
	r.net.Close()
	r.serve.Wait()
	for _, s := range []string{password, "czNjcmV0", fmt.Sprint(err), fmt.Sprintf("%+v %#v", r.source.Mount, r.source.Mount)} {
		if strings.Contains(r.log.String(), password) || strings.Contains(s, password) && s != password {
			r.Errorf("the password is told: %s", s)
		}
	}
	return err
}

// noise makes n frames of 10.4 ms to 26 ms, each one of a kind. Every frame needs bits
// of the ones before it, as in a real stream.
func noise(seed uint64, n int) []frame.Frame {
	rnd := rand.New(rand.NewPCG(seed, 1))
	var b []byte
	for range n {
		f := make([]byte, 417)
		copy(f, []byte{0xFF, 0xFB, 0x90, 0x40})
		for i := 4; i < len(f); i++ {
			f[i] = byte(1 + rnd.IntN(250))
		}
		f[4], f[5] = 100, 0 // main_data_begin 200: it is in the frame before
		b = append(b, f...)
	}
	r := frame.NewReader(bytes.NewReader(b))
	var out []frame.Frame
	for {
		f, err := r.Next()
		if err != nil {
			return out
		}
		out = append(out, f)
	}
}

// play paces frames to the source as a station does.
func (r *rig) play(ctx context.Context, p *ratelimit.Pacer, title string, frames []frame.Frame) error {
	r.source.Play(track.Info{Title: title, StreamTitle: title, Header: frames[0].Header})
	for _, f := range frames {
		if !r.source.Live {
			waited, ahead, err := r.source.Ready(ctx)
			if err != nil {
				return err
			}
			if waited {
				p.Restart(ahead)
			}
		}
		if _, err := p.Wait(ctx, f.Samples, f.SampleRate); err != nil {
			return err
		}
		r.source.Send([]frame.Frame{f})
	}
	return nil
}

// data is the bytes of frames, in order.
func data(frames ...[]frame.Frame) []byte {
	var b []byte
	for _, list := range frames {
		for _, f := range list {
			b = append(b, f.Data...)
		}
	}
	return b
}

// readFrames reads frames back from what a server got.
func readFrames(b []byte) (out [][]byte) {
	r := frame.NewReader(bytes.NewReader(b))
	for {
		f, err := r.Next()
		if err != nil {
			return out
		}
		out = append(out, f.Data)
	}
}

// TestOnAir sends two tracks to each kind of server: every byte arrives, the titles at
// the first mark of their tracks, and silence behind the last frame fills its block.
func TestOnAir(t *testing.T) {
	for _, software := range []string{"Icecast 2.4.4", "Icecast 2.5.0", "Icecast 2.4.0-kh22"} {
		t.Run(software, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.server.Software = software
				r.run(t.Context())
				a, b := noise(1, 100), noise(2, 50)
				p := &ratelimit.Pacer{Lead: 500 * time.Millisecond}
				if err := errors.Join(r.play(t.Context(), p, "Künstler - Ä", a), r.play(t.Context(), p, "B '; b", b)); err != nil {
					t.Fatal(err)
				}
				r.source.Close()
				if err := r.end(); err != nil {
					t.Fatal(err)
				}
				streams := r.server.Streams()
				if len(streams) != 1 {
					t.Fatalf("%d streams", len(streams))
				}
				st := streams[0]
				want := data(a, b)
				if !bytes.HasPrefix(st.Audio, want) {
					t.Fatalf("%d bytes arrived, not those sent", len(st.Audio))
				}
				rest := st.Audio[len(want):]
				for _, f := range readFrames(rest) {
					if !bytes.Equal(f[4:], make([]byte, len(f)-4)) {
						t.Error("what follows the last frame is not silence")
					}
				}
				if st.Raw%1400 != 0 && st.Raw/1400*1400 < st.Raw-len(rest) {
					t.Errorf("the last frame is in the last, incomplete block: %d bytes, %d of them silence", st.Raw, len(rest))
				}
				if !st.Ended {
					t.Error("the stream was not ended in order")
				}
				mark := (len(data(a)) + 1023) / 1024 * 1024
				if got, want := fmt.Sprint(st.Titles), fmt.Sprint([]pushtest.Title{{Offset: 1024, Text: "Künstler - Ä"}, {Offset: mark, Text: "B ’; b"}}); got != want {
					t.Errorf("titles %s, want %s", got, want)
				}
				for name, want := range map[string]string{
					"Ice-Name": "Test  X-Evil: 1", "Ice-Genre": "Noise", "Ice-Public": "0", "Ice-Bitrate": "128", "Content-Type": "audio/mpeg",
					"Ice-Audio-Info": "bitrate=128;samplerate=44100;channels=2", "Icy-Metaint": "1024", "Expect": "100-continue",
					"Content-Length": "", "Transfer-Encoding": "", "X-Evil": "", "Host": "radio.example:8000",
				} {
					if got := st.Header.Get(name); got != want {
						t.Errorf("%s: %q, want %q", name, got, want)
					}
				}
			})
		})
	}
}

// TestAdminTitles sends titles beside the stream, to a server that is not known to take
// them inside it.
func TestAdminTitles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.server.Software = "Else 1.0"
		r.run(t.Context())
		a, b := noise(1, 100), noise(2, 100)
		p := &ratelimit.Pacer{Lead: 500 * time.Millisecond, Group: 200 * time.Millisecond}
		if err := errors.Join(r.play(t.Context(), p, "Жук & Co", a), r.play(t.Context(), p, "é", b)); err != nil {
			t.Fatal(err)
		}
		r.source.Close()
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
		if got := r.server.AdminTitles(); fmt.Sprint(got) != "[Жук & Co é]" {
			t.Errorf("titles %q", got)
		}
		st := r.server.Streams()[0]
		if st.Header.Get("Icy-Metaint") != "" || !bytes.HasPrefix(st.Audio, data(a, b)) {
			t.Error("there are blocks in the stream")
		}
	})
}

// TestBreaks breaks the line at random moments of a show. With the clock standing
// still meanwhile no frame is missing, and each break repeats at most nine frames and
// those on the way.
func TestBreaks(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 7))
				r := newRig(t)
				r.run(t.Context())
				var sent []frame.Frame
				var wg sync.WaitGroup
				group := time.Duration(rnd.IntN(2)) * 200 * time.Millisecond
				wg.Go(func() {
					p := &ratelimit.Pacer{Lead: 500 * time.Millisecond, Group: group}
					for i := range uint64(4) {
						frames := noise(seed*10+i, 200)
						sent = append(sent, frames...)
						if err := r.play(t.Context(), p, fmt.Sprint("Title ", i), frames); err != nil {
							t.Error(err)
						}
					}
					r.source.Close()
				})
				time.Sleep(2500 * time.Millisecond) // what breaks sooner may be a refusal
				breaks := 1 + rnd.IntN(5)
				for range breaks {
					time.Sleep(time.Duration(rnd.IntN(4000)) * time.Millisecond)
					if rnd.IntN(2) == 0 {
						r.net.Down(true)
						r.server.Break(false)
						time.Sleep(time.Duration(rnd.IntN(30_000)) * time.Millisecond)
						up := time.Now()
						r.net.Down(false)
						streams := len(r.server.Streams())
						time.Sleep(999 * time.Millisecond)
						if now := r.server.Streams(); len(now) == streams && r.source.Status().State != push.Ended {
							t.Errorf("not back %v after the line was good again", time.Since(up))
						}
					} else {
						r.server.Break(false)
					}
				}
				wg.Wait()
				if err := r.end(); err != nil {
					t.Fatal(err)
				}
				follow(t, sent, r.server.Streams())
			})
		})
	}
}

// follow goes through what the server got in all its streams, and fails when a frame of
// what was sent is missing or too many come twice at a break.
func follow(t *testing.T, sent []frame.Frame, streams []pushtest.Stream) {
	t.Helper()
	index := map[string]int{}
	for i, f := range sent {
		index[string(f.Data)] = i
	}
	next := 0 // the first frame not heard yet
	for n, st := range streams {
		at := -1
		for _, f := range readFrames(st.Audio) {
			i, known := index[string(f)]
			if !known {
				continue // the silence at the end
			}
			switch {
			case at < 0 && i > next:
				t.Fatalf("stream %d begins with frame %d, but %d was not heard yet", n, i, next)
			case at < 0 && next-i > 20: // half a second
				t.Errorf("stream %d repeats %d frames", n, next-i)
			case at >= 0 && i != at+1:
				t.Fatalf("stream %d: frame %d follows %d", n, i, at)
			}
			at = i
			next = max(next, i+1)
		}
		if at >= 0 && len(st.Titles) == 0 && len(st.Audio) > 1024 {
			t.Errorf("stream %d has no title", n)
		}
	}
	if next != len(sent) {
		t.Errorf("%d of %d frames were heard", next, len(sent))
	}
}

// TestLive lets the clock run on through an outage: the frames of it are left out, and
// the stream goes on with the present.
func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.source.Live = true
		r.run(t.Context())
		frames := noise(3, 4000) // 104 s
		p := &ratelimit.Pacer{}
		var wg sync.WaitGroup
		wg.Go(func() { r.play(t.Context(), p, "Live", frames); r.source.Close() })
		time.Sleep(20 * time.Second)
		r.net.Down(true)
		r.server.Break(false)
		time.Sleep(40 * time.Second)
		r.net.Down(false)
		wg.Wait()
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
		streams := r.server.Streams()
		if len(streams) != 2 {
			t.Fatalf("%d streams", len(streams))
		}
		first := readFrames(streams[1].Audio)[0]
		at := -1
		for i, f := range frames {
			if bytes.Equal(f.Data, first) {
				at = i
			}
		}
		// Reconnected 60 to 61 s into the show: the present then, and a second before it.
		if second := float64(at) * 1152 / 44100; second < 58.5 || second > 61 {
			t.Errorf("went on at %.1f s of the show", second)
		}
		if lost := r.source.Status().Lost; lost < 1400 || lost > 1550 {
			t.Errorf("%d frames lost in 40 s", lost)
		}
		if !bytes.HasSuffix(bytes.TrimRight(streams[1].Audio, "\x00\xff\xfb\x90\x40"), bytes.TrimRight(frames[len(frames)-1].Data, "\x00\xff\xfb\x90\x40")) {
			t.Error("the end of the show is missing")
		}
	})
}

// TestRefusals shows for each answer whether it is waited out, and the sentence.
func TestRefusals(t *testing.T) {
	answer := func(s string) func(net.Conn) bool {
		return func(c net.Conn) bool { io.WriteString(c, s); return false }
	}
	for _, test := range []struct {
		name   string
		set    func(*pushtest.Server)
		waits  bool
		said   string // in the error, or in the log when it is waited out
		within time.Duration
	}{
		{"wrong password", func(s *pushtest.Server) { s.Password = "other" }, false, "401 You need to authenticate (Icecast 2.4.4)", time.Second},
		{"wrong password, KH", func(s *pushtest.Server) { s.Password, s.Software = "other", "Icecast 2.4.0-kh22" }, false, "401 You need to authenticate", time.Second},
		{"wrong password, 2.5", func(s *pushtest.Server) { s.Password, s.Software = "other", "Icecast 2.5.0" }, false, "401 You need to authenticate (Icecast 2.5.0)", time.Second},
		{"forbidden", func(s *pushtest.Server) { s.Refuse, s.RefuseText = 403, "Content-type not supported" }, false, "403 Content-type not supported", time.Second},
		{"not found", func(s *pushtest.Server) { s.Refuse, s.RefuseText = 404, "no such mount" }, false, "404 no such mount", time.Second},
		{"mount in use", func(s *pushtest.Server) { s.Refuse, s.RefuseText = 403, "Mountpoint in use" }, true, "403 Mountpoint in use", 2 * time.Second},
		{"mount in use, 2.5", func(s *pushtest.Server) { s.Refuse, s.RefuseText = 409, "Mountpoint in use" }, true, "409 Mountpoint in use", 2 * time.Second},
		{"too many sources", func(s *pushtest.Server) { s.Refuse, s.RefuseText = 403, "too many sources connected" }, true, "403 too many sources connected", 20 * time.Second},
		{"server error", func(s *pushtest.Server) { s.Refuse, s.RefuseText = 502, "Bad Gateway" }, true, "502 Bad Gateway", time.Second},
		{"closed without a word", func(s *pushtest.Server) { s.Answer = answer("") }, true, "closed the connection without an answer", time.Second},
		{"wrong password at a limited company", func(s *pushtest.Server) { s.Refuse, s.RefuseText = 401, "Radio Limited" }, false, "401 Radio Limited", time.Second},
		{"a refusal that stays open", func(s *pushtest.Server) {
			s.Answer = func(c net.Conn) bool {
				io.WriteString(c, "HTTP/1.1 401 Unauthorized\r\nConnection: keep-alive\r\n\r\n")
				io.Copy(io.Discard, c) // until the source hangs up
				return false
			}
		}, false, "401 Unauthorized", 3 * time.Second},
		{"no HTTP", func(s *pushtest.Server) { s.Answer = answer("SSH-2.0-OpenSSH\r\n\r\n") }, true, "no HTTP server", time.Second},
		{"redirect", func(s *pushtest.Server) {
			s.Answer = answer("HTTP/1.1 302 Found\r\nLocation: http://else.example/\r\nContent-Length: 0\r\n\r\n")
		}, false, "302 Found: it is said to be at http://else.example/", time.Second},
		{"a proxy says yes", func(s *pushtest.Server) { s.Answer = answer("HTTP/1.1 200 OK\r\nServer: nginx/1.22\r\n\r\n") }, false, "reverse proxy", time.Second},
		{"a proxy in front of 2.5", func(s *pushtest.Server) { s.Software = "nginx/1.22 Allow" }, false, "reverse proxy", time.Second},
		{"a proxy in front", func(s *pushtest.Server) { s.Software = "nginx/1.22" }, false, "reverse proxy", time.Second},
		{"silence", func(s *pushtest.Server) {
			s.Answer = func(c net.Conn) bool { time.Sleep(time.Minute); return false }
		}, true, "does not answer", 12 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				test.set(r.server)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r.run(ctx)
				frames := noise(1, 10)
				r.source.Play(track.Info{StreamTitle: "x", Header: frames[0].Header})
				r.source.Send(frames)
				if !test.waits {
					begin := time.Now()
					err := r.end()
					if err == nil || !strings.Contains(err.Error(), test.said) || !strings.HasPrefix(err.Error(), "push http://radio.example:8000/live: ") {
						t.Errorf("%v; want %s", err, test.said)
					}
					if d := time.Since(begin); d > test.within {
						t.Errorf("it took %v", d)
					}
					puts := 0
					for _, req := range r.server.Requests() {
						if req == "PUT /live" {
							puts++
						}
					}
					if puts > 1 {
						t.Errorf("asked %d times", puts)
					}
					return
				}
				time.Sleep(25 * time.Second)
				if !strings.Contains(r.log.String(), test.said) {
					t.Errorf("the log does not say %q:\n%s", test.said, r.log.String())
				}
				if n := strings.Count(r.log.String(), "off the air"); n != 1 {
					t.Errorf("the log says it %d times", n)
				}
				r.server.Set(func(s *pushtest.Server) { s.Refuse, s.Answer, s.Password = 0, nil, password })
				begin := time.Now()
				for r.source.Status().State != push.OnAir && time.Since(begin) < time.Minute {
					time.Sleep(10 * time.Millisecond)
				}
				if d := time.Since(begin); d > test.within+15*time.Second {
					t.Errorf("on the air after %v", d)
				}
				r.source.Close()
				if err := r.end(); err != nil {
					t.Error(err)
				}
				if st := r.server.Streams(); !bytes.HasPrefix(st[len(st)-1].Audio, data(frames)) {
					t.Error("frames are missing")
				}
			})
		})
	}
}

// TestMaxOutage gives up in time, with the last reason.
func TestMaxOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.source.MaxOutage = 5 * time.Second
		r.net.Down(true)
		r.run(t.Context())
		r.source.Play(track.Info{Header: noise(1, 1)[0].Header})
		begin := time.Now()
		err := r.end()
		var outage *push.OutageError
		if !errors.As(err, &outage) || time.Since(begin) > 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if want := "push http://radio.example:8000/live: not on the air within 5s: dial tcp: connection refused"; err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		if _, _, err := r.source.Ready(t.Context()); err == nil {
			t.Error("ready after the end")
		}
	})
}

// TestStuckServer stops reading in the middle: the write times out, and the show goes on
// where it was.
func TestStuckServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(t.Context())
		frames := noise(5, 800)
		var wg sync.WaitGroup
		wg.Go(func() {
			r.play(t.Context(), &ratelimit.Pacer{Lead: 500 * time.Millisecond}, "Title", frames)
			r.source.Close()
		})
		time.Sleep(5 * time.Second)
		r.server.Freeze(true)
		begin := time.Now()
		for r.source.Status().State == push.OnAir {
			time.Sleep(10 * time.Millisecond)
		}
		if d := time.Since(begin); d > 11*time.Second {
			t.Errorf("noticed after %v", d)
		}
		r.server.Freeze(false)
		wg.Wait()
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
		follow(t, frames, r.server.Streams())
	})
}

// TestEndsOffAir ends a show while the line is down: the Source goes on trying until it
// is told to stop.
func TestEndsOffAir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		r.run(ctx)
		frames := noise(1, 100)
		r.source.Play(track.Info{Header: frames[0].Header})
		time.Sleep(time.Second)
		r.net.Down(true)
		r.server.Break(false)
		time.Sleep(time.Second)
		r.source.Send(frames)
		r.source.Close()
		time.Sleep(time.Hour)
		if st := r.source.Status(); st.State == push.Ended {
			t.Errorf("%+v", st)
		}
		cancel()
		if err := r.end(); err != nil {
			t.Error(err)
		}
		if n := strings.Count(r.log.String(), "still off the air"); n < 55 || n > 61 {
			t.Errorf("the log told %d times in an hour", n)
		}
	})
}
