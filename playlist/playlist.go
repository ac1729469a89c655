// Package playlist says what is to be played, and in which order: single files,
// folders and M3U lists.
package playlist

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/maruel/natural"
)

// maxDepth is how deep lists and folders may lie in each other.
const maxDepth = 16

// Entry is one thing to play, and what its list says of it.
type Entry struct {
	Path     string        // of the file, relative to the working folder
	Artist   string        // "" when the list does not say
	Title    string        // "" when the list does not say
	Duration time.Duration // 0 when the list does not say, or says that it has no end

	list string // the list it stands in, "" when it was named by itself
	line int
}

// Position returns where the entry is written, for messages: "night.m3u: line 12",
// or "" when it was named by itself.
func (e Entry) Position() string {
	if e.list == "" {
		return ""
	}
	return fmt.Sprintf("%s: line %d", e.list, e.line)
}

// Playlist is an order of files. The zero value plays nothing.
type Playlist struct {
	Inputs  []string // files, lists and folders
	Shuffle bool
	Seed    uint64 // of the shuffle: the same one gives the same order
}

// Pass returns the entries of one time through the list. They are read as they are
// asked for, unless they are shuffled; so a long list costs no memory, and each pass
// sees the list as it is then. Passes are counted from 0: each shuffles anew. An
// error stands for what could not be read; the entries after it follow.
func (p *Playlist) Pass(n int) iter.Seq2[Entry, error] {
	if !p.Shuffle {
		return p.inOrder
	}
	return func(yield func(Entry, error) bool) {
		var entries []Entry
		for e, err := range p.inOrder {
			if err == nil {
				entries = append(entries, e)
			} else if !yield(Entry{}, err) {
				return
			}
		}
		order := rand.New(rand.NewPCG(p.Seed, uint64(n)))
		order.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Len counts the entries of one pass. It reads the lists.
func (p *Playlist) Len() int {
	n := 0
	for _, err := range p.inOrder {
		if err == nil {
			n++
		}
	}
	return n
}

// inOrder yields the entries in the order they are written.
func (p *Playlist) inOrder(yield func(Entry, error) bool) {
	for _, input := range p.Inputs {
		w := walk{yield: yield}
		info, err := os.Stat(input)
		switch {
		case err != nil:
			w.fail(pathError(input, err))
		case info.IsDir():
			w.folder(input)
		default:
			w.entry(Entry{Path: input})
		}
		if w.done {
			return
		}
	}
}

// walk goes through lists and folders that lie in each other.
type walk struct {
	yield func(Entry, error) bool
	done  bool
	open  []string // the lists and folders being read, the outermost first
}

func (w *walk) fail(err error) {
	if !w.done && !w.yield(Entry{}, err) {
		w.done = true
	}
}

// entry yields a file, or the entries of the list that it is.
func (w *walk) entry(e Entry) {
	switch strings.ToLower(filepath.Ext(e.Path)) {
	case ".m3u", ".m3u8":
		w.m3u(e.Path)
		return
	case ".pls", ".xspf", ".cue", ".asx", ".wpl":
		w.fail(fmt.Errorf("%s: this kind of playlist is not read yet; write it as M3U", e.Path))
		return
	}
	if !w.done && !w.yield(e, nil) {
		w.done = true
	}
}

// enter notes that a list or folder is being read; the name of one that is being
// read already, or lies too deep, is refused.
func (w *walk) enter(path string) bool {
	name, err := filepath.EvalSymlinks(path)
	if err != nil {
		name = path
	}
	if name, err = filepath.Abs(name); err != nil {
		name = path
	}
	switch {
	case w.done:
		return false
	case slices.Contains(w.open, name):
		w.fail(fmt.Errorf("%s: contains itself", path))
		return false
	case len(w.open) == maxDepth:
		w.fail(fmt.Errorf("%s: lies more than %d lists or folders deep", path, maxDepth))
		return false
	}
	w.open = append(w.open, name)
	return true
}

func (w *walk) leave() { w.open = w.open[:len(w.open)-1] }

// m3u yields the entries of a list. Their paths are relative to its folder.
func (w *walk) m3u(path string) {
	if !w.enter(path) {
		return
	}
	defer w.leave()
	f, err := os.Open(path)
	if err != nil {
		w.fail(pathError(path, err))
		return
	}
	defer f.Close()
	for e, err := range ReadM3U(f, path) {
		if err != nil {
			w.fail(err)
		} else {
			w.resolve(&e)
			if info, err := os.Stat(e.Path); err == nil && info.IsDir() {
				w.folder(e.Path)
			} else {
				w.entry(e)
			}
		}
		if w.done {
			return
		}
	}
}

// resolve makes the path of an entry one that can be opened: relative to the list,
// and, where nothing has that name, read as Windows-1252.
func (w *walk) resolve(e *Entry) {
	folder := filepath.Dir(e.list)
	at := func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(folder, path)
	}
	written := e.Path
	e.Path = at(written)
	if _, err := os.Lstat(e.Path); err == nil {
		return
	}
	if mended := fromWindows1252(written); mended != written {
		if _, err := os.Lstat(at(mended)); err == nil {
			e.Path = at(mended)
		}
	}
}

// audioNames are the endings a file in a folder is taken by. What is in it decides
// whether it plays.
var audioNames = []string{".mp3", ".mp2", ".mp1", ".mpga", ".mpa"}

// folder yields the audio in a folder and in those below, in natural order: "2"
// comes before "10", capitals count like small letters. What begins with a dot is
// hidden.
func (w *walk) folder(path string) {
	if !w.enter(path) {
		return
	}
	defer w.leave()
	files, err := os.ReadDir(path)
	if err != nil {
		w.fail(pathError(path, err))
	}
	slices.SortStableFunc(files, func(a, b fs.DirEntry) int {
		x, y := strings.ToLower(a.Name()), strings.ToLower(b.Name())
		switch {
		case natural.Less(x, y):
			return -1
		case natural.Less(y, x):
			return 1
		}
		return strings.Compare(a.Name(), b.Name())
	})
	for _, f := range files {
		name := filepath.Join(path, f.Name())
		if strings.HasPrefix(f.Name(), ".") || w.done {
			continue
		}
		info, err := os.Stat(name) // follows links
		switch {
		case err != nil:
			w.fail(pathError(name, err))
		case info.IsDir():
			w.folder(name)
		case slices.Contains(audioNames, strings.ToLower(filepath.Ext(name))):
			w.entry(Entry{Path: name})
		}
	}
}

// pathError says "name: what is wrong".
func pathError(name string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%s: %w", name, pe.Err)
	}
	return fmt.Errorf("%s: %w", name, err)
}
