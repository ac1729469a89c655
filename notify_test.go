package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"icepush/frame"
	"icepush/push/pushtest"
	"icepush/ratelimit"
	"icepush/station"
	"icepush/track"
)

// systemd takes messages at a socket.
type systemd struct {
	mu       sync.Mutex
	messages []string
}

func newSystemd(t *testing.T, name string) *systemd {
	t.Helper()
	c, err := net.ListenPacket("unixgram", name)
	if err != nil {
		t.Skip(err)
	}
	s := &systemd{}
	var reading sync.WaitGroup
	reading.Go(func() {
		b := make([]byte, 4096)
		for {
			n, _, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.messages = append(s.messages, string(b[:n]))
			s.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		c.Close()
		reading.Wait()
	})
	return s
}

func (s *systemd) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// TestNotify is a service of systemd: ready when it is on the air, then what plays, and that
// it lives, and that it ends. ffmpeg, which it runs, does not know of systemd.
func TestNotify(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		socket string
		args   func(address string) []string
		says   string
	}{
		{"a push", filepath.Join(t.TempDir(), "notify"), func(a string) []string { return []string{"testdata/demo", "--to", "icecast://" + a + "/live"} }, "/live on the air"},
		{"serve, an abstract socket", fmt.Sprintf("@icepush-test-%d", os.Getpid()), func(string) []string { return []string{"serve", "testdata/demo", "--listen", "127.0.0.1:0"} }, ", /live"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, address := fakeIcecast(t)
			s := newSystemd(t, test.socket)
			cmd := icepush(t, test.args(address)...)
			cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+test.socket, "WATCHDOG_USEC=400000")
			var said bytes.Buffer
			cmd.Stderr = &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			count := func(message string) (n int) {
				for _, m := range s.got() {
					if m == message {
						n++
					}
				}
				return n
			}
			if !pushtest.Wait(func() bool { return count("WATCHDOG=1") >= 3 }) {
				t.Error("it does not live")
			}
			cmd.Process.Signal(syscall.SIGTERM)
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v\n%s", err, said.String())
			}
			pushtest.Wait(func() bool { return count("STOPPING=1") == 1 })
			got := s.got()
			status := slices.IndexFunc(got, func(m string) bool {
				return strings.HasPrefix(m, "STATUS=The Ring Buffer Trio - Pebbles on the Quay") && strings.HasSuffix(m, test.says)
			})
			if count("READY=1") != 1 || count("STOPPING=1") != 1 || status < 0 {
				t.Errorf("%q", got)
			}
		})
	}
}

// deaf is a sink that takes nothing any more from some moment on.
type deaf struct{ until, from time.Time }

func (d *deaf) Play(track.Info) {}
func (d *deaf) Send([]frame.Frame) {
	if time.Now().After(d.from) {
		time.Sleep(time.Until(d.until))
	}
}

// TestWatchdog hangs the loop of a station for a minute: systemd is not told that it lives
// then. An hour without a line is no hanging.
func TestWatchdog(t *testing.T) {
	for _, hangs := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			sink := &deaf{from: began.Add(10 * time.Second), until: began.Add(70 * time.Second)}
			st := &station.Station{Pacer: ratelimit.Pacer{Lead: 500 * time.Millisecond, Group: group}, Log: slog.New(slog.DiscardHandler), Sinks: []station.Sink{sink}}
			if !hangs {
				st.Sinks, st.Gate = nil, door{sink}
			}
			var err error
			if st.First, err = track.Open(t.Context(), "testdata/demo/01-pebbles-on-the-quay.mp3", track.Info{}); err != nil {
				t.Fatal(err)
			}
			d := &desk{}
			d.plays(st)
			r := &remote{shows: []*desk{d}}
			tracks := make(chan *track.Track)
			close(tracks)
			st.Tracks = tracks
			var wg sync.WaitGroup
			wg.Go(func() { st.Run(t.Context()) })
			dead := time.Duration(0)
			for range 900 {
				time.Sleep(100 * time.Millisecond)
				if !r.alive(beatWithin) {
					dead += 100 * time.Millisecond
				}
			}
			wg.Wait()
			if hangs && (dead < 57*time.Second || dead > 59*time.Second) || !hangs && dead > 0 {
				t.Errorf("hangs: %v, taken for dead for %v", hangs, dead)
			}
			time.Sleep(time.Hour)
			if !r.alive(beatWithin) {
				t.Error("what has ended is taken for dead")
			}
		})
	}
}

// door is a gate that is closed while a sink would be deaf.
type door struct{ *deaf }

func (d door) Ready(ctx context.Context) (bool, time.Duration, error) {
	if now := time.Now(); now.Before(d.from) || now.After(d.until) {
		return false, 0, nil
	}
	select {
	case <-time.After(time.Until(d.until)):
		return true, 0, nil
	case <-ctx.Done():
		return true, 0, ctx.Err()
	}
}

// TestNotifier does without systemd where there is none, and does not speak for what it runs.
func TestNotifier(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	t.Setenv("NOTIFY_SOCKET", "")
	if n := newNotifier(log); n != nil {
		t.Error(n)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	if n := newNotifier(log); n != nil || os.Getenv("NOTIFY_SOCKET") != "" {
		t.Error(n)
	}
	name := filepath.Join(t.TempDir(), "s")
	newSystemd(t, name)
	for pid, want := range map[string]time.Duration{"": 3 * time.Second, fmt.Sprint(os.Getpid()): 3 * time.Second, "1": 0} {
		t.Setenv("NOTIFY_SOCKET", name)
		t.Setenv("WATCHDOG_USEC", "3000000")
		t.Setenv("WATCHDOG_PID", pid)
		n := newNotifier(log)
		if n == nil || n.watchdog != want {
			t.Errorf("process %s: %+v", pid, n)
			continue
		}
		n.Close()
	}
}
