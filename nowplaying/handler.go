package nowplaying

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	// writeTimeout is how long a client may take nothing that is sent to it.
	writeTimeout = 10 * time.Second

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
	sockets map[*websocket.Conn]*leanConn
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

// Close lets everybody go, when no more requests come, and returns when they have gone.
func (h *Handler) Close() {
	h.mu.Lock()
	for c, lean := range h.sockets {
		h.telling.Go(func() {
			defer time.AfterFunc(time.Second, func() { lean.Conn.Close() }).Stop()
			c.Close(websocket.StatusGoingAway, "the station ends")
		})
	}
	h.mu.Unlock()
	h.telling.Wait()
}

// Serve answers a request that is for it, and reports whether it was. A request that has no
// end is answered until ctx ends; one over WebSocket until Close.
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
	if names := only(r); len(names) > maxFilter || slices.ContainsFunc(names, func(name string) bool { return !isName(name) }) {
		http.Error(w, "400 too many mounts are named, or one that is none", http.StatusBadRequest)
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
		if strings.EqualFold(pattern, origin) { // which may have brackets
			allowed = true
		}
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
