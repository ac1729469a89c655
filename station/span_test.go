package station

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // the days when clocks change have to be known

	"icepush/frame"
	"icepush/playlist"
	"icepush/ratelimit"
	"icepush/track"
)

// scheduled is a sink that notes when the first frame came, how much audio there was, and
// what it was of.
type scheduled struct {
	first  time.Time
	audio  ratelimit.Pacer // counts it
	one    time.Duration   // of the last frame
	tracks []string
}

func (s *scheduled) Play(t track.Info) { s.tracks = append(s.tracks, t.StreamTitle) }

func (s *scheduled) Send(frames []frame.Frame) {
	if s.first.IsZero() {
		s.first = time.Now()
	}
	for _, f := range frames {
		s.count(f.Samples, f.SampleRate)
		s.one = f.Lasts()
	}
}

// count adds a frame to the audio, in no time at all.
func (s *scheduled) count(samples, rate int) {
	s.audio.Lead = 1 << 62
	s.audio.Wait(context.Background(), samples, rate)
}

// plays plays a cue within a span and returns what came, when it was over, and the log.
func plays(t *testing.T, cue *Cue, st *Station) (*scheduled, time.Time, string) {
	t.Helper()
	var log bytes.Buffer
	st.Log = slog.New(slog.NewTextHandler(&log, nil))
	cue.Log, cue.Title = st.Log, "{file}"
	s := &scheduled{}
	st.Sinks, st.Tracks = []Sink{s}, cue.Tracks()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { cue.Run(ctx) })
	if err := st.Run(ctx); err != nil {
		t.Error(err)
	}
	over := time.Now()
	cancel()
	wg.Wait()
	return s, over, log.String()
}

// wall returns a time without the monotonic clock's, as those of flags are.
func wall(t time.Time) time.Time { return t.Round(0) }

var folder = playlist.Playlist{Inputs: []string{"../testdata/playlist/folder"}}

// TestSpan begins on the nanosecond and ends with the last frame that fits: the next would
// not. What goes ahead of the clock is within.
func TestSpan(t *testing.T) {
	for _, test := range []struct {
		name string
		file string
		span time.Duration
	}{
		{"44.1 kHz", "mp3/cbr128-44100-joint.mp3", time.Minute},
		{"a frame and a half", "mp3/cbr128-44100-joint.mp3", 39 * time.Millisecond},
		{"to the frame", "aac/lc-44100-stereo.aac", 1024 * 44100 * time.Second / 44100 / 100}, // 10.24 s are 441 frames
		{"8 kHz", "mp3/mpeg25-8000-mono.mp3", 10 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, byLength := range []bool{false, true} {
					begin := wall(time.Now().Add(3*time.Hour + 123456789))
					span := Span{Begin: begin, End: begin.Add(test.span)}
					if byLength {
						span = Span{Begin: begin, Length: test.span}
					}
					st := &Station{Span: span, Pacer: ratelimit.Pacer{Lead: 500 * time.Millisecond, Group: 400 * time.Millisecond}}
					cue := &Cue{Playlist: playlist.Playlist{Inputs: []string{"../testdata/" + test.file}}, Loop: true}
					s, over, log := plays(t, cue, st)
					if !s.first.Equal(begin) {
						t.Errorf("the first frame went %v late", s.first.Sub(begin))
					}
					audio := s.audio.Audio()
					if audio > test.span || audio+s.one <= test.span {
						t.Errorf("%v of audio in frames of %v, for %v", audio, s.one, test.span)
					}
					if got := over.Sub(begin); got != audio {
						t.Errorf("over after %v, with %v of audio", got, audio)
					}
					if strings.Contains(log, "before the show was to") {
						t.Error(log)
					}
				}
			})
		})
	}
}

// TestSpanOverTheChange has shows in the nights when clocks are set. They last as long as
// any other.
func TestSpanOverTheChange(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, night := range []string{"2000-03-26T00:30:00Z", "2000-10-29T00:30:00Z"} {
		t.Run(night, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin, err := time.ParseInLocation(time.RFC3339, night, berlin)
				if err != nil {
					t.Fatal(err)
				}
				begin = begin.In(berlin)
				end := begin.Add(time.Hour)
				if begin.Format("-0700") == end.Format("-0700") {
					t.Fatal("clocks are not set in this hour")
				}
				st := &Station{Span: Span{Begin: begin, End: end}, Pacer: ratelimit.Pacer{Lead: 500 * time.Millisecond, Group: 400 * time.Millisecond}}
				s, _, _ := plays(t, &Cue{Playlist: playlist.Playlist{Inputs: []string{"../testdata/demo/01-pebbles-on-the-quay.mp3"}}, Loop: true}, st)
				if audio := s.audio.Audio(); !s.first.Equal(begin) || audio > time.Hour || audio+s.one <= time.Hour {
					t.Errorf("%v of audio from %v on", audio, s.first)
				}
			})
		})
	}
}

// TestSpanEnds shows how the end of a show meets its list.
func TestSpanEnds(t *testing.T) {
	const piece = 28029387755 * time.Nanosecond // of the first of the demo
	pieces, _ := filepath.Glob("../testdata/demo/*.mp3")
	demo := playlist.Playlist{Inputs: pieces[:2]}
	for _, test := range []struct {
		name   string
		span   time.Duration
		track  bool
		fill   []string
		tracks string
		audio  time.Duration // to the frame
		said   string
	}{
		{name: "cut in the second", span: 40 * time.Second, tracks: "01-pebbles-on-the-quay, 02-jaalautta", audio: 40 * time.Second, said: "cut at the end of the show"},
		{name: "the second goes on", span: 40 * time.Second, track: true, tracks: "01-pebbles-on-the-quay, 02-jaalautta", audio: 57077551020 * time.Nanosecond, said: "the last track went on after the end"},
		{name: "at a border", span: piece, tracks: "01-pebbles-on-the-quay", audio: piece},
		{name: "a frame behind a border", span: piece + 20*time.Millisecond, tracks: "01-pebbles-on-the-quay", audio: piece},
		{name: "at a border, whole tracks", span: piece, track: true, tracks: "01-pebbles-on-the-quay", audio: piece},
		{name: "too short", span: time.Minute, tracks: "01-pebbles-on-the-quay, 02-jaalautta", audio: 57077551020 * time.Nanosecond, said: "early=2.922s"},
		{name: "filled", span: time.Minute, fill: pieces[2:], tracks: "01-pebbles-on-the-quay, 02-jaalautta, 03-pinguino-de-paseo", audio: time.Minute, said: "what is to fill the rest plays"},
		{name: "filled over and over", span: 2 * time.Minute, fill: pieces[2:], track: true, tracks: "01-pebbles-on-the-quay, 02-jaalautta, 03-pinguino-de-paseo, 03-pinguino-de-paseo, 03-pinguino-de-paseo", audio: 144222040813 * time.Nanosecond, said: "the last track went on"},
		{name: "filled with nothing", span: time.Minute, fill: []string{"../testdata/playlist/empty.m3u"}, tracks: "01-pebbles-on-the-quay, 02-jaalautta", audio: 57077551020 * time.Nanosecond, said: "early=2.922s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &Station{Span: Span{End: wall(time.Now().Add(test.span)), EndTrack: test.track}, Pacer: ratelimit.Pacer{Lead: 500 * time.Millisecond, Group: 400 * time.Millisecond}}
				s, _, log := plays(t, &Cue{Playlist: demo, Fill: playlist.Playlist{Inputs: test.fill}}, st)
				if got := strings.Join(s.tracks, ", "); got != test.tracks {
					t.Errorf("tracks %s", got)
				}
				if audio := s.audio.Audio(); audio > test.audio+time.Microsecond || audio < test.audio-s.one {
					t.Errorf("%v of audio, want %v", audio, test.audio)
				}
				if !strings.Contains(log, test.said) {
					t.Errorf("the log says\n%s", log)
				}
				if test.said == "" && strings.Count(log, "\n") != 1 {
					t.Errorf("the log says\n%s", log)
				}
			})
		})
	}
}

// TestLateBegin begins at once with the first frame when the beginning has passed, and plays
// nothing when the end has, too.
func TestLateBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		span := Span{Begin: wall(began.Add(-time.Minute)), End: wall(began.Add(10 * time.Second))}
		s, _, _ := plays(t, &Cue{Playlist: folder, Loop: true}, &Station{Span: span, Pacer: ratelimit.Pacer{Lead: 500 * time.Millisecond}})
		if audio := s.audio.Audio(); !s.first.Equal(began) || audio > 10*time.Second || audio < 9900*time.Millisecond {
			t.Errorf("%v of audio from %v on", audio, s.first.Sub(began))
		}
		span.End = wall(time.Now())
		if s, _, log := plays(t, &Cue{Playlist: folder}, &Station{Span: span}); len(s.tracks) > 0 || log != "" {
			t.Errorf("%q played\n%s", s.tracks, log)
		}
	})
}

// TestSpanCancelled ends while it waits, and closes the track that was to be the first.
func TestSpanCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, err := track.Open(t.Context(), "../testdata/mp3/cbr128-44100-joint.mp3", track.Info{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s := &scheduled{}
		st := &Station{First: first, Sinks: []Sink{s}, Span: Span{Begin: wall(time.Now().Add(time.Hour))}}
		if err := st.Run(ctx); !errors.Is(err, context.DeadlineExceeded) || len(s.tracks) > 0 {
			t.Errorf("%v, %q", err, s.tracks)
		}
		if err := first.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("it was open: %v", err)
		}
	})
}

// TestEndWithoutTracks ends a show in which no track is ready, and one whose live source has
// stalled.
func TestEndWithoutTracks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		st := &Station{Tracks: make(chan *track.Track), Span: Span{End: wall(began.Add(3 * time.Minute))}}
		if err := st.Run(t.Context()); err != nil || time.Since(began) != 3*time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
	for _, fill := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			frames := framesOf(t, "mp3/cbr128-44100-joint.mp3")
			e := &ear{silent: unlike(frames)}
			st := &Station{Span: Span{End: wall(began.Add(30 * time.Second))}, Fill: fill, Log: slog.New(slog.DiscardHandler)}
			src := &source{frames: frames, spans: []time.Duration{20 * time.Second}, pause: time.Minute}
			if err := live(t, src, st, e); err != nil {
				t.Error(err)
			}
			if last := e.last.Sub(began); fill && (last > 30*time.Second || last < 29*time.Second) || !fill && last > 21*time.Second {
				t.Errorf("the last frame came after %v", last)
			}
		})
	}
}

// TestFillGivesWay plays what is to fill the rest, until the list has more.
func TestFillGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		piece := func(name string) string {
			abs, err := filepath.Abs("../testdata/playlist/folder/" + name)
			if err != nil {
				t.Fatal(err)
			}
			return abs + "\n"
		}
		list := filepath.Join(dir, "list.m3u")
		one, other, fill := piece("Track 1.mp3"), piece("track 2.mp3"), playlist.Playlist{Inputs: []string{strings.TrimSpace(piece("track 10.mp3"))}}
		os.WriteFile(list, []byte(one), 0o644)
		reload := make(chan struct{}, 1)
		time.AfterFunc(5*time.Second, func() {
			os.WriteFile(list, []byte(one+other), 0o644)
			reload <- struct{}{}
		})
		cue := &Cue{Playlist: playlist.Playlist{Inputs: []string{list}}, Fill: fill, Reload: reload}
		s, _, _ := plays(t, cue, &Station{Span: Span{End: wall(time.Now().Add(10 * time.Second))}})
		got := strings.Join(s.tracks, ",")
		if n := strings.Count(got, "track 2,"); n != 1 || !strings.HasPrefix(got, "Track 1,track 10,track 10,") || !strings.HasSuffix(got, ",track 10") {
			t.Errorf("%s", got)
		}
	})
}
