//go:build !linux

package push

import (
	"net"
	"syscall"
	"time"
)

// tcpConn is a TCP connection. What the server's machine has acknowledged is known
// only on Linux.
type tcpConn struct{ *net.TCPConn }

func limitUnacked(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
