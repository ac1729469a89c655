package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/urfave/cli/v2/altsrc"
)

// configFlag is --config. It keeps the set of its command's flags: of the arguments in it
// those of a configuration file take the place.
type configFlag struct {
	*cli.StringFlag
	set *flag.FlagSet
}

// Apply is of cli.Flag.
func (f *configFlag) Apply(set *flag.FlagSet) error {
	f.set = set
	return f.StringFlag.Apply(set)
}

// newConfigFlags returns --config and --show.
func newConfigFlags() []cli.Flag {
	const category = "configuration"
	return []cli.Flag{
		&configFlag{StringFlag: &cli.StringFlag{Category: category, Name: "config", EnvVars: []string{"ICEPUSH_CONFIG"}, Usage: "`FILE` that says what no flag and no variable says, TOML or YAML"}},
		&cli.StringFlag{Category: category, Name: "show", EnvVars: []string{"ICEPUSH_SHOW"}, Usage: "the show of this `NAME` in the file"},
	}
}

// filed returns the flags of a command that a configuration file may hold, and those that
// name it.
func filed(flags []cli.Flag) []cli.Flag {
	var out []cli.Flag
	for _, f := range plainHelp(flags) {
		switch flag := f.(type) {
		case *cli.BoolFlag:
			f = altsrc.NewBoolFlag(flag)
		case *cli.StringFlag:
			f = altsrc.NewStringFlag(flag)
		case *cli.DurationFlag:
			f = altsrc.NewDurationFlag(flag)
		case *cli.IntFlag:
			f = altsrc.NewIntFlag(flag)
		case *cli.Uint64Flag:
			f = altsrc.NewUint64Flag(flag)
		case *cli.StringSliceFlag:
			f = altsrc.NewStringSliceFlag(flag)
		}
		out = append(out, f)
	}
	return append(out, newConfigFlags()...)
}

// commandFlags are the flags of the commands of shows.
func commandFlags(command string) []cli.Flag {
	switch command {
	case "serve":
		return serveFlags()
	case "nowplaying":
		return watchFlags()
	}
	return pushFlags()
}

// anyFlags are the flags that a configuration file may have for all.
func anyFlags() []cli.Flag {
	return slices.Concat(pushFlags(), serveFlags(), watchFlags(), demoFlags(), checkFlags(), planFlags())
}

// inForce is what a configuration file says for one command.
type inForce struct {
	file   *configFile // nil for none
	given  []string    // the flags of the command line
	values section     // what counts of the file
	inputs string      // where they are from
}

// inForceKey is where an inForce is in the metadata of an app.
const inForceKey = "in force"

// configured returns an action that has the flags of its command, and what the file that
// --config names says of the others.
func configured(flags []cli.Flag, action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		var set *flag.FlagSet
		for _, f := range flags {
			if f, ok := f.(*configFlag); ok {
				set = f.set
			}
		}
		in := &inForce{inputs: "default"}
		set.Visit(func(f *flag.Flag) { in.given = append(in.given, f.Name) })
		if c.NArg() > 0 {
			in.inputs = "arguments"
		}
		if c.String("config") != "" || c.String("show") != "" {
			if err := in.read(c, flags, set); err != nil {
				return err
			}
		}
		c.App.Metadata[inForceKey] = in
		return action(c)
	}
}

// read reads the file, and applies it to a command's flags and arguments.
func (in *inForce) read(c *cli.Context, flags []cli.Flag, set *flag.FlagSet) error {
	f, show, err := openConfig(c, c.String("show"))
	if err != nil {
		return err
	}
	in.file = f
	running := c.Command.Name
	if running == c.App.Name {
		running = "push"
	}
	command, said, err := f.command(show)
	if err != nil {
		return err
	}
	if slices.Contains(configCommands, running) {
		if _, own := show["command"]; own && said && command != running {
			return f.wrong(show["command"], "this show is one of %s; icepush run %s plays it", command, c.String("show"))
		}
		command = running
	}
	if err := f.check(f.all, ""); err != nil {
		return err
	}
	if err := f.check(show, command); err != nil {
		return err
	}

	in.values = section{}
	values := map[any]any{}
	nearer := c.IsSet
	for _, s := range []section{show, f.all} {
		said := section{}
		for _, flag := range flags {
			name := flag.Names()[0]
			v, ok := s[name]
			if _, taken := in.values[name]; !ok || taken || nearer(name) || leftOut(name, nearer) {
				continue
			}
			if values[name], err = f.fit(flag, v); err != nil {
				return err
			}
			said[name] = v
		}
		for name, v := range said {
			in.values[name] = v
		}
		nearer = func(name string) bool { _, ok := in.values[name]; return ok || c.IsSet(name) }
	}
	if err := altsrc.ApplyInputSourceValues(c, altsrc.NewMapInputSource(f.name, values), flags); err != nil {
		return fail(exitConfig, "%s: %w", f.name, err)
	}
	if c.NArg() > 0 || running == "demo" {
		return nil
	}
	for _, s := range []section{show, f.all} {
		v, ok := s["inputs"]
		if !ok {
			continue
		}
		inputs, ok := texts(v.value)
		if !ok {
			return f.wrong(v, "inputs is to be a list of texts")
		}
		if running != "nowplaying" { // those are servers
			for i := range inputs {
				inputs[i] = f.path(inputs[i])
			}
		}
		in.inputs = f.at(v, ":")
		return set.Parse(append([]string{"--"}, inputs...))
	}
	return nil
}

// inForceOf returns what a configuration file says for a command, which may be nothing.
func inForceOf(c *cli.Context) *inForce {
	if in, ok := c.App.Metadata[inForceKey].(*inForce); ok {
		return in
	}
	return &inForce{}
}

// fromFile reports whether a flag's value is that of a configuration file.
func fromFile(c *cli.Context, flag string) bool {
	_, ok := inForceOf(c).values[flag]
	return ok
}

// configWarning says that a configuration file tells others a password, if it does.
func configWarning(c *cli.Context) string {
	f := inForceOf(c).file
	if f == nil || !f.bare {
		return ""
	}
	return fmt.Sprintf("a password is in %s, which others on this machine may read: chmod o-r keeps it to yourself", f.name)
}

// openConfig reads the configuration file that --config names, or the first of those there
// are, and finds a show in it.
func openConfig(c *cli.Context, show string) (*configFile, section, error) {
	name := c.String("config")
	if name == "" {
		var err error
		if name, err = findConfig(); err != nil {
			return nil, nil, err
		}
	}
	f, err := readConfig(name)
	if err != nil {
		return nil, nil, err
	}
	s, err := f.show(show)
	return f, s, err
}

// findConfig returns the first configuration file there is where one may be.
func findConfig() (string, error) {
	folders := []string{""}
	if dir, err := os.UserConfigDir(); err == nil {
		folders = append(folders, filepath.Join(dir, "icepush"))
	}
	folders = append(folders, "/etc/icepush")
	var looked []string
	for _, folder := range folders {
		for _, ending := range []string{".toml", ".yaml"} {
			name := filepath.Join(folder, "icepush"+ending)
			if _, err := os.Stat(name); err == nil {
				return name, nil
			}
			looked = append(looked, name)
		}
	}
	return "", fail(exitConfig, "there is no configuration file: --config names one; without, it is the first of %s", strings.Join(looked, ", "))
}

// runFlags are those of run: of all commands that a show can be of.
func runFlags() (flags []cli.Flag) {
	for _, f := range slices.Concat(pushFlags(), serveFlags(), watchFlags()) {
		if !slices.ContainsFunc(flags, func(o cli.Flag) bool { return o.Names()[0] == f.Names()[0] }) {
			flags = append(flags, f)
		}
	}
	return append(plainHelp(flags), newConfigFlags()[:1]...)
}

const runUsage = `icepush run SHOW [--config FILE] [flags] [INPUT...]

Plays a show of the configuration file. Without --config that is the first there is of
icepush.toml here, in the folder icepush of your configuration (~/.config), and in
/etc/icepush; or icepush.yaml there. Flags are those of the show's command, a push if
it does not say: icepush --help, icepush serve --help. They beat the environment, which beats
the file. Without a SHOW it names those there are.
`

const configUsage = `icepush config [SHOW] [--config FILE] [--json] [flags] [INPUT...]

Says what would be in force if icepush run played the show, or icepush --config FILE: each flag
with its value, and where that comes from. The file is found as run finds it.
`

// args returns the command line of a show: its command's, with the flags and inputs there
// were for run. words is the sorted command line of run.
func (f *configFile) args(show string, s section, words []string, inputs []string) ([]string, string, error) {
	command, _, err := f.command(s)
	if err != nil {
		return nil, "", err
	}
	args := []string{words[0]}
	if command != "push" {
		args = append(args, command)
	}
	args = append(args, "--config="+f.name)
	if show != "" {
		args = append(args, "--show="+show)
	}
	args = append(args, words[2:]...)
	return append(append(args, "--"), inputs...), command, nil
}

// wordsKey is where the sorted command line is in the metadata of an app.
const wordsKey = "words"

// givenFlags returns the sorted command line without its arguments.
func givenFlags(c *cli.Context) []string {
	words := c.App.Metadata[wordsKey].([]string)
	return words[:len(words)-c.NArg()-1]
}

// runAction plays a show of a configuration file, or names those there are.
func runAction(c *cli.Context, stdout, stderr io.Writer) error {
	name := c.Args().First()
	f, s, err := openConfig(c, name)
	if err != nil {
		return err
	}
	if name == "" {
		return f.list(stdout)
	}
	args, _, err := f.args(name, s, givenFlags(c), c.Args().Tail())
	if err != nil {
		return err
	}
	return runApp(newApp(stdout, stderr), args)
}

// list checks the whole file, and names its shows.
func (f *configFile) list(stdout io.Writer) error {
	if err := f.checkAll(); err != nil {
		return err
	}
	if len(f.shows) == 0 {
		return fail(exitConfig, "%s: it has no shows; icepush --config %s plays what it says", f.name, f.name)
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, name := range f.shows.byLine() {
		s, _ := f.show(name)
		command, _, _ := f.command(s)
		inputs, ok := texts(s["inputs"].value)
		if !ok {
			inputs, _ = texts(f.all["inputs"].value)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", printable(name), command, printable(masked(strings.Join(inputs, " "))))
	}
	return w.Flush()
}

// checkAll looks at what all shows say.
func (f *configFile) checkAll() error {
	if err := f.check(f.all, ""); err != nil {
		return err
	}
	for _, name := range f.shows.byLine() {
		s, err := f.show(name)
		if err != nil {
			return err
		}
		command, _, err := f.command(s)
		if err != nil {
			return err
		}
		if err := f.check(s, command); err != nil {
			return err
		}
		for _, flag := range filed(commandFlags(command)) {
			if v, ok := s[flag.Names()[0]]; ok {
				if _, err := f.fit(flag, v); err != nil {
					return err
				}
			}
		}
		if v, ok := s["inputs"]; ok {
			if _, ok := texts(v.value); !ok {
				return f.wrong(v, "inputs is to be a list of texts")
			}
		}
	}
	return nil
}

// configAction prints what is in force.
func configAction(c *cli.Context, stdout, stderr io.Writer) error {
	name := c.Args().First()
	f, s, err := openConfig(c, name)
	if err != nil {
		return err
	}
	if err := f.checkAll(); err != nil {
		return err
	}
	args, command, err := f.args(name, s, givenFlags(c), c.Args().Tail())
	if err != nil {
		return err
	}
	app := newApp(stdout, stderr)
	json := &cli.BoolFlag{Name: "json", Hidden: true}
	if command == "push" {
		app.Flags = append(app.Flags, json)
		app.Action = configured(app.Flags, func(c *cli.Context) error { return printForce(c, command, stdout, stderr) })
	}
	for _, sub := range app.Commands {
		if sub.Name == command {
			sub.Flags = append(sub.Flags, json)
			sub.Action = configured(sub.Flags, func(c *cli.Context) error { return printForce(c, command, stdout, stderr) })
		}
	}
	return runApp(app, args)
}

// force is a flag in force.
type force struct {
	Name   string `json:"name"`
	Value  any    `json:"value"`
	Source string `json:"source"`
	shown  string
}

// secretVars are variables that stand for what is in a file that a flag names.
var secretVars = map[string][]string{
	"password-file":        {"ICEPUSH_PASSWORD", "ICECAST_SOURCE_PASSWORD"},
	"source-password-file": {"ICEPUSH_SOURCE_PASSWORD"},
	"control-token-file":   {"ICEPUSH_CONTROL_TOKEN"},
}

// printForce prints each flag with its value and where that comes from, in the order of
// --help.
func printForce(c *cli.Context, command string, stdout, stderr io.Writer) error {
	in := inForceOf(c)
	inputs := []string{}
	for _, input := range c.Args().Slice() {
		inputs = append(inputs, masked(input))
	}
	all := []force{{"inputs", inputs, in.inputs, printable(strings.Join(inputs, " "))}}
	for _, category := range c.Command.VisibleFlagCategories() {
		for _, f := range category.Flags() {
			name := f.Names()[0]
			if slices.Contains([]string{"help", "version", "config", "show"}, name) {
				continue
			}
			one := force{Name: name, Source: in.source(f)}
			one.Value, one.shown = shownValue(c, f, one.Source)
			all = append(all, one)
			for _, variable := range secretVars[name] {
				if os.Getenv(variable) != "" {
					all = append(all, force{strings.TrimSuffix(name, "-file"), "***", variable, "***"})
				}
			}
		}
	}
	if w := configWarning(c); w != "" {
		fmt.Fprintf(stderr, "icepush: %s\n", w)
	}
	if c.Bool("json") {
		return json.NewEncoder(stdout).Encode(struct {
			Version int     `json:"version"`
			File    string  `json:"file"`
			Show    string  `json:"show,omitempty"`
			Command string  `json:"command"`
			Flags   []force `json:"flags"`
		}{1, in.file.name, c.String("show"), command, all})
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, one := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\n", one.Name, one.shown, one.Source)
	}
	return w.Flush()
}

// source says where the value of a flag comes from.
func (in *inForce) source(f cli.Flag) string {
	name := f.Names()[0]
	if slices.Contains(in.given, name) {
		return "flag"
	}
	if d, ok := f.(cli.DocGenerationFlag); ok {
		for _, variable := range d.GetEnvVars() {
			if _, ok := os.LookupEnv(variable); ok {
				return variable
			}
		}
	}
	if v, ok := in.values[name]; ok {
		return in.file.at(v, ":")
	}
	return "default"
}

// shownValue returns the value of a flag for machines and for people, without passwords.
func shownValue(c *cli.Context, f cli.Flag, source string) (any, string) {
	name := f.Names()[0]
	var value any
	switch v := c.Value(name).(type) {
	case cli.StringSlice:
		list := []string{}
		for _, text := range v.Value() {
			list = append(list, masked(text))
		}
		value = list
	case time.Duration:
		value = v.String()
	case string:
		value = masked(v)
	default:
		value = v
	}
	shown := fmt.Sprint(value)
	if list, ok := value.([]string); ok {
		shown = strings.Join(list, " ")
	}
	if d, ok := f.(cli.DocGenerationFlag); ok && source == "default" && (shown == "" || shown == "0" || shown == "0s" || shown == "false") && d.GetDefaultText() != "" && d.GetDefaultText() != `""` {
		if text := strings.Trim(d.GetDefaultText(), `"`); text != shown {
			shown = "(" + text + ")"
		}
	}
	return value, printable(shown)
}
