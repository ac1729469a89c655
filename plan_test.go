package main

import (
	"encoding/json"
	"testing"
	"time"
)

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
