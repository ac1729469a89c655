package nowplaying

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	// writeTimeout is how long a client may take nothing that is sent to it.
	writeTimeout = 10 * time.Second

	// pingEvery is how often a client is asked whether it is there, and pongTimeout how long
	// it may take to say so: who has gone without a word is let go within a minute.
	pingEvery   = 20 * time.Second
	pongTimeout = 20 * time.Second

	// maxFilter is how many mounts a client may name.
	maxFilter = 20
)

// script is the custom element icepush-now, and what it needs.
//
//go:embed icepush-now.js
var script string

// Handler answers pages that want to know what plays. Its zero value tells of no mount.
type Handler struct {
	Hub Hub

	// AllowOrigins are the origins, besides the one they are sent from, whose pages may
	// know: "https://radio.example", "https://*.radio.example", or "*" for all. Programs that
	// are no browsers name none, and may know.
	AllowOrigins []string

	// MaxClients bounds how many pages are connected. Zero is 10,000.
	MaxClients int

	// Log takes what happens. Nil is slog.Default.
	Log *slog.Logger

	mu      sync.Mutex
	clients int
	telling sync.WaitGroup
}

// Most returns how many pages may be connected.
func (h *Handler) Most() int {
	if h.MaxClients > 0 {
		return h.MaxClients
	}
	return 10_000
}

// Clients returns how many pages are connected.
func (h *Handler) Clients() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clients
}

// Wait returns when those who were told have been let go.
func (h *Handler) Wait() { h.telling.Wait() }

// Serve answers a request that is for it, and reports whether it was. Who is told is let
// go when ctx ends.
func (h *Handler) Serve(ctx context.Context, w http.ResponseWriter, r *http.Request) bool {
	var answer func(context.Context, http.ResponseWriter, *http.Request)
	switch r.URL.Path {
	case "/nowplaying":
		answer = h.socket
	case "/nowplaying/events":
		answer = h.events
	case "/nowplaying.json":
		answer = h.json
	case "/icepush-now.js":
		h.script(w, r)
		return true
	default:
		return false
	}
	if !h.allowed(w.Header(), r) {
		http.Error(w, "403 pages of this origin are not wanted here (--allow-origin)", http.StatusForbidden)
		return true
	}
	if len(r.URL.Query()["mount"]) > maxFilter {
		http.Error(w, "400 too many mounts are named", http.StatusBadRequest)
		return true
	}
	answer(ctx, w, r)
	return true
}

// only returns the mounts a client wants to know of.
func only(r *http.Request) []string { return r.URL.Query()["mount"] }

// allowed looks whether a page of the origin the request names may know, and says so to
// its browser (Fetch standard, 3.2).
func (h *Handler) allowed(header http.Header, r *http.Request) bool {
	header.Del("Access-Control-Allow-Origin")
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	allowed := err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
	for _, pattern := range h.AllowOrigins {
		match, _ := path.Match(strings.ToLower(pattern), strings.ToLower(origin))
		allowed = allowed || match || pattern == "*"
	}
	if allowed {
		header.Set("Access-Control-Allow-Origin", origin)
	}
	return allowed
}

// CheckOrigin says what is wrong with one of AllowOrigins.
func CheckOrigin(pattern string) error {
	if pattern == "*" {
		return nil
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return fmt.Errorf("%q: %w", pattern, err)
	}
	scheme, host, ok := strings.Cut(pattern, "://")
	if !ok || scheme != "http" && scheme != "https" || host == "" || strings.ContainsAny(host, "/?#@ ") {
		return fmt.Errorf("%q is no origin: it looks like https://radio.example, and nothing behind that", pattern)
	}
	return nil
}

// enter counts a client in, unless there are too many.
func (h *Handler) enter(w http.ResponseWriter) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.clients >= h.Most() {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "503 too many pages are connected", http.StatusServiceUnavailable)
		return false
	}
	h.clients++
	return true
}

func (h *Handler) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients--
}

// socket tells a client over WebSocket. A client has nothing to say: one that does is let
// go.
func (h *Handler) socket(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	if !h.enter(w) {
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // of the origin, which has been looked at
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		h.leave()
		return // it has been answered
	}
	s := h.Hub.Subscribe(r.URL.Query().Get("last"), only(r)...)
	from := r.RemoteAddr
	// Who serves the request may go: a client that is here for hours needs only this.
	h.telling.Go(func() {
		defer h.leave()
		h.log().Debug("a page is connected", "from", from)
		err := tell(ctx, c, s)
		h.log().Debug("a page has gone", "from", from, "why", err)
	})
}

// tell sends what there is to tell until the client has gone, or ctx ends.
func tell(ctx context.Context, c *websocket.Conn, s *Subscription) error {
	defer c.CloseNow()
	here := c.CloseRead(ctx)
	asked := time.Now()
	for {
		e, err := s.Next(here)
		if err != nil {
			if ctx.Err() != nil {
				defer time.AfterFunc(time.Second, func() { c.CloseNow() }).Stop()
				c.Close(websocket.StatusGoingAway, "the station ends")
			}
			return err
		}
		writing, stop := context.WithTimeout(here, writeTimeout)
		err = c.Write(writing, websocket.MessageText, e.Data)
		stop()
		if err != nil {
			return err
		}
		if time.Since(asked) >= pingEvery {
			asked = time.Now()
			go ping(here, c) // ends by itself, and ends the connection
		}
	}
}

// ping lets a client go that does not say that it is there.
func ping(ctx context.Context, c *websocket.Conn) {
	ctx, stop := context.WithTimeout(ctx, pongTimeout)
	defer stop()
	if c.Ping(ctx) != nil {
		c.CloseNow()
	}
}

// events tells a client by server-sent events.
func (h *Handler) events(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache, no-transform")
	header.Set("X-Accel-Buffering", "no") // nginx would keep them for itself
	if r.Method == http.MethodHead || !h.enter(w) {
		return
	}
	h.telling.Add(1)
	defer h.telling.Done()
	defer h.leave()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.Context(), cancel)()
	out := http.NewResponseController(w)
	out.SetReadDeadline(time.Time{})
	s := h.Hub.Subscribe(r.Header.Get("Last-Event-ID"), only(r)...)
	out.SetWriteDeadline(time.Now().Add(writeTimeout))
	fmt.Fprint(w, "retry: 2000\n\n")
	for {
		if out.Flush() != nil {
			return
		}
		e, err := s.Next(ctx)
		if err != nil {
			return
		}
		out.SetWriteDeadline(time.Now().Add(writeTimeout))
		fmt.Fprintf(w, "event: %s\nid: %s\ndata: %s\n\n", e.Type, e.ID, e.Data)
	}
}

// json answers with all there is to know. Its ETag is another one after each change; where
// it is the same, positions have gone on.
func (h *Handler) json(_ context.Context, w http.ResponseWriter, r *http.Request) {
	e := h.Hub.Snapshot(only(r)...)
	header := w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Cache-Control", "no-cache")
	tag := `W/"` + e.ID + `"`
	header.Set("ETag", tag)
	for _, known := range strings.Split(r.Header.Get("If-None-Match"), ",") {
		if known = strings.TrimSpace(known); known == tag || known == "*" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if r.Method != http.MethodHead {
		w.Write(e.Data)
	}
}

// script answers with the custom element. Pages of all origins may have it.
func (h *Handler) script(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "text/javascript; charset=utf-8")
	header.Set("Cache-Control", "no-cache")
	header.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(script))
}

func (h *Handler) log() *slog.Logger {
	if h.Log != nil {
		return h.Log
	}
	return slog.Default()
}

// isWeb reports whether a URL is one that a page may be given.
func isWeb(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
