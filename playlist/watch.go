package playlist

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// stable is how long inputs have stayed as they are before they are reported: whoever
	// writes a list writes it piece by piece.
	stable = 2 * time.Second

	// maxWatched is how many folders are watched.
	maxWatched = 1000
)

// Watch calls changed when an input that is a list or a folder has changed, and then has
// stayed the same for 2 seconds. An input that is away is waited for. Of folders the
// first 1,000 are watched, those below counted, and the audio in them matters; lists that
// are named in lists are not watched. Watch returns nil when ctx ends, and an error at
// once when it cannot watch. It calls changed itself: as long as that takes, it waits.
func (p *Playlist) Watch(ctx context.Context, changed func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return watchError("the inputs", err)
	}
	o := &observed{watcher: w}
	for _, input := range p.Inputs {
		if info, err := os.Stat(input); err == nil && info.IsDir() {
			o.folders = append(o.folders, input)
		} else if isList(input) && !isRemote(input) {
			o.lists = append(o.lists, input)
		}
	}
	defer w.Close()
	for _, list := range o.lists {
		// The folder: a watch on the list would be lost with the first one that replaces it.
		if err := w.Add(filepath.Dir(list)); err != nil {
			return watchError(filepath.Dir(list), err)
		}
	}
	for _, folder := range o.folders {
		if err := w.Add(folder); err != nil {
			return watchError(folder, err)
		}
	}

	hints := make(chan struct{}, 1)
	var running sync.WaitGroup
	running.Go(func() { gather(w, hints) })
	settle(ctx, hints, o.look, changed)
	w.Close()
	running.Wait()
	return nil
}

// watchError says that something cannot be watched, and what helps.
func watchError(name string, err error) error {
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%s cannot be watched: the system has no watches left (fs.inotify.max_user_instances and max_user_watches): %w", name, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s cannot be watched: no such folder", name)
	}
	return fmt.Errorf("%s cannot be watched: %w", name, err)
}

// gather makes one hint of all that happens until there is room for the next, until w
// is closed.
func gather(w *fsnotify.Watcher, hints chan<- struct{}) {
	for {
		select {
		case e, ok := <-w.Events:
			if !ok {
				return
			}
			if e.Op == fsnotify.Chmod {
				continue
			}
		case _, ok := <-w.Errors: // that events were lost, mostly
			if !ok {
				return
			}
		}
		select {
		case hints <- struct{}{}:
		default:
		}
	}
}

// settle calls changed when what look sees is another thing than before and has then
// stayed the same for a while. It looks after a hint, until nothing moves any more. What
// look sees may be incomplete, with false; that is waited out. It returns when ctx ends.
func settle(ctx context.Context, hints <-chan struct{}, look func() (uint64, bool), changed func()) {
	known, whole := look()
	for ctx.Err() == nil {
		if whole {
			select {
			case <-hints:
			case <-ctx.Done():
				return
			}
		}
		var seen uint64
		if seen, whole = await(ctx, look); whole && seen != known {
			known = seen
			changed()
		}
	}
}

// await returns what look sees when that is whole and has stayed the same for a while. It
// returns false when ctx ends.
func await(ctx context.Context, look func() (uint64, bool)) (seen uint64, whole bool) {
	seen, whole = look()
	since := time.Now()
	for !whole || time.Since(since) < stable {
		select {
		case <-time.After(stable / 4):
		case <-ctx.Done():
			return seen, false
		}
		if s, w := look(); s != seen || w != whole {
			seen, whole, since = s, w, time.Now()
		}
	}
	return seen, true
}

// observed is what is watched.
type observed struct {
	lists, folders []string
	watcher        *fsnotify.Watcher
}

// look returns a number that is another one when lists or folders have changed, and
// whether they are all there. It also sees to it that all folders are watched, for some
// may be new, or may have been away.
func (o *observed) look() (sum uint64, whole bool) {
	h := fnv.New64a()
	whole = true
	note := func(name string, info fs.FileInfo) {
		fmt.Fprintf(h, "%s\x00%d\x00%d\n", name, info.Size(), info.ModTime().UnixNano())
	}
	for _, list := range o.lists {
		info, err := os.Stat(list)
		if err != nil || o.watch(filepath.Dir(list)) != nil {
			whole = false
			continue
		}
		note(list, info)
		if real, err := filepath.EvalSymlinks(list); err == nil {
			o.watch(filepath.Dir(real))
		}
	}
	open := slices.Clone(o.folders)
	seen := map[string]bool{} // where links lead
	for n := 0; len(open) > 0 && n < maxWatched; n++ {
		folder := open[0]
		open = open[1:]
		real, err := filepath.EvalSymlinks(folder)
		if err != nil || seen[real] {
			whole = whole && !(err != nil && slices.Contains(o.folders, folder))
			continue
		}
		seen[real] = true
		files, err := os.ReadDir(folder)
		if err != nil || o.watch(folder) != nil {
			whole = whole && !slices.Contains(o.folders, folder)
			continue
		}
		for _, f := range files {
			name := filepath.Join(folder, f.Name())
			if strings.HasPrefix(f.Name(), ".") {
				continue
			}
			info, err := os.Stat(name)
			switch {
			case err != nil:
			case info.IsDir():
				open = append(open, name)
			case isAudio(name):
				note(name, info)
			}
		}
	}
	return h.Sum64(), whole
}

// watch watches a folder, if that is not so yet.
func (o *observed) watch(folder string) error { return o.watcher.Add(folder) }
