package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestConfigTypes shows which values flags take, in both languages.
func TestConfigTypes(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct{ toml, yaml, want string }{
		{`loop = true`, `loop: true`, "true"},
		{`loop = false`, `loop: false`, "false"},
		{`loop = "true"`, `loop: "true"`, "line 1: loop is to be true or false"},
		{`lead = "1m30s"`, `lead: 1m30s`, "1m30s"},
		{`lead = 1`, `lead: 1`, `line 1: lead is to be a time as "1h30m", in quotes`},
		{`bitrate = 128`, `bitrate: 128`, "128"},
		{`bitrate = 9223372036854775807`, `bitrate: 9223372036854775807`, "line 1: bitrate is to be a whole number"},
		{`bitrate = 1.5`, `bitrate: 1.5`, "line 1: bitrate is to be a whole number"},
		{`seed = 4294967296`, `seed: 4294967296`, "4294967296"},
		{`seed = -1`, `seed: -1`, "line 1: seed is to be a whole number, from 0"},
		{`name = ""`, `name: ""`, ""},
		{`name = 1984`, `name: 1984`, "line 1: name is to be a text, in quotes"},
		{`start-at = "20:00"`, `start-at: 20:00`, "20:00"},
		{`start-at = 20:00:00`, `start-at: 2026-11-21`, "line 1: start-at is to be a text, in quotes"},
		{`to = "http://a/b"`, `to: http://a/b`, "[http://a/b]"},
		{`to = ["http://a/b,c", "x"]`, "to:\n  - http://a/b,c\n  - x", "[http://a/b,c x]"},
		{`to = []`, `to: []`, "[]"},
		{`to = ["a", 1]`, `to: [a, 1]`, "line 1: to is to be a list of texts"},
		{`lead = {a = 1}`, `lead: {a: 1}`, `line 1: lead is to be a time as "1h30m", in quotes`},
		{`ca = "my.pem"`, `ca: my.pem`, filepath.Join(dir, "my.pem")},
		{`ca = "/my.pem"`, `ca: /my.pem`, "/my.pem"},
		{`fill = "Jingles"`, `fill: Jingles`, filepath.Join(dir, "Jingles")},
		{`fill = "none"`, `fill: none`, "none"},
		{`control = "x.sock"`, `control: x.sock`, filepath.Join(dir, "x.sock")},
		{`control = "off"`, `control: "off"`, "off"},
		{`config = "x"`, `config: x`, `line 1: there is no flag "config"; did you mean `},
		{`show = 1`, `show: 1`, `line 1: "show" is to be a table of shows, as in [show.evening]`},
		{`command = "fly"`, `command: fly`, "line 1: command is to be one of push, serve, nowplaying"},
		{`inputs = [1]`, `inputs: [1]`, "line 1: inputs is to be a list of texts"},
		{`inputs`, `- a`, "line 1: "},
		{``, ``, ""},
	} {
		for ending, text := range map[string]string{".toml": test.toml, ".yaml": test.yaml} {
			name := filepath.Join(dir, "c"+ending)
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			key := strings.TrimRight(strings.SplitN(text+" ", " ", 2)[0], ":\n")
			got := ""
			app := newApp(new(bytes.Buffer), new(bytes.Buffer))
			app.Action = configured(app.Flags, func(c *cli.Context) error {
				got = fmt.Sprint(c.Value(key))
				if list, ok := c.Value(key).(cli.StringSlice); ok {
					got = fmt.Sprint(list.Value())
				}
				if text == "" {
					got = ""
				}
				return nil
			})
			if err := runApp(app, []string{"icepush", "--config", name}); err != nil {
				got = strings.TrimPrefix(err.Error(), name+": ")
			}
			if got != test.want && (!strings.HasSuffix(test.want, " ") || !strings.HasPrefix(got, test.want)) {
				t.Errorf("%s: %s, want %s", text, got, test.want)
			}
		}
	}
}

// TestConfigBounds shows what is too much.
func TestConfigBounds(t *testing.T) {
	name := filepath.Join(t.TempDir(), "c.yaml")
	for text, want := range map[string]string{
		strings.Repeat("#", maxConfig):             "",
		strings.Repeat("#", maxConfig+1):           "more than 1048576 bytes",
		"a: " + strings.Repeat("[", 20_000):        "depth",
		"show: &a {b: *a}":                         "line 1: this cannot be read",
		"to: &a [*a]":                              "line 1: this cannot be read",
		"a: &a [1]\nb: [*a, *a]\nshow: {x: {y: 1}": "line ",
	} {
		os.WriteFile(name, []byte(text), 0o600)
		if _, err := readConfig(name); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", text, err, want)
		}
	}
}

// TestConfigSecrets shows what is masked, and when others may read it.
func TestConfigSecrets(t *testing.T) {
	for in, want := range map[string]string{
		"icecast://source:hackme@h:8000/live": "icecast://source:***@h:8000/live",
		"icecast://source:ha/ck@me@h/live":    "icecast://source:***@h/live",
		"http://u:p@a/b http://u:q@c/d":       "http://u:***@a/b http://u:***@c/d",
		"/live=http://u:p@a/b":                "/live=http://u:***@a/b",
		"nats://token@h":                      "nats://***@h",
		"icecast://source@h/live":             "icecast://source@h/live",
		"http://h/a@b":                        "http://h/a@b",
		"me@home: what is played":             "me@home: what is played",
		"icecast://:hackme@h/live":            "icecast://:***@h/live",
	} {
		if got := masked(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	name := filepath.Join(t.TempDir(), "c.toml")
	os.WriteFile(name, []byte("[show.a]\nto = ['http://h/x', 'http://u:p@h/y']"), 0o600)
	for mode, bare := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		os.Chmod(name, mode)
		if f, err := readConfig(name); err != nil || f.bare != bare {
			t.Errorf("%v: %v, %v", mode, f, err)
		}
	}
}

// TestConfigFlags shows that each flag that has a twin in the environment can be in a file,
// and that no key means two kinds of value but mount, which takes a text or a list.
func TestConfigFlags(t *testing.T) {
	app := newApp(nil, nil)
	kinds := map[string]map[string]bool{}
	for _, c := range append(app.Commands, &cli.Command{Name: "push", Flags: app.Flags}) {
		if slices.Contains([]string{"run", "config", "ctl", "probe"}, c.Name) {
			continue
		}
		for _, f := range c.Flags {
			name, kind := f.Names()[0], fmt.Sprintf("%T", f)
			if kinds[name] == nil {
				kinds[name] = map[string]bool{}
			}
			kinds[name][kind] = true
			if d := f.(cli.DocGenerationFlag); !strings.HasPrefix(kind, "*altsrc.") && len(d.GetEnvVars()) > 0 && name != "config" && name != "show" {
				t.Errorf("%s --%s is a %s", c.Name, name, kind)
			}
		}
	}
	for name, k := range kinds {
		if len(k) > 1 && name != "mount" {
			t.Errorf("--%s: %v", name, slices.Sorted(maps.Keys(k)))
		}
	}
}

// TestConfigDocs looks whether the example of docs/config.md is right.
func TestConfigDocs(t *testing.T) {
	b, err := os.ReadFile("docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, language := range []string{"toml", "yaml"} {
		_, text, _ := strings.Cut(string(b), "```"+language+"\n")
		text, _, _ = strings.Cut(text, "```")
		name := filepath.Join(t.TempDir(), "icepush."+language)
		os.WriteFile(name, []byte(text), 0o600)
		var out bytes.Buffer
		if err := runApp(newApp(&out, &out), []string{"icepush", "run", "--config", name}); err != nil || !strings.Contains(out.String(), "morning  push") {
			t.Errorf("%s: %v\n%s", language, err, &out)
		}
	}
}
