package push

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// readsNothing is how long a server's machine may have no room: Icecast reads at once,
	// whatever it is sent.
	readsNothing = 4 * time.Second

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
// The two together are an edge that moves on as the program there reads. When that has
// stopped, the edge creeps on a little, for the room is reckoned in round numbers; so
// less than half of what came counts as nothing. But the edge also rests while a
// system takes back room that it gave too much of. So it is only a reason to doubt.
type tcpConn struct {
	*net.TCPConn
	raw syscall.RawConn

	mu    sync.Mutex // what reads may write as well, under TLS
	acked uint64     // bytes, as last seen
	moved time.Time  // when that changed last, or nothing was on the way

	// When the program was last seen to read: what was acknowledged then, and the edge.
	read    uint64
	edge    uint64
	since   time.Time
	stopped bool // it is known not to read
	roomy   bool // the system tells the room: Linux does so from 5.4 on
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
// is closed. The caller holds mu.
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
	c.roomy = c.roomy || info.Snd_wnd > 0
	// Where the system does not tell the room, all that is acknowledged counts as read.
	edge := info.Bytes_acked + uint64(info.Snd_wnd)
	if came := info.Bytes_acked - c.read; edge < c.edge || (edge-c.edge)*2 >= came {
		c.read, c.edge, c.since = info.Bytes_acked, edge, now
	}
	return info, true
}

// BytesAcked returns how many bytes the server has: those its machine has acknowledged
// (tcpi_bytes_acked of tcp(7), which is RFC 4898's tcpEStatsAppHCThruOctetsAcked) and,
// when its program has stopped reading, no more than that has read.
func (c *tcpConn) BytesAcked() (n int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	info, ok := c.look(now)
	if !ok {
		return 0, false
	}
	n = int64(info.Bytes_acked)
	room := c.edge - c.read // when it was last seen to read
	if c.stopped || now.Sub(c.since) > pauses && uint64(info.Snd_wnd) < room*3/4 {
		n = int64(c.read)
	}
	return n - 1, true // the SYN counts as one
}

// Doubt returns how long the program at the other end has not been seen to read.
func (c *tcpConn) Doubt() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if _, ok := c.look(now); !ok {
		return 0
	}
	return now.Sub(c.since)
}

// Settle ends a doubt, one way or the other. A server that does not read is asked for
// its room each second, by keepalive, so that it is seen when it goes on; the system is
// not to end the connection meanwhile.
func (c *tcpConn) Settle(reads bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(reads)
}

func (c *tcpConn) settle(reads bool) {
	c.stopped = !reads
	if reads {
		limitUnacked("", "", c.raw)
	} else {
		c.raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 0) })
		c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 60})
	}
	if info, ok := c.look(time.Now()); ok && reads {
		c.read, c.edge, c.since = info.Bytes_acked, info.Bytes_acked+uint64(info.Snd_wnd), time.Now()
	}
}

// Stopped reports whether it is known that the program does not read.
func (c *tcpConn) Stopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
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
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	info, ok := c.look(now)
	if !ok {
		return nil
	}
	switch still := now.Sub(c.moved); {
	case c.roomy && info.Snd_wnd == 0 && still > readsNothing:
		c.settle(false)
		return errStuck
	case still > saysNothing:
		return errDead
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
