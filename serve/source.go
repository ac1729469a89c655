package serve

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"icepush/frame"
	"icepush/icy"
	"icepush/id3strip"
	"icepush/track"
)

// Live sources are other programs that send what a mount plays, as they would send it to
// Icecast: PUT, or SOURCE as it was before, with a body that has no end. There is no
// standard; what is answered is what Icecast 2.4 answers.

const (
	// sourceTimeout is how long a source may send nothing that is audio, as Icecast has it.
	sourceTimeout = 10 * time.Second

	// reconnectTime is how long listeners of a mount that has nothing else to play wait for
	// its source to come back.
	reconnectTime = 10 * time.Second

	// maxAhead is how much a source may send before it is to be heard. It is what is kept
	// for listeners beyond the burst.
	maxAhead = keep

	// gather is how much goes to the listeners at one time, when it comes in smaller pieces:
	// each time costs a write for each of them.
	gather = 200 * time.Millisecond

	// maxNoise is how many bytes in a row of a source may be no audio.
	maxNoise = 1 << 20

	// sourceMethods is what an Allow header says where sources are wanted. That PUT and
	// SOURCE are both in it tells icepush and others that chunks are decoded here.
	sourceMethods = "GET, HEAD, PUT, SOURCE, OPTIONS"
)

// wantSources reports whether there is a mount that takes sources.
func (s *Server) wantSources() bool {
	return slices.ContainsFunc(s.Mounts, func(m *Mount) bool { return m.SourcePassword != "" })
}

// methods is what an Allow header says.
func (s *Server) methods() string {
	if s.wantSources() {
		return sourceMethods
	}
	return "GET, HEAD, OPTIONS"
}

func (s *Server) mount(path string) *Mount {
	for _, m := range s.Mounts {
		if m.Path == path {
			return m
		}
	}
	return nil
}

// refusal is why a source does not get a mount.
type refusal struct {
	code int
	why  string
}

// source answers one that wants a mount, and takes its audio.
func (s *Server) source(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	l := &live{server: s, address: host(r), agent: short(icy.HeaderValue(r.UserAgent()))}
	no := s.reserve(l, r)
	if no.code == 0 {
		c, buffered, err := hijack(w)
		if err == nil {
			s.feeding.Go(func() { l.run(ctx, c, buffered, r) })
			return
		}
		l.mount.release(l)
		no = refusal{http.StatusInternalServerError, "the connection cannot be taken over"}
	}
	h := w.Header()
	if r.Header.Get("Content-Length") != "0" {
		h.Set("Connection", "close") // what follows may be audio
	}
	switch no.code {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Basic realm="icepush", charset="UTF-8"`)
		h.Set("Allow", sourceMethods)
	case http.StatusTooManyRequests:
		h.Set("Retry-After", "60")
	}
	if _, _, tried := r.BasicAuth(); tried && s.guard.tell(l.address) { // else it only asks whether a password is needed
		s.log().Warn("a source is refused", "mount", short(icy.HeaderValue(r.URL.Path)), "from", l.address, "agent", l.agent, "answer", no.code, "why", no.why)
	}
	http.Error(w, no.why, no.code)
}

// reserve looks whether a source may have the mount it asks for, and gives it to it.
func (s *Server) reserve(l *live, r *http.Request) refusal {
	if !s.wantSources() {
		return refusal{http.StatusForbidden, "sources are not wanted here"}
	}
	if l.mount = s.mount(r.URL.Path); l.mount == nil {
		return refusal{http.StatusNotFound, "there is no such mount"}
	}
	if no := s.authorize(l.mount, r); no.code != 0 {
		return no
	}
	if kind := icy.ContentType(r.Header); kind != "" { // without one the audio tells
		if l.kind = icy.MediaType(kind); l.kind == "" {
			return refusal{http.StatusUnsupportedMediaType, "audio/mpeg, audio/aac, audio/ogg and application/ogg are played here, " + short(icy.HeaderValue(kind)) + " is not"}
		}
	}
	l.metaint, _ = strconv.Atoi(r.Header.Get("icy-metaint"))
	return l.mount.reserve(l)
}

// authorize looks at the password of a source.
func (s *Server) authorize(m *Mount, r *http.Request) refusal {
	if m.SourcePassword == "" {
		return refusal{http.StatusForbidden, "sources are not wanted here"}
	}
	user, password, given := r.BasicAuth()
	if !given {
		return refusal{http.StatusUnauthorized, "a source needs a user and a password"}
	}
	address := host(r)
	if wait := s.guard.wait(address); wait > 0 {
		return refusal{http.StatusTooManyRequests, fmt.Sprintf("there were too many wrong passwords from this address: try again in %.0f s", math.Ceil(wait.Seconds()))}
	}
	same := func(a, b string) int { // in the same time, whatever they are, and however long
		x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
		return subtle.ConstantTimeCompare(x[:], y[:])
	}
	if same(user, cmp.Or(m.SourceUser, "source"))&same(password, m.SourcePassword) == 0 {
		s.guard.wrong(address)
		return refusal{http.StatusUnauthorized, "this user and password are wrong"}
	}
	s.guard.right(address)
	return refusal{}
}

// metadata sets the title of a live source, as Icecast's /admin/metadata does.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	m := s.mount(q.Get("mount"))
	no := refusal{http.StatusBadRequest, "Source does not exist"}
	if m != nil {
		if no = s.authorize(m, r); no.code == 0 {
			switch {
			case !m.hasSource():
				no = refusal{http.StatusBadRequest, "Source does not exist"}
			case !q.Has("mode"):
				no = refusal{http.StatusBadRequest, "Missing parameter"}
			}
		}
	}
	if no.code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="icepush", charset="UTF-8"`)
	}
	if no.code != 0 {
		http.Error(w, no.why, no.code)
		return
	}
	said, done := "No such action", 0
	title, has := songOf(q.Get, q.Has)
	switch {
	case q.Get("mode") != "updinfo":
	case !has:
		said = "Missing parameter"
	case m.retitle(nil, title):
		said, done = "Metadata update successful", 1
	default:
		said = "Source does not exist"
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	fmt.Fprintf(w, "%s<iceresponse><message>%s</message><return>%d</return></iceresponse>\n", xml.Header, said, done)
}

// songOf returns the title in the parameters of a metadata request.
func songOf(get func(string) string, has func(string) bool) (title string, ok bool) {
	latin := slices.Contains([]string{"iso-8859-1", "latin1", "latin-1"}, strings.ToLower(get("charset")))
	text := func(name string) string {
		if latin {
			return icy.Latin1(get(name))
		}
		return icy.UTF8(get(name))
	}
	if has("song") {
		return text("song"), true
	}
	artist, song := text("artist"), text("title")
	if artist != "" && song != "" {
		artist += " - "
	}
	return artist + song, has("artist") || has("title")
}

// live is a source that has a mount. What it sends is heard from its first frame on.
type live struct {
	server  *Server
	mount   *Mount
	address string
	agent   string
	kind    string // the media type of what it sends, "" when it did not say
	metaint int    // bytes of audio between ICY blocks, 0 for none

	conn  net.Conn
	group []frame.Frame // that go to the listeners together
	held  time.Duration // audio in it
	since time.Time     // it began
	taken bool          // something of it has been heard; the mount's mu guards it
	last  time.Time     // when there was audio
	until time.Time     // when what it has sent has been heard
	title string        // told last; the mount's mu guards it
}

// run takes the audio of a source until it ends, and gives the mount back.
func (l *live) run(ctx context.Context, c net.Conn, buffered *bufio.Reader, r *http.Request) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	l.conn, l.last = c, time.Now()
	err := l.welcome(r)
	if err == nil {
		early, _ := buffered.Peek(buffered.Buffered())
		err = l.read(ctx, body(bufio.NewReader(io.MultiReader(bytes.NewReader(early), l)), r))
	}
	stop()
	c.Close()
	l.mount.release(l)
	if !l.taken {
		if s := l.server; ctx.Err() == nil && s.guard.tell(l.address) {
			s.log().Warn("a source has sent nothing to play", "mount", l.mount.Path, "from", l.address, "agent", l.agent, "err", why(err))
		}
		l.mount.giveBack(l)
		return
	}
	l.server.log().Info("a source has ended", "mount", l.mount.Path, "from", l.address, "why", why(err))
	// What it has sent is heard to its end; where nothing else plays it may come back.
	wait := time.Until(l.until)
	if !l.mount.hasShow() {
		wait = max(wait, reconnectTime)
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
	if l.mount.giveBack(l) && ctx.Err() == nil {
		l.server.log().Info("the mount is given back", "mount", l.mount.Path)
	}
}

// why says in words how a source has ended.
func why(err error) string {
	var parse *frame.ParseError
	if errors.As(err, &parse) {
		err = parse.Err
	}
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it has hung up"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "it has sent nothing for " + sourceTimeout.String()
	case errors.Is(err, net.ErrClosed):
		return "the station ends"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return err.Error()
}

// welcome says that the mount is the source's: 100 to who waits for that, and then 200 at
// once, as Icecast 2.4 does. The 200 has no length: the answer lasts as long as the stream.
func (l *live) welcome(r *http.Request) error {
	var b strings.Builder
	lines := "Server: " + l.server.Name + "\r\nAllow: " + sourceMethods + "\r\n"
	if r.ProtoAtLeast(1, 1) && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		b.WriteString("HTTP/1.1 100 Continue\r\n" + lines + "\r\n")
	}
	b.WriteString("HTTP/1.0 200 OK\r\n" + lines + "Connection: close\r\n\r\n")
	l.conn.SetWriteDeadline(time.Now().Add(sourceTimeout))
	_, err := io.WriteString(l.conn, b.String())
	return err
}

// body returns what a source sends behind the head of its request. Without a framing it
// ends with the connection.
func body(r *bufio.Reader, req *http.Request) io.Reader {
	switch {
	case slices.Contains(req.TransferEncoding, "chunked"):
		return httputil.NewChunkedReader(r)
	case req.ContentLength > 0:
		return io.LimitReader(r, req.ContentLength)
	}
	return r
}

// Read reads from the connection. What has come before is not kept waiting by what does
// not come.
func (l *live) Read(p []byte) (int, error) {
	for {
		deadline := l.last.Add(sourceTimeout)
		if len(l.group) > 0 {
			ready := l.since.Add(gather)
			if l.held >= gather || time.Until(ready) <= 0 {
				if err := l.flush(); err != nil {
					return 0, err
				}
			} else if ready.Before(deadline) {
				deadline = ready
			}
		}
		l.conn.SetReadDeadline(deadline)
		n, err := l.conn.Read(p)
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && time.Since(l.last) < sourceTimeout {
			continue
		}
		return n, err
	}
}

// read passes the frames of the body on. The error is how it ended.
func (l *live) read(ctx context.Context, body io.Reader) (err error) {
	blocks := icy.NewReader(body, l.metaint)
	in := io.Reader(blocks)
	if l.kind == "" { // what looks like a tag inside of Ogg is none
		peeker := bufio.NewReader(in)
		if head, _ := peeker.Peek(4); string(head) == "OggS" {
			l.kind = "audio/ogg"
		}
		in = peeker
	}
	offset := func(n int64) int64 { return n }
	if l.kind != "audio/ogg" {
		strip := id3strip.NewReader(in)
		strip.Live = true
		in, offset = strip, strip.SourceOffset
	}
	frames := frame.NewReader(in)
	frames.MaxJunk = maxNoise
	defer func() {
		if e := l.flush(); e != nil {
			err = e
		}
	}()
	var setup *frame.Setup
	for {
		f, err := frames.Next()
		if err != nil {
			return err
		}
		l.last = time.Now()
		titles := blocks.Titles(offset(f.Offset) + int64(f.Size))
		if f.Setup != setup { // of Ogg
			setup, titles = f.Setup, []icy.Title{{Text: icy.UTF8(f.Setup.Title())}}
		}
		if n := len(titles); n > 0 {
			if err := l.flush(); err != nil {
				return err
			}
			l.mount.retitle(l, titles[n-1].Text)
		}
		if err := l.pace(ctx, f); err != nil {
			return err
		}
		if len(l.group) == 0 {
			l.since = time.Now()
		}
		l.group = append(l.group, f)
		l.held += f.Lasts()
	}
}

// pace holds back a source that is too far ahead: who does not read makes it wait.
func (l *live) pace(ctx context.Context, f frame.Frame) error {
	now := time.Now()
	if l.until.Before(now) {
		l.until = now
	}
	wait := l.until.Sub(now) - maxAhead
	l.until = l.until.Add(f.Lasts())
	if wait <= 0 {
		return nil
	}
	if err := l.flush(); err != nil {
		return err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		l.last = time.Now()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flush sends what has come to the mount. With the first of it the source is heard.
func (l *live) flush() error {
	if len(l.group) == 0 {
		return nil
	}
	first, took := l.group[0].Header, !l.taken
	if err := l.mount.sendLive(l, l.group); err != nil {
		return err
	}
	clear(l.group)
	l.group, l.held = l.group[:0], 0
	if took {
		l.server.log().Info("a source takes the mount", "mount", l.mount.Path, "from", l.address, "agent", l.agent, "format", first.String())
	}
	return nil
}

// errSourceGone says that the mount is no longer the source's.
var errSourceGone = errors.New("the mount is closed")

// reserve gives the mount to a source, if it can have it.
func (m *Mount) reserve(l *live) refusal {
	m.mu.Lock()
	defer m.mu.Unlock()
	playing := m.plays()
	switch {
	case m.kind != "":
		return refusal{http.StatusUnsupportedMediaType, "this mount plays raw sound"}
	case m.closed:
		return refusal{http.StatusServiceUnavailable, "the station ends"}
	case m.on != nil:
		return refusal{http.StatusForbidden, "Mountpoint in use"}
	case playing && l.kind != "" && l.kind != m.header.Format.ContentType():
		return refusal{http.StatusUnsupportedMediaType, "listeners have " + m.header.String() + " here: send " + m.header.Format.ContentType()}
	}
	m.on = l
	if m.heard != nil { // the last one has ended, and is to be followed at once
		m.heard = l
	}
	return refusal{}
}

// release lets others have the mount.
func (m *Mount) release(l *live) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.on == l {
		m.on = nil
	}
}

// sendLive has the frames of a source heard. The first ones take the mount over.
func (m *Mount) sendLive(l *live, frames []frame.Frame) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errSourceGone
	}
	playing := m.plays()
	for _, f := range frames {
		switch kind := f.Format.ContentType(); {
		case l.kind != "" && kind != l.kind:
			return fmt.Errorf("it sends %s, and has said %s", f.Header, l.kind)
		case playing && !f.SameCodec(m.header):
			return fmt.Errorf("it sends %s, and listeners have %s", f.Header, m.header)
		}
	}
	if !l.taken {
		l.taken, m.heard, m.seam = true, l, seam{open: true}
		m.play(track.Info{StreamTitle: l.title, Header: frames[0].Header})
	}
	m.send(frames)
	return nil
}

// retitle sets the title of a source, nil for whichever has the mount. Ok is false when
// there is none.
func (m *Mount) retitle(l *live, title string) (ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.on == nil || l != nil && m.on != l {
		return false
	}
	m.on.title = title
	if m.heard == m.on && m.on.taken {
		info := m.track
		info.StreamTitle, info.Continued = title, true
		m.play(info)
	}
	return true
}

// giveBack has the show heard again, unless another source has followed. Where there is
// no show the listeners are let go.
func (m *Mount) giveBack(l *live) (given bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.heard != l {
		return false
	}
	m.heard = nil
	if !m.shown || m.closed {
		m.ended = true
		m.now.Off()
		m.notify()
		return false
	}
	m.seam = seam{open: true}
	m.play(m.show)
	m.now.Goes(m.showAt)
	return true
}

// hasSource reports whether a source has the mount.
func (m *Mount) hasSource() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.on != nil
}

// hasShow reports whether there is something to play besides sources.
func (m *Mount) hasShow() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shown
}

// revive has a mount play again that had ended, as if for the first time. The caller holds
// mu.
func (m *Mount) revive() {
	m.first += int64(len(m.blocks))
	m.blocks, m.kept = nil, 0
	m.chain = frame.Chain{}
	m.header, m.began = frame.Header{}, time.Time{}
	m.ended = false
	m.pcm = nil // it has ended, too
}

// seam is where frames follow others that they have nothing to do with.
type seam struct {
	open bool
	have int // bytes of main data since
}

// join returns the frames as they can follow: in Layer III a frame that needs what was
// before is silent, in Ogg a page that goes on with a packet is left out (RFC 3533,
// section 6: the first flag).
func (s *seam) join(frames []frame.Frame) []frame.Frame {
	if !s.open {
		return frames
	}
	var out []frame.Frame
	for _, f := range frames {
		needs, brings := f.Reservoir()
		switch {
		case !s.open:
		case f.Setup != nil && f.Data[5]&1 != 0:
			continue
		case needs > s.have:
			f = f.Muted()
		default:
			s.open = false
		}
		s.have += brings
		out = append(out, f)
	}
	return out
}

// hijack takes a connection over, with what has been read of it.
func hijack(w http.ResponseWriter) (net.Conn, *bufio.Reader, error) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return nil, nil, http.ErrNotSupported
	}
	c, rw, err := hijacker.Hijack()
	if err != nil {
		return nil, nil, err
	}
	return c, rw.Reader, nil
}

// iceListener lets sources say that they speak ICE/1.0, which is HTTP/1.0: some did before
// Icecast 2.4.
type iceListener struct{ net.Listener }

func (l iceListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	ice := &iceConn{icy.HeadConn{Conn: c}}
	ice.Look = ice.look
	return ice, nil
}

// iceConn is a connection whose first line is looked at.
type iceConn struct{ icy.HeadConn }

// bare returns the connection below, which can write more at a time.
func bare(c net.Conn) net.Conn {
	if ice, ok := c.(*iceConn); ok {
		return ice.Conn
	}
	return c
}

// look reads the first line, as far as it may be one that is to be changed.
func (c *iceConn) look() (head []byte, err error) {
	const method, old, now = "SOURCE ", " ICE/1.0", " HTTP/1.0"
	b := make([]byte, 0, 1024)
	for len(b) < cap(b) {
		n, err := c.Conn.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if n := min(len(b), len(method)); string(b[:n]) != method[:n] {
			return b, err
		}
		if line, rest, ok := bytes.Cut(b, []byte("\n")); ok {
			end := ""
			if line, ok = bytes.CutSuffix(line, []byte("\r")); ok {
				end = "\r"
			}
			if line, ok = bytes.CutSuffix(line, []byte(old)); ok {
				b = slices.Concat(line, []byte(now+end+"\n"), rest)
			}
			return b, err
		}
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

// CloseWrite ends what is sent, so that a refusal arrives though audio was not read.
func (c *iceConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

const (
	// freeTries is how many wrong passwords may come from an address, one behind the
	// other. Each one more has it wait, twice as long as the one before.
	freeTries = 5

	maxPenalty = time.Minute

	// maxOffenders bounds how many addresses are remembered.
	maxOffenders = 1000
)

// guard makes guessing passwords slow, and the log short.
type guard struct {
	mu        sync.Mutex
	addresses map[string]*offender
}

// offender is an address that something was refused to.
type offender struct {
	wrong  int       // passwords in a row
	until  time.Time // it is not listened to
	logged time.Time
}

// of returns what is known of an address. The caller holds mu.
func (g *guard) of(address string) *offender {
	if ip, err := netip.ParseAddr(address); err == nil && ip.Is6() && !ip.Is4In6() {
		if net, err := ip.Prefix(64); err == nil { // one subscriber has at least that
			address = net.String()
		}
	}
	o := g.addresses[address]
	if o == nil {
		if g.addresses == nil {
			g.addresses = map[string]*offender{}
		}
		for other := range g.addresses { // any
			if len(g.addresses) < maxOffenders {
				break
			}
			delete(g.addresses, other)
		}
		o = &offender{}
		g.addresses[address] = o
	}
	return o
}

// wait returns how long an address is not listened to.
func (g *guard) wait(address string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Until(g.of(address).until)
}

func (g *guard) wrong(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.of(address)
	if o.wrong++; o.wrong >= freeTries {
		o.until = time.Now().Add(min(maxPenalty, time.Second<<min(o.wrong-freeTries, 10)))
	}
}

func (g *guard) right(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.of(address).wrong = 0
}

// tell reports whether the log is to hear of a refusal: once a minute for each address.
func (g *guard) tell(address string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.of(address)
	if !o.logged.IsZero() && time.Since(o.logged) < time.Minute {
		return false
	}
	o.logged = time.Now()
	return true
}

// host returns the address a request comes from.
func host(r *http.Request) string {
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	return address
}
