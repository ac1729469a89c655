// Package station is the loop of a show: next track, next frame, wait until it is due,
// hand it to every sink.
package station

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	First  *track.Track        // played before those of Tracks; nil when there is none
	Tracks <-chan *track.Track // closed after the last, or nil; Run closes each track
	Sinks  []Sink
	Gate   Gate // nil for a clock that never stops
	Pacer  ratelimit.Pacer

	Span // when the show begins and ends

	// Fill has silence stand where a live track has stalled, or no track is ready, in its
	// own time.
	Fill bool

	// MaxStall is how long a live track may stall before it is taken to have ended. Zero is
	// for ever.
	MaxStall time.Duration

	// Titles are shown in place of those of the tracks, from the moment they come. It is
	// optional.
	Titles <-chan string

	// Orders are what a person asks for. They may wait in the channel. It is optional.
	Orders <-chan Order

	// Log takes what happens. Nil is slog.Default.
	Log *slog.Logger

	group   []frame.Frame
	last    frame.Frame // of a track
	title   string      // that came by Titles
	stalled time.Time   // since when a live track gives nothing; zero when it does
	filled  time.Duration
	progress
}

// late is how long after all audio has been heard a live track is taken to have stalled.
// Sources give their audio in pieces; listeners have some seconds of it.
const late = time.Second

// ErrDeadInput says that a live track has stalled for longer than MaxStall.
var ErrDeadInput = errors.New("nothing has come for too long")

// Run plays the tracks until there are no more, or the show is over, or ctx ends, or the
// gate fails. The audio let go before has been heard then.
func (s *Station) Run(ctx context.Context) error {
	s.begin(nil)
	err := s.ended(s.play(ctx))
	s.aired()
	s.end()
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
	first := s.First
	s.First = nil
	if first != nil {
		defer first.Close()
	}
	if err := s.awaitBegin(ctx); err != nil {
		return err
	}
	if first != nil {
		if err := s.track(ctx, first); err != nil {
			return err
		}
	}
	for !s.ends {
		t, err := s.nextTrack(ctx)
		if t == nil || err != nil {
			return err
		}
		err = s.track(ctx, t)
		t.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// nextTrack waits for the next track, nil when there is none. It fails when the show is over.
// While none is ready, for a row of files that do not play takes its time, there is silence
// behind the last one: a server drops a source that sends nothing.
func (s *Station) nextTrack(ctx context.Context) (*track.Track, error) {
	began := time.Time{} // of the silence
	for {
		if s.full() {
			return nil, errOver
		}
		silence, ok := frame.Silence(s.last)
		var dry <-chan time.Time
		if at := s.Pacer.Heard(); ok && s.Fill {
			if began.IsZero() {
				at = at.Add(late)
			}
			dry = time.After(time.Until(at))
		}
		select { // one that is ready comes first
		case t := <-s.Tracks:
			return t, nil
		default:
		}
		select {
		case t := <-s.Tracks:
			if t != nil && !began.IsZero() {
				s.log().Info("a track is ready", "after", time.Since(began).Round(time.Millisecond))
			}
			return t, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.ending():
		case <-time.After(beatEvery):
			s.beat()
		case <-dry:
			if began.IsZero() {
				began = time.Now()
				s.log().Warn("no track is ready: silence goes out")
			}
			if err := s.due(ctx, silence); err != nil {
				return nil, err
			}
			s.silent(silence)
			s.add(silence)
			s.flush()
		}
	}
}

// track plays one track to its end, or until it is skipped. What goes wrong with the file
// ends it alone.
func (s *Station) track(ctx context.Context, t *track.Track) error {
	s.aired() // the silence before it
	s.begin(t)
	s.log().Info("playing", "title", cmp.Or(s.title, t.Info.StreamTitle, t.Info.Title), "file", t.Info.Path)
	s.show(t, false)
	t.Skipped = func(skip frame.Skip) {
		if !skip.Kind.IsHeaderFrame() {
			s.log().Warn("left out", "file", t.Info.Path, "what", skip.Kind.String(), "bytes", skip.Length, "offset", skip.Offset)
		}
	}
	for {
		f, err := s.next(ctx, t)
		if err == nil && s.isPast(f) {
			s.tellCut(t, s.airing.Audio)
			err = errOver
		}
		if err != nil {
			return s.over(ctx, err, errors.Is(err, errOver))
		}
		if t.Retitled {
			s.over(ctx, io.EOF, false) // a track of its own
			s.begin(t)
			s.log().Info("title", "title", t.Info.StreamTitle)
			s.show(t, true)
		}
		if err := s.due(ctx, f); err != nil {
			return s.over(ctx, err, true)
		}
		s.add(f)
		s.last = f
	}
}

// show tells the sinks what is played, or that it goes on under another title.
func (s *Station) show(t *track.Track, goesOn bool) {
	info := t.Info
	info.Continued = goesOn
	if s.title != "" {
		info.StreamTitle = s.title
	}
	s.shown(info)
	for _, sink := range s.Sinks {
		sink.Play(info)
	}
}

// next returns the next frame of a track. Where a live one has none in time it is
// silence, for as long as that lasts.
func (s *Station) next(ctx context.Context, t *track.Track) (frame.Frame, error) {
	if s.Pacer.GroupEnds() {
		select {
		case title := <-s.Titles:
			s.title = track.Clean(title)
			s.log().Info("title", "title", cmp.Or(s.title, t.Info.StreamTitle))
			s.flush()
			s.show(t, true)
		default:
		}
		if err := s.obey(); err != nil {
			return frame.Frame{}, err
		}
	}
	if !t.Late() {
		return t.Next()
	}
	if s.stalled.IsZero() && !t.Live() { // what is there goes out in groups
		if f, err := t.Await(ctx, time.Now()); !errors.Is(err, track.ErrStalled) {
			return f, err
		}
	}
	s.flush()
	for {
		until := s.Pacer.Heard()
		switch {
		case until.IsZero(): // the first one is there
			until = time.Now()
		case s.stalled.IsZero():
			until = until.Add(late)
		case !s.Fill:
			until = time.Now().Add(late)
		}
		f, err := t.Await(ctx, until)
		if !errors.Is(err, track.ErrStalled) {
			s.resume()
			return f, err
		}
		s.beat()
		if err := s.obey(); err != nil {
			if !s.Fill {
				s.Pacer.Restart(0)
			}
			s.stalled = time.Time{}
			return f, err
		}
		if s.stalled.IsZero() {
			s.stalled, s.filled = s.Pacer.Heard(), 0
			s.log().Warn("nothing comes from " + t.Info.Path)
		}
		if s.full() && !s.EndTrack {
			return f, errOver
		}
		if s.MaxStall > 0 && t.Live() && time.Since(s.stalled) >= s.MaxStall {
			return f, fmt.Errorf("%s: %w: %v", t.Info.Path, ErrDeadInput, s.MaxStall)
		}
		if s.Fill {
			if f, ok := t.Silence(); ok {
				s.filled += f.Lasts()
				s.silent(f)
				return f, nil
			}
			s.Fill = false
			s.log().Warn("there is no silence to fill the gap with", "format", t.Info.Header.String())
		}
	}
}

// resume ends a stall.
func (s *Station) resume() {
	if s.stalled.IsZero() {
		return
	}
	s.log().Info("it comes again", "after", time.Since(s.stalled).Round(time.Millisecond), "silence", s.filled.Round(time.Millisecond))
	if !s.Fill {
		s.Pacer.Restart(0) // what is missing is not made up for
	}
	s.stalled = time.Time{}
}

// due waits until a frame is due. Those before it are on their way then.
func (s *Station) due(ctx context.Context, f frame.Frame) error {
	if s.Pacer.GroupEnds() {
		s.flush()
		if s.Gate != nil {
			waited, ahead, err := s.ready(ctx)
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
		s.jumped(moved)
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
	s.sent()
	clear(s.group)
	s.group = s.group[:0]
}

func (s *Station) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.Default()
}
