package main

import (
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"icepush/push"
	"icepush/push/pushtest"
	"icepush/ratelimit"
	"icepush/station"
	"icepush/track"
)

// TestOnTheSecond plays a show to a server: it connects five seconds before the start, and
// begins on the nanosecond. A server that comes up later gets the beginning when the show
// waits for it, and the present when it does not. One that drops a source which is silent
// for four seconds is asked again.
func TestOnTheSecond(t *testing.T) {
	const ahead = 5 * time.Hour
	for _, test := range []struct {
		name    string
		live    bool
		up      time.Duration // when the server comes up, after the start
		timeout time.Duration // of silent sources
		streams int
		taken   time.Duration // when the last stream was, after the start; about
		first   time.Duration // when its first audio came
		frames  int           // at least
	}{
		{name: "as it should be", up: -time.Hour, streams: 1, taken: -connectEarly, frames: 382},
		{name: "live", live: true, up: -time.Hour, streams: 1, taken: -connectEarly, frames: 382},
		{name: "up just before", up: -2 * time.Second, streams: 1, taken: -2 * time.Second, frames: 382},
		{name: "up too late", up: 3 * time.Second, streams: 1, taken: 3 * time.Second, first: 3 * time.Second, frames: 382},
		{name: "up too late, live", live: true, up: 3 * time.Second, streams: 1, taken: 3 * time.Second, first: 3 * time.Second, frames: 240},
		{name: "silence is not liked", up: -time.Hour, timeout: 4 * time.Second, streams: 2, taken: -time.Second, frames: 382},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := pushtest.NewNetwork()
				network.Down(true)
				server := &pushtest.Server{SourceTimeout: test.timeout}
				var running sync.WaitGroup
				running.Go(func() { server.Serve(network) })
				begin := time.Now().Add(ahead).Round(0)
				time.AfterFunc(ahead+test.up, func() { network.Down(false) })

				log := slog.New(slog.DiscardHandler)
				first, err := track.Open(t.Context(), "testdata/demo/01-pebbles-on-the-quay.mp3", track.Info{})
				if err != nil {
					t.Fatal(err)
				}
				src := &push.Source{Mount: push.Mount{Host: "radio.example:8000", Path: "/live"}, Live: test.live, Log: log, Dial: network.Dial}
				span := station.Span{Begin: begin, End: begin.Add(10 * time.Second)}
				if !test.live {
					span = station.Span{Begin: begin, Length: 10 * time.Second}
				}
				s := &show{live: test.live, Span: span}
				st := &station.Station{
					First: first, Sinks: []station.Sink{src}, Log: log, Span: s.Span,
					Pacer: ratelimit.Pacer{Lead: 500 * time.Millisecond, Group: group},
				}
				if !test.live {
					st.Gate = src
				}
				running.Go(func() {
					if err := src.Run(t.Context()); err != nil {
						t.Error(err)
					}
				})
				if _, err := s.goesOn(t.Context(), []*push.Source{src}, first.Info, log); err != nil {
					t.Error(err)
				}
				if err := st.Run(t.Context()); err != nil {
					t.Error(err)
				}
				if late := time.Since(begin.Add(10 * time.Second)); test.live && (late > 0 || late < -30*time.Millisecond) {
					t.Errorf("the show was over %v after its end", late)
				}
				src.Close()
				network.Close()
				running.Wait()

				streams := server.Streams()
				if len(streams) != test.streams {
					t.Fatalf("%d streams", len(streams))
				}
				last := streams[len(streams)-1]
				if got := last.Taken.Sub(begin) - test.taken; got < 0 || got > time.Second {
					t.Errorf("the mount was taken %v after %v", got, test.taken)
				}
				if got := last.First.Sub(begin) - test.first; got < 0 || test.first == 0 && got != 0 || got > time.Second {
					t.Errorf("the first audio came %v after %v", got, test.first)
				}
				frames := 0
				for _, f := range splitFrames(last.Audio) {
					if !isSilence(f) {
						frames++
					}
				}
				if frames < test.frames || frames > 382 {
					t.Errorf("%d frames, want %d", frames, test.frames)
				}
			})
		})
	}
}
