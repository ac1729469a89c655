package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"icepush/push/pushtest"
)

// line is a bad line to a server: what goes through can be broken, stopped and refused.
type line struct {
	listener net.Listener
	to       string
	seen     func(from string, b []byte) // what goes to the server; optional

	mu       sync.Mutex
	frozen   bool
	refusing bool
	thaw     *sync.Cond
	open     map[*net.TCPConn]*net.TCPConn
	running  sync.WaitGroup
}

// newLine opens a line to a port of this machine.
func newLine(t *testing.T, port string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{listener: listener, to: "127.0.0.1:" + port, open: map[*net.TCPConn]*net.TCPConn{}}
	l.thaw = sync.NewCond(&l.mu)
	l.running.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			l.running.Go(func() { l.relay(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		l.freeze(false)
		l.cut(true)
		l.running.Wait()
	})
	return l
}

func (l *line) String() string { return l.listener.Addr().String() }

func (l *line) relay(here *net.TCPConn) {
	defer here.Close()
	l.mu.Lock()
	if l.refusing {
		here.SetLinger(0)
	}
	refusing := l.refusing
	l.mu.Unlock()
	if refusing {
		return
	}
	c, err := net.Dial("tcp", l.to)
	if err != nil {
		here.SetLinger(0)
		return
	}
	there := c.(*net.TCPConn)
	defer there.Close()
	l.mu.Lock()
	l.open[here] = there
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.open, here)
		l.mu.Unlock()
	}()
	copyTo := func(to, from *net.TCPConn) {
		buf := make([]byte, 4096)
		for {
			n, err := from.Read(buf)
			if from == here && l.seen != nil {
				l.seen(here.RemoteAddr().String(), buf[:n])
			}
			l.mu.Lock()
			for l.frozen {
				l.thaw.Wait()
			}
			l.mu.Unlock()
			if _, writeErr := to.Write(buf[:n]); err != nil || writeErr != nil {
				to.CloseWrite()
				return
			}
		}
	}
	var back sync.WaitGroup
	back.Go(func() { copyTo(here, there) })
	copyTo(there, here)
	back.Wait()
}

// cut breaks what is open, with RST or FIN.
func (l *line) cut(reset bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for here, there := range l.open {
		if reset {
			here.SetLinger(0)
		}
		here.Close()
		there.Close()
	}
}

// freeze lets nothing through any more, without a word, or again.
func (l *line) freeze(frozen bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = frozen
	l.thaw.Broadcast()
}

// refuse breaks what is open, and what comes, or takes it again.
func (l *line) refuse(refusing bool) {
	l.mu.Lock()
	l.refusing = refusing
	l.mu.Unlock()
	if refusing {
		l.cut(true)
	}
}

// hold takes a mount of the server as another client does, until the function it returns
// is called.
func (s *icecast) hold(mount string) (free func()) {
	s.t.Helper()
	c, err := net.Dial("tcp", "127.0.0.1:"+s.port)
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(c, "SOURCE %s HTTP/1.0\r\nAuthorization: Basic c291cmNlOmhhY2ttZQ==\r\nContent-Type: audio/mpeg\r\n\r\n", mount)
	answer := make([]byte, 12)
	if _, err := io.ReadFull(c, answer); err != nil || !bytes.HasSuffix(answer, []byte("200")) {
		s.t.Fatalf("%q, %v", answer, err)
	}
	return func() { c.Close() }
}

// TestIcecastFaults lets things happen to a real Icecast, and the line to it, while a
// list plays. The show goes on by itself, and those who listen again each time miss no
// frame, and hear at most half a second twice.
func TestIcecastFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		frames int // of each of three tracks
		happen func(s *icecast, l *line)
		early  bool   // it happens before the show
		times  int    // on the air, 0 when that depends
		said   string // in the log
		direct bool   // without a line that takes what the server does not
	}{
		{"the server is killed, and started again", 260, func(s *icecast, _ *line) {
			for range 3 {
				time.Sleep(2500*time.Millisecond + time.Duration(rand.IntN(2000))*time.Millisecond)
				if rand.IntN(2) == 0 {
					s.kill()
				} else {
					s.end()
				}
				time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond)
				s.start(s.cmd.Path)
			}
		}, false, 0, "back on the air", true},
		{"the server is stopped", 300, func(s *icecast, _ *line) {
			time.Sleep(4 * time.Second)
			s.cmd.Process.Signal(stop)
			time.Sleep(13 * time.Second)
			s.cmd.Process.Signal(goOn)
		}, false, 1, "the server has stopped reading", true},
		{"the line is broken, and refused", 200, func(_ *icecast, l *line) {
			time.Sleep(3 * time.Second)
			l.cut(true)
			time.Sleep(3 * time.Second)
			l.cut(false)
			time.Sleep(3 * time.Second)
			l.refuse(true)
			time.Sleep(2 * time.Second)
			l.refuse(false)
		}, false, 4, "back on the air", false},
		{"the line is frozen", 300, func(_ *icecast, l *line) {
			time.Sleep(4 * time.Second)
			l.freeze(true)
			time.Sleep(13 * time.Second)
			l.freeze(false)
		}, false, 2, "the server has stopped reading", false},
		{"the line is frozen, but not for long", 250, func(_ *icecast, l *line) {
			time.Sleep(4 * time.Second)
			l.freeze(true)
			time.Sleep(9300 * time.Millisecond)
			l.freeze(false)
		}, false, 0, "", false},
		{"another client has the mount, and frees it", 40, func(s *icecast, _ *line) {
			free := s.hold("/live")
			time.Sleep(3 * time.Second)
			free()
		}, true, 0, "403 Mountpoint in use (Icecast 2.4.4); another source has this mount", true},
		{"the server has no room", 40, func(s *icecast, _ *line) {
			free := s.hold("/other")
			time.Sleep(3 * time.Second)
			free()
		}, true, 0, "403 too many sources connected (Icecast 2.4.4); the server has no room for another source", true},
		{"the port is closed at first", 40, func(s *icecast, _ *line) {
			s.kill()
			time.Sleep(3 * time.Second)
			s.start(s.cmd.Path)
		}, true, 0, ", server Icecast 2.4.4, framing", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			limit := []string{}
			if strings.Contains(test.name, "no room") {
				limit = []string{"<sources>20<", "<sources>1<"}
			}
			server := newIcecast(t, limit...)
			l := newLine(t, server.port)
			to := l.String()
			if test.direct {
				to = "127.0.0.1:" + server.port
			}
			list, files, titles := shortDemo(t, test.frames)
			var happening sync.WaitGroup
			happening.Go(func() { test.happen(server, l) })
			if test.early {
				time.Sleep(200 * time.Millisecond)
			}
			heards, said, err := onAir(t, server.url("/live"), icepush(t, list, "--to", "icecast://"+to+"/live", "--verbose"))
			happening.Wait()
			if err != nil || !strings.Contains(said, test.said) {
				t.Fatalf("%v, %q is not said\n%s\n%s", err, test.said, said, server.log())
			}
			// Who holds the mount is heard as well, as nothing; so is what comes at the very end.
			var ours []heard
			for _, h := range heards {
				if len(h.audio) > 0 {
					ours = append(ours, h)
				}
			}
			if test.times > 0 && len(ours) != test.times {
				t.Errorf("%d times on the air, want %d", len(ours), test.times)
			}
			if err := compareHeard(files, titles, ours); err != nil {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
}

// TestSecrets lets a show go wrong in many ways, with everything logged, and looks for
// the password in what is said, and in what other users see of the process.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const secret = "Xyzzy-plugh"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &pushtest.Server{Password: secret}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	defer serving.Wait()
	defer server.Break(false)
	defer l.Close()
	for i, test := range []struct {
		name string
		set  func(*pushtest.Server)
		args []string
	}{
		{"it goes well", func(*pushtest.Server) {}, nil},
		{"titles beside the stream", func(s *pushtest.Server) { s.Software = "Else 1.0" }, nil},
		{"wrong password", func(s *pushtest.Server) { s.Password = "other" }, nil},
		{"refused", func(s *pushtest.Server) { s.Refuse, s.RefuseText = 403, "no" }, nil},
		{"mount in use", func(s *pushtest.Server) { s.Refuse, s.RefuseText = 403, "Mountpoint in use" }, nil},
		{"a redirect", func(s *pushtest.Server) {
			s.Answer = func(c net.Conn) bool {
				io.WriteString(c, "HTTP/1.0 302 Found\r\nLocation: http://else.example/\r\n\r\n")
				return false
			}
		}, nil},
		{"TLS where there is none", func(*pushtest.Server) {}, []string{"icecasts://"}},
		{"SHOUTcast where there is none", func(*pushtest.Server) {}, []string{"icy://"}},
		{"no such host", func(*pushtest.Server) {}, []string{"icecast://", "no-such-host.invalid:8000"}},
		{"a bad mount", func(*pushtest.Server) {}, []string{"icecast://", l.Addr().String(), "/a b"}},
		{"a bad URL", func(*pushtest.Server) {}, []string{"icecast://", "host:port", "/live"}},
		{"a bad scheme", func(*pushtest.Server) {}, []string{"gopher://"}},
	} {
		server.Set(func(s *pushtest.Server) {
			s.Password, s.Refuse, s.Answer, s.Software = secret, 0, nil, ""
			test.set(s)
		})
		to := append(test.args, []string{"icecast://", l.Addr().String(), "/live"}[len(test.args):]...)
		form := []string{"text", "json"}[i%2]
		cmd := icepush(t, "testdata/mp3/cbr128-44100-joint.mp3", "--to", to[0]+"source:"+secret+"@"+to[1]+to[2], "--verbose", "--log", form, "--max-outage", "1s")
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if title := processTitle(cmd.Process.Pid); strings.Contains(title, secret) {
			t.Errorf("%s: the process is called %s", test.name, title)
		}
		cmd.Wait()
		for _, leak := range []string{secret, "plugh", "c291cmNlOlh5enp5LXBsdWdo"} {
			if strings.Contains(said.String(), leak) {
				t.Errorf("%s: %s is told:\n%s", test.name, leak, said.String())
			}
		}
		if said.Len() == 0 {
			t.Errorf("%s: nothing is said", test.name)
		}
	}
}

// processTitle returns what others see of a process a moment after its start, "" where
// that cannot be looked at.
func processTitle(pid int) (title string) {
	pushtest.Wait(func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		title = string(b)
		return err != nil || strings.Contains(title, "***")
	})
	return title
}
