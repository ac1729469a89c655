package push

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"icepush/frame"
	"icepush/track"
)

const (
	// quickFor is how long into an outage a server is tried about every half second:
	// most breaks are short, and the show is to be back within a second.
	quickFor = time.Minute
	quick    = 500 * time.Millisecond

	// inUseGrace is how long a server may hold the mount for our own broken connection:
	// Icecast's shipped source-timeout is 10 s, and two more.
	inUseGrace = 12 * time.Second

	// asksAgain is how long an outage has to be for another server to be expected after it.
	asksAgain = 10 * time.Second

	// settled is how long a connection has to hold for a break to be taken for a new
	// one.
	settled = 2 * time.Second
)

// Titles is the way titles go to the server.
type Titles int

const (
	AnyTitles Titles = iota // InBand to servers known to take it, else Admin
	InBand                  // ICY blocks in the stream, exact to the byte
	Admin                   // GET /admin/metadata beside it
)

// Framing is how the body of a PUT is delimited.
type Framing int

const (
	AnyFraming Framing = iota // Chunked to servers known to decode it, else Identity
	Identity                  // the audio as it is, to the end of the connection
	Chunked                   // in chunks (RFC 9112, 7.1)
)

// State is what a Source is doing.
type State int

const (
	Connecting State = iota
	OnAir
	Waiting // to try again
	Ended   // the show is over
	GivenUp // it was refused, or away for too long
)

func (s State) String() string {
	return [...]string{"connecting", "on the air", "waiting", "ended", "given up"}[s]
}

// Status is a Source at one moment.
type Status struct {
	State  State
	Server string        // what the server calls itself, "" when unknown
	Err    error         // why it is off the air, nil on the air
	Queued time.Duration // audio that waits to be sent
	Lost   int           // frames that a live Source dropped

	Since   time.Time     // when it went on the air, or off
	On, Off time.Duration // how long it has been so, in all
	Frames  int64         // that were sent, each counted once
	Bytes   int64         // that were sent, with titles, chunks, and what went again
	Titles  int           // that were sent
	Refused int           // titles the server did not take

	// Rejoined is how often it came back on the air, by what had happened: one of Reasons.
	Rejoined map[string]int
}

// Source sends frames to one mount. Fill in Mount, start Run, then hand it tracks and
// frames. Play and Send never block.
type Source struct {
	Mount   Mount
	Titles  Titles
	Framing Framing

	// Live says that the show runs on while the line is down. Without it no frame is
	// left out, and Ready tells who feeds the Source to wait.
	Live bool

	// Retry is the time between attempts to connect. Zero backs off from half a second
	// to half a minute.
	Retry time.Duration

	// MaxOutage is how long to try to get on the air, or back. Zero is for ever.
	MaxOutage time.Duration

	// KillStale asks the server to drop the source that has the mount, when that may be
	// our own connection which broke. Somebody else's is dropped as well.
	KillStale bool

	// TLS is how the server of an encrypted mount is verified. Nil trusts whom the system
	// trusts.
	TLS *tls.Config

	// Proxy returns the proxy for a request, as in http.Transport. Nil is none.
	Proxy func(*http.Request) (*url.URL, error)

	// Log takes what happens; the mount is not named in it. Nil is slog.Default.
	Log *slog.Logger

	// Dial makes connections. Nil is TCP. A connection with a method
	// BytesAcked() (int64, bool) says how much of what was written has arrived.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	once    sync.Once
	changed chan struct{} // closed and made anew when something below changes

	mu      sync.Mutex
	status  Status
	track   *track.Info // that is being sent
	queue   []queued
	next    int           // of queue: the first frame not written on this connection
	joined  time.Time     // when this connection was taken
	again   time.Duration // audio that goes out first after an outage, in its own time
	resumed time.Duration // of it, gone
	closed  bool
	lost    int
	account

	warned time.Time // of a server that is not verified; for Run alone
}

// update changes what mu guards and wakes who waits for it.
func (s *Source) update(change func()) {
	s.once.Do(func() { s.changed = make(chan struct{}) })
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.mark()
	s.notify()
}

// notify wakes who waits for a change. The caller holds mu.
func (s *Source) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait returns a channel that is closed at the next change. It is to be taken before
// looking at what may change.
func (s *Source) wait() <-chan struct{} {
	s.once.Do(func() { s.changed = make(chan struct{}) })
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Play says that the frames sent from now on are of this track.
func (s *Source) Play(t track.Info) {
	s.update(func() { s.track = &t })
}

// Send puts frames into the queue, to be written together. It keeps their Data.
func (s *Source) Send(frames []frame.Frame) {
	s.update(func() {
		for _, f := range frames {
			s.queue = append(s.queue, queued{Frame: f, track: s.track})
		}
		if s.Live {
			for from := s.next; s.backlog() > keepAudio; from = s.next {
				s.next++
				s.lost++
				s.leftOut(from)
			}
			s.prune(-1)
		}
	})
}

// Close says that no more frames come. Run sends what is queued and returns.
func (s *Source) Close() {
	s.update(func() { s.closed = true })
}

// Status returns what the Source is doing.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Queued, st.Lost = s.backlog(), s.lost
	s.tell(&st)
	return st
}

// Ready waits until the Source is on the air and has not too much to send. Waited says
// that it was off the air meanwhile, and ahead how much audio goes out first then. It
// fails when Run has ended.
func (s *Source) Ready(ctx context.Context) (waited bool, ahead time.Duration, err error) {
	for {
		changed := s.wait()
		s.mu.Lock()
		state, full := s.status.State, s.backlog() >= keepAudio/2
		ahead = max(0, s.again-time.Since(s.joined))
		s.mu.Unlock()
		switch {
		case state == Ended || state == GivenUp:
			return waited, 0, errors.New("the stream has ended")
		case state == OnAir && !full:
			return waited, ahead, nil
		}
		waited = waited || state != OnAir
		select {
		case <-changed:
		case <-ctx.Done():
			return waited, 0, ctx.Err()
		}
	}
}

// Run connects when the first track is played and stays on the air, through outages,
// until Close was called and all is sent, or ctx ends, or a refusal comes that no
// waiting can cure.
func (s *Source) Run(ctx context.Context) error {
	err := s.run(ctx)
	if err == nil || ctx.Err() != nil {
		s.update(func() { s.status.State, s.status.Err = Ended, nil })
		return nil
	}
	s.update(func() { s.status.State, s.status.Err = GivenUp, err })
	return fmt.Errorf("push %s: %w", s.Mount, err)
}

func (s *Source) run(ctx context.Context) error {
	h, ok := s.awaitTrack(ctx)
	if !ok {
		return ctx.Err()
	}
	log := s.log()
	var srv server  // what is known of it
	joined := false // it has been on the air
	out := newOutage()
	how := method{fixed: s.Mount.Protocol}
	var stuck *conn // whose server has stopped reading, and may go on
	defer func() {
		if stuck != nil {
			stuck.close()
		}
	}()
	for {
		if why := s.Status().Err; out.tried && why != nil && s.over() {
			return fmt.Errorf("the show ended while off the air: %w", why)
		}
		out.tried = true
		s.update(func() { s.status.State = Connecting })
		s.warnInsecure()
		var c *conn
		var err error
		held := time.Duration(0)
		if stuck != nil && stuck.moves() {
			c, stuck = stuck, nil
		} else {
			tried := time.Now()
			attempt, cancel := ctx, context.CancelFunc(func() {})
			if s.MaxOutage > 0 {
				attempt, cancel = context.WithDeadline(ctx, out.began.Add(s.MaxOutage))
			}
			if srv.software == "" || time.Since(out.began) > asksAgain {
				srv, err = s.know(attempt, srv)
			}
			if err == nil {
				c, err = s.connect(attempt, srv, how.next(), h)
			}
			cancel()
			if errors.Is(err, context.DeadlineExceeded) {
				err = errSilent
				// Cut short by MaxOutage it says less than the attempts before it.
				if why := s.Status().Err; why != nil && time.Since(tried) < preflightTimeout {
					err = why
				}
			}
		}
		if err == nil {
			if stuck != nil { // the server has another source now: it has dropped this one
				s.leave(stuck, errStuck)
				stuck = nil
			}
			onAir := time.Now()
			err = s.air(ctx, c, joined, out)
			joined = true
			s.broke(err)
			if errors.Is(err, errStuck) && c.resumable() {
				stuck = c
			} else {
				s.leave(c, err)
			}
			if err == nil {
				return nil
			}
			switch held = time.Since(onAir); {
			case held >= settled:
				out = newOutage()
				out.proved = true
			default:
				out.flaps++
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if how.failed(err, srv, out) {
			log.Debug("PUT is not known there: trying SOURCE", "err", err)
			continue
		}
		if s.freed(ctx, err, out) {
			err = errFreed
		}

		wait, fatal := s.pause(err, held, out)
		switch {
		case fatal:
			return err
		case s.MaxOutage > 0 && time.Since(out.began)+wait > s.MaxOutage:
			return &OutageError{s.MaxOutage, err}
		case s.over():
			return fmt.Errorf("the show ended while off the air: %w", err)
		}
		out.note(log, err)
		s.update(func() { s.status.State, s.status.Err = Waiting, err })
		if err := s.rest(ctx, wait, stuck); err != nil {
			return err
		}
	}
}

// air is the time on the air on one connection, again or for the first time.
func (s *Source) air(ctx context.Context, c *conn, again bool, out *outage) error {
	log, off := s.log(), time.Since(out.began).Round(time.Millisecond)
	ahead := s.join(again, c.server).Round(time.Millisecond)
	back := func() { log.Info("back on the air", "off", off, "again", ahead) }
	switch {
	case !again:
		log.Info("on the air", "server", c.server.software, "framing", c.framed(), "titles", c.titles())
		out.noted = time.Time{}
	case out.flaps < 2:
		back()
		out.noted = time.Time{}
	default: // it may be gone again at once
		later := time.AfterFunc(settled, back)
		defer later.Stop()
	}
	return s.stream(ctx, c)
}

// rest waits before the next attempt, or until a server that had stopped reading goes
// on, or there is nothing to wait for any more.
func (s *Source) rest(ctx context.Context, wait time.Duration, stuck *conn) error {
	for end := time.Now().Add(wait); ; {
		changed := s.wait()
		if s.over() {
			return nil
		}
		step := time.Until(end)
		if stuck != nil {
			step = min(step, 250*time.Millisecond)
		}
		select {
		case <-time.After(step):
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
		if time.Until(end) <= 0 || stuck != nil && stuck.moves() {
			return nil
		}
	}
}

// leave ends a connection, for a reason. What has not arrived goes again on the next. A
// program that dies with something unread has its system send RST.
func (s *Source) leave(c *conn, why error) {
	acked, unsure := c.acked()
	if isReset(why) {
		unsure = max(unsure, unsureRead)
	}
	c.close()
	s.update(func() {
		s.arrived(acked)
		s.rewind(acked, unsure)
	})
}

// know asks the server what it is. What was known stays when it does not answer.
func (s *Source) know(ctx context.Context, known server) (server, error) {
	srv, err := s.ask(ctx)
	switch {
	case err != nil:
		return known, err
	case srv.software == "" && known.software != "":
		return known, nil
	case srv.proxy && !srv.chunked && s.Framing == AnyFraming && s.Mount.Protocol != ICY:
		return srv, errProxy
	}
	return srv, nil
}

// method is the verb to ask for a mount with: PUT, until that turns out not to be known.
type method struct {
	fixed    Protocol // when it is not ours to choose
	legacy   bool     // PUT is not known there
	silences int      // PUTs in a row without an answer
}

// next returns how to ask. Servers that know no PUT may not answer it at all: every
// second silence has SOURCE tried once.
func (m *method) next() Protocol {
	switch {
	case m.fixed != AnyProtocol:
		return m.fixed
	case m.legacy || m.silences == 2:
		return SOURCE
	}
	return PUT
}

// failed takes note of how an attempt ended. It reports whether another is to follow at
// once, with SOURCE.
func (m *method) failed(err error, srv server, out *outage) (again bool) {
	var status *StatusError
	unknown := errors.As(err, &status) && !errors.As(err, new(*ProxyError)) &&
		(status.Code == http.StatusMethodNotAllowed || status.Code == http.StatusNotImplemented)
	switch {
	case m.fixed != AnyProtocol:
	case m.next() == PUT && unknown:
		m.legacy = true
		return true
	case errors.Is(err, errSilent) && m.silences < 2 && !out.proved && !srv.chunked:
		m.silences++
	default:
		m.silences = 0
	}
	return false
}

// freed has the server drop the source that has our mount, once in an outage, when
// that is asked for and the source may be our own of before.
func (s *Source) freed(ctx context.Context, err error, out *outage) bool {
	if !s.KillStale || out.killed || !out.proved || remedyFor(err) != waitInUse || time.Since(out.began) > inUseGrace {
		return false
	}
	out.killed = true
	resp, err := s.request(ctx, http.MethodGet, "/admin/killsource?mount="+url.QueryEscape(s.Mount.Path), s.Mount.authorization(), nil)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = &StatusError{Code: resp.StatusCode, Reason: message(string(resp.body))}
	}
	if err != nil {
		s.log().Warn("the mount is not freed: it is waited for", "err", err)
		return false
	}
	s.log().Info("the server has dropped our old connection")
	return true
}

// warnInsecure says once an hour that nobody knows who the server is.
func (s *Source) warnInsecure() {
	if s.Mount.TLS && s.TLS != nil && s.TLS.InsecureSkipVerify && time.Since(s.warned) >= time.Hour {
		s.warned = time.Now()
		s.log().Warn("the server's certificate is not verified: anyone in between can take the password and the stream")
	}
}

// join puts the Source on the air and returns how much audio goes out at once.
func (s *Source) join(again bool, srv server) (ahead time.Duration) {
	s.update(func() {
		if s.Live {
			s.present()
		}
		s.status = Status{State: OnAir, Server: srv.software}
		s.joins(again)
		ahead = s.backlog()
		s.joined, s.again, s.resumed = time.Now(), ahead, 0
		if s.Live || !again {
			s.resumed = ahead // at once
		}
	})
	return ahead
}

// outage is a time off the air, the one before the first connection included.
type outage struct {
	proved bool // the mount has been ours before, for long enough to tell
	killed bool // the server was asked to drop who has it
	tried  bool // there was an attempt
	flaps  int  // how often it was on the air meanwhile, for a moment
	began  time.Time
	noted  time.Time // when the log last told of it
	slow   *backoff.ExponentialBackOff
}

func newOutage() *outage {
	o := &outage{began: time.Now(), slow: &backoff.ExponentialBackOff{
		InitialInterval: quick, RandomizationFactor: 0.3, Multiplier: 2, MaxInterval: 30 * time.Second,
	}}
	o.slow.Reset()
	return o
}

// note logs the outage when it begins, and then once a minute.
func (o *outage) note(log *slog.Logger, err error) {
	attrs := []any{"err", err}
	if hint := Hint(err); hint != "" {
		attrs = append(attrs, "hint", hint)
	}
	switch {
	case o.noted.IsZero():
		log.Warn("off the air, trying again", attrs...)
	case time.Since(o.noted) >= time.Minute:
		log.Warn("still off the air", append(attrs, "for", time.Since(o.began).Round(time.Second))...)
	default:
		return
	}
	o.noted = time.Now()
}

// over reports whether the Source is live, and the show over: nothing has to be
// delivered then.
func (s *Source) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed && s.Live
}

func (s *Source) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.Default()
}

// awaitTrack waits for the first track: the request describes its first frame.
func (s *Source) awaitTrack(ctx context.Context) (h frame.Header, ok bool) {
	for {
		changed := s.wait()
		s.mu.Lock()
		t, closed := s.track, s.closed
		s.mu.Unlock()
		switch {
		case t != nil:
			return t.Header, true
		case closed:
			return h, false
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return h, false
		}
	}
}

// pause says how long to wait before the next attempt, or that there is no point in
// one. Held is how long the last connection was on the air.
func (s *Source) pause(err error, held time.Duration, out *outage) (wait time.Duration, fatal bool) {
	down := time.Since(out.began)
	r := remedyFor(err)
	switch {
	case errors.Is(err, errClosed) && !out.proved && down >= quickFor:
		r = giveUp // what stands before a server that is not up yet does this, too
	case errors.Is(err, errEnded) && !out.proved && held > 0:
		r = waitInUse // liquidsoap says yes first
	case r == giveUpUnproved && !out.proved:
		r = giveUp
	}
	jitter := func(d time.Duration) time.Duration {
		b := backoff.ExponentialBackOff{InitialInterval: d, RandomizationFactor: 0.3, Multiplier: 1, MaxInterval: d}
		b.Reset()
		return b.NextBackOff()
	}
	switch {
	case r == giveUp:
		return 0, true
	case r == giveUpUnproved:
		return jitter(30 * time.Second), false
	case r == retryLater:
		return jitter(15 * time.Second), false
	case r == waitInUse && down < inUseGrace+quick:
		return jitter(time.Second), false
	case r == waitInUse:
		return jitter(10 * time.Second), false
	case s.Retry > 0:
		return s.Retry, false
	case down < quickFor || isDial(err) && !isTimeout(err):
		// While nothing listens an attempt costs the server nothing.
		return jitter(quick), false
	}
	return out.slow.NextBackOff(), false
}

// stream sends frames on a connection until it breaks or the show is over; only then it
// returns nil.
func (s *Source) stream(ctx context.Context, c *conn) (err error) {
	titles := newAnnouncer(ctx, s, c)
	stop := context.AfterFunc(ctx, func() { c.Close() }) // a write may be stuck
	defer func() {
		stop()
		titles.stop()
	}()
	doubts := newDoubts(ctx, s, c)
	defer doubts.stop()
	if err := c.put(nil); err != nil {
		return broken(c, err)
	}
	var buf []byte
	for {
		changed := s.wait()
		if doubts.confirmed() {
			return errStuck
		}
		var pause time.Duration
		var done bool
		if buf, pause, done = s.take(c, titles, buf[:0]); len(buf) > 0 {
			if err := c.write(buf); err != nil {
				return broken(c, err)
			}
			titles.sent()
			s.forget(c)
			s.warnInsecure()
			continue
		}
		if done {
			c.finish()
			s.forget(c)
			acked, unsure := c.acked()
			if !c.ogg { // pages are read whole
				acked -= acked % block
			}
			if unsure == 0 && acked < c.ends && !s.Live {
				return errUnheard
			}
			return nil
		}
		var resume <-chan time.Time
		if pause > 0 {
			resume, changed = time.After(pause), nil
		}
		select {
		case <-changed:
		case <-resume:
		case a, ok := <-c.answers:
			if err := ending(a, ok, c.server); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// forget drops frames that have arrived.
func (s *Source) forget(c *conn) {
	acked, _ := c.acked()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrote(c)
	s.arrived(acked)
	s.prune(acked)
}

// broken says why a write failed: what the server said before it hung up tells more than
// the write.
func broken(c *conn, err error) error {
	select {
	case a, ok := <-c.answers:
		if said := ending(a, ok, c.server); said != nil && !isReset(said) {
			return said
		}
	case <-time.After(100 * time.Millisecond):
	}
	return err
}

// ending says how an answer during the stream ends it; a late 200 of a server that has
// accepted already does not.
func ending(a answer, ok bool, srv server) error {
	switch {
	case !ok:
		return errEnded
	case a.err != nil:
		return a.err
	case a.code >= 300:
		return a.refused(srv)
	}
	return nil
}
