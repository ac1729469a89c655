package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
)

var update = flag.Bool("update", false, "rewrite docs/flags.md")

// testManual is what icepush says of itself.
func testManual() *manual { return newManual(newApp(io.Discard, io.Discard)) }

// TestFlags looks whether docs/flags.md is what the program says.
func TestFlags(t *testing.T) {
	const name = "docs/flags.md"
	got := testManual().flags()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what the program says; go test . -run TestFlags -update writes it anew", name)
	}
}

// TestAllFlags misses no flag of any command, and tells of none twice.
func TestAllFlags(t *testing.T) {
	app := newApp(io.Discard, io.Discard)
	told := newManual(app)
	compare := func(topic topic, flags []cli.Flag, more ...string) {
		var got []string
		for _, o := range topic.Flags() {
			got = append(got, o.Name)
		}
		for _, f := range flags {
			more = append(more, f.Names()[0])
		}
		slices.Sort(got)
		slices.Sort(more)
		if want := slices.Compact(more); !slices.Equal(got, want) {
			t.Errorf("icepush %s: %q, want %q", topic.Name, got, want)
		}
	}
	compare(told.Push, app.Flags, "help", "version")
	for i, c := range app.Commands {
		compare(told.Commands[i], c.Flags, "help")
	}
}

// TestGenEnvironment has the defaults of the program in what is generated, and not those of
// the environment.
func TestGenEnvironment(t *testing.T) {
	t.Setenv("ICEPUSH_TITLES", "admin")
	var out, log bytes.Buffer
	if code := run([]string{"icepush", "gen", "flags"}, &out, &log); code != 0 {
		t.Fatalf("exit code %d: %s", code, &log)
	}
	if out.String() != testManual().flags() || !strings.Contains(out.String(), "| `ICEPUSH_TITLES` | `auto` |") {
		t.Error("the environment shows in the flags")
	}
	if code := run([]string{"icepush", "gen", "fishes"}, &out, &log); code != exitUsage || !strings.Contains(log.String(), "gen: name one of bash, fish, flags, man, zsh") {
		t.Errorf("exit code %d: %s", code, &log)
	}
}

// TestFlagWords compares the words that completions know with those in the calls of choice.
func TestFlagWords(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 3 {
				return true
			}
			f, ok := call.Fun.(*ast.Ident)
			values, isMap := call.Args[2].(*ast.CompositeLit)
			if !ok || f.Name != "choice" || !isMap {
				return true
			}
			found++
			flag, _ := strconv.Unquote(call.Args[1].(*ast.BasicLit).Value)
			var want []string
			for _, e := range values.Elts {
				w, _ := strconv.Unquote(e.(*ast.KeyValueExpr).Key.(*ast.BasicLit).Value)
				want = append(want, w)
			}
			got := slices.DeleteFunc(strings.Fields(flagWords[flag]), func(w string) bool { return w == "FILE" })
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s: --%s is one of %q, and flagWords in gen.go has %q", name, flag, want, got)
			}
			return true
		})
	}
	if found < 5 {
		t.Errorf("%d calls of choice were found", found)
	}
}

// TestFlagKinds holds what the completions rest on: flags of one name are completed in one
// way, whichever command they are of.
func TestFlagKinds(t *testing.T) {
	kind := func(o option) string { return fmt.Sprint(o.Value != "", o.Files, o.Words) }
	seen := map[string]string{}
	for _, topic := range testManual().Topics() {
		for _, o := range topic.Flags() {
			if was, ok := seen[o.Name]; ok && was != kind(o) {
				t.Errorf("%s: --%s is %s, elsewhere %s", topic.Name, o.Name, kind(o), was)
			}
			seen[o.Name] = kind(o)
		}
	}
}

// TestManPage renders the manual page, and compares its exit codes with those of README.md.
func TestManPage(t *testing.T) {
	page := testManual().man()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented, told []string
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllSubmatch(readme, -1) {
		documented = append(documented, string(row[1]))
	}
	for _, e := range exitTexts {
		told = append(told, strconv.Itoa(e.code))
	}
	if !slices.Equal(documented, told) {
		t.Errorf("README.md has the exit codes %q, man.go has %q", documented, told)
	}

	cmd := exec.CommandContext(t.Context(), installed(t, "groff-base", "groff"), "-ww", "-man", "-Tascii", "-P-cbou")
	cmd.Stdin = strings.NewReader(page)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Fatalf("groff: %v: %s", err, &complaints)
	}
	for _, want := range []string{"icepush - put audio on the air", "icepush serve [flags] INPUT...", "--title-format FORMAT", "icepush ctl queue jingle.mp3", "[ICEPUSH_TITLE_FORMAT]", "SEE ALSO"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the page does not have %q", want)
		}
	}
}

// completionCases are what is typed, and what a Tab has to bring. The folder has a.m3u,
// check.mp3 and Music.
var completionCases = []struct {
	line string
	want string
}{
	{"icepush ", "Music a.m3u check check.mp3 config ctl demo help nowplaying plan probe run serve"},
	{"icepush pl", "plan"},
	{"icepush che", "check check.mp3"},
	{"icepush --tit", "--title --title-file --title-format --titles"},
	{"icepush --titles ", "admin auto inband"},
	{"icepush --titles=in", "inband"},
	{"icepush --titles=inband --prot", "--protocol"},
	{"icepush --mount ", ""},
	{"icepush --ca ", "Music a.m3u check.mp3"},
	{"icepush --ca=a", "a.m3u"},
	{"icepush --format m", "mp2 mp3"},
	{"icepush a.m3u --o", "--once"},
	{"icepush a.m3u ch", "check.mp3"},
	{"icepush check --js", "--json"},
	{"icepush check --live", ""},
	{"icepush check a", "a.m3u"},
	{"icepush --to icecast://radio.example:8000/live check --js", "--json"},
	{"icepush --to=icecast://radio.example:8000/live check --js", "--json"},
	{"icepush --title check --liv", "--live"}, // check is a title
	{"icepush probe a", ""},
	{"icepush serve --liste", "--listen"},
	{"icepush ctl s", "skip status stop"},
	{"icepush ctl --af", "--after-track"},
	{"icepush ctl queue a", "a.m3u"},
	{"icepush --fill s", "silence"},
	{"icepush help p", "plan probe"},
	{"icepush gen f", "fish flags"},
	{"icepush gen fish f", ""},
	{"icepush -- --on", ""},
}

// completed compares what a shell has brought, a line each, with what it had to.
func completed(t *testing.T, line, want, got string) {
	t.Helper()
	words := strings.Fields(got)
	for i := range words {
		_, words[i], _ = strings.Cut("="+words[i], "=")
		if _, value, ok := strings.Cut(words[i], "="); ok {
			words[i] = value // fish has the flag before it
		}
		words[i] = strings.TrimSuffix(words[i], "/")
	}
	slices.Sort(words)
	if got := strings.Join(slices.Compact(words), " "); got != want {
		t.Errorf("%q: %q, want %q", line, got, want)
	}
}

// completionFolder returns a folder with the files of completionCases, and the name of a
// file with a completion.
func completionFolder(t *testing.T, completion string) (dir, script string) {
	dir, script = t.TempDir(), filepath.Join(t.TempDir(), "completion")
	for _, name := range []string{"a.m3u", "check.mp3"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "Music"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, []byte(completion), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, script
}

// shell runs a shell, and returns what it prints.
func shell(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "TERM=dumb", "LC_ALL=C.UTF-8")
	cmd.WaitDelay = time.Second
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("%s: %v: %s", filepath.Base(program), err, &complaints)
	}
	return string(out)
}

// TestCompletionBash calls the function as bash does.
func TestCompletionBash(t *testing.T) {
	bash := installed(t, "bash", "bash")
	dir, script := completionFolder(t, testManual().bash())
	for _, test := range completionCases {
		// Bash makes words of what stands in COMP_WORDBREAKS, too.
		words := regexp.MustCompile(`[=:]+|[^ =:]+`).FindAllString(test.line, -1)
		if strings.HasSuffix(test.line, " ") {
			words = append(words, "")
		}
		out := shell(t, dir, bash, append([]string{"--norc", "-c", `source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_icepush
((${#COMPREPLY[@]})) && printf '%s\n' "${COMPREPLY[@]}"
true`, "bash", script}, words...)...)
		completed(t, test.line, test.want, out)
	}
}

// TestCompletionFish asks fish.
func TestCompletionFish(t *testing.T) {
	fish := installed(t, "fish", "fish")
	dir, script := completionFolder(t, testManual().fish())
	shell(t, dir, fish, "--no-execute", script)
	for _, test := range completionCases {
		out := shell(t, dir, fish, "--no-config", "-c", `source $argv[1]; complete -C $argv[2] | string replace -r '\t.*' ''; true`, script, test.line)
		completed(t, test.line, test.want, out)
	}
}

// TestCompletionZsh types into a zsh, with a compadd that tells what it is given.
func TestCompletionZsh(t *testing.T) {
	zsh := installed(t, "zsh", "zsh")
	dir, script := completionFolder(t, testManual().zsh())
	shell(t, dir, zsh, "-f", "-n", script)
	const typing = `
zmodload zsh/zpty
zpty shell $1 -f -i
type() { zpty -w shell "$1" }
type 'unset zle_bracketed_paste; PROMPT= RPROMPT='
type 'autoload -Uz compinit; compinit -D -u'
type 'source '${(q)2}
type 'compadd() {
	if [[ " ${@[1,(i)(-|--)]} " == *" -"[A-Za-z12]#[OAD]" "* ]]; then builtin compadd "$@"; return; fi
	local -a fits; builtin compadd -O fits "$@"; (( $#fits )) && printf "<%s>\n" $fits; builtin compadd "$@"
}'
type 'finish() { print -n "BEGIN"; _main_complete; print "END" }; zle -C finish complete-word finish; bindkey "^I" finish'
type 'print "RE""ADY"'
zpty -r shell text '*READY*' || exit 1
for line in "${@[3,-1]}"; do
	zpty -w -n shell "$line"$'\t'
	zpty -r shell text '*BEGIN*END*' || exit 1
	print -r -- "line ${${text##*BEGIN}%%END*}"
	zpty -w -n shell $'\x15' # away with the line
done
zpty -d shell`
	args := []string{"-f", "-c", typing, "zsh", zsh, script}
	for _, test := range completionCases {
		args = append(args, test.line)
	}
	lines := strings.Split(shell(t, dir, zsh, args...), "line ")[1:]
	if len(lines) != len(completionCases) {
		t.Fatalf("%d lines were completed, want %d", len(lines), len(completionCases))
	}
	for i, test := range completionCases {
		var got []string
		for _, m := range regexp.MustCompile(`<([^>\n]+)>`).FindAllStringSubmatch(lines[i], -1) {
			got = append(got, m[1])
		}
		completed(t, test.line, test.want, strings.Join(got, "\n"))
	}
}
