//go:build !unix

package control

import (
	"io/fs"
	"net"
	"os"
)

// checksModes says that modes of folders mean something.
const checksModes = false

func ours(fs.FileInfo) bool { return true }

// runs reports whether there is such a process.
func runs(pid int) bool {
	p, err := os.FindProcess(pid)
	if err == nil {
		p.Release()
	}
	return err == nil
}

func listenPrivately(path string) (net.Listener, error) { return net.Listen("unix", path) }
