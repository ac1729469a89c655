package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"icepush/push/pushtest"
)

// probeSays runs icepush probe.
func probeSays(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, said bytes.Buffer
	cmd := icepush(t, append([]string{"probe"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return out.String(), said.String(), code
}

// probed runs icepush probe --json and returns its report and exit code.
func probed(t *testing.T, args ...string) (r probeReport, code int) {
	t.Helper()
	out, said, code := probeSays(t, append([]string{"--json"}, args...)...)
	var object map[string]probeReport
	if err := json.Unmarshal([]byte(out), &object); err != nil {
		t.Fatalf("%v: %s%s", err, out, said)
	}
	return object["probe"], code
}

// atFault returns the problems that a busy machine is no reason for.
func (p probeReport) atFault() (problems []string) {
	for _, s := range p.Problems {
		if !strings.HasPrefix(s, "the stream comes") && !strings.HasPrefix(s, "nothing came for") {
			problems = append(problems, s)
		}
	}
	return problems
}

// TestProbeServe listens to icepush serve, through a playlist: nothing is wrong with it.
func TestProbeServe(t *testing.T) {
	t.Parallel()
	url := serving(t, "serve", "testdata/demo", "--loop", "--name", "Ünï radio")
	r, code := probed(t, url+"live.m3u", "--for", "5s")
	h := r.Heard
	if (code != 0) != (len(r.Problems) > 0) || h == nil || r.atFault() != nil {
		t.Fatalf("exit code %d: %+v", code, r)
	}
	for _, note := range r.Notes { // it has only just begun
		if !strings.HasPrefix(note, "a player with a buffer of 1s begins after") {
			t.Error(note)
		}
	}
	if h.LeadIn != 0 || h.Junk != 0 || h.Frames == 0 || r.Name != "Ünï radio" || r.ContentType != "audio/mpeg" || r.Metaint != 16000 || r.Range != http.StatusOK || r.Origin != "*" {
		t.Errorf("%+v, %+v", r, h)
	}
	if len(h.Titles) != 1 || h.Titles[0].Title != "The Ring Buffer Trio - Pebbles on the Quay" || h.Titles[0].Offset != 16000 {
		t.Errorf("%+v", h.Titles)
	}
	if len(r.Via) != 1 || r.Via[0] != (hop{url + "live.m3u", "M3U playlist"}) || r.Stream != url+"live" {
		t.Errorf("%+v", r.Via)
	}
	ogg := serving(t, "serve", "testdata/ogg/vorbis-44100-stereo.ogg", "--loop")
	if r, code = probed(t, ogg+"live", "--for", "3s"); r.atFault() != nil || r.Format != "vorbis" || r.Heard.Junk+r.Heard.LeadIn > 0 {
		t.Errorf("exit code %d: %+v, %+v", code, r, r.Heard)
	}
}

// TestProbeIcecast listens to a real Icecast that icepush feeds.
func TestProbeIcecast(t *testing.T) {
	t.Parallel()
	server := newIcecast(t)
	list, _, titles := shortDemo(t, 400)
	source := icepush(t, list, "--loop", "--to", "icecast://127.0.0.1:"+server.port+"/live", "--name", "Probed")
	if err := source.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		source.Process.Signal(syscall.SIGINT)
		source.Wait()
	}()
	up := pushtest.Wait(func() bool {
		resp, err := http.Get(server.url("/live"))
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	if !up {
		t.Fatal("never on the air")
	}
	r, code := probed(t, server.url("/live"), "--for", "6s")
	h := r.Heard
	if (code != 0) != (len(r.Problems) > 0) || h == nil || h.Junk != 0 || h.LeadIn > 417 || r.atFault() != nil {
		t.Fatalf("exit code %d: %+v, %+v", code, r, h)
	}
	if len(h.Titles) == 0 || h.Titles[0].Title != titles[0] || r.Name != "Probed" || !strings.HasPrefix(r.Server, "Icecast") {
		t.Errorf("%+v, %+v", r, h.Titles)
	}
	r, code = probed(t, server.url("/other"))
	if code != exitData || strings.Join(r.Mounts, " ") != "/live" || !strings.Contains(r.Error, "404 Not Found (Icecast 2.4.4); there is no such mount, or it has no source; the server has /live") {
		t.Errorf("exit code %d: %+v", code, r)
	}
	if r, code = probed(t, server.url("/status.xsl")); code != exitData || !strings.HasSuffix(strings.Join(r.Problems, "|"), "a web page, not a stream; the server has /live") {
		t.Errorf("exit code %d: %+v", code, r)
	}
}

// TestProbeWrong listens to a stream with everything wrong that can be.
func TestProbeWrong(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("testdata/demo/*.mp3")
	frames, err := framesOf(files)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "audio/aac")
		h["icy-metaint"], h["icy-br"] = []string{"8192"}, []string{"320"}
		if r.Header.Get("Range") != "" {
			http.Error(w, "", http.StatusRequestedRangeNotSatisfiable)
			return
		}
		left := 8192
		for i, f := range frames {
			if i%100 == 50 {
				f += "ID3\x04\x00\x00\x00\x00\x00\x14" + "TIT2\x00\x00\x00\x0a\x00\x00\x03a title  "
			}
			for len(f) >= left {
				io.WriteString(w, f[:left])
				io.WriteString(w, "\x02StreamTitle='J\xe4\xe4lautta';\x00\x00\x00\x00\x00\x00\x00\x00")
				f, left = f[left:], 8192
			}
			if _, err := io.WriteString(w, f); err != nil {
				return
			}
			left -= len(f)
			if i >= 40 && i%4 == 0 {
				w.(http.Flusher).Flush()
				time.Sleep(8 * 26122 * time.Microsecond)
			}
		}
	}))
	defer server.Close()
	stdout, stderr, code := probeSays(t, server.URL+"/live", "--for", "5s")
	if code != exitData || stderr != "" {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	_, wrong, _ := strings.Cut(stdout, "\nwrong:\n")
	problems := strings.Split(strings.TrimSpace(wrong), "\n")
	for i, want := range []string{
		"it is called audio/aac and is MPEG-1 Layer III",
		"% of the pace it is heard at",
		"there are tags of files between the frames (ID3v2.4, ",
		`titles are not UTF-8 ("Jäälautta", `,
		`a request with "Range: bytes=0-" is answered 416`,
	} {
		if i >= len(problems) || !strings.Contains(problems[i], want) {
			t.Errorf("%s is missing in\n%s", want, stdout)
		}
	}
	for _, want := range []string{"icy-br says 320 kbit/s, and the frames have 128", "there is no Access-Control-Allow-Origin"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%s is missing in\n%s", want, stdout)
		}
	}
}

// TestProbeTLS says what is wrong with a certificate.
func TestProbeTLS(t *testing.T) {
	t.Parallel()
	authority := pushtest.NewAuthority()
	frames, err := framesOf([]string{"testdata/mp3/cbr-noinfo-44100-stereo.mp3"})
	if err != nil {
		t.Fatal(err)
	}
	server := func(from, to time.Time, names ...string) string {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "audio/mpeg")
			w.Header().Set("Access-Control-Allow-Origin", "*")
			io.WriteString(w, strings.Repeat(strings.Join(frames, ""), 5))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}))
		pair, err := tls.X509KeyPair(authority.Issue(from, to, names...))
		if err != nil {
			t.Fatal(err)
		}
		s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		t.Cleanup(s.Close)
		return s.URL
	}
	now := time.Now()
	good, soon := server(now.Add(-time.Hour), now.Add(1000*time.Hour), "127.0.0.1"), server(now.Add(-time.Hour), now.Add(48*time.Hour), "127.0.0.1")
	old, foreign := server(now.Add(-48*time.Hour), now.Add(-time.Hour), "127.0.0.1"), server(now.Add(-time.Hour), now.Add(1000*time.Hour), "radio.example")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		url  string
		args string
		code int
		want string
	}{
		{good, "--ca CA", 0, "tls       TLS 1.3, certificate until "},
		{soon, "--ca CA", 0, "the server's certificate ends at "},
		{good, "", exitProtocol, "the server's certificate is signed by nobody this machine trusts; --ca FILE names who signed it"},
		{old, "--ca CA", exitProtocol, "the server's certificate expired at "},
		{foreign, "--ca CA", exitProtocol, "the server's certificate is not for 127.0.0.1 but for radio.example"},
		{old, "--insecure --ca CA", exitData, "players do not trust the server's certificate: certificate has expired"},
		{foreign, "--insecure --ca CA", exitData, "players do not trust the server's certificate: cannot validate certificate for 127.0.0.1"},
		{strings.Replace(good, "https", "http", 1), "", exitData, "400 Bad Request; is this the port of listeners, and does it expect https?"},
	} {
		t.Run(test.want, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(strings.ReplaceAll("--for 300ms --buffer 100ms "+test.args+" "+test.url, "CA", ca))
			stdout, stderr, code := probeSays(t, args...)
			if said := stdout + stderr; code != test.code || !strings.Contains(said, test.want) {
				t.Errorf("exit code %d: %s", code, said)
			}
		})
	}
}

// TestProbeErrors shows the exit code and the sentence for what cannot be listened to.
func TestProbeErrors(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var code int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &code); err == nil {
			w.WriteHeader(code)
			if code == http.StatusUnsupportedMediaType {
				io.WriteString(w, "it cannot be decoded\n")
			}
			return
		}
		w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		io.WriteString(w, "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n1.ts\n")
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	for _, test := range []struct {
		url  string
		code int
		want string
	}{
		{host + "/401", exitNoPerm, "401 Unauthorized; this mount wants a user and a password of listeners"},
		{"icecast://" + host + "/403", exitData, "403 Forbidden; the server does not let us listen"},
		{host + "/404", exitData, "404 Not Found; there is no such mount, or it has no source\n"},
		{host + "/502", exitData, "502 Bad Gateway; a proxy stands before the server"},
		{host + "/503", exitData, "503 Service Unavailable; nothing plays there yet, or the server is full"},
		{host + "/415", exitData, "415 Unsupported Media Type; it cannot be decoded\n"},
		{host + "/418", exitData, "418 I'm a teapot\n"},
		{host + "/hls.m3u8", exitData, "/hls.m3u8: it is HLS"},
		{"https://" + host + "/live", exitProtocol, "the server does not speak TLS on this port"},
		{"http://[", exitUsage, "this is no http or https URL"},
		{"http://user:s3cret@" + host + "/401", exitNoPerm, "icepush: http://" + host + "/401: 401 Unauthorized"},
	} {
		stdout, said, code := probeSays(t, test.url)
		if code != test.code || !strings.Contains(said, test.want) || strings.Contains(said, "s3cret") || stdout != "" {
			t.Errorf("%s: exit code %d: %s%s", test.url, code, said, stdout)
		}
	}
}
