package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestBrowser has Chromium play what is served, from a page of another origin: MP3, AAC, Ogg
// and WAV are heard within two seconds of the page being opened.
func TestBrowser(t *testing.T) {
	t.Parallel()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	mp3 := serving(t, "demo")
	ogg := serving(t, "serve", "testdata/ogg/vorbis-44100-stereo.ogg", "--loop")
	aac := serving(t, "serve", "testdata/aac/lc-44100-stereo.aac", "--loop")
	for _, url := range []string{mp3 + "live", mp3 + "live.wav", ogg + "live", aac + "live"} {
		heard := make(chan string, 10)
		page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				b, _ := io.ReadAll(io.LimitReader(r.Body, 1000))
				select {
				case heard <- string(b):
				default:
				}
				return
			}
			fmt.Fprintf(w, `<!DOCTYPE html><audio id=a crossorigin src=%q></audio><script>
				const say = text => fetch("/", {method: "POST", body: text});
				a.ontimeupdate = () => { if (a.currentTime > 0.5) { a.ontimeupdate = null; say("heard " + Math.round(performance.now())) } };
				a.onerror = () => say("error " + a.error.message);
				a.play(); // as by the button; autoplay waits until it thinks it need never wait
			</script>`, url)
		}))
		cmd := exec.Command("timeout", "40", chromium, "--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required",
			"--user-data-dir="+t.TempDir(), "--remote-debugging-port=0", page.URL)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case said := <-heard:
			var ms int
			if _, err := fmt.Sscanf(said, "heard %d", &ms); err != nil {
				t.Errorf("%s: %s", url, said)
			}
			t.Logf("%s: %s ms after the page was opened", strings.TrimPrefix(url, "http://"), strings.TrimPrefix(said, "heard "))
		case <-time.After(35 * time.Second):
			t.Errorf("%s is not heard", url)
		}
		cmd.Process.Kill()
		cmd.Wait()
		page.Close()
	}
}
