package main

import (
	"context"
	"crypto/tls"
	"embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"icepush/console"
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
	env := func(name string) []string { return []string{"ICEPUSH_" + name} }
	const listeners = "listeners"
	return []cli.Flag{
		&cli.StringFlag{Category: listeners, Name: "listen", EnvVars: env("LISTEN"), Value: "127.0.0.1:8000", Usage: "`ADDRESS` and port to wait for listeners on, as :8000 for all of this machine's"},
		&cli.StringFlag{Category: listeners, Name: "mount", EnvVars: env("MOUNT"), Value: "/live", Usage: "`PATH` of the stream"},
		&cli.DurationFlag{Category: listeners, Name: "burst", EnvVars: env("BURST"), Value: 4 * time.Second, Usage: "how much a new listener gets at once, a `TIME`"},
		&cli.IntFlag{Category: listeners, Name: "max-listeners", EnvVars: env("MAX_LISTENERS"), Value: 5000, Usage: "how many may listen, a `NUMBER`"},
		&cli.IntFlag{Category: listeners, Name: "max-per-address", EnvVars: env("MAX_PER_ADDRESS"), Usage: "how many from one address, a `NUMBER`", DefaultText: "no limit"},
		&cli.StringFlag{Category: listeners, Name: "tls-cert", EnvVars: env("TLS_CERT"), Usage: "`FILE` of the station's certificate, PEM, with --tls-key"},
		&cli.StringFlag{Category: listeners, Name: "tls-key", EnvVars: env("TLS_KEY"), Usage: "`FILE` of its key, PEM"},
	}
}

// serveFlags are those of serve.
func serveFlags() []cli.Flag {
	flags := append(listenFlags(), sharedFlags("formats")...)
	flags = append(flags, sharedFlags("order")...)
	flags = append(flags, sharedFlags("output")...)
	return append(flags, sharedFlags("", "name", "genre", "description", "url", "bitrate", "title", "title-file", "no-title", "title-format")...)
}

// demoFlags are those of demo.
func demoFlags() []cli.Flag {
	flags := append(listenFlags(), sharedFlags("output")...)
	return append(flags, &cli.BoolFlag{Name: "open", Usage: "open the page in a browser"})
}

// serveAction is the station itself.
func serveAction(c *cli.Context, stdout, stderr io.Writer) error {
	if c.NArg() == 0 {
		return fail(exitUsage, "serve: name at least one file, playlist or folder")
	}
	s := &show{}
	if err := s.readStream(c); err != nil {
		return err
	}
	return s.serve(c, stdout, stderr, &serve.Mount{
		Name: c.String("name"), Description: c.String("description"), Genre: c.String("genre"), URL: c.String("url"), Bitrate: c.Int("bitrate"),
	})
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
	return s.serve(c, stdout, stderr, &serve.Mount{Name: "icepush demo", Description: "The music that comes with icepush"})
}

// serve runs the station, with a mount that is described, until it is interrupted or its
// show is over.
func (s *show) serve(c *cli.Context, stdout, stderr io.Writer, mount *serve.Mount) error {
	path := c.String("mount")
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if err := (push.Mount{Host: "localhost", Path: path, Password: "-"}).Check(); err != nil {
		return fail(exitConfig, "%w", err)
	}
	mount.Path, mount.Burst = path, c.Duration("burst")
	if mount.Burst <= 0 || mount.Burst > time.Minute {
		return fail(exitUsage, "--burst %v: it is more than nothing and at most a minute", mount.Burst)
	}
	server := &serve.Server{
		Mounts: []*serve.Mount{mount}, Name: push.UserAgent,
		MaxListeners: c.Int("max-listeners"), MaxPerAddress: c.Int("max-per-address"),
	}
	if cert, key := c.String("tls-cert"), c.String("tls-key"); cert != "" || key != "" {
		if cert == "" || key == "" {
			return fail(exitUsage, "--tls-cert and --tls-key go together")
		}
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fail(exitConfig, "--tls-cert %s --tls-key %s: %w", cert, key, err)
		}
		server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	l, err := net.Listen("tcp", c.String("listen"))
	if err != nil {
		return fail(exitUnavailable, "--listen %s: %w", c.String("listen"), err)
	}
	defer l.Close()

	con := console.New(stderr, !s.quiet && !s.json)
	go con.Run()
	defer con.Close()
	log := con.Logger(s.level, s.json)
	slog.SetDefault(log)
	for _, note := range s.notes {
		log.Info(note)
	}
	server.Log = log
	url := "http"
	if server.TLS != nil {
		url = "https"
	}
	host, port, _ := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		log.Info("listeners may come from other machines, too", "listen", l.Addr().String())
		if ip == nil || ip.IsUnspecified() {
			host = "localhost"
		}
	}
	url += "://" + net.JoinHostPort(host, port) + "/"
	fmt.Fprintln(stdout, url)
	if c.Bool("open") {
		openBrowser(url, log)
	}

	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupts)
	go func() {
		select {
		case <-interrupts:
			signal.Reset(os.Interrupt, syscall.SIGTERM)
			log.Info("ending; once more to quit at once")
			cancel()
		case <-ctx.Done():
		}
	}()
	var serving sync.WaitGroup
	var serveErr error
	serverCtx, stop := context.WithCancel(context.Background())
	defer stop()
	serving.Go(func() {
		if serveErr = server.Run(serverCtx, l); serveErr != nil {
			cancel()
		}
	})
	con.State = func() string { return mount.State() }
	cueErr, showErr := s.run(ctx, con, mount, log)
	mount.Close()
	stop()
	serving.Wait()
	con.Close()
	switch {
	case serveErr != nil:
		return fail(exitUnavailable, "serve: %w", serveErr)
	case errors.Is(cueErr, station.ErrNothingPlayable):
		return &exitError{exitData, cueErr}
	case errors.Is(showErr, station.ErrDeadInput):
		return &exitError{exitNoInput, showErr}
	}
	log.Info("off the air")
	return nil
}

// run plays the show to one sink and the console.
func (s *show) run(ctx context.Context, con *console.Console, sink station.Sink, log *slog.Logger) (cueErr, showErr error) {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.cue.Log, s.cue.Measure = log, con.HasBar()
	st := &station.Station{
		Sinks: []station.Sink{con, sink}, Pacer: ratelimit.Pacer{Group: group}, Fill: s.fill, MaxStall: s.stall, Log: log,
	}
	s.feed(ctx, st, &running, &cueErr, log)
	showErr = st.Run(ctx)
	cancel()
	running.Wait()
	return cueErr, showErr
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
	go cmd.Wait()
}
