package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"icepush/control"
	"icepush/lock"
	"icepush/push"
	"icepush/track"
)

// lockPause is the time between looks whether a mount is free.
const lockPause = 100 * time.Millisecond

// longTrack is how long --takeover waits for the end of a track, without --wait-lock.
const longTrack = 10 * time.Minute

// lock takes the locks of all mounts, and waits for them as long as it may.
func (s *show) lock(ctx context.Context, sources []*push.Source, log *slog.Logger) (*lock.Locks, error) {
	var mounts []lock.Mount
	for _, src := range sources {
		mounts = append(mounts, lockOf(src.Mount))
	}
	began, asked := time.Now(), 0
	for waiting := false; ; waiting = true {
		locks, err := lock.Acquire(lock.Folders(), mounts, lock.Holder{PID: os.Getpid(), Since: time.Now().Round(time.Second), Plays: s.plays, Control: s.reached})
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
		case s.takeover && held.Holder.PID != asked:
			if told := s.askFor(ctx, held.Holder); told != nil {
				return nil, fail(exitTempFail, "%w; %w", err, told)
			}
			asked = held.Holder.PID
			log.Info("waiting for the end of the track of who has the mount", "up_to", s.wait, "because", err.Error())
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

// askFor asks who has a mount to hand it over at the end of its track.
func (s *show) askFor(ctx context.Context, h lock.Holder) error {
	if h.Control == "" {
		return errors.New("--takeover cannot ask it: it cannot be controlled")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := (&control.Client{Where: h.Control, Token: s.watched.token}).Stop(ctx, true); err != nil {
		return fmt.Errorf("it does not hand over: %w", err)
	}
	return nil
}

// reachedAt returns where others find what listens on l, which may be nil.
func reachedAt(l net.Listener) string {
	if l == nil {
		return ""
	}
	where := l.Addr().String()
	if l.Addr().Network() == "unix" {
		where, _ = filepath.Abs(where)
	}
	return where
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
