package station

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/big"
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

// framesOf returns the frames of a file of testdata.
func framesOf(t *testing.T, name string) []frame.Frame {
	t.Helper()
	b, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var frames []frame.Frame
	for r := frame.NewReader(bytes.NewReader(b)); ; {
		f, err := r.Next()
		if err != nil {
			return frames
		}
		frames = append(frames, f)
	}
}

// source writes frames in their own time, as a live encoder does, over and over: each of
// these spans of audio, with a pause behind. It notes when each frame was written.
type source struct {
	frames []frame.Frame
	spans  []time.Duration
	pause  time.Duration

	mu      sync.Mutex
	written []time.Time
}

func (s *source) run(w *io.PipeWriter) {
	defer w.Close()
	n := 0
	for _, span := range s.spans {
		began := time.Now()
		for sent := time.Duration(0); sent < span; n++ {
			f := s.frames[n%len(s.frames)]
			sent += time.Duration(f.Samples) * time.Second / time.Duration(f.SampleRate)
			time.Sleep(time.Until(began.Add(sent))) // it is there when it has been heard
			s.mu.Lock()
			s.written = append(s.written, time.Now())
			s.mu.Unlock()
			w.Write(f.Data)
		}
		time.Sleep(s.pause)
	}
}

// ear is a sink that tells silence from what the source wrote.
type ear struct {
	silent  func(frame.Frame) bool
	heard   []time.Time // the frames that are not silent
	silence time.Duration
	longest time.Duration // between two frames
	last    time.Time
	tracks  []track.Info
}

func (e *ear) Play(t track.Info) { e.tracks = append(e.tracks, t) }

func (e *ear) Send(frames []frame.Frame) {
	for _, f := range frames {
		if !e.last.IsZero() {
			e.longest = max(e.longest, time.Since(e.last))
		}
		e.last = time.Now()
		if e.silent(f) {
			e.silence += time.Duration(f.Samples) * time.Second / time.Duration(f.SampleRate)
		} else {
			e.heard = append(e.heard, e.last)
		}
	}
}

// live plays a source through a station.
func live(t *testing.T, src *source, st *Station, e *ear) error {
	t.Helper()
	r, w := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { src.run(w) })
	tracks := make(chan *track.Track, 1)
	tr, err := track.OpenLive(t.Context(), r, track.Info{Title: "Live"})
	if err != nil {
		t.Fatal(err)
	}
	tr.SetTitleFormat("{title}")
	tracks <- tr
	close(tracks)
	st.Tracks, st.Sinks = tracks, []Sink{e}
	err = st.Run(t.Context())
	r.Close()
	wg.Wait()
	return err
}

// unlike returns what tells silence: a frame that is none of these.
func unlike(frames []frame.Frame) func(frame.Frame) bool {
	known := map[string]bool{}
	for _, f := range frames {
		known[string(f.Data)] = true
	}
	return func(f frame.Frame) bool { return !known[string(f.Data)] }
}

// TestStall has a live source stop twice for 15 seconds: silence stands for exactly that,
// without a gap before, and what comes is passed on within 200 ms, before and after.
func TestStall(t *testing.T) {
	for _, name := range []string{"mp3/cbr128-44100-joint.mp3", "mp3/tiny-44100-joint.mp3", "mp3/mpeg25-8000-mono.mp3", "aac/lc-44100-stereo.aac"} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			frames := framesOf(t, name)
			synctest.Test(t, func(t *testing.T) {
				src := &source{frames: frames, spans: []time.Duration{20 * time.Second, 20 * time.Second, 20 * time.Second}, pause: 15 * time.Second}
				e := &ear{silent: unlike(frames)}
				began := time.Now()
				st := &Station{Pacer: ratelimit.Pacer{Lead: 500 * time.Millisecond}, Fill: true, Log: slog.New(slog.DiscardHandler)}
				if err := live(t, src, st, e); err != nil {
					t.Fatal(err)
				}
				one := time.Duration(frames[0].Samples) * time.Second / time.Duration(frames[0].SampleRate)
				// The pause behind the last span is filled, too: only its end tells that it is over.
				// The last frame before each waits for what confirms it.
				if want := 3 * 15 * time.Second; e.silence < want-3*2*one || e.silence > want+3*2*one {
					t.Errorf("%v of silence, want %v", e.silence, want)
				}
				if e.longest > late+8*one { // the first frame waits for three, and the clock with it
					t.Errorf("nothing was sent for %v", e.longest)
				}
				if len(e.heard) != len(src.written) {
					t.Fatalf("%d frames heard, %d written", len(e.heard), len(src.written))
				}
				delays, worst := 0, time.Duration(0)
				for i, at := range e.heard {
					d := at.Sub(src.written[i])
					if worst = max(worst, min(d, 14*time.Second)); d > 200*time.Millisecond {
						delays++
					}
				}
				if most := 2 * (1 + 400/frames[0].Size + 1); delays > most {
					t.Errorf("%d frames were passed on later than 200 ms, the worst %v", delays, worst)
				}
				if d := time.Since(began); d > 106*time.Second {
					t.Errorf("it took %v", d)
				}
			})
		})
	}
}

// TestStallWithoutFill leaves the gap, and goes on with what comes as it comes.
func TestStallWithoutFill(t *testing.T) {
	frames := framesOf(t, "mp3/cbr128-44100-joint.mp3")
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		src := &source{frames: frames, spans: []time.Duration{5 * time.Second, 5 * time.Second}, pause: 30 * time.Second}
		e := &ear{silent: unlike(frames)}
		st := &Station{Pacer: ratelimit.Pacer{Lead: 500 * time.Millisecond}, Log: slog.New(slog.NewTextHandler(&log, nil))}
		if err := live(t, src, st, e); err != nil {
			t.Fatal(err)
		}
		if e.silence != 0 || e.longest < 29*time.Second || len(e.heard) != len(src.written) {
			t.Errorf("%v of silence, %v without anything, %d of %d frames", e.silence, e.longest, len(e.heard), len(src.written))
		}
		if strings.Contains(log.String(), "clock was moved") {
			t.Error(log.String())
		}
	})
}

// TestMaxStall ends the show when nothing comes for too long.
func TestMaxStall(t *testing.T) {
	frames := framesOf(t, "mp3/cbr128-44100-joint.mp3")
	synctest.Test(t, func(t *testing.T) {
		src := &source{frames: frames, spans: []time.Duration{5 * time.Second, 5 * time.Second}, pause: time.Hour}
		st := &Station{Fill: true, MaxStall: time.Minute, Log: slog.New(slog.DiscardHandler)}
		began := time.Now()
		r, w := io.Pipe()
		go src.run(w)
		tr, err := track.OpenLive(t.Context(), r, track.Info{})
		if err != nil {
			t.Fatal(err)
		}
		tracks := make(chan *track.Track, 1)
		tracks <- tr
		st.Tracks, st.Sinks = tracks, []Sink{&ear{silent: unlike(frames)}}
		if err := st.Run(t.Context()); !errors.Is(err, ErrDeadInput) {
			t.Error(err)
		}
		if d := time.Since(began); d < 64*time.Second || d > 67*time.Second {
			t.Errorf("it ended after %v", d)
		}
		r.Close() // what is written now fails, and the source ends
		time.Sleep(2 * time.Hour)
	})
}

// TestFilePiped has a whole file written at once: it is paced.
func TestFilePiped(t *testing.T) {
	b, err := os.ReadFile("../testdata/demo/01-pebbles-on-the-quay.mp3")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		go func() { w.Write(b); w.Close() }()
		tr, err := track.OpenLive(t.Context(), r, track.Info{})
		if err != nil {
			t.Fatal(err)
		}
		tracks := make(chan *track.Track, 1)
		tracks <- tr
		close(tracks)
		rec := &recorder{began: time.Now()}
		st := &Station{Tracks: tracks, Sinks: []Sink{rec}, Fill: true, Log: slog.New(slog.DiscardHandler), Pacer: ratelimit.Pacer{Lead: 500 * time.Millisecond}}
		if err := st.Run(t.Context()); err != nil || rec.frames != 1073 {
			t.Errorf("%d frames, %v", rec.frames, err)
		}
		if d := time.Since(rec.began); d < 28*time.Second || d > 28100*time.Millisecond {
			t.Errorf("it took %v", d)
		}
	})
}

// TestTitlesFromOutside stand in place of the track's, and give way when they are empty.
func TestTitlesFromOutside(t *testing.T) {
	frames := framesOf(t, "mp3/cbr128-44100-joint.mp3")
	synctest.Test(t, func(t *testing.T) {
		titles := make(chan string)
		go func() {
			for _, title := range []string{"One", "Two of\t{title}", ""} {
				time.Sleep(3 * time.Second)
				titles <- title
			}
		}()
		e := &ear{silent: unlike(frames)}
		st := &Station{Titles: titles, Log: slog.New(slog.DiscardHandler)}
		src := &source{frames: frames, spans: []time.Duration{15 * time.Second}}
		if err := live(t, src, st, e); err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, tr := range e.tracks {
			got = append(got, tr.StreamTitle)
			if tr.Continued != (i > 0) {
				t.Errorf("title %d is of a track that goes on: %v", i, tr.Continued)
			}
		}
		if s := strings.Join(got, ", "); s != "Live, One, Two of {title}, Live" {
			t.Error(s)
		}
	})
}

// clockWatch is a sink that compares each frame with the moment it is due by exact
// arithmetic.
type clockWatch struct {
	began time.Time
	lead  time.Duration
	audio *big.Rat // seconds let go
	worst time.Duration
	byFmt map[frame.Format]int
}

func (c *clockWatch) Play(track.Info) {}

func (c *clockWatch) Send(frames []frame.Frame) {
	ns := new(big.Rat).Mul(c.audio, big.NewRat(int64(time.Second), 1))
	due := time.Duration(new(big.Int).Quo(ns.Num(), ns.Denom()).Int64()) - c.lead
	if due > 0 {
		c.worst = max(c.worst, (time.Since(c.began) - due).Abs())
	}
	byRate := map[int]int64{}
	for _, f := range frames {
		byRate[f.SampleRate] += int64(f.Samples)
		c.byFmt[f.Format]++
	}
	for rate, n := range byRate {
		c.audio.Add(c.audio, big.NewRat(n, int64(rate)))
	}
}

// TestDay plays 24 hours of MP3, AAC, Vorbis, Opus, FLAC and Speex at six sample rates:
// each frame goes out to the nanosecond when exact arithmetic says.
func TestDay(t *testing.T) {
	dir := t.TempDir()
	var list []string
	for _, name := range []string{
		"mp3/cbr128-44100-joint.mp3", "aac/lc-44100-stereo.aac", "ogg/vorbis-44100-stereo.ogg", "ogg/opus-stereo.opus",
		"mp3/mpeg2-24000-mono.mp3", "ogg/flac-in-ogg.oga", "aac/lc-22050-mono.aac", "ogg/vorbis-22050-mono.ogg", "ogg/speex-16000.spx",
		"mp3/mpeg25-11025-joint.mp3",
	} {
		frames := framesOf(t, name)
		var c frame.Chain
		var b []byte
		for seconds := 0.0; seconds < 1237; {
			for _, f := range frames {
				title := ""
				if f.Setup != nil {
					title = f.Setup.Title()
				}
				b = c.Append(b, f, title)
				seconds += float64(f.Samples) / float64(f.SampleRate)
			}
		}
		path := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		list = append(list, path)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		tracks := make(chan *track.Track)
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := 0; ; i++ {
				tr, err := track.Open(ctx, list[i%len(list)], track.Info{})
				if err != nil {
					t.Error(err)
					cancel()
					return
				}
				select {
				case tracks <- tr:
				case <-ctx.Done():
					tr.Close()
					return
				}
			}
		})
		watch := &clockWatch{began: time.Now(), lead: 500 * time.Millisecond, audio: new(big.Rat), byFmt: map[frame.Format]int{}}
		st := &Station{
			Tracks: tracks, Sinks: []Sink{watch}, Log: slog.New(slog.DiscardHandler),
			Pacer: ratelimit.Pacer{Lead: watch.lead},
		}
		if err := st.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		wg.Wait()
		if hours, _ := watch.audio.Float64(); hours < 86400 || len(watch.byFmt) != 6 {
			t.Errorf("%v s of audio in %v", hours, watch.byFmt)
		}
		if watch.worst != 0 {
			t.Errorf("a frame was %v off", watch.worst)
		}
	})
}

// TestReload changes the list while it is played: the track that plays is finished, and
// what follows is what stands behind it now.
func TestReload(t *testing.T) {
	song := func(n string) string { return "../testdata/playlist/folder/" + n + "\n" }
	abs, err := filepath.Abs("../testdata")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		list := filepath.Join(t.TempDir(), "list.m3u")
		write := func(songs ...string) {
			text := strings.ReplaceAll(strings.Join(songs, ""), "../testdata", abs)
			if err := os.WriteFile(list, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		one, two, ten := song("Track 1.mp3"), song("track 2.mp3"), song("track 10.mp3")
		write(one, two)
		reload := make(chan struct{}, 1)
		cue := &Cue{Playlist: playlist.Playlist{Inputs: []string{list}}, Title: "{file}", Reload: reload, Log: slog.New(slog.DiscardHandler)}
		st := &Station{Log: slog.New(slog.DiscardHandler)}
		go func() {
			time.Sleep(100 * time.Millisecond) // in the first song, with the next one cued
			write(two, one, ten, ten)
			reload <- struct{}{}
			time.Sleep(500 * time.Millisecond) // in the last one
			write(two, one, ten, ten, two)
			reload <- struct{}{}
		}()
		r, err, cueErr := run(t.Context(), cue, st)
		if err != nil || cueErr != nil {
			t.Fatal(err, cueErr)
		}
		if got := strings.Join(r.tracks, ", "); got != "Track 1, track 10, track 10, track 2" {
			t.Error(got)
		}
	})
}

// TestNoTrackReady has the next track come late: silence stands between, for as long as
// there is nothing else.
func TestNoTrackReady(t *testing.T) {
	frames := framesOf(t, "mp3/cbr128-44100-joint.mp3")
	synctest.Test(t, func(t *testing.T) {
		tracks := make(chan *track.Track)
		go func() {
			for _, wait := range []time.Duration{0, 30 * time.Second, 500 * time.Millisecond} {
				time.Sleep(wait)
				tr, err := track.Open(t.Context(), "../testdata/mp3/cbr128-44100-joint.mp3", track.Info{})
				if err != nil {
					t.Error(err)
				}
				tracks <- tr
			}
			close(tracks)
		}()
		e := &ear{silent: unlike(frames)}
		st := &Station{Tracks: tracks, Sinks: []Sink{e}, Fill: true, Log: slog.New(slog.DiscardHandler), Pacer: ratelimit.Pacer{Lead: 500 * time.Millisecond, Group: 400 * time.Millisecond}}
		if err := st.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		song := time.Duration(len(frames)) * 1152 * time.Second / 44100
		if want := 30*time.Second - song; e.silence < want-100*time.Millisecond || e.silence > want+100*time.Millisecond {
			t.Errorf("%v of silence, want %v", e.silence, want)
		}
		if len(e.heard) != 3*len(frames) || e.longest > 2*late {
			t.Errorf("%d frames, nothing for %v", len(e.heard), e.longest)
		}
	})
}
