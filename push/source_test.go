package push_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
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
	net    *pushtest.Network // port 8000
	icy    *pushtest.Network // port 8001
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
	r := idleRig(t)
	r.serve.Go(func() { r.server.Serve(r.net) })
	r.serve.Go(func() { r.server.ServeICY(r.icy) })
	return r
}

// newTLSRig is the same, encrypted.
func newTLSRig(t *testing.T) *rig {
	r := idleRig(t)
	ca := pushtest.NewAuthority()
	r.source.Mount.TLS, r.source.TLS = true, &tls.Config{RootCAs: ca.Pool()}
	config := &tls.Config{Certificates: []tls.Certificate{ca.Certificate("radio.example")}}
	r.serve.Go(func() { r.server.Serve(tls.NewListener(r.net, config)) })
	return r
}

func idleRig(t *testing.T) *rig {
	r := &rig{T: t, server: &pushtest.Server{Password: password}, net: pushtest.NewNetwork(), result: make(chan error, 1)}
	r.source = &push.Source{
		Mount: push.Mount{Host: "radio.example:8000", Path: "/live", Password: password, Name: "Test\r\nX-Evil: 1", Genre: "Noise"},
		Log:   slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	r.icy = pushtest.NewNetwork()
	r.source.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasSuffix(address, ":8001") {
			return r.icy.Dial(ctx, network, address)
		}
		return r.net.Dial(ctx, network, address)
	}
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
	r.icy.Close()
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
// the first mark of their tracks, silence behind the last frame fills its block, and
// what goes in chunks goes in whole blocks.
func TestOnAir(t *testing.T) {
	for _, test := range []struct {
		software string
		method   string // the only one the server knows
		set      func(*push.Source)
		want     string // method and framing
		admin    bool   // titles go beside the stream
	}{
		{software: "Icecast 2.4.4", want: "PUT identity"},
		{software: "Icecast 2.5.0", want: "PUT chunked"},
		{software: "Icecast 2.5.0", set: func(s *push.Source) { s.Framing = push.Identity }, want: "PUT identity"},
		{software: "Icecast 2.4.0-kh22", want: "PUT identity"},
		{software: "icepush Allow", want: "PUT chunked"},
		{software: "nginx/1.22.1 Allow", want: "PUT chunked"}, // before a 2.5
		{software: "Icecast 2.4.4", method: "SOURCE", want: "SOURCE identity"},
		{software: "Icecast 2.5.0", method: "SOURCE", want: "SOURCE identity"},
		{software: "Icecast 2.4.0-kh22", set: func(s *push.Source) { s.Mount.Protocol = push.SOURCE }, want: "SOURCE identity"},
		{software: "Else 1.0", want: "PUT identity", admin: true},
		{software: "Icecast 2.4.4", set: func(s *push.Source) { s.Mount.Protocol = push.ICY }, want: "ICY identity", admin: true},
		{software: "Icecast 2.5.0", set: func(s *push.Source) { s.Mount.Protocol = push.ICY }, want: "ICY identity", admin: true},
	} {
		t.Run(test.software+", "+test.want, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.server.Software, r.server.Method = test.software, test.method
				if test.set != nil {
					test.set(r.source)
				}
				r.run(t.Context())
				a, b := noise(1, 100), noise(2, 100)
				p := &ratelimit.Pacer{Lead: 500 * time.Millisecond, Group: 200 * time.Millisecond}
				if err := errors.Join(r.play(t.Context(), p, "Künstler - Ä", a), r.play(t.Context(), p, "B '; Ж", b)); err != nil {
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
				framing := "identity"
				if st.Header.Get("Transfer-Encoding") == "chunked" {
					framing = "chunked"
					last := len(st.Chunks) - 1
					for _, n := range st.Chunks[:last] {
						if n < 1400 || n > 16384 {
							t.Errorf("a chunk of %d bytes", n)
						}
					}
					if st.Chunks[last] != 0 {
						t.Error("the last chunk is not there")
					}
				}
				if got := st.Method + " " + framing; got != test.want {
					t.Errorf("%s, want %s", got, test.want)
				}

				mark := (len(data(a)) + 1023) / 1024 * 1024
				titles, got := fmt.Sprint([]pushtest.Title{{Offset: 1024, Text: "Künstler - Ä"}, {Offset: mark, Text: "B ’; Ж"}}), fmt.Sprint(st.Titles)
				metaint := "1024"
				if test.admin {
					titles, got, metaint = "[Künstler - Ä B ’; Ж]", fmt.Sprint(r.server.AdminTitles()), ""
				}
				if got != titles {
					t.Errorf("titles %s, want %s", got, titles)
				}
				headers := map[string]string{
					"Ice-Name": "Test  X-Evil: 1", "Ice-Genre": "Noise", "Ice-Public": "0", "Ice-Bitrate": "128", "Content-Type": "audio/mpeg",
					"Ice-Audio-Info": "bitrate=128;samplerate=44100;channels=2", "Host": "radio.example:8000",
				}
				expect := map[string]string{"PUT": "100-continue"}[st.Method]
				if st.Method == "ICY" {
					headers = map[string]string{
						"Icy-Name": "Test  X-Evil: 1", "Icy-Genre": "Noise", "Icy-Pub": "0", "Icy-Br": "128", "Content-Type": "audio/mpeg",
					}
				}
				headers["Expect"], headers["Icy-Metaint"], headers["Content-Length"], headers["X-Evil"] = expect, metaint, "", ""
				for name, want := range headers {
					if got := st.Header.Get(name); got != want {
						t.Errorf("%s: %q, want %q", name, got, want)
					}
				}
			})
		})
	}
}

// TestChunksTaken shows why chunks have to be asked for, and have to be large: a server
// that decodes them may still get stuck on small ones, and one that does not takes their
// sizes for audio.
func TestChunksTaken(t *testing.T) {
	show := func(t *testing.T, software string, framing push.Framing) (sent []byte, st pushtest.Stream) {
		r := newRig(t)
		r.server.Software = software
		r.source.Framing = framing
		r.run(t.Context())
		frames := noise(1, 200)
		r.source.Play(track.Info{Header: frames[0].Header})
		r.source.Send(frames) // all at once: there is a backlog
		r.source.Close()
		if err := r.end(); err != nil && framing == push.AnyFraming {
			t.Error(err)
		}
		return data(frames), r.server.Streams()[0]
	}
	synctest.Test(t, func(t *testing.T) {
		if sent, st := show(t, "Icecast 2.5.0", push.AnyFraming); !bytes.HasPrefix(st.Audio, sent) || !st.Ended {
			t.Errorf("%d of %d bytes came out of the chunks", len(st.Audio), len(sent))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		if _, st := show(t, "Icecast 2.4.4", push.Chunked); !bytes.HasPrefix(st.Audio, []byte("3c28\r\n")) { // 11 x 1400
			t.Error("the sizes are not in the audio of a server that does not decode chunks")
		}
	})
	// The decoder of pushtest has the fault it is to show.
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.server.Software, r.server.SourceTimeout = "Icecast 2.5.0", 10*time.Second
		c, err := r.net.Dial(t.Context(), "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		body := data(noise(1, 144)) // 60 kB
		go io.Copy(io.Discard, c)
		fmt.Fprintf(c, "PUT /live HTTP/1.1\r\nAuthorization: Basic %s\r\nTransfer-Encoding: chunked\r\n\r\n", base64.StdEncoding.EncodeToString([]byte("source:"+password)))
		var b []byte
		for f := range slices.Chunk(body, 417) {
			b = append(b, fmt.Sprintf("%x\r\n%s\r\n", len(f), f)...)
		}
		c.Write(append(b, "0\r\n\r\n"...))
		time.Sleep(time.Minute)
		if st := r.server.Streams()[0]; len(st.Audio) > len(body)/2 || st.Ended {
			t.Errorf("%d of %d bytes came out of small chunks", len(st.Audio), len(body))
		}
		c.Close()
		r.net.Close()
		r.icy.Close()
		r.serve.Wait()
	})
}

// follow goes through what the server got in all its streams, and fails when a frame of
// what was sent is missing, but for those that a live Source leaves out at a break, or
// too many come twice at a break.
func follow(t *testing.T, sent []frame.Frame, streams []pushtest.Stream, twice int, live bool) {
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
			case at < 0 && i > next && !live:
				t.Errorf("stream %d begins with frame %d, but %d was not heard yet", n, i, next)
				return
			case at < 0 && next-i > twice:
				t.Errorf("stream %d repeats %d frames", n, next-i)
			case at >= 0 && i != at+1 && (!live || i < at):
				t.Errorf("stream %d: frame %d follows %d", n, i, at)
				return
			}
			at = i
			next = max(next, i+1)
		}
		if at >= 0 && len(st.Titles) == 0 && len(st.Audio) > 1024 && st.Header.Get("Icy-Metaint") != "" {
			t.Errorf("stream %d has no title", n)
		}
	}
	if next != len(sent) && !live {
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
		follow(t, frames, r.server.Streams(), 20, false)
	})
}

// TestLiveEndsOffAir ends a live show while the line is down: there is nothing to wait for.
func TestLiveEndsOffAir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.source.Live, r.source.Retry = true, time.Hour
		r.net.Down(true)
		r.run(t.Context())
		r.source.Play(track.Info{Header: noise(1, 1)[0].Header})
		begin := time.Now()
		time.Sleep(time.Second)
		r.source.Close()
		if err := r.end(); err == nil || !strings.Contains(err.Error(), "the show ended while off the air: dial tcp") || time.Since(begin) > 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
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
