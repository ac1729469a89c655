package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"icepush/lock"
	"icepush/push"
	"icepush/track"
)

// lockPause is the time between looks whether a mount is free.
const lockPause = 100 * time.Millisecond

// lock takes the locks of all mounts, and waits for them as long as it may.
func (s *show) lock(ctx context.Context, sources []*push.Source, log *slog.Logger) (*lock.Locks, error) {
	var mounts []lock.Mount
	for _, src := range sources {
		mounts = append(mounts, lockOf(src.Mount))
	}
	began := time.Now()
	for waiting := false; ; waiting = true {
		locks, err := lock.Acquire(lock.Folders(), mounts, lock.Holder{PID: os.Getpid(), Since: time.Now().Round(time.Second), Plays: s.plays})
		var held *lock.HeldError
		switch {
		case err != nil && !errors.As(err, &held):
			log.Warn("whether another icepush has the mount cannot be seen", "err", err)
			return nil, nil
		case err == nil && waiting:
			log.Info("the mount is free", "after", time.Since(began).Round(time.Millisecond))
			return locks, nil
		case err == nil:
			return locks, nil
		case s.wait == 0:
			return nil, fail(exitTempFail, "%w; --wait-lock waits for it", err)
		case time.Since(began) >= s.wait || !s.End.IsZero() && time.Until(s.End) <= 0:
			return nil, fail(exitTempFail, "%w, still after %v", err, time.Since(began).Round(time.Second))
		case !waiting:
			log.Info("waiting for the mount", "up_to", s.wait, "because", err.Error())
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// lockOf returns what is locked for a mount.
func lockOf(m push.Mount) lock.Mount { return lock.Mount{Host: m.Host, Path: m.Path} }

// shownPlays says in a few words what is played, without passwords.
func shownPlays(c *cli.Context) string {
	shown := track.ShowURL(c.Args().First())
	if r := []rune(shown); len(r) > 300 {
		shown = string(r[:300]) + "..."
	}
	if more := c.NArg() - 1; more > 0 {
		shown += fmt.Sprintf(" and %d more", more)
	}
	return shown
}
