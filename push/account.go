package push

import (
	"cmp"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"slices"
	"syscall"
	"time"
)

// account is what a Source counts. All of it is guarded by the Source's mu. Frames have
// numbers, from 0 on, as they were handed to Send.
type account struct {
	began, since time.Time // of all, and of the state it is in
	onAir        bool
	on           time.Duration // before since
	gone         int64         // the number of queue[0]
	written      int64         // frames before this number have been written, but for the unsent
	acked        int64         // and these have arrived, but for the unheard
	unsent       spans
	unheard      spans
	left         int64 // how many were never sent
	bytes        int64
	titles       int
	refused      int
	reason       string // why it is off the air
	rejoined     map[string]int
}

// Reasons are the words for why a Source was off the air.
var Reasons = []string{"closed", "reset", "dead line", "stuck", "refused", "in use", "password", "silent", "unreachable", "name", "tls", "proxy", "other"}

// reasonFor returns the word for an error.
func reasonFor(err error) string {
	var status *StatusError
	isStatus := errors.As(err, &status)
	switch {
	case Denied(err):
		return "password"
	case isStatus && status.InUse(), errors.Is(err, errFreed):
		return "in use"
	case errors.As(err, new(*ProxyError)), errors.Is(err, errProxy), errors.Is(err, errHalf):
		return "proxy"
	case isStatus:
		return "refused"
	case errors.As(err, new(*TLSError)), errors.Is(err, errHandshake), errors.As(err, new(tls.AlertError)):
		return "tls"
	case errors.Is(err, errStuck):
		return "stuck"
	case errors.Is(err, errDead), errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, errUnheard):
		return "dead line"
	case errors.Is(err, errClosed), errors.Is(err, errEnded):
		return "closed"
	case isReset(err):
		return "reset"
	case errors.As(err, new(*net.DNSError)):
		return "name"
	case isDial(err):
		return "unreachable"
	case errors.Is(err, errSilent), isTimeout(err):
		return "silent"
	}
	return "other"
}

// mark notes when the Source goes on the air, or off.
func (s *Source) mark() {
	now, onAir := time.Now(), s.status.State == OnAir
	switch {
	case s.since.IsZero():
		s.began, s.since, s.onAir = now, now, onAir
	case onAir != s.onAir:
		if s.onAir {
			s.on += now.Sub(s.since)
		}
		s.since, s.onAir = now, onAir
	}
}

// tell puts what has been counted into a Status.
func (s *Source) tell(st *Status) {
	if !s.since.IsZero() {
		now := time.Now()
		st.Since, st.On = s.since, s.on
		if s.onAir {
			st.On += now.Sub(s.since)
		}
		st.Off = now.Sub(s.began) - st.On
	}
	st.Frames, st.Bytes = s.written-s.left, s.bytes
	st.Titles, st.Refused, st.Rejoined = s.titles, s.refused, maps.Clone(s.rejoined)
}

// broke notes why the Source is off the air: what happened first counts.
func (s *Source) broke(err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reason = cmp.Or(s.reason, reasonFor(err))
}

// joins notes that it is on the air, again or for the first time.
func (s *Source) joins(again bool) {
	if again {
		if s.rejoined == nil {
			s.rejoined = map[string]int{}
		}
		s.rejoined[cmp.Or(s.reason, "other")]++
	}
	s.reason = ""
}

// titled counts a title.
func (s *Source) titled(sent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sent {
		s.titles++
	} else {
		s.refused++
	}
}

// wrote notes that all frames before next have been written to a connection.
func (s *Source) wrote(c *conn) {
	s.written = max(s.written, s.gone+int64(s.next))
	out := c.out - c.header
	s.bytes += out - c.counted
	c.counted = out
}

// arrived notes that so many bytes of the body have reached the server.
func (s *Source) arrived(acked int64) {
	n := 0
	for n < s.next && s.queue[n].end <= acked {
		n++
	}
	s.acked = max(s.acked, s.gone+int64(n))
}

// leftOut notes that the frames from this index of the queue to next are left out.
func (s *Source) leftOut(from int) {
	a, b := s.gone+int64(from), s.gone+int64(s.next)
	if b <= a {
		return
	}
	s.unheard.add(max(a, s.acked), b)
	if a = max(a, s.written); b > a {
		s.left += b - a
		s.unsent.add(a, b)
		s.written = b
	}
}

// Delivered says what became of the frames from one number up to another, counted from 0 as
// they came: how many were sent, and how many have reached the server, as far as the system
// tells: where it does not, that is all that were sent. Settled says that neither changes any
// more.
func (s *Source) Delivered(from, to int64) (sent, acknowledged int64, settled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := func(end int64, without spans) int64 {
		if end = min(end, to); end <= from {
			return 0
		}
		return end - from - without.in(from, end)
	}
	sent, acknowledged = count(s.written, s.unsent), count(s.acked, s.unheard)
	state := s.status.State
	return sent, acknowledged, state == Ended || state == GivenUp || acknowledged+s.unheard.in(from, to) >= to-from
}

// spans are numbers, in rows that neither touch nor overlap, in order.
type spans [][2]int64

// maxSpans is how many rows are remembered: the oldest are forgotten.
const maxSpans = 1000

// add adds the numbers from a up to b.
func (s *spans) add(a, b int64) {
	if b <= a {
		return
	}
	i := slices.IndexFunc(*s, func(r [2]int64) bool { return r[1] >= a })
	if i < 0 {
		i = len(*s)
	}
	j := i
	for ; j < len(*s) && (*s)[j][0] <= b; j++ {
		a, b = min(a, (*s)[j][0]), max(b, (*s)[j][1])
	}
	*s = slices.Replace(*s, i, j, [2]int64{a, b})
	if len(*s) > maxSpans {
		*s = slices.Delete(*s, 0, 1)
	}
}

// in returns how many of the numbers are from a up to b.
func (s spans) in(a, b int64) (n int64) {
	for _, r := range s {
		n += max(0, min(b, r[1])-max(a, r[0]))
	}
	return n
}
