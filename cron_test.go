package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"icepush/push/pushtest"
)

// arrivals is what sources sent through a line, and when.
type arrivals struct {
	mu          sync.Mutex
	heads       map[string]string // of requests for a mount, by connection
	first, last time.Time         // of their bodies
	bodies      int
}

func (a *arrivals) see(from string, b []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	head := a.heads[from]
	switch {
	case len(b) == 0 || head == "" && !bytes.HasPrefix(b, []byte("PUT ")):
	case !strings.HasSuffix(head, "\r\n\r\n"): // nothing of the body comes with the head: the server is asked first
		a.heads[from] = head + string(b)
	default:
		if a.last = time.Now(); a.first.IsZero() {
			a.first = a.last
		}
		if !strings.HasPrefix(head, "+") {
			a.bodies++
			a.heads[from] = "+" + head
		}
	}
}

// runCron runs a cron for the time of a test, unless there is one already.
func runCron(t *testing.T) {
	t.Helper()
	cmd := exec.Command(installed(t, "cron", "cron"), "-f")
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
}

// TestCron has cron start two shows at the same minute for the same mount of a real Icecast.
// One is on the air from the second on that it was told to, to the last whole frame before its
// end. The other leaves, and says who has the mount.
func TestCron(t *testing.T) {
	installed(t, "cron", "cron")
	if os.Getuid() != 0 {
		t.Skip("only root may write to /etc/cron.d")
	}
	t.Parallel()
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	server := newIcecast(t)
	got := arrivals{heads: map[string]string{}}
	l := newLine(t, server.port)
	l.seen = got.see

	// A job begins a second after its minute; the mount is asked for five before the start.
	minute := time.Now().UTC().Add(5 * time.Second).Truncate(time.Minute).Add(time.Minute)
	begin, end := minute.Add(9*time.Second), minute.Add(14*time.Second)
	dir := t.TempDir()
	var tab strings.Builder
	fmt.Fprintf(&tab, "TZ=UTC\nICEPUSH_PASSWORD=hackme\n")
	lists := []string{"testdata/demo/01-pebbles-on-the-quay.mp3", "testdata/demo/02-jaalautta.mp3"}
	for i, list := range lists {
		if lists[i], err = filepath.Abs(list); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&tab, "%d * * * * root cd %s; sh -c 'echo $$ > %d.pid; exec %s %s --to icecast://%s/live --start-at %s --end-at %s' > %d.log 2>&1; echo $? > %d.code\n",
			minute.Minute(), dir, i, program, lists[i], l, begin.Format(time.TimeOnly), end.Format(time.TimeOnly), i, i)
	}
	file := fmt.Sprintf("/etc/cron.d/icepush-test-%d", os.Getpid())
	if err := os.WriteFile(file, []byte(tab.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(file) })
	runCron(t)

	stop := make(chan struct{})
	var heards []heard
	var listening sync.WaitGroup
	listening.Go(func() { heards = listen(server.url("/live"), stop) })

	// How late this machine is by itself.
	time.Sleep(time.Until(begin))
	noise := time.Since(begin)
	read := func(i int, what string) string {
		b, _ := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%d.%s", i, what)))
		return strings.TrimSpace(string(b))
	}
	time.Sleep(time.Until(end))
	ended := pushtest.Wait(func() bool { return read(0, "code") != "" && read(1, "code") != "" })
	close(stop)
	listening.Wait()
	on, off := 0, 1
	if read(0, "code") == "75" {
		on, off = 1, 0
	}
	if !ended || read(on, "code") != "0" || read(off, "code") != "75" {
		t.Fatalf("exit codes %q and %q\n%s\n%s", read(0, "code"), read(1, "code"), read(0, "log"), read(1, "log"))
	}
	want := fmt.Sprintf("%s/live is taken on this machine by process %s since ", l, read(on, "pid"))
	if said := read(off, "log"); !strings.Contains(said, want) || !strings.Contains(said, ", which plays "+lists[on]) {
		t.Errorf("it says\n%s\nwant %s", said, want)
	}

	got.mu.Lock()
	defer got.mu.Unlock()
	late := got.first.Sub(begin)
	t.Logf("the first frame went %v after %s; a timer of the test was %v late", late, begin.Format(time.TimeOnly), noise)
	if late < 0 || late > 50*time.Millisecond+2*noise {
		t.Errorf("the first frame went %v after the start", late)
	}
	if got.last.After(end) {
		t.Errorf("the last bytes came %v after the end", got.last.Sub(end))
	}
	frames, err := framesOf(lists[on : on+1])
	if err != nil {
		t.Fatal(err)
	}
	whole := int(end.Sub(begin) * 44100 / 1152 / time.Second)
	if got.bodies != 1 || len(heards) != 1 {
		t.Fatalf("%d streams, %d times on the air\n%s", got.bodies, len(heards), read(on, "log"))
	}
	heard := splitFrames(heards[0].audio)
	for len(heard) > 0 && isSilence(heard[len(heard)-1]) { // that pushes the last one through
		heard = heard[:len(heard)-1]
	}
	if strings.Join(heard, "") != strings.Join(frames[:whole], "") {
		t.Errorf("%d frames were heard, want the first %d", len(heard), whole)
	}
}
