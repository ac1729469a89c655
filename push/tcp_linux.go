package push

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// readsNothing is how long a server may leave what it got unread: Icecast reads at
	// once, whatever it is sent.
	readsNothing = 8 * time.Second

	// saysNothing is how long what was sent may stay unacknowledged.
	saysNothing = 9 * time.Second

	// pauses is how long a server may take to read without being taken for one that
	// has stopped.
	pauses = 2 * time.Second

	// sendBuffer bounds what the system holds for us, in bytes: of what is there no more
	// can be said than that it has not arrived.
	sendBuffer = 128 << 10
)

// tcpConn is a connection that knows how much has arrived, and when the line is dead.
//
// The server's machine acknowledges what it gets and says how much more it has room for.
// The two together are an edge that moves on as the program there reads, and stands
// still when it does not.
type tcpConn struct {
	*net.TCPConn
	raw   syscall.RawConn
	acked uint64    // bytes, as last seen
	moved time.Time // when that changed last, or nothing was on the way
	edge  uint64    // of the room, in bytes from the beginning
	read  uint64    // acknowledged when the edge moved last: the program has read so much
	since time.Time // when that was, or when nothing came after it
}

func newTCPConn(c *net.TCPConn) net.Conn {
	raw, err := c.SyscallConn()
	if err != nil {
		return c
	}
	c.SetWriteBuffer(sendBuffer)
	return &tcpConn{TCPConn: c, raw: raw}
}

// look asks the system about the connection. That can be done after it broke, until it
// is closed.
func (c *tcpConn) look(now time.Time) (info *unix.TCPInfo, ok bool) {
	err := c.raw.Control(func(fd uintptr) {
		got, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		info, ok = got, err == nil && got.Bytes_acked > 0
	})
	if err != nil || !ok {
		return nil, false
	}
	if info.Bytes_acked != c.acked || info.Unacked == 0 && info.Notsent_bytes == 0 {
		c.acked, c.moved = info.Bytes_acked, now
	}
	// A system that does not tell the room looks like one that always has some.
	if edge := info.Bytes_acked + uint64(info.Snd_wnd); edge != c.edge || info.Bytes_acked == c.read {
		c.edge, c.read, c.since = edge, info.Bytes_acked, now
	}
	return info, true
}

// BytesAcked returns how many bytes the server has: those its machine has acknowledged
// (tcpi_bytes_acked of tcp(7), which is RFC 4898's tcpEStatsAppHCThruOctetsAcked) and,
// when its program has stopped reading, no more than that has read.
func (c *tcpConn) BytesAcked() (n int64, ok bool) {
	now := time.Now()
	info, ok := c.look(now)
	if !ok {
		return 0, false
	}
	n = int64(info.Bytes_acked)
	if now.Sub(c.since) > pauses {
		n = int64(c.read)
	}
	return n - 1, true // the SYN counts as one
}

// Write writes all of b, or fails when the line is dead. It waits for as long as
// anything moves.
func (c *tcpConn) Write(b []byte) (n int, err error) {
	for {
		if err := c.alive(); err != nil {
			return n, err
		}
		c.SetWriteDeadline(time.Now().Add(time.Second))
		written, err := c.TCPConn.Write(b[n:])
		n += written
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
}

// alive fails when the server's machine does not answer, or its program does not read.
func (c *tcpConn) alive() error {
	now := time.Now()
	if _, ok := c.look(now); !ok {
		return nil
	}
	switch {
	case now.Sub(c.moved) > saysNothing:
		return errDead
	case now.Sub(c.since) > readsNothing:
		return errStuck
	}
	return nil
}

// limitUnacked makes a connection fail when data is not acknowledged for so long
// (RFC 5482), also while nothing is written. Keepalive does not see that: it only asks
// while nothing is on the way.
func limitUnacked(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(writeTimeout.Milliseconds()))
	})
}
