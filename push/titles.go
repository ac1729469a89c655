package push

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"icepush/icy"
	"icepush/track"
)

const (
	// maxSong bounds a title in a metadata request, in bytes before escaping; servers
	// read 4,095 bytes of request.
	maxSong = 1000

	// readBack is how long after a title its status page is looked at: Icecast updates
	// it within half a second of the block that holds the title.
	readBack = 3 * time.Second
)

// announcer tells a server the titles of the tracks on one connection, inside the
// stream or beside it. It never holds audio up.
type announcer struct {
	source  *Source
	conn    *conn
	current *track.Info // of the frame last written

	// Beside the stream: a title goes when a block of its track has been sent, with
	// nothing before it on the way. The server then binds it to the block the track
	// begins in.
	pending string
	due     int64 // of the body

	jobs    chan func(context.Context) // the newest one wins
	cancel  context.CancelFunc
	running sync.WaitGroup
	checked bool   // how the server shows a title outside ASCII has been looked at
	said    string // a title inside the stream, to be logged once it is written
}

func newAnnouncer(ctx context.Context, s *Source, c *conn) *announcer {
	ctx, cancel := context.WithCancel(ctx)
	a := &announcer{source: s, conn: c, jobs: make(chan func(context.Context), 1), cancel: cancel}
	a.running.Go(func() {
		for {
			select {
			case job := <-a.jobs:
				job(ctx)
			case <-ctx.Done():
				return
			}
		}
	})
	return a
}

// stop ends what is under way and waits for it.
func (a *announcer) stop() {
	a.cancel()
	a.running.Wait()
}

func (a *announcer) do(job func(context.Context)) {
	select {
	case <-a.jobs:
	default:
	}
	a.jobs <- job
}

// titles says which way titles go on this connection.
func (c *conn) titles() string {
	switch {
	case c.ogg:
		return "comments"
	case c.icy != nil:
		return "inband"
	}
	return "admin"
}

// playing notes of which track the frame is that goes to an offset of the body.
func (a *announcer) playing(t *track.Info, offset int64) {
	if t == a.current || t == nil {
		return
	}
	a.current = t
	title := t.StreamTitle
	if title == "" {
		return
	}
	if a.conn.ogg { // it goes with the pages
		a.said = title
		return
	}
	if a.conn.icy == nil {
		a.pending, a.due = title, offset+block
		return
	}
	a.conn.icy.setTitle(title)
	a.said = title // to be logged when no lock is held
	if !a.checked && !isASCII(title) {
		a.checked = true
		a.do(func(ctx context.Context) { a.check(ctx, title) })
	}
}

// sent is called when what was handed to the connection has been written.
func (a *announcer) sent() {
	if a.said != "" {
		a.source.log().Debug("title", "title", a.said, "way", a.conn.titles())
		a.source.titled(true)
		a.said = ""
	}
	if a.pending == "" || a.conn.sent < a.due {
		return
	}
	title := a.pending
	a.pending = ""
	a.do(func(ctx context.Context) { a.announce(ctx, title) })
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c >= 0x80 })
}

// announce sends a title by the admin interface and logs what the server says.
func (a *announcer) announce(ctx context.Context, title string) {
	log := a.source.log().With("title", title, "way", "admin")
	for attempt := 1; ; attempt++ {
		code, said, err := a.update(ctx, title)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && attempt == 3:
			log.Warn("title not sent", "err", err)
			a.source.titled(false)
		case code == http.StatusOK && !strings.Contains(said, "not accept"):
			log.Debug("title", "answer", said)
			a.source.titled(true)
		case err != nil, (code == http.StatusBadRequest || code == http.StatusNotFound) && attempt == 1:
			// The line may be bad for a moment, or the mount not known yet.
			select {
			case <-time.After(500 * time.Millisecond):
				continue
			case <-ctx.Done():
				return
			}
		default:
			log.Warn("title refused", "err", &StatusError{Code: code, Reason: said})
			a.source.titled(false)
		}
		return
	}
}

// update makes the metadata request. Only song means the same on all servers, so the
// artist is in it. The charset is named where Latin-1 has every character: Icecast 2
// turns others into numbers when it is told they are UTF-8, and passes the bytes on
// when it is told nothing.
func (a *announcer) update(ctx context.Context, title string) (code int, said string, err error) {
	m := a.source.Mount
	song := cut(icy.Safe(title), maxSong)
	path := "/admin/metadata?mode=updinfo&mount=" + url.QueryEscape(cmp.Or(m.Path, defaultICYMount)) + "&song=" + url.QueryEscape(song)
	authorization := m.authorization()
	if m.Protocol == ICY && !a.conn.server.newer { // SHOUTcast's way, which Icecast 2.5 has no more
		path = "/admin.cgi?mode=updinfo&pass=" + url.QueryEscape(string(m.Password)) + "&song=" + url.QueryEscape(song)
		authorization = ""
	}
	if !strings.ContainsFunc(song, func(c rune) bool { return c > 0xFF }) {
		path += "&charset=UTF-8"
	}
	resp, err := a.source.request(ctx, http.MethodGet, path, authorization, a.conn)
	if err != nil {
		return 0, "", err
	}
	said = message(string(resp.body))
	if strings.Contains(string(resp.body), "<return>0") {
		said += " (not accepted)"
	}
	if authorization == "" { // the password was in the URL, which a server may repeat
		for _, secret := range []string{string(m.Password), url.QueryEscape(string(m.Password))} {
			said = strings.ReplaceAll(said, secret, hidden)
		}
	}
	return resp.StatusCode, said, nil
}

// check looks once at how the server shows a title that is not ASCII: listeners get it
// as it is, but a mount without a charset shows it in the wrong letters.
func (a *announcer) check(ctx context.Context, title string) {
	select {
	case <-time.After(readBack):
	case <-ctx.Done():
		return
	}
	m := a.source.Mount
	resp, err := a.source.request(ctx, http.MethodGet, "/status-json.xsl?mount="+url.QueryEscape(m.Path), "", a.conn)
	if err != nil {
		return
	}
	if shown, ok := shownTitle(resp.body); ok && shown == latin1(icy.Safe(title)) {
		a.source.log().Warn("the server's status page shows titles in the wrong letters; listeners get them right",
			"sent", title, "shown", shown, "mend", "<charset>UTF-8</charset> in the <mount> section of the server's configuration")
	}
}

// latin1 returns what the UTF-8 bytes of a text look like when they are taken for Latin-1.
func latin1(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteRune(rune(c))
	}
	return b.String()
}

// shownTitle returns the title that status-json.xsl has for one mount.
func shownTitle(body []byte) (title string, ok bool) {
	var status struct {
		Icestats struct {
			Source struct {
				Title string `json:"title"`
			} `json:"source"`
		} `json:"icestats"`
	}
	err := json.Unmarshal(body, &status)
	return status.Icestats.Source.Title, err == nil
}
