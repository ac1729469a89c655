package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// dayLayouts and dateLayouts are the forms of a time of day, and of one with its date.
var (
	dayLayouts  = []string{"15:04", "15:04:05"} // which take fractions as well
	dateLayouts = []string{"2006-01-02T15:04", "2006-01-02T15:04:05"}
	zoneLayouts = []string{"2006-01-02T15:04Z07:00", time.RFC3339}
)

// parseTime reads when something is to be, seen from a moment: the time of a day, HH:MM or
// HH:MM:SS, which is that of the same day, or of the next when it has been before the moment
// by more than late; a date and time, with a zone or in that of the moment; or a plus and how
// long after the moment.
//
// A time that comes twice on the day the clocks go back is the first of the two that is not
// over. One that does not come on the day they go forward is as much later as they go
// forward: 02:30 is 03:30 there, as long after midnight as on other days. Note says which is
// meant.
func parseTime(s string, moment time.Time, late time.Duration) (t time.Time, note string, err error) {
	if after, ok := strings.CutPrefix(s, "+"); ok {
		if d, err := time.ParseDuration(after); err == nil && d >= 0 {
			return moment.Add(d), "", nil
		}
	}
	place, from := moment.Location(), moment.Add(-late)
	dated := strings.Replace(s, " ", "T", 1)
	if t, err := parseAny(zoneLayouts, dated); err == nil {
		return t.In(place), "", nil
	}
	if wall, err := parseAny(dateLayouts, dated); err == nil {
		t, note, ok := choose(wall, place, from)
		if !ok {
			t, note, _ = choose(wall, place, time.Time{})
		}
		return t, note, nil
	}
	day, err := parseAny(dayLayouts, s)
	if err != nil {
		return t, "", fmt.Errorf("%s: a time is HH:MM or HH:MM:SS, or as in 2026-03-29 20:00, 2026-03-29T20:00:00+02:00 or +5m", s)
	}
	for days := range 3 {
		y, m, d := from.Date()
		wall := time.Date(y, m, d+days, day.Hour(), day.Minute(), day.Second(), day.Nanosecond(), time.UTC)
		if t, note, ok := choose(wall, place, from); ok {
			return t, note, nil
		}
	}
	return t, "", fmt.Errorf("%s: there is no such time", s)
}

// parseAny parses a time that has one of some forms.
func parseAny(layouts []string, s string) (t time.Time, err error) {
	for _, layout := range layouts {
		if t, err = time.Parse(layout, s); err == nil {
			break
		}
	}
	return t, err
}

// choose returns the first time not before a moment at which clocks in a place show what wall
// is in UTC, and what there is to be said of it. Ok is false when there is none.
func choose(wall time.Time, place *time.Location, from time.Time) (t time.Time, note string, ok bool) {
	const clock = "15:04:05 MST"
	times := onTheWall(wall, place)
	for i, t := range times {
		switch shown := t.Format(clock); {
		case t.Before(from):
			continue
		case len(times) == 2:
			which := [...]string{"first", "second"}[i]
			return t, fmt.Sprintf("it comes twice, for clocks go back then: the %s, %s, is meant", which, shown), true
		case t.Format(time.TimeOnly) != wall.Format(time.TimeOnly):
			return t, fmt.Sprintf("it does not come, for clocks go forward then: %s is meant", shown), true
		}
		return t, "", true
	}
	return t, "", false
}

// onTheWall returns when clocks in a place show what wall is in UTC: mostly once, where
// they go back twice, the earlier first, and where they go forward when they would have.
func onTheWall(wall time.Time, place *time.Location) (times []time.Time) {
	_, before := wall.Add(-36 * time.Hour).In(place).Zone()
	_, after := wall.Add(36 * time.Hour).In(place).Zone()
	for _, offset := range []int{before, after} {
		t := wall.Add(-time.Duration(offset) * time.Second).In(place)
		if _, is := t.Zone(); is == offset && !slices.ContainsFunc(times, t.Equal) {
			times = append(times, t)
		}
	}
	if len(times) == 0 {
		times = append(times, wall.Add(-time.Duration(before)*time.Second).In(place))
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}
