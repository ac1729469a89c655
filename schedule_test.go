package main

import (
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // the days when clocks change have to be known

	"icepush/push"
	"icepush/push/pushtest"
	"icepush/ratelimit"
	"icepush/station"
	"icepush/track"
)

// TestParseTime reads times of day and instants, on days like others and on those when
// the clocks change.
func TestParseTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ now, in, want, note string }{
		{"2026-11-21T15:00:00+01:00", "20:00", "2026-11-21T20:00:00+01:00", ""},
		{"2026-11-21T20:00:00+01:00", "20:00", "2026-11-21T20:00:00+01:00", ""},
		{"2026-11-21T20:00:00.001+01:00", "20:00", "2026-11-22T20:00:00+01:00", ""},
		{"2026-12-31T23:00:00+01:00", "8:30:15", "2027-01-01T08:30:15+01:00", ""},
		{"2026-11-21T15:00:00+01:00", "15:00:00.25", "2026-11-21T15:00:00.25+01:00", ""},
		{"2026-11-21T15:00:00+01:00", "2026-03-29T20:00:00Z", "2026-03-29T22:00:00+02:00", ""},
		{"2026-11-21T15:00:00+01:00", "2027-01-01T00:00:00.5+09:00", "2026-12-31T16:00:00.5+01:00", ""},

		// Clocks go forward from 02:00 to 03:00 on 2026-03-29.
		{"2026-03-28T23:00:00+01:00", "01:59:59", "2026-03-29T01:59:59+01:00", ""},
		{"2026-03-28T23:00:00+01:00", "02:00", "2026-03-29T03:00:00+02:00", "it does not come, for clocks go forward then: 03:00:00 CEST is meant"},
		{"2026-03-28T23:00:00+01:00", "02:30", "2026-03-29T03:30:00+02:00", "it does not come, for clocks go forward then: 03:30:00 CEST is meant"},
		{"2026-03-28T23:00:00+01:00", "03:00", "2026-03-29T03:00:00+02:00", ""},
		{"2026-03-29T03:31:00+02:00", "02:30", "2026-03-30T02:30:00+02:00", ""},
		{"2026-03-28T20:00:01+01:00", "20:00", "2026-03-29T20:00:00+02:00", ""},

		// They go back from 03:00 to 02:00 on 2026-10-25: 02:30 comes twice.
		{"2026-10-25T00:00:00+02:00", "02:30", "2026-10-25T02:30:00+02:00", "it comes twice, for clocks go back then: the first, 02:30:00 CEST, is meant"},
		{"2026-10-25T02:30:01+02:00", "02:30", "2026-10-25T02:30:00+01:00", "it comes twice, for clocks go back then: the second, 02:30:00 CET, is meant"},
		{"2026-10-25T02:30:01+01:00", "02:30", "2026-10-26T02:30:00+01:00", ""},
		{"2026-10-25T02:59:00+02:00", "03:00", "2026-10-25T03:00:00+01:00", ""},
		{"2026-10-24T20:00:01+02:00", "20:00", "2026-10-25T20:00:00+01:00", ""},

		// Dates, and spans of time.
		{"2026-11-21T15:00:00+01:00", "2026-11-21 20:00", "2026-11-21T20:00:00+01:00", ""},
		{"2026-11-21T15:00:00+01:00", "2026-06-21T20:00:30", "2026-06-21T20:00:30+02:00", ""},
		{"2026-11-21T15:00:00+01:00", "2026-06-21 20:00Z", "2026-06-21T22:00:00+02:00", ""},
		{"2026-11-21T15:00:00+01:00", "2027-03-28 02:15", "2027-03-28T03:15:00+02:00", "it does not come, for clocks go forward then: 03:15:00 CEST is meant"},
		{"2026-11-21T15:00:00+01:00", "2027-10-31 02:15", "2027-10-31T02:15:00+02:00", "it comes twice, for clocks go back then: the first, 02:15:00 CEST, is meant"},
		{"2026-11-21T15:00:00+01:00", "2026-10-25 02:15", "2026-10-25T02:15:00+02:00", "it comes twice, for clocks go back then: the first, 02:15:00 CEST, is meant"},
		{"2026-10-25T02:16:00+02:00", "2026-10-25 02:15", "2026-10-25T02:15:00+01:00", "it comes twice, for clocks go back then: the second, 02:15:00 CET, is meant"},
		{"2026-10-25T01:00:00+02:00", "+2h30m", "2026-10-25T02:30:00+01:00", ""},
		{"2026-11-21T15:00:00.25+01:00", "+5s", "2026-11-21T15:00:05.25+01:00", ""},

		{"2026-11-21T15:00:00+01:00", "+5", "", ""},
		{"2026-11-21T15:00:00+01:00", "+-5m", "", ""},
		{"2026-11-21T15:00:00+01:00", "2026-02-30 20:00", "", ""},
		{"2026-11-21T15:00:00+01:00", "soon", "", ""},
		{"2026-11-21T15:00:00+01:00", "24:00", "", ""},
		{"2026-11-21T15:00:00+01:00", "20", "", ""},
		{"2026-11-21T15:00:00+01:00", "", "", ""},
	} {
		now, err := time.Parse(time.RFC3339, test.now)
		if err != nil {
			t.Fatal(err)
		}
		got, note, err := parseTime(test.in, now.In(berlin), 0)
		said := ""
		if err == nil {
			said = got.Format(time.RFC3339Nano)
		}
		if said != test.want || note != test.note {
			t.Errorf("%s at %s: %s, want %s (%v, %s)", test.in, test.now, said, test.want, err, note)
		}
	}
	// Clocks in Lord Howe go by half an hour, and by whole days across the date line.
	for name, wall := range map[string]string{"Australia/Lord_Howe": "2026-10-04T02:15:00Z", "Pacific/Apia": "2011-12-30T12:00:00Z"} {
		place, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		w, _ := time.Parse(time.RFC3339, wall)
		if times := onTheWall(w, place); len(times) != 1 {
			t.Errorf("%s: %v", name, times)
		}
	}
}

// TestLateStart shows what becomes of a time of day that has just passed: cron needs a
// moment.
func TestLateStart(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ now, in, want string }{
		{"2026-11-21T19:59:00+01:00", "20:00", "2026-11-21T20:00:00+01:00"},
		{"2026-11-21T20:00:00.1+01:00", "20:00", "2026-11-21T20:00:00+01:00"},
		{"2026-11-21T20:05:00+01:00", "20:00", "2026-11-21T20:00:00+01:00"},
		{"2026-11-21T20:05:01+01:00", "20:00", "2026-11-22T20:00:00+01:00"},
		{"2026-11-22T00:01:00+01:00", "23:59", "2026-11-21T23:59:00+01:00"},
		{"2026-11-22T00:01:00+01:00", "00:00", "2026-11-22T00:00:00+01:00"},
		{"2026-11-22T00:01:00+01:00", "+0s", "2026-11-22T00:01:00+01:00"},
		{"2026-10-25T02:31:00+02:00", "02:30", "2026-10-25T02:30:00+02:00"}, // late for the first of two
		{"2026-03-29T03:31:00+02:00", "02:30", "2026-03-29T03:30:00+02:00"},
	} {
		now, err := time.Parse(time.RFC3339, test.now)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := parseTime(test.in, now.In(berlin), lateStart)
		if err != nil || got.Format(time.RFC3339) != test.want {
			t.Errorf("%s at %s: %v, %v; want %s", test.in, test.now, got, err, test.want)
		}
	}
}

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
