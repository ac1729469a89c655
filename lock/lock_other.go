//go:build !windows && (!unix || aix)

package lock

import (
	"errors"
	"io/fs"
	"os"
)

func open(path string) (*os.File, error) { return nil, errors.ErrUnsupported }
func try(*os.File) (bool, error)         { return false, errors.ErrUnsupported }
func share(*os.File)                     {}
func drop(f *os.File)                    { f.Close() }
func ours(fs.FileInfo) bool              { return true }
