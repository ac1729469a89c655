// Package station is the loop of a show: next track, next frame, wait until it is due,
// hand it to every sink.
package station

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"icepush/frame"
	"icepush/ratelimit"
	"icepush/track"
)

// Sink takes what is played: a remote mount, the terminal. Neither method may block.
type Sink interface {
	// Play says that the frames sent from now on are of this track.
	Play(track.Info)

	// Send takes frames that are due together. The slice is used again; the Data of the
	// frames is not, and may be kept.
	Send([]frame.Frame)
}

// Gate holds the clock while nobody takes the audio, so that nothing of the show is
// lost.
type Gate interface {
	// Ready waits until audio is wanted. Waited says that it was not, and ahead how much
	// of it will be sent again, or first.
	Ready(context.Context) (waited bool, ahead time.Duration, err error)
}

// Station plays tracks.
type Station struct {
	Tracks <-chan *track.Track // closed after the last; Run closes each track
	Sinks  []Sink
	Gate   Gate // nil for a clock that never stops
	Pacer  ratelimit.Pacer

	// Log takes what happens. Nil is slog.Default.
	Log *slog.Logger

	group []frame.Frame
}

// Run plays the tracks until there are no more, or ctx ends, or the gate fails. The
// audio let go before has been heard then.
func (s *Station) Run(ctx context.Context) error {
	err := s.play(ctx)
	// What is ahead of the clock is less than the lead and a group; it is waited for even
	// when ctx has ended, so that its end is heard.
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Pacer.Lead+s.Pacer.Group+time.Second)
	defer cancel()
	if err == nil || ctx.Err() != nil {
		s.Pacer.Drain(drain)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (s *Station) play(ctx context.Context) error {
	for {
		select {
		case t, ok := <-s.Tracks:
			if !ok {
				return nil
			}
			err := s.track(ctx, t)
			t.Close()
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// track plays one track to its end. What goes wrong with the file ends it alone.
func (s *Station) track(ctx context.Context, t *track.Track) error {
	defer s.flush() // the next track may not be ready yet
	s.log().Info("playing", "title", cmp.Or(t.Info.StreamTitle, t.Info.Title), "file", t.Info.Path)
	for _, sink := range s.Sinks {
		sink.Play(t.Info)
	}
	t.Skipped = func(skip frame.Skip) {
		if !skip.Kind.IsHeaderFrame() {
			s.log().Warn("left out", "file", t.Info.Path, "what", skip.Kind.String(), "bytes", skip.Length, "offset", skip.Offset)
		}
	}
	for {
		f, err := t.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.log().Warn("track cut short", "err", err)
			}
			return nil
		}
		if err := s.due(ctx, f); err != nil {
			return err
		}
		s.group = append(s.group, f)
	}
}

// due waits until a frame is due. Those before it are on their way then.
func (s *Station) due(ctx context.Context, f frame.Frame) error {
	if s.Pacer.GroupEnds() {
		s.flush()
		if s.Gate != nil {
			waited, ahead, err := s.Gate.Ready(ctx)
			if err != nil {
				return err
			}
			if waited {
				s.Pacer.Restart(ahead)
			}
		}
	}
	moved, err := s.Pacer.Wait(ctx, f.Samples, f.SampleRate)
	if moved > 0 {
		s.log().Warn("the clock was moved: audio could not go out in time", "by", moved.Round(time.Millisecond))
	}
	return err
}

// flush hands the group to the sinks.
func (s *Station) flush() {
	if len(s.group) == 0 {
		return
	}
	for _, sink := range s.Sinks {
		sink.Send(s.group)
	}
	clear(s.group)
	s.group = s.group[:0]
}

func (s *Station) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.Default()
}
