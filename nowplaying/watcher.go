package nowplaying

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"icepush/frame"
	"icepush/icy"
)

const (
	// askTimeout bounds how long a server may take to answer, and maxStatus how long its
	// answer may be, in bytes.
	askTimeout = 10 * time.Second
	maxStatus  = 4 << 20

	// maxPause is the longest time between two questions to a server that does not answer.
	maxPause = time.Minute

	// remind is how often the log says that a server still does not answer.
	remind = 10 * time.Minute

	// settles is how long after joining a mount its titles may be of the past: a server
	// begins with what it sent some seconds ago.
	settles = 1500 * time.Millisecond

	// patientFor is how long a mount that is followed may send nothing.
	patientFor = 20 * time.Second
)

// Watcher looks at what somebody else's Icecast plays, and tells a hub.
type Watcher struct {
	// URL is that of the server, of its status page where that is elsewhere, or of one
	// mount: http or https, or icecast and icecasts, which are the same. A user and a password
	// in it are the admin's, for servers that tell nobody else.
	URL string

	// Mounts are the paths of those to look at. None is all.
	Mounts []string

	// Interval is the time between two questions, give or take a tenth. Zero is 5 s.
	Interval time.Duration

	// Follow has the mounts joined as a listener does. Titles are there as soon as they are
	// heard, and nothing is asked again and again; it costs the bandwidth of a listener.
	Follow bool

	Hub       *Hub
	UserAgent string
	TLS       *tls.Config // nil trusts whom the system trusts

	// Log takes what happens. Nil is slog.Default.
	Log *slog.Logger

	base   *url.URL // of the paths of mounts
	status *url.URL
	user   *url.Userinfo
	stats  bool // it is the admin's page that answers
	client *http.Client
	told   map[string]bool // the mounts the hub knows of from here

	dial func(ctx context.Context, network, address string) (net.Conn, error) // for tests; nil is TCP

	mu    sync.Mutex
	noted map[string]string // what the log has said of mounts last

	overfull bool // the log has said that
}

// Check says what is wrong with what is to be watched.
func (w *Watcher) Check() error {
	u, err := url.Parse(w.URL)
	if err != nil || u.Host == "" {
		return errors.New("this is no URL of a server: it looks like http://radio.example:8000 or http://radio.example:8000/live") // it may have a password
	}
	scheme, ok := map[string]string{"http": "http", "https": "https", "icecast": "http", "icecasts": "https"}[u.Scheme]
	if !ok {
		return fmt.Errorf("%s: a server that can be watched is at http or https", u.Redacted())
	}
	host := u.Host
	if u.Port() == "" && u.Scheme != scheme {
		host = net.JoinHostPort(u.Hostname(), "8000")
	}
	w.base, w.user = &url.URL{Scheme: scheme, Host: host}, u.User
	w.status = &url.URL{Scheme: scheme, Host: host, Path: "/status-json.xsl"}
	switch {
	case strings.HasSuffix(u.Path, "/status-json.xsl"):
		w.status.Path = u.Path
		w.base.Path = strings.TrimSuffix(u.Path, "/status-json.xsl")
	case u.Path != "" && u.Path != "/" && !slices.Contains(w.Mounts, u.Path):
		w.Mounts = append(slices.Clone(w.Mounts), u.Path)
	}
	for _, path := range w.Mounts {
		if !strings.HasPrefix(path, "/") || !isName(path) {
			return fmt.Errorf("the mount %q is none: it begins with a slash, as in /live", path)
		}
	}
	if w.Follow && len(w.Mounts) == 0 {
		return fmt.Errorf("%s: to follow a mount name it, as in %s/live", w.base, w.base)
	}
	return nil
}

// at returns the URL of a mount.
func (w *Watcher) at(path string) *url.URL {
	return &url.URL{Scheme: w.base.Scheme, Host: w.base.Host, Path: w.base.Path + path}
}

// Run watches until ctx ends. It fails only when Check does.
func (w *Watcher) Run(ctx context.Context) error {
	if err := w.Check(); err != nil {
		return err
	}
	if w.Follow {
		var following sync.WaitGroup
		for _, path := range w.Mounts {
			following.Go(func() { w.follow(ctx, path) })
		}
		following.Wait()
		return nil
	}
	w.told = map[string]bool{}
	w.client = &http.Client{
		Timeout: askTimeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: w.dial, TLSClientConfig: w.TLS, ForceAttemptHTTP2: true,
			MaxIdleConns: 1, IdleConnTimeout: 2 * maxPause, MaxResponseHeaderBytes: 64 << 10,
		},
	}
	defer w.client.CloseIdleConnections()
	trouble := w.trouble(w.base.String())
	for {
		mounts, err := w.ask(ctx)
		if ctx.Err() != nil {
			return nil
		}
		wait := trouble.next(err)
		if err != nil {
			w.unknown()
		} else {
			w.tell(mounts)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *Watcher) interval() time.Duration { return cmp.Or(w.Interval, 5*time.Second) }

func (w *Watcher) log() *slog.Logger {
	if w.Log != nil {
		return w.Log
	}
	return slog.Default()
}

// trouble is what is remembered of a server that does not answer.
type trouble struct {
	log      *slog.Logger
	where    string
	interval time.Duration
	pause    *backoff.ExponentialBackOff
	since    time.Time // it does not answer
	said     time.Time
	answered bool // it has, ever
}

func (w *Watcher) trouble(where string) *trouble {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = w.interval(), max(maxPause, w.interval())
	pause.Reset()
	return &trouble{log: w.log(), where: where, interval: w.interval(), pause: pause}
}

// next says in the log what is new, and returns when to ask again.
func (t *trouble) next(err error) time.Duration {
	now := time.Now()
	if _, rest, ok := strings.Cut(fmt.Sprint(err), t.where+": "); ok && err != nil { // it is named already
		err = errors.New(rest)
	}
	if err == nil {
		if !t.since.IsZero() {
			t.log.Info("it answers again", "server", t.where, "after", now.Sub(t.since).Round(time.Second))
		} else if !t.answered {
			t.log.Info("watching", "server", t.where)
		}
		t.since, t.answered = time.Time{}, true
		t.pause.Reset()
		return time.Duration(float64(t.interval) * (0.9 + 0.2*rand.Float64()))
	}
	if t.since.IsZero() {
		t.since, t.said = now, now
		t.log.Warn("it does not tell what plays", "server", t.where, "err", err)
	} else if now.Sub(t.said) >= remind {
		t.said = now
		t.log.Warn("it still does not tell what plays", "server", t.where, "for", now.Sub(t.since).Round(time.Second), "err", err)
	}
	return t.pause.NextBackOff()
}

// ask asks the server once.
func (w *Watcher) ask(ctx context.Context) ([]iceMount, error) {
	if w.stats {
		b, err := w.get(ctx, &url.URL{Scheme: w.status.Scheme, Host: w.status.Host, Path: "/admin/stats"})
		if err != nil {
			return nil, err
		}
		return readStats(b)
	}
	b, err := w.get(ctx, w.status)
	if err == nil {
		var mounts []iceMount
		if mounts, err = readStatus(b); err == nil {
			return mounts, nil
		}
	}
	var code *codeError
	if missing := errors.As(err, &code) && code.code == http.StatusNotFound || errors.Is(err, errNoStatus); !missing {
		return nil, err
	}
	if w.user == nil {
		return nil, fmt.Errorf("%w; give the admin's user and password in the URL (http://admin:...@), or name a mount with --follow", err)
	}
	if b, err = w.get(ctx, &url.URL{Scheme: w.status.Scheme, Host: w.status.Host, Path: "/admin/stats"}); err != nil {
		return nil, fmt.Errorf("/admin/stats: %w", err)
	}
	w.stats = true
	return readStats(b)
}

// codeError is an answer that is no 200.
type codeError struct{ code int }

func (e *codeError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", e.code, http.StatusText(e.code)))
}

func (w *Watcher) get(ctx context.Context, u *url.URL) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", w.UserAgent)
	if w.user != nil {
		password, _ := w.user.Password()
		req.SetBasicAuth(w.user.Username(), password)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, reason(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &codeError{resp.StatusCode}
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxStatus+1))
	if err == nil && len(b) > maxStatus {
		err = errors.New("its status is too long to be one")
	}
	return b, reason(err)
}

// reason leaves out what http says around an error.
func reason(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() {
			return errors.New("no answer in time")
		}
		err = u.Err
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	return err
}

// tell passes on what a server says of its mounts. One it does not name is off.
func (w *Watcher) tell(mounts []iceMount) {
	on := map[string]bool{}
	for _, m := range mounts {
		if len(w.Mounts) > 0 && !slices.Contains(w.Mounts, m.Path) {
			continue
		}
		name := w.at(m.Path).String()
		on[name] = true
		ok := w.Hub.Update(name, func(to *Mount) {
			title := m.Title
			if m.Artist != "" && title != "" {
				title = m.Artist + " - " + title
			}
			of := m.Mount
			to.Name, to.Description, to.Genre, to.URL, to.ListenURL = cmp.Or(of.Name, strings.TrimPrefix(m.Path, "/")), of.Description, of.Genre, of.URL, name
			to.Listeners = m.Listeners
			to.plays(title, w.told[name])
			w.note(*to)
			if to.Track != nil && m.Artist != "" {
				t := *to.Track
				t.Artist, t.Title = m.Artist, m.Title
				to.Track = &t
			}
			if to.Position = nil; to.Track != nil && m.Position != nil {
				t := *to.Track
				t.Duration = Seconds(m.Duration * float64(time.Second))
				to.Track = &t
				to.SetPosition(time.Duration(*m.Position*float64(time.Second)), 2*w.interval())
			}
		})
		if ok {
			w.told[name] = true
		} else {
			delete(w.told, name)
			w.full()
		}
	}
	for _, path := range w.Mounts { // that are named are known, on or off
		w.told[w.at(path).String()] = true
	}
	for name := range w.told {
		if on[name] {
			continue
		}
		w.Hub.Update(name, func(to *Mount) {
			to.State = Off
			w.note(*to)
			to.Name, to.ListenURL = cmp.Or(to.Name, strings.TrimPrefix(strings.TrimPrefix(name, w.base.String()), "/")), name
		})
		if len(w.told) > maxMounts && len(w.Mounts) == 0 { // names that never come again
			delete(w.told, name)
		}
	}
}

// full says, once, that there are more mounts than are told of.
func (w *Watcher) full() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.overfull {
		w.overfull = true
		w.log().Warn("there are more mounts than are told of", "server", w.base.String(), "most", maxMounts)
	}
}

// note has the log say what is new about a mount.
func (w *Watcher) note(m Mount) {
	said := string(m.State)
	if m.State == Playing && m.Track != nil {
		said = m.Track.Text
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.noted == nil {
		w.noted = map[string]string{}
	}
	if m.State == Unknown || w.noted[m.Mount] == said {
		return
	}
	if len(w.noted) > 2*maxMounts {
		clear(w.noted)
	}
	w.noted[m.Mount] = said
	if m.State == Playing && m.Track != nil {
		w.log().Info("title", "mount", m.Mount, "title", said)
	} else {
		w.log().Info("mount", "mount", m.Mount, "state", said)
	}
}

// plays says that a mount plays, and under which title. Watched says that it is known when
// the title came.
func (m *Mount) plays(title string, watched bool) {
	m.State = Playing
	if title = strings.TrimSpace(title); title == "-" { // an empty artist and an empty title
		title = ""
	}
	t := Track{Text: title}.cleaned()
	switch {
	case t.Text == "":
		m.Track = nil
	case m.Track != nil && m.Track.Text == t.Text:
	case m.Track == nil && len(m.History) > 0 && m.History[0].Text == t.Text: // a source that has come back
		t, m.History = m.History[0], m.History[1:]
		m.Track = &t
	default:
		if watched {
			t.StartedAt = time.Now()
		}
		m.Track = &t
	}
}

// unknown says that nothing is known of the mounts of the server for now.
func (w *Watcher) unknown() {
	for _, path := range w.Mounts {
		w.told[w.at(path).String()] = true
	}
	for name := range w.told {
		w.Hub.Update(name, func(to *Mount) {
			to.State = Unknown
			to.Name = cmp.Or(to.Name, strings.TrimPrefix(strings.TrimPrefix(name, w.base.String()), "/"))
		})
	}
}

// follow joins a mount again and again.
func (w *Watcher) follow(ctx context.Context, path string) {
	u := w.at(path)
	name := u.String()
	trouble := w.trouble(name)
	u.User = w.user
	watched := false // titles have come from there
	for {
		began := time.Now()
		stream, err := icy.Join(ctx, u.String(), icy.Options{UserAgent: w.UserAgent, TLS: w.TLS, Proxy: http.ProxyFromEnvironment, Patience: patientFor})
		if err == nil {
			err = w.listen(stream, name, &watched, func() { trouble.next(nil) })
			stream.Close()
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil && time.Since(began) > settles { // it has ended: it may be back at once
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return
			}
			continue
		}
		var code *icy.StatusError
		state := Unknown
		if err == nil || errors.As(err, &code) && code.Code == http.StatusNotFound {
			state, err = Off, nil
		}
		w.Hub.Update(name, func(to *Mount) {
			to.State, to.ListenURL = state, name
			to.Name = cmp.Or(to.Name, strings.TrimPrefix(path, "/"))
			w.note(*to)
		})
		select {
		case <-time.After(trouble.next(err)):
		case <-ctx.Done():
			return
		}
	}
}

// listen tells of the titles of a mount that has been joined, until it ends: then the
// error is nil.
func (w *Watcher) listen(s *icy.Stream, name string, watched *bool, joined func()) error {
	ogg := strings.HasSuffix(s.ContentType, "/ogg") || strings.HasSuffix(s.ContentType, "/x-ogg")
	if kind, _, _ := strings.Cut(s.ContentType, "/"); kind != "audio" && kind != "application" && kind != "" {
		return fmt.Errorf("this is no stream but %s", s.ContentType)
	}
	// Some servers take a listener and let it go: there is a stream when something comes.
	first := make([]byte, 1)
	if _, err := io.ReadFull(s, first); err != nil {
		return end(err)
	}
	joined()
	if !ogg && s.Metaint == 0 {
		w.log().Warn("there are no titles in this stream", "mount", name, "type", s.ContentType)
	}
	since := time.Now()
	title, fresh := "", false
	say := func(playing bool) {
		w.Hub.Update(name, func(to *Mount) {
			to.State = Playing
			to.Name, to.Description, to.Genre, to.URL, to.ListenURL = cmp.Or(mojibake(s.Name), to.Name), mojibake(s.Description), mojibake(s.Genre), s.Homepage, name
			if playing {
				to.plays(title, *watched)
				w.note(*to)
			}
		})
		*watched = *watched || playing
		fresh = false
	}
	say(false)
	settled := func() {
		if fresh && time.Since(since) >= settles {
			say(true)
		}
	}
	if ogg {
		frames := frame.NewReader(io.MultiReader(bytes.NewReader(first), s))
		frames.MaxJunk = 1 << 20
		var setup *frame.Setup
		for {
			f, err := frames.Next()
			if err != nil {
				return end(err)
			}
			if f.Setup != setup {
				setup = f.Setup
				title, fresh = icy.UTF8(f.Setup.Title()), true
			}
			settled()
		}
	}
	buffer := make([]byte, 4096)
	for {
		_, err := s.Read(buffer)
		for _, t := range s.Titles(math.MaxInt64) {
			title, fresh = mojibake(t.Text), true
		}
		settled()
		if err != nil {
			return end(err)
		}
	}
}

// end returns the error of a stream that did not just end.
func end(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return reason(err)
}
