package main

import (
	"context"
	"crypto/tls"
	"embed"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/urfave/cli/v2"

	"icepush/console"
	"icepush/frame"
	"icepush/push"
	"icepush/ratelimit"
	"icepush/serve"
	"icepush/station"
)

// demoMusic is what icepush demo plays.
//
//go:embed testdata/demo/*.mp3
var demoMusic embed.FS

// listenFlags are those that say where and to whom a station is served.
func listenFlags() []cli.Flag {
	const listeners = "listeners"
	return append(pageFlags(), []cli.Flag{
		&cli.StringFlag{Category: listeners, Name: "listen", EnvVars: env("LISTEN"), Value: "127.0.0.1:8000", Usage: "`ADDRESS` and port to wait for listeners on, as :8000 for all of this machine's"},
		&cli.DurationFlag{Category: listeners, Name: "burst", EnvVars: env("BURST"), Value: 4 * time.Second, Usage: "how much a new listener gets at once, a `TIME`"},
		&cli.IntFlag{Category: listeners, Name: "max-listeners", EnvVars: env("MAX_LISTENERS"), Value: 5000, Usage: "how many may listen, a `NUMBER`"},
		&cli.IntFlag{Category: listeners, Name: "max-per-address", EnvVars: env("MAX_PER_ADDRESS"), Usage: "how many from one address, a `NUMBER`", DefaultText: "no limit"},
		&cli.StringFlag{Category: listeners, Name: "tls-cert", EnvVars: env("TLS_CERT"), Usage: "`FILE` of the station's certificate, PEM, with --tls-key"},
		&cli.StringFlag{Category: listeners, Name: "tls-key", EnvVars: env("TLS_KEY"), Usage: "`FILE` of its key, PEM"},
		&cli.StringFlag{Category: listeners, Name: "source-password-file", EnvVars: env("SOURCE_PASSWORD_FILE"), Usage: "`FILE` whose first line is the password of sources, programs that send what is played in place of the show; ICEPUSH_SOURCE_PASSWORD holds it, too", DefaultText: "no sources"},
	}...)
}

// serveFlags are those of serve.
func serveFlags() []cli.Flag {
	const listeners = "listeners"
	flags := append(listenFlags(),
		&cli.StringSliceFlag{Category: listeners, Name: "mount", EnvVars: []string{"ICEPUSH_MOUNT"}, Usage: "`PATH` of the stream; PATH=INPUT for one of its own, PATH@FORMAT for one that ffmpeg makes; repeat it for more", DefaultText: "/live"},
		&cli.StringFlag{Category: "formats", Name: "pcm", EnvVars: []string{"ICEPUSH_PCM"}, Usage: "standard input is raw sound of this `SHAPE`: u8, s16le, s24le or s32le, then Hz and channels, as in s16le:44100:1"},
	)
	for _, category := range []string{"formats", "order", "output", "control"} {
		flags = append(flags, sharedFlags(category)...)
	}
	return append(flags, sharedFlags("", "start-at", "end-at", "for", "end", "name", "genre", "description", "url", "bitrate", "title", "title-file", "no-title", "title-format")...)
}

// demoFlags are those of demo.
func demoFlags() []cli.Flag {
	flags := append(append(listenFlags(), sharedFlags("output")...), controlFlags()...)
	return append(flags, &cli.BoolFlag{Name: "open", Usage: "open the page in a browser"})
}

// served is a mount of our own and what it plays.
type served struct {
	*show
	mount *serve.Mount
	pcm   *serve.PCM // standard input is raw sound, played as it is
	empty bool       // there is no show: sources play
}

// serveAction is the station itself.
func serveAction(c *cli.Context, stdout, stderr io.Writer) error {
	specs := strings.Fields(strings.Join(c.StringSlice("mount"), " ")) // the variable may hold several
	if len(specs) == 0 {
		specs = []string{"/live"}
	}
	var mounts []served
	for _, spec := range specs {
		m, err := newServed(c, spec)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(mounts, func(o served) bool { return o.mount.Path == m.mount.Path }) {
			return fail(exitUsage, "--mount %s is named twice", m.mount.Path)
		}
		mounts = append(mounts, m)
	}
	stdin := 0
	for _, m := range mounts {
		if m.stdin {
			stdin++
		}
	}
	if stdin > 1 {
		return fail(exitUsage, "standard input (-) comes once: it can be on one mount")
	}
	return runStation(c, stdout, stderr, mounts)
}

// newServed reads what --mount says of one mount: PATH, PATH=INPUT, PATH@FORMAT or both,
// PATH@FORMAT=INPUT. The rest is said by the other flags for all of them.
func newServed(c *cli.Context, spec string) (served, error) {
	where, input, own := strings.Cut(spec, "=")
	path, format, made := strings.Cut(where, "@")
	m := served{show: &show{}}
	inputs := c.Args().Slice()
	if own {
		inputs = []string{input}
	}
	if own && input == "" {
		inputs = nil
	}
	if m.empty = len(inputs) == 0; m.empty {
		password, err := sourcePassword(c)
		switch {
		case err != nil:
			return m, err
		case password == "":
			return m, fail(exitUsage, "serve: name at least one file, playlist or folder, or --mount PATH=INPUT, or a password for sources with --source-password-file")
		case made:
			return m, fail(exitUsage, "--mount %s: a source sends what is played: there is nothing to make", spec)
		}
	}
	if err := m.readStream(c, inputs); err != nil {
		return m, err
	}
	if made {
		h, err := parseFormat(format)
		if err != nil {
			return m, err
		}
		if !m.cue.Transcoder.Available() {
			return m, fail(exitConfig, "--mount %s: ffmpeg makes it, and is not installed", spec)
		}
		if m.stdin && !c.IsSet("pcm") {
			return m, fail(exitUsage, "--mount %s: standard input (-) goes out as it is", spec)
		}
		m.cue.Format, m.cue.Transcode = h, station.Always
	}
	if shape := c.String("pcm"); shape != "" && m.stdin {
		p, err := serve.ParsePCM(shape)
		if err != nil {
			return m, fail(exitUsage, "--pcm %w", err)
		}
		m.pcm = &p
		if m.cue.Format.Format != frame.Unknown {
			m.raw = &p
		}
		if m.raw == nil && !made && !strings.HasSuffix(path, ".wav") {
			path += ".wav"
		}
	} else if shape != "" {
		return m, fail(exitUsage, "--pcm is the shape of standard input: the input is -")
	}
	m.mount = &serve.Mount{
		Path: path, Name: c.String("name"), Description: c.String("description"), Genre: c.String("genre"), URL: c.String("url"), Bitrate: c.Int("bitrate"),
	}
	return m, nil
}

// demoAction serves the music inside the program.
func demoAction(c *cli.Context, stdout, stderr io.Writer) error {
	dir, err := os.MkdirTemp("", "icepush-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, demoMusic); err != nil {
		return err
	}
	s := &show{fill: true}
	if err := s.readOutput(c); err != nil {
		return err
	}
	s.cue = station.Cue{Loop: true, Title: "{artist} - {title}"}
	s.cue.Playlist.Inputs = []string{filepath.Join(dir, "testdata", "demo")}
	return runStation(c, stdout, stderr, []served{{show: s, mount: &serve.Mount{Path: "/live", Name: "icepush demo", Description: "The music that comes with icepush"}}})
}

// newServer reads the flags that say where and to whom mounts are served.
func newServer(c *cli.Context, mounts []*serve.Mount) (*serve.Server, error) {
	burst := c.Duration("burst")
	if len(mounts) > 0 && (burst <= 0 || burst > time.Minute) {
		return nil, fail(exitUsage, "--burst %v: it is more than nothing and at most a minute", burst)
	}
	password, err := sourcePassword(c)
	if err != nil {
		return nil, err
	}
	for _, m := range mounts {
		m.Burst, m.SourcePassword = burst, password
		if err := (push.Mount{Host: "localhost", Path: m.Path, Password: "-"}).Check(); err != nil {
			return nil, fail(exitConfig, "%w", err)
		}
	}
	server := &serve.Server{Mounts: mounts, Name: push.UserAgent, MaxListeners: c.Int("max-listeners"), MaxPerAddress: c.Int("max-per-address")}
	if err := readPages(c, &server.NowPlaying); err != nil {
		return nil, err
	}
	if cert, key := c.String("tls-cert"), c.String("tls-key"); cert != "" || key != "" {
		if cert == "" || key == "" {
			return nil, fail(exitUsage, "--tls-cert and --tls-key go together")
		}
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fail(exitConfig, "--tls-cert %s --tls-key %s: %w", cert, key, err)
		}
		server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	return server, nil
}

// sourcePassword returns the password of sources, "" for none.
func sourcePassword(c *cli.Context) (string, error) {
	password, err := findSecret(c, "source-password-file", "ICEPUSH_SOURCE_PASSWORD")
	return string(password), err
}

// alsoServe serves what is pushed, under the path it has there, until ctx ends.
func (s *show) alsoServe(ctx context.Context, running *sync.WaitGroup, m push.Mount, log *slog.Logger) (*serve.Mount, error) {
	mount := &serve.Mount{Path: m.Path, Name: m.Name, Description: m.Description, Genre: m.Genre, URL: m.URL, Bitrate: m.Bitrate}
	if mount.Path == "" { // of SHOUTcast
		mount.Path = "/live"
	}
	server := &serve.Server{Mounts: []*serve.Mount{mount}, Name: push.UserAgent, Log: log}
	now, as := &server.NowPlaying, &s.pages.NowPlaying
	now.Log, now.Hub.History, now.AllowOrigins, now.MaxClients = log, as.Hub.History, as.AllowOrigins, as.MaxClients
	l, err := serve.Listen(ctx, s.serveAt)
	if err != nil {
		return nil, fail(exitUnavailable, "--serve %s: %w", s.serveAt, err)
	}
	log.Info("serving", "url", stationURL(server, l, log))
	running.Go(func() {
		if err := server.Run(ctx, l); err != nil {
			log.Error("nobody is served any more", "err", err)
		}
	})
	return mount, nil
}

// stationURL returns the URL of the page of a station, and says when others can open it,
// too.
func stationURL(server *serve.Server, l net.Listener, log *slog.Logger) string {
	scheme := "http"
	if server.TLS != nil {
		scheme = "https"
	}
	host, port, _ := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		log.Info("listeners may come from other machines, too", "listen", l.Addr().String())
		if ip == nil || ip.IsUnspecified() {
			host = "localhost"
		}
	}
	return scheme + "://" + net.JoinHostPort(host, port) + "/"
}

// runStation runs a station until it is interrupted, or all of its shows are over.
func runStation(c *cli.Context, stdout, stderr io.Writer, mounts []served) error {
	var all []*serve.Mount
	for _, m := range mounts {
		all = append(all, m.mount)
	}
	server, err := newServer(c, all)
	if err != nil {
		return err
	}
	relay, err := readRelay(c, "publish")
	if err != nil {
		return err
	}
	first := mounts[0].show
	if err := first.watched.read(c); err != nil {
		return err
	}
	var desks []*desk
	for _, m := range mounts {
		m.desk = m.newDesk(m.mount.Path)
		desks = append(desks, m.desk)
	}
	first.remote = newRemote(first, desks...)
	first.remote.sends(nil, all...)
	first.remote.more = []prometheus.Collector{server.Collector()}
	return runServer(c, stdout, stderr, server, first, func(ctx context.Context, con *console.Console, log *slog.Logger) error {
		var shows, telling sync.WaitGroup
		publishing, end := context.WithCancel(context.Background()) // until it has been told that the shows are over
		publish(publishing, &telling, relay, &server.NowPlaying.Hub, log)
		defer telling.Wait()
		defer end()
		con.State = server.State
		errs := make([]error, len(mounts))
		for i, m := range mounts {
			l, sink := log, append([]station.Sink{m.mount}, first.watched.mountAirings(m.mount)...)
			if i == 0 {
				sink = append(sink, con)
			}
			if len(mounts) > 1 {
				l = log.With("mount", m.mount.Path)
			}
			shows.Go(func() {
				defer m.mount.Close()
				if errs[i] = m.run(ctx, sink, l); errs[i] != nil && len(mounts) > 1 {
					l.Error("this mount has ended", "err", errs[i])
				}
			})
		}
		shows.Wait()
		if !slices.Contains(errs, nil) { // else a part of the station did what it was to do
			return errs[0]
		}
		return nil
	})
}

// runServer runs a server, and work beside it, until that ends. It is to end with ctx,
// which an interrupt ends. What is told on standard error is as s has it.
func runServer(c *cli.Context, stdout, stderr io.Writer, server *serve.Server, s *show, work func(context.Context, *console.Console, *slog.Logger) error) error {
	// Thousands of connections are kept, and little is thrown away: what collecting it more
	// often costs is less than the memory it would take.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
	l, err := serve.Listen(c.Context, c.String("listen"))
	if err != nil {
		return fail(exitUnavailable, "--listen %s: %w", c.String("listen"), err)
	}
	defer l.Close()

	con := console.New(stderr, !s.quiet && !s.json)
	go con.Run()
	defer con.Close()
	log := con.Logger(&s.level, s.json)
	slog.SetDefault(log)
	server.Log, server.NowPlaying.Log = log, log
	if s.warning != "" {
		log.Warn(s.warning)
	}
	for _, note := range s.notes {
		log.Info(note)
	}
	var control net.Listener
	if s.remote != nil {
		if control, err = s.watched.listen(log); err != nil {
			return err
		}
	}
	url := stationURL(server, l, log)
	fmt.Fprintln(stdout, url)
	if c.Bool("open") {
		openBrowser(url, log)
	}

	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupts)
	stop := context.AfterFunc(ctx, func() { signal.Stop(interrupts) })
	defer stop()
	var running sync.WaitGroup
	controlCtx, endControl := context.WithCancel(context.Background())
	defer endControl()
	if s.remote != nil {
		s.remote.stop = interrupts
		running.Go(func() { s.remote.run(controlCtx, &s.watched, control, log) })
	}
	running.Go(func() {
		select {
		case <-interrupts:
			signal.Reset(os.Interrupt, syscall.SIGTERM)
			log.Info("ending; once more to quit at once")
			if s.remote != nil {
				s.remote.ends()
			}
			cancel()
		case <-ctx.Done():
		}
	})
	serverCtx, closeServer := context.WithCancel(context.Background())
	defer closeServer()
	var serveErr error
	running.Go(func() {
		if serveErr = server.Run(serverCtx, l); serveErr != nil {
			cancel()
		}
	})
	err = work(ctx, con, log)
	cancel()
	closeServer()
	endControl()
	running.Wait()
	con.Close()
	if serveErr != nil {
		return fail(exitUnavailable, "serve: %w", serveErr)
	}
	if err == nil {
		log.Info("off the air")
	}
	return err
}

// run plays the show of a mount. The error knows its exit code.
func (m *served) run(ctx context.Context, sinks []station.Sink, log *slog.Logger) error {
	if m.empty {
		log.Info("waiting for a source")
		if end := m.ends(time.Now()); !end.IsZero() {
			ratelimit.Until(ctx, end)
			return nil
		}
		<-ctx.Done()
		return nil
	}
	if err := m.standBy(ctx, log); err != nil {
		return err
	}
	if m.pcm != nil && m.raw == nil {
		return m.playPCM(ctx, log)
	}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.cue.Log, m.cue.Measure = log, true // the page shows how far a track is
	st := &station.Station{Sinks: sinks, Pacer: ratelimit.Pacer{Group: group}, Fill: m.fill, MaxStall: m.stall, Span: m.Span, Log: log}
	var cueErr error
	m.feed(ctx, st, &running, &cueErr, log)
	showErr := st.Run(ctx)
	cancel()
	running.Wait()
	return showError(cueErr, showErr)
}

// playPCM plays raw sound from standard input, from the beginning of the show to its end.
func (m *served) playPCM(ctx context.Context, log *slog.Logger) error {
	ratelimit.Until(ctx, m.Begin)
	log.Info("playing", "file", "standard input", "format", fmt.Sprintf("PCM, %d bits, %d Hz, %d channels", m.pcm.Bits, m.pcm.Rate, m.pcm.Channels))
	ctx, cancel := context.WithCancel(ctx)
	var ending sync.WaitGroup
	defer ending.Wait()
	defer cancel()
	if end := m.ends(time.Now()); !end.IsZero() {
		ending.Go(func() {
			ratelimit.Until(ctx, end)
			cancel()
		})
	}
	return m.mount.PlayPCM(ctx, os.Stdin, *m.pcm)
}

// openBrowser shows a URL to the person at this machine.
func openBrowser(url string, log *slog.Logger) {
	command := []string{"xdg-open"}
	switch runtime.GOOS {
	case "darwin":
		command = []string{"open"}
	case "windows":
		command = []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	cmd := exec.Command(command[0], append(command[1:], url)...)
	if err := cmd.Start(); err != nil {
		log.Warn("no browser was opened", "err", err)
		return
	}
	go cmd.Wait() // the browser may outlive us
}
