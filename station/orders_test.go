package station

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hajimehoshi/go-mp3"

	"icepush/frame"
	"icepush/playlist"
	"icepush/ratelimit"
	"icepush/track"
)

// studio is a show that is told what to do while it plays.
type studio struct {
	recorder
	*testing.T
	cue     Cue
	st      Station
	orders  chan Order
	titles  chan string
	reload  chan struct{}
	airings []Airing
	log     bytes.Buffer
	gaps    []time.Duration // between two groups
	last    time.Time
	mu      sync.Mutex
}

func (s *studio) End(a Airing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.airings = append(s.airings, a)
}

// airing returns what became of a track.
func (s *studio) airing(i int) Airing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.airings[i]
}

func (s *studio) Send(frames []frame.Frame) {
	if !s.last.IsZero() {
		s.gaps = append(s.gaps, time.Since(s.last))
	}
	s.last = time.Now()
	s.recorder.Send(frames)
}

// newStudio returns one that plays inputs, titled by their file names.
func newStudio(t *testing.T, inputs ...string) *studio {
	s := &studio{T: t, orders: make(chan Order, MaxOrders), titles: make(chan string, 1), reload: make(chan struct{}, 1)}
	s.began = time.Now()
	log := slog.New(slog.NewTextHandler(&s.log, nil))
	s.cue = Cue{Playlist: playlist.Playlist{Inputs: inputs}, Title: "{file}", Queue: &Queue{}, Reload: s.reload, Transcode: Never, Log: log}
	s.st = Station{
		Tracks: s.cue.Tracks(), Sinks: []Sink{s}, Orders: s.orders, Titles: s.titles, Log: log,
		Pacer: ratelimit.Pacer{Lead: 500 * time.Millisecond, Group: 400 * time.Millisecond},
	}
	return s
}

// play runs the show to its end, or for so long, with things that happen at times.
func (s *studio) play(limit time.Duration, events map[time.Duration]func()) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), limit)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, at := range slices.Sorted(maps.Keys(events)) {
			select {
			case <-time.After(time.Until(s.began.Add(at))):
				synctest.Wait()
				events[at]()
			case <-ctx.Done():
				return
			}
		}
	})
	wg.Go(func() { s.cue.Run(ctx) })
	if err := s.st.Run(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		s.Error(err)
	}
	cancel()
	wg.Wait()
	s.check()
}

// check looks whether every frame is accounted for, and the clock went on through it all.
func (s *studio) check() {
	s.Helper()
	var n, silence int64
	for i, a := range s.airings {
		n, silence = n+a.Frames, silence+a.Silence
		if i > 0 && a.Start.Before(s.airings[i-1].End.Add(-time.Microsecond)) || a.End.Sub(a.Start) < a.Audio-time.Microsecond {
			s.Errorf("airing %d is from %v to %v, of %v", i, a.Start, a.End, a.Audio)
		}
	}
	st := s.st.Status()
	if n != int64(s.frames) || n != st.Frames {
		s.Errorf("%d frames in the airings, %d in the status, %d came", n, st.Frames, s.frames)
	}
	if len(s.gaps) > 1 {
		if most := slices.Max(s.gaps); s.st.Gate == nil && most > s.st.Pacer.Group+30*time.Millisecond {
			s.Errorf("a gap of %v", most)
		}
	}
	if st.Lateness.Most > time.Millisecond && s.st.Gate == nil {
		s.Errorf("a group was %v late", st.Lateness.Most)
	}
}

// fates says what became of the tracks.
func (s *studio) fates() string {
	var out []string
	for _, a := range s.airings {
		name := strings.TrimSuffix(filepath.Base(a.Track.Path), filepath.Ext(a.Track.Path))
		out = append(out, name+" "+a.Fate.String())
	}
	return strings.Join(out, ", ")
}

// order gives orders.
func (s *studio) order(orders ...Order) func() {
	return func() {
		for _, o := range orders {
			s.orders <- o
		}
	}
}

// queue puts inputs into the queue.
func (s *studio) queue(inputs ...string) func() {
	return func() {
		if _, err := s.cue.Queue.Add(inputs...); err != nil {
			s.Error(err)
		}
	}
}

const (
	demo1, demo2, demo3 = "../testdata/demo/01-pebbles-on-the-quay.mp3", "../testdata/demo/02-jaalautta.mp3", "../testdata/demo/03-pinguino-de-paseo.mp3"
	shortTrack          = "../testdata/mp3/cbr128-44100-joint.mp3"
)

// TestSkip ends a track: the next one follows at the next border of a group, with its
// first frame, and the clock goes on. Three skips at once end three.
func TestSkip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStudio(t, demo1, demo2, demo3, demo1, demo2)
		s.play(time.Hour, map[time.Duration]func(){5 * time.Second: s.order(Skip), 10 * time.Second: s.order(Skip, Skip, Skip)})
		if got := s.fates(); got != "01-pebbles-on-the-quay skipped, 02-jaalautta skipped, 03-pinguino-de-paseo skipped, 01-pebbles-on-the-quay skipped, 02-jaalautta whole" {
			t.Error(got)
		}
		if d := s.starts[1] - 5*time.Second; d < 0 || d > 450*time.Millisecond {
			t.Errorf("the next track follows after %v", d)
		}
		if s.airings[2].Frames != 0 || s.airings[3].Frames != 0 {
			t.Error("what was skipped three at a time has been heard")
		}
		var want []byte
		for i, name := range []string{demo1, demo2, demo3, demo1, demo2} {
			frames := framesOf(t, strings.TrimPrefix(name, "../testdata/"))
			for _, f := range frames[:s.airings[i].Frames] {
				want = append(want, f.Data...)
			}
		}
		if !bytes.Equal(s.audio, want) {
			t.Error("the frames are not those of the files, from their first on")
		}
		if st := s.st.Status(); st.Skipped != 4 || st.Played != 1 || st.Failed != 0 || st.Playing {
			t.Errorf("%+v", st)
		}
	})
}

// TestSkipDoesNotClick decodes what a skip has made: before it there is what is in the one
// file, behind it what is in the other, and where they meet nothing is louder than both.
func TestSkipDoesNotClick(t *testing.T) {
	var s *studio
	synctest.Test(t, func(t *testing.T) {
		s = newStudio(t, demo1, demo2)
		s.play(15*time.Second, map[time.Duration]func(){7 * time.Second: s.order(Skip)})
	})
	decode := func(audio []byte) (samples []int16) {
		d, err := mp3.NewDecoder(struct{ io.Reader }{bytes.NewReader(audio)})
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(d)
		samples = make([]int16, len(b)/2)
		binary.Read(bytes.NewReader(b), binary.LittleEndian, samples)
		return samples
	}
	data := func(name string, n int64) (out []byte) {
		for _, f := range framesOf(t, strings.TrimPrefix(name, "../testdata/"))[:n] {
			out = append(out, f.Data...)
		}
		return out
	}
	one, two := s.airings[0].Frames, s.airings[1].Frames
	got, before, behind := decode(s.audio), decode(data(demo1, one)), decode(data(demo2, two))
	const perFrame = 2 * 1152
	border := int(one) * perFrame
	if len(got) != border+int(two)*perFrame || !slices.Equal(got[:border], before) || !slices.Equal(got[border+perFrame:], behind[perFrame:]) {
		t.Fatal("what is heard is not what is in the files")
	}
	// The frame behind the border has the end of the last one of before in it, as at any border.
	peak := func(samples []int16) (most float64) {
		for _, v := range samples {
			most = max(most, math.Abs(float64(v)))
		}
		return most
	}
	around := peak(before[border-4*perFrame:]) + peak(behind[:4*perFrame])
	if most := peak(got[border : border+perFrame]); most > around {
		t.Errorf("%.0f where one track follows the other, %.0f around", most, around)
	}
}

// TestSkipOffTheAir skips while the gate holds the clock: when it opens, the next track
// begins. The loop shows that it lives meanwhile.
func TestSkipOffTheAir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStudio(t, demo1, demo2)
		g := &gate{at: s.began.Add(5 * time.Second), until: s.began.Add(time.Hour)}
		s.st.Gate = patient{g}
		s.play(time.Hour+10*time.Second, map[time.Duration]func(){
			30 * time.Minute: s.order(Skip),
			40 * time.Minute: func() {
				if st := s.st.Status(); time.Since(st.Beat) > beatEvery || !st.Playing || st.Track.Path != demo2 || st.Ahead != 0 {
					t.Errorf("%+v", st)
				}
			},
		})
		if got := s.fates(); got != "01-pebbles-on-the-quay skipped, 02-jaalautta cut" {
			t.Error(got)
		}
		if d := s.airings[1].Start.Sub(s.began.Add(time.Hour)); d < 0 || d > time.Second {
			t.Errorf("the next track is heard %v after the line is good", d)
		}
	})
}

// patient is a gate that gives up when it is told to.
type patient struct{ *gate }

func (p patient) Ready(ctx context.Context) (bool, time.Duration, error) {
	if now := time.Now(); now.Before(p.at) || !now.Before(p.until) {
		return false, 0, nil
	}
	select {
	case <-time.After(time.Until(p.until)):
		return true, 0, nil
	case <-ctx.Done():
		return true, 0, ctx.Err()
	}
}

// TestEndAfter ends the show behind the track.
func TestEndAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStudio(t, demo1, demo2, demo3)
		s.cue.Loop = true
		s.play(time.Hour, map[time.Duration]func(){40 * time.Second: s.order(EndAfter)})
		if got := s.fates(); got != "01-pebbles-on-the-quay whole, 02-jaalautta whole" {
			t.Error(got)
		}
	})
}

// TestTitleOrders sets a title, gives the track's own back, and sends it again.
func TestTitleOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStudio(t, demo1, demo2)
		s.play(time.Hour, map[time.Duration]func(){
			5 * time.Second: func() { s.titles <- "By\nhand" },
			8 * time.Second: s.order(Retitle),
			9 * time.Second: func() {
				if st := s.st.Status(); !st.Titled || st.Track.StreamTitle != "By hand" || st.Position < 8*time.Second || st.Position > 9*time.Second {
					t.Errorf("%+v", st)
				}
			},
			12 * time.Second: func() { s.titles <- "" },
		})
		if got := strings.Join(s.tracks, ", "); got != "01-pebbles-on-the-quay, By hand, By hand, 01-pebbles-on-the-quay, 02-jaalautta" {
			t.Error(got)
		}
		if got := s.fates(); got != "01-pebbles-on-the-quay whole, 02-jaalautta whole" {
			t.Error(got)
		}
	})
}

// TestQueue plays what is queued behind the current track, in order, before the list goes
// on; also behind its last one.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := filepath.Join(t.TempDir(), "some.m3u")
		whole, _ := filepath.Abs(shortTrack)
		os.WriteFile(list, []byte(whole+"\nmissing.mp3\n"+whole+"\n"), 0o644)
		s := newStudio(t, demo1, demo2)
		var next []string
		look := func() {
			info, queued, ok := s.cue.Queue.Next()
			next = append(next, fmt.Sprintf("%s %v %v %d", info.StreamTitle, queued, ok, len(s.cue.Queue.Waiting())))
		}
		s.play(time.Hour, map[time.Duration]func(){
			time.Second:      look,
			5 * time.Second:  s.queue("../testdata/playlist/folder", demo3),
			6 * time.Second:  s.queue(list),
			7 * time.Second:  look,
			80 * time.Second: look,
			81 * time.Second: s.queue(shortTrack),
		})
		const short = "cbr128-44100-joint whole, "
		if got := s.fates(); got != "01-pebbles-on-the-quay whole, Track 1 whole, track 2 whole, track 10 whole, 03-pinguino-de-paseo whole, "+short+short+"02-jaalautta whole, "+strings.TrimSuffix(short, ", ") {
			t.Error(got)
		}
		if got := strings.Join(next, ", "); got != "02-jaalautta false true 0, Track 1 true true 2,  false false 0" {
			t.Error(got)
		}
		if n := strings.Count(s.log.String(), "left out"); n != 1 {
			t.Error(s.log.String())
		}
		if _, err := s.cue.Queue.Add(shortTrack); !errors.Is(err, ErrShowEnds) {
			t.Error(err)
		}
	})
}

// TestQueueBounds takes no more than there is room for, all of it or none.
func TestQueueBounds(t *testing.T) {
	var q Queue
	if n, err := q.Add(make([]string, MaxQueue-1)...); n != MaxQueue-1 || err != nil {
		t.Error(n, err)
	}
	if n, err := q.Add("a", "b"); n != MaxQueue-1 || !errors.Is(err, ErrQueueFull) {
		t.Error(n, err)
	}
	if n, err := q.Add("a"); n != MaxQueue || err != nil {
		t.Error(n, err)
	}
}

// TestQueueAndReload has the list read again while what is queued plays, and a list that has
// become empty wait for what is queued.
func TestQueueAndReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := filepath.Join(t.TempDir(), "list.m3u")
		write := func(names ...string) {
			text := ""
			for _, n := range names {
				whole, _ := filepath.Abs(n)
				text += whole + "\n"
			}
			os.WriteFile(list, []byte(text), 0o644)
		}
		write(demo1, demo2)
		s := newStudio(t, list)
		s.cue.Loop = true
		s.play(100*time.Second, map[time.Duration]func(){
			5 * time.Second:  s.queue(demo3, shortTrack),
			40 * time.Second: func() { write(demo1, shortTrack); s.reload <- struct{}{} }, // while the queue plays
			59 * time.Second: func() { write(); s.reload <- struct{}{} },
			70 * time.Second: s.queue(demo2),
		})
		if got := s.fates(); got != "01-pebbles-on-the-quay whole, 03-pinguino-de-paseo whole, cbr128-44100-joint whole, cbr128-44100-joint whole, 01-pebbles-on-the-quay whole, 02-jaalautta cut" {
			t.Error(got)
		}
		if n := strings.Count(s.log.String(), "the list is read again"); n != 2 {
			t.Error(s.log.String())
		}
	})
}

// TestReloadNow reads the list again and skips: what follows is what the list says now.
func TestReloadNow(t *testing.T) {
	for range 20 { // it is no matter of luck
		synctest.Test(t, func(t *testing.T) {
			list := filepath.Join(t.TempDir(), "list.m3u")
			one, _ := filepath.Abs(demo1)
			two, _ := filepath.Abs(demo2)
			three, _ := filepath.Abs(demo3)
			os.WriteFile(list, []byte(one+"\n"+two+"\n"), 0o644)
			s := newStudio(t, list)
			s.play(10*time.Second, map[time.Duration]func(){5 * time.Second: func() {
				os.WriteFile(list, []byte(one+"\n"+three+"\n"), 0o644)
				s.reload <- struct{}{}
				s.orders <- Skip
			}})
			if got := s.fates(); got != "01-pebbles-on-the-quay skipped, 03-pinguino-de-paseo cut" {
				t.Fatal(got)
			}
		})
	}
}

// TestSkipStall ends a track that comes from elsewhere and gives nothing: silence does not
// keep it.
func TestSkipStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStudio(t)
		s.st.Fill = true
		src := &source{frames: framesOf(t, "mp3/cbr128-44100-joint.mp3"), spans: []time.Duration{5 * time.Second}, pause: time.Hour}
		r, w := io.Pipe()
		go src.run(w)
		tr, err := track.OpenLive(t.Context(), r, track.Info{})
		if err != nil {
			t.Fatal(err)
		}
		other, err := track.Open(t.Context(), demo1, track.Info{})
		if err != nil {
			t.Fatal(err)
		}
		tracks := make(chan *track.Track, 2)
		tracks <- tr
		tracks <- other
		close(tracks)
		s.st.Tracks, s.st.Pacer.Group = tracks, 0
		defer time.AfterFunc(20*time.Second, s.order(Skip)).Stop()
		if err := s.st.Run(t.Context()); err != nil {
			t.Error(err)
		}
		r.Close()
		time.Sleep(time.Hour)
		st, live := s.st.Status(), s.airings[0]
		if s.airings[1].Fate != Whole || live.Fate != Skipped || live.Silence < 500 || st.Silence < 14*time.Second || st.Silence > 16*time.Second {
			t.Errorf("%s, %v of silence", s.fates(), st.Silence)
		}
		if d := live.End.Sub(s.began); d < 19*time.Second || d > 22*time.Second {
			t.Errorf("skipped after %v", d)
		}
	})
}
