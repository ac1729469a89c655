// Package lock lets one program at a time write to a mount. Two shows on one mount are
// mostly a mistake, of two crontabs or of a show that has not ended; the server refuses the
// second one, but cannot say whose the first is, and some let the second have the mount.
//
// A lock is a file in the runtime folder, locked with flock(2), so that it is gone with the
// program that held it, however that ended. The file says who that is. It is taken in every
// runtime folder there is: a login has another one than a cron job of the same user. Programs
// of different users, or in different containers, do not see each other's locks.
package lock

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
)

// maxFile bounds what is read of a lock's file, in bytes.
const maxFile = 4096

// Holder is who has a lock.
type Holder struct {
	PID     int       `json:"pid"` // 0 when it is not known
	Since   time.Time `json:"since"`
	Plays   string    `json:"plays"`             // for people; without passwords
	Control string    `json:"control,omitempty"` // where it can be talked to
}

// String describes the holder.
func (h Holder) String() string {
	if h.PID == 0 {
		return "another icepush"
	}
	text := fmt.Sprintf("process %d", h.PID)
	if !h.Since.IsZero() {
		text += " since " + h.Since.Local().Format("Mon 2 Jan 15:04:05 MST")
	}
	if h.Plays != "" {
		text += ", which plays " + h.Plays
	}
	return text
}

// HeldError says that another program has the lock of a mount.
type HeldError struct {
	Mount  Mount
	Holder Holder
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is taken on this machine by %v", e.Mount, e.Holder)
}

// ErrNoFolder says that there is no place for locks.
var ErrNoFolder = errors.New("there is no folder to keep it in")

// Mount is what one program at a time may write to: a mount of a server.
type Mount struct {
	Host string // and port, "localhost:8000"
	Path string // "/live"
}

func (m Mount) String() string { return m.Host + m.Path }

// name returns the name of the file of a mount's lock: so that people recognise it, and no
// two are the same. The names of this machine are one; a port is always there.
func (m Mount) name() string {
	host, port, err := net.SplitHostPort(m.Host)
	if err != nil {
		host, port = m.Host, ""
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "127.0.0.1" || host == "::1" {
		host = "localhost"
	}
	m = Mount{Host: net.JoinHostPort(host, port), Path: cmp.Or(m.Path, "/")}
	shown := strings.Map(func(c rune) rune {
		if c < 0x80 && (unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune(".-", c)) {
			return c
		}
		return '_'
	}, m.String())
	sum := sha256.Sum256([]byte(m.String()))
	return fmt.Sprintf("%.60s-%x.lock", shown, sum[:6])
}

// Same reports whether two mounts are one.
func (m Mount) Same(other Mount) bool { return m.name() == other.name() }

// Locks are those of some mounts.
type Locks struct{ files, folders []*os.File }

// Acquire takes the locks of mounts in each of some folders that can be used, all or none,
// and says there who holds them. It fails with a HeldError when another program has one, and
// with ErrNoFolder when none of the folders can be used.
func Acquire(folders []string, mounts []Mount, h Holder) (*Locks, error) {
	l := &Locks{}
	var usable []string
	var why []error
	for _, folder := range folders {
		f, err := openFolder(folder)
		if err != nil {
			why = append(why, err)
			continue
		}
		l.folders = append(l.folders, f)
		usable = append(usable, folder)
	}
	mounts = slices.SortedFunc(slices.Values(mounts), func(a, b Mount) int { return strings.Compare(a.name(), b.name()) })
	for _, m := range mounts {
		taken := false
		for _, folder := range usable {
			f, err := take(filepath.Join(folder, m.name()))
			var held *HeldError
			if errors.As(err, &held) {
				l.Release()
				held.Mount = m
				return nil, held
			}
			if err != nil {
				why = append(why, err)
				continue
			}
			l.files = append(l.files, f)
			taken = true
		}
		if !taken {
			l.Release()
			return nil, fmt.Errorf("%w: %w", ErrNoFolder, errors.Join(why...))
		}
	}
	l.Tell(h) // where it cannot be said, on a full disk, the lock holds all the same
	return l, nil
}

// Tell says who holds the locks, in place of what was said before.
func (l *Locks) Tell(h Holder) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if text = append(text, '\n'); len(text) > maxFile {
		return fmt.Errorf("what is to be said of a lock has %d bytes, more than %d", len(text), maxFile)
	}
	for _, f := range l.files {
		if err := f.Truncate(0); err != nil {
			return err
		}
		if _, err := f.WriteAt(text, 0); err != nil {
			return err
		}
	}
	return nil
}

// Release gives the locks back. It may be called on nil.
func (l *Locks) Release() {
	if l == nil {
		return
	}
	for _, f := range slices.Backward(l.files) {
		drop(f)
	}
	for _, f := range l.folders {
		f.Close()
	}
	l.files, l.folders = nil, nil
}

// openFolder opens a folder for locks, and makes it when it is not there. It has to be ours
// alone: who else could write to it could keep us off the air.
func openFolder(path string) (*os.File, error) {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%s: is no folder", path)
	case !ours(info):
		return nil, fmt.Errorf("%s: it belongs to somebody else, or others may write to it", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	share(f)
	return f, nil
}

// take opens and locks a file, which it makes when it is not there.
func take(path string) (*os.File, error) {
	for {
		f, err := open(path)
		if err != nil {
			return nil, err
		}
		switch got, err := try(f); {
		case err != nil:
			f.Close()
			return nil, fmt.Errorf("%s: %w", path, err)
		case !got:
			held := &HeldError{Holder: read(f)}
			f.Close()
			return nil, held
		}
		// Who held it before may have removed it after it was opened here.
		mine, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		if there, err := os.Lstat(path); err == nil && os.SameFile(mine, there) {
			return f, nil
		}
		f.Close()
	}
}

// read returns who holds a lock, as far as its file says so. It may be being written.
func read(f *os.File) (h Holder) {
	for range 5 {
		b, err := io.ReadAll(io.NewSectionReader(f, 0, maxFile))
		if err == nil && json.Unmarshal(b, &h) == nil {
			return h
		}
		h = Holder{}
		time.Sleep(10 * time.Millisecond)
	}
	return h
}
