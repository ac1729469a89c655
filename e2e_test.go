package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"icepush/push/pushtest"
)

// icecast is a real Icecast of a test's own.
type icecast struct {
	t    *testing.T
	port string
	conf string
	cmd  *exec.Cmd

	ended chan struct{} // closed when cmd has
}

// installed returns the path of the first of some programs there is, or skips the test;
// with CI=true that is a failure.
func installed(t *testing.T, debian string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", names[0])
	}
	t.Skipf("%s is not installed (Debian: apt-get install %s)", names[0], debian)
	return ""
}

// newIcecast starts Icecast. Its configuration is that of testdata with more texts
// replaced by others.
func newIcecast(t *testing.T, replace ...string) *icecast {
	t.Helper()
	program := installed(t, "icecast2", "icecast2", "icecast")
	port := freePort(t)
	// Icecast refuses to run as root, and its user has to reach the folder of its log.
	dir, err := os.MkdirTemp("", "icepush-icecast")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	owner := ""
	if os.Getuid() == 0 {
		owner = "<changeowner><user>nobody</user><group>nogroup</group></changeowner>"
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	template, err := os.ReadFile("testdata/icecast.xml.in")
	if err != nil {
		t.Fatal(err)
	}
	replace = append(replace, "@PORT@", port, "@LOGDIR@", dir, "@OWNER@", owner, "@SOCKETS@", "", "@PATHS@", "")
	conf := strings.NewReplacer(replace...).Replace(string(template))
	s := &icecast{t: t, port: port, conf: filepath.Join(dir, "icecast.xml")}
	if err := os.WriteFile(s.conf, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	s.start(program)
	t.Cleanup(s.kill)
	return s
}

// freePort returns a port below those the system gives to clients: one of these could have
// it when the server is started again.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(20000 + rand.IntN(10000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

// start starts the server, again when it crashes: Icecast 2.4.4 does at times when somebody
// connects in its first moments, so that is left alone.
func (s *icecast) start(program string) {
	s.t.Helper()
	for range 5 {
		cmd, ended := exec.Command(program, "-c", s.conf), make(chan struct{})
		if err := cmd.Start(); err != nil {
			s.t.Fatal(err)
		}
		s.cmd, s.ended = cmd, ended
		go func() {
			cmd.Wait()
			close(ended)
		}()
		time.Sleep(300 * time.Millisecond)
		up := pushtest.Wait(func() bool {
			c, err := net.Dial("tcp", "127.0.0.1:"+s.port)
			if err == nil {
				c.Close()
			}
			return err == nil || s.hasEnded()
		})
		time.Sleep(50 * time.Millisecond)
		if up && !s.hasEnded() {
			return
		}
	}
	s.t.Errorf("Icecast does not answer:\n%s", s.log())
}

func (s *icecast) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// log returns what the server has to say.
func (s *icecast) log() string {
	b, _ := os.ReadFile(filepath.Join(filepath.Dir(s.conf), "error.log"))
	return string(b)
}

// kill ends the server at once, end in order.
func (s *icecast) kill() { s.signal(syscall.SIGKILL) }
func (s *icecast) end()  { s.signal(syscall.SIGTERM) }

func (s *icecast) signal(how os.Signal) {
	s.cmd.Process.Signal(how)
	<-s.ended
}

func (s *icecast) url(mount string) string { return "http://127.0.0.1:" + s.port + mount }

// heard is what a listener got in one go: audio, and titles with their places in it.
type heard struct {
	audio  []byte
	titles []pushtest.Title
}

// listen joins a mount again and again until stop is closed, as a player with ICY
// metadata does, and returns what it heard each time.
func listen(url string, stop <-chan struct{}) (out []heard) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	// Icecast forgets a listener that comes at the very end of a stream.
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	defer func() { cancel(); <-over }()
	go func() {
		defer close(over)
		select {
		case <-stop:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(5 * time.Second):
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		select {
		case <-stop:
			return out
		case <-time.After(20 * time.Millisecond):
		}
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		req.Header.Set("Icy-MetaData", "1")
		resp, err := client.Do(req)
		if err != nil {
			continue
		}
		if resp.StatusCode == http.StatusOK {
			every, _ := strconv.Atoi(resp.Header.Get("icy-metaint"))
			out = append(out, hear(bufio.NewReader(resp.Body), every))
		}
		resp.Body.Close()
	}
}

// hear reads a stream with a metadata block after every so many bytes to its end; 0 is a
// stream without.
func hear(r *bufio.Reader, every int) (h heard) {
	if every == 0 {
		h.audio, _ = io.ReadAll(r)
		return h
	}
	for {
		var b bytes.Buffer
		_, err := io.CopyN(&b, r, int64(every))
		h.audio = append(h.audio, b.Bytes()...)
		if err != nil {
			return h
		}
		units, err := r.ReadByte()
		if err != nil {
			return h
		}
		block := make([]byte, int(units)*16)
		if _, err := io.ReadFull(r, block); err != nil {
			return h
		}
		if title, ok := strings.CutPrefix(strings.TrimRight(string(block), "\x00"), "StreamTitle='"); ok {
			title, _, _ = strings.Cut(title, "';")
			if n := len(h.titles); n > 0 && h.titles[n-1].Text == title {
				continue // told again, to make room for the next
			}
			h.titles = append(h.titles, pushtest.Title{Offset: len(h.audio), Text: title})
		}
	}
}

// shortDemo cuts the pieces of the demo to so many frames each, tags and cover art
// included, and returns the list, the files and their titles.
func shortDemo(t *testing.T, frames int) (list string, files, titles []string) {
	t.Helper()
	dir := t.TempDir()
	pieces, _ := filepath.Glob("testdata/demo/*.mp3")
	for _, p := range pieces {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		tag := 10 + int(b[6])<<21 + int(b[7])<<14 + int(b[8])<<7 + int(b[9])
		short := append([]byte(nil), b[:tag]...)
		for _, f := range splitFrames(b)[:frames] {
			short = append(short, f...)
		}
		name := filepath.Join(dir, filepath.Base(p))
		if err := os.WriteFile(name, short, 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	list = filepath.Join(dir, "demo.m3u")
	if err := os.WriteFile(list, []byte(strings.Join(files, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	return list, files, []string{"The Ring Buffer Trio - Pebbles on the Quay", "Slow Socket Ensemble - Jäälautta", "Keepalive Five - Pingüino de paseo"}
}

// build builds the program once for all tests.
var build = sync.OnceValues(func() (name string, err error) {
	dir, err := os.MkdirTemp("", "icepush-build")
	if err != nil {
		return "", err
	}
	name = filepath.Join(dir, "icepush")
	out, err := exec.Command("go", "build", "-o", name, ".").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return name, err
})

// icepush returns the program, ready to run with the password. Should it hang, it is made
// to say where.
func icepush(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	name, err := build()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	t.Cleanup(cancel)
	if len(args) > 0 && (args[0] == "serve" || args[0] == "demo") {
		ctx = context.Background() // runs for as long as the test waits for its turn
	}
	cmd := exec.CommandContext(ctx, name, args...)
	runtime, err := os.MkdirTemp("", "icepush-run") // its path is to be short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(runtime) })
	cmd.Env = append(os.Environ(), "ICEPUSH_PASSWORD=hackme", "ICEPUSH_RUNTIME_DIR="+runtime) // icepush ctl finds those of this test
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	return cmd
}

// TestIcecast plays a list to a real Icecast, and listens there: all frames of the
// files, and none but these, in order, each title at the first mark after its track's
// first frame.
func TestIcecast(t *testing.T) {
	t.Parallel()
	server := newIcecast(t)
	list, files, titles := shortDemo(t, 150)
	stop := make(chan struct{})
	var heards []heard
	var listening sync.WaitGroup
	listening.Go(func() { heards = listen(server.url("/live"), stop) })

	cmd := icepush(t, list, "--to", "icecast://127.0.0.1:"+server.port+"/live", "--name", "Ünï radio")
	out, err := cmd.CombinedOutput()
	close(stop)
	listening.Wait()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(heards) != 1 {
		t.Fatalf("%d times on the air\n%s", len(heards), out)
	}
	h := heards[0]
	want, err := framesOf(files)
	if err != nil {
		t.Fatal(err)
	}
	// Bytes, not frames: there is nothing before, between or behind but silence.
	audio := strings.Join(want, "")
	if !bytes.HasPrefix(h.audio, []byte(audio)) {
		t.Fatalf("%d bytes were heard, not the %d of the files", len(h.audio), len(audio))
	}
	for _, f := range splitFrames(h.audio[len(audio):]) {
		if !isSilence(f) {
			t.Error("what follows the last frame is not silence")
		}
	}
	border := 0
	for i, file := range files {
		if i < len(h.titles) {
			got := h.titles[i]
			if late := got.Offset - border; got.Text != titles[i] || late < 0 || late > 1024 {
				t.Errorf("title %q %d bytes after the first frame of %s", got.Text, late, filepath.Base(file))
			}
		}
		frames, _ := framesOf([]string{file})
		border += len(strings.Join(frames, ""))
	}
	if len(h.titles) != len(files) {
		t.Errorf("%d titles, want %d: %v", len(h.titles), len(files), h.titles)
	}
}

// TestInterrupt ends a show with Ctrl-C: what has been let go is sent, the exit code is 0.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	server := newIcecast(t)
	var said bytes.Buffer
	cmd := icepush(t, "testdata/demo", "--loop", "--to", "icecast://127.0.0.1:"+server.port+"/live")
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !pushtest.Wait(func() bool {
		resp, err := http.Get(server.url("/live"))
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}) {
		t.Error("never on the air")
	}
	cmd.Process.Signal(syscall.SIGINT)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil || !strings.Contains(said.String(), "off the air") {
			t.Errorf("%v\n%s", err, said.String())
		}
	case <-time.After(10 * time.Second):
		cmd.Process.Kill()
		t.Error(fmt.Errorf("it does not end: %s", said.String()))
	}
}
