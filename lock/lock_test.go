package lock

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain is the tests, or another program that holds the locks of a folder and says so.
func TestMain(m *testing.M) {
	folder := os.Getenv("LOCK_TEST_FOLDER")
	if folder == "" {
		os.Exit(m.Run())
	}
	if folder != "none" {
		_, err := Acquire([]string{folder}, []Mount{live}, Holder{PID: os.Getpid(), Since: since, Plays: "night.m3u"})
		fmt.Println(err)
	}
	io.Copy(io.Discard, os.Stdin)
}

var (
	live  = Mount{"localhost:8000", "/live"}
	other = Mount{"localhost:8000", "/other"}
	since = time.Date(2026, 11, 21, 19, 0, 3, 0, time.UTC)
	us    = Holder{PID: os.Getpid(), Since: since, Plays: "show.m3u"}
)

// program starts another program that holds the lock of live in a folder, or none. It runs
// until end is called.
func program(t *testing.T, folder string) (pid int, end func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LOCK_TEST_FOLDER="+folder)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if folder != "none" {
		if said, _ := bufio.NewReader(out).ReadString('\n'); said != "<nil>\n" {
			t.Errorf("it says %q", said)
		}
	}
	end = func() { cmd.Process.Kill(); cmd.Wait() }
	t.Cleanup(end)
	return cmd.Process.Pid, end
}

// acquire takes locks that are free.
func acquire(t *testing.T, folder string, mounts ...Mount) *Locks {
	t.Helper()
	l, err := Acquire([]string{folder}, mounts, us)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Release)
	return l
}

// held fails unless a lock is taken, and returns by whom.
func held(t *testing.T, folder string, mounts ...Mount) *HeldError {
	t.Helper()
	l, err := Acquire([]string{folder}, mounts, us)
	l.Release()
	var e *HeldError
	if !errors.As(err, &e) {
		t.Fatalf("it is not taken: %v", err)
	}
	return e
}

// TestLock has two programs want a mount: the second is told who has it, and gets it when the
// first is killed.
func TestLock(t *testing.T) {
	folder := t.TempDir()
	pid, end := program(t, folder)
	e := held(t, folder, live)
	if want := (Holder{PID: pid, Since: since, Plays: "night.m3u"}); e.Holder != want {
		t.Errorf("%+v, want %+v", e.Holder, want)
	}
	want := fmt.Sprintf("localhost:8000/live is taken on this machine by process %d since %s, which plays night.m3u", pid, since.Local().Format("Mon 2 Jan 15:04:05 MST"))
	if e.Error() != want {
		t.Errorf("%s, want %s", e, want)
	}
	acquire(t, folder, other)
	end()
	acquire(t, folder, live).Release()
	if left, _ := filepath.Glob(folder + "/*live*"); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

// TestAllOrNone takes none of several locks when one is taken.
func TestAllOrNone(t *testing.T) {
	folder := t.TempDir()
	l := acquire(t, folder, other)
	if e := held(t, folder, live, other); e.Mount != other || e.Holder.PID != os.Getpid() {
		t.Errorf("%v", e)
	}
	acquire(t, folder, live)
	l.Release()
	acquire(t, folder, other)
}

// TestTell changes what a lock says, to less and to nothing that can be read.
func TestTell(t *testing.T) {
	folder := t.TempDir()
	l := acquire(t, folder, live)
	for _, h := range []Holder{{PID: 1, Since: since, Plays: strings.Repeat("x", 1000), Control: "/run/icepush/1"}, {PID: 2}} {
		if err := l.Tell(h); err != nil {
			t.Fatal(err)
		}
		if e := held(t, folder, live); e.Holder != h {
			t.Errorf("%+v, want %+v", e.Holder, h)
		}
	}
	if err := l.Tell(Holder{Plays: strings.Repeat("x", maxFile)}); err == nil {
		t.Error("more was said than is read")
	}
	for _, text := range []string{"", "{", strings.Repeat("[", 2*maxFile)} {
		os.WriteFile(l.files[0].Name(), []byte(text), 0o600)
		if e := held(t, folder, live); e.Holder != (Holder{}) || e.Error() != "localhost:8000/live is taken on this machine by another icepush" {
			t.Errorf("%.20q: %v", text, e)
		}
	}
}

// TestChildren shows that a lock is not inherited.
func TestChildren(t *testing.T) {
	folder := t.TempDir()
	l := acquire(t, folder, live)
	program(t, "none")
	l.Release()
	acquire(t, folder, live)
}

// TestTwoFolders finds the lock of a program that knows one of them.
func TestTwoFolders(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	acquire(t, two, live)
	if l, err := Acquire([]string{one, two}, []Mount{live}, us); err == nil {
		l.Release()
		t.Error("it is taken in the second")
	}
	acquire(t, one, live)
}

// TestFolders shows which folders are not used, and that others are in their place.
func TestFolders(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("folders belong to their users there")
	}
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	os.Mkdir(open, 0o700)
	os.Chmod(open, 0o777)
	file := filepath.Join(dir, "file")
	os.WriteFile(file, nil, 0o600)
	link := filepath.Join(dir, "link")
	os.Symlink(t.TempDir(), link)
	for _, folder := range []string{open, file, link, filepath.Join(dir, "not", "there"), "/proc/self/icepush"} {
		if l, err := Acquire([]string{folder}, []Mount{live}, us); !errors.Is(err, ErrNoFolder) {
			l.Release()
			t.Errorf("%s: %v", folder, err)
		}
		l, err := Acquire([]string{folder, filepath.Join(dir, "new")}, []Mount{live}, us)
		if err != nil {
			t.Errorf("%s: %v", folder, err)
		}
		l.Release()
	}
	if info, err := os.Stat(filepath.Join(dir, "new")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if files, _ := os.ReadDir(open); len(files) > 0 {
		t.Errorf("%v", files)
	}

	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("TMPDIR", dir)
	folders := Folders()
	if folders[0] != filepath.Join(dir, "icepush") || folders[len(folders)-1] != filepath.Join(dir, fmt.Sprint("icepush-", os.Getuid())) {
		t.Error(folders)
	}
	t.Setenv("XDG_RUNTIME_DIR", open) // not ours alone
	if folders := Folders(); folders[0] == filepath.Join(open, "icepush") {
		t.Error(folders)
	}
}

// TestName shows which mounts are one, and what their locks are called.
func TestName(t *testing.T) {
	for _, m := range []Mount{{"127.0.0.1:8000", "/live"}, {"[::1]:8000", "/live"}, {"LocalHost.:8000", "/live"}} {
		if !m.Same(live) {
			t.Errorf("%v is %v", m, live)
		}
	}
	for _, m := range []Mount{other, {"localhost:8001", "/live"}, {"127.0.0.2:8000", "/live"}, {"localhost:8000", "/Live"}, {"localhost:8000", ""}, {"localhost_8000", "/live"}} {
		if m.Same(live) {
			t.Errorf("%v is not %v", m, live)
		}
	}
	for _, m := range []Mount{{"radio.example:8000", "/a/b"}, {"[fe80::1%eth0]:8000", "/../x"}, {strings.Repeat("ä", 200) + ":1", "/\x00"}} {
		if name := m.name(); len(name) > 200 || strings.ContainsAny(name, "/%\x00:") || filepath.Base(name) != name {
			t.Errorf("%v: %s", m, name)
		}
	}
	if name := (Mount{"radio.example:8000", "/live"}).name(); !strings.HasPrefix(name, "radio.example_8000_live-") || !strings.HasSuffix(name, ".lock") {
		t.Error(name)
	}
}

// TestHandOver has many take turns with a lock, and never two of them at once.
func TestHandOver(t *testing.T) {
	folder := t.TempDir()
	busy := make(chan struct{}, 1)
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for turns := 0; turns < 20; {
				l, err := Acquire([]string{folder}, []Mount{live}, us)
				if err != nil {
					continue
				}
				select {
				case busy <- struct{}{}:
					runtime.Gosched()
					<-busy
				default:
					t.Error("two have it")
				}
				turns++
				l.Release()
			}
		})
	}
	running.Wait()
}
