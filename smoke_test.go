package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"icepush/push/pushtest"
)

// TestSmoke listens, from outside, to icepush and an Icecast in containers, which
// deploy/smoke.sh has started, and twice takes icepush's network away for three seconds.
// The first time its address goes to another meanwhile: the connection is dead, and
// nobody says so. The second time all is as it was, and TCP mends the connection.
//
// ICEPUSH_SMOKE is the URL to listen to, ICEPUSH_SMOKE_MUSIC the folder that plays round
// and round, ICEPUSH_SMOKE_CONTAINER icepush and ICEPUSH_SMOKE_NETWORK what it is
// connected to.
func TestSmoke(t *testing.T) {
	url := os.Getenv("ICEPUSH_SMOKE")
	if url == "" {
		t.Skip("make smoke runs it")
	}
	container, network := os.Getenv("ICEPUSH_SMOKE_CONTAINER"), os.Getenv("ICEPUSH_SMOKE_NETWORK")
	show, err := newRound(os.Getenv("ICEPUSH_SMOKE_MUSIC"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("icepush says:\n%s", docker(t, "logs", container))
		}
	})

	stop := make(chan struct{})
	var heards []heard
	var listening sync.WaitGroup
	listening.Go(func() { heards = listen(url, stop) })
	time.Sleep(10 * time.Second)
	for _, taken := range []bool{true, false} {
		docker(t, "network", "disconnect", network, container)
		if taken {
			docker(t, "run", "--detach", "--name", "icepush-smoke-other", "--network", network, "icepush-icecast", "sleep", "300")
		}
		time.Sleep(3 * time.Second)
		docker(t, "network", "connect", network, container)
		time.Sleep(10 * time.Second) // a dead connection shows by then, to icepush and to Icecast
		if !pushtest.Wait(func() bool {
			log := docker(t, "logs", container)
			return strings.Count(log, "off the air, trying again") == strings.Count(log, "back on the air")
		}) {
			t.Error("it does not come back on the air")
		}
		time.Sleep(5 * time.Second)
	}
	docker(t, "stop", container)
	if got := docker(t, "inspect", "--format", "exit code {{.State.ExitCode}}, restarts {{.RestartCount}}", container); got != "exit code 0, restarts 0" {
		t.Error(got)
	}
	close(stop)
	listening.Wait()
	if len(heards) < 2 {
		t.Errorf("%d times on the air, want 2 or more", len(heards))
	}
	if err := show.compare(t, heards); err != nil {
		t.Error(err)
	}
}

// docker runs docker and returns what it says.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", args[0], err, out)
	}
	return strings.TrimSpace(string(out))
}

// round is the demo, or the beginnings of its pieces, played round and round.
type round struct {
	audio  []byte   // of one time through
	frames []int    // where each frame begins in it
	tracks []int    // where each track does
	titles []string // of the tracks
}

func newRound(folder string) (*round, error) {
	files, _ := filepath.Glob(filepath.Join(folder, "*.mp3"))
	r := &round{titles: []string{"The Ring Buffer Trio - Pebbles on the Quay", "Slow Socket Ensemble - Jäälautta", "Keepalive Five - Pingüino de paseo"}}
	if len(files) != len(r.titles) {
		return nil, fmt.Errorf("%s: %d files, want %d", folder, len(files), len(r.titles))
	}
	for _, file := range files {
		frames, err := framesOf([]string{file})
		if err != nil {
			return nil, err
		}
		r.tracks = append(r.tracks, len(r.audio))
		for _, f := range frames {
			r.frames = append(r.frames, len(r.audio))
			r.audio = append(r.audio, f...)
		}
	}
	return r, nil
}

// frame returns the number of the frame at a place, and how far into it that is.
func (r *round) frame(place int) (n, into int) {
	place %= len(r.audio)
	n, begins := slices.BinarySearch(r.frames, place)
	if !begins {
		n--
	}
	return n, place - r.frames[n]
}

// compare looks whether what was heard, one time on the air behind the other, is the
// show: begun anywhere, every byte of it and no others, no frame missing in between, at
// most half a second of them twice, and each track under its title. Silence may follow
// at the end.
func (r *round) compare(t *testing.T, heards []heard) error {
	due, all := 0, 0 // the first frame not heard whole, and all bytes
	for i, h := range heards {
		begin, n, err := r.find(h.audio)
		if err != nil {
			return fmt.Errorf("time %d on the air: %w", i+1, err)
		}
		first, into := r.frame(begin)
		if into > 0 { // this one is not whole
			first++
		}
		again := (due - first + len(r.frames)) % len(r.frames)
		t.Logf("time %d on the air: %d bytes, from frame %d of %d on", i+1, n, first, len(r.frames))
		if i > 0 && again > 24 { // and what its bits need
			return fmt.Errorf("time %d on the air: %d frames are missing, or %d come again", i+1, len(r.frames)-again, again)
		}
		tail := h.audio[n:]
		if len(tail) > 0 && (i < len(heards)-1 || !silent(tail)) {
			return fmt.Errorf("time %d on the air: %d bytes that are not due come after %d", i+1, len(tail), n)
		}
		if err := r.compareTitles(h.titles, begin, n); err != nil {
			return fmt.Errorf("time %d on the air: %w", i+1, err)
		}
		due, _ = r.frame(begin + n)
		all += n
	}
	if all < 2*len(r.audio) {
		return fmt.Errorf("%d bytes were heard, not twice the %d of the show", all, len(r.audio))
	}
	return nil
}

// find returns where in the show a recording begins, and how much of it is the show.
func (r *round) find(heard []byte) (begin, n int, err error) {
	show := bytes.Repeat(r.audio, 2+len(heard)/len(r.audio))
	begin = bytes.Index(show, heard[:min(len(heard), 4096)])
	if begin < 0 {
		return 0, 0, fmt.Errorf("it does not begin with what is in the files")
	}
	for show = show[begin:]; n < len(heard) && heard[n] == show[n]; {
		n++
	}
	if n < len(heard) { // the header of what follows may be that of the frame that would be due
		_, into := r.frame(begin + n)
		n -= into
	}
	return begin, n, nil
}

// silent reports whether these are frames of silence, the last of which may be cut off.
func silent(b []byte) bool {
	frames := splitFrames(b)
	rest, ok := strings.CutPrefix(string(b), strings.Join(frames, ""))
	if len(rest) >= 4 {
		ok = ok && rest[0] == 0xFF
		frames = append(frames, rest)
	}
	return ok && !slices.ContainsFunc(frames, func(f string) bool { return !isSilence(f) })
}

// compareTitles looks whether n bytes of the show, heard from begin on, came under these
// titles: that of the track at once, then each where its track begins. Late is what marks
// cost, icepush's and then Icecast's for those who listen from the middle on, 1,024 bytes
// apart each. Early they get a title because Icecast takes it for one of the whole block
// of 1,400 bytes that it came in.
func (r *round) compareTitles(titles []pushtest.Title, begin, n int) error {
	const early, late = 1400, 2048
	track, begins := slices.BinarySearch(r.tracks, begin)
	if !begins {
		track--
	}
	for at := 0; at-early < n; track++ {
		want := r.titles[track%len(r.titles)]
		next := (track+1)/len(r.tracks)*len(r.audio) + r.tracks[(track+1)%len(r.tracks)] - begin
		switch {
		case len(titles) > 0 && titles[0].Text == want && titles[0].Offset >= at-early && titles[0].Offset <= at+late:
			titles = titles[1:]
		case min(next, n) > at+late: // long enough to have had a mark
			return fmt.Errorf("title %q is not at byte %d, but %v", want, at, titles)
		}
		at = next
	}
	if len(titles) > 0 {
		return fmt.Errorf("titles %v are not due", titles)
	}
	return nil
}
