package station

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"icepush/frame"
	"icepush/track"
)

// Status is a Station at one moment.
type Status struct {
	Track    track.Info    // what plays, or has played last
	Playing  bool          // it does
	Titled   bool          // its title is not its own, but came by Titles
	Since    time.Time     // when its first frame was heard, or will be
	Position time.Duration // how much of it has been heard
	Ahead    time.Duration // how much audio has left the clock and is not heard yet

	Frames  int64         // that left the clock
	Audio   time.Duration // the same
	Silence time.Duration // of that, what filled gaps

	Played, Skipped, Failed, Cut int // tracks that ended so

	Lateness Lateness
	Moved    time.Duration // what the clock was moved by, for audio could not go out in time

	// Beat is when the loop last showed that it lives, zero before it has begun. It does so
	// twice a second or more, also while it waits for a track or a line, until it has Ended.
	Beat  time.Time
	Ended bool
}

// LatenessBounds are the upper bounds of the classes of Lateness; one more has the rest.
var LatenessBounds = []time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
}

// Lateness is how long after they were due groups of frames have left.
type Lateness struct {
	Groups int64
	Sum    time.Duration
	Most   time.Duration
	Counts []int64 // in the classes of LatenessBounds: each counts what the ones before do not
}

func (l *Lateness) add(d time.Duration) {
	d = max(d, 0)
	if l.Counts == nil {
		l.Counts = make([]int64, len(LatenessBounds)+1)
	}
	class, _ := slices.BinarySearch(LatenessBounds, d)
	l.Counts[class]++
	l.Groups++
	l.Sum += d
	l.Most = max(l.Most, d)
}

// Fate is how a track has ended.
type Fate int

const (
	Whole   Fate = iota // played to its end
	Skipped             // by an order
	Cut                 // with the show
	Failed              // it could not be read on
	Filler              // it is no track, but the silence between two
)

func (f Fate) String() string {
	return [...]string{"whole", "skipped", "cut", "failed", "silence"}[f]
}

// Airing is what became of a track.
type Airing struct {
	Track   track.Info // as it was shown last; of Filler the zero Info
	Fate    Fate
	Err     error         // why, where Fate does not say it
	Start   time.Time     // when its first frame is heard, UTC
	End     time.Time     // when its last frame has been heard
	Frames  int64         // that left the clock
	Audio   time.Duration // the same
	Silence int64         // of the frames, those that stand where a live track gave nothing
}

// Ender is a sink that is told what became of each track, when its frames have been sent.
// Together the airings have all frames.
type Ender interface{ End(Airing) }

// progress is what a Station knows of itself.
type progress struct {
	mu     sync.Mutex
	status Status        // but for Position and Ahead
	audio  time.Duration // of the track
	heard  time.Time     // when all that left the clock has been
	rests  time.Time     // until when there is nothing to do

	// For the loop alone.
	playing *track.Track
	airing  Airing
	counted time.Time // when the group was due that was counted last
	ends    bool      // with this track
}

// Status returns what the Station is doing.
func (s *Station) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Lateness.Counts = slices.Clone(st.Lateness.Counts)
	if now := time.Now(); now.Before(s.rests) {
		st.Beat = now
	}
	if !s.heard.IsZero() {
		st.Ahead = max(0, time.Until(s.heard))
	}
	st.Position = max(0, s.audio-st.Ahead)
	return st
}

// begin notes that what leaves the clock now is of a track, or none.
func (s *Station) begin(t *track.Track) {
	s.playing, s.airing = t, Airing{Fate: Filler}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.audio, s.status.Playing = 0, t != nil
	if t != nil {
		s.status.Since = time.Time{}
	}
}

// shown notes what the sinks are told.
func (s *Station) shown(info track.Info) {
	s.airing.Track = info
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Track, s.status.Titled = info, s.title != ""
}

// add puts a frame that is due into the group.
func (s *Station) add(f frame.Frame) {
	if s.airing.Frames == 0 {
		s.airing.Start = utc(s.Pacer.Heard().Add(-f.Lasts()))
	}
	s.airing.Frames++
	s.airing.Audio += f.Lasts()
	s.group = append(s.group, f)
}

// sent counts the group, which the sinks have got.
func (s *Station) sent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &s.status
	st.Frames += int64(len(s.group))
	for _, f := range s.group {
		st.Audio += f.Lasts()
		s.audio += f.Lasts()
	}
	if st.Since.IsZero() {
		st.Since = s.airing.Start
	}
	s.heard, st.Beat = s.Pacer.Heard(), time.Now()
	if due := s.Pacer.Due(); due != s.counted {
		s.counted = due
		st.Lateness.add(time.Since(due))
	}
}

// beat shows that the loop lives.
func (s *Station) beat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Beat = time.Now()
}

// end notes that the loop has ended.
func (s *Station) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Ended = true
}

// rest notes that there is nothing to do until then.
func (s *Station) rest(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rests, s.status.Beat = until, time.Now()
}

// silent counts a frame of silence that stands for what did not come.
func (s *Station) silent(f frame.Frame) {
	s.airing.Silence++
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Silence += f.Lasts()
}

// jumped counts what the clock was moved by.
func (s *Station) jumped(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Moved += d
}

// over ends a track, for a reason: io.EOF when it was whole. It returns what ends the show
// with it; fatal says that the reason does.
func (s *Station) over(ctx context.Context, why error, fatal bool) error {
	a := &s.airing
	path := a.Track.Path
	var ends error
	switch {
	case errors.Is(why, io.EOF):
		a.Fate = Whole
	case errors.Is(why, errSkipped):
		a.Fate = Skipped
		s.log().Info("skipped", "file", path)
	case ctx.Err() != nil:
		a.Fate, ends = Cut, ctx.Err()
	case errors.Is(why, ErrDeadInput):
		a.Fate, a.Err, ends = Failed, why, why
	case fatal:
		a.Fate, a.Err, ends = Cut, why, why
	default:
		a.Fate, a.Err = Failed, why
		s.log().Warn("track cut short", "err", why)
	}
	s.mu.Lock()
	st := &s.status
	switch a.Fate {
	case Whole:
		st.Played++
	case Skipped:
		st.Skipped++
	case Failed:
		st.Failed++
	case Cut:
		st.Cut++
	}
	s.mu.Unlock()
	s.aired()
	return ends
}

// aired tells the sinks what became of what has left the clock since begin.
func (s *Station) aired() {
	s.flush()
	a := s.airing
	s.begin(nil)
	if a.Fate == Filler && a.Frames == 0 {
		return
	}
	a.End = time.Now().Round(0).UTC()
	if heard := s.Pacer.Heard(); !heard.IsZero() {
		a.End = utc(heard)
	}
	if a.Frames == 0 {
		a.Start = a.End
	}
	for _, sink := range s.Sinks {
		if e, ok := sink.(Ender); ok {
			e.End(a)
		}
	}
}

// utc returns what the clock on the wall will say, or has said, at a moment.
func utc(t time.Time) time.Time { return time.Now().Add(time.Until(t)).Round(0).UTC() }
