package station

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"icepush/frame"
	"icepush/playlist"
	"icepush/ratelimit"
	"icepush/track"
)

// recorder is a sink that notes what came when.
type recorder struct {
	began  time.Time
	tracks []string        // stream titles
	starts []time.Duration // of the tracks
	sends  []time.Duration
	audio  []byte
	frames int
}

func (r *recorder) Play(t track.Info) {
	r.tracks = append(r.tracks, t.StreamTitle)
	r.starts = append(r.starts, time.Since(r.began))
}

func (r *recorder) Send(frames []frame.Frame) {
	r.sends = append(r.sends, time.Since(r.began))
	for _, f := range frames {
		r.audio = append(r.audio, f.Data...)
		r.frames++
	}
}

// run plays inputs into a recorder.
func run(ctx context.Context, cue *Cue, st *Station) (r *recorder, err, cueErr error) {
	r = &recorder{began: time.Now()}
	st.Tracks = cue.Tracks()
	st.Sinks = []Sink{r}
	var wg sync.WaitGroup
	wg.Go(func() { cueErr = cue.Run(ctx) })
	err = st.Run(ctx)
	wg.Wait()
	return r, err, cueErr
}

// TestShow plays three files: every frame in order, when it is due, in groups, titles at
// the borders, and the end is waited for.
func TestShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		cue := &Cue{
			Playlist: playlist.Playlist{Inputs: []string{"../testdata/demo/demo.m3u"}},
			Title:    "{artist} - {title}",
			Measure:  true,
			Log:      logger,
		}
		st := &Station{Pacer: ratelimit.Pacer{Lead: 500 * time.Millisecond, Group: 200 * time.Millisecond}, Log: logger}
		r, err, cueErr := run(t.Context(), cue, st)
		if err != nil || cueErr != nil {
			t.Fatal(err, cueErr)
		}
		var want []byte
		var duration time.Duration
		pieces, _ := filepath.Glob("../testdata/demo/*.mp3")
		for i, name := range pieces {
			report, err := track.Scan(t.Context(), name, track.Info{}, false)
			if err != nil {
				t.Fatal(err)
			}
			if early := duration - r.starts[i]; early < 500*time.Millisecond && i > 0 || early > 750*time.Millisecond {
				t.Errorf("track %d begins %v before it is heard", i, early)
			}
			duration += report.Info.Duration
			tr, _ := track.Open(t.Context(), name, track.Info{})
			for {
				f, err := tr.Next()
				if err != nil {
					break
				}
				want = append(want, f.Data...)
			}
			tr.Close()
		}
		if !bytes.Equal(r.audio, want) {
			t.Error("the frames are not those of the files")
		}
		if got := time.Since(r.began); got < duration-time.Microsecond || got > duration+time.Microsecond {
			t.Errorf("the show took %v, want %v", got, duration)
		}
		if want := int(duration/(208*time.Millisecond)) + 4; len(r.sends) > want {
			t.Errorf("%d groups, want at most %d", len(r.sends), want)
		}
		if got := strings.Join(r.tracks, ", "); got != "The Ring Buffer Trio - Pebbles on the Quay, Slow Socket Ensemble - Jäälautta, Keepalive Five - Pingüino de paseo" {
			t.Error(got)
		}
		if n := strings.Count(log.String(), "\n"); n != 3 || strings.Count(log.String(), "level=INFO msg=playing") != n {
			t.Errorf("the log says\n%s", log.String())
		}
	})
}

// TestBadFiles plays a list most of which does not play: each entry is told of once, and
// the show goes on.
func TestBadFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		sound, _ := filepath.Abs("../testdata/mp3/cbr128-44100-joint.mp3")
		other, _ := filepath.Abs("../testdata/mp3/mpeg2-24000-mono.mp3")
		broken, _ := filepath.Abs("../testdata/mp3/garbage-between.mp3")
		os.WriteFile(filepath.Join(dir, "text.mp3"), []byte("hello"), 0o644)
		list := filepath.Join(dir, "list.m3u")
		os.WriteFile(list, []byte("missing.mp3\ntext.mp3\n"+sound+"\n.\n"+other+"\n"+broken+"\nmissing.mp3\n"), 0o644)
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		cue := &Cue{Playlist: playlist.Playlist{Inputs: []string{list}}, Transcode: Never, Log: logger}
		r, err, cueErr := run(t.Context(), cue, &Station{Log: logger})
		if err != nil || cueErr != nil {
			t.Fatal(err, cueErr)
		}
		if r.frames != 17+27+17 {
			t.Errorf("%d frames", r.frames)
		}
		for what, n := range map[string]int{
			"no such file or directory": 2, "it is text": 2, "line 1": 1, "line 7": 1,
			"the format of the stream changes": 2, "bytes=300": 1,
		} {
			if got := strings.Count(log.String(), what); got != n {
				t.Errorf("%q is said %d times, want %d\n%s", what, got, n, log.String())
			}
		}
	})
}

// TestNothingPlayable ends at once, even in a loop.
func TestNothingPlayable(t *testing.T) {
	for _, input := range []string{"../testdata/playlist/empty.m3u", "../testdata/tags/only-tags.mp3", t.TempDir()} {
		cue := &Cue{Playlist: playlist.Playlist{Inputs: []string{input}}, Loop: true, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
		r, err, cueErr := run(t.Context(), cue, &Station{})
		if err != nil || !errors.Is(cueErr, ErrNothingPlayable) || r.frames != 0 {
			t.Errorf("%s: %v, %v, %d frames", input, err, cueErr, r.frames)
		}
	}
}

// TestLoop plays a list over and over until it is told to end.
func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		cue := &Cue{Playlist: playlist.Playlist{Inputs: []string{"../testdata/playlist/folder"}}, Loop: true, Title: "{file}"}
		st := &Station{Pacer: ratelimit.Pacer{Lead: 500 * time.Millisecond}}
		r, err, _ := run(ctx, cue, st)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		synctest.Wait()
		// 27 frames are 705 ms: 10.5 s of them.
		if r.frames < 400 || r.frames > 404 || len(r.tracks) < 43 || r.tracks[3] != "Track 1" {
			t.Errorf("%d frames, %d tracks: %q", r.frames, len(r.tracks), r.tracks)
		}
		// It ends when what was let go has been heard.
		if d := time.Since(r.began); d < 10*time.Second+450*time.Millisecond || d > 10*time.Second+550*time.Millisecond {
			t.Errorf("ended after %v", d)
		}
	})
}

// gate holds the clock from one moment for a while.
type gate struct {
	at, until time.Time
	err       error
}

func (g *gate) Ready(ctx context.Context) (bool, time.Duration, error) {
	if now := time.Now(); !now.Before(g.at) && now.Before(g.until) {
		time.Sleep(g.until.Sub(now))
		return true, 100 * time.Millisecond, g.err
	}
	return false, 0, nil
}

// TestGate stops the clock in the middle: nothing is left out, the end comes later by as
// much, but for the lead that is built up again.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		cue := &Cue{Playlist: playlist.Playlist{Inputs: []string{"../testdata/demo/01-pebbles-on-the-quay.mp3"}}}
		st := &Station{
			Pacer: ratelimit.Pacer{Lead: 500 * time.Millisecond, Group: 200 * time.Millisecond},
			Gate:  &gate{at: began.Add(10 * time.Second), until: began.Add(100 * time.Second)},
		}
		r, err, _ := run(t.Context(), cue, st)
		if err != nil || r.frames != 1073 {
			t.Errorf("%v, %d frames", err, r.frames)
		}
		if d := time.Since(began); d < 117*time.Second || d > 118*time.Second {
			t.Errorf("ended after %v", d)
		}
		for _, at := range r.sends {
			if at > 10*time.Second+st.Pacer.Group && at < 100*time.Second { // one group may be on its way
				t.Errorf("sent at %v", at)
			}
		}
	})
}

// TestGateFails ends the show when nobody will take it any more.
func TestGateFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("gone")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cue := &Cue{Playlist: playlist.Playlist{Inputs: []string{"../testdata/playlist/folder"}}}
		st := &Station{Tracks: cue.Tracks(), Gate: &gate{at: time.Now(), until: time.Now().Add(time.Millisecond), err: broken}}
		var wg sync.WaitGroup
		wg.Go(func() { cue.Run(ctx) })
		if err := st.Run(ctx); !errors.Is(err, broken) {
			t.Error(err)
		}
		cancel()
		wg.Wait()
	})
}
