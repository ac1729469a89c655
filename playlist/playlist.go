// Package playlist says what is to be played, and in which order: single files,
// folders, URLs, and lists in the forms M3U, PLS, XSPF and CUE.
package playlist

import (
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/maruel/natural"
)

const (
	// maxDepth is how deep lists and folders may lie in each other.
	maxDepth = 16

	// maxEntries is how many entries a pass has, and maxLists how many lists and folders
	// are read for it: lists that name each other can be short and yet never end.
	maxEntries = 1 << 24
	maxLists   = 1 << 20
)

// Entry is one thing to play, and what its list says of it.
type Entry struct {
	Path     string        // of the file, relative to the working folder, or an http or https URL
	Artist   string        // "" when the list does not say
	Title    string        // "" when the list does not say
	Album    string        // "" when the list does not say
	Artwork  string        // http or https URL of a picture, "" when the list does not say
	Duration time.Duration // 0 when the list does not say, or says that it has no end

	// The part of the file to play. A Stop of 0 is the end of the file.
	Start, Stop time.Duration

	// Mended says in a few words how the path differs from the one that is written,
	// "percent-decoded" for example. It is "" when that one fitted, or none.
	Mended string

	list   string // the list it stands in, "" when it was named by itself
	line   int
	raw    bool     // Path is as the list writes it, not looked for yet
	others []string // where it may be as well, if raw
}

// Remote reports whether the entry is an http or https URL.
func (e Entry) Remote() bool { return isRemote(e.Path) }

// Position returns where the entry is written, for messages: "night.m3u: line 12",
// or "" when it was named by itself.
func (e Entry) Position() string {
	if e.list == "" {
		return ""
	}
	return fmt.Sprintf("%s: line %d", e.list, e.line)
}

// Key tells what the entry plays from all else: the path, and where in it a part begins.
func (e Entry) Key() string {
	if e.Start == 0 {
		return e.Path
	}
	return e.Path + "\x00" + e.Start.String()
}

// Playlist is an order of files. The zero value plays nothing.
type Playlist struct {
	// Inputs are files, lists, folders, and URLs of files. What is a list is told by the
	// ending of its name alone: .m3u, .m3u8, .pls, .xspf or .cue.
	Inputs []string

	Shuffle bool
	Seed    uint64 // of the shuffle: the same one gives the same order
}

// Pass returns the entries of one time through the list. They are read and looked for as
// they are asked for, so a list of a million lines costs no memory, and each pass sees
// the list as it is then. Shuffled, up to 20,000 entries are kept, and of more their
// order only. Passes are counted from 0: each shuffles anew. An error stands for what
// could not be read; the entries after it follow.
func (p *Playlist) Pass(n int) iter.Seq2[Entry, error] {
	if p.Shuffle {
		return p.shuffled(n)
	}
	return looked(p.entries(nil))
}

// Len counts the entries of one pass. It reads the lists, but does not look for each
// entry: a name with an ending of audio counts as one, be it a file, missing, or, for
// once, a folder.
func (p *Playlist) Len() int {
	n := 0
	for _, err := range p.entries(nil) {
		if err == nil {
			n++
		}
	}
	return n
}

// Resume returns what is left of pass n when the inputs may have changed while an entry
// was playing. At is the index of that one in the pass, counted from 0, and playing its
// Key. In order, the rest begins behind the nearest place where that entry stands now,
// or, when it is gone, with what has taken its index. Shuffled, it is the order the
// same seed gives what is there now, without what is playing and what the keys in played
// name. First is the index of the first entry of the rest.
func (p *Playlist) Resume(n, at int, playing string, played map[string]bool) (first int, rest iter.Seq2[Entry, error]) {
	if p.Shuffle {
		return at + 1, func(yield func(Entry, error) bool) {
			for e, err := range p.shuffled(n) {
				if err == nil && (e.Key() == playing || played[e.Key()]) {
					continue
				}
				if !yield(e, err) {
					return
				}
			}
		}
	}
	first = at
	path, _, _ := strings.Cut(playing, "\x00")
	i, nearest := 0, -1
	for e, err := range p.entries(nil) {
		if err != nil {
			continue
		}
		whole := e
		whole.Path = path
		if whole.Key() == playing && mayBe(e, path) && (nearest < 0 || i-at < at-nearest) {
			nearest = i
			first = i + 1
		}
		if i++; nearest >= 0 && i-at >= at-nearest {
			break // no nearer one can follow
		}
	}
	return first, looked(p.entries(func(i int) bool { return i >= first }))
}

// entries yields the entries in the order they are written, or those that take asks for
// by their index. An entry of a list that need not be looked for to know that it is one
// entry is yielded raw.
func (p *Playlist) entries(take func(i int) bool) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		w := walk{yield: yield, take: take}
		for _, input := range p.Inputs {
			w.input(input)
			if w.done {
				return
			}
		}
	}
}

// looked looks for the entries that are raw.
func looked(entries iter.Seq2[Entry, error]) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range entries {
			if err == nil && e.raw {
				if !look(e, yield) {
					return
				}
			} else if !yield(e, err) {
				return
			}
		}
	}
}

// look yields an entry with its path resolved, or the audio in the folder that it is.
func look(e Entry, yield func(Entry, error) bool) bool {
	found, info, err := resolve(e)
	if err == nil && info != nil && info.IsDir() {
		w := walk{yield: yield}
		w.folder(found.Path)
		return !w.done
	}
	return yield(found, err)
}

// walk goes through lists and folders that lie in each other.
type walk struct {
	yield func(Entry, error) bool
	take  func(i int) bool // nil for all
	n     int              // how many entries have been met
	lists int              // how many lists and folders
	done  bool
	open  []string // the lists and folders being read, the outermost first
}

// wanted reports whether the entry to come is asked for; an error before one that is not
// is not told, either.
func (w *walk) wanted() bool { return !w.done && (w.take == nil || w.take(w.n)) }

func (w *walk) fail(err error) {
	if w.wanted() && !w.yield(Entry{}, err) {
		w.done = true
	}
}

// song yields an entry.
func (w *walk) song(e Entry) {
	if w.n == maxEntries {
		w.fail(fmt.Errorf("there are more than %d entries; the rest is left out", maxEntries))
		w.done = true
		return
	}
	if w.wanted() && !w.yield(e, nil) {
		w.done = true
	}
	w.n++
}

func (w *walk) input(name string) {
	info, err := os.Stat(name)
	switch e := (Entry{Path: name}); {
	case err == nil && info.IsDir():
		w.folder(name)
	case err == nil:
		w.entry(e)
	case e.Remote():
		if err := remoteList(e); err != nil {
			w.fail(err)
		} else {
			w.song(e)
		}
	default:
		w.fail(pathError(name, err))
	}
}

// readers are the kinds of lists, by the endings of their names.
var readers = map[string]func(io.Reader, string) iter.Seq2[Entry, error]{
	".m3u": ReadM3U, ".m3u8": ReadM3U, ".pls": ReadPLS, ".xspf": ReadXSPF, ".cue": ReadCUE,
}

// unread are the endings of lists that are not read.
var unread = []string{".asx", ".wpl"}

func ending(path string) string { return strings.ToLower(filepath.Ext(path)) }

func isList(path string) bool {
	return readers[ending(path)] != nil || slices.Contains(unread, ending(path))
}

// entry yields a file, or the entries of the list that it is.
func (w *walk) entry(e Entry) {
	switch ending := ending(e.Path); {
	case slices.Contains(unread, ending):
		w.fail(fmt.Errorf("%s: this kind of playlist is not read; write it as M3U", e.Path))
	case readers[ending] != nil:
		w.list(e.Path, readers[ending])
	default:
		w.song(e)
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
	case w.lists == maxLists:
		w.fail(fmt.Errorf("%s: there are more than %d lists and folders; the rest is left out", path, maxLists))
		w.done = true
		return false
	}
	w.lists++
	w.open = append(w.open, name)
	return true
}

func (w *walk) leave() { w.open = w.open[:len(w.open)-1] }

// list yields the entries of a list. Their paths are relative to its folder.
func (w *walk) list(path string, read func(io.Reader, string) iter.Seq2[Entry, error]) {
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
	for e, err := range read(f, path) {
		if err != nil {
			w.fail(err)
		} else {
			w.written(e)
		}
		if w.done {
			return
		}
	}
}

// written yields what an entry of a list stands for. It is looked for when it may be
// something else than one thing to play.
func (w *walk) written(e Entry) {
	if isAudio(e.Path) && isLocal(e.Path) {
		w.song(e)
		return
	}
	found, info, err := resolve(e)
	switch {
	case err != nil:
		w.fail(err)
	case info != nil && info.IsDir():
		w.folder(found.Path)
	case found.Remote():
		w.song(found)
	default:
		w.entry(found)
	}
}

// audioNames are the endings a file in a folder is taken by. What is in it decides
// whether it plays.
var audioNames = []string{
	".mp3", ".mp2", ".mp1", ".mpga", ".mpa", ".aac", ".adts", ".ogg", ".oga", ".opus", ".spx", ".flac", ".m4a", ".mp4", ".m4b",
	".wav", ".wave", ".aif", ".aiff", ".wma", ".ape", ".wv", ".mka", ".webm",
}

func isAudio(path string) bool { return slices.Contains(audioNames, ending(path)) }

// folder yields the audio in a folder and in those below, in natural order: "2"
// comes before "10", capitals count like small letters. What begins with a dot is
// hidden; lists are passed over, for what they name lies there mostly.
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
		isDir := f.IsDir()
		if f.Type()&fs.ModeSymlink != 0 {
			info, err := os.Stat(name)
			if err != nil {
				w.fail(pathError(name, err))
				continue
			}
			isDir = info.IsDir()
		}
		switch {
		case isDir:
			w.folder(name)
		case isAudio(name):
			w.song(Entry{Path: name})
		}
	}
}
