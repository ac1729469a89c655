package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"icepush/frame"
	"icepush/playlist"
	"icepush/push"
	"icepush/ratelimit"
	"icepush/station"
	"icepush/track"
)

const (
	// lateStart is how long after a time of day a show for it still begins at once, and not
	// the day after: cron needs a moment, and timers of systemd have a minute.
	lateStart = 5 * time.Minute

	// openEarly is how long before the start the inputs are opened, and connectEarly before
	// it mounts are asked for. Servers drop a source that sends nothing for 10 s.
	openEarly    = 10 * time.Second
	connectEarly = 5 * time.Second

	// whenTold is how a time is told to people.
	whenTold = "Mon 2 Jan 15:04:05 MST"
)

// scheduleFlags are those that say when a show begins and ends.
func scheduleFlags() []cli.Flag {
	const when = "schedule"
	return []cli.Flag{
		&cli.StringFlag{Category: when, Name: "start-at", EnvVars: env("START_AT"), Usage: "begin at this `TIME`: 20:00, 20:00:30, '2026-11-21 20:00', the same with a zone as in 2026-11-21T20:00:00+01:00, or +5m from now", DefaultText: "at once"},
		&cli.StringFlag{Category: when, Name: "end-at", EnvVars: env("END_AT"), Usage: "end at this `TIME`, the first after the start", DefaultText: "with the list"},
		&cli.DurationFlag{Category: when, Name: "for", EnvVars: env("FOR"), Usage: "play for so long, a `TIME` as 1h30m", DefaultText: "to the end of the list"},
		&cli.StringFlag{Category: when, Name: "end", EnvVars: env("END"), Value: "cut", Usage: "`HOW` to end then: cut, with the last frame before, or track, with the track that plays"},
		&cli.DurationFlag{Category: when, Name: "wait-lock", EnvVars: env("WAIT_LOCK"), Usage: "wait for another icepush on this machine that has the mount, for a `TIME`", DefaultText: "not at all"},
		&cli.BoolFlag{Category: when, Name: "takeover", EnvVars: env("TAKEOVER"), Usage: "ask another icepush on this machine that has the mount to end with its track, and wait for that, --wait-lock or 10m"},
		&cli.BoolFlag{Category: when, Name: "no-lock", EnvVars: env("NO_LOCK"), Usage: "do not look whether another icepush on this machine has the mount"},
	}
}

// readSpan reads when a show begins and ends. What is told of it is for people to read.
func readSpan(c *cli.Context, now time.Time) (span station.Span, told []string, err error) {
	read := func(flag string, after time.Time, late time.Duration) (t time.Time, err error) {
		text := c.String(flag)
		if text == "" {
			return t, nil
		}
		t, note, err := parseTime(text, after, late)
		if err != nil {
			return t, fail(exitUsage, "--%s %w", flag, err)
		}
		if note != "" {
			told = append(told, fmt.Sprintf("--%s %s: %s", flag, text, note))
		}
		return t, nil
	}
	if span.Begin, err = read("start-at", now, lateStart); err != nil {
		return span, told, err
	}
	begin := span.Begin
	if begin.IsZero() {
		begin = now
	}
	if span.End, err = read("end-at", begin, 0); err != nil {
		return span, told, err
	}
	switch lasts := c.Duration("for"); {
	case !span.End.IsZero() && c.IsSet("for"):
		return span, told, fail(exitUsage, "--end-at and --for exclude each other")
	case !span.End.IsZero() && !span.End.After(begin):
		return span, told, fail(exitUsage, "--end-at %s: the show begins at %s", c.String("end-at"), begin.Format(time.RFC3339))
	case c.IsSet("for") && lasts <= 0:
		return span, told, fail(exitUsage, "--for %v: it is to be more than nothing", lasts)
	default:
		span.Length = lasts
	}
	return span, told, nil
}

// readSchedule reads the flags that say when a show begins and ends, how, and what fills it.
func (s *show) readSchedule(c *cli.Context, now time.Time) (err error) {
	var told []string
	if s.Span, told, err = readSpan(c, now); err != nil {
		return err
	}
	s.notes = append(s.notes, told...)
	if s.EndTrack, err = choice(c, "end", map[string]bool{"cut": false, "track": true}); err != nil {
		return err
	}
	switch ago := now.Sub(s.Begin); {
	case !s.Begin.IsZero() && ago > lateStart:
		return fail(exitUsage, "--start-at %s: that was %v ago", c.String("start-at"), ago.Round(time.Second))
	case !s.End.IsZero() && !s.End.After(now):
		return fail(exitUsage, "--end-at %s: that was %v ago", c.String("end-at"), now.Sub(s.End).Round(time.Second))
	case c.IsSet("end") && !s.Ends():
		return fail(exitUsage, "--end says how the show ends: say when with --end-at or --for")
	case s.EndTrack && s.stdin:
		return fail(exitUsage, "standard input (-) is one track, which goes on for as long as it comes: leave --end track out")
	}
	return s.readFill(c)
}

// readFill reads what fills a gap in standard input, and what fills the rest of a show.
func (s *show) readFill(c *cli.Context) error {
	what := c.String("fill")
	s.fill = what != "none"
	if what == "silence" || what == "none" {
		return nil
	}
	var e *exitError
	err := checkInput(what)
	switch {
	case errors.As(err, &e):
		return fail(e.code, "--fill: %w (it is silence, none, or a list or folder)", e.err)
	case err != nil:
		return err
	case what == "-":
		return fail(exitUsage, "--fill -: it is silence, none, or a list or folder")
	case !s.Ends():
		return fail(exitUsage, "--fill %s plays until the show ends: say when with --end-at or --for", what)
	case s.cue.Loop:
		return fail(exitUsage, "--loop never leaves anything to --fill %s: leave one of them out", what)
	}
	s.cue.Fill = playlist.Playlist{Inputs: []string{what}, Shuffle: s.cue.Playlist.Shuffle, Seed: s.cue.Playlist.Seed}
	return nil
}

// fillBehind sends the tracks that fill the rest of a show behind standard input, over and
// over until ctx ends. The stream has a format.
func (s *show) fillBehind(ctx context.Context, tracks chan<- *track.Track, format frame.Header, log *slog.Logger) {
	if len(s.cue.Fill.Inputs) == 0 {
		return
	}
	cue := station.Cue{Playlist: s.cue.Fill, Loop: true, Title: s.cue.Title, Format: format, Transcode: s.cue.Transcode, Log: log}
	next := cue.Tracks()
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { cue.Run(ctx) }) // what goes wrong is logged
	for t := range next {
		select {
		case tracks <- t:
		case <-ctx.Done():
			t.Close()
		}
	}
}

// ends returns when a show that begins now, but for its Begin, is over; zero for never.
func (s *show) ends(now time.Time) time.Time {
	if s.Length == 0 {
		return s.End
	}
	if s.Begin.After(now) {
		now = s.Begin
	}
	return now.Add(s.Length)
}

// tellSpan logs when the show begins and ends.
func (s *show) tellSpan(log *slog.Logger) {
	var attrs []any
	message := "the show"
	if in := time.Until(s.Begin).Round(time.Second); !s.Begin.IsZero() {
		attrs = append(attrs, "begins", s.Begin.Format(whenTold))
		if in >= 0 {
			attrs = append(attrs, "in", in)
		} else {
			message = "late for the show: it begins at once"
			attrs = []any{"planned", s.Begin.Format(whenTold), "late", -in}
		}
	}
	if !s.End.IsZero() {
		attrs = append(attrs, "ends", s.End.Format(whenTold))
	}
	if s.Length > 0 {
		attrs = append(attrs, "lasts", s.Length)
	}
	if len(attrs) > 0 {
		log.Info(message, attrs...)
	}
}

// standBy waits until it is nearly time for the show, or ctx ends. What would go wrong then
// is told at once. The inputs are opened again later: they may change meanwhile, and what
// comes from a server would not wait.
func (s *show) standBy(ctx context.Context, log *slog.Logger) error {
	s.tellSpan(log)
	if len(s.cue.Fill.Inputs) > 0 {
		if _, err := rehearse(ctx, s.cue, s.cue.Fill, log); err != nil {
			return fmt.Errorf("--fill %s: %w", s.cue.Fill.Inputs[0], err)
		}
	}
	if time.Until(s.Begin) <= openEarly || s.stdin {
		return nil
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	asking.Go(func() {
		for {
			select {
			case <-hangups:
				log.Info("the list is read when the show begins")
			case <-ctx.Done():
				return
			}
		}
	})
	format, err := rehearse(ctx, s.cue, s.cue.Playlist, log)
	if err != nil {
		return err
	}
	early := s.Begin.Add(-openEarly)
	refused := make(chan error, 1)
	asking.Go(func() {
		if err := s.askServers(ctx, format, log); err != nil {
			refused <- err
			cancel()
		}
	})
	ratelimit.Until(ctx, early)
	select {
	case err := <-refused:
		return err
	default:
		return nil
	}
}

// rehearse opens what a list would play first, and returns its format.
func rehearse(ctx context.Context, like station.Cue, list playlist.Playlist, log *slog.Logger) (frame.Format, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cue := station.Cue{Playlist: list, Format: like.Format, Transcode: like.Transcode, Log: log}
	tracks := cue.Tracks()
	var cueErr error
	var running sync.WaitGroup
	running.Go(func() { cueErr = cue.Run(ctx) })
	var format frame.Format
	var first *track.Track
	select {
	case first = <-tracks:
	case <-ctx.Done():
	}
	if first != nil {
		format = first.Info.Header.Format
		first.Close()
	}
	cancel()
	running.Wait()
	if first == nil {
		return format, showError(cueErr, nil)
	}
	return format, nil
}

// askServers asks each server whether it would take the show, and logs what it would not. It
// fails when none would take our password.
func (s *show) askServers(ctx context.Context, format frame.Format, log *slog.Logger) error {
	var denied []error
	for _, src := range s.sources(format, log) {
		found, err := src.Check(ctx, format)
		switch {
		case ctx.Err() != nil:
			return nil
		case push.Denied(err):
			denied = append(denied, err)
			if len(s.targets) > 1 {
				log.Error("the show could not go to this mount", "err", withHint(err))
			}
		case err != nil:
			log.Warn("the show could not go on the air now", "err", withHint(err))
		case found.InUse == push.Yes:
			log.Info("another source has the mount now", "mount", src.Mount.String())
		}
	}
	if len(denied) == 0 || len(denied) < len(s.targets) {
		return nil
	}
	return &exitError{pushCode(denied[0]), withHint(denied[0])}
}

// goesOn waits until it is time for the mounts to be asked for, takes their locks and has
// the sources connect. Where the show runs on without its mount, and is to begin at once, it
// waits for a moment until it is on the air, so that the first seconds are not lost.
func (s *show) goesOn(ctx context.Context, sources []*push.Source, first track.Info, log *slog.Logger) (release func(), err error) {
	release = func() {}
	ratelimit.Until(ctx, s.Begin.Add(-connectEarly))
	if s.locked && ctx.Err() == nil {
		locks, err := s.lock(ctx, sources, log)
		if err != nil {
			return nil, err
		}
		release = locks.Release
	}
	if ctx.Err() != nil {
		return release, nil // who plays notices, too
	}
	for _, src := range sources {
		src.Play(first)
	}
	if s.live && len(sources) == 1 && !s.stdin && time.Until(s.Begin) <= 0 {
		ctx, cancel := context.WithTimeout(ctx, connectEarly)
		defer cancel()
		sources[0].Ready(ctx)
	}
	return release, nil
}
