package push

import (
	"sort"
	"time"

	"icepush/frame"
	"icepush/track"
)

// This is the queue of a Source: frames that wait to be sent, and those sent that may
// have to go again. All of it is guarded by the Source's mu.

const (
	// keepAudio is how much audio may wait to be sent. A Source that is not live asks
	// for no more then; a live one loses its oldest frames.
	keepAudio = 10 * time.Second

	// keepSent is how much audio that has arrived is kept: a server may have it and not
	// have read it, which is noticed later.
	keepSent = 10 * time.Second
)

// queued is a frame to be sent, or sent and not yet known to have arrived.
type queued struct {
	frame.Frame
	track   *track.Info
	end     int64 // where it ends in the body of this connection, once written
	arrived bool  // on an earlier connection: it goes again for its bits alone
}

// backlog returns how much audio waits to be written.
func (s *Source) backlog() time.Duration {
	var seconds float64
	for _, q := range s.queue[s.next:] {
		seconds += float64(q.Samples) / float64(q.SampleRate)
	}
	return time.Duration(seconds * float64(time.Second))
}

// prune forgets frames that are not needed any more: those that have arrived (acked
// bytes of the body; -1 for all that was sent) and were read, but for the ones whose
// bits a frame sent again would need.
func (s *Source) prune(acked int64) {
	i := s.next
	if acked >= 0 {
		i = sort.Search(s.next, func(i int) bool { return s.queue[i].end > acked })
	}
	if i = s.before(i, keepSent) - frame.MaxBefore; i > 64 { // not for every frame
		n := copy(s.queue, s.queue[i:])
		clear(s.queue[n:])
		s.queue = s.queue[:n]
		s.next -= i
		s.gone += int64(i)
	}
}

// before returns the index of the frame that is so much audio before another.
func (s *Source) before(i int, d time.Duration) int {
	for left := d.Seconds(); i > 0 && left > 0; i-- {
		left -= float64(s.queue[i-1].Samples) / float64(s.queue[i-1].SampleRate)
	}
	return i
}

// rewind makes the first frame that may not have been heard the next to be sent, with
// the frames before it that its bit reservoir needs. Acked is what of the body has
// arrived; an incomplete block at its end does not reach listeners.
func (s *Source) rewind(acked int64, unsure time.Duration) {
	behind := func(n int64) int {
		return sort.Search(s.next, func(i int) bool { return s.queue[i].end > n })
	}
	if i := s.before(behind(acked), unsure); unsure > 0 && i > 0 {
		acked = s.queue[i-1].end // the server's last block may have ended anywhere from here on
	} else if unsure > 0 {
		acked = 0
	}
	i := behind(acked - acked%block)
	if s.gone > s.acked { // these are not there any more
		s.unheard.add(s.acked, s.gone)
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

// whole returns from which frame on to send so that frame i can be decoded.
func (s *Source) whole(i int) int {
	if i >= len(s.queue) {
		return i
	}
	return frame.From(i, func(i int) frame.Frame { return s.queue[i].Frame })
}

// present skips what a live Source is too late for: what stays is what a listener hears
// within a second.
func (s *Source) present() {
	from := s.next
	for second := s.backlog().Seconds() - 1; second > 0; s.next++ {
		second -= float64(s.queue[s.next].Samples) / float64(s.queue[s.next].SampleRate)
		s.lost++
	}
	s.next = s.whole(s.next)
	s.leftOut(from)
}

// resumeAhead is how much audio goes out at once when the stream is back, and resumeStep
// how much at a time then.
const (
	resumeAhead = time.Second
	resumeStep  = 200 * time.Millisecond
)

// take appends to b the bytes that are to be written now, with their titles: all queued
// frames. But what has to go again after an outage goes in its own time: who listens
// again a moment later gets no more of what was before than the server's burst. Wait is
// how long to wait for the next of that then. Done says that nothing is left to send,
// and nothing more comes.
func (s *Source) take(c *conn, titles *announcer, b []byte) (_ []byte, wait time.Duration, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.backlog() >= keepAudio/2 {
		defer s.notify() // Ready waits for that
	}
	for ; s.next < len(s.queue); s.next++ {
		q := &s.queue[s.next]
		if s.resumed < s.again {
			if s.resumed > resumeAhead+time.Since(s.joined) {
				return b, resumeStep, false
			}
			s.resumed += q.Lasts()
		}
		titles.playing(q.track, c.written+int64(len(b)))
		title := ""
		if q.track != nil {
			title = q.track.StreamTitle
		}
		b = c.append(b, q.Frame, title)
		q.end = c.written + int64(len(b))
		c.last, c.ends = q.Frame, q.end
	}
	return b, 0, len(b) == 0 && s.closed
}
