package push

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
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

	// keepAudio is how much audio may wait to be sent. A Source that is not live asks
	// for no more then; a live one loses its oldest frames.
	keepAudio = 10 * time.Second

	// reservoirFrames is the most frames a frame's bit reservoir reaches back.
	reservoirFrames = 9

	// asksAgain is how long an outage has to be for another server to be expected after it.
	asksAgain = 10 * time.Second

	// settled is how long a connection has to hold for a break to be taken for a new
	// one.
	settled = 2 * time.Second
)

// Titles is the way titles go to the server.
type Titles int

const (
	Auto   Titles = iota // InBand to servers known to take it, else Admin
	InBand               // ICY blocks in the stream, exact to the byte
	Admin                // GET /admin/metadata beside it
)

// State is what a Source is doing.
type State int

const (
	Connecting State = iota
	OnAir
	Waiting // to try again
	Ended
)

func (s State) String() string {
	return [...]string{"connecting", "on the air", "waiting", "ended"}[s]
}

// Status is a Source at one moment.
type Status struct {
	State  State
	Server string        // what the server calls itself, "" when unknown
	Err    error         // why it is off the air, nil on the air
	Queued time.Duration // audio that waits to be sent
	Lost   int           // frames that a live Source dropped
}

// Source sends frames to one mount. Fill in Mount, start Run, then hand it tracks and
// frames. Play and Send never block.
type Source struct {
	Mount  Mount
	Titles Titles

	// Live says that the show runs on while the line is down. Without it no frame is
	// left out, and Ready tells who feeds the Source to wait.
	Live bool

	// Retry is the time between attempts to connect. Zero backs off from half a second
	// to half a minute.
	Retry time.Duration

	// MaxOutage is how long to try to get on the air, or back. Zero is for ever.
	MaxOutage time.Duration

	// Log takes what happens. Nil is slog.Default.
	Log *slog.Logger

	// Dial makes connections. Nil is TCP. A connection with a method
	// BytesAcked() (int64, bool) says how much of what was written has arrived.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	once    sync.Once
	changed chan struct{} // closed and made anew when something below changes

	mu     sync.Mutex
	status Status
	track  *track.Info // that is being sent
	queue  []queued
	next   int           // of queue: the first frame not written on this connection
	again  time.Duration // audio that went out first after the last outage
	closed bool
	lost   int
}

// queued is a frame to be sent, or sent and not yet known to have arrived.
type queued struct {
	frame.Frame
	track   *track.Info
	end     int64 // where it ends in the body of this connection, once written
	arrived bool  // on an earlier connection: it goes again for its bits alone
}

// update changes what mu guards and wakes who waits for it.
func (s *Source) update(change func()) {
	s.once.Do(func() { s.changed = make(chan struct{}) })
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
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
			for s.backlog() > keepAudio {
				s.next++
				s.lost++
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
		ahead = s.again
		s.mu.Unlock()
		switch {
		case state == Ended:
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

// backlog returns how much audio waits to be written. The caller holds mu.
func (s *Source) backlog() time.Duration {
	var seconds float64
	for _, q := range s.queue[s.next:] {
		seconds += float64(q.Samples) / float64(q.SampleRate)
	}
	return time.Duration(seconds * float64(time.Second))
}

// prune forgets frames that are not needed any more: those that have arrived (acked
// bytes of the body; -1 when that is not known) but for the ones whose bits a frame
// sent again would need. The caller holds mu.
func (s *Source) prune(acked int64) {
	i := 0
	if acked >= 0 {
		for i < s.next && s.queue[i].end <= acked {
			i++
		}
	} else { // the last second may not have arrived
		i = s.next
		for second := 1.0; i > 0 && second > 0; i-- {
			second -= float64(s.queue[i-1].Samples) / float64(s.queue[i-1].SampleRate)
		}
	}
	if i -= reservoirFrames; i > 64 { // not for every frame
		n := copy(s.queue, s.queue[i:])
		clear(s.queue[n:])
		s.queue = s.queue[:n]
		s.next -= i
	}
}

// rewind makes the first frame that may not have arrived the next to be sent, with the
// frames before it that its bit reservoir needs. The caller holds mu.
func (s *Source) rewind(acked int64, known bool) {
	i := s.next
	if known {
		for i > 0 && s.queue[i-1].end > acked {
			i--
		}
	} else {
		for second := 1.0; i > 0 && second > 0; i-- {
			second -= float64(s.queue[i-1].Samples) / float64(s.queue[i-1].SampleRate)
		}
	}
	for j := range s.queue {
		s.queue[j].end = 0
		s.queue[j].arrived = s.queue[j].arrived || j < i
	}
	for i < len(s.queue) && s.queue[i].arrived {
		i++
	}
	s.next = s.whole(i)
}

// whole returns from which frame on to send so that the bit reservoir of frame i is
// complete. The caller holds mu.
func (s *Source) whole(i int) int {
	if i >= len(s.queue) {
		return i
	}
	needs, _ := s.queue[i].Reservoir()
	from := i
	for needs > 0 && from > 0 && i-from < reservoirFrames {
		from--
		_, brings := s.queue[from].Reservoir()
		needs -= brings
	}
	return from
}

// present skips what a live Source is too late for: what stays is what a listener hears
// within a second. The caller holds mu.
func (s *Source) present() {
	for second := s.backlog().Seconds() - 1; second > 0; s.next++ {
		second -= float64(s.queue[s.next].Samples) / float64(s.queue[s.next].SampleRate)
		s.lost++
	}
	s.next = s.whole(s.next)
}

// Run connects when the first track is played and stays on the air, through outages,
// until Close was called and all is sent, or ctx ends, or a refusal comes that no
// waiting can cure.
func (s *Source) Run(ctx context.Context) error {
	err := s.run(ctx)
	s.update(func() { s.status.State, s.status.Err = Ended, err })
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("push %s: %w", s.Mount, err)
	}
	return nil
}

func (s *Source) run(ctx context.Context) error {
	h, ok := s.awaitTrack(ctx)
	if !ok {
		return ctx.Err()
	}
	log := s.log()
	var srv server  // what is known of it
	worked := false // this mount has been on the air
	out := newOutage()
	out.first = true
	for {
		s.update(func() { s.status.State = Connecting })
		held, err := time.Duration(0), error(nil)
		if srv.software == "" || time.Since(out.began) > asksAgain {
			if srv, err = s.ask(ctx); err == nil && srv.proxy {
				err = errProxy
			}
		}
		var c *conn
		if err == nil {
			c, err = s.connect(ctx, srv, h)
		}
		if err == nil {
			ahead := s.join(worked, srv)
			if worked {
				log.Info("back on the air", "off", time.Since(out.began).Round(time.Millisecond), "again", ahead.Round(time.Millisecond))
			} else {
				log.Info("on the air", "server", srv.software, "titles", c.titles())
			}
			worked = true
			onAir := time.Now()
			if err = s.stream(ctx, c); err == nil {
				return nil
			}
			if held = time.Since(onAir); held >= settled {
				out = newOutage()
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}

		wait, fatal := s.pause(err, worked, held, out)
		switch {
		case fatal:
			return err
		case s.MaxOutage > 0 && time.Since(out.began)+wait > s.MaxOutage:
			return &OutageError{s.MaxOutage, err}
		case s.over():
			return fmt.Errorf("the show ended while off the air: %w", err)
		}
		out.note(log, s.Mount, err)
		s.update(func() { s.status.State, s.status.Err = Waiting, err })
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// join puts the Source on the air and returns how much audio goes out at once.
func (s *Source) join(again bool, srv server) (ahead time.Duration) {
	s.update(func() {
		if s.Live && again {
			s.present()
		}
		s.status = Status{State: OnAir, Server: srv.software}
		ahead = s.backlog()
		s.again = ahead
	})
	return ahead
}

// outage is a time off the air, the one before the first connection included.
type outage struct {
	first bool // nothing has lasted yet
	began time.Time
	noted time.Time // when the log last told of it
	slow  *backoff.ExponentialBackOff
}

func newOutage() *outage {
	o := &outage{began: time.Now(), slow: &backoff.ExponentialBackOff{
		InitialInterval: quick, RandomizationFactor: 0.3, Multiplier: 2, MaxInterval: 30 * time.Second,
	}}
	o.slow.Reset()
	return o
}

// note logs the outage when it begins, and then once a minute.
func (o *outage) note(log *slog.Logger, mount Mount, err error) {
	attrs := []any{"mount", mount.String(), "err", err}
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
func (s *Source) pause(err error, worked bool, held time.Duration, out *outage) (wait time.Duration, fatal bool) {
	down := time.Since(out.began)
	r := retry
	var status *StatusError
	switch {
	case errors.As(err, &status):
		r = status.remedy()
	case errors.Is(err, errProxy):
		r = giveUp
	case errors.Is(err, errClosed) && !worked && down >= quickFor:
		r = giveUp // what stands before a server that is not up yet does this, too
	case errors.Is(err, errEnded) && out.first && held > 0 && held < settled:
		r = waitInUse // liquidsoap says yes first
	}
	jitter := func(d time.Duration) time.Duration {
		b := backoff.ExponentialBackOff{InitialInterval: d, RandomizationFactor: 0.3, Multiplier: 1, MaxInterval: d}
		b.Reset()
		return b.NextBackOff()
	}
	switch {
	case r == giveUp:
		return 0, true
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

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// stream sends frames on a connection until it breaks or the show is over; only then it
// returns nil.
func (s *Source) stream(ctx context.Context, c *conn) (err error) {
	titles := newAnnouncer(ctx, s, c)
	defer func() {
		titles.stop()
		acked, known := c.acked()
		c.close()
		s.update(func() { s.rewind(acked, known) })
	}()
	var buf []byte
	for {
		changed := s.wait()
		var done bool
		if buf, done = s.take(c, titles, buf[:0]); len(buf) > 0 {
			if err := c.write(buf); err != nil {
				return broken(c, err)
			}
			titles.sent()
			s.forget(c)
			continue
		}
		if done {
			c.finish()
			if acked, known := c.acked(); known && acked < c.ends && !s.Live {
				return errUnheard
			}
			return nil
		}
		select {
		case <-changed:
		case a, ok := <-c.answers:
			if err := ending(a, ok); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take appends to b the bytes that are to be written now: all queued frames, with
// their titles. Done says that nothing is left to send, and nothing more comes.
func (s *Source) take(c *conn, titles *announcer, b []byte) (_ []byte, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.backlog() >= keepAudio/2 {
		defer s.notify() // Ready waits for that
	}
	for ; s.next < len(s.queue); s.next++ {
		q := &s.queue[s.next]
		titles.playing(q.track, c.written+int64(len(b)))
		if c.icy != nil {
			b = c.icy.append(b, q.Data, q.Ending)
		} else {
			b = append(b, q.Data...)
		}
		q.end = c.written + int64(len(b))
		c.last, c.ends = q.Header, q.end
	}
	return b, len(b) == 0 && s.closed
}

// forget drops frames that have arrived.
func (s *Source) forget(c *conn) {
	acked, known := c.acked()
	if !known {
		acked = -1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune(acked)
}

// broken says why a write failed: what the server said before it hung up tells more than
// the write.
func broken(c *conn, err error) error {
	select {
	case a, ok := <-c.answers:
		if said := ending(a, ok); said != nil && !isReset(said) {
			return said
		}
	case <-time.After(100 * time.Millisecond):
	}
	return err
}

// ending says how an answer during the stream ends it; a late 200 of a server that has
// accepted already does not.
func ending(a answer, ok bool) error {
	switch {
	case !ok:
		return errEnded
	case a.err != nil:
		return a.err
	case a.code >= 300:
		return a.refused()
	}
	return nil
}
