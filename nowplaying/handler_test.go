package nowplaying

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// pipes is a listener whose connections are pipes, for bubbles.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// told is a handler that answers, and a client for it.
type told struct {
	*Handler
	client *http.Client
	end    func()
}

// inBubble starts a handler inside of a bubble.
func inBubble(t *testing.T) *told {
	h := &Handler{}
	l := newPipes()
	ctx, cancel := context.WithCancel(t.Context())
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.Serve(ctx, w, r) })}
	var running sync.WaitGroup
	running.Go(func() { server.Serve(l) })
	transport := &http.Transport{DialContext: l.dial, DisableKeepAlives: true}
	return &told{h, &http.Client{Transport: transport}, func() {
		cancel()
		server.Close()
		h.Close()
		running.Wait()
	}}
}

func (s *told) connect(t *testing.T) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), "ws://icepush/nowplaying", &websocket.DialOptions{HTTPClient: s.client})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func read(t *testing.T, c *websocket.Conn) Message {
	t.Helper()
	kind, data, err := c.Read(t.Context())
	if err != nil || kind != websocket.MessageText {
		t.Fatal(kind, err)
	}
	return decode(t, data)
}

func TestSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inBubble(t)
		playing(&s.Hub, "/live", "one")
		c := s.connect(t)
		expect(t, read(t, c), "snapshot /live=one")
		playing(&s.Hub, "/live", "two")
		expect(t, read(t, c), "change /live=two")
		for range 60 * 12 { // an hour of nothing but heartbeats
			expect(t, read(t, c), "position /live=")
		}
		if s.Clients() != 1 {
			t.Error(s.Clients(), "clients")
		}
		s.MaxClients = 1
		if _, resp, err := websocket.Dial(t.Context(), "ws://icepush/nowplaying", &websocket.DialOptions{HTTPClient: s.client}); err == nil || resp.StatusCode != http.StatusServiceUnavailable {
			t.Error("one too many:", err)
		}
		go s.end()
		_, _, err := c.Read(t.Context())
		if websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Error(err)
		}
		synctest.Wait()
		if s.Clients() != 0 {
			t.Error(s.Clients(), "clients are left")
		}
	})
}

// TestDeadClient has a client go without a word: it takes nothing, or takes it and answers
// nothing. It is let go within a minute, and nobody else notices.
func TestDeadClient(t *testing.T) {
	for name, deaf := range map[string]bool{"takes nothing": false, "answers nothing": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := inBubble(t)
				playing(&s.Hub, "/live", "one")
				raw, err := s.client.Transport.(*http.Transport).DialContext(t.Context(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				defer raw.Close()
				io.WriteString(raw, "GET /nowplaying HTTP/1.1\r\nHost: icepush\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
				in := bufio.NewReader(raw)
				if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
					t.Fatal(resp, err)
				}
				if deaf {
					go io.Copy(io.Discard, in)
				}
				c := s.connect(t)
				expect(t, read(t, c), "snapshot /live=one")
				began := time.Now()
				for s.Clients() == 2 && time.Since(began) < 2*time.Minute {
					read(t, c)
				}
				if took := time.Since(began); took > time.Minute {
					t.Error("it is let go after", took)
				}
				expect(t, read(t, c), "position /live=")
				go c.CloseNow()
				s.end()
			})
		})
	}
}

// TestTalker has clients say something: they have nothing to say.
func TestTalker(t *testing.T) {
	t.Parallel()
	h := &Handler{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.Serve(t.Context(), w, r) }))
	defer server.Close()
	for name, say := range map[string]func(*websocket.Conn, net.Conn){
		"a message": func(c *websocket.Conn, _ net.Conn) { c.Write(t.Context(), websocket.MessageText, []byte("hello")) },
		"10 MB": func(c *websocket.Conn, _ net.Conn) {
			c.Write(t.Context(), websocket.MessageBinary, make([]byte, 10<<20))
		},
		"what is no frame": func(_ *websocket.Conn, raw net.Conn) { raw.Write([]byte(strings.Repeat("\xff\x00garbage", 1000))) },
		"a frame that is said to have 2^60 bytes": func(_ *websocket.Conn, raw net.Conn) {
			raw.Write([]byte{0x82, 0xFF, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5})
		},
		"a ping that is too long": func(_ *websocket.Conn, raw net.Conn) { raw.Write([]byte{0x89, 0xFE, 1, 0, 1, 2, 3, 4}) },
	} {
		t.Run(name, func(t *testing.T) {
			var raw net.Conn
			transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (c net.Conn, err error) {
				c, err = (&net.Dialer{}).DialContext(ctx, network, address)
				raw = c
				return c, err
			}}
			c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http")+"/nowplaying", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			go say(c, raw)
			ctx, cancel := context.WithTimeout(t.Context(), heartbeat-time.Second)
			defer cancel()
			for err == nil {
				_, _, err = c.Read(ctx)
			}
			if ctx.Err() != nil {
				t.Error("it is not closed")
			}
		})
	}
	h.Close()
}

func TestOrigin(t *testing.T) {
	h := &Handler{AllowOrigins: []string{"https://radio.example", "https://*.fm.example", "http://[::1]:8080"}}
	for _, test := range []struct {
		origin string
		want   bool
	}{
		{"", true},
		{"http://icepush.example:8000", true},
		{"https://icepush.example:8000", true}, // a proxy may be between
		{"https://radio.example", true},
		{"https://RADIO.example", true},
		{"https://www.fm.example", true},
		{"http://[::1]:8080", true},
		{"https://fm.example", false},
		{"http://radio.example", false},
		{"https://radio.example:444", false},
		{"https://evil.example", false},
		{"https://radio.example.evil.example", false},
		{"https://evil.example/.fm.example", false},
		{"null", false},
		{"file://", false},
	} {
		for _, path := range []string{"/nowplaying", "/nowplaying/events", "/nowplaying.json"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Host = "icepush.example:8000"
			if test.origin != "" {
				r.Header.Set("Origin", test.origin)
			}
			w := httptest.NewRecorder()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			h.Serve(ctx, w, r)
			if got := w.Code != http.StatusForbidden; got != test.want {
				t.Errorf("%s from %q: %d", path, test.origin, w.Code)
			}
			if got := w.Header().Get("Access-Control-Allow-Origin"); test.want && got != test.origin || !test.want && got != "" {
				t.Errorf("%s from %q: allows %q", path, test.origin, got)
			}
		}
	}
	for _, bad := range []string{"", "radio.example", "ftp://x", "https://x/y", "https://", "https://[", "https://user@x"} {
		if CheckOrigin(bad) == nil {
			t.Errorf("%q is taken for an origin", bad)
		}
	}
	if err := CheckOrigin("https://*.radio.example:8443"); err != nil {
		t.Error(err)
	}
}

// event reads a server-sent event.
func event(t *testing.T, in *bufio.Reader) (kind, id string, m Message) {
	t.Helper()
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch name {
		case "event":
			kind = value
		case "id":
			id = value
		case "data":
			m = decode(t, []byte(value))
		case "":
			if kind != "" {
				return kind, id, m
			}
		}
	}
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inBubble(t)
		playing(&s.Hub, "/live", "one")
		get := func(last string) *http.Response {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://icepush/nowplaying/events", nil)
			r.Header.Set("Last-Event-ID", last)
			resp, err := s.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			return resp
		}
		resp := get("")
		if h := resp.Header; h.Get("X-Accel-Buffering") != "no" || h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-cache, no-transform" {
			t.Error(h)
		}
		in := bufio.NewReader(resp.Body)
		kind, id, m := event(t, in)
		expect(t, m, "snapshot /live=one")
		if kind != Snapshot || id != m.ID {
			t.Error(kind, id)
		}
		playing(&s.Hub, "/live", "two")
		_, _, m = event(t, in)
		expect(t, m, "change /live=two")
		resp.Body.Close()
		resp = get(id) // again, having seen the first
		in = bufio.NewReader(resp.Body)
		_, _, m = event(t, in)
		expect(t, m, "change /live=two")
		for range 100 {
			_, _, m = event(t, in)
			expect(t, m, "position /live=")
		}
		resp.Body.Close()
		s.end()
	})
}

func TestJSON(t *testing.T) {
	h := &Handler{}
	playing(&h.Hub, "http://a/live", "one")
	playing(&h.Hub, "http://a/other", "two")
	get := func(path, known string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("If-None-Match", known)
		w := httptest.NewRecorder()
		h.Serve(t.Context(), w, r)
		return w
	}
	w := get("/nowplaying.json", "")
	expect(t, decode(t, w.Body.Bytes()), "snapshot http://a/live=one http://a/other=two")
	tag := w.Header().Get("ETag")
	if w := get("/nowplaying.json", `"x", `+tag); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
		t.Error(w.Code, w.Body)
	}
	playing(&h.Hub, "http://a/live", "three")
	if w := get("/nowplaying.json", tag); w.Code != http.StatusOK {
		t.Error(w.Code)
	}
	expect(t, decode(t, get("/nowplaying.json?mount=/other", "").Body.Bytes()), "snapshot http://a/other=two")
	if w := get("/nowplaying.json?"+strings.Repeat("mount=x&", 30), ""); w.Code != http.StatusBadRequest {
		t.Error(w.Code)
	}
	for _, odd := range []string{"mount=", "mount=/a%00/b", "mount=/a%0d"} {
		if w := get("/nowplaying.json?"+odd, ""); w.Code != http.StatusBadRequest {
			t.Error(odd, w.Code)
		}
	}
	if w := get("/icepush-now.js", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "customElements.define") {
		t.Error(w.Code)
	}
	if h.Serve(t.Context(), httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/live", nil)) {
		t.Error("it answers for everything")
	}
}
