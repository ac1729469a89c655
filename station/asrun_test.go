package station

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"icepush/frame"
)

// slow is a target that gets frames later, and not all of them.
type slow struct {
	mu    sync.Mutex
	has   int64
	ended bool
}

func (s *slow) Delivered(from, to int64) (sent, acknowledged int64, settled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(max(s.has, from), to) - from
	return n, n, s.ended || s.has >= to
}

func (s *slow) get(n int64, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.has, s.ended = n, ended
}

// readAsRun returns the lines of a log.
func readAsRun(t *testing.T, name string) (lines []asRunLine) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range strings.SplitAfter(string(b), "\n") {
		var line asRunLine
		if text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil || !strings.HasSuffix(text, "\n") {
			t.Fatalf("%q: %v", text, err)
		}
		lines = append(lines, line)
	}
	return lines
}

// TestAsRun plays a show to two targets. Each has a line for each track, when it is known
// what became of its frames; what is known at the end is written then.
func TestAsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &AsRun{Name: filepath.Join(t.TempDir(), "as-run.jsonl")}
		if err := log.Open(); err != nil {
			t.Fatal(err)
		}
		late, show := &slow{}, log.Show()
		show.Add("late", late)
		show.Add("here", nil)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { log.Run(ctx) })
		s := newStudio(t, demo1, shortTrack, demo2)
		s.cue.Title = "{artist} - {title}"
		s.st.Sinks = append(s.st.Sinks, show)
		s.play(30*time.Second, map[time.Duration]func(){
			5 * time.Second: s.order(Skip),
			8 * time.Second: func() {
				if lines := readAsRun(t, log.Name); len(lines) != 2 || lines[0].Target != "here" || lines[1].Path != shortTrack {
					t.Errorf("%+v", lines)
				}
				late.get(s.airing(0).Frames, false)
			},
			9 * time.Second: func() {
				if lines := readAsRun(t, log.Name); len(lines) != 3 || *lines[2].Acknowledged != lines[0].Frames || lines[2].Target != "late" {
					t.Errorf("%+v", lines)
				}
			},
		})
		late.get(s.airings[0].Frames+3, true)
		cancel()
		wg.Wait()
		var frames, acknowledged int64
		for _, line := range readAsRun(t, log.Name) {
			if line.Target == "here" {
				frames += line.Frames
			} else {
				acknowledged += *line.Acknowledged
			}
			start, err := time.Parse(time.RFC3339, line.Start)
			if end, _ := time.Parse(time.RFC3339, line.End); err != nil || end.Sub(start).Seconds()-line.Duration > 0.002 || len(line.Start) != 24 {
				t.Errorf("%+v", line)
			}
		}
		if frames != int64(s.frames) || acknowledged != s.airings[0].Frames+3 {
			t.Errorf("%d frames and %d", frames, acknowledged)
		}
		lines := readAsRun(t, log.Name)
		last := lines[len(lines)-1]
		if last.Fate != "cut" || last.Artist != "Slow Socket Ensemble" || last.StreamTitle != "Slow Socket Ensemble - Jäälautta" || lines[0].Fate != "skipped" {
			t.Errorf("%+v", last)
		}
	})
}

// TestAsRunWaits writes a line without what its target has to say when that takes too long.
func TestAsRunWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &AsRun{Name: filepath.Join(t.TempDir(), "as-run.jsonl")}
		log.Open()
		show := log.Show()
		show.Add("dead", &slow{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { log.Run(ctx) })
		show.Send(make([]frame.Frame, 7))
		show.End(Airing{Fate: Whole, Frames: 7})
		time.Sleep(settleAfter - time.Second)
		if lines := readAsRun(t, log.Name); len(lines) != 0 {
			t.Errorf("%+v", lines)
		}
		time.Sleep(2 * time.Second)
		if lines := readAsRun(t, log.Name); len(lines) != 1 || *lines[0].Sent != 0 {
			t.Errorf("%+v", lines)
		}
		cancel()
		wg.Wait()
	})
}

// TestAsRunFile looks at what can go wrong with the file: it is rotated, it is no file, the
// disk is full.
func TestAsRunFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "as-run.jsonl")
	if err := (&AsRun{Name: dir}).Open(); err == nil {
		t.Error("a folder was opened")
	}
	if err := (&AsRun{Name: filepath.Join(dir, "no", "folder")}).Open(); err == nil {
		t.Error("a file in no folder was opened")
	}
	log := &AsRun{Name: name}
	if err := log.Open(); err != nil {
		t.Fatal(err)
	}
	show := log.Show()
	show.Add("here", nil)
	end := func() {
		show.End(Airing{Frames: 1})
		log.write(false)
	}
	end()
	os.Rename(name, name+".1")
	end()
	log.Reopen()
	end()
	if a, b := readAsRun(t, name+".1"), readAsRun(t, name); len(a) != 2 || len(b) != 1 {
		t.Errorf("%d lines and %d", len(a), len(b))
	}

	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full")
	}
	var said bytes.Buffer
	log.Name, log.Log = "/dev/full", slog.New(slog.NewTextHandler(&said, nil))
	log.Reopen()
	end()
	end()
	if n := strings.Count(said.String(), "no space left on device"); n != 1 {
		t.Errorf("%d times: %s", n, said.String())
	}
	log.Name = name
	log.Reopen() // there is room again
	end()
	if lines := readAsRun(t, name); len(lines) != 4 {
		t.Errorf("%d lines", len(lines))
	}
}

// TestAsRunTorn goes on inside of a line after a write that was cut short, and begins a new
// file with a whole one. What is kept while there is no room is bounded.
func TestAsRunTorn(t *testing.T) {
	name := filepath.Join(t.TempDir(), "as-run.jsonl")
	log := &AsRun{Name: name}
	log.Open()
	log.rest, log.torn = []byte("end of a line\n{}\n"), true
	log.append([]byte("{}\n"))
	if b, _ := os.ReadFile(name); string(b) != "end of a line\n{}\n{}\n" {
		t.Errorf("%q", b)
	}
	os.Remove(name)
	log.rest, log.torn = []byte("end of a line\n{}\n"), true
	log.Reopen()
	log.append([]byte("{}\n"))
	if b, _ := os.ReadFile(name); string(b) != "{}\n{}\n" {
		t.Errorf("%q", b)
	}
	log.file.Close()
	log.Log = slog.New(slog.DiscardHandler)
	for range 100 {
		log.append(bytes.Repeat([]byte(strings.Repeat("x", 999)+"\n"), 100))
	}
	if len(log.rest) > maxUnwritten || len(log.rest)%1000 != 0 {
		t.Error(len(log.rest))
	}
}
