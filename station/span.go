package station

import (
	"context"
	"errors"
	"math"
	"time"

	"icepush/frame"
	"icepush/ratelimit"
	"icepush/track"
)

// Span is when a show begins and ends. The zero Span begins at once and ends with the list.
type Span struct {
	// Begin is when the first frame goes, the audio ahead of the clock behind it. A time
	// that has passed is at once.
	Begin time.Time

	// End is when the show is over, by the clock on the wall: nothing is sent that would be
	// heard later. Zero is when there are no more tracks.
	End time.Time

	// Length is how much is played at most. Zero is all there is.
	Length time.Duration

	// EndTrack has the track that plays at the end play to its own.
	EndTrack bool
}

// Ends reports whether the show may be over before its list is.
func (s Span) Ends() bool { return !s.End.IsZero() || s.Length > 0 }

// tolerance is how much of the last frame may be heard after the end: a show of an hour
// is one even when the clock is read some microseconds later.
const tolerance = 500 * time.Microsecond

// errOver says that the show has reached its end.
var errOver = errors.New("the show is over")

// awaitBegin waits for the beginning of the show. It fails when the end is there before.
func (s *Station) awaitBegin(ctx context.Context) error {
	if s.full() {
		return errOver
	}
	if time.Until(s.Begin) <= 0 {
		return ctx.Err()
	}
	s.rest(s.Begin)
	err := ratelimit.Until(ctx, s.Begin)
	s.rest(time.Time{})
	if err != nil {
		return err
	}
	late := time.Since(s.Begin)
	if late < time.Second {
		s.Pacer.Restart(-late)
	} else {
		s.log().Warn("the clock was set past the start of the show", "late", late.Round(time.Second))
	}
	return nil
}

// left returns how much more audio fits before the end.
func (s *Station) left() time.Duration {
	left := time.Duration(math.MaxInt64)
	if s.Length > 0 {
		left = s.Length - s.Pacer.Audio()
	}
	if !s.End.IsZero() {
		now := time.Now()
		ahead := max(0, s.Pacer.Heard().Sub(now)) // by the clock that is never set
		left = min(left, s.End.Sub(now)-ahead)
	}
	return left
}

// isPast reports whether a track has to end before a frame of it.
func (s *Station) isPast(f frame.Frame) bool {
	return s.Ends() && !s.EndTrack && f.Lasts() > s.left()+tolerance
}

// full reports whether no other track is to begin: there is no room for a frame.
func (s *Station) full() bool {
	one := time.Duration(0)
	if s.last.SampleRate > 0 {
		one = min(s.last.Lasts(), 100*time.Millisecond) // a page of Ogg may be long
	}
	return s.Ends() && s.left() <= one
}

// ending returns a channel that gets something when the show may be over though nothing
// plays. It is nil when the clock does not end it.
func (s *Station) ending() <-chan time.Time {
	if s.End.IsZero() {
		return nil
	}
	return time.After(min(time.Until(s.End), time.Minute))
}

// ended says how the end of a show fits what was played. That it is over is no error.
func (s *Station) ended(err error) error {
	played := s.last.SampleRate > 0
	switch {
	case errors.Is(err, errOver):
		if late := -s.left(); s.EndTrack && late > tolerance {
			s.log().Info("the last track went on after the end", "for", late.Round(time.Millisecond))
		}
		return nil
	case err == nil && played && s.Ends():
		s.log().Warn("the list has ended before the show was to", "early", max(0, s.left()).Round(time.Millisecond))
	}
	return err
}

// tellCut says what was left out of the track that played at the end.
func (s *Station) tellCut(t *track.Track, heard time.Duration) {
	attrs := []any{"file", t.Info.Path, "heard", heard.Round(time.Millisecond)}
	if of := t.Info.Duration; of > heard {
		attrs = append(attrs, "of", of.Round(time.Millisecond))
	}
	s.log().Info("cut at the end of the show", attrs...)
}
