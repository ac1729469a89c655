package main

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"icepush/control"
	"icepush/push"
	"icepush/serve"
	"icepush/station"
)

// controlFlags are those that say how a running icepush is controlled, and watched.
func controlFlags() []cli.Flag {
	const category = "control"
	return []cli.Flag{
		&cli.StringFlag{Category: category, Name: "control", EnvVars: env("CONTROL"), Usage: "`WHERE` icepush ctl finds it: the path of a socket, a loopback address and port, or off", DefaultText: "a socket in a folder of yours"},
		&cli.StringFlag{Category: category, Name: "control-token-file", EnvVars: env("CONTROL_TOKEN_FILE"), Usage: "`FILE` whose first line is the token that is needed at an address, of 16 bytes or more; ICEPUSH_CONTROL_TOKEN holds it, too"},
		&cli.DurationFlag{Category: category, Name: "health-after", EnvVars: env("HEALTH_AFTER"), Value: 30 * time.Second, Usage: "off the air for so long it is not healthy any more, a `TIME`"},
		&cli.StringFlag{Category: category, Name: "as-run", EnvVars: env("AS_RUN"), Usage: "add what was played to this `FILE`, a line of JSON for each track and mount"},
	}
}

// watched is what the flags of controlFlags ask for.
type watched struct {
	where string // "" for a socket of ours, "off" for nothing
	token string
	after time.Duration
	asRun *station.AsRun // nil for none
}

// read reads controlFlags. The as-run log is open then.
func (w *watched) read(c *cli.Context) (err error) {
	*w = watched{where: c.String("control"), after: c.Duration("health-after")}
	if w.after <= 0 {
		return fail(exitUsage, "--health-after %v: it is more than nothing", w.after)
	}
	if w.token, err = controlToken(c); err != nil {
		return err
	}
	switch {
	case w.token != "" && len(w.token) < control.MinToken:
		return fail(exitConfig, "the token of --control is too short: it has %d bytes or more", control.MinToken)
	case w.where != "" && w.where != "off" && !control.IsPath(w.where) && w.token == "":
		return fail(exitConfig, "--control %s: everyone on this machine can connect to an address: give a token with ICEPUSH_CONTROL_TOKEN or --control-token-file, or the path of a socket", w.where)
	}
	if name := c.String("as-run"); name != "" {
		w.asRun = &station.AsRun{Name: name}
		if err := w.asRun.Open(); err != nil {
			return fail(exitCantCreate, "--as-run: %w", err)
		}
	}
	return nil
}

// controlToken returns the token that is needed at an address, "" for none.
func controlToken(c *cli.Context) (string, error) {
	token, err := findSecret(c, "control-token-file", "ICEPUSH_CONTROL_TOKEN")
	return string(token), err
}

// listen opens the socket. Without one of its own choice the show goes on.
func (w *watched) listen(log *slog.Logger) (net.Listener, error) {
	if w.where == "off" {
		return nil, nil
	}
	l, err := control.Listen(w.where)
	switch {
	case err == nil:
		log.Debug("icepush ctl finds it", "control", l.Addr().String())
		return l, nil
	case w.where != "":
		return nil, fail(exitUnavailable, "--control: %w", err)
	}
	log.Warn("icepush ctl does not find it; --control says where, or off", "err", err)
	return nil, nil
}

// run answers on the socket, writes the as-run log and obeys signals, until ctx ends.
func (r *remote) run(ctx context.Context, w *watched, l net.Listener, log *slog.Logger) {
	ignoreBrokenPipes()
	var running sync.WaitGroup
	defer running.Wait()
	if l != nil {
		server := &control.Server{Station: r, Token: w.token, Metrics: control.Metrics(r, push.Reasons, r.more...), Log: log}
		running.Go(func() {
			if err := server.Run(ctx, l); err != nil {
				log.Warn("icepush ctl does not find it any more", "err", err)
			}
		})
	}
	if w.asRun != nil {
		w.asRun.Log = log
		running.Go(func() { w.asRun.Run(ctx) })
	}
	if n := newNotifier(log); n != nil {
		running.Go(func() { r.notify(ctx, n) })
	}
	r.obey(ctx, w, log)
}

// newRemote returns what controls these shows.
func newRemote(s *show, shows ...*desk) *remote {
	return &remote{began: time.Now(), level: &s.level, health: s.watched.after, shows: shows}
}

// airings returns the sink that has the tracks of a show written to the as-run log, if that
// is asked for.
func (w *watched) airings(sources []*push.Source) []station.Sink {
	if w.asRun == nil {
		return nil
	}
	show := w.asRun.Show()
	for _, src := range sources {
		show.Add(src.Mount.String(), src)
	}
	return []station.Sink{show}
}

// mountAirings is airings for a mount of serve.
func (w *watched) mountAirings(m *serve.Mount) []station.Sink {
	if w.asRun == nil {
		return nil
	}
	show := w.asRun.Show()
	show.Add(m.Path, nil)
	return []station.Sink{show}
}
