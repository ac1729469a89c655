package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLinks follows the links between the pages of the manual.
func TestLinks(t *testing.T) {
	pages, _ := filepath.Glob("docs/*.md")
	link := regexp.MustCompile(`\]\(([^)#: ]+)(#[^)]*)?\)`)
	for _, page := range append(pages, "README.md", "CONTRIBUTING.md") {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// TestTroubleshooting looks whether what the manual explains is said anywhere.
func TestTroubleshooting(t *testing.T) {
	b, err := os.ReadFile("docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	files, _ := filepath.Glob("*.go")
	more, _ := filepath.Glob("*/*.go")
	for _, name := range append(files, more...) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	// What servers and the system say stands in no source of ours.
	others := regexp.MustCompile(`^4\d\d|connection refused|address already|no such host|too many sources`)
	quoted := regexp.MustCompile("`([^`]+)`")
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || strings.HasPrefix(line, "|--") {
			continue
		}
		for _, m := range quoted.FindAllStringSubmatch(cells[1], -1) {
			for part := range strings.SplitSeq(m[1], "...") {
				part = strings.Trim(part, " :")
				if len(part) >= 12 && !others.MatchString(part) && !strings.Contains(source.String(), part) {
					t.Errorf("nothing says %q", part)
				}
			}
		}
	}
}
