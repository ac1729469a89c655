package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"icepush/console"
	"icepush/control"
	"icepush/playlist"
)

// ctlFlags are those of ctl. Each is of one or more of its commands.
func ctlFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "control", EnvVars: env("CONTROL"), Usage: "`WHERE` the running icepush listens: the path of its socket, or an address and port", DefaultText: "the only one there is"},
		&cli.StringFlag{Name: "control-token-file", EnvVars: env("CONTROL_TOKEN_FILE"), Usage: "`FILE` whose first line is the token for an address; ICEPUSH_CONTROL_TOKEN holds it, too"},
		&cli.StringFlag{Name: "mount", Usage: "`PATH` of one of several shows"},
		&cli.BoolFlag{Name: "json", Usage: "status, next: print JSON"},
		&cli.BoolFlag{Name: "watch", Usage: "status: again and again, until Ctrl-C"},
		&cli.BoolFlag{Name: "now", Usage: "reload: end the track, too"},
		&cli.BoolFlag{Name: "after-track", Usage: "stop: at the end of the track"},
	}
}

const ctlUsage = `icepush ctl [flags] COMMAND

Commands:
  status          what it is doing
  skip            end the track, the next one follows
  queue FILE...   play files, playlists, folders or URLs behind the track
  next            say what plays next
  title TEXT      show this title; an empty one gives the tracks' own back
  reload          read the list again
  stop            end the show in order
  health          exit code 0 when it is on the air, 69 when not for long
  log LEVEL       log debug, info, warn or error`

// ctl is a command to a running icepush.
type ctl struct {
	control.Client
	c              *cli.Context
	mount          string
	stdout, stderr io.Writer
}

// ctlCommands are the commands of ctl, and how many words they take.
var ctlCommands = map[string]struct {
	least, most int
	flags       string // of its own
	do          func(*ctl, context.Context, []string) error
}{
	"status": {0, 0, "json watch", (*ctl).status},
	"skip":   {0, 0, "mount", func(t *ctl, ctx context.Context, _ []string) error { return t.Skip(ctx, t.mount) }},
	"queue":  {1, 1000, "mount", (*ctl).queue},
	"next":   {0, 0, "mount json", (*ctl).next},
	"title":  {1, 1, "mount", func(t *ctl, ctx context.Context, w []string) error { return t.Title(ctx, t.mount, w[0]) }},
	"reload": {0, 0, "mount now", func(t *ctl, ctx context.Context, _ []string) error { return t.Reload(ctx, t.mount, t.c.Bool("now")) }},
	"stop":   {0, 0, "after-track", func(t *ctl, ctx context.Context, _ []string) error { return t.Stop(ctx, t.c.Bool("after-track")) }},
	"health": {0, 0, "", (*ctl).health},
	"log":    {1, 1, "", func(t *ctl, ctx context.Context, w []string) error { return t.SetLevel(ctx, w[0]) }},
}

// ctlAction runs a command of ctl.
func ctlAction(c *cli.Context, stdout, stderr io.Writer) error {
	words := c.Args().Slice()
	if len(words) == 0 {
		fmt.Fprintln(stderr, ctlUsage)
		return &exitError{code: exitUsage}
	}
	command, ok := ctlCommands[words[0]]
	if !ok {
		return fail(exitUsage, "ctl: there is no command %s; icepush ctl names them", words[0])
	}
	switch n := len(words) - 1; {
	case n < command.least:
		return fail(exitUsage, "ctl %s: something is missing; icepush ctl shows what", words[0])
	case n > command.most:
		return fail(exitUsage, "ctl %s: %q is too much", words[0], words[command.most+1])
	}
	for _, flag := range []string{"mount", "json", "watch", "now", "after-track"} {
		if c.IsSet(flag) && !strings.Contains(" "+command.flags+" ", " "+flag+" ") {
			return fail(exitUsage, "ctl %s: it has no --%s", words[0], flag)
		}
	}
	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer stop()
	t := &ctl{c: c, mount: c.String("mount"), stdout: stdout, stderr: stderr}
	var err error
	if t.Token, err = controlToken(c); err != nil {
		return err
	}
	if t.Where, err = findOne(ctx, c, stderr); err != nil {
		return err
	}
	return ctlError(command.do(t, ctx, words[1:]))
}

// findOne returns where the icepush listens that is meant.
func findOne(ctx context.Context, c *cli.Context, stderr io.Writer) (string, error) {
	if where := c.String("control"); where != "" && where != "off" {
		return where, nil
	}
	found := control.Find(ctx)
	switch len(found) {
	case 0:
		return "", fail(exitUnavailable, "no icepush is running that could be found (%s); --control says where it listens", strings.Join(control.Folders(), ", "))
	case 1:
		return found[0].Where, nil
	}
	for _, f := range found {
		fmt.Fprintf(stderr, "  --control %s   process %d, %s\n", f.Where, f.Status.PID, printable(places(&f.Status)))
	}
	return "", fail(exitUsage, "%d of them are running: choose one with --control", len(found))
}

// places says where the shows of an icepush go, and what plays.
func places(st *control.Status) string {
	var to []string
	for _, t := range st.Targets {
		to = append(to, t.URL)
	}
	for _, m := range st.Mounts {
		to = append(to, m.Path)
	}
	return strings.Join(append(to, playing(&st.Show)), ", ")
}

// playing says what plays.
func playing(s *control.Show) string {
	switch {
	case s.StreamTitle != "":
		return s.StreamTitle
	case s.Title != "":
		return s.Title
	}
	return "nothing plays"
}

// ctlError gives an error its exit code.
func ctlError(err error) error {
	var r *control.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(*exitError)):
		return err
	case !errors.As(err, &r):
		return &exitError{exitUnavailable, err}
	}
	code := map[int]int{
		http.StatusBadRequest: exitUsage, http.StatusUnauthorized: exitNoPerm, http.StatusForbidden: exitNoPerm,
		http.StatusNotFound: exitNoInput, http.StatusTooManyRequests: exitTempFail,
	}[r.Code]
	if code == 0 {
		code = exitUnavailable
	}
	return &exitError{code, err}
}

// queue has files played. What is relative is so to where ctl runs.
func (t *ctl) queue(ctx context.Context, files []string) error {
	for i, name := range files {
		if name == "-" {
			return fail(exitUsage, "ctl queue: standard input cannot be queued")
		}
		if (playlist.Entry{Path: name}).Remote() {
			continue
		}
		whole, err := filepath.Abs(name)
		if err != nil {
			return err
		}
		files[i] = whole
	}
	waiting, err := t.Queue(ctx, t.mount, files)
	if err == nil {
		fmt.Fprintf(t.stdout, "%d in the queue\n", waiting)
	}
	return err
}

func (t *ctl) next(ctx context.Context, _ []string) error {
	next, err := t.Next(ctx, t.mount)
	if err != nil {
		return err
	}
	if t.c.Bool("json") {
		return printJSON(t.stdout, next)
	}
	switch {
	case next.Next != nil:
		fmt.Fprintln(t.stdout, trackLine(next.Next))
	case next.Queued == 0:
		fmt.Fprintln(t.stdout, "nothing is known to follow")
	}
	for _, input := range next.Queue {
		fmt.Fprintln(t.stdout, "queued: "+printable(input))
	}
	if more := next.Queued - len(next.Queue); more > 0 {
		fmt.Fprintf(t.stdout, "and %d more\n", more)
	}
	return nil
}

// trackLine says what a track is.
func trackLine(t *control.Track) string {
	line := t.StreamTitle
	if line == "" {
		line = t.Title
	}
	if t.Path != "" {
		line += " (" + t.Path + ")"
	}
	if t.FromQueue {
		line += ", from the queue"
	}
	return printable(line)
}

func (t *ctl) health(ctx context.Context, _ []string) error {
	st, err := t.Status(ctx)
	if err == nil && !st.Healthy {
		err = errors.New(st.Unhealthy)
	}
	return err
}

// watchEvery is how often status --watch looks.
const watchEvery = time.Second

func (t *ctl) status(ctx context.Context, _ []string) error {
	watch := t.c.Bool("watch")
	f, isFile := t.stdout.(*os.File)
	redraws := watch && isFile && term.IsTerminal(int(f.Fd())) && !t.c.Bool("json")
	drawn, said := 0, ""
	for {
		st, err := t.Status(ctx)
		switch {
		case watch && ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case t.c.Bool("json"):
			if err := printJSON(t.stdout, st); err != nil {
				return err
			}
		case redraws:
			text := fitting(statusText(&st), f)
			if drawn > 0 {
				fmt.Fprintf(t.stdout, "\x1b[%dA\x1b[J", drawn)
			}
			io.WriteString(t.stdout, text)
			drawn = strings.Count(text, "\n")
		case watch:
			if line := statusLine(&st); line != said {
				said = line
				fmt.Fprintln(t.stdout, time.Now().Format(time.TimeOnly), line)
			}
		default:
			io.WriteString(t.stdout, statusText(&st))
		}
		if !watch {
			return nil
		}
		select {
		case <-time.After(watchEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

// fitting cuts lines to the width of a terminal: each is to be one there.
func fitting(text string, terminal *os.File) string {
	columns, _, err := term.GetSize(int(terminal.Fd()))
	if err != nil || columns < 20 {
		columns = 80
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = console.Fit(line, columns-1)
	}
	return strings.Join(lines, "\n")
}

// printJSON prints a value in one line.
func printJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	return out.Encode(v)
}

// statusLine says what plays, and where, without what changes all the time.
func statusLine(st *control.Status) string {
	parts := []string{playing(&st.Show)}
	for _, t := range st.Targets {
		parts = append(parts, t.URL+" "+t.State)
	}
	for _, m := range st.Mounts {
		parts = append(parts, fmt.Sprintf("%s %d listening", m.Path, m.Listeners))
	}
	return printable(strings.Join(parts, ", "))
}

// statusText is a status for people.
func statusText(st *control.Status) string {
	var b strings.Builder
	say := func(format string, args ...any) {
		b.WriteString(printable(fmt.Sprintf(format, args...)) + "\n")
	}
	say("%s, process %d, since %s", st.Program, st.PID, st.StartedAt.Local().Format("2006-01-02 15:04:05"))
	shows := st.Shows
	if len(shows) == 0 {
		shows = []control.Show{st.Show}
	}
	for i := range shows {
		s := &shows[i]
		line := playing(s)
		if s.Of > 1 {
			line = fmt.Sprintf("[%d/%d] %s", s.Number, s.Of, line)
		}
		if len(shows) > 1 {
			line = s.Mount + ": " + line
		}
		if s.Playing {
			line += "  " + minutes(s.Position)
			if s.Duration > 0 {
				line += " of " + minutes(s.Duration)
			}
		}
		if s.Titled {
			line += "  (this title was set)"
		}
		say("%s", line)
		if s.Path != "" {
			say("  %s", s.Path)
		}
		if s.Next != nil {
			say("  next: %s", trackLine(s.Next))
		}
		if s.Queued > 0 {
			say("  queued: %d", s.Queued)
		}
		say("  played %d, skipped %d, failed %d; groups of frames are %.1f ms late, at most %.1f ms", s.Played, s.Skipped, s.Failed, 1000*s.Lateness.Mean, 1000*s.Lateness.Max)
	}
	for _, t := range st.Targets {
		line := t.URL + ": " + t.State
		if t.Since != nil {
			line += " for " + minutes(st.Time.Sub(*t.Since).Seconds())
		}
		if t.Server != "" {
			line += ", " + t.Server
		}
		n := int64(0)
		for _, count := range t.Reconnects {
			n += count
		}
		if n > 0 {
			line += fmt.Sprintf(", %d times back, %s off in all", n, minutes(t.OffFor))
		}
		if t.Error != "" {
			line += ": " + t.Error
		}
		say("%s", line)
	}
	for _, m := range st.Mounts {
		source := ""
		if m.Source {
			source = ", a live source"
		}
		say("%s: %d listening, %d at most%s", m.Path, m.Listeners, m.Peak, source)
	}
	if st.Unhealthy != "" {
		say("not healthy: %s", st.Unhealthy)
	}
	if st.Ending {
		say("ending")
	}
	return b.String()
}

// minutes writes seconds as people do.
func minutes(seconds float64) string {
	s := int(seconds + 0.5)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
