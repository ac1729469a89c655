package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// titleSettles is how long a file has to be left alone before its title is read: it may
// be written in pieces.
const titleSettles = 100 * time.Millisecond

// watchTitle sends the first line of a file, and each other one it gets, until ctx ends, and
// the same one when it is asked for again. Its folder is watched, for many programs write a
// new file in its place. A file that is not there has no title yet.
func watchTitle(ctx context.Context, name string, again <-chan struct{}, titles chan<- string) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()
	if err := watcher.Add(filepath.Dir(name)); err != nil {
		return err
	}
	settled := time.NewTimer(0) // look at once
	defer settled.Stop()
	shown := ""
	for {
		select {
		case e, ok := <-watcher.Events:
			if !ok {
				return errors.New("the watch has ended")
			}
			if filepath.Base(e.Name) == filepath.Base(name) {
				settled.Reset(titleSettles)
			}
		case err, ok := <-watcher.Errors:
			if ok && !errors.Is(err, fsnotify.ErrEventOverflow) {
				return err
			}
			settled.Reset(titleSettles)
		case <-again:
			shown = ""
			settled.Reset(0)
		case <-settled.C:
			title, err := firstLine(name)
			if err != nil || title == shown {
				continue
			}
			select {
			case titles <- title:
				shown = title
			case <-ctx.Done():
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// firstLine returns the first line of a file, of which 4 kB are read.
func firstLine(name string) (string, error) {
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
		return "", cmp.Or(err, errors.New("it is no regular file"))
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, 4096)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "\uFEFF")), nil
}
