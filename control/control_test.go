package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// station notes what it is asked for.
type station struct {
	mu     sync.Mutex
	asked  []string
	status Status
	err    error
}

func (s *station) ask(format string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, fmt.Sprintf(format, args...))
	return s.err
}

func (s *station) Status() Status          { return s.status }
func (s *station) Skip(mount string) error { return s.ask("skip %q", mount) }
func (s *station) Queue(mount string, files []string) (int, error) {
	return 7, s.ask("queue %q %q", mount, files)
}
func (s *station) Title(mount, text string) error      { return s.ask("title %q %q", mount, text) }
func (s *station) Reload(mount string, now bool) error { return s.ask("reload %q %v", mount, now) }
func (s *station) Stop(after bool) error               { return s.ask("stop %v", after) }
func (s *station) SetLevel(level string) error         { return s.ask("log %s", level) }

const token = "sixteen bytes or more"

// TestRequests sends requests of all kinds by hand.
func TestRequests(t *testing.T) {
	const origin, auth, host = "Origin", "Authorization", "Host"
	long := `{"text": "` + strings.Repeat("x", maxBody) + `"}`
	for _, test := range []struct {
		name     string
		tcp      bool
		request  string // method, path and body
		header   []string
		err      error
		code     int
		want     string // in the answer
		asked    string
		unhealth string
	}{
		{name: "skip", request: "POST /skip", code: 200, want: `{"done":"skip"}`, asked: `skip ""`},
		{name: "skip of a mount", request: `POST /skip {"mount": "/low"}`, code: 200, want: `{"done":"skip"}`, asked: `skip "/low"`},
		{name: "queue", request: `POST /queue {"files": ["/a.mp3", "https://b.example/"]}`, code: 200, want: `{"done":"queue","waiting":7}`, asked: `queue "" ["/a.mp3" "https://b.example/"]`},
		{name: "queue of nothing", request: "POST /queue {}", code: 400, want: "the files are missing"},
		{name: "queue of a part of a path", request: `POST /queue {"files": ["a.mp3"]}`, code: 400, want: `is no whole path`},
		{name: "title", request: `POST /title {"text": "Ünï"}`, code: 200, want: `{"done":"title"}`, asked: `title "" "Ünï"`},
		{name: "no title", request: `POST /title {"text": ""}`, code: 200, want: `{"done":"title"}`, asked: `title "" ""`},
		{name: "title without", request: "POST /title", code: 400, want: "the text is missing"},
		{name: "reload", request: `POST /reload {"now": true}`, code: 200, want: `{"done":"reload"}`, asked: `reload "" true`},
		{name: "stop", request: `POST /stop {"after_track": true}`, code: 200, want: `{"done":"stop"}`, asked: "stop true"},
		{name: "log", request: `POST /log {"level": "debug"}`, code: 200, want: `{"done":"log"}`, asked: "log debug"},
		{name: "log of nothing known", request: `POST /log {"level": "loud"}`, code: 400, want: "one of debug, info, warn, error"},
		{name: "refused", request: "POST /skip", err: &Refusal{http.StatusConflict, errors.New("no")}, code: 409, want: `{"error":"no"}`, asked: `skip ""`},
		{name: "next", request: "GET /next", code: 200, want: `{"version":1,"next":{"path":"/b.mp3"`},
		{name: "next of another mount", request: "GET /next?mount=/x", code: 404, want: "not that of a mount"},
		{name: "status", request: "GET /status", code: 200, want: `"version":1`},
		{name: "HEAD", request: "HEAD /status", code: 200},
		{name: "health", request: "GET /healthz", code: 200, want: `{"healthy":true}`},
		{name: "no health", request: "GET /healthz", unhealth: "off the air for 31 s", code: 503, want: `{"error":"off the air for 31 s"}`},
		{name: "no metrics", request: "GET /metrics", code: 404, want: "no metrics"},

		{name: "wrong method", request: "GET /skip", code: 405, want: "/skip takes POST"},
		{name: "wrong method of what is asked", request: "POST /status", code: 405, want: "/status takes GET"},
		{name: "a method of its own", request: "BREW /skip", code: 405, want: "/skip takes POST"},
		{name: "no such path", request: "GET /", code: 404, want: "there is no such path"},
		{name: "below a path", request: "POST /skip/x", code: 404, want: "there is no such path"},
		{name: "no JSON", request: "POST /title text=x", code: 400, want: "not the JSON it should be"},
		{name: "JSON of another shape", request: "POST /title []", code: 400, want: "not the JSON it should be"},
		{name: "an unknown field", request: `POST /skip {"times": 3}`, code: 400, want: `unknown field`},
		{name: "two bodies", request: `POST /skip {}{}`, code: 400, want: "something follows it"},
		{name: "too long", request: "POST /title " + long, code: 413, want: "longer than 65536 bytes"},

		{name: "a page", request: "POST /skip", header: []string{origin, "http://evil.example"}, code: 403, want: "pages of a browser"},
		{name: "a page of this machine", tcp: true, request: "POST /skip", header: []string{origin, "http://localhost", auth, "Bearer " + token}, code: 403, want: "pages of a browser"},
		{name: "a page with another name for this machine", tcp: true, request: "GET /status", header: []string{host, "evil.example:8010", auth, "Bearer " + token}, code: 403, want: "Host"},
		{name: "no token", tcp: true, request: "GET /status", code: 401, want: "a token is needed"},
		{name: "no token for metrics", tcp: true, request: "GET /metrics", code: 401, want: "a token is needed"},
		{name: "wrong token", tcp: true, request: "POST /skip", header: []string{auth, "Bearer x"}, code: 401, want: "the token is wrong"},
		{name: "half a token", tcp: true, request: "POST /skip", header: []string{auth, "Bearer " + token[:8]}, code: 401, want: "the token is wrong"},
		{name: "the token in another way", tcp: true, request: "POST /skip", header: []string{auth, "Basic " + token}, code: 401, want: "a token is needed"},
		{name: "the token", tcp: true, request: "POST /skip", header: []string{auth, "Bearer " + token}, code: 200, want: "done", asked: `skip ""`},
		{name: "an address", tcp: true, request: "POST /skip", header: []string{host, "[::1]:8010", auth, "Bearer " + token}, code: 200, want: "done", asked: `skip ""`},
		{name: "any host on a socket", request: "POST /skip", header: []string{host, "icepush"}, code: 200, want: "done", asked: `skip ""`},
	} {
		t.Run(test.name, func(t *testing.T) {
			st := &station{err: test.err, status: Status{Version: 1, Healthy: test.unhealth == "", Unhealthy: test.unhealth, Show: Show{Next: &Track{Path: "/b.mp3"}}}}
			var said strings.Builder
			server := &Server{Station: st, Log: slog.New(slog.NewTextHandler(&said, nil))}
			if test.tcp {
				server.Token = token
			}
			parts := append(strings.SplitN(test.request, " ", 3), "")
			r := httptest.NewRequest(parts[0], parts[1], strings.NewReader(parts[2]))
			r.Host = "localhost:8010"
			for i := 0; i < len(test.header); i += 2 {
				if r.Header.Set(test.header[i], test.header[i+1]); test.header[i] == host {
					r.Host = test.header[i+1]
				}
			}
			w := httptest.NewRecorder()
			server.Handler(!test.tcp).ServeHTTP(w, r)
			body := w.Body.String()
			if w.Code != test.code || !strings.Contains(body, test.want) || strings.Join(st.asked, ", ") != test.asked {
				t.Errorf("%d %s, asked for %q", w.Code, body, st.asked)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "" || (w.Code == 405) != (w.Header().Get("Allow") != "") || (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
				t.Error(w.Header())
			}
			if w.Code != 200 {
				var e struct{ Error string }
				if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error == "" {
					t.Errorf("%v: %s", err, body)
				}
			}
			if strings.Contains(body+said.String(), token[:8]) {
				t.Error("the token is told")
			}
		})
	}
}

// TestShows asks for one show of several.
func TestShows(t *testing.T) {
	st := Status{Shows: []Show{{Mount: "/a", Queued: 1}, {Mount: "/b", Queued: 2}}}
	if s, err := st.Find("/b"); err != nil || s.Queued != 2 {
		t.Error(s, err)
	}
	if _, err := st.Find(""); err == nil || !strings.Contains(err.Error(), "name one by its mount, of /a, /b") {
		t.Error(err)
	}
}

// serving runs a server at a place and returns a client for it.
func serving(t *testing.T, where, token string, st Station) *Client {
	t.Helper()
	l, err := Listen(where)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	s := &Server{Station: st, Token: token, Log: slog.New(slog.DiscardHandler)}
	go func() { done <- s.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &Client{Where: l.Addr().String(), Token: token}
}

// TestClient asks for everything, by a socket and by an address.
func TestClient(t *testing.T) {
	for _, where := range []string{filepath.Join(t.TempDir(), "s.sock"), "127.0.0.1:0"} {
		st := &station{status: Status{Version: 1, PID: 42, Show: Show{Track: Track{Title: "<&>"}, Queue: make([]string, 250), Queued: 250}}}
		given := ""
		if !IsPath(where) {
			given = token
		}
		c := serving(t, where, given, st)
		ctx := t.Context()
		got, err := c.Status(ctx)
		if err != nil || got.PID != 42 || got.Show.Title != "<&>" || len(got.Show.Queue) != maxQueued || got.Show.Queued != 250 {
			t.Errorf("%+v, %v", got, err)
		}
		if next, err := c.Next(ctx, ""); err != nil || next.Queued != 250 || next.Next != nil {
			t.Errorf("%+v, %v", next, err)
		}
		n, err := c.Queue(ctx, "/m", []string{"/x"})
		for _, err := range []error{err, c.Skip(ctx, ""), c.Title(ctx, "/m", "T"), c.Reload(ctx, "", true), c.Stop(ctx, false), c.SetLevel(ctx, "warn")} {
			if err != nil || n != 7 {
				t.Error(n, err)
			}
		}
		if got := strings.Join(st.asked, ", "); got != `queue "/m" ["/x"], skip "", title "/m" "T", reload "" true, stop false, log warn` {
			t.Error(got)
		}
		var r *Refusal
		if err := c.SetLevel(ctx, "loud"); !errors.As(err, &r) || r.Code != 400 {
			t.Error(err)
		}
		if given != "" {
			c.Token = "another one of these"
			if err := c.Skip(ctx, ""); !errors.As(err, &r) || r.Code != 401 || strings.Contains(err.Error(), "another") {
				t.Error(err)
			}
		}
	}
	c := &Client{Where: filepath.Join(t.TempDir(), "none.sock")}
	if err := c.Skip(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "none.sock: ") {
		t.Error(err)
	}
}

// TestListen replaces the socket of a program that is no more, and never one that answers.
func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.sock")
	first, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 && checksModes {
		t.Error(info.Mode(), err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another program listens there") {
		t.Error(err)
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false) // as after kill -9
	first.Close()
	second, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the socket is left")
	}
	file := filepath.Join(dir, "file.sock")
	os.WriteFile(file, []byte("precious"), 0o600)
	for where, want := range map[string]string{
		file:                               "is there already, and is no socket",
		filepath.Join(dir, "no", "s.sock"): "no such file or directory",
		"/" + strings.Repeat("x", 200):     "at most 103 bytes",
		"0.0.0.0:0":                        "who controls icepush is on this machine",
		":8010":                            "who controls icepush is on this machine",
		"radio.example:8010":               "who controls icepush is on this machine",
		"192.168.1.2:8010":                 "who controls icepush is on this machine",
		"127.0.0.1.evil.example:80":        "who controls icepush is on this machine",
		"on":                               "neither a path nor an address and port",
	} {
		if l, err := Listen(where); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", where, l, err)
		}
	}
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Error("a file was replaced")
	}
}

// TestFolders finds a place by itself, keeps out of folders others can write to, and clears
// away what is left of processes that are no more.
func TestFolders(t *testing.T) {
	if !checksModes {
		t.Skip("there are no modes here")
	}
	runtime := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	t.Setenv("TMPDIR", t.TempDir())
	dir := filepath.Join(runtime, "icepush")
	l, err := Listen("")
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 || l.Addr().String() != filepath.Join(dir, fmt.Sprint(os.Getpid())+".sock") {
		t.Error(info.Mode(), l.Addr())
	}
	another, err := Listen("") // of a process with the same number, in a container
	if err != nil || !strings.HasSuffix(another.Addr().String(), "-2.sock") {
		t.Fatal(another, err)
	}
	another.Close()
	for _, name := range []string{"99999999.sock", "not-ours.sock"} {
		dead, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		dead.(*net.UnixListener).SetUnlinkOnClose(false)
		dead.Close()
	}
	l.Close()
	if l, err = Listen(""); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 1 || filepath.Base(names[0]) != "not-ours.sock" {
		t.Error(names)
	}
	os.Chmod(dir, 0o777)
	if l, err = Listen(""); err == nil {
		if filepath.Dir(l.Addr().String()) == dir {
			t.Error("a socket in a folder that others can write to")
		}
		l.Close()
	}
	os.Remove(filepath.Join(dir, "not-ours.sock"))
	os.Remove(dir)
	os.Symlink(t.TempDir(), dir)
	if err := own(dir); err == nil {
		t.Error("a link was taken for a folder")
	}
}

// TestFind finds those that answer.
func TestFind(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	here := func() (n int) {
		for _, f := range Find(t.Context()) {
			if strings.HasPrefix(f.Where, os.Getenv("XDG_RUNTIME_DIR")) {
				n++
			}
		}
		return n
	}
	if n := here(); n != 0 {
		t.Error(n)
	}
	serving(t, "", "", &station{status: Status{PID: 1}})
	serving(t, "", "", &station{status: Status{PID: 2}})
	if n := here(); n != 2 {
		t.Error(n)
	}
}

// TestSlowClients have their time, and no more: others are answered meanwhile.
func TestSlowClients(t *testing.T) {
	c := serving(t, filepath.Join(t.TempDir(), "s.sock"), "", &station{})
	var slow []net.Conn
	for range maxConns - 4 {
		conn, err := net.Dial("unix", c.Where)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "POST /skip HTTP/1.1\r\nHost: x\r\n")
		slow = append(slow, conn)
	}
	if err := c.Skip(t.Context(), ""); err != nil {
		t.Error(err)
	}
	began := time.Now()
	slow[0].SetReadDeadline(began.Add(2 * headerTimeout))
	if _, err := io.Copy(io.Discard, slow[0]); err != nil {
		t.Errorf("it is open after %v: %v", time.Since(began), err)
	}
}
