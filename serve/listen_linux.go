package serve

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// silentFor is how long what was sent may stay unacknowledged, in milliseconds.
const silentFor = 40_000

// dropSilent sets what connections that are accepted take over from the socket (tcp(7)).
func dropSilent(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, silentFor)
	})
}
