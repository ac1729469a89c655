package nowplaying

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// natsServer starts a real one at an address of its own.
func natsServer(t *testing.T, address string) (stop func()) {
	t.Helper()
	program, err := exec.LookPath("nats-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("nats-server is not installed")
		}
		t.Skip("nats-server is not installed (Debian: apt-get install nats-server)")
	}
	host, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(program, "-a", host, "-p", port, "--user", "radio", "--pass", "s3cret")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
}

// TestRelay has two web servers share what one program knows, while the NATS server is
// late, and goes away for a while.
func TestRelay(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	var said strings.Builder
	var mu sync.Mutex
	log := slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return said.Write(b)
	}), nil))
	relay := func() *Relay {
		return &Relay{URL: "nats://radio:s3cret@" + address, Subject: "icepush.test", Log: log}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	var from, one, two Hub
	playing(&from, "/live", "first")
	playing(&from, "/live", "second")
	var running sync.WaitGroup
	for _, h := range []*Hub{&one, &two} {
		running.Go(func() {
			if err := relay().Receive(ctx, h); err != nil {
				t.Error(err)
			}
		})
	}
	running.Go(func() {
		if err := relay().Publish(ctx, &from); err != nil {
			t.Error(err)
		}
	})
	stop := natsServer(t, address)
	defer func() { stop() }()
	// await waits until both know the title.
	await := func(title string) {
		t.Helper()
		for _, h := range []*Hub{&one, &two} {
			s := h.Subscribe("")
			for {
				e, err := s.Next(ctx)
				if err != nil {
					t.Fatalf("%s is not heard of: %v\n%s", title, err, said.String())
				}
				m := decode(t, e.Data)
				if len(m.Mounts) == 1 && m.Mounts[0].Track != nil && m.Mounts[0].Track.Text == title {
					break
				}
			}
		}
	}
	await("second")
	if history := one.Mounts()[0].History; len(history) != 1 || history[0].Text != "first" {
		t.Errorf("%+v", history)
	}
	playing(&from, "/live", "third")
	await("third")
	stop()
	playing(&from, "/live", "fourth")
	playing(&from, "/live", "fifth")
	stop = natsServer(t, address)
	await("fifth")
	if history := two.Mounts()[0].History; len(history) != 4 || history[0].Text != "fourth" {
		t.Errorf("%+v", history)
	}
	cancel()
	running.Wait()
	if text := said.String(); strings.Contains(text, "s3cret") || !strings.Contains(text, "connected again") {
		t.Error(text)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// TestApply is what is no message, and what is one from somewhere strange.
func TestApply(t *testing.T) {
	var h Hub
	told := map[string]time.Time{}
	for _, bad := range []string{"", "x", "[]", "7", `{"version":2,"type":"change","mounts":[{"mount":"/a","state":"playing"}]}`} {
		if err := h.apply([]byte(bad), told); err == nil {
			t.Errorf("%s is taken for a message", bad)
		}
	}
	for _, odd := range []string{
		`{"version":1,"type":"change","mounts":[{"mount":"","state":"playing"},{"mount":"/a","state":"dancing"},null]}`,
		`{"version":1,"type":"position","mounts":[{"mount":"/a","state":"playing","position":3}]}`, // it has not been told of
		`{"version":1,"type":"something new","mounts":[],"more":{}}`,
	} {
		if err := h.apply([]byte(odd), told); err != nil || len(h.Mounts()) > 0 {
			t.Errorf("%s: %v %v", odd, err, h.Mounts())
		}
	}
	err := h.apply([]byte(`{"version":1,"type":"change","mounts":[{"mount":"/a","state":"playing","track":{"text":"<b>\u0000x","artwork":"javascript:alert(1)","duration":-5,"started_at":"9999-12-31T23:59:59-23:59"},"listen_url":"javascript:alert(1)","position":1e300,"more":1}]}`), told)
	if m := h.Mounts(); err != nil || len(m) != 1 || m[0].Track.Text != "<b>x" || m[0].Track.Artwork != "" || m[0].Track.Duration != 0 || m[0].ListenURL != "" {
		t.Errorf("%v %+v", err, m)
	}
	if e := h.Snapshot(); !json.Valid(e.Data) {
		t.Errorf("%s", e.Data)
	}
}

func TestRelayCheck(t *testing.T) {
	for url, ok := range map[string]bool{
		"nats://h:4222": true, "tls://u:p@h": true, "nats://a,nats://b": true,
		"": false, "h:4222": false, "http://h": false, "nats://": false, "nats://u:s3cret@h:x": false,
	} {
		if err := (&Relay{URL: url, Subject: "a.b"}).Check(); (err == nil) != ok || err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", url, err)
		}
	}
	for _, subject := range []string{"", "a b", "a.*", ">", ".a", "a.", "a..b"} {
		if (&Relay{URL: "nats://h", Subject: subject}).Check() == nil {
			t.Errorf("%q is taken for a subject", subject)
		}
	}
}
