package main

import (
	"bytes"
	"fmt"
	"net"
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

// onAir plays a list and returns what listeners of a URL heard, and what icepush said.
func onAir(t *testing.T, url string, cmd *exec.Cmd) (heards []heard, said string, err error) {
	t.Helper()
	stop := make(chan struct{})
	var listening sync.WaitGroup
	listening.Go(func() { heards = listen(url, stop) })
	out, err := cmd.CombinedOutput()
	close(stop)
	listening.Wait()
	return heards, string(out), err
}

// compareHeard looks whether listeners heard the frames of files and no others, and the
// titles.
func compareHeard(files, titles []string, heards []heard) error {
	var streams []pushtest.Stream
	for _, h := range heards {
		if len(h.audio) == 0 {
			continue
		}
		streams = append(streams, pushtest.Stream{Audio: h.audio, Titles: h.titles})
	}
	if err := compareFrames(files, streams); err != nil {
		return err
	}
	return compareTitles(titles, streams)
}

// authority writes the certificate of an authority and one for 127.0.0.1 with its key
// into files that Icecast can read.
func authority(t *testing.T) (ca, certAndKey string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "icepush-tls")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	a := pushtest.NewAuthority()
	cert, key := a.Issue(time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "127.0.0.1")
	ca, certAndKey = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "icecast.pem")
	for name, b := range map[string][]byte{ca: a.PEM(), certAndKey: append(cert, key...)} {
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return ca, certAndKey
}

// TestIcecastTLS plays to an Icecast that wants TLS, whom we trust by our own authority,
// or not at all.
func TestIcecastTLS(t *testing.T) {
	t.Parallel()
	ca, cert := authority(t)
	port := freePort(t)
	server := newIcecast(t,
		"@SOCKETS@", "<listen-socket><port>"+port+"</port><bind-address>127.0.0.1</bind-address><ssl>1</ssl></listen-socket>",
		"@PATHS@", "<ssl-certificate>"+cert+"</ssl-certificate>")
	list, files, titles := shortDemo(t, 60)
	to := "icecasts://127.0.0.1:" + port + "/live"
	heards, said, err := onAir(t, server.url("/live"), icepush(t, list, "--to", to, "--ca", ca))
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if err := compareHeard(files, titles, heards); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	exits := func(code int, want string, args ...string) {
		t.Helper()
		cmd := icepush(t, append([]string{list}, args...)...)
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(string(out), want) {
			t.Errorf("exit %d, want %d and %q:\n%s", got, code, want, out)
		}
	}
	exits(76, "certificate is signed by nobody this machine trusts; --ca FILE", "--to", to)
	exits(0, "certificate is not verified", "--to", to, "--insecure")
	exits(76, "certificate is not for localhost but for 127.0.0.1", "--to", strings.Replace(to, "127.0.0.1", "localhost", 1), "--ca", ca)
	// An Icecast without TLS waits for more of what it takes for a request.
	exits(69, "does not answer the TLS handshake", "--to", strings.Replace(to, port, server.port, 1), "--ca", ca, "--max-outage", "5s")
}

// TestIcecastLegacy plays to Icecast as old clients do.
func TestIcecastLegacy(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	server := newIcecast(t,
		"@SOCKETS@", "<listen-socket><port>"+port+"</port><bind-address>127.0.0.1</bind-address><shoutcast-mount>/shout</shoutcast-mount></listen-socket>")
	list, files, titles := shortDemo(t, 100)
	for _, test := range []struct {
		mount string
		args  []string
	}{
		{"/source", []string{"--to", "icecast://127.0.0.1:" + server.port + "/source", "--protocol", "source"}},
		{"/shout", []string{"--to", "icy://127.0.0.1:" + port}},
	} {
		heards, said, err := onAir(t, server.url(test.mount), icepush(t, append([]string{list}, test.args...)...))
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		if test.mount == "/shout" {
			// Listeners get titles every 16,000 bytes there, so those of short tracks are late.
			titles = nil
			for i := range heards {
				heards[i].titles = nil
			}
		}
		if err := compareHeard(files, titles, heards); err != nil {
			t.Errorf("%s: %v\n%s", test.mount, err, said)
		}
	}
	cmd := icepush(t, list, "--to", "icy://127.0.0.1:"+port)
	cmd.Env = append(cmd.Env, "ICEPUSH_PASSWORD=other")
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 77 || !strings.Contains(string(out), "the server hung up at the password; the password is wrong") {
		t.Errorf("exit %d\n%s", cmd.ProcessState.ExitCode(), out)
	}
}

// newNginx starts an nginx before a server, set up for streams, and returns its port.
func newNginx(t *testing.T, before string) string {
	t.Helper()
	program := installed(t, "nginx-light", "nginx", "/usr/sbin/nginx")
	dir := t.TempDir()
	port := freePort(t)
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(fmt.Sprintf(`
daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server {
		listen 127.0.0.1:%[2]s;
		client_max_body_size 0;
		location / { proxy_pass http://%[3]s; proxy_http_version 1.1; proxy_request_buffering off; proxy_buffering off; }
	}
}`, dir, port, before)), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-c", conf, "-e", filepath.Join(dir, "error.log"))
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() })
	if !pushtest.Wait(func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err == nil
	}) {
		t.Fatalf("nginx does not answer:\n%s", said.String())
	}
	return port
}

// TestNginx stands before a server that takes chunk sizes for sound, which is refused,
// and before one that decodes them.
func TestNginx(t *testing.T) {
	t.Parallel()
	list, files, titles := shortDemo(t, 100)

	old := newIcecast(t)
	cmd := icepush(t, list, "--to", "icecast://127.0.0.1:"+newNginx(t, "127.0.0.1:"+old.port)+"/live")
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 76 || !strings.Contains(string(out), "a reverse proxy stands before the server and would swallow the audio") {
		t.Errorf("exit %d\n%s", cmd.ProcessState.ExitCode(), out)
	}

	// With nothing behind it there is no telling: it is waited for.
	cmd = icepush(t, list, "--to", "icecast://127.0.0.1:"+newNginx(t, "127.0.0.1:1")+"/live", "--max-outage", "2s")
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 69 || !strings.Contains(string(out), "not on the air within 2s: 502 Bad Gateway (nginx") {
		t.Errorf("exit %d\n%s", cmd.ProcessState.ExitCode(), out)
	}

	decoding := &pushtest.Server{Password: "hackme", Software: "Icecast 2.5.0"}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { decoding.Serve(l) })
	defer serving.Wait()
	defer decoding.Break(false)
	defer l.Close()
	port := newNginx(t, l.Addr().String())
	if out, err := icepush(t, list, "--to", "icecast://127.0.0.1:"+port+"/live").CombinedOutput(); err != nil || !strings.Contains(string(out), "framing chunked") {
		t.Fatalf("%v\n%s", err, out)
	}
	streams := decoding.Streams()
	if err := compareFrames(files, streams); err != nil {
		t.Error(err)
	}
	if err := compareTitles(titles, streams); err != nil {
		t.Error(err)
	}
	if st := streams[0]; st.Header.Get("Transfer-Encoding") != "chunked" || !st.Ended {
		t.Errorf("%v, ended %v", st.Header, st.Ended)
	}

	// The password is the server's to look at, behind nginx's own 100.
	cmd = icepush(t, list, "--to", "icecast://127.0.0.1:"+port+"/live")
	cmd.Env = append(cmd.Env, "ICEPUSH_PASSWORD=other")
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 77 {
		t.Errorf("exit %d\n%s", cmd.ProcessState.ExitCode(), out)
	}
	if n := len(decoding.Streams()); n != 1 {
		t.Errorf("%d streams", n)
	}
}

// TestChunksAsSound forces chunks on Icecast 2.4: their sizes are in the audio, which is
// why they have to be asked for.
func TestChunksAsSound(t *testing.T) {
	t.Parallel()
	server := newIcecast(t)
	if b, err := exec.Command(server.cmd.Path, "-v").Output(); err == nil && !strings.Contains(string(b), "2.4") {
		t.Skipf("this is %s", b)
	}
	list, files, _ := shortDemo(t, 100)
	heards, said, err := onAir(t, server.url("/live"), icepush(t, list, "--to", "icecast://127.0.0.1:"+server.port+"/live", "--framing", "chunked", "--titles", "admin"))
	if err != nil || len(heards) == 0 {
		t.Fatalf("%v\n%s", err, said)
	}
	if !bytes.Contains(heards[0].audio, []byte("\r\n1180\r\n")) && !bytes.Contains(heards[0].audio, []byte("\r\n15e0\r\n")) && !bytes.Contains(heards[0].audio, []byte("\r\n1b58\r\n")) {
		t.Errorf("no size of a chunk is heard in %d bytes", len(heards[0].audio))
	}
	if compareHeard(files, nil, heards) == nil {
		t.Error("the audio is right all the same")
	}
}
