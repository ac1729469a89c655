package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/urfave/cli/v2"
	"github.com/urfave/cli/v2/altsrc"
	"gopkg.in/yaml.v3"

	"icepush/control"
)

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 1 << 20

// setting is what a configuration file says of one key.
type setting struct {
	value any        // bool, string, a number, a list, a section, or what else was written
	line  func() int // where; 0 when that is not known
}

// section is a table of a configuration file.
type section map[string]setting

// byLine returns the keys in the order they are written in.
func (s section) byLine() []string {
	return slices.SortedFunc(maps.Keys(s), func(a, b string) int {
		return cmp.Or(s[a].line()-s[b].line(), strings.Compare(a, b))
	})
}

// configFile is a configuration file: keys are the names of flags.
type configFile struct {
	name  string
	all   section // what holds for all
	shows section // sections by their names, which add to that
	bare  bool    // others may read it, and a password is in it
}

// readConfig reads a configuration file. Of its keys nothing is known yet.
func readConfig(name string) (*configFile, error) {
	parse := parseTOML
	switch strings.ToLower(filepath.Ext(name)) {
	case ".toml":
	case ".yaml", ".yml":
		parse = parseYAML
	default:
		return nil, fail(exitConfig, "%s: a configuration is TOML or YAML, and its name ends in .toml, .yaml or .yml", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fail(exitConfig, "%w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, fail(exitConfig, "%w", err)
	}
	if len(text) > maxConfig {
		return nil, fail(exitConfig, "%s: it has more than %d bytes", name, maxConfig)
	}
	cf := &configFile{name: name}
	if cf.all, err = parse(text); err != nil {
		return nil, fail(exitConfig, "%s: %w", name, err)
	}
	if shows, ok := cf.all["show"]; ok {
		if cf.shows, ok = shows.value.(section); !ok {
			return nil, cf.wrong(shows, `"show" is to be a table of shows, as in [show.evening]`)
		}
		delete(cf.all, "show")
	}
	info, err := f.Stat()
	cf.bare = err == nil && info.Mode().Perm()&0o004 != 0 && runtime.GOOS != "windows" && (cf.all.secret() || cf.shows.secret())
	return cf, nil
}

// parseTOML returns the keys of a TOML text. Errors have lines.
func parseTOML(text []byte) (section, error) {
	var top map[string]toml.Primitive
	md, err := toml.Decode(string(text), &top)
	var pe toml.ParseError
	if errors.As(err, &pe) {
		return nil, fmt.Errorf("line %d: %s", pe.Position.Line, pe.Message)
	}
	if err != nil {
		return nil, err
	}
	return tomlSection(&md, top), nil
}

func tomlSection(md *toml.MetaData, keys map[string]toml.Primitive) section {
	s := section{}
	for key, p := range keys {
		v := setting{line: func() int { return tomlLine(md, p) }}
		var table map[string]toml.Primitive
		md.PrimitiveDecode(p, &v.value) // anything can be any
		if _, ok := v.value.(map[string]any); ok && md.PrimitiveDecode(p, &table) == nil {
			v.value = tomlSection(md, table)
		}
		s[key] = v
	}
	return s
}

// tomlLine returns the line of a value. Of the parser's positions only errors tell.
func tomlLine(md *toml.MetaData, p toml.Primitive) int {
	var pe toml.ParseError
	errors.As(md.PrimitiveDecode(p, new(refuser)), &pe)
	return pe.Position.Line
}

// refuser is a value that no TOML fits.
type refuser struct{}

func (*refuser) UnmarshalTOML(any) error { return errors.ErrUnsupported }

// parseYAML returns the keys of a YAML text. Errors have lines.
func parseYAML(text []byte) (section, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 { // nothing but comments
		return section{}, nil
	}
	v, err := yamlValue(doc.Content[0], 3)
	if err != nil {
		return nil, err
	}
	s, ok := v.(section)
	if !ok {
		return nil, fmt.Errorf("line %d: it is to be keys and values, as in mount: /live", doc.Content[0].Line)
	}
	return s, nil
}

// yamlValue returns the value of a node, in which tables are sections down to a depth.
func yamlValue(n *yaml.Node, depth int) (any, error) {
	at := n.Line
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode || depth == 0 {
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, fmt.Errorf("line %d: this cannot be read", at) // the error may quote what is there
		}
		return v, nil
	}
	s := section{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, line := n.Content[i].Value, n.Content[i].Line
		if first, ok := s[key]; ok {
			return nil, fmt.Errorf("line %d: %q was said in line %d already", line, key, first.line())
		}
		v, err := yamlValue(n.Content[i+1], depth-1)
		if err != nil {
			return nil, err
		}
		s[key] = setting{v, func() int { return line }}
	}
	return s, nil
}

// secret reports whether a password is in a section.
func (s section) secret() bool {
	for _, v := range s {
		if sub, ok := v.value.(section); ok && sub.secret() {
			return true
		}
		if text := fmt.Sprint(v.value); masked(text) != text {
			return true
		}
	}
	return false
}

// masked returns text without the passwords of the URLs in it. What may be one is left out,
// too: a password may have been written with a / or an @ in it.
func masked(text string) string {
	words := strings.Split(text, " ")
	for i, word := range words {
		scheme, rest, ok := strings.Cut(word, "://")
		at := strings.LastIndexByte(rest, '@')
		if !ok || at < 0 {
			continue
		}
		user, _, hasPassword := strings.Cut(rest[:at], ":")
		switch {
		case hasPassword:
			words[i] = scheme + "://" + user + ":***" + rest[at:]
		case strings.HasSuffix(scheme, "nats"), strings.HasSuffix(scheme, "tls"): // it may be a token
			words[i] = scheme + "://***" + rest[at:]
		}
	}
	return strings.Join(words, " ")
}

// wrong returns an error that says where.
func (f *configFile) wrong(s setting, format string, args ...any) error {
	return fail(exitConfig, "%s: %s", f.at(s, ": line "), fmt.Sprintf(format, args...))
}

// at says where a setting is.
func (f *configFile) at(s setting, sep string) string {
	if line := s.line(); line > 0 {
		return fmt.Sprintf("%s%s%d", f.name, sep, line)
	}
	return f.name
}

// configCommands are the commands a show can be of.
var configCommands = []string{"push", "serve", "nowplaying"}

// show returns the section of a show; that of no show is empty.
func (f *configFile) show(name string) (section, error) {
	if name == "" {
		return nil, nil
	}
	v, ok := f.shows[name]
	if !ok {
		has := "it has none"
		if len(f.shows) > 0 {
			has = "it has " + strings.Join(f.shows.byLine(), ", ")
		}
		return nil, fail(exitConfig, "%s: there is no show %q; %s", f.name, name, has)
	}
	s, ok := v.value.(section)
	if !ok {
		return nil, f.wrong(v, "the show %q is to be a table, as [show.%s]", name, name)
	}
	return s, nil
}

// command returns the command of a show, or of what holds for all, and whether the file
// says so.
func (f *configFile) command(show section) (string, bool, error) {
	for _, s := range []section{show, f.all} {
		v, ok := s["command"]
		if !ok {
			continue
		}
		name, _ := v.value.(string)
		if !slices.Contains(configCommands, name) {
			return "", false, f.wrong(v, "command is to be one of %s", strings.Join(configCommands, ", "))
		}
		return name, true, nil
	}
	return "push", false, nil
}

// check returns an error for the first key of a section that a command does not have; for
// no command, that none has.
func (f *configFile) check(s section, command string) error {
	flags := anyFlags()
	if command != "" {
		flags = commandFlags(command)
	}
	known := append(slices.Clone(flags), &cli.StringFlag{Name: "inputs"}, &cli.StringFlag{Name: "command"}, &cli.StringFlag{Name: "show"})
	for _, key := range s.byLine() {
		if key == "inputs" || key == "command" || slices.ContainsFunc(flags, func(o cli.Flag) bool { return o.Names()[0] == key }) {
			continue
		}
		if slices.ContainsFunc(anyFlags(), func(o cli.Flag) bool { return o.Names()[0] == key }) {
			return f.wrong(s[key], "a show that is one of %s has no %q", command, key)
		}
		return f.wrong(s[key], "there is no flag %q%s", key, suggestion(known, key))
	}
	return nil
}

// suggestion returns what was meant by a name, for the end of a sentence.
func suggestion(flags []cli.Flag, name string) string {
	meant := strings.TrimLeft(cli.SuggestFlag(flags, name, true), "-")
	if meant == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", meant)
}

// alternatives are flags that exclude each other: what is said nearer to the command leaves
// out what is said farther away.
var alternatives = [][][]string{
	{{"to"}, {"server", "mount"}},
	{{"title"}, {"title-file"}, {"no-title"}},
	{{"end-at"}, {"for"}},
	{{"loop"}, {"once"}},
	{{"quiet"}, {"verbose"}},
}

// leftOut reports whether a flag is left out because of one that is said nearer.
func leftOut(name string, nearer func(string) bool) bool {
	for _, group := range alternatives {
		mine := slices.IndexFunc(group, func(names []string) bool { return slices.Contains(names, name) })
		for i, names := range group {
			if mine >= 0 && i != mine && slices.ContainsFunc(names, nearer) {
				return true
			}
		}
	}
	return false
}

// path returns the path of a file that is named in the configuration: it is relative to the
// folder of that.
func (f *configFile) path(name string) string {
	if name == "" || name == "-" || filepath.IsAbs(name) || strings.Contains(name, "://") {
		return name
	}
	return filepath.Join(filepath.Dir(f.name), name)
}

// fit returns a value as altsrc wants it for a flag.
func (f *configFile) fit(flag cli.Flag, s setting) (any, error) {
	name := flag.Names()[0]
	want := ""
	switch flag.(type) {
	case *altsrc.BoolFlag:
		if v, ok := s.value.(bool); ok {
			return v, nil
		}
		want = "true or false"
	case *altsrc.StringFlag:
		if v, ok := s.value.(string); ok {
			return f.place(flag, v), nil
		}
		want = "a text, in quotes"
	case *altsrc.DurationFlag:
		text, _ := s.value.(string)
		if v, err := time.ParseDuration(text); err == nil {
			return v, nil
		}
		want = `a time as "1h30m", in quotes`
	case *altsrc.IntFlag:
		if v, ok := whole(s.value); ok && v >= math.MinInt32 && v <= math.MaxInt32 {
			return int(v), nil
		}
		want = "a whole number"
	case *altsrc.Uint64Flag:
		if v, ok := whole(s.value); ok && v >= 0 {
			return uint64(v), nil
		}
		want = "a whole number, from 0"
	case *altsrc.StringSliceFlag:
		list, ok := texts(s.value)
		if ok {
			all := make([]any, len(list))
			for i, v := range list {
				all[i] = f.place(flag, v)
			}
			return all, nil
		}
		want = "a list of texts"
	}
	return nil, f.wrong(s, "%s is to be %s", name, want)
}

// whole returns a number without a fraction.
func whole(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	}
	return 0, false
}

// texts returns a list of texts; one alone is a list, too.
func texts(v any) (out []string, ok bool) {
	if text, ok := v.(string); ok {
		return []string{text}, true
	}
	list, ok := v.([]any)
	for _, v := range list {
		text, isText := v.(string)
		ok = ok && isText
		out = append(out, text)
	}
	return out, ok
}

// place returns a value of a flag in which files are named as seen from here.
func (f *configFile) place(flag cli.Flag, value string) string {
	usage := ""
	if d, ok := flag.(cli.DocGenerationFlag); ok {
		usage = d.GetUsage()
	}
	name := flag.Names()[0]
	_, list := flag.(*altsrc.StringSliceFlag)
	where, input, own := strings.Cut(value, "=")
	switch {
	case strings.Contains(usage, "`FILE`"),
		name == "fill" && value != "silence" && value != "none",
		name == "control" && control.IsPath(value):
		return f.path(value)
	case name == "mount" && list && own: // of serve
		return where + "=" + f.path(input)
	}
	return value
}
