package push_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
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

// fault is something that goes wrong for a while. It returns how to make it good.
type fault struct {
	name string
	make func(r *rig) (mend func())

	// after is how long after mending the stream has to be back at the latest; 0 when that
	// depends on more.
	after time.Duration
}

// answering makes the server answer sources with a text, and hang up.
func answering(text string) func(r *rig) func() {
	return func(r *rig) func() {
		r.server.Set(func(s *pushtest.Server) {
			s.Answer = func(c net.Conn) bool { io.WriteString(c, text); return false }
		})
		r.server.Break(false)
		return func() { r.server.Set(func(s *pushtest.Server) { s.Answer = nil }) }
	}
}

// refusing makes the server refuse sources.
func refusing(code int, text string) func(r *rig) func() {
	return func(r *rig) func() {
		r.server.Set(func(s *pushtest.Server) { s.Refuse, s.RefuseText = code, text })
		r.server.Break(false)
		return func() { r.server.Set(func(s *pushtest.Server) { s.Refuse = 0 }) }
	}
}

// faults are all that pass by themselves, or by somebody's hand at the server.
var faults = []fault{
	{"the server breaks the line", func(r *rig) func() { r.server.Break(false); return func() {} }, 999 * time.Millisecond},
	{"the server is down", func(r *rig) func() {
		r.net.Down(true)
		r.server.Break(false)
		return func() { r.net.Down(false) }
	}, 999 * time.Millisecond},
	// The server holds the mount until it takes the source for dead.
	{"packets are lost", func(r *rig) func() { r.net.Lose(true); return func() { r.net.Lose(false) } }, 25 * time.Second},
	{"the server stops reading", func(r *rig) func() { r.server.Freeze(true); return func() { r.server.Freeze(false) } }, 25 * time.Second},
	{"the server reads slowly", func(r *rig) func() {
		r.server.Set(func(s *pushtest.Server) { s.Slow = 200 * time.Millisecond }) // 5 kB/s
		return func() { r.server.Set(func(s *pushtest.Server) { s.Slow = 0 }) }
	}, 0},
	{"another client has the mount", func(r *rig) func() {
		r.server.Break(false)
		c, err := r.net.Dial(context.Background(), "tcp", "")
		if err != nil {
			return func() {}
		}
		go io.Copy(io.Discard, c)
		fmt.Fprintf(c, "SOURCE /live HTTP/1.0\r\nAuthorization: Basic %s\r\n\r\n", base64.StdEncoding.EncodeToString([]byte("source:"+password)))
		return func() { c.Close() }
	}, 14 * time.Second},
	{"mount in use", refusing(403, "Mountpoint in use"), 14 * time.Second},
	{"mount in use, 2.5", refusing(409, "Mountpoint in use"), 14 * time.Second},
	{"no room", refusing(403, "too many sources connected"), 20 * time.Second},
	{"bad gateway", refusing(502, "Bad Gateway"), 45 * time.Second},
	{"the password is being changed", refusing(401, "You need to authenticate"), 40 * time.Second},
	{"closed without a word", answering(""), 45 * time.Second},
	{"garbage", answering("\x00\x16\x03garbage\r\n\r\n"), 45 * time.Second},
	{"100 and then the end", answering("HTTP/1.1 100 Continue\r\n\r\n"), 45 * time.Second},
	{"200 and then the end", answering("HTTP/1.0 200 OK\r\n\r\n"), 45 * time.Second},
	{"silence", func(r *rig) func() {
		r.server.Set(func(s *pushtest.Server) {
			s.Answer = func(c net.Conn) bool { io.Copy(io.Discard, c); return false }
		})
		r.server.Break(false)
		return func() { r.server.Set(func(s *pushtest.Server) { s.Answer = nil }) }
	}, 55 * time.Second},
}

// TestFaults goes through random sequences of faults. Without Live nothing is missing,
// and at a break at most half a second comes twice; with it frames are left out, but
// never out of order. The memory for what may have to go again is bounded, and the
// stream is back soon after all is good again.
func TestFaults(t *testing.T) {
	sequences := uint64(1000)
	if testing.Short() {
		sequences = 100
	}
	for seed := range sequences {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 7))
				rig := newRig
				if seed%8 == 0 {
					rig = newTLSRig
				}
				testFaults(t, rig(t), rnd, seed)
			})
		})
	}
}

// testFaults plays a show on a rig while things go wrong.
func testFaults(t *testing.T, r *rig, rnd *rand.Rand, seed uint64) {
	r.server.Software = []string{"Icecast 2.4.4", "Icecast 2.5.0", "Icecast 2.4.0-kh22", "nginx Allow"}[rnd.IntN(4)]
	r.server.SourceTimeout = 10 * time.Second
	r.source.Live = rnd.IntN(4) == 0
	r.source.KillStale = rnd.IntN(4) == 0
	r.run(t.Context())
	var sent []frame.Frame
	over := make(chan struct{})
	var wg sync.WaitGroup
	group := time.Duration(rnd.IntN(2)) * 400 * time.Millisecond
	wg.Go(func() {
		p := &ratelimit.Pacer{Lead: 500 * time.Millisecond, Group: group}
		for i := uint64(0); ; i++ {
			select {
			case <-over:
				r.source.Close()
				return
			default:
			}
			frames := noise(seed*1000+i, 200)
			sent = append(sent, frames...)
			if err := r.play(t.Context(), p, fmt.Sprint("Title ", i), frames); err != nil {
				t.Error(err)
				return
			}
			if n := r.source.QueueLen(); n > 1000 { // 26 s
				t.Errorf("%d frames are kept", n)
			}
		}
	})
	time.Sleep(2500 * time.Millisecond) // what breaks sooner may be a refusal
	var done []string
	for range 1 + rnd.IntN(4) {
		f := faults[rnd.IntN(len(faults))]
		d := time.Duration(rnd.IntN(30_000)) * time.Millisecond
		if rnd.IntN(3) == 0 {
			d /= 20
		}
		done = append(done, fmt.Sprintf("%s for %v", f.name, d))
		mend := f.make(r)
		time.Sleep(d)
		mend()
		mended := time.Now()
		for f.after > 0 && len(done) == 1 && r.source.Status().State != push.OnAir {
			time.Sleep(10 * time.Millisecond)
			if d := time.Since(mended); d > f.after {
				t.Errorf("not back %v after %s:\n%s", d, done, r.log.String())
				break
			}
		}
		time.Sleep(time.Duration(rnd.IntN(5000)) * time.Millisecond)
	}
	for r.source.Status().State == push.Connecting || r.source.Status().State == push.Waiting {
		time.Sleep(time.Second)
	}
	close(over)
	wg.Wait()
	if err := r.end(); err != nil && !(r.source.Live && strings.Contains(err.Error(), "the show ended while off the air")) {
		t.Error(err)
	}
	var ours []pushtest.Stream
	for _, st := range r.server.Streams() {
		if st.Header.Get("User-Agent") != "" {
			ours = append(ours, st)
		}
	}
	twice := 20 // half a second
	if strings.HasPrefix(r.server.Software, "nginx") {
		twice = 50 // what has arrived is not known: a second more
	}
	follow(t, sent, ours, twice, r.source.Live)
	accounted(t, r, sent, ours)
	if t.Failed() {
		t.Logf("%s, live %v, group %v: %q\n%s", r.server.Software, r.source.Live, group, done, r.log.String())
	}
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
		{"bad request", func(s *pushtest.Server) { s.Refuse, s.RefuseText = 400, "No Content-type given" }, false, "400 No Content-type given (Icecast 2.4.4)", time.Second},
		{"unsupported", func(s *pushtest.Server) { s.Refuse, s.RefuseText = 415, "Content-type not supported" }, false, "415 Content-type not supported", time.Second},
		{"TLS only", func(s *pushtest.Server) { s.Refuse, s.RefuseText = 426, "Upgrade Required" }, false, "426 Upgrade Required", time.Second},
		{"slow down", func(s *pushtest.Server) { s.Refuse, s.RefuseText = 429, "Too Many Requests" }, true, "429 Too Many Requests", time.Second},
		{"no room, 2.5", func(s *pushtest.Server) { s.Refuse, s.RefuseText = 503, "too many sources connected" }, true, "503 too many sources connected", 20 * time.Second},
		{"a login page", func(s *pushtest.Server) {
			s.Answer = answer("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 40\r\n\r\n<html><body>Please log in.</body></html>")
		}, true, "the server ended the stream", time.Second},
		{"a login page elsewhere", func(s *pushtest.Server) {
			s.Answer = answer("HTTP/1.1 302 Found\r\nLocation: /login?to=%2Flive\r\nContent-Length: 0\r\n\r\n")
		}, false, "302 Found: it is said to be at /login?to=%2Flive", time.Second},
		{"a proxy says yes", func(s *pushtest.Server) { s.Answer = answer("HTTP/1.1 200 OK\r\nServer: nginx/1.22\r\n\r\n") }, false, "reverse proxy", time.Second},
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
				if n := strings.Count(r.log.String(), "off the air"); n < 1 || n > 2 { // after a moment on the air it is said again
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

// puts returns how a server was asked for the mount, in order.
func puts(s *pushtest.Server) (methods []string) {
	for _, r := range s.Requests() {
		if method, path, _ := strings.Cut(r, " "); path == "/live" && method != "OPTIONS" {
			methods = append(methods, method)
		}
	}
	return methods
}

// TestUnknownPUT asks with SOURCE at once where PUT is not known, and every second time
// where there is no answer to it.
func TestUnknownPUT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.server.Method = "NEITHER"
		r.run(t.Context())
		r.source.Play(track.Info{Header: noise(1, 1)[0].Header})
		if err := r.end(); err == nil || !strings.Contains(err.Error(), "405") || !strings.Contains(push.Hint(err), "neither PUT nor SOURCE") {
			t.Error(err, push.Hint(err))
		}
		if got := puts(r.server); fmt.Sprint(got) != "[PUT SOURCE]" {
			t.Error(got)
		}
	})
}

// TestSilentPUT asks a server that is silent with SOURCE every third time.
func TestSilentPUT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.server.Answer = func(c net.Conn) bool { io.Copy(io.Discard, c); return false }
		ctx, cancel := context.WithCancel(t.Context())
		r.run(ctx)
		r.source.Play(track.Info{Header: noise(1, 1)[0].Header})
		time.Sleep(time.Minute)
		cancel()
		if err := r.end(); err != nil {
			t.Error(err)
		}
		if got := puts(r.server); !slices.Equal(got[:5], []string{"PUT", "PUT", "SOURCE", "PUT", "PUT"}) {
			t.Error(got)
		}
	})
}

// TestHalfAnswers takes 100 alone and 200 alone for a yes, the first not from a server
// that says nothing else: it may be a proxy's.
func TestHalfAnswers(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		unknown      bool
		after        time.Duration // on the air, 0 for never
	}{
		{"100", "HTTP/1.1 100 Continue\r\n\r\n", false, 2 * time.Second},
		{"200", "HTTP/1.0 200 OK\r\n\r\n", false, 0},
		{"100 of nobody", "HTTP/1.1 100 Continue\r\n\r\n", true, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.server.Answer = func(c net.Conn) bool { io.WriteString(c, test.answer); return true }
				if test.unknown {
					r.server.Mute = true
				}
				ctx, cancel := context.WithCancel(t.Context())
				r.run(ctx)
				frames := noise(1, 10)
				r.source.Play(track.Info{Header: frames[0].Header})
				r.source.Send(frames)
				begin := time.Now()
				time.Sleep(time.Millisecond)
				for r.source.Status().State != push.OnAir && time.Since(begin) < 30*time.Second {
					time.Sleep(10 * time.Millisecond)
				}
				if d := time.Since(begin).Truncate(time.Second); d != test.after && test.after >= 0 {
					t.Errorf("on the air after %v, want %v", d, test.after)
				}
				if test.after < 0 && !strings.Contains(r.log.String(), "the answer was 100 Continue and no more") {
					t.Errorf("it is on the air, or not:\n%s", r.log.String())
				}
				cancel()
				r.end()
			})
		})
	}
}

// TestLate401 refuses the password when audio has come already.
func TestLate401(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.server.Answer = func(c net.Conn) bool {
			io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
			io.CopyN(io.Discard, c, 2000)
			io.WriteString(c, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
			io.Copy(io.Discard, c)
			return false
		}
		r.run(t.Context())
		frames := noise(1, 10)
		r.source.Play(track.Info{Header: frames[0].Header})
		r.source.Send(frames)
		err := r.end()
		if !push.Denied(err) {
			t.Error(err)
		}
		if got := puts(r.server); len(got) != 1 {
			t.Errorf("asked %d times", len(got))
		}
		if st := r.source.Status(); st.State != push.GivenUp || st.State.String() != "given up" {
			t.Error(st.State)
		}
	})
}

// TestNoSuchHost waits for a name to be known.
func TestNoSuchHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		dial, known := r.source.Dial, time.Now().Add(10*time.Second)
		r.source.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if time.Now().Before(known) {
				return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: "radio.example", IsNotFound: true}}
			}
			return dial(ctx, network, address)
		}
		r.run(t.Context())
		frames := noise(1, 10)
		r.source.Play(track.Info{Header: frames[0].Header})
		r.source.Send(frames)
		r.source.Close()
		if err := r.end(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(r.log.String(), "is the name of the server right") || time.Since(known) > time.Second+3*time.Second {
			t.Errorf("%v later\n%s", time.Since(known), r.log.String())
		}
	})
}

// TestKillStale loses all packets for a while. The server still holds the mount for the
// old connection then, and drops it when asked.
func TestKillStale(t *testing.T) {
	for _, kill := range []bool{true, false} {
		t.Run(fmt.Sprint(kill), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.server.SourceTimeout = 40 * time.Second
				r.source.KillStale = kill
				r.run(t.Context())
				frames := noise(1, 1000)
				var wg sync.WaitGroup
				wg.Go(func() {
					r.play(t.Context(), &ratelimit.Pacer{Lead: 500 * time.Millisecond}, "Title", frames)
					r.source.Close()
				})
				time.Sleep(5 * time.Second)
				r.net.Lose(true)
				for r.source.Status().State == push.OnAir { // it is noticed
					time.Sleep(10 * time.Millisecond)
				}
				r.net.Lose(false)
				begin := time.Now()
				wg.Wait()
				if err := r.end(); err != nil {
					t.Error(err)
				}
				if got := strings.Contains(r.log.String(), "has dropped our old connection"); got != kill {
					t.Errorf("dropped: %v", got)
				}
				took := time.Since(begin) - time.Duration(900*26122)*time.Microsecond
				if kill && took > 4*time.Second || !kill && took < 20*time.Second {
					t.Errorf("%v longer than the show", took)
				}
				follow(t, frames, r.server.Streams(), 20, false)
			})
		})
	}
}

// TestTargets sends one show to three mounts. One is away for a minute without a word:
// the others get each frame when it is due.
func TestTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rigs := []*rig{newRig(t), newRig(t), newRig(t)}
		for _, r := range rigs {
			r.source.Live = true
			r.server.SourceTimeout = 10 * time.Second
			r.run(t.Context())
		}
		frames := noise(1, 5000) // 130 s
		lost := time.AfterFunc(20*time.Second, func() { rigs[1].net.Lose(true) })
		found := time.AfterFunc(80*time.Second, func() { rigs[1].net.Lose(false) })
		defer lost.Stop()
		defer found.Stop()
		p := &ratelimit.Pacer{Lead: 500 * time.Millisecond}
		for _, r := range rigs {
			r.source.Play(track.Info{StreamTitle: "x", Header: frames[0].Header})
		}
		begin := time.Now()
		for i, f := range frames {
			p.Wait(t.Context(), f.Samples, f.SampleRate)
			for _, r := range rigs {
				r.source.Send([]frame.Frame{f})
			}
			synctest.Wait() // all is where it can get to without time passing
			late := time.Since(begin) - max(0, time.Duration(i)*1152*time.Second/44100-p.Lead)
			if late > time.Microsecond {
				t.Fatalf("frame %d is %v late", i, late)
			}
			for _, r := range []*rig{rigs[0], rigs[2]} {
				if st := r.source.Status(); st.Queued > 0 || st.State != push.OnAir {
					t.Fatalf("frame %d: %v, %v queued", i, st.State, st.Queued)
				}
			}
		}
		for i, r := range rigs {
			r.source.Close()
			if err := r.end(); err != nil {
				t.Error(err)
			}
			follow(t, frames, r.server.Streams(), 20, i == 1)
		}
		if st := rigs[1].server.Streams(); len(st) != 2 || !strings.Contains(rigs[1].log.String(), "back on the air") {
			t.Errorf("%d streams\n%s", len(st), rigs[1].log.String())
		}
	})
}
