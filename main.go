// Command icepush puts audio on the air: it streams playlists, files and standard input
// to Icecast.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"icepush/console"
	"icepush/frame"
	"icepush/nowplaying"
	"icepush/playlist"
	"icepush/push"
	"icepush/ratelimit"
	"icepush/serve"
	"icepush/station"
	"icepush/track"
)

// Exit codes, after sysexits.h of BSD.
const (
	exitUsage       = 64 // wrong usage
	exitData        = 65 // nothing playable, or check found faults
	exitNoInput     = 66 // an input is missing
	exitUnavailable = 69 // no server within --max-outage
	exitSoftware    = 70 // our own fault
	exitCantCreate  = 73 // a file cannot be written
	exitTempFail    = 75 // the mount is in use, on the server or by another icepush here
	exitProtocol    = 76 // protocol or format refused
	exitNoPerm      = 77 // password refused
	exitConfig      = 78 // bad configuration
)

// group is how much audio goes out at one waking. A waking costs 0.3 ms of CPU: one every
// 200 ms makes 2.6 times what ezstream needs, one every 400 ms 1.5 to 1.8 times
// (docs/benchmarks.md).
const group = 400 * time.Millisecond

func main() {
	// The words of the command line stand where everyone can read them, as in ps.
	args := make([]string, len(os.Args))
	for i, arg := range os.Args {
		args[i] = strings.Clone(arg)
		hidePassword(arg)
	}
	os.Exit(run(args, os.Stdout, os.Stderr))
}

// run is the program. It returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	push.UserAgent = "icepush/" + version()
	app := newApp(stdout, stderr)
	err := runApp(app, args)
	if err == nil {
		return 0
	}
	code, said := exitSoftware, err.Error()
	var e *exitError
	if errors.As(err, &e) {
		code = e.code
	}
	if said != "" {
		fmt.Fprintf(stderr, "icepush: %s\n", printable(said))
	}
	return code
}

// runApp runs an app with a command line.
func runApp(app *cli.App, args []string) error {
	args, err := sortArgs(app, args)
	if err != nil {
		return err
	}
	app.Metadata = map[string]any{wordsKey: args}
	return app.Run(args)
}

// printable returns text that a terminal shows as it is: names and answers from outside
// may have control characters in them.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == utf8.RuneError {
			return '?'
		}
		return c
	}, s)
}

// version returns the version of the build.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return strings.TrimPrefix(info.Main.Version, "v")
	}
	return "devel"
}

// exitError is an error that knows its exit code.
type exitError struct {
	code int
	err  error // nil when all has been said
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// fail returns an error with an exit code.
func fail(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

func newApp(stdout, stderr io.Writer) *cli.App {
	pushing, checking, planning, serving, watching, demoing := filed(pushFlags()), filed(checkFlags()), filed(planFlags()), filed(serveFlags()), filed(watchFlags()), filed(demoFlags())
	cli.VersionPrinter = func(c *cli.Context) { fmt.Fprintln(stdout, "icepush", version()) }
	usage := func(_ *cli.Context, err error, _ bool) error { return fail(exitUsage, "%w", err) }
	app := &cli.App{
		Name:                      "icepush",
		Usage:                     "put audio on the air",
		UsageText:                 "icepush [flags] INPUT...\n\nAn INPUT is a playlist (M3U, PLS, XSPF, CUE), an audio file, a folder, an http URL, or - for\nstandard input. Flags may stand anywhere; -- ends them.\nEvery flag has an environment variable; a flag beats it. What neither says may be in a file\n(--config).",
		Version:                   version(),
		HideHelpCommand:           true,
		Writer:                    stdout,
		ErrWriter:                 stderr,
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              usage,
		DisableSliceFlagSeparator: true, // a password may have a comma
		Flags:                     pushing,
		Action: configured(pushing, func(c *cli.Context) error {
			if c.NArg() == 0 {
				fmt.Fprint(stderr, shortHelp)
				return &exitError{code: exitUsage}
			}
			return pushAction(c, stderr)
		}),
		Commands: []*cli.Command{genCommand(stdout), {
			Name:         "check",
			Usage:        "read everything and say what is wrong",
			ArgsUsage:    "INPUT...",
			OnUsageError: usage,
			Flags:        checking,
			Action:       configured(checking, func(c *cli.Context) error { return checkAction(c, stdout, stderr) }),
		}, {
			Name:         "plan",
			Usage:        "say when each track begins and ends",
			ArgsUsage:    "INPUT...",
			OnUsageError: usage,
			Flags:        planning,
			Action:       configured(planning, func(c *cli.Context) error { return planAction(c, stdout, stderr) }),
		}, {
			Name:         "probe",
			Usage:        "listen to a mount as a player does, and say what comes and what is wrong",
			ArgsUsage:    "URL",
			OnUsageError: usage,
			Flags:        plainHelp(probeFlags()),
			Action:       func(c *cli.Context) error { return probeAction(c, stdout, stderr) },
		}, {
			Name:         "serve",
			Usage:        "be the station: listeners connect to icepush itself",
			ArgsUsage:    "INPUT...",
			OnUsageError: usage,
			Flags:        serving,
			Action:       configured(serving, func(c *cli.Context) error { return serveAction(c, stdout, stderr) }),
		}, {
			Name:         "nowplaying",
			Usage:        "watch Icecast servers, and tell web pages what they play",
			ArgsUsage:    "URL...",
			OnUsageError: usage,
			Flags:        watching,
			Action:       configured(watching, func(c *cli.Context) error { return watchAction(c, stdout, stderr) }),
		}, {
			Name:         "demo",
			Usage:        "serve the music that comes with icepush",
			OnUsageError: usage,
			Flags:        demoing,
			Action:       configured(demoing, func(c *cli.Context) error { return demoAction(c, stdout, stderr) }),
		}, {
			Name:         "ctl",
			Usage:        "talk to a running icepush: status, skip, queue, next, title, reload, stop, log",
			UsageText:    ctlUsage,
			OnUsageError: usage,
			Flags:        plainHelp(ctlFlags()),
			Action:       func(c *cli.Context) error { return ctlAction(c, stdout, stderr) },
		}, {
			Name:               "run",
			Usage:              "play a show of a configuration file",
			CustomHelpTemplate: runUsage,
			OnUsageError:       usage,
			Flags:              runFlags(),
			Action:             func(c *cli.Context) error { return runAction(c, stdout, stderr) },
		}, {
			Name:               "config",
			Usage:              "say what a configuration file, the environment and flags put in force",
			CustomHelpTemplate: configUsage,
			OnUsageError:       usage,
			Flags:              append(runFlags(), &cli.BoolFlag{Name: "json"}),
			Action:             func(c *cli.Context) error { return configAction(c, stdout, stderr) },
		}},
	}
	addHelp(app, stdout)
	return app
}

// env returns the variable of the environment that is a flag's twin.
func env(name string) []string { return []string{"ICEPUSH_" + name} }

func pushFlags() []cli.Flag {
	const where, stream, formats, order, titles, clock, output = "where to", "the stream", "formats", "order", "titles", "clock and line", "output"
	return slices.Concat(scheduleFlags(), pageFlags(), controlFlags(), []cli.Flag{
		&cli.StringSliceFlag{Category: where, Name: "to", EnvVars: env("TO"), Usage: "`URL` of a mount, icecast://user:password@host:port/mount; repeat it for more"},
		&cli.StringFlag{Category: where, Name: "server", EnvVars: env("SERVER"), Value: "http://localhost:8000", Usage: "`URL` of the server, with --mount"},
		&cli.StringFlag{Category: where, Name: "mount", EnvVars: env("MOUNT"), Usage: "`PATH` on the server", DefaultText: "/stream.mp3, or what the format ends in"},
		&cli.StringFlag{Category: where, Name: "user", EnvVars: env("USER"), Value: "source", Usage: "user `NAME`"},
		&cli.StringFlag{Category: where, Name: "protocol", EnvVars: env("PROTOCOL"), Value: "auto", Usage: "the `WAY` to ask for the mount: put, source, icy (SHOUTcast 1) or auto"},
		&cli.StringFlag{Category: where, Name: "framing", EnvVars: env("FRAMING"), Value: "auto", Usage: "the `WAY` the stream is delimited: identity, chunked or auto"},
		&cli.StringFlag{Category: where, Name: "ca", EnvVars: env("CA"), Usage: "`FILE` of the certificate authorities to trust, PEM", DefaultText: "those of the system"},
		&cli.StringFlag{Category: where, Name: "cert", EnvVars: env("CERT"), Usage: "`FILE` of our own certificate, PEM, with --key"},
		&cli.StringFlag{Category: where, Name: "key", EnvVars: env("KEY"), Usage: "`FILE` of its key, PEM"},
		&cli.BoolFlag{Category: where, Name: "insecure", EnvVars: env("INSECURE"), Usage: "take any certificate of the server"},
		&cli.StringFlag{Category: where, Name: "serve", EnvVars: env("SERVE"), Usage: "have listeners connect to icepush itself as well, at this `ADDRESS`, as 127.0.0.1:8001"},
		&cli.StringFlag{Category: where, Name: "nowplaying", EnvVars: env("NOWPLAYING"), Usage: "tell web pages what plays, at this `ADDRESS`, as 127.0.0.1:8080"},
		&cli.DurationFlag{Category: where, Name: "server-burst", EnvVars: env("SERVER_BURST"), Usage: "how much the server gives a new listener at once, a `TIME`: pages show a title when it is heard", DefaultText: "what 64 kB last"},
		&cli.BoolFlag{Category: where, Name: "kill-stale", EnvVars: env("KILL_STALE"), Usage: "have the server drop who holds the mount after a break: ourselves, most likely"},
		&cli.StringFlag{Category: where, Name: "password-file", EnvVars: env("PASSWORD_FILE"), Usage: "`FILE` whose first line is the password; ICEPUSH_PASSWORD and ICECAST_SOURCE_PASSWORD hold one, too"},

		&cli.StringFlag{Category: stream, Name: "name", EnvVars: env("NAME"), Usage: "name of the station, a `TEXT`"},
		&cli.StringFlag{Category: stream, Name: "genre", EnvVars: env("GENRE"), Usage: "what it plays, a `TEXT`"},
		&cli.StringFlag{Category: stream, Name: "description", EnvVars: env("DESCRIPTION"), Usage: "what it is about, a `TEXT`"},
		&cli.StringFlag{Category: stream, Name: "url", EnvVars: env("URL"), Usage: "`URL` of the page of the station"},
		&cli.BoolFlag{Category: stream, Name: "public", EnvVars: env("PUBLIC"), Usage: "list the stream in directories"},
		&cli.IntFlag{Category: stream, Name: "bitrate", EnvVars: env("BITRATE"), Usage: "bitrate to tell listeners, in `KBIT/S`", DefaultText: "of the first track"},

		&cli.StringFlag{Category: formats, Name: "format", EnvVars: env("FORMAT"), Usage: "the `FORMAT` of the stream: mp3, mp2, aac, vorbis, opus, flac or speex, then kbit/s, Hz and channels, as in mp3:128:44100:2", DefaultText: "that of the first track"},
		&cli.StringFlag{Category: formats, Name: "transcode", EnvVars: env("TRANSCODE"), Value: "auto", Usage: "which tracks ffmpeg turns into the format of the stream: `WHICH` is never, always, or auto for those of another"},
		&cli.StringFlag{Category: formats, Name: "fill", EnvVars: env("FILL"), Value: "silence", Usage: "`WHAT` goes out while standard input gives nothing, silence or none; or a list or folder that plays when the show's own has ended, until --end-at"},
		&cli.DurationFlag{Category: formats, Name: "max-stall", EnvVars: env("MAX_STALL"), Usage: "end when standard input has given nothing for so long, a `TIME`", DefaultText: "never"},

		&cli.BoolFlag{Category: order, Name: "shuffle", EnvVars: env("SHUFFLE"), Usage: "play in random order, another one each time through"},
		&cli.Uint64Flag{Category: order, Name: "seed", EnvVars: env("SEED"), Usage: "give the random order of this `NUMBER` again", DefaultText: "random"},
		&cli.BoolFlag{Category: order, Name: "loop", EnvVars: env("LOOP"), Usage: "begin again at the end"},
		&cli.BoolFlag{Category: order, Name: "once", EnvVars: env("ONCE"), Usage: "end with the list, as it does without this"},

		&cli.StringFlag{Category: titles, Name: "title", EnvVars: env("TITLE"), Usage: "show this `TEXT` for every track"},
		&cli.StringFlag{Category: titles, Name: "title-file", EnvVars: env("TITLE_FILE"), Usage: "show the first line of this `FILE`, and each new one when it changes"},
		&cli.BoolFlag{Category: titles, Name: "no-title", EnvVars: env("NO_TITLE"), Usage: "send no titles"},
		&cli.StringFlag{Category: titles, Name: "title-format", EnvVars: env("TITLE_FORMAT"), Value: "{artist} - {title}", Usage: "the `FORMAT` of titles, from {artist} {title} {album} {file}, or @a@ @t@ @b@ @T@"},
		&cli.StringFlag{Category: titles, Name: "titles", EnvVars: env("TITLES"), Value: "auto", Usage: "the `WAY` titles go: inband, admin or auto"},

		&cli.DurationFlag{Category: clock, Name: "lead", EnvVars: env("LEAD"), Value: 500 * time.Millisecond, Usage: "how far the audio runs ahead of the clock, a `TIME`"},
		&cli.BoolFlag{Category: clock, Name: "live", EnvVars: env("LIVE"), Usage: "let the show run on while nothing is connected", DefaultText: "on with several --to, with --end-at, and for standard input"},
		&cli.DurationFlag{Category: clock, Name: "retry", EnvVars: env("RETRY"), Usage: "pause between attempts to connect, a `TIME`", DefaultText: "0.5s, growing to 30s"},
		&cli.DurationFlag{Category: clock, Name: "max-outage", EnvVars: env("MAX_OUTAGE"), Usage: "give up after so long off the air, a `TIME`", DefaultText: "never"},

		&cli.StringFlag{Category: output, Name: "log", EnvVars: env("LOG"), Value: "text", Usage: "the `FORM` of the log: text or json"},
		&cli.BoolFlag{Category: output, Name: "quiet", EnvVars: env("QUIET"), Usage: "only warnings and errors, no progress bar"},
		&cli.BoolFlag{Category: output, Name: "verbose", EnvVars: env("VERBOSE"), Usage: "every title and more"},
	})
}

// show is what the flags of a push ask for.
type show struct {
	targets  []push.Mount
	titles   push.Titles
	framing  push.Framing
	tls      *tls.Config
	kill     bool
	cue      station.Cue
	stdin    bool       // it is the only input
	raw      *serve.PCM // its shape, when it is raw sound that ffmpeg encodes
	serveAt  string     // an address where the stream is served, too
	nowAt    string     // an address where pages are told what plays
	pages    *serve.Server
	relay    *nowplaying.Relay
	burst    time.Duration // the server's, as pages are told; 0 for what is usual
	fill     bool
	stall    time.Duration
	titling  string // the name of a file with titles
	byName   bool   // the mount is called by the format
	lead     time.Duration
	live     bool
	retry    time.Duration
	outage   time.Duration
	locked   bool          // one icepush on this machine per mount
	wait     time.Duration // for another one
	plays    string        // what the other one is told
	reached  string        // where it can talk to this one
	takeover bool          // the other one is asked to end
	quiet    bool
	level    slog.LevelVar
	watched  watched
	desk     *desk
	remote   *remote // of serve: what controls all its shows
	json     bool
	station.Span
	notes   []string // to be logged
	warning string   // the same, more urgent
}

// newShow reads the flags of a push.
func newShow(c *cli.Context) (_ *show, err error) {
	s := &show{serveAt: c.String("serve"), nowAt: c.String("nowplaying"), pages: &serve.Server{Name: push.UserAgent}, burst: c.Duration("server-burst"), lead: c.Duration("lead"), retry: c.Duration("retry"), outage: c.Duration("max-outage"), kill: c.Bool("kill-stale")}
	s.locked, s.wait, s.plays = !c.Bool("no-lock"), c.Duration("wait-lock"), shownPlays(c)
	if s.takeover = c.Bool("takeover"); s.takeover && !c.IsSet("wait-lock") {
		s.wait = longTrack
	}
	if s.takeover && !s.locked {
		return nil, fail(exitUsage, "--takeover asks who has the lock: leave --no-lock out")
	}
	if err := notNegative(c, "lead", "retry", "max-outage", "server-burst", "wait-lock"); err != nil {
		return nil, err
	}
	if err := readPages(c, &s.pages.NowPlaying); err != nil {
		return nil, err
	}
	if s.lead > 10*time.Second {
		return nil, fail(exitUsage, "--lead %v: servers drop listeners when the audio runs more than 10s ahead", s.lead)
	}
	if err := s.readStream(c, c.Args().Slice()); err != nil {
		return nil, err
	}
	if err := s.readTargets(c); err != nil {
		return nil, err
	}
	if s.relay, err = readRelay(c, "publish"); err != nil {
		return nil, err
	}
	if err := s.watched.read(c); err != nil {
		return nil, err
	}
	s.live = c.Bool("live") || len(s.targets) > 1 || s.stdin || !s.End.IsZero()
	return s, nil
}

func notNegative(c *cli.Context, flags ...string) error {
	for _, name := range flags {
		if c.Duration(name) < 0 {
			return fail(exitUsage, "--%s %v: a time cannot be negative", name, c.Duration(name))
		}
	}
	return nil
}

// readOutput reads the flags that say what is told on standard error.
func (s *show) readOutput(c *cli.Context) (err error) {
	if s.json, err = choice(c, "log", map[string]bool{"text": false, "json": true}); err != nil {
		return err
	}
	s.quiet, s.warning = c.Bool("quiet"), configWarning(c)
	switch {
	case c.Bool("quiet") && c.Bool("verbose"):
		return fail(exitUsage, "--quiet and --verbose exclude each other")
	case c.Bool("quiet"):
		s.level.Set(slog.LevelWarn)
	case c.Bool("verbose"):
		s.level.Set(slog.LevelDebug)
	}
	return nil
}

// readStream reads the flags that say what the stream is made of, and the output's.
func (s *show) readStream(c *cli.Context, inputs []string) (err error) {
	if err := s.readOutput(c); err != nil {
		return err
	}
	if c.Bool("loop") && c.Bool("once") {
		return fail(exitUsage, "--loop and --once exclude each other")
	}
	s.stall, s.titling = c.Duration("max-stall"), c.String("title-file")
	if err := notNegative(c, "max-stall"); err != nil {
		return err
	}
	if s.cue, err = readCue(c, inputs); err != nil {
		return err
	}
	switch {
	case s.titling != "" && (c.Bool("no-title") || c.IsSet("title")):
		return fail(exitUsage, "--title-file, --title and --no-title exclude each other")
	case c.Bool("no-title"):
		s.cue.Title = ""
	case c.IsSet("title"):
		s.cue.Title = c.String("title") // placeholders in it are filled in, too
	}
	s.stdin = slices.Contains(s.cue.Playlist.Inputs, "-")
	switch {
	case !s.stdin:
	case len(inputs) > 1:
		return fail(exitUsage, "standard input (-) is the whole show: leave the other inputs out")
	case c.Bool("loop"), c.Bool("shuffle"):
		return fail(exitUsage, "standard input (-) comes once, in its own order: leave --loop and --shuffle out")
	case (s.cue.Format.Format != frame.Unknown || s.cue.Transcode == station.Always) && !c.IsSet("pcm"):
		return fail(exitUsage, "standard input (-) goes out as it is: what writes it chooses the format")
	case term.IsTerminal(int(os.Stdin.Fd())):
		return fail(exitUsage, "standard input (-) is a terminal: pipe audio into it, as in ffmpeg -i ... -f mp3 - | icepush -")
	}
	list := &s.cue.Playlist
	if list.Shuffle && !c.IsSet("seed") {
		list.Seed = rand.Uint64() >> 32
		s.notes = append(s.notes, fmt.Sprintf("shuffled; --seed %d gives this order again", list.Seed))
	}
	return s.readSchedule(c, time.Now())
}

// readCue reads the flags that say what is played, and how.
func readCue(c *cli.Context, inputs []string) (cue station.Cue, err error) {
	cue.Title, cue.Loop = c.String("title-format"), c.Bool("loop")
	if cue.Format, err = parseFormat(c.String("format")); err != nil {
		return cue, err
	}
	cue.Transcode, err = choice(c, "transcode", map[string]station.Transcode{"auto": station.Auto, "never": station.Never, "always": station.Always})
	if err != nil {
		return cue, err
	}
	if cue.Transcode == station.Always && !cue.Transcoder.Available() {
		return cue, fail(exitConfig, "--transcode always: ffmpeg is not installed")
	}
	cue.Playlist = playlist.Playlist{Inputs: inputs, Shuffle: c.Bool("shuffle"), Seed: c.Uint64("seed")}
	for _, input := range cue.Playlist.Inputs {
		if err := checkInput(input); err != nil {
			return cue, err
		}
	}
	return cue, nil
}

// readTargets reads the flags that say where to, and by which ways.
func (s *show) readTargets(c *cli.Context) (err error) {
	if s.titles, err = choice(c, "titles", map[string]push.Titles{"auto": push.AnyTitles, "inband": push.InBand, "admin": push.Admin}); err != nil {
		return err
	}
	if s.framing, err = choice(c, "framing", map[string]push.Framing{"auto": push.AnyFraming, "identity": push.Identity, "chunked": push.Chunked}); err != nil {
		return err
	}
	if s.tls, err = tlsConfig(c); err != nil {
		return err
	}
	return s.setTargets(c)
}

// choice returns the value of a flag that takes one of a few words.
func choice[T any](c *cli.Context, flag string, values map[string]T) (value T, err error) {
	value, ok := values[c.String(flag)]
	if !ok {
		words := slices.Sorted(maps.Keys(values))
		return value, fail(exitUsage, "--%s %s: it is one of %s", flag, c.String(flag), strings.Join(words, ", "))
	}
	return value, nil
}

// tlsConfig reads the files that say whom to trust and who we are.
func tlsConfig(c *cli.Context) (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: c.Bool("insecure")}
	if name := c.String("ca"); name != "" {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fail(exitConfig, "--ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(b) {
			return nil, fail(exitConfig, "--ca %s: there is no certificate in it (PEM begins with -----BEGIN CERTIFICATE-----)", name)
		}
	}
	cert, key := c.String("cert"), c.String("key")
	switch {
	case cert == "" && key == "":
		return config, nil
	case cert == "" || key == "":
		return nil, fail(exitUsage, "--cert and --key go together")
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fail(exitConfig, "--cert %s --key %s: %w", cert, key, err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// checkInput says at once what is not there at all.
func checkInput(input string) error {
	if input == "-" || (playlist.Entry{Path: input}).Remote() {
		return nil
	}
	if scheme, _, ok := strings.Cut(input, "://"); ok {
		return fail(exitUsage, "one of the inputs begins with %s://: inputs are files and http URLs; a mount goes into --to", scheme)
	}
	_, err := os.Stat(input)
	var pe *os.PathError
	if errors.As(err, &pe) {
		return fail(exitNoInput, "%s: %w", input, pe.Err)
	}
	return err
}

// setTargets puts the mounts together from --to, or --server and --mount, and finds
// their passwords.
func (s *show) setTargets(c *cli.Context) error {
	urls := strings.Fields(strings.Join(c.StringSlice("to"), " ")) // ICEPUSH_TO may hold several
	if len(urls) > 0 && (c.IsSet("server") || c.IsSet("mount")) {
		return fail(exitUsage, "--to names server and mount already: leave --server and --mount out")
	}
	fromParts := len(urls) == 0
	if fromParts {
		urls = []string{c.String("server")}
	}
	password, err := findPassword(c)
	if err != nil {
		return err
	}
	protocol, err := choice(c, "protocol", map[string]push.Protocol{"auto": push.AnyProtocol, "put": push.PUT, "source": push.SOURCE, "icy": push.ICY})
	if err != nil {
		return err
	}
	for _, u := range urls {
		m, err := push.ParseURL(u)
		if err != nil {
			return fail(exitConfig, "%w", err)
		}
		if protocol != push.AnyProtocol {
			m.Protocol = protocol
		}
		if m.Password != "" && !strings.Contains(os.Getenv("ICEPUSH_TO")+os.Getenv("ICEPUSH_SERVER"), u) && !fromFile(c, "to") && !fromFile(c, "server") {
			s.warning = "the password stood on the command line, where others on this machine may have read it; ICEPUSH_PASSWORD or --password-file keep it to yourself"
		}
		switch {
		case fromParts && m.Path != "":
			return fail(exitUsage, "--server %s: the mount %s goes into --mount, or all of it into --to", m, m.Path)
		case m.Path == "" && (m.Protocol != push.ICY || c.IsSet("mount")):
			if m.Path = c.String("mount"); m.Path == "" {
				m.Path, s.byName = "/stream", true
			}
		}
		if m.User == "" {
			m.User = c.String("user")
		}
		if m.Password == "" {
			m.Password = password
		}
		if m.Password == "" {
			if !isLoopback(m.Host) {
				return fail(exitConfig, "%s: no password: set ICEPUSH_PASSWORD, or name a file with --password-file", m)
			}
			m.Password = "hackme"
			s.notes = append(s.notes, "no password given: trying the one Icecast ships with")
		}
		m.Name, m.Genre, m.Description, m.URL = c.String("name"), c.String("genre"), c.String("description"), c.String("url")
		m.Public, m.Bitrate = c.Bool("public"), c.Int("bitrate")
		if err := m.Check(); err != nil {
			return fail(exitConfig, "%w", err)
		}
		if slices.ContainsFunc(s.targets, func(o push.Mount) bool { return o.String() == m.String() || s.locked && lockOf(o).Same(lockOf(m)) }) {
			return fail(exitUsage, "%s is named twice", m)
		}
		s.targets = append(s.targets, m)
	}
	return nil
}

// findPassword looks where a password may be, the nearest first.
func findPassword(c *cli.Context) (push.Secret, error) {
	password, err := findSecret(c, "password-file", "ICEPUSH_PASSWORD")
	if password == "" && err == nil {
		password = push.Secret(os.Getenv("ICECAST_SOURCE_PASSWORD"))
	}
	return password, err
}

// findSecret looks where a secret may be, the nearest first: in a file that a flag names, in
// a variable, in a file that is named elsewhere.
func findSecret(c *cli.Context, flag, variable string) (push.Secret, error) {
	name := c.String(flag)
	byFlag := name != "" && name != os.Getenv(variable+"_FILE") && !fromFile(c, flag)
	if secret := os.Getenv(variable); secret != "" && !byFlag || name == "" {
		return push.Secret(secret), nil
	}
	return passwordIn(name)
}

// passwordIn returns the first line of a file.
func passwordIn(name string) (push.Secret, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", fail(exitConfig, "password file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimRight(line, "\r"); err != nil || line == "" {
		return "", fail(exitConfig, "password file %s: there is no password in its first line", name)
	}
	return push.Secret(line), nil
}

// isLoopback reports whether a server is on this machine.
func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// pushAction plays a show.
func pushAction(c *cli.Context, stderr io.Writer) error {
	s, err := newShow(c)
	if err != nil {
		return err
	}
	con := console.New(stderr, !s.quiet && !s.json)
	go con.Run() // Close ends it, but does not wait for a terminal that takes nothing
	defer con.Close()
	log := con.Logger(&s.level, s.json)
	slog.SetDefault(log)
	if s.warning != "" {
		log.Warn(s.warning)
	}
	for _, note := range s.notes {
		log.Info(note)
	}

	// What there is to do at a waking takes turns anyhow; with more threads the runtime wakes
	// them all each time, for a third more CPU.
	if os.Getenv("GOMAXPROCS") == "" && s.serveAt == "" && s.nowAt == "" {
		runtime.GOMAXPROCS(1)
	}

	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupts)

	l, err := s.watched.listen(log)
	if err != nil {
		return err
	}
	return s.play(ctx, con, log, interrupts, l)
}

// play runs the goroutines of a show and says how it ended. The first interrupt ends it
// in order, the second at once. Who controls it connects to l, which may be nil.
func (s *show) play(ctx context.Context, con *console.Console, log *slog.Logger, interrupts chan os.Signal, l net.Listener) error {
	serveCtx, endServing := context.WithCancel(ctx)
	defer endServing()
	airCtx, hangUp := context.WithCancel(ctx) // the connections live longer than the show
	defer hangUp()
	showCtx, endShow := context.WithCancel(ctx)
	defer endShow()
	var running sync.WaitGroup
	over := make(chan struct{})
	s.reached = reachedAt(l)
	s.desk = s.newDesk("")
	remote := newRemote(s, s.desk)
	remote.stop = interrupts
	controlCtx, endControl := context.WithCancel(ctx)
	defer endControl()
	running.Go(func() { remote.run(controlCtx, &s.watched, l, log) })
	running.Go(func() {
		for {
			select {
			case <-interrupts:
				// The next one ends the program as the system does it.
				signal.Reset(os.Interrupt, syscall.SIGTERM)
				log.Info("ending; once more to quit at once")
				remote.ends()
				endShow()
			case <-over:
				return
			}
		}
	})

	var left sync.WaitGroup // the connections
	abandon := func(err error) error {
		endShow()
		hangUp()
		left.Wait()
		endServing()
		endControl()
		close(over)
		running.Wait()
		return err
	}
	if err := s.standBy(showCtx, log); err != nil {
		return abandon(err)
	}

	con.Lead = s.lead
	s.cue.Log = log
	s.cue.Measure = con.HasBar() || s.nowAt != "" || s.relay != nil // pages show how far a track is
	st := &station.Station{
		Pacer:    ratelimit.Pacer{Lead: s.lead, Group: group},
		Fill:     s.fill,
		MaxStall: s.stall,
		Span:     s.Span,
		Log:      log,
	}
	var cueErr error
	s.feed(showCtx, st, &running, &cueErr, log)

	// The first track tells what the mounts are asked for.
	var sources []*push.Source
	var feeds []*nowplaying.Feed
	var errs []error
	var showErr error
	select {
	case st.First = <-st.Tracks: // nil when there is none
	case <-showCtx.Done():
		showErr = showCtx.Err()
	}
	if st.First != nil {
		sources = s.sources(st.First.Info.Header.Format, log)
		errs = make([]error, len(sources))
		st.Sinks = append([]station.Sink{con}, s.watched.airings(sources)...)
		remote.sends(sources)
		for i, src := range sources {
			st.Sinks = append(st.Sinks, src)
			left.Add(1)
			running.Go(func() {
				defer left.Done()
				if errs[i] = src.Run(airCtx); errs[i] != nil && len(sources) > 1 {
					log.Error("this mount is given up", "err", errs[i])
				}
			})
		}
		con.State = func() string {
			var states []string
			for _, src := range sources {
				states = append(states, src.Status().State.String())
			}
			return strings.Join(states, ", ")
		}
		if !s.live {
			st.Gate = sources[0]
		}
		if s.serveAt != "" {
			mount, err := s.alsoServe(serveCtx, &running, sources[0].Mount, log)
			if err != nil {
				st.First.Close()
				return abandon(err)
			}
			defer mount.Close()
			st.Sinks = append(st.Sinks, mount)
			remote.sends(sources, mount)
		}
		if s.nowAt != "" || s.relay != nil {
			told, err := s.tellPages(serveCtx, &running, sources, st.First.Info.Header, log)
			if err != nil {
				return abandon(err)
			}
			feeds = told
			for _, feed := range feeds {
				st.Sinks = append(st.Sinks, feed)
			}
		}
		running.Go(func() { // without a mount there is no show
			left.Wait()
			endShow()
		})
		// What has been let go when the show is ended is sent, unless the line is down.
		defer context.AfterFunc(showCtx, func() { time.AfterFunc(max(3*time.Second, s.lead+2*time.Second), hangUp) })()
		release, err := s.goesOn(showCtx, sources, st.First.Info, log)
		if err != nil {
			st.First.Close()
			return abandon(err)
		}
		defer release()
		showErr = st.Run(showCtx)
	}
	for _, src := range sources {
		src.Close()
	}
	left.Wait()
	endShow()
	for _, feed := range feeds {
		feed.Off()
	}
	endServing()
	endControl() // the as-run log has its last lines now
	close(over)
	running.Wait()
	con.Close()
	err := outcome(errs, cueErr, showErr)
	if err == nil {
		played := st.Status()
		log.Info("off the air", "tracks", played.Played+played.Skipped+played.Failed+played.Cut, "frames", played.Frames)
	}
	return err
}

// feed starts what gives a station its tracks and titles. It ends with ctx.
func (s *show) feed(ctx context.Context, st *station.Station, running *sync.WaitGroup, failed *error, log *slog.Logger) {
	if s.stdin {
		running.Go(func() { // there is nothing to be read again, and no reason to end
			hangups := make(chan os.Signal, 1)
			signal.Notify(hangups, syscall.SIGHUP)
			defer signal.Stop(hangups)
			for {
				select {
				case <-hangups:
					log.Info("standard input is not read again at a hangup")
				case <-ctx.Done():
					return
				}
			}
		})
		st.Pacer.Group = 0 // what is live goes out frame by frame
		st.Tracks = s.standardInput(ctx, running, failed, log)
	} else {
		st.Tracks = s.cue.Tracks()
		s.cue.Reload, s.cue.Queue = s.desk.reload, s.desk.queue
		running.Go(func() { s.watchList(ctx, log) })
		running.Go(func() { *failed = s.cue.Run(ctx) })
	}
	s.desk.plays(st)
	if s.titling != "" {
		running.Go(func() {
			if err := watchTitle(ctx, s.titling, s.desk.again, s.desk.titles); err != nil {
				log.Warn("titles do not come from the file any more", "err", err)
			}
		})
	}
}

// watchList asks for the list to be read again when it has changed, or at a hangup.
func (s *show) watchList(ctx context.Context, log *slog.Logger) {
	ask := s.desk.readAgain
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		if err := s.cue.Playlist.Watch(ctx, ask); err != nil {
			log.Warn("changes of the list are not noticed; a hangup (kill -HUP) has it read again", "err", err)
		}
	})
	for {
		select {
		case <-hangups:
			ask()
		case <-ctx.Done():
			return
		}
	}
}

// sources returns one for each target.
func (s *show) sources(format frame.Format, log *slog.Logger) []*push.Source {
	var sources []*push.Source
	for _, m := range s.targets {
		if s.byName && m.Path == "/stream" {
			m.Path += format.Ext()
		}
		sources = append(sources, &push.Source{
			Mount: m, Titles: s.titles, Framing: s.framing, Live: s.live, Retry: s.retry, MaxOutage: s.outage,
			KillStale: s.kill, TLS: s.tls, Proxy: http.ProxyFromEnvironment, Log: log.With("mount", m.String()),
		})
	}
	return sources
}

// standardInput returns the channel of tracks with standard input as the only one.
func (s *show) standardInput(ctx context.Context, running *sync.WaitGroup, failed *error, log *slog.Logger) <-chan *track.Track {
	tracks := make(chan *track.Track)
	running.Go(func() {
		defer close(tracks)
		waiting := ctx
		if s.stall > 0 {
			var cancel context.CancelFunc
			waiting, cancel = context.WithTimeout(ctx, s.stall)
			defer cancel()
		}
		open := func() (*track.Track, error) { return track.OpenLive(waiting, os.Stdin, track.Info{}) }
		if raw := s.raw; raw != nil {
			x := track.Transcoder{To: s.cue.Format}
			open = func() (*track.Track, error) {
				return x.OpenRaw(waiting, os.Stdin, raw.Sample(), raw.Rate, raw.Channels, track.Info{})
			}
		}
		t, err := open()
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return
		case waiting.Err() != nil:
			*failed = fail(exitNoInput, "standard input: %w: %v", station.ErrDeadInput, s.stall)
			return
		case errors.Is(err, track.ErrForeign):
			*failed = fail(exitData, "%w; have ffmpeg write what does: ffmpeg -i ... -f mp3 - | icepush -", err)
			return
		default:
			*failed = &station.NothingPlayableError{Reason: err}
			return
		}
		t.SetTitleFormat(s.cue.Title)
		format := t.Info.Header
		select {
		case tracks <- t:
			s.fillBehind(ctx, tracks, format, log)
		case <-ctx.Done():
			t.Close()
		}
	})
	return tracks
}

// outcome chooses the exit code and the sentence.
func outcome(errs []error, cueErr, showErr error) error {
	failed := 0
	var first error
	for _, err := range errs {
		if err != nil {
			failed++
			if first == nil {
				first = err
			}
		}
	}
	if failed == len(errs) && failed > 0 {
		if hint := push.Hint(first); hint != "" {
			first = fmt.Errorf("%w; %s", first, hint)
		}
		return &exitError{pushCode(first), first}
	}
	return showError(cueErr, showErr)
}

// showError returns why a show did not end well, from what its cue and its station say.
func showError(cueErr, showErr error) error {
	switch {
	case errors.Is(cueErr, station.ErrNothingPlayable):
		return &exitError{exitData, cueErr}
	case errors.As(cueErr, new(*exitError)):
		return cueErr
	case errors.Is(showErr, station.ErrDeadInput):
		return &exitError{exitNoInput, showErr}
	case showErr != nil && !errors.Is(showErr, context.Canceled):
		return showErr
	}
	return nil
}

// pushCode returns the exit code for an error of push.
func pushCode(err error) int {
	var status *push.StatusError
	var outage *push.OutageError
	switch {
	case push.Denied(err):
		return exitNoPerm
	case errors.As(err, &status) && status.InUse():
		return exitTempFail
	case push.Refused(err) && !errors.As(err, &outage):
		return exitProtocol
	}
	return exitUnavailable
}

// sortArgs puts flags before arguments, for urfave/cli stops reading flags at the first
// argument. What stands behind -- is no flag.
func sortArgs(app *cli.App, args []string) ([]string, error) {
	flags := append(slices.Clone(app.Flags), cli.HelpFlag, cli.VersionFlag)
	command := ""
	takesValue := func(name string) (value, known bool) {
		for _, f := range flags {
			if slices.Contains(f.Names(), name) {
				d, ok := f.(cli.DocGenerationFlag)
				return ok && d.TakesValue(), true
			}
		}
		return false, false
	}
	var before, after []string
	for i := 1; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			after = append(after, args[i+1:]...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			if command == "" && len(after) == 0 {
				if c := app.Command(arg); c != nil {
					command = arg
					flags = append(slices.Clone(c.Flags), cli.HelpFlag)
					continue
				}
			}
			after = append(after, arg)
			continue
		}
		name, _, inline := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		value, known := takesValue(name)
		if !known {
			hint := ""
			if s := cli.SuggestFlag(flags, name, true); s != "" {
				hint = "; did you mean " + s + "?"
			}
			return nil, fail(exitUsage, "there is no flag %s%s", strings.SplitN(arg, "=", 2)[0], hint)
		}
		before = append(before, arg)
		if value && !inline {
			if i+1 == len(args) {
				return nil, fail(exitUsage, "%s needs a value", arg)
			}
			i++
			before = append(before, args[i])
		}
	}
	sorted := args[:1:1]
	if command != "" {
		sorted = append(sorted, command)
	}
	sorted = append(sorted, before...)
	return append(append(sorted, "--"), after...), nil
}
