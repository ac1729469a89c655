package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

const shortHelp = `icepush puts audio on the air.

  icepush playlist.m3u --mount /live      stream a playlist to Icecast on this machine
  icepush Music --shuffle --loop --to icecast://radio.example:8000/live
  icepush demo                            a station with the music that comes with icepush
  icepush serve Music --loop              be the station: no Icecast needed
  icepush check playlist.m3u              read everything, say what is wrong
  icepush probe http://host:8000/live     listen like a player, say why it does not play
  icepush ctl status                      what a running icepush is doing

icepush --help tells the rest; icepush help COMMAND all about one.
`

// examples are how each command is used, "" for icepush itself.
var examples = map[string]string{
	"": `icepush evening.m3u --mount /live
ICEPUSH_PASSWORD=... icepush Music/ --shuffle --loop --to icecasts://radio.example/live --name "Radio Example"
icepush show.m3u --mount /live --start-at 20:00 --end-at 21:00 --fill Music/
ffmpeg -i rtsp://studio/desk -f mp3 - | icepush - --mount /live --title "Live from the studio"`,
	"check": `icepush check Music/ --json
icepush check show.m3u --to icecast://source@radio.example:8000/live`,
	"plan":  `icepush plan show.m3u --start-at 20:00 --end-at 21:00`,
	"probe": `icepush probe http://radio.example:8000/live --for 30s`,
	"serve": `icepush serve Music/ --shuffle --loop --listen :8000
icepush serve --mount /jazz=Jazz/ --mount /news=news.m3u --loop`,
	"nowplaying": `icepush nowplaying http://radio.example:8000 --listen :8080 --allow-origin https://www.radio.example
icepush nowplaying http://radio.example:8000/live --follow`,
	"run":    `icepush run evening --config /etc/icepush/station.toml`,
	"config": `icepush config evening`,
	"demo":   `icepush demo --open`,
	"ctl": `icepush ctl status --watch
icepush ctl queue jingle.mp3
icepush ctl title "Studio: Ana & Leo"`,
}

// addHelp gives each command its examples, and the program the command help.
func addHelp(app *cli.App, stdout io.Writer) {
	show := func(name string) string { return "Examples:\n" + examples[name] }
	app.Description = show("")
	for _, c := range app.Commands {
		if examples[c.Name] != "" {
			c.Description = show(c.Name)
		}
	}
	app.Flags = append(app.Flags, cli.HelpFlag) // the library adds it where there is no command of that name
	app.Commands = append(app.Commands, &cli.Command{
		Name:         "help",
		Usage:        "the most important, or all about one command",
		ArgsUsage:    "[COMMAND]",
		OnUsageError: app.OnUsageError,
		Action: func(c *cli.Context) error {
			switch {
			case c.NArg() == 0:
				fmt.Fprint(stdout, shortHelp)
				return nil
			case app.Command(c.Args().First()) == nil:
				var names []string
				for _, command := range app.VisibleCommands() {
					names = append(names, command.Name)
				}
				return fail(exitUsage, "there is no command %s: there are %s", c.Args().First(), strings.Join(names, ", "))
			}
			return app.Run([]string{app.Name, c.Args().First(), "--help"})
		},
	})
}

// plainHelp leaves out of the help that what is off is off.
func plainHelp(flags []cli.Flag) []cli.Flag {
	for _, f := range flags {
		switch f := f.(type) {
		case *cli.BoolFlag:
			f.DisableDefaultText = f.DefaultText == ""
		case *cli.DurationFlag:
			if f.Value == 0 && f.DefaultText == "" {
				f.DefaultText = "none"
			}
		}
	}
	return flags
}
