package playlist

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestSettle shows when a change is reported: once, when it has been stable for 2 s.
func TestSettle(t *testing.T) {
	type step struct {
		at   time.Duration // since the beginning
		sees uint64        // 0: it is away
	}
	for _, test := range []struct {
		name  string
		begin uint64
		steps []step
		want  string // when changes are reported
	}{
		{"nothing", 1, nil, "[]"},
		{"one change", 1, []step{{time.Second, 2}}, "[3s]"},
		{"a list that grows", 1, []step{{1 * time.Second, 2}, {2 * time.Second, 3}, {3 * time.Second, 4}}, "[5s]"},
		{"the same again", 1, []step{{1 * time.Second, 2}, {2 * time.Second, 1}}, "[]"},
		{"a hint without a change", 1, []step{{1 * time.Second, 1}}, "[]"},
		{"two changes", 1, []step{{1 * time.Second, 2}, {9 * time.Second, 1}}, "[3s 11s]"},
		{"away and back", 1, []step{{1 * time.Second, 0}, {time.Minute, 2}}, "[1m2s]"},
		{"away and back as it was", 1, []step{{1 * time.Second, 0}, {time.Minute, 1}}, "[]"},
		{"away from the beginning", 0, []step{{time.Minute, 2}}, "[1m2s]"},
		{"gone", 1, []step{{time.Second, 0}}, "[]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				var sees atomic.Uint64
				sees.Store(test.begin)
				ctx, cancel := context.WithCancel(t.Context())
				hints := make(chan struct{}, 1)
				var reported []time.Duration
				var running sync.WaitGroup
				running.Go(func() {
					settle(ctx, hints, func() (uint64, bool) { s := sees.Load(); return s, s != 0 }, func() {
						reported = append(reported, time.Since(begin))
					})
				})
				for _, s := range test.steps {
					time.Sleep(s.at - time.Since(begin) - time.Millisecond)
					sees.Store(s.sees)
					select {
					case hints <- struct{}{}:
					default:
					}
				}
				time.Sleep(time.Hour)
				cancel()
				running.Wait()
				for i := range reported {
					reported[i] = reported[i].Round(time.Second)
				}
				if got := fmt.Sprint(reported); got != test.want {
					t.Errorf("reported at %s, want %s", got, test.want)
				}
			})
		})
	}
}

// TestWatch changes real files in the ways programs do.
func TestWatch(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for real files to be stable")
	}
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"lists", "music/cd1", "other"} {
		if err := os.MkdirAll(at(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put("lists/a.m3u", "a.mp3\n")
	changes := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		p := &Playlist{Inputs: []string{at("lists/a.m3u"), at("music"), at("music/alone.mp3"), "http://example.org/x.mp3"}}
		if err := p.Watch(ctx, func() { changes <- struct{}{} }); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(200 * time.Millisecond) // a change before the first look is none
	must := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, step := range []struct {
		name   string
		change func()
	}{
		{"written in place", func() { put("lists/a.m3u", "a.mp3\nb.mp3\n") }},
		{"replaced by rename", func() {
			put("lists/.a.swp", "a.mp3\nb.mp3\nc.mp3\n")
			must(os.Rename(at("lists/.a.swp"), at("lists/a.m3u")))
		}},
		{"written after that", func() { put("lists/a.m3u", "1.mp3\n") }},
		{"deleted and made anew", func() {
			must(os.Remove(at("lists/a.m3u")))
			time.Sleep(100 * time.Millisecond)
			put("lists/a.m3u", "12.mp3\n")
		}},
		{"its folder replaced", func() {
			must(os.Rename(at("lists"), at("old")), os.Mkdir(at("lists"), 0o755))
			put("lists/a.m3u", "123.mp3\n")
		}},
		{"written in the new folder", func() { put("lists/a.m3u", "1234.mp3\n") }},
		{"a song in a folder below", func() { put("music/cd1/1.mp3", "") }},
		{"a song in a new folder", func() { must(os.Mkdir(at("music/cd2"), 0o755)); put("music/cd2/1.mp3", "") }},
		{"a song that grows there", func() { put("music/cd2/1.mp3", "x") }},
		{"a folder deleted", func() { must(os.RemoveAll(at("music/cd2"))) }},
	} {
		step.change()
		select {
		case <-changes:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: nothing is reported", step.name)
		}
	}
	// What does not matter.
	put("lists/notes.txt", "x")
	put("music/cover.jpg", "x")
	put("music/.hidden.mp3", "x")
	select {
	case <-changes:
		t.Error("a change that is none is reported")
	case <-time.After(3 * time.Second):
	}
	cancel()
	running.Wait()
}

// TestCannotWatch says at once what is not there.
func TestCannotWatch(t *testing.T) {
	err := (&Playlist{Inputs: []string{"/no such folder/a.m3u"}}).Watch(t.Context(), func() {})
	if err == nil || !strings.HasPrefix(err.Error(), "/no such folder cannot be watched: no such folder") {
		t.Errorf("error %v", err)
	}
}
