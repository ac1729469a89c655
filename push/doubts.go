package push

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

const (
	// doubtAfter is how long a server may not be seen to read before it is asked.
	doubtAfter = 5 * time.Second

	// doubtAgain is how long an answer is good for.
	doubtAgain = 30 * time.Second
)

// doubts looks whether a server still reads what it is sent. When that cannot be seen,
// it asks it something on another connection: one that has stopped, or stands behind
// something that has, does not answer.
type doubts struct {
	source *Source
	conn   *conn
	line   watcher // nil where nothing can be seen
	ctx    context.Context
	cancel context.CancelFunc

	asked   time.Time
	asking  sync.WaitGroup
	answers chan bool // of one question: whether there was one
}

func newDoubts(ctx context.Context, s *Source, c *conn) *doubts {
	ctx, cancel := context.WithCancel(ctx)
	return &doubts{source: s, conn: c, line: watched(c.Conn), ctx: ctx, cancel: cancel, answers: make(chan bool, 1)}
}

// stop ends a question that is under way.
func (d *doubts) stop() {
	d.cancel()
	d.asking.Wait()
}

// confirmed reports whether the server has stopped reading. It does not wait.
func (d *doubts) confirmed() bool {
	if d.line == nil {
		return false
	}
	select {
	case answered := <-d.answers:
		d.line.Settle(answered)
		return !answered
	default:
	}
	if time.Since(d.asked) < doubtAgain || d.line.Doubt() < doubtAfter {
		return false
	}
	d.asked = time.Now()
	d.asking.Go(func() {
		_, err := d.source.request(d.ctx, http.MethodGet, "/status-json.xsl", "", d.conn)
		d.answers <- !isTimeout(err) && !errors.Is(err, errHandshake)
	})
	return false
}
