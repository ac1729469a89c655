package console

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"icepush/frame"
	"icepush/track"
)

// terminal returns a Console on a terminal of so many columns, and what it shows.
func terminal(columns int) (*Console, *bytes.Buffer) {
	var b bytes.Buffer
	c := New(&b, true)
	c.columns = func() int { return columns }
	return c, &b
}

// screen returns the lines of a terminal after all that was written to it.
func screen(out string) []string {
	lines := []string{""}
	for out != "" {
		last := &lines[len(lines)-1]
		switch {
		case strings.HasPrefix(out, "\r\x1b[2K"):
			*last, out = "", out[len("\r\x1b[2K"):]
		case out[0] == '\n':
			lines, out = append(lines, ""), out[1:]
		default:
			*last, out = *last+out[:1], out[1:]
		}
	}
	return lines
}

var header, _ = frame.ParseMPEG([]byte{0xFF, 0xFB, 0x90, 0x40})

// TestBar draws the bar, and log lines above it.
func TestBar(t *testing.T) {
	c, out := terminal(100)
	state := "connecting"
	c.State = func() string { return state }
	c.Play(track.Info{Artist: "Artist", Title: "A Song", StreamTitle: "Artist - A Song", Duration: 200 * time.Second, Number: 3, Of: 12})
	want := "[3/12] Artist - A Song 0% ░░░░░░░░░░░░░░░░ 0:00 -3:20  connecting"
	if got := screen(out.String()); len(got) != 1 || got[0] != want {
		t.Errorf("%q, want %q", got, want)
	}
	state = "on the air"
	frames := make([]frame.Frame, 3829) // 100 s
	for i := range frames {
		frames[i].Header = header
	}
	c.Send(frames)
	log := c.Logger(slog.LevelInfo, false)
	log.Warn("off the air, trying again", "mount", "http://x/live", "err", errors.New("broken pipe"), "hint", "look there")
	got := screen(out.String())
	if len(got) != 2 || !strings.HasSuffix(got[0], " warning: off the air, trying again: mount http://x/live, broken pipe; look there") {
		t.Errorf("%q", got)
	}
	want = "[3/12] Artist - A Song 50% ████████░░░░░░░░ 1:40 -1:40  on the air"
	if got[len(got)-1] != want {
		t.Errorf("%q, want %q", got[len(got)-1], want)
	}
	c.Close()
	if got := screen(out.String()); got[len(got)-1] != "" {
		t.Errorf("%q is left", got)
	}
}

// TestNarrow fits the line into terminals of all widths, wide characters and all.
func TestNarrow(t *testing.T) {
	for columns := 20; columns < 120; columns++ {
		c, out := terminal(columns)
		c.State = func() string { return "on the air" }
		c.Play(track.Info{StreamTitle: strings.Repeat("群青日和 x ", 20), Duration: time.Hour, Number: 1, Of: 1000})
		line := screen(out.String())[0]
		if Fit(line, columns-1) != line {
			t.Errorf("%d columns: %q", columns, line)
		}
	}
}

// TestPlain has no bar where there is no terminal.
func TestPlain(t *testing.T) {
	var b bytes.Buffer
	c := New(&b, true)
	c.Play(track.Info{Title: "x"})
	c.Send([]frame.Frame{{Header: header}})
	c.Logger(slog.LevelInfo, false).Info("on the air", "server", "Icecast 2.4.4", "empty", "")
	c.Close()
	if got := b.String(); !strings.HasSuffix(got, " on the air: server Icecast 2.4.4\n") || strings.Contains(got, "\x1b") || c.HasBar() {
		t.Errorf("%q", got)
	}
}

// TestForgery puts line breaks and control characters into what is logged.
func TestForgery(t *testing.T) {
	var b bytes.Buffer
	log := New(&b, false).Logger(slog.LevelDebug, false).With("mount", "/a")
	log.WithGroup("g").Debug("title", "answer", "ok\n20:00:00 on the air", "n", 7, "d", time.Second)
	if got := b.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `title: mount /a, g.answer "ok\n20:00:00 on the air", g.n 7, g.d 1s`) {
		t.Errorf("%q", got)
	}
	b.Reset()
	New(&b, false).Logger(slog.LevelWarn, true).Info("no")
	New(&b, false).Logger(slog.LevelWarn, true).Warn("yes", "x", 1)
	if got := b.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"msg":"yes","x":1`) {
		t.Errorf("%q", got)
	}
}

// TestStuckTerminal writes to a terminal that takes nothing for a while: nobody waits for
// it, and it is told that lines are missing.
func TestStuckTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		c := &Console{w: w, columns: func() int { return 80 }}
		var running sync.WaitGroup
		running.Go(c.Run)
		synctest.Wait()
		log := c.Logger(slog.LevelInfo, false)
		begin := time.Now()
		c.Play(track.Info{Title: "Title", Duration: time.Minute})
		for i := range 1000 {
			log.Info("line", "number", i)
			time.Sleep(redraw)
			c.Send([]frame.Frame{{Header: frame.Header{Samples: 1152, SampleRate: 44100}}})
		}
		if d := time.Since(begin) - 1000*redraw; d != 0 {
			t.Errorf("it took %v", d)
		}
		var said bytes.Buffer
		running.Go(func() { io.Copy(&said, r) })
		synctest.Wait()
		log.Info("again")
		c.Close()
		w.Close()
		running.Wait()
		for _, want := range []string{"line: number 0\n", "lines or more are missing here", "again\n"} {
			if !strings.Contains(said.String(), want) {
				t.Errorf("%q is missing", want)
			}
		}
		if strings.Contains(said.String(), "number 999\n") {
			t.Error("everything was kept")
		}
	})
}

// TestDeadTerminal ends all the same when a terminal takes nothing any more.
func TestDeadTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		c := &Console{w: w}
		var running sync.WaitGroup
		running.Go(c.Run)
		synctest.Wait()
		c.Logger(slog.LevelInfo, false).Info("line")
		begin := time.Now()
		c.Close()
		if d := time.Since(begin); d != asideEnd {
			t.Errorf("it took %v", d)
		}
		r.Close()
		running.Wait()
	})
}
