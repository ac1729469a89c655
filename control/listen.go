package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ending is that of the names of sockets.
const ending = ".sock"

// Folders returns where sockets may be, the best place first: that of ICEPUSH_RUNTIME_DIR
// alone, where it is set.
func Folders() []string {
	if dir := os.Getenv("ICEPUSH_RUNTIME_DIR"); dir != "" {
		return []string{dir}
	}
	uid := strconv.Itoa(os.Getuid())
	var dirs []string
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		dirs = append(dirs, filepath.Join(dir, "icepush"))
	}
	return append(dirs, "/run/icepush", "/run/user/"+uid+"/icepush", filepath.Join(os.TempDir(), "icepush-"+uid))
}

// Listen waits for clients: at a path, or a loopback address and port, or, for "", at a
// socket in the first of Folders that can be had, which is called after the process. Only
// the user it belongs to can connect to a socket.
func Listen(where string) (net.Listener, error) {
	switch {
	case where == "":
		return listenSomewhere()
	case IsPath(where):
		return listenAt(where)
	}
	if _, port, err := net.SplitHostPort(where); err != nil || port == "" {
		return nil, fmt.Errorf("%s: this is neither a path nor an address and port, as 127.0.0.1:8010", where)
	}
	if !isLoopback(where) {
		return nil, fmt.Errorf("%s: who controls icepush is on this machine: it is 127.0.0.1, [::1] or localhost, or the path of a socket", where)
	}
	return net.Listen("tcp", where)
}

// IsPath reports whether a place is that of a unix socket.
func IsPath(where string) bool {
	return strings.ContainsAny(where, `/\`) || strings.HasSuffix(where, ending)
}

// isLoopback reports whether an address, with a port or not, is of this machine alone.
func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func listenSomewhere() (net.Listener, error) {
	var first error
	for _, dir := range Folders() {
		err := own(dir)
		if err == nil {
			sweep(dir)
			var l net.Listener
			// Containers that share the folder may have the same number of process.
			for _, more := range []string{"", "-2", "-3", "-4"} {
				if l, err = listenAt(filepath.Join(dir, strconv.Itoa(os.Getpid())+more+ending)); err == nil {
					return l, nil
				}
			}
		}
		if first == nil || errors.Is(first, fs.ErrNotExist) {
			first = err
		}
	}
	return nil, fmt.Errorf("there is no folder for a socket: %w", first)
}

// own makes a folder that is ours alone to write to, or looks whether it is.
func own(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s: is no folder", dir)
	case !ours(info) || info.Mode().Perm()&0o022 != 0 && checksModes:
		return fmt.Errorf("%s: others can write to it", dir)
	}
	return nil
}

// sweep removes sockets of processes that are no more.
func sweep(dir string) {
	names, _ := filepath.Glob(filepath.Join(dir, "*"+ending))
	for _, name := range names {
		pid, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(name), ending))
		if err == nil && !runs(pid) && !answers(name) {
			os.Remove(name)
		}
	}
}

// answers reports whether somebody listens at a socket.
func answers(path string) bool {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
	}
	return err == nil || !errors.Is(err, syscall.ECONNREFUSED)
}

// listenAt listens at a path. What is left of a process that is no more is replaced.
func listenAt(path string) (net.Listener, error) {
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s: is there already, and is no socket", path)
	case err == nil && answers(path):
		return nil, fmt.Errorf("%s: another program listens there", path)
	case err == nil:
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	if len(path) > maxPath {
		return nil, fmt.Errorf("%s: the path of a socket has at most %d bytes", path, maxPath)
	}
	l, err := listenPrivately(path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// maxPath is how long the path of a socket may be: 104 bytes with the zero at its end, and
// 108 on Linux.
const maxPath = 103
