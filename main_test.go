package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"icepush/push/pushtest"
)

func TestMain(m *testing.M) {
	testscript.Main(cleaning{m}, map[string]func(){"icepush": main})
}

// cleaning is the tests, and takes away what they built.
type cleaning struct{ *testing.M }

func (c cleaning) Run() int {
	code := c.M.Run()
	if name, err := build(); err == nil {
		os.RemoveAll(filepath.Dir(name))
	}
	return code
}

// TestScripts runs the program as a user does, one subject a file in testdata/script.
// $SERVER is a fake Icecast of each script's own, with the password "hackme", that can
// be told:
//
//	server refuse 403 Mountpoint in use    answer every PUT so ("server refuse 0" ends it)
//	server break                           break off all streams
//	server on /live                        wait until there is audio on this mount
//	server got FILE...                     the frames of these files, and no others, arrived in order
//	server frames 76                       so many frames arrived, silence not counted
//	server titles 'A - B' ...              these titles arrived
//	server header Ice-Name 'My radio'      the last stream said so
func TestScripts(t *testing.T) {
	data, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			server := &pushtest.Server{Password: "hackme"}
			served := make(chan struct{})
			go func() {
				server.Serve(l)
				close(served)
			}()
			env.Defer(func() {
				l.Close()
				server.Break(false)
				<-served
			})
			env.Values["server"] = server
			env.Setenv("SERVER", l.Addr().String())
			env.Setenv("DATA", data)
			env.Setenv("ICEPUSH_RUNTIME_DIR", filepath.Join(env.WorkDir, "icepush")) // icepush ctl finds those of this script
			// A port where nothing listens.
			free, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Setenv("NOBODY", free.Addr().String())
			return free.Close()
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"server": serverCommand, "exits": exitsCommand, "soon": soonCommand, "envsubst": envsubstCommand},
	})
}

// exitsCommand runs a program that has to fail with an exit code: "exits 64 icepush".
func exitsCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGUMENT...")
	}
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); !errors.As(err, &exit) || fmt.Sprint(exit.ExitCode()) != args[0] {
		ts.Fatalf("%v, want exit status %s", err, args[0])
	}
}

// envsubstCommand fills variables in, in a file: "envsubst station.toml".
func envsubstCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: envsubst FILE")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(os.Expand(ts.ReadFile(args[0]), ts.Getenv)), 0o644))
}

// soonCommand runs a program until it says something, on standard output, for some seconds:
// "soon 'on the air' icepush ctl status".
func soonCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: soon PATTERN PROGRAM ARGUMENT...")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	if !pushtest.Wait(func() bool {
		err := ts.Exec(args[1], args[2:]...)
		return err == nil && want.MatchString(ts.ReadFile("stdout"))
	}) {
		ts.Fatalf("it does not say %s", args[0])
	}
}

// serverCommand is the command "server" of the scripts.
func serverCommand(ts *testscript.TestScript, neg bool, args []string) {
	server := ts.Value("server").(*pushtest.Server)
	if len(args) == 0 {
		ts.Fatalf("usage: server refuse|break|on|got|frames|titles|header")
	}
	check := func(err error) {
		if (err != nil) != neg {
			ts.Fatalf("%v", err)
		}
	}
	switch verb, args := args[0], args[1:]; verb {
	case "refuse":
		server.Set(func(s *pushtest.Server) {
			fmt.Sscan(args[0], &s.Refuse)
			s.RefuseText = strings.Join(args[1:], " ")
		})
	case "on":
		if !pushtest.Wait(func() bool {
			return slices.ContainsFunc(server.Streams(), func(st pushtest.Stream) bool { return st.Path == args[0] && len(st.Audio) > 0 })
		}) {
			ts.Fatalf("there is no stream on %s", args[0])
		}
	case "frames":
		n := 0
		for _, st := range server.Streams() {
			for _, f := range splitFrames(st.Audio) {
				if !isSilence(f) {
					n++
				}
			}
		}
		if (fmt.Sprint(n) == args[0]) == neg {
			ts.Fatalf("%d frames arrived, want %s", n, args[0])
		}
	case "break":
		if !pushtest.Wait(func() bool { st := server.Streams(); return len(st) > 0 && len(st[len(st)-1].Audio) > 0 }) {
			ts.Fatalf("there is no stream to break")
		}
		time.Sleep(100 * time.Millisecond)
		server.Break(true)
	case "got":
		var files []string
		for _, f := range args {
			files = append(files, ts.MkAbs(f))
		}
		check(compareFrames(files, server.Streams()))
	case "titles":
		check(compareTitles(args, server.Streams()))
	case "header":
		streams := server.Streams()
		if len(streams) == 0 {
			ts.Fatalf("there was no stream")
		}
		got := streams[len(streams)-1].Header.Get(args[0])
		if want := strings.Join(args[1:], " "); (got == want) == neg {
			ts.Fatalf("%s: %q, want %q", args[0], got, want)
		}
	default:
		ts.Fatalf("server %s: what is that?", verb)
	}
}

// framesOf returns the frames of files, tags and header frames left out, as strings.
func framesOf(files []string) ([]string, error) {
	var out []string
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		out = append(out, splitFrames(b)...)
	}
	return out, nil
}

// compareFrames looks whether streams, one behind the other, hold the frames of files:
// none missing, none out of order, and none twice but at the beginning of a stream.
func compareFrames(files []string, streams []pushtest.Stream) error {
	want, err := framesOf(files)
	if err != nil {
		return err
	}
	next := 0
	for n, st := range streams {
		frames := splitFrames(st.Audio)
		if n > 0 && len(frames) > 0 { // what comes again after a break
			for back := 0; back <= 24 && back <= next; back++ { // half a second, and what its bits need
				if next-back < len(want) && want[next-back] == frames[0] {
					next -= back
					break
				}
			}
		}
		for i, f := range frames {
			if next < len(want) && f == want[next] {
				next++
				continue
			}
			if !slices.ContainsFunc(frames[i:], func(f string) bool { return !isSilence(f) }) {
				break // what pushes the end of a show through
			}
			return fmt.Errorf("stream %d: frame %d is number %d, not the one that is due, number %d of %d", n, i, slices.Index(want, f), next, len(want))
		}
	}
	if next != len(want) {
		return fmt.Errorf("%d of %d frames arrived", next, len(want))
	}
	return nil
}

// compareTitles looks whether these titles, and no others, arrived.
func compareTitles(want []string, streams []pushtest.Stream) error {
	var got []string
	for _, st := range streams {
		for i, title := range st.Titles {
			if back := slices.Index(got, title.Text); back >= 0 && i == 0 { // it comes again after a break
				got = got[:back]
			}
			if len(got) == 0 || got[len(got)-1] != title.Text { // said twice to make room
				got = append(got, title.Text)
			}
		}
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		return fmt.Errorf("titles %q, want %q", got, want)
	}
	return nil
}

// splitFrames is a reader of MPEG-1 Layer III of our tests' own, which trusts nothing of
// package frame: it takes the length of each frame from its header and tags by theirs.
func splitFrames(b []byte) (frames []string) {
	if len(b) > 10 && string(b[:3]) == "ID3" {
		b = b[10+int(b[6])<<21+int(b[7])<<14+int(b[8])<<7+int(b[9]):]
	}
	if len(b) > 128 && string(b[len(b)-128:len(b)-125]) == "TAG" {
		b = b[:len(b)-128]
	}
	kbps := [16]int{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}
	rates := [4]int{44100, 48000, 32000}
	for first := true; len(b) >= 4; {
		if b[0] != 0xFF || b[1]&0xFE != 0xFA || kbps[b[2]>>4] == 0 || rates[b[2]>>2&3] == 0 {
			b = b[1:]
			continue
		}
		n := 144_000*kbps[b[2]>>4]/rates[b[2]>>2&3] + int(b[2]>>1&1)
		if n > len(b) {
			break
		}
		f := string(b[:n])
		b = b[n:]
		if first = first && (strings.Contains(f[:60], "Info") || strings.Contains(f[:60], "Xing")); !first {
			frames = append(frames, f)
		}
		first = false
	}
	return frames
}

func isSilence(f string) bool { return strings.Trim(f[4:], "\x00") == "" }

// TestSortArgs shows which words are flags and which are inputs.
func TestSortArgs(t *testing.T) {
	app := newApp(nil, nil)
	app.Setup()
	for in, want := range map[string]string{
		"list.m3u --mount /live":            "--mount /live -- list.m3u",
		"--loop a.mp3 --seed=7 b.mp3 -- -c": "--loop --seed=7 -- a.mp3 b.mp3 -c",
		"a.mp3 --title --loop":              "--title --loop -- a.mp3",
		"check a.mp3 --json":                "check --json -- a.mp3",
		"-- check":                          "-- check",
		"a.mp3 check":                       "-- a.mp3 check",
		"a.mp3 --mount":                     "--mount needs a value",
		"a.mp3 --mout /live":                "there is no flag --mout; did you mean --mount?",
		"check --loop a.mp3":                "there is no flag --loop",
		"- --live":                          "--live -- -",
		"":                                  "--",
	} {
		got, err := sortArgs(app, append([]string{"icepush"}, strings.Fields(in)...))
		said := fmt.Sprint(err)
		if err == nil {
			said = strings.Join(got[1:], " ")
		}
		if !strings.HasPrefix(said, want) {
			t.Errorf("%s: %s, want %s", in, said, want)
		}
	}
}
