//go:build unix

package control

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// checksModes says that modes of folders mean something.
const checksModes = true

// ours reports whether a file belongs to us.
func ours(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Getuid()
}

// runs reports whether there is such a process.
func runs(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// listenPrivately listens at a socket that nobody else can ever connect to: on Linux it
// comes into being with the mode its descriptor has.
func listenPrivately(path string) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { syscall.Fchmod(int(fd), 0o600) })
	}}
	return config.Listen(context.Background(), "unix", path)
}
