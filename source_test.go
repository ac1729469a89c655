package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"icepush/frame"
	"icepush/push/pushtest"
)

// overhear joins a mount for some time and returns what it heard.
func overhear(t *testing.T, url string, long time.Duration) (h heard) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	req.Header.Set("Icy-MetaData", "1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return h
	}
	defer resp.Body.Close()
	every, _ := strconv.Atoi(resp.Header.Get("icy-metaint"))
	return hear(bufio.NewReader(resp.Body), every)
}

// statusOf returns the status of a station.
func statusOf(t *testing.T, base string) string {
	t.Helper()
	resp, err := http.Get(base + "status-json.xsl")
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

// TestSources has other programs, and icepush itself, take a mount over from the show for
// some seconds. A listener hears whole frames and the titles of both, without a break.
func TestSources(t *testing.T) {
	t.Parallel()
	const password = "s0urce"
	dir := t.TempDir()
	file := filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	piece, err := filepath.Abs("testdata/demo/03-pinguino-de-paseo.mp3")
	if err != nil {
		t.Fatal(err)
	}
	const own, show = "Keepalive Five - Pingüino de paseo", "The Ring Buffer Trio - Pebbles on the Quay"
	tests := []struct {
		program string
		args    string // URL is that of the mount, PIECE the file
		set     string // the title is set from outside
		want    string // a title
	}{
		{"ffmpeg", "-v error -re -i PIECE -map 0:a -c copy -f mp3 -id3v2_version 0 -write_xing 0 -content_type audio/mpeg icecast://source:" + password + "@HOST", "Ö by hand", "Ö by hand"},
		{"ffmpeg", "-v error -re -i PIECE -map 0:a -c:a libmp3lame -b:a 128k -f mp3 -content_type audio/mpeg -legacy_icecast 1 icecast://source:" + password + "@HOST", "Legacy", "Legacy"},
		{"ezstream", "-c CONF", "", own},
		{"curl", "-s -u source:" + password + " -T PIECE --limit-rate 17k http://HOST", "", ""},
		{"icepush", "PIECE --to icecast://source:" + password + "@HOST", "", own},
		{"icepush", "PIECE --protocol source --to icecast://source:" + password + "@HOST", "", own},
	}
	args := []string{"serve", "--loop", "--source-password-file", file}
	for i := range tests {
		args = append(args, "--mount", fmt.Sprintf("/m%d=testdata/demo/01-pebbles-on-the-quay.mp3", i))
	}
	base := serving(t, args...)
	for i, test := range tests {
		t.Run(fmt.Sprint(test.program, i), func(t *testing.T) {
			t.Parallel()
			mount := "m" + strconv.Itoa(i)
			host := strings.TrimPrefix(base, "http://")
			conf := filepath.Join(dir, mount+".xml")
			name, port, _ := strings.Cut(strings.TrimSuffix(host, "/"), ":")
			if err := os.WriteFile(conf, []byte(`<ezstream><servers><server><hostname>`+name+`</hostname><port>`+port+`</port><password>`+password+`</password><tls>none</tls></server></servers>
				<streams><stream><mountpoint>/`+mount+`</mountpoint><format>MP3</format></stream></streams>
				<intakes><intake><filename>`+piece+`</filename></intake></intakes></ezstream>`), 0o600); err != nil {
				t.Fatal(err)
			}
			var list []string
			for _, a := range strings.Fields(test.args) {
				list = append(list, strings.NewReplacer("PIECE", piece, "HOST", host+mount, "CONF", conf).Replace(a))
			}
			var cmd *exec.Cmd
			if test.program == "icepush" {
				cmd = icepush(t, list...)
			} else {
				program, err := exec.LookPath(test.program)
				if err != nil {
					if os.Getenv("CI") == "true" && test.program == "ffmpeg" {
						t.Fatal(err)
					}
					t.Skip(test.program + " is not installed")
				}
				cmd = exec.CommandContext(t.Context(), program, list...)
			}
			var said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &said, &said
			var h heard
			done := make(chan struct{})
			go func() {
				defer close(done)
				h = overhear(t, base+mount, 14*time.Second)
			}()
			time.Sleep(2 * time.Second)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				cmd.Process.Kill()
				cmd.Wait()
			}()
			if test.set != "" {
				ask := func() bool {
					req, _ := http.NewRequest(http.MethodGet, base+"admin/metadata?mode=updinfo&mount=/"+mount+"&song="+url.QueryEscape(test.set), nil)
					req.SetBasicAuth("source", password)
					resp, err := http.DefaultClient.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
					return resp.StatusCode == http.StatusOK
				}
				if !pushtest.Wait(ask) {
					t.Errorf("the title is not taken: %s", said.String())
				}
			}
			if test.want != "" && !pushtest.Wait(func() bool { return strings.Contains(statusOf(t, base), `"`+test.want+`"`) }) {
				t.Errorf("%q is not in %s\n%s", test.want, statusOf(t, base), said.String())
			}
			time.Sleep(5 * time.Second)
			cmd.Process.Kill()
			cmd.Wait()
			<-done
			fr := frame.NewReader(bytes.NewReader(h.audio))
			frames := 0
			for {
				_, err := fr.Next()
				for _, s := range fr.Skipped() {
					if s.Kind != frame.Truncated { // where the listener left
						t.Error(s)
					}
				}
				if err != nil {
					break
				}
				frames++
			}
			var titles []string
			for _, title := range h.titles {
				titles = append(titles, title.Text)
			}
			if audio := time.Duration(frames) * 1152 * time.Second / 44100; audio < 13*time.Second || audio > 22*time.Second {
				t.Errorf("%v of audio were heard in 14 s", audio)
			}
			last := len(titles) - 1
			if last < 2 || titles[0] != show || titles[last] != show || !slices.Contains(titles, test.want) {
				t.Errorf("the titles were %q\n%s", titles, said.String())
			}
		})
	}
}

// TestSourceAlone serves a mount that has nothing but a source.
func TestSourceAlone(t *testing.T) {
	t.Parallel()
	cmd := icepush(t, "serve", "--listen", "127.0.0.1:0")
	cmd.Env = append(cmd.Env, "ICEPUSH_SOURCE_PASSWORD=hackme")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	base := strings.TrimSpace(line)
	host := strings.TrimSuffix(strings.TrimPrefix(base, "http://"), "/")
	list, files, _ := shortDemo(t, 100)
	source := icepush(t, list, "--to", "icecast://"+host+"/live")
	if err := source.Start(); err != nil {
		t.Fatal(err)
	}
	if !pushtest.Wait(func() bool {
		resp, err := http.Head(base + "live")
		return err == nil && resp.StatusCode == http.StatusOK
	}) {
		t.Fatal("it does not play")
	}
	h := overhear(t, base+"live", 30*time.Second) // until the source has been away for ten seconds
	if err := source.Wait(); err != nil {
		t.Error(err)
	}
	if err := compareFrames(files, []pushtest.Stream{{Audio: h.audio}}); err != nil {
		t.Error(err)
	}
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil || !strings.Contains(said.String(), "off the air") {
		t.Errorf("%v\n%s", err, said.String())
	}
}
