package nowplaying

import (
	"bufio"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	// pingEvery is how often a client is asked whether it is there, and pongTimeout how long
	// it may take to say so: who has gone without a word is let go within a minute.
	pingEvery   = 20 * time.Second
	pongTimeout = 20 * time.Second
)

// socket tells a client over WebSocket. A client has nothing to say: one that does is let
// go.
func (h *Handler) socket(_ context.Context, w http.ResponseWriter, r *http.Request) {
	if !h.enter(w) {
		return
	}
	lean := &leanConn{}
	c, err := websocket.Accept(leanWriter{w, lean}, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // of the origin, which has been looked at
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		h.leave()
		return // it has been answered
	}
	h.mu.Lock()
	if h.sockets == nil {
		h.sockets = map[*websocket.Conn]*leanConn{}
	}
	h.sockets[c] = lean
	h.mu.Unlock()
	s := h.Hub.Subscribe(r.URL.Query().Get("last"), only(r)...)
	from := r.RemoteAddr
	// Who serves the request may go: a client that is here for hours needs only this.
	h.telling.Go(func() {
		defer h.leave()
		h.log().Debug("a page is connected", "from", from)
		err := tell(c, lean, s)
		h.mu.Lock()
		delete(h.sockets, c)
		h.mu.Unlock()
		h.log().Debug("a page has gone", "from", from, "why", err)
	})
}

// tell sends what there is to tell until the client has gone, and closes the connection.
func tell(c *websocket.Conn, lean *leanConn, s *Subscription) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	defer c.CloseNow()
	here := c.CloseRead(context.Background())
	asked := time.Now().Add(-rand.N(pingEvery)) // not all who came at one time are asked at one time
	for {
		e, err := s.Next(here)
		if err != nil {
			return err
		}
		err = lean.together(func() error { return c.Write(context.Background(), websocket.MessageText, e.Data) })
		if err != nil {
			return err
		}
		if time.Since(asked) >= pingEvery {
			asked = time.Now()
			asking.Go(func() { ping(here, c) })
		}
	}
}

// ping lets a client go that does not say that it is there.
func ping(ctx context.Context, c *websocket.Conn) {
	ctx, stop := context.WithTimeout(ctx, pongTimeout)
	defer stop()
	if c.Ping(ctx) != nil {
		c.CloseNow()
	}
}

// leanWriter has a connection taken over without the buffers of a web server, 8 kB, which
// thousands of clients that say nothing do not need.
type leanWriter struct {
	http.ResponseWriter
	conn *leanConn
}

// Hijack takes the connection over.
func (w leanWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	rw.Flush()
	w.conn.Conn = c
	if rw.Reader.Buffered() > 0 {
		c.Close()
		return nil, nil, errors.New("the client speaks before it is answered")
	}
	// A control frame has 139 bytes at most (RFC 6455, sections 5.2 and 5.5).
	return w.conn, bufio.NewReadWriter(bufio.NewReaderSize(w.conn, 256), bufio.NewWriterSize(w.conn, 16)), nil
}

// leanConn writes together what is written in pieces.
type leanConn struct {
	net.Conn

	mu   sync.Mutex
	held *[]byte // nil while nothing is held
}

// pieces are what is held, between its uses.
var pieces = sync.Pool{New: func() any { return new([]byte) }}

func (c *leanConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held != nil {
		*c.held = append(*c.held, p...)
		return len(p), nil
	}
	c.Conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	return c.Conn.Write(p)
}

// together has everything that write writes go out at once.
func (c *leanConn) together(write func() error) error {
	held := pieces.Get().(*[]byte)
	*held = (*held)[:0]
	defer pieces.Put(held)
	c.mu.Lock()
	c.held = held
	c.mu.Unlock()
	err := write()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = nil
	c.Conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, e := c.Conn.Write(*held); err == nil {
		err = e
	}
	return err
}
