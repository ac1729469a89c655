package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"icepush/control"
	"icepush/push"
	"icepush/push/pushtest"
	"icepush/serve"
)

// fakeIcecast runs one and returns its address.
func fakeIcecast(t *testing.T) (server *pushtest.Server, address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server = &pushtest.Server{Password: "hackme"}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	t.Cleanup(func() {
		l.Close()
		server.Break(false)
		serving.Wait()
	})
	return server, l.Addr().String()
}

// titlesOf returns the titles of the first stream.
func titlesOf(server *pushtest.Server) (titles []string) {
	if streams := server.Streams(); len(streams) > 0 {
		for _, title := range streams[0].Titles {
			titles = append(titles, title.Text)
		}
	}
	return titles
}

// played is a line of the as-run log, as somebody else reads it.
type played struct {
	Start, End, Target, Path, Fate string
	Frames, Sent, Acknowledged     int
}

// readAsRun returns the lines of an as-run log.
func readAsRun(t *testing.T, name string) (lines []played) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(bytes.NewReader(b)); ; {
		var line played
		if err := d.Decode(&line); err == io.EOF {
			return lines
		} else if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
}

// TestControlSecrets looks for passwords and the token in all that a running icepush tells.
func TestControlSecrets(t *testing.T) {
	t.Parallel()
	const token, userinfo = "Abracadabra-and-so-on", "Mellon-friend"
	server, address := fakeIcecast(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	where := free.Addr().String()
	free.Close()
	asRun := filepath.Join(t.TempDir(), "as-run.jsonl")
	cmd := icepush(t, "testdata/demo", "--loop", "--to", "icecast://"+address+"/live", "--to", "icecast://source:"+userinfo+"@"+address+"/other",
		"--control", where, "--as-run", asRun, "--verbose")
	cmd.Env = append(cmd.Env, "ICEPUSH_CONTROL_TOKEN="+token)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, body, token string) string {
		req, err := http.NewRequest(method, "http://"+where+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return string(b)
	}
	var told []string
	if !pushtest.Wait(func() bool { return strings.Contains(ask("GET", "/status", "", token), `"state":"given up"`) }) {
		t.Error(ask("GET", "/status", "", token))
	}
	for _, path := range []string{"/status", "/next", "/metrics", "/healthz", "/nothing"} {
		told = append(told, ask("GET", path, "", token), ask("GET", path, "", token+token))
	}
	told = append(told, ask("POST", "/queue", `{"files": ["http://user:`+userinfo+`@`+address+`/a.mp3", "http://user:`+userinfo+`@no-such-host.invalid/"]}`, token),
		ask("GET", "/next", "", token), ask("GET", "/status", "", token), ask("POST", "/skip", "", token))
	pushtest.Wait(func() bool { return len(titlesOf(server)) > 1 })
	ask("POST", "/stop", "", token)
	cmd.Wait()
	b, _ := os.ReadFile(asRun)
	told = append(told, string(b), said.String())
	if len(b) == 0 || !strings.Contains(told[0], `"on_air":true`) {
		t.Errorf("too little is told:\n%s", told)
	}
	for _, text := range told {
		for _, leak := range []string{token, "Abracadabra", userinfo, "Mellon", "hackme", "c291cmNlOk1lbGxvbi1mcmllbmQ"} {
			if strings.Contains(text, leak) {
				t.Errorf("%s is told: %s", leak, text)
			}
		}
	}
}

// TestDashboard looks whether all that deploy/grafana.json shows is there, and promtool has
// nothing to say against the metrics.
func TestDashboard(t *testing.T) {
	r := &remote{shows: []*desk{{}}, sources: []*push.Source{{Mount: push.Mount{Host: "radio.example:8000", Path: "/live"}}}}
	mount := &serve.Mount{Path: "/live"}
	w := httptest.NewRecorder()
	control.Metrics(r, push.Reasons, (&serve.Server{Mounts: []*serve.Mount{mount}}).Collector()).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	b, err := os.ReadFile("deploy/grafana.json")
	if err != nil || !json.Valid(b) {
		t.Fatal("the dashboard is no JSON", err)
	}
	for _, name := range regexp.MustCompile(`(icepush|process|go)_[a-z_]+`).FindAllString(string(b), -1) {
		name = strings.TrimSuffix(name, "_bucket")
		if !strings.Contains(text, "# TYPE "+name+" ") {
			t.Errorf("%s is not told", name)
		}
	}
	if !strings.Contains(text, `icepush_target_reconnects_total{reason="dead line",target="http://radio.example:8000/live"} 0`) {
		t.Error(text)
	}
	cmd := exec.Command(installed(t, "prometheus", "promtool"), "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}
