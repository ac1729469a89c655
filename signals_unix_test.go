//go:build unix

package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"icepush/push/pushtest"
)

// stop and goOn hold a process and let it go on.
const stop, goOn = syscall.SIGSTOP, syscall.SIGCONT

// TestSignals sends the signals of ezstream: skip, send the title again, read the list again;
// and nobody reads the log any more.
func TestSignals(t *testing.T) {
	t.Parallel()
	server, address := fakeIcecast(t)
	dir := t.TempDir()
	asRun, title := filepath.Join(dir, "as-run.jsonl"), filepath.Join(dir, "title")
	cmd := icepush(t, "testdata/demo", "--loop", "--to", "icecast://"+address+"/live", "--as-run", asRun, "--title-file", title, "--control", "off")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	soon := func(what string, is func() bool) {
		t.Helper()
		if !pushtest.Wait(is) {
			t.Errorf("%s: %q", what, titlesOf(server))
		}
	}
	has := func(n int, text string) func() bool {
		return func() bool {
			titles := titlesOf(server)
			return len(slices.DeleteFunc(slices.Clone(titles), func(s string) bool { return s != text })) >= n
		}
	}
	soon("on the air", has(1, "The Ring Buffer Trio - Pebbles on the Quay"))
	io.ReadFull(log, make([]byte, 10))
	log.Close() // what is logged from now on is SIGPIPE
	cmd.Process.Signal(syscall.SIGUSR1)
	soon("skipped", has(1, "Slow Socket Ensemble - Jäälautta"))
	cmd.Process.Signal(syscall.SIGUSR2)
	soon("the title again", has(2, "Slow Socket Ensemble - Jäälautta"))
	os.WriteFile(title, []byte("From the file\n"), 0o600)
	soon("the title of the file", has(1, "From the file"))
	cmd.Process.Signal(syscall.SIGUSR2)
	soon("the title of the file again", has(2, "From the file"))
	os.Rename(asRun, asRun+".1")
	cmd.Process.Signal(syscall.SIGHUP)
	soon("a new as-run log", func() bool {
		_, err := os.Stat(asRun)
		return err == nil
	})
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	first, _ := os.ReadFile(asRun + ".1")
	second, _ := os.ReadFile(asRun)
	if !bytes.Contains(first, []byte(`"fate":"skipped"`)) || !bytes.Contains(second, []byte(`"stream_title":"From the file"`)) || bytes.Count(second, []byte("\n")) != 1 {
		t.Errorf("%s\n%s", first, second)
	}
}

// TestDrain ends a show with SIGTERM: all that has left the clock arrives, its end is waited
// for, and the stream is ended in order.
func TestDrain(t *testing.T) {
	t.Parallel()
	server, address := fakeIcecast(t)
	asRun := filepath.Join(t.TempDir(), "as-run.jsonl")
	cmd := icepush(t, "testdata/demo/01-pebbles-on-the-quay.mp3", "--to", "icecast://"+address+"/live", "--as-run", asRun, "--lead", "3s")
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !pushtest.Wait(func() bool { st := server.Streams(); return len(st) == 1 && len(st[0].Audio) > 48_000 }) { // the lead
		t.Error("it is not on the air")
	}
	asked := time.Now()
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, said.String())
	}
	if d := time.Since(asked); d < 2500*time.Millisecond || d > 6*time.Second {
		t.Errorf("it ended after %v, with a lead of 3 s", d)
	}
	want, err := framesOf([]string{"testdata/demo/01-pebbles-on-the-quay.mp3"})
	if err != nil {
		t.Fatal(err)
	}
	st := server.Streams()[0]
	frames := splitFrames(st.Audio)
	for len(frames) > 0 && isSilence(frames[len(frames)-1]) {
		frames = frames[:len(frames)-1]
	}
	if n := len(frames); !st.Ended || n > len(want) || !slices.Equal(frames, want[:n]) {
		t.Errorf("%d frames arrived, ended in order: %v", n, st.Ended)
	}
	lines := readAsRun(t, asRun)
	if len(lines) != 1 || lines[0].Frames != len(frames) || lines[0].Sent != len(frames) || lines[0].Acknowledged != len(frames) || lines[0].Fate != "cut" {
		t.Errorf("%+v, %d frames arrived", lines, len(frames))
	}
	if !strings.Contains(said.String(), "off the air: tracks 1, frames ") {
		t.Error(said.String())
	}
}
