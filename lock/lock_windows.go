package lock

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// open opens a lock's file. Children do not inherit it.
func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// try locks a file, unless somebody else has it: a byte far behind its end, for what is
// locked cannot be read.
func try(f *os.File) (bool, error) {
	const how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, &windows.Overlapped{OffsetHigh: 1})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}

func share(*os.File) {}

// drop removes a file and its lock. One that is open cannot be removed.
func drop(f *os.File) {
	f.Close()
	os.Remove(f.Name())
}

func ours(fs.FileInfo) bool { return true }
