package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/urfave/cli/v2"
)

const genUsage = `icepush gen KIND

Kinds:
  man    the manual page, icepush(1)
  bash   completion for bash
  zsh    completion for zsh
  fish   completion for fish
  flags  all flags, as in docs/flags.md`

// genCommand prints what is made from the definition of the program: what packages have
// beside it.
func genCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:         "gen",
		Usage:        "print the manual page, or completion for a shell",
		UsageText:    genUsage,
		Hidden:       true,
		OnUsageError: func(_ *cli.Context, err error, _ bool) error { return fail(exitUsage, "%w", err) },
		Action: func(c *cli.Context) error {
			kinds := map[string]func(*manual) string{
				"man": (*manual).man, "bash": (*manual).bash, "zsh": (*manual).zsh, "fish": (*manual).fish, "flags": (*manual).flags,
			}
			kind, ok := kinds[c.Args().First()]
			if !ok || c.NArg() != 1 {
				return fail(exitUsage, "gen: name one of %s", strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
			}
			// An app that has not run yet: its defaults are not those of the environment.
			_, err := io.WriteString(stdout, kind(newManual(newApp(io.Discard, io.Discard))))
			return err
		},
	}
}

// manual is what an app says of itself. The templates of completions call its methods, and
// those of topic.
type manual struct {
	Push     topic   // icepush without a command
	Commands []topic // the hidden ones as well
}

// topic is a command.
type topic struct {
	Name     string // "" for icepush itself
	Usage    string
	Synopsis string // how it is called
	Text     string // more, of several lines
	Words    []word // what its first argument may be
	Files    bool   // arguments may be files
	Whole    bool   // Text is all that --help says: it names no flags
	Hidden   bool
	Groups   []flagGroup
}

// word is one of the words an argument may be.
type word struct {
	Name, Usage string
}

// flagGroup is some flags of a command, as --help has them together.
type flagGroup struct {
	Name  string // may be ""
	Flags []option
}

// option is a flag.
type option struct {
	Name, Short string
	Value       string // what it is called in Text, "" for a switch
	Repeat      bool
	Env         string   // "" for none
	Default     string   // "" for none
	Exact       bool     // Default is a value, and not a description of one
	Text        string   // with Value in backquotes
	Words       []string // what it may be
	Files       bool     // it may be a file
}

// flagWords are the words that flags take. FILE stands for files.
var flagWords = map[string]string{
	"control":   "off FILE",
	"end":       "cut track",
	"fill":      "silence none FILE",
	"format":    strings.Join(slices.Sorted(maps.Keys(formatNames)), " "),
	"framing":   "auto identity chunked",
	"log":       "text json",
	"protocol":  "auto put source icy",
	"titles":    "auto inband admin",
	"transcode": "auto never always",
}

// newManual returns what an app says of itself.
func newManual(app *cli.App) *manual {
	m := &manual{Push: newTopic(&cli.Command{
		Usage: app.Usage, UsageText: app.UsageText, Flags: append(slices.Clone(app.Flags), cli.VersionFlag),
	})}
	for _, c := range app.Commands {
		m.Commands = append(m.Commands, newTopic(c))
	}
	for i, t := range m.Commands {
		if strings.Contains(t.Synopsis, "COMMAND") && len(t.Words) == 0 { // it is about one of these
			for _, c := range m.Shown() {
				m.Commands[i].Words = append(m.Commands[i].Words, word{c.Name, c.Usage})
			}
		}
	}
	return m
}

func newTopic(c *cli.Command) topic {
	t := topic{Name: c.Name, Usage: c.Usage, Hidden: c.Hidden}
	t.Synopsis, t.Text, _ = strings.Cut(strings.TrimSpace(c.UsageText+c.CustomHelpTemplate), "\n\n")
	t.Whole = c.CustomHelpTemplate != ""
	if t.Synopsis == "" {
		t.Synopsis = strings.TrimSpace("icepush " + c.Name + " [flags] " + c.ArgsUsage)
	}
	t.Files = strings.Contains(t.Synopsis, "INPUT")
	// Lines such as "  queue FILE...   play files" say what the first argument may be.
	for line := range strings.Lines(t.Text) {
		if name, usage, ok := strings.Cut(strings.TrimPrefix(line, "  "), "  "); ok && strings.HasPrefix(line, "  ") {
			name, rest, _ := strings.Cut(name, " ")
			t.Words = append(t.Words, word{name, strings.TrimSpace(usage)})
			t.Files = t.Files || strings.HasPrefix(rest, "FILE")
		}
	}
	// What the library gives to --help: groups in their order, and flags in theirs; without
	// any group all flags as they come.
	flags := cli.Command{Flags: slices.Clone(c.Flags)}
	if !slices.Contains(flags.Flags, cli.HelpFlag) {
		flags.Flags = append(flags.Flags, cli.HelpFlag)
	}
	for _, category := range flags.VisibleFlagCategories() {
		g := flagGroup{Name: category.Name()}
		for _, f := range category.Flags() {
			g.Flags = append(g.Flags, newOption(f))
		}
		t.Groups = append(t.Groups, g)
	}
	if len(t.Groups) == 0 {
		t.Groups = []flagGroup{{}}
		for _, f := range flags.VisibleFlags() {
			t.Groups[0].Flags = append(t.Groups[0].Flags, newOption(f))
		}
	}
	return t
}

func newOption(flag cli.Flag) option {
	f := flag.(cli.DocGenerationFlag) // as all flags are
	o := option{Name: f.Names()[0], Text: f.GetUsage()}
	for _, name := range f.Names()[1:] {
		if len(name) == 1 {
			o.Short = name
		}
	}
	if env := f.GetEnvVars(); len(env) > 0 {
		o.Env = env[0]
	}
	o.Default = f.GetDefaultText()
	if !f.TakesValue() {
		if o.Default == "false" {
			o.Default = "" // that what is off is off need not be said
		}
		return o
	}
	if s, err := strconv.Unquote(o.Default); err == nil {
		o.Default, o.Exact = s, true
	}
	if o.Value = "VALUE"; strings.Count(o.Text, "`") == 2 {
		o.Value = strings.Split(o.Text, "`")[1]
	}
	if s, ok := f.(cli.DocGenerationSliceFlag); ok {
		o.Repeat = s.IsSliceFlag()
	}
	o.Files = o.Value == "FILE"
	for _, w := range strings.Fields(flagWords[o.Name]) {
		if w == "FILE" {
			o.Files = true
		} else {
			o.Words = append(o.Words, w)
		}
	}
	return o
}

// Flags returns the flags of all groups.
func (t topic) Flags() (flags []option) {
	for _, g := range t.Groups {
		flags = append(flags, g.Flags...)
	}
	return flags
}

// Topics returns icepush itself and its commands.
func (m *manual) Topics() []topic {
	return append([]topic{m.Push}, m.Commands...)
}

// Shown returns the commands that are not hidden.
func (m *manual) Shown() []topic {
	return slices.DeleteFunc(slices.Clone(m.Commands), func(t topic) bool { return t.Hidden })
}

// flags returns docs/flags.md.
func (m *manual) flags() string {
	var b strings.Builder
	b.WriteString(`# Flags

All of them, in the groups of ` + "`--help`" + `. A flag may stand anywhere, and beats its variable in the environment. Written by ` + "`icepush gen flags`" + `; ` + "`go test . -run TestFlags -update`" + ` writes it anew.
`)
	for _, t := range append([]topic{m.Push}, m.Shown()...) {
		fmt.Fprintf(&b, "\n## %s\n\n", strings.TrimSpace("icepush "+t.Name))
		if t.Whole {
			fmt.Fprintf(&b, "    %s\n\n%s\n", t.Synopsis, markdown(t.Text))
			continue
		}
		fmt.Fprintf(&b, "    %s\n\n%s.\n", t.Synopsis, capitalised(t.Usage))
		for _, g := range t.Groups {
			if g.Name != "" {
				fmt.Fprintf(&b, "\n### %s\n", capitalised(g.Name))
			}
			b.WriteString("\n| flag | variable | default | meaning |\n|---|---|---|---|\n")
			for _, o := range g.Flags {
				env, text := "", o.Default
				if o.Env != "" {
					env = "`" + o.Env + "`"
				}
				if o.Exact {
					text = "`" + text + "`"
				} else {
					text = markdown(text)
				}
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", o.heading(), env, text, markdown(o.Text))
			}
		}
	}
	return b.String()
}

// heading is a flag with all its names and its value.
func (o *option) heading() string {
	s := "--" + o.Name
	if o.Short != "" {
		s += ", -" + o.Short
	}
	if o.Value != "" {
		s += " " + o.Value
	}
	return s
}

// markdown returns a text as it has to be written in a table of Markdown.
func markdown(s string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", `\<`).Replace(s)
}

// capitalised returns a text with a capital letter.
func capitalised(s string) string {
	for i, c := range s {
		return string(unicode.ToUpper(c)) + s[i+len(string(c)):]
	}
	return s
}

// brief returns a text for the line of a completion: its first part, without backquotes.
func brief(s string) string {
	s, _, _ = strings.Cut(s, "; ")
	s, _, _ = strings.Cut(s, ": ")
	return strings.ReplaceAll(s, "`", "")
}
