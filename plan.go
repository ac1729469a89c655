package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"icepush/station"
	"icepush/track"
)

// maxRemembered is of how many entries plan keeps what it has read, for the next pass.
const maxRemembered = 100_000

// planFlags are those of plan: its own, and those of a push that decide what plays when.
func planFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.BoolFlag{Name: "json", Usage: "print one JSON object per track, and one of the whole"},
		&cli.BoolFlag{Name: "csv", Usage: "print a table for a spreadsheet"},
	}, sharedFlags("order", "start-at", "end-at", "for", "format", "transcode", "title-format")...)
}

// planAction prints when each track would begin and end.
func planAction(c *cli.Context, stdout, stderr io.Writer) error {
	if c.NArg() == 0 {
		return fail(exitUsage, "plan: name at least one file, playlist or folder")
	}
	p, err := newPlan(c, time.Now())
	if err != nil {
		return err
	}
	if c.Bool("shuffle") && !c.IsSet("seed") {
		p.cue.Playlist.Seed = rand.Uint64() >> 32
		fmt.Fprintf(stderr, "icepush: shuffled; --seed %d gives this order again\n", p.cue.Playlist.Seed)
	}
	for _, note := range p.told {
		fmt.Fprintf(stderr, "icepush: %s\n", note)
	}
	ctx, stop := reading(c.Context)
	defer stop()

	var out planOutput = &planTable{w: stdout}
	switch {
	case c.Bool("json"):
		out = &planJSON{w: stdout}
	case c.Bool("csv"):
		out = &planCSV{w: csv.NewWriter(stdout), told: stderr}
	}
	b := newProgress(stderr, stdout, p.cue.Playlist.Len)
	defer b.close()
	left := func(err error) {
		b.clear()
		fmt.Fprintf(stderr, "icepush: left out: %s\n", printable(err.Error()))
	}
	for t := range p.tracks(ctx, left) {
		b.clear()
		if err := out.track(t); err != nil {
			return err
		}
		b.step()
	}
	if ctx.Err() != nil {
		return fail(exitInterrupted, "plan: interrupted after %d tracks", p.sum.Tracks)
	}
	if p.sum.Tracks == 0 {
		return fail(exitData, "%s: there is nothing in it that would play", shownInputs(c))
	}
	b.clear()
	p.finish()
	if err := out.end(p); err != nil {
		return err
	}
	if p.sum.LeftOut > 0 {
		return fail(exitData, "plan: not everything would play")
	}
	return nil
}

// plan is a show before it begins.
type plan struct {
	cue   station.Cue
	start time.Time
	end   time.Time // zero when none is asked for
	told  []string  // of how the two were understood

	length time.Duration // of what is planned so far
	about  bool          // that is not exact
	onAir  *plannedTrack // when the show is to end
	sum    planSummary
}

// plannedTrack is a track and when it plays.
type plannedTrack struct {
	number     int
	offset     time.Duration // since the start of the show
	start, end time.Time
	length     time.Duration
	about      bool // a time of it is not exact
	heard      time.Duration
	title      string
	info       track.Info
}

// planSummary is what plan --json says of the whole.
type planSummary struct {
	Tracks    int         `json:"tracks"`
	LeftOut   int         `json:"left_out"`
	Start     string      `json:"start"`
	End       string      `json:"end"`
	DurationS json.Number `json:"duration_s"`
	About     bool        `json:"about,omitempty"`
	Seed      *uint64     `json:"seed,omitempty"`

	EndAt    string      `json:"end_at,omitempty"`     // as asked for
	TooLongS json.Number `json:"too_long_s,omitempty"` // below zero it is too short
	OnAir    int         `json:"on_air,omitempty"`     // the number of the track that plays then
	HeardS   json.Number `json:"heard_s,omitempty"`    // how much of it has been heard
}

// newPlan reads the flags.
func newPlan(c *cli.Context, now time.Time) (*plan, error) {
	p := &plan{start: now}
	var err error
	if p.cue, err = readFiles(c); err != nil {
		return nil, err
	}
	span, told, err := readSpan(c, now)
	if err != nil {
		return nil, err
	}
	p.told = told
	if !span.Begin.IsZero() {
		p.start = span.Begin
	}
	if p.end = span.End; span.Length > 0 {
		p.end = p.start.Add(span.Length)
	}
	switch {
	case c.Bool("json") && c.Bool("csv"):
		return nil, fail(exitUsage, "--json and --csv exclude each other")
	case c.Bool("loop") && c.Bool("once"):
		return nil, fail(exitUsage, "--loop and --once exclude each other")
	case p.cue.Loop && !span.Ends():
		return nil, fail(exitUsage, "--loop has no end: say when with --end-at or --for")
	}
	return p, nil
}

// tracks yields the tracks of the show as they are planned. What is left out is handed
// to left. Passes through the list follow each other until the end, with --loop.
func (p *plan) tracks(ctx context.Context, left func(error)) iter.Seq[plannedTrack] {
	return func(yield func(plannedTrack) bool) {
		a := newAssessor(p.cue)
		r := remembering{examiner: examiner{transcode: p.cue.Transcode, ffmpeg: a.ffmpeg}, of: map[string]examined{}, keep: p.cue.Loop}
		for pass := 0; ; pass++ {
			before := p.length
			for f := range inOrder(ctx, numbered(p.cue.Playlist.Pass(pass)), r.examine) {
				v := a.decide(f)
				if f.Path == "" {
					v = verdict{way: station.LeftOut, err: f.err}
				}
				if v.way == station.LeftOut {
					if pass == 0 {
						p.sum.LeftOut++
						left(located(v.err, f.Position()))
					}
					continue
				}
				if !yield(p.add(f, v)) || p.cue.Loop && p.full() {
					return
				}
			}
			if !p.cue.Loop || p.length == before || ctx.Err() != nil {
				return
			}
		}
	}
}

// located returns an error with where the entry is written.
func located(err error, at string) error {
	if at == "" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, at)
}

// full reports whether the show has reached its end.
func (p *plan) full() bool { return !p.end.IsZero() && !p.start.Add(p.length).Before(p.end) }

// add plans a track behind those before. Lengths are added to the instant of the start,
// so what the clocks on the wall do does not matter.
func (p *plan) add(f examined, v verdict) plannedTrack {
	p.sum.Tracks++
	p.about = p.about || f.about || v.way == station.ThroughFFmpeg
	info := f.report.Info
	t := plannedTrack{
		number: p.sum.Tracks, offset: p.length, start: p.start.Add(p.length), length: info.Duration,
		about: p.about, title: info.FormatTitle(p.cue.Title), info: info,
	}
	if t.title == "" {
		t.title = info.FormatTitle("{file}")
	}
	p.length += info.Duration
	t.end, t.heard = p.start.Add(p.length), info.Duration
	if !p.end.IsZero() {
		t.heard = max(0, min(info.Duration, p.end.Sub(t.start)))
		if t.start.Before(p.end) && !t.end.Before(p.end) {
			p.onAir = &t
		}
	}
	return t
}

// finish puts the summary together.
func (p *plan) finish() {
	s := &p.sum
	s.Start, s.End, s.DurationS, s.About = stamp(p.start), stamp(p.start.Add(p.length)), exact(p.length), p.about
	if p.cue.Playlist.Shuffle {
		s.Seed = &p.cue.Playlist.Seed
	}
	if p.end.IsZero() {
		return
	}
	s.EndAt, s.TooLongS = stamp(p.end), exact(p.start.Add(p.length).Sub(p.end))
	if p.onAir != nil {
		s.OnAir, s.HeardS = p.onAir.number, exact(p.onAir.heard)
	}
}

// remembering reads each file once for all passes.
type remembering struct {
	examiner
	keep bool
	mu   sync.Mutex
	of   map[string]examined
}

func (r *remembering) examine(ctx context.Context, e entry) examined {
	key := e.Key() + "\x00" + e.Stop.String()
	r.mu.Lock()
	f, known := r.of[key]
	r.mu.Unlock()
	if known {
		f.entry = e
		return f
	}
	f = r.examiner.examine(ctx, e)
	f.report.Problems, f.report.Tags, f.report.HeaderFrames, f.report.Links = nil, nil, nil, nil
	if r.keep && e.err == nil {
		r.mu.Lock()
		if len(r.of) < maxRemembered {
			r.of[key] = f
		}
		r.mu.Unlock()
	}
	return f
}

// stamp writes a time as RFC 3339 has it, to the microsecond.
func stamp(t time.Time) string {
	return t.Round(time.Microsecond).Format("2006-01-02T15:04:05.000000Z07:00")
}

// exact writes a duration in seconds, with all its digits.
func exact(d time.Duration) json.Number {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	text := fmt.Sprintf("%s%d.%09d", sign, d/time.Second, d%time.Second)
	return json.Number(strings.TrimRight(strings.TrimRight(text, "0"), "."))
}

// planOutput prints a plan.
type planOutput interface {
	track(plannedTrack) error
	end(*plan) error
}

// planJSON prints a line for each track.
type planJSON struct{ w io.Writer }

// trackReport is what plan --json says of a track.
type trackReport struct {
	Number  int         `json:"number"`
	Start   string      `json:"start"`
	End     string      `json:"end"`
	OffsetS json.Number `json:"offset_s"` // since the start of the show
	LengthS json.Number `json:"length_s"`
	About   bool        `json:"about,omitempty"` // a time of it is not exact
	HeardS  json.Number `json:"heard_s,omitempty"`
	Show    string      `json:"show"` // the title as it goes out
	Artist  string      `json:"artist,omitempty"`
	Title   string      `json:"title,omitempty"`
	Album   string      `json:"album,omitempty"`
	File    string      `json:"file"`
}

func (o *planJSON) encode(v any) error {
	out := json.NewEncoder(o.w)
	out.SetEscapeHTML(false)
	return out.Encode(v)
}

func (o *planJSON) track(t plannedTrack) error {
	r := trackReport{
		Number: t.number, Start: stamp(t.start), End: stamp(t.end), OffsetS: exact(t.offset), LengthS: exact(t.length), About: t.about,
		Show: t.title, Artist: t.info.Artist, Title: t.info.Title, Album: t.info.Album, File: track.ShowURL(t.info.Path),
	}
	if t.heard < t.length {
		r.HeardS = exact(t.heard)
	}
	return o.encode(r)
}

func (o *planJSON) end(p *plan) error { return o.encode(map[string]planSummary{"summary": p.sum}) }

// planCSV prints a table with a head. What there is to say of the whole goes to told.
type planCSV struct {
	w    *csv.Writer
	told io.Writer
}

func (o *planCSV) track(t plannedTrack) error {
	if t.number == 1 {
		o.w.Write([]string{"number", "start", "end", "offset_s", "length_s", "about", "show", "file"})
	}
	o.w.Write([]string{
		strconv.Itoa(t.number), stamp(t.start), stamp(t.end), exact(t.offset).String(), exact(t.length).String(),
		strconv.FormatBool(t.about), t.title, printable(track.ShowURL(t.info.Path)),
	})
	o.w.Flush()
	return o.w.Error()
}

func (o *planCSV) end(p *plan) error {
	_, err := io.WriteString(o.told, p.String())
	return err
}

// planTable prints a table for people. A line of its own tells the day, and the zone,
// when it is another one than before.
type planTable struct {
	w   io.Writer
	day string
}

const (
	planDay   = "Monday 2006-01-02 MST"
	planClock = "15:04:05.000"
)

func (o *planTable) track(t plannedTrack) error {
	var text strings.Builder
	start, end := t.start.Round(time.Millisecond), t.end.Round(time.Millisecond)
	if day := start.Format(planDay); day != o.day {
		o.day = day
		fmt.Fprintln(&text, day)
	}
	mark := " "
	if t.about {
		mark = "~"
	}
	title := t.title
	switch {
	case t.heard <= 0 && t.length > 0:
		title += "  (after the end)"
	case t.heard < t.length:
		title += "  (" + length(t.heard) + " of it)"
	}
	fmt.Fprintf(&text, "%s%s  %s  %s  %s\n", mark, start.Format(planClock), end.Format(planClock), column(length(t.length), 11), title)
	_, err := io.WriteString(o.w, text.String())
	return err
}

func (o *planTable) end(p *plan) error {
	_, err := io.WriteString(o.w, p.String())
	return err
}

// String says how the show ends.
func (p *plan) String() string {
	var text strings.Builder
	about := ""
	if p.about {
		about = "about "
	}
	ends := p.start.Add(p.length)
	if !p.end.IsZero() {
		at := p.end.Format(planClock + " MST")
		switch over := ends.Sub(p.end); {
		case over < 0:
			fmt.Fprintf(&text, "%s%s too short: nothing is left to play at %s\n", about, length(-over), at)
		case over == 0:
			fmt.Fprintf(&text, "ends exactly at %s\n", at)
		default:
			fmt.Fprintf(&text, "%s%s too long: at %s number %d is on the air, %s, and %s of its %s have been heard\n",
				about, length(over), at, p.onAir.number, p.onAir.title, length(p.onAir.heard), length(p.onAir.length))
		}
	}
	fmt.Fprintf(&text, "%d tracks, %s%s, until %s\n", p.sum.Tracks, about, length(p.length), ends.Round(time.Millisecond).Format("2006-01-02 "+planClock+" MST"))
	return text.String()
}

// length writes a duration as hours, minutes and seconds, to the millisecond.
func length(d time.Duration) string {
	ms := d.Round(time.Millisecond).Milliseconds()
	h, m, s := ms/3_600_000, ms/60_000%60, ms/1000%60
	if h > 0 {
		return fmt.Sprintf("%d:%02d:%02d.%03d", h, m, s, ms%1000)
	}
	return fmt.Sprintf("%d:%02d.%03d", m, s, ms%1000)
}

// column puts a text to the right of a column.
func column(s string, width int) string {
	return strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s))) + s
}
