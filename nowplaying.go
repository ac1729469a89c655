package main

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"icepush/console"
	"icepush/frame"
	"icepush/nowplaying"
	"icepush/push"
	"icepush/serve"
)

// iceBurst is how many bytes an Icecast sends a new listener at once, unless it is told
// otherwise.
const iceBurst = 65535

// pageFlags are those that say which pages are told what plays, and of how much.
func pageFlags() []cli.Flag {
	const pages = "now playing"
	return []cli.Flag{
		&cli.IntFlag{Category: pages, Name: "history", EnvVars: env("HISTORY"), Value: 10, Usage: "how many tracks before the present one are told of, a `NUMBER`"},
		&cli.StringSliceFlag{Category: pages, Name: "allow-origin", EnvVars: env("ALLOW_ORIGIN"), Usage: "`ORIGIN` of web pages elsewhere that may know, as https://radio.example, https://*.radio.example, or * for all; repeat it for more", DefaultText: "pages from here"},
		&cli.IntFlag{Category: pages, Name: "max-pages", EnvVars: env("MAX_PAGES"), Value: 10_000, Usage: "how many pages may be connected, a `NUMBER`"},
		&cli.StringFlag{Category: pages, Name: "publish", EnvVars: env("PUBLISH"), Usage: "pass the same on to others through the NATS server at this `URL`, nats://host:4222"},
		&cli.StringFlag{Category: pages, Name: "subject", EnvVars: env("SUBJECT"), Value: "icepush.nowplaying", Usage: "the NATS `SUBJECT` it is published on"},
	}
}

// watchFlags are those of nowplaying.
func watchFlags() []cli.Flag {
	const servers = "servers"
	flags := []cli.Flag{
		&cli.StringFlag{Category: "pages", Name: "listen", EnvVars: env("LISTEN"), Value: "127.0.0.1:8080", Usage: "`ADDRESS` and port to wait for pages on, as :8080 for all of this machine's"},
		&cli.StringFlag{Category: "pages", Name: "tls-cert", EnvVars: env("TLS_CERT"), Usage: "`FILE` of our certificate, PEM, with --tls-key"},
		&cli.StringFlag{Category: "pages", Name: "tls-key", EnvVars: env("TLS_KEY"), Usage: "`FILE` of its key, PEM"},
		&cli.DurationFlag{Category: servers, Name: "interval", EnvVars: env("INTERVAL"), Value: 5 * time.Second, Usage: "how often each server is asked, a `TIME`"},
		&cli.StringSliceFlag{Category: servers, Name: "mount", EnvVars: env("MOUNT"), Usage: "`PATH` of a mount to tell of; repeat it for more", DefaultText: "all"},
		&cli.BoolFlag{Category: servers, Name: "follow", EnvVars: env("FOLLOW"), Usage: "join the mounts as a listener does, and have titles the moment they come"},
		&cli.StringFlag{Category: servers, Name: "from", EnvVars: env("FROM"), Usage: "tell what another icepush publishes on the NATS server at this `URL`, nats://host:4222"},
	}
	flags = append(flags, sharedFlags("", "ca", "insecure")...)
	return append(append(flags, pageFlags()...), sharedFlags("output")...)
}

// readPages reads the flags that say which pages are told.
func readPages(c *cli.Context, h *nowplaying.Handler) error {
	h.Hub.History, h.MaxClients = c.Int("history"), c.Int("max-pages")
	switch {
	case h.Hub.History < 0 || h.Hub.History > 1000:
		return fail(exitUsage, "--history %d: it is from 0 to 1000", h.Hub.History)
	case h.Hub.History == 0:
		h.Hub.History = -1
	}
	if h.MaxClients < 1 {
		return fail(exitUsage, "--max-pages %d: it is at least 1", h.MaxClients)
	}
	h.AllowOrigins = strings.Fields(strings.Join(c.StringSlice("allow-origin"), " "))
	for _, origin := range h.AllowOrigins {
		if err := nowplaying.CheckOrigin(origin); err != nil {
			return fail(exitUsage, "--allow-origin %w", err)
		}
	}
	return nil
}

// readRelay reads where to publish, or to hear what is published; nil for nowhere.
func readRelay(c *cli.Context, flag string) (*nowplaying.Relay, error) {
	if c.String(flag) == "" {
		return nil, nil
	}
	r := &nowplaying.Relay{URL: c.String(flag), Subject: c.String("subject"), Name: push.UserAgent}
	if err := r.Check(); err != nil {
		return nil, fail(exitUsage, "--%s: %w", flag, err)
	}
	return r, nil
}

// publish passes what a hub knows on until ctx ends. A nil relay is nowhere.
func publish(ctx context.Context, running *sync.WaitGroup, r *nowplaying.Relay, h *nowplaying.Hub, log *slog.Logger) {
	if r == nil {
		return
	}
	r.Log = log
	running.Go(func() {
		if err := r.Publish(ctx, h); err != nil {
			log.Error("nothing is published any more", "err", err)
		}
	})
}

// watchAction tells pages what other servers play.
func watchAction(c *cli.Context, stdout, stderr io.Writer) error {
	from, err := readRelay(c, "from")
	if err != nil {
		return err
	}
	switch {
	case c.NArg() == 0 && from == nil:
		return fail(exitUsage, "nowplaying: name at least one server, as in icepush nowplaying http://radio.example:8000")
	case c.NArg() > 0 && from != nil:
		return fail(exitUsage, "--from names where it comes from: leave the servers out")
	case from != nil && (c.IsSet("mount") || c.IsSet("follow")):
		return fail(exitUsage, "--from tells of all that is published there: leave --mount and --follow out")
	case c.Duration("interval") < time.Second:
		return fail(exitUsage, "--interval %v: it is at least 1s", c.Duration("interval"))
	}
	relay, err := readRelay(c, "publish")
	if err != nil {
		return err
	}
	config, err := tlsConfig(c)
	if err != nil {
		return err
	}
	server, err := newServer(c, nil)
	if err != nil {
		return err
	}
	var watchers []*nowplaying.Watcher
	for _, arg := range c.Args().Slice() {
		if !strings.Contains(arg, "://") {
			arg = "http://" + arg
		}
		w := &nowplaying.Watcher{
			URL: arg, Mounts: strings.Fields(strings.Join(c.StringSlice("mount"), " ")), Interval: c.Duration("interval"), Follow: c.Bool("follow"),
			Hub: &server.NowPlaying.Hub, UserAgent: push.UserAgent + " (nowplaying)", TLS: config,
		}
		if err := w.Check(); err != nil {
			return fail(exitUsage, "nowplaying: %w", err)
		}
		watchers = append(watchers, w)
	}
	out := &show{}
	if err := out.readOutput(c); err != nil {
		return err
	}
	return runServer(c, stdout, stderr, server, out, func(ctx context.Context, _ *console.Console, log *slog.Logger) error {
		var running sync.WaitGroup
		defer running.Wait()
		publish(ctx, &running, relay, &server.NowPlaying.Hub, log)
		if from != nil {
			from.Log = log
			running.Go(func() {
				if err := from.Receive(ctx, &server.NowPlaying.Hub); err != nil {
					log.Error("nothing is heard any more", "err", err)
				}
			})
		}
		for _, w := range watchers {
			w.Log = log
			running.Go(func() { w.Run(ctx) }) // what it could fail of has been looked at
		}
		<-ctx.Done()
		return nil
	})
}

// tellPages tells pages what is pushed, until ctx ends, and returns the sinks that have it
// from the station.
func (s *show) tellPages(ctx context.Context, running *sync.WaitGroup, sources []*push.Source, first frame.Header, log *slog.Logger) ([]*nowplaying.Feed, error) {
	server := s.pages
	if s.nowAt != "" {
		l, err := serve.Listen(ctx, s.nowAt)
		if err != nil {
			return nil, fail(exitUnavailable, "--nowplaying %s: %w", s.nowAt, err)
		}
		server.Log, server.NowPlaying.Log = log, log
		log.Info("telling what plays", "url", stationURL(server, l, log))
		running.Go(func() {
			if err := server.Run(ctx, l); err != nil {
				log.Error("pages are told nothing any more", "err", err)
			}
		})
	}
	hub := &server.NowPlaying.Hub
	publish(ctx, running, s.relay, hub, log)
	var feeds []*nowplaying.Feed
	for _, src := range sources {
		m := src.Mount
		lead := s.burst
		if bits := max(m.Bitrate*1000, first.Bitrate); lead == 0 && bits > 0 {
			lead = time.Duration(iceBurst * 8 * int64(time.Second) / int64(bits))
		}
		scheme := "http"
		if m.TLS {
			scheme = "https"
		}
		url := scheme + "://" + m.Host + m.Path
		hub.Update(url, func(to *nowplaying.Mount) {
			to.State = nowplaying.Off
			to.Name, to.Description, to.Genre, to.URL, to.ListenURL = m.Name, m.Description, m.Genre, m.URL, url
			to.Lead = nowplaying.Seconds(lead + s.lead)
			if to.Name == "" {
				to.Name = strings.TrimPrefix(m.Path, "/")
			}
		})
		feeds = append(feeds, &nowplaying.Feed{Hub: hub, Name: url, OnAir: func() bool { return src.Status().State == push.OnAir }})
	}
	running.Go(func() {
		look := time.NewTicker(500 * time.Millisecond) // nothing is sent while the clock stands
		defer look.Stop()
		for {
			select {
			case <-look.C:
				for _, feed := range feeds {
					feed.Look()
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return feeds, nil
}
