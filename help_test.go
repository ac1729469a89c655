package main

import (
	"io"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestExamples looks whether each command has an example, with flags that it has.
func TestExamples(t *testing.T) {
	app := newApp(io.Discard, io.Discard)
	commands := append([]*cli.Command{{Name: ""}}, app.Commands...)
	for _, c := range commands {
		if c.Name == "help" || c.Hidden {
			continue
		}
		if examples[c.Name] == "" {
			t.Errorf("%s has no example", c.Name)
		}
		for line := range strings.Lines(examples[c.Name]) {
			_, args, _ := strings.Cut(line, "icepush ")
			words := append([]string{"icepush"}, strings.Fields(args)...)
			if _, err := sortArgs(app, words); err != nil {
				t.Errorf("%s: %v", line, err)
			}
			if c.Name != "" && words[1] != c.Name {
				t.Errorf("this is no example of %s: %s", c.Name, line)
			}
		}
	}
}
