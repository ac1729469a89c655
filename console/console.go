// Package console is what a person sees on standard error: the log, and on a terminal a
// progress bar that log lines do not tear.
package console

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
	"golang.org/x/text/width"

	"icepush/frame"
	"icepush/track"
)

// redraw is how often the bar is drawn at most.
const redraw = 250 * time.Millisecond

// barWidth is that of the bar alone, in columns.
const barWidth = 16

// Console draws a progress bar and writes log lines around it. It is a sink of the
// station.
type Console struct {
	// State says how the line is, "on the air" for one. It is optional.
	State func() string

	// Lead is how far the audio runs ahead of what is heard.
	Lead time.Duration

	mu      sync.Mutex
	w       io.Writer
	aside   *aside // that w is, while Run runs
	closed  bool
	columns func() int // of the terminal; nil when there is none
	bar     *progressbar.ProgressBar
	track   track.Info
	sent    float64 // seconds of the track
	drawn   time.Time
}

// New returns a Console on w. There is a bar when w is a terminal and bar is true.
func New(w io.Writer, bar bool) *Console {
	c := &Console{w: w}
	if f, ok := w.(*os.File); ok && bar && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		c.columns = func() int {
			columns, _, err := term.GetSize(int(f.Fd()))
			if err != nil || columns < 20 {
				return 80
			}
			return columns
		}
	}
	return c
}

// HasBar reports whether there is a progress bar.
func (c *Console) HasBar() bool { return c.columns != nil }

// Play begins a track.
func (c *Console) Play(t track.Info) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.track = t
	if t.Continued && c.bar != nil {
		c.draw()
		return
	}
	c.sent = 0
	if c.columns == nil {
		return
	}
	// The bar is drawn into our line: it would not cut a title to the terminal.
	c.bar = progressbar.NewOptions64(max(1, t.Duration.Milliseconds()),
		progressbar.OptionSetWriter(io.Discard),
		progressbar.OptionSetWidth(barWidth),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetSpinnerChangeInterval(0), // else it starts a goroutine
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░"}),
	)
	c.bar.RenderBlank()
	c.draw()
}

// Send counts what was sent of the track.
func (c *Console) Send(frames []frame.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range frames {
		c.sent += float64(f.Samples) / float64(f.SampleRate)
	}
	if time.Since(c.drawn) >= redraw {
		c.draw()
	}
}

// Close takes the bar away and ends Run. What is logged later is written at once.
func (c *Console) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
	c.bar, c.closed = nil, true
	if c.aside != nil {
		c.aside.end()
		c.w, c.aside = c.aside.w, nil
	}
}

// clear removes the bar from the screen.
func (c *Console) clear() {
	if c.bar != nil {
		io.WriteString(c.w, "\r\x1b[2K")
	}
}

// draw puts the bar on the screen: title, place in the list, the bar, elapsed and
// remaining time, state of the line. What does not fit is cut from the title.
func (c *Console) draw() {
	if c.bar == nil {
		return
	}
	c.drawn = time.Now()
	elapsed := max(0, time.Duration(c.sent*float64(time.Second))-c.Lead)
	if c.track.Duration > 0 {
		elapsed = min(elapsed, c.track.Duration)
	}
	place := ""
	if c.track.Of > 1 {
		place = fmt.Sprintf("[%d/%d] ", c.track.Number, c.track.Of)
	}
	times := " " + clock(elapsed)
	if c.track.Duration > 0 {
		times += " -" + clock(c.track.Duration-elapsed)
	}
	state := ""
	if c.State != nil {
		state = "  " + c.State()
	}
	title := c.track.FormatTitle("{artist} - {title}")
	if c.track.StreamTitle != "" {
		title = c.track.StreamTitle
	}
	columns := c.columns() - 1 // the last one would wrap on some
	room := columns - len(place) - len(times) - len(state)
	bar := ""
	if c.track.Duration > 0 && room >= 2*barWidth {
		c.bar.Set64(elapsed.Milliseconds())
		bar = " " + strings.TrimSpace(c.bar.String())
		room -= utf8.RuneCountInString(bar)
	}
	io.WriteString(c.w, "\r\x1b[2K"+Fit(place+Fit(title, max(room, 8))+bar+times+state, columns))
}

// clock writes a duration as people do: 4:05, 1:00:00.
func clock(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// Fit cuts a text to a number of columns. Wide characters count as two.
func Fit(s string, columns int) string {
	used := 0
	for i, c := range s {
		w := 1
		if k := width.LookupRune(c).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
			w = 2
		}
		if used+w > columns {
			return s[:i]
		}
		used += w
	}
	return s
}
