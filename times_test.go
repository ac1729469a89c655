package main

import (
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
