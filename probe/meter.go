package probe

import (
	"io"
	"time"
)

// maxRecent is how much of what came last is kept, to look at what was no audio. It is
// more than a frame.Reader reads ahead.
const maxRecent = 256 << 10

// meter notes when the bytes of a stream come.
type meter struct {
	src         io.Reader
	first, last time.Time // when the first byte came, and the last
	n           int64     // bytes so far
	gap, gapAt  time.Duration
	came        []arrival // that nobody has asked for yet
	recent      []byte    // the last of what has come
}

// arrival says that so many bytes had come at a time, counted from the first byte.
type arrival struct {
	bytes int64
	at    time.Duration
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.src.Read(p)
	if n <= 0 {
		return n, err
	}
	now := time.Now()
	if m.n == 0 {
		m.first = now
	} else {
		m.pause(now)
	}
	m.last = now
	m.n += int64(n)
	at := now.Sub(m.first)
	if i := len(m.came) - 1; i >= 0 && at-m.came[i].at < time.Millisecond {
		m.came[i].bytes = m.n
	} else {
		m.came = append(m.came, arrival{m.n, at})
	}
	if len(m.recent)+n > 2*maxRecent {
		m.recent = m.recent[:copy(m.recent, m.recent[max(0, len(m.recent)-maxRecent):])]
	}
	m.recent = append(m.recent, p[:n]...)
	return n, err
}

// pause notes that nothing has come since the last byte.
func (m *meter) pause(until time.Time) {
	if m.n == 0 {
		return
	}
	if gap := until.Sub(m.last); gap > m.gap {
		m.gap, m.gapAt = gap, m.last.Sub(m.first)
	}
}

// when returns when the bytes before an offset had come. Offsets have to rise.
func (m *meter) when(end int64) time.Duration {
	for len(m.came) > 1 && m.came[0].bytes < end {
		m.came = m.came[1:]
	}
	if len(m.came) == 0 {
		return 0
	}
	return m.came[0].at
}

// sample returns the bytes from an offset on, at most n, as far as they are kept.
func (m *meter) sample(offset int64, n int64) []byte {
	from := offset - (m.n - int64(len(m.recent)))
	to := min(from+n, int64(len(m.recent)))
	from = max(0, from)
	if from >= to {
		return nil
	}
	return m.recent[from:to]
}
