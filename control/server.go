package control

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/netutil"
)

const (
	headerTimeout = 5 * time.Second
	timeout       = 10 * time.Second // for a request, and for its answer
	idleTimeout   = 30 * time.Second
	maxHeader     = 16 << 10
	maxBody       = 64 << 10
	maxConns      = 64

	// maxQueued is how many inputs of the queue an answer names.
	maxQueued = 100

	// MinToken is how long a token is at least.
	MinToken = 16
)

// Server answers requests. Fill in Station, then Run it.
type Server struct {
	Station Station

	// Token is what requests have to bring along: "Authorization: Bearer TOKEN". It is needed
	// where others can connect: everywhere but on a unix socket.
	Token string

	// Metrics answers /metrics. Nil is 404.
	Metrics http.Handler

	// Log takes what is asked for. Nil is slog.Default.
	Log *slog.Logger
}

// Run answers on a listener until ctx ends.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s.Handler(l.Addr().Network() == "unix"),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       timeout,
		WriteTimeout:      timeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	stopped := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(stopped)
		<-ctx.Done()
		grace, stop := context.WithTimeout(context.Background(), time.Second)
		defer stop()
		server.Shutdown(grace)
		server.Close()
	}()
	err := server.Serve(netutil.LimitListener(l, maxConns))
	cancel()
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// request is the body of what is posted. Each path takes some of it.
type request struct {
	Mount string   `json:"mount"`
	Files []string `json:"files"`
	Text  *string  `json:"text"`
	Now   bool     `json:"now"`
	After bool     `json:"after_track"`
	Level string   `json:"level"`
}

// reply is the answer to it.
type reply struct {
	Done    string `json:"done"`
	Waiting *int   `json:"waiting,omitempty"` // inputs in the queue
}

// Upcoming is the answer of /next.
type Upcoming struct {
	Version int      `json:"version"`
	Mount   string   `json:"mount,omitempty"`
	Next    *Track   `json:"next"`
	Queued  int      `json:"queued"`
	Queue   []string `json:"queue"`
}

// Handler answers requests. Local says that they come by a unix socket, which the system
// guards.
func (s *Server) Handler(local bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := s.admit(r, local); err != nil {
			if err.Code == http.StatusUnauthorized {
				h.Set("WWW-Authenticate", `Bearer realm="icepush"`)
			}
			refuse(w, err)
			return
		}
		method, act := http.MethodPost, s.actions()[strings.TrimPrefix(r.URL.Path, "/")]
		switch r.URL.Path {
		case "/status", "/next", "/healthz", "/metrics":
			method = http.MethodGet
		default:
			if act == nil {
				refuse(w, &Refusal{http.StatusNotFound, errors.New("there is no such path: it is one of /status, /next, /healthz, /metrics, /skip, /queue, /title, /reload, /stop, /log")})
				return
			}
		}
		if r.Method != method && !(method == http.MethodGet && r.Method == http.MethodHead) {
			h.Set("Allow", method)
			refuse(w, &Refusal{http.StatusMethodNotAllowed, fmt.Errorf("%s takes %s", r.URL.Path, method)})
			return
		}
		if act == nil {
			s.tell(w, r)
			return
		}
		req, err := read(r.Body)
		if err != nil {
			refuse(w, err)
			return
		}
		done, err := act(req)
		if err != nil {
			refuse(w, err)
			return
		}
		done.Done = strings.TrimPrefix(r.URL.Path, "/")
		write(w, http.StatusOK, done)
	})
}

// admit looks whether who asks may. A page of a browser may never: it sends Origin, or has
// made a name of its own mean this machine.
func (s *Server) admit(r *http.Request, local bool) *Refusal {
	switch {
	case r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "":
		return &Refusal{http.StatusForbidden, errors.New("pages of a browser have nothing to say here")}
	case local && s.Token == "":
		return nil
	case !local && !isLoopback(r.Host):
		return &Refusal{http.StatusForbidden, errors.New("the Host is to be localhost or a loopback address")}
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(s.Token))
	switch {
	case s.Token == "" || subtle.ConstantTimeCompare(a[:], b[:]) != 1 && ok:
		return &Refusal{http.StatusUnauthorized, errors.New("the token is wrong")}
	case !ok:
		return &Refusal{http.StatusUnauthorized, errors.New("a token is needed: Authorization: Bearer TOKEN")}
	}
	return nil
}

// tell answers what only asks.
func (s *Server) tell(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/metrics" {
		if s.Metrics == nil {
			refuse(w, &Refusal{http.StatusNotFound, errors.New("there are no metrics")})
			return
		}
		s.Metrics.ServeHTTP(w, r)
		return
	}
	st := s.Station.Status()
	shorten(&st.Show)
	for i := range st.Shows {
		shorten(&st.Shows[i])
	}
	switch r.URL.Path {
	case "/status":
		write(w, http.StatusOK, st)
	case "/next":
		show, err := st.Find(r.URL.Query().Get("mount"))
		if err != nil {
			refuse(w, err)
			return
		}
		write(w, http.StatusOK, Upcoming{Version: Version, Mount: show.Mount, Next: show.Next, Queued: show.Queued, Queue: show.Queue})
	default:
		if !st.Healthy {
			refuse(w, &Refusal{http.StatusServiceUnavailable, errors.New(cmp.Or(st.Unhealthy, "it is not on the air"))})
			return
		}
		write(w, http.StatusOK, map[string]bool{"healthy": true})
	}
}

// shorten leaves of a long queue its beginning.
func shorten(s *Show) {
	s.Queue = append([]string{}, s.Queue[:min(len(s.Queue), maxQueued)]...)
}

// Find returns the show of a mount, or the only one for "".
func (st *Status) Find(mount string) (*Show, error) {
	if mount == "" && len(st.Shows) < 2 {
		return &st.Show, nil
	}
	var mounts []string
	for i := range st.Shows {
		if st.Shows[i].Mount == mount {
			return &st.Shows[i], nil
		}
		mounts = append(mounts, st.Shows[i].Mount)
	}
	if mounts == nil {
		if mount == st.Show.Mount {
			return &st.Show, nil
		}
		return nil, &Refusal{http.StatusNotFound, errors.New("there is one show, and it is not that of a mount of this name")}
	}
	return nil, &Refusal{http.StatusConflict, fmt.Errorf("there are several shows: name one by its mount, of %s", strings.Join(mounts, ", "))}
}

// actions are what can be asked for, by path.
func (s *Server) actions() map[string]func(request) (reply, error) {
	return map[string]func(request) (reply, error){
		"skip":   func(r request) (reply, error) { return s.did("skip", s.Station.Skip(r.Mount)) },
		"reload": func(r request) (reply, error) { return s.did("reload", s.Station.Reload(r.Mount, r.Now)) },
		"stop":   func(r request) (reply, error) { return s.did("stop", s.Station.Stop(r.After)) },
		"title": func(r request) (reply, error) {
			if r.Text == nil {
				return reply{}, errors.New("the text is missing: {\"text\": \"...\"}; an empty one gives the track's own title back")
			}
			return s.did("title", s.Station.Title(r.Mount, *r.Text))
		},
		"log": func(r request) (reply, error) {
			if !slices.Contains(Levels, r.Level) {
				return reply{}, fmt.Errorf("the level is one of %s", strings.Join(Levels, ", "))
			}
			return s.did("log", s.Station.SetLevel(r.Level))
		},
		"queue": func(r request) (reply, error) {
			if len(r.Files) == 0 {
				return reply{}, errors.New("the files are missing: {\"files\": [\"/music/a.mp3\"]}")
			}
			for _, f := range r.Files {
				if !isURL(f) && !filepath.IsAbs(f) {
					return reply{}, fmt.Errorf("%.200q is no whole path: it begins with /", f)
				}
			}
			waiting, err := s.Station.Queue(r.Mount, r.Files)
			done, err := s.did("queue", err)
			done.Waiting = &waiting
			return done, err
		},
	}
}

// Levels are those of logging.
var Levels = []string{"debug", "info", "warn", "error"}

// did logs what was done.
func (s *Server) did(what string, err error) (reply, error) {
	if err == nil {
		cmp.Or(s.Log, slog.Default()).Info("asked to " + verbs[what])
	}
	return reply{}, err
}

var verbs = map[string]string{
	"skip": "skip", "reload": "read the list again", "stop": "stop", "title": "change the title", "log": "change the level of the log", "queue": "queue",
}

func isURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }

// read reads the JSON of a request, which may be none.
func read(body io.Reader) (req request, err error) {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err = d.Decode(&req)
	if err == nil {
		if _, err = d.Token(); err == nil {
			err = errors.New("something follows it")
		}
	}
	var tooLong *http.MaxBytesError
	switch {
	case errors.Is(err, io.EOF): // none, or one
		return req, nil
	case errors.As(err, &tooLong):
		return req, &Refusal{http.StatusRequestEntityTooLarge, fmt.Errorf("the body is longer than %d bytes", tooLong.Limit)}
	}
	return req, fmt.Errorf("the body is not the JSON it should be: %v", strings.TrimPrefix(err.Error(), "json: "))
}

// refuse answers with an error: 400, unless it knows better.
func refuse(w http.ResponseWriter, err error) {
	code := http.StatusBadRequest
	var r *Refusal
	if errors.As(err, &r) {
		code = r.Code
	}
	write(w, code, map[string]string{"error": err.Error()})
}

func write(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.Encode(v)
}
