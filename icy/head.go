package icy

import "net"

// HeadConn is a connection that begins otherwise than it does: servers and sources from
// before HTTP name their protocols by words of their own.
type HeadConn struct {
	net.Conn

	// Look reads the beginning from Conn, and returns what stands in its place. With an error
	// it is what has been read; Conn is asked again then.
	Look func() (head []byte, err error)

	looked bool
	head   []byte // not yet handed on
}

// Read reads what Look returns, and then what follows.
func (c *HeadConn) Read(p []byte) (int, error) {
	if !c.looked {
		c.looked = true
		var err error
		if c.head, err = c.Look(); err != nil && len(c.head) == 0 {
			return 0, err
		}
	}
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}
