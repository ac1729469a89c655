package station

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"icepush/frame"
	"icepush/track"
)

const (
	// settleAfter is how long the line of a track waits for what its target has to say of the
	// last frames.
	settleAfter = time.Minute

	// settleEvery is how often a target is asked.
	settleEvery = 250 * time.Millisecond

	// maxUnsettled is how many tracks may wait for that.
	maxUnsettled = 1000

	// maxUnwritten is how many bytes are kept while the disk takes none.
	maxUnwritten = 1 << 20
)

// Target is where frames go, as an AsRun sees it.
type Target interface {
	// Delivered says what became of the frames from one number up to another, counted from
	// 0 as they left the clock: how many were sent, and how many have reached the server.
	// Settled says that neither changes any more.
	Delivered(from, to int64) (sent, acknowledged int64, settled bool)
}

// AsRun writes the as-run log: what was on the air, for who is paid for it. For each target
// of a show a line is written when a track has ended, and is on the disk then.
type AsRun struct {
	// Name is that of the file. Lines are added at its end.
	Name string

	// Log takes what goes wrong. Nil is slog.Default.
	Log *slog.Logger

	mu    sync.Mutex
	shows []*Airings

	disk   sync.Mutex // guards what follows
	file   *os.File
	rest   []byte // that could not be written
	torn   bool   // it goes on inside of a line
	warned time.Time
}

// Airings is a sink of a show that has its tracks written to an as-run log.
type Airings struct {
	mu      sync.Mutex
	targets []target
	tracks  []airing // that are not written yet
	frames  int64    // that have left the clock
	began   int64    // of them, before this track
}

// target is a Target with its name. Without one there is nothing to say of it but that.
type target struct {
	name string
	of   Target
}

// airing is an Airing of which some lines are not written yet.
type airing struct {
	Airing
	from, to int64
	ended    time.Time
	left     []target
}

// asRunLine is a line of the file. Fields may be added.
type asRunLine struct {
	Start        string  `json:"start"` // UTC
	End          string  `json:"end"`
	Target       string  `json:"target"`
	Path         string  `json:"path"`
	Artist       string  `json:"artist"`
	Title        string  `json:"title"`
	Album        string  `json:"album"`
	StreamTitle  string  `json:"stream_title"`
	Frames       int64   `json:"frames"`
	Sent         *int64  `json:"sent,omitempty"`
	Acknowledged *int64  `json:"acknowledged,omitempty"`
	Silence      int64   `json:"silence,omitempty"`
	Duration     float64 `json:"duration"` // s
	Fate         string  `json:"fate"`
	Why          string  `json:"why,omitempty"`
}

// asRunTime has milliseconds, always three.
const asRunTime = "2006-01-02T15:04:05.000Z"

// Open opens the file.
func (a *AsRun) Open() error {
	if info, err := os.Stat(a.Name); err == nil && !info.Mode().IsRegular() && info.Mode()&os.ModeCharDevice == 0 {
		return fmt.Errorf("%s: is no regular file", a.Name)
	}
	f, err := os.OpenFile(a.Name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	a.disk.Lock()
	defer a.disk.Unlock()
	if a.file != nil {
		a.file.Close()
	}
	if a.torn { // the end of a line that begins in the old file
		a.rest, a.torn = a.rest[bytes.IndexByte(a.rest, '\n')+1:], false
	}
	a.file = f
	return nil
}

// Reopen opens the file anew: another may have been put in its place.
func (a *AsRun) Reopen() {
	if err := a.Open(); err != nil {
		a.log().Warn("the as-run log goes on in its old file", "err", err)
	}
}

// Show returns the sink of a show.
func (a *AsRun) Show() *Airings {
	a.mu.Lock()
	defer a.mu.Unlock()
	show := &Airings{}
	a.shows = append(a.shows, show)
	return show
}

// Add has lines written for a target. It is called before there are frames. Nil is one that
// gets all of them.
func (a *Airings) Add(name string, t Target) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.targets = append(a.targets, target{name, t})
}

// Play does nothing: End says what was played.
func (a *Airings) Play(track.Info) {}

// Send counts frames.
func (a *Airings) Send(frames []frame.Frame) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.frames += int64(len(frames))
}

// End takes what became of a track.
func (a *Airings) End(t Airing) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tracks = append(a.tracks, airing{t, a.began, a.frames, time.Now(), slices.Clone(a.targets)})
	a.began = a.frames
}

// Run writes lines until ctx ends, and then what is left: the targets have ended before.
func (a *AsRun) Run(ctx context.Context) {
	for {
		select {
		case <-time.After(settleEvery):
			a.write(false)
		case <-ctx.Done():
			a.write(true)
			a.disk.Lock()
			defer a.disk.Unlock()
			a.file.Close()
			return
		}
	}
}

// write writes the lines of what is settled, or all.
func (a *AsRun) write(all bool) {
	a.mu.Lock()
	shows := a.shows
	a.mu.Unlock()
	var lines []byte
	for _, show := range shows {
		lines = show.settled(lines, all)
	}
	a.append(lines)
}

// settled appends the lines of what is settled, or of all, to b.
func (a *Airings) settled(b []byte, all bool) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	waiting := a.tracks[:0]
	for i, t := range a.tracks {
		must := all || time.Since(t.ended) > settleAfter || len(a.tracks)-i > maxUnsettled
		t.left = slices.DeleteFunc(t.left, func(to target) bool {
			line, settled := t.line(to)
			if settled || must {
				text, _ := json.Marshal(line)
				b = append(append(b, text...), '\n')
			}
			return settled || must
		})
		if len(t.left) > 0 {
			waiting = append(waiting, t)
		}
	}
	clear(a.tracks[len(waiting):])
	a.tracks = waiting
	return b
}

// append adds lines to the file, behind those that could not be written before.
func (a *AsRun) append(lines []byte) {
	a.disk.Lock()
	defer a.disk.Unlock()
	lines = append(a.rest, lines...)
	if a.rest = nil; len(lines) == 0 {
		return
	}
	n, err := a.file.Write(lines)
	if err == nil {
		a.torn = false
		a.file.Sync() // not everything can be
		return
	}
	if n > 0 {
		a.torn = lines[n-1] != '\n'
	}
	if a.rest = lines[n:]; len(a.rest) > maxUnwritten {
		a.rest = a.rest[:bytes.LastIndexByte(a.rest[:maxUnwritten], '\n')+1]
	}
	if time.Since(a.warned) >= time.Minute {
		a.warned = time.Now()
		a.log().Warn("the as-run log cannot be written; the show goes on", "err", err)
	}
}

// line returns what is written of a target.
func (t *airing) line(to target) (line asRunLine, settled bool) {
	i := t.Track
	line = asRunLine{
		Start: t.Start.Format(asRunTime), End: t.End.Format(asRunTime), Target: to.name,
		Path: track.ShowURL(i.Path), Artist: i.Artist, Title: i.Title, Album: i.Album, StreamTitle: i.StreamTitle,
		Frames: t.Frames, Silence: t.Silence, Duration: float64(t.Audio.Round(time.Millisecond).Milliseconds()) / 1000, Fate: t.Fate.String(),
	}
	if t.Err != nil {
		line.Why = t.Err.Error()
	}
	if to.of == nil {
		return line, true
	}
	sent, acknowledged, settled := to.of.Delivered(t.from, t.to)
	line.Sent, line.Acknowledged = &sent, &acknowledged
	return line, settled
}

func (a *AsRun) log() *slog.Logger { return cmp.Or(a.Log, slog.Default()) }
