package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serving starts a station and returns the URL it prints. It is ended, and has to end with
// exit code 0, when the test does.
func serving(t *testing.T, args ...string) (url string) {
	t.Helper()
	cmd := icepush(t, append(args, "--listen", "127.0.0.1:0")...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGINT)
		defer time.AfterFunc(20*time.Second, func() { cmd.Process.Signal(syscall.SIGQUIT) }).Stop()
		if err := cmd.Wait(); err != nil || !strings.Contains(said.String(), "off the air") {
			t.Errorf("%v\n%s", err, said.String())
		}
	})
	url, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	url = strings.TrimSpace(url)
	for range 100 {
		resp, err := http.Get(url + "healthz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return url
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("nothing plays at %s\n%s", url, said.String())
	return ""
}

// TestDemo is a newcomer's first look: the page, the stream, its WAV and links.
func TestDemo(t *testing.T) {
	t.Parallel()
	url := serving(t, "demo")
	for path, want := range map[string]string{
		"": "icepush demo", "live.m3u": url + "live", "status-json.xsl": `"server_name":"icepush demo"`,
	} {
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s: %.200s", path, resp.Status, body)
		}
	}
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), "icepush-demo*"))
	if len(left) == 0 {
		t.Error("the demo is nowhere")
	}
}

// TestPlayers has other programs play what is served, each for some seconds.
func TestPlayers(t *testing.T) {
	t.Parallel()
	mp3 := serving(t, "serve", "testdata/demo", "--loop")
	ogg := serving(t, "serve", "testdata/ogg/vorbis-44100-stereo.ogg", "--loop")
	aac := serving(t, "serve", "testdata/aac/lc-44100-stereo.aac", "--loop")
	for _, test := range []struct {
		program string
		args    string // URL is that of the stream
		urls    []string
		want    string
	}{
		{"ffmpeg", "-v error -t 3 -i URL -f null -", []string{mp3 + "live", ogg + "live", aac + "live", mp3 + "live.wav"}, ""},
		{"mpv", "--no-config --ao=null --length=3 --msg-level=all=error URL", []string{mp3 + "live", ogg + "live", aac + "live", mp3 + "live.wav", mp3 + "live.pls"}, ""},
		{"mpg123", "-q -n 100 -w /dev/null URL", []string{mp3 + "live"}, ""},
		{"curl", "-s -m 3 -o /dev/null -w %{http_code} URL", []string{mp3 + "live", ogg + "live", aac + "live", mp3 + "live.wav"}, "200"},
	} {
		for i, url := range test.urls {
			t.Run(fmt.Sprintf("%s %d %s", test.program, i, filepath.Base(url)), func(t *testing.T) {
				t.Parallel()
				program, err := exec.LookPath(test.program)
				if err != nil {
					t.Skip(test.program + " is not installed")
				}
				var args []string
				for _, a := range strings.Fields(test.args) {
					args = append(args, strings.ReplaceAll(a, "URL", url))
				}
				cmd := exec.Command("timeout", append([]string{"20", program}, args...)...)
				out, err := cmd.CombinedOutput()
				text := strings.TrimSpace(string(out))
				if test.program == "curl" {
					err = nil // it is meant to be cut off
				}
				if err != nil || text != test.want && !strings.Contains(text, "non monotonically") {
					t.Errorf("%v: %s", err, text)
				}
			})
		}
	}
}
