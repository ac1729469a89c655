package push

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// BytesAcked returns how many bytes the server's machine has acknowledged
// (tcpi_bytes_acked of tcp(7), which is RFC 4898's tcpEStatsAppHCThruOctetsAcked). It
// can be asked after the connection broke, until it is closed.
func (c tcpConn) BytesAcked() (n int64, ok bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil && info.Bytes_acked > 0 {
			n, ok = int64(info.Bytes_acked)-1, true // the SYN counts as one
		}
	})
	return n, ok && err == nil
}

// limitUnacked makes a connection fail when data is not acknowledged for so long
// (RFC 5482). Keepalive does not see that: it only asks while nothing is on the way.
func limitUnacked(d time.Duration) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		// Where the system has no such thing the write deadline does it, a little later.
		return c.Control(func(fd uintptr) {
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
		})
	}
}

// tcpConn is a connection whose acknowledged bytes can be asked for.
type tcpConn struct{ *net.TCPConn }
