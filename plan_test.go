package main

import (
	"encoding/json"
	"testing"
	"time"
	_ "time/tzdata" // the days when clocks change have to be known
)

// TestParseTime reads times of day and instants, on days like others and on those when
// the clocks change.
func TestParseTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ now, in, want string }{
		{"2026-11-21T15:00:00+01:00", "20:00", "2026-11-21T20:00:00+01:00"},
		{"2026-11-21T20:00:00+01:00", "20:00", "2026-11-21T20:00:00+01:00"},
		{"2026-11-21T20:00:00.001+01:00", "20:00", "2026-11-22T20:00:00+01:00"},
		{"2026-12-31T23:00:00+01:00", "8:30:15", "2027-01-01T08:30:15+01:00"},
		{"2026-11-21T15:00:00+01:00", "15:00:00.25", "2026-11-21T15:00:00.25+01:00"},
		{"2026-11-21T15:00:00+01:00", "2026-03-29T20:00:00Z", "2026-03-29T22:00:00+02:00"},
		{"2026-11-21T15:00:00+01:00", "2027-01-01T00:00:00.5+09:00", "2026-12-31T16:00:00.5+01:00"},

		// Clocks go forward from 02:00 to 03:00 on 2026-03-29.
		{"2026-03-28T23:00:00+01:00", "01:59:59", "2026-03-29T01:59:59+01:00"},
		{"2026-03-28T23:00:00+01:00", "02:00", "2026-03-29T03:00:00+02:00"},
		{"2026-03-28T23:00:00+01:00", "02:30", "2026-03-29T03:30:00+02:00"},
		{"2026-03-28T23:00:00+01:00", "03:00", "2026-03-29T03:00:00+02:00"},
		{"2026-03-29T03:31:00+02:00", "02:30", "2026-03-30T02:30:00+02:00"},
		{"2026-03-28T20:00:01+01:00", "20:00", "2026-03-29T20:00:00+02:00"},

		// They go back from 03:00 to 02:00 on 2026-10-25: 02:30 comes twice.
		{"2026-10-25T00:00:00+02:00", "02:30", "2026-10-25T02:30:00+02:00"},
		{"2026-10-25T02:30:01+02:00", "02:30", "2026-10-25T02:30:00+01:00"},
		{"2026-10-25T02:30:01+01:00", "02:30", "2026-10-26T02:30:00+01:00"},
		{"2026-10-25T02:59:00+02:00", "03:00", "2026-10-25T03:00:00+01:00"},
		{"2026-10-24T20:00:01+02:00", "20:00", "2026-10-25T20:00:00+01:00"},

		{"2026-11-21T15:00:00+01:00", "soon", ""},
		{"2026-11-21T15:00:00+01:00", "24:00", ""},
		{"2026-11-21T15:00:00+01:00", "20", ""},
		{"2026-11-21T15:00:00+01:00", "", ""},
	} {
		now, err := time.Parse(time.RFC3339, test.now)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseTime(test.in, now.In(berlin))
		said := ""
		if err == nil {
			said = got.Format(time.RFC3339Nano)
		}
		if said != test.want {
			t.Errorf("%s at %s: %s, want %s (%v)", test.in, test.now, said, test.want, err)
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

// TestPlanOverTheChange shows that lengths are added to an instant: three hours from
// 01:00 on are over at 05:00 when the clocks go forward, at 03:00 when they go back.
func TestPlanOverTheChange(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for start, want := range map[string]string{
		"2026-03-29T01:00:00+01:00": "2026-03-29T05:00:00.000000+02:00",
		"2026-10-25T01:00:00+02:00": "2026-10-25T03:00:00.000000+01:00",
	} {
		at, err := time.Parse(time.RFC3339, start)
		if err != nil {
			t.Fatal(err)
		}
		p := plan{start: at.In(berlin)}
		var last plannedTrack
		for range 3 {
			var f examined
			f.report.Info.Duration = time.Hour
			last = p.add(f, verdict{})
		}
		if got := stamp(last.end); got != want || last.offset != 2*time.Hour {
			t.Errorf("%s: %s after %v, want %s", start, got, last.offset, want)
		}
	}
}

// TestOnAir shows which track plays when a show is to end, and how much of it.
func TestOnAir(t *testing.T) {
	start := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		lasts    time.Duration
		number   int
		heard    string
		tooLongS string
	}{
		{4 * time.Minute, 2, "60", "300"},
		{3 * time.Minute, 1, "180", "360"}, // to its last frame
		{9 * time.Minute, 3, "180", "0"},
		{10 * time.Minute, 0, "", "-60"},
		{time.Nanosecond, 1, "0.000000001", "539.999999999"},
	} {
		p := plan{start: start, end: start.Add(test.lasts)}
		for range 3 {
			var f examined
			f.report.Info.Duration = 3 * time.Minute
			p.add(f, verdict{})
		}
		p.finish()
		if p.sum.OnAir != test.number || p.sum.HeardS != json.Number(test.heard) || p.sum.TooLongS != json.Number(test.tooLongS) {
			t.Errorf("%v: number %d, %s s of it, %s s too long; want %+v", test.lasts, p.sum.OnAir, p.sum.HeardS, p.sum.TooLongS, test)
		}
	}
}

// TestExact writes durations with all their digits.
func TestExact(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", time.Second: "1", 26122449 * time.Nanosecond: "0.026122449", -1500 * time.Millisecond: "-1.5", 10 * time.Second: "10", -time.Nanosecond: "-0.000000001",
	} {
		if got := exact(d); string(got) != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
		if !json.Valid([]byte(exact(d))) {
			t.Errorf("%s is no number", exact(d))
		}
	}
	for d, want := range map[time.Duration]string{0: "0:00.000", 59999600 * time.Microsecond: "1:00.000", 3*time.Hour + 61*time.Second: "3:01:01.000"} {
		if got := length(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
