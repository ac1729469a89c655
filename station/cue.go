package station

import (
	"context"
	"errors"
	"log/slog"

	"icepush/playlist"
	"icepush/track"
)

// ErrNothingPlayable says that a whole pass through the playlist had nothing in it that
// plays.
var ErrNothingPlayable = errors.New("nothing in it can be played")

// Cue opens tracks before they are due, one ahead of the one that plays, so that a slow
// disk or a row of missing files is not heard.
type Cue struct {
	Playlist playlist.Playlist
	Loop     bool

	// Title is the format of what goes on the air, as for track.Info.FormatTitle.
	Title string

	// Measure asks for the duration of each track, which means to read it twice.
	Measure bool

	// Log takes what cannot be played. Nil is slog.Default.
	Log *slog.Logger

	tracks chan *track.Track
	last   track.Info // the one cued last
	failed error      // what went wrong in this pass: the only thing to say of it, perhaps
}

// Tracks returns the channel Run sends to. It is closed when Run returns.
func (c *Cue) Tracks() <-chan *track.Track {
	if c.tracks == nil {
		c.tracks = make(chan *track.Track)
	}
	return c.tracks
}

// Run opens tracks until the playlist ends, or ctx. It fails with ErrNothingPlayable
// when a pass had nothing to play.
func (c *Cue) Run(ctx context.Context) error {
	c.Tracks()
	defer close(c.tracks)
	for pass := 0; ; pass++ {
		played, err := c.pass(ctx, pass)
		switch {
		case err != nil:
			return err
		case played == 0 && c.failed != nil:
			return &NothingPlayableError{c.failed}
		case played == 0:
			return ErrNothingPlayable
		case !c.Loop:
			return nil
		}
	}
}

// NothingPlayableError is ErrNothingPlayable with the last reason.
type NothingPlayableError struct{ Reason error }

func (e *NothingPlayableError) Error() string {
	return ErrNothingPlayable.Error() + " (" + e.Reason.Error() + ")"
}

func (e *NothingPlayableError) Is(target error) bool { return target == ErrNothingPlayable }
func (e *NothingPlayableError) Unwrap() error        { return e.Reason }

// pass sends the tracks of one time through the playlist.
func (c *Cue) pass(ctx context.Context, n int) (played int, err error) {
	log := c.Log
	if log == nil {
		log = slog.Default()
	}
	of := 0
	if c.Measure { // to be shown; it reads all lists
		of = c.Playlist.Len()
	}
	number := 0
	for e, err := range c.Playlist.Pass(n) {
		if ctx.Err() != nil {
			return played, ctx.Err()
		}
		if err != nil {
			log.Warn("left out", "err", err)
			c.failed = err
			continue
		}
		number++
		t, err := track.Open(e.Path, track.Info{Artist: e.Artist, Title: e.Title, Number: number, Of: of})
		if err != nil {
			attrs := []any{"err", err}
			if at := e.Position(); at != "" {
				attrs = append(attrs, "list", at)
			}
			log.Warn("left out", attrs...)
			c.failed = err
			continue
		}
		c.prepare(t, log)
		select {
		case c.tracks <- t:
			played++
		case <-ctx.Done():
			t.Close()
			return played, ctx.Err()
		}
	}
	return played, nil
}

// prepare completes what is known of a track and warns of what players may not like.
func (c *Cue) prepare(t *track.Track, log *slog.Logger) {
	t.Info.StreamTitle = t.Info.FormatTitle(c.Title)
	if t.Info.StreamTitle == "" && c.Title != "" {
		t.Info.StreamTitle = t.Info.FormatTitle("{file}") // else the title before would stay
	}
	if c.Measure {
		if d, err := track.Measure(t.Info.Path); err == nil {
			t.Info.Duration = d
		}
	}
	if h, was := t.Info.Header, c.last.Header; c.last.Path != "" && (!h.SameStream(was) || h.Channels != was.Channels) {
		log.Warn("the format of the stream changes: some players stop or play it too fast", "file", t.Info.Path, "from", was.String(), "to", h.String())
	}
	c.last = t.Info
}
