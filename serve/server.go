// Package serve is the station itself: listeners connect to icepush, and no Icecast is
// needed.
//
// A [Mount] is a sink of the station that listeners join over HTTP, as players expect it
// of SHOUTcast and Icecast servers. A [Server] has several mounts, and beside each its
// links, its WAV, and the status all of them share.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"icepush/icy"
	"icepush/nowplaying"
)

// Server answers listeners. Fill in Mounts, then Run it.
type Server struct {
	Mounts []*Mount
	Name   string // of the software, as in the header Server

	// MaxListeners bounds how many listen, and MaxPerAddress how many from one address.
	// Zero is 5,000 and no limit.
	MaxListeners  int
	MaxPerAddress int

	// NowPlaying tells pages what plays: on Mounts, and on whatever else its hub is told of.
	NowPlaying nowplaying.Handler

	TLS *tls.Config // nil for none

	// Log takes what happens. Nil is slog.Default.
	Log *slog.Logger

	began time.Time

	mu        sync.Mutex
	listeners map[net.Conn]struct{}
	addresses map[string]int
	total     int
	feeding   sync.WaitGroup
	guard     guard
}

const (
	// headerTimeout is how long a request may take to come, and maxHeader how long it may
	// be.
	headerTimeout = 10 * time.Second
	maxHeader     = 16 << 10

	// idleTimeout is how long a connection is kept between two requests.
	idleTimeout = 30 * time.Second

	// spare is how many connections there may be beside those of listeners: requests, and
	// those that never become one.
	spare = 2048
)

// Run answers on a listener until ctx ends, then lets everybody go.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	s.mu.Lock()
	s.began = time.Now()
	s.listeners, s.addresses = map[net.Conn]struct{}{}, map[string]int{}
	s.mu.Unlock()
	for _, m := range s.Mounts {
		m.tellOf(&s.NowPlaying.Hub)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := &http.Server{
		Handler:           s.handler(ctx),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       idleTimeout,
		WriteTimeout:      idleTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // streams need HTTP/1

		DisableGeneralOptionsHandler: true, // libshout asks OPTIONS *
	}
	l = netutil.LimitListener(l, s.most()+s.NowPlaying.Most()+spare)
	if s.TLS != nil {
		config := s.TLS.Clone()
		config.NextProtos = []string{"http/1.1"}
		l = tls.NewListener(l, config)
	} else if s.wantSources() {
		l = iceListener{l}
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		s.mu.Lock()
		for c := range s.listeners {
			c.SetWriteDeadline(time.Now().Add(time.Second)) // one that is writing ends
		}
		s.mu.Unlock()
		grace, stop := context.WithTimeout(context.Background(), 2*time.Second)
		defer stop()
		server.Shutdown(grace)
		server.Close()
	}()
	err := server.Serve(l)
	cancel()
	<-stopped
	s.feeding.Wait()
	s.NowPlaying.Close()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// handler routes requests.
func (s *Server) handler(ctx context.Context) http.Handler {
	metrics := s.metrics()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Server", s.Name)
		allowEverybody(h)
		if r.Method == http.MethodPut || r.Method == "SOURCE" {
			s.source(ctx, w, r)
			return
		}
		if r.Method == http.MethodOptions {
			h.Set("Allow", s.methods())
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", s.methods())
			http.Error(w, "405 there is nothing here that takes a "+short(r.Method), http.StatusMethodNotAllowed)
			return
		}
		switch r.URL.Path {
		case "/":
			s.page(w, r)
			return
		case "/page.js":
			h.Set("Content-Type", "text/javascript; charset=utf-8")
			h.Set("Cache-Control", "no-cache")
			w.Write([]byte(pageScript))
			return
		case "/status-json.xsl":
			s.status(w, r)
			return
		case "/healthz":
			s.health(w)
			return
		case "/metrics":
			metrics.ServeHTTP(w, r)
			return
		case "/admin/metadata":
			s.metadata(w, r)
			return
		}
		if s.NowPlaying.Serve(ctx, w, r) {
			return
		}
		for _, m := range s.Mounts {
			rest, ok := strings.CutPrefix(r.URL.Path, m.Path)
			if !ok {
				continue
			}
			switch rest {
			case "":
				s.stream(ctx, w, r, m)
				return
			case ".wav":
				s.wav(ctx, w, r, m)
				return
			case ".m3u", ".m3u8", ".pls", ".xspf":
				s.link(w, r, m, rest)
				return
			}
		}
		http.Error(w, "404 there is no such mount", http.StatusNotFound)
	})
}

// short cuts what a client has made up to a length that can be repeated.
func short(s string) string {
	if len(s) > 32 {
		return s[:32]
	}
	return s
}

// allowEverybody lets pages of other sites play the streams and read their headers
// (Fetch standard, 3.2).
func allowEverybody(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Icy-MetaData, Range, If-Range, If-None-Match, Last-Event-ID, Accept, Content-Type")
	h.Set("Access-Control-Expose-Headers", "icy-br, icy-description, icy-genre, icy-metaint, icy-name, icy-pub, icy-url, Content-Range, ETag")
	h.Set("Access-Control-Max-Age", "300")
}

// stream answers a listener of a mount.
func (s *Server) stream(ctx context.Context, w http.ResponseWriter, r *http.Request, m *Mount) {
	contentType, bitrate, ok := m.describe()
	if !ok {
		nothingPlays(w)
		return
	}
	s.answer(ctx, w, r, m, contentType, bitrate, contentType == "audio/mpeg" || contentType == "audio/aac")
}

// nothingPlays answers who is too early, or too late.
func nothingPlays(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "503 nothing plays yet", http.StatusServiceUnavailable)
}

// answer has a client listen to a mount. Titled says that titles can stand between the
// audio.
func (s *Server) answer(ctx context.Context, w http.ResponseWriter, r *http.Request, m *Mount, contentType string, bitrate int, titled bool) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "Mon, 26 Jul 1997 05:00:00 GMT")
	h.Set("Connection", "close")
	withICY := titled && r.Header.Get("Icy-MetaData") == "1"
	for name, value := range map[string]string{
		"icy-name": m.Name, "icy-genre": m.Genre, "icy-description": m.Description, "icy-url": m.URL, "icy-pub": "0",
	} {
		if value != "" {
			h[name] = []string{icy.HeaderValue(value)} // small letters, as players know them
		}
	}
	if bitrate > 0 {
		h["icy-br"] = []string{strconv.Itoa(bitrate)}
	}
	if withICY {
		h["icy-metaint"] = []string{strconv.Itoa(metaint)}
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return
	}
	address := host(r)
	if !s.admit(address) {
		delete(h, "Connection")
		h.Set("Retry-After", "10")
		http.Error(w, "503 the station is full", http.StatusServiceUnavailable)
		return
	}
	// The answer is written by hand: it has no length and no chunks, which old players take
	// for sound, and the connection costs nothing that a listener does not need.
	c, _, err := hijack(w)
	if err != nil {
		s.left(address, nil)
		http.Error(w, "500", http.StatusInternalServerError)
		return
	}
	c = bare(c)
	var head strings.Builder
	proto := "HTTP/1.1"
	if !r.ProtoAtLeast(1, 1) {
		proto = "HTTP/1.0"
	}
	head.WriteString(proto + " 200 OK\r\n")
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	h.Write(&head)
	head.WriteString("\r\n")
	c.SetDeadline(time.Time{})
	m.enter(ctx)
	s.mu.Lock()
	s.listeners[c] = struct{}{}
	s.mu.Unlock()
	text := head.String()
	s.log().Debug("a listener joins", "mount", m.Path, "from", address, "player", short(icy.HeaderValue(r.UserAgent())))
	// Who serves the request may go: a listener that is here for hours needs only this.
	s.feeding.Go(func() {
		defer func() {
			c.Close()
			s.log().Debug("a listener has left", "mount", m.Path, "from", address)
			m.leave()
			s.left(address, c)
		}()
		c.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := c.Write([]byte(text)); err != nil {
			return
		}
		m.feed(ctx, c, withICY)
	})
}

// most returns how many may listen.
func (s *Server) most() int {
	if s.MaxListeners > 0 {
		return s.MaxListeners
	}
	return 5000
}

// admit counts a listener in, unless there are too many.
func (s *Server) admit(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= s.most() || s.MaxPerAddress > 0 && s.addresses[address] >= s.MaxPerAddress {
		return false
	}
	s.addresses[address]++
	s.total++
	return true
}

// left counts a listener out.
func (s *Server) left(address string, c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, c)
	s.total--
	if s.addresses[address]--; s.addresses[address] <= 0 {
		delete(s.addresses, address)
	}
}

// State says how many listen, for the terminal.
func (s *Server) State() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total == 1 {
		return "1 listener"
	}
	return strconv.Itoa(s.total) + " listeners"
}

func (s *Server) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.Default()
}
