package nowplaying

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeIcecast answers as an Icecast does.
type fakeIcecast struct {
	mu     sync.Mutex
	status string // JSON of the sources; "404", or "down"
	asked  atomic.Int64
}

func (f *fakeIcecast) set(status string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = status
}

func (f *fakeIcecast) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.asked.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	user, password, _ := r.BasicAuth()
	switch {
	case f.status == "down":
		panic(http.ErrAbortHandler)
	case f.status == "404" && r.URL.Path == "/admin/stats" && user == "admin" && password == "s3cret":
		fmt.Fprint(w, `<icestats><source mount="/kh"><title>K - H</title></source></icestats>`)
	case f.status == "404" || r.URL.Path != "/status-json.xsl":
		http.NotFound(w, r)
	default:
		fmt.Fprintf(w, `{"icestats":{"server_id":"Icecast 2.4.4"%s}}`, f.status)
	}
}

func iceSourceJSON(path, title string) string {
	return fmt.Sprintf(`,"source":{"listenurl":"http://elsewhere:8000%s","server_name":"Name","listeners":3,"title":%s}`, path, title)
}

// watching runs a watcher inside of a bubble, at a server that is in it, too.
func watching(t *testing.T, f *fakeIcecast, w *Watcher) (h *Hub, log *strings.Builder, end func()) {
	l := newPipes()
	server := &http.Server{Handler: f, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	var running sync.WaitGroup
	running.Go(func() { server.Serve(l) })
	h = &Hub{}
	log = &strings.Builder{}
	w.Hub, w.Log = h, slog.New(slog.NewTextHandler(log, nil))
	w.dial = l.dial
	ctx, cancel := context.WithCancel(t.Context())
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return h, log, func() {
		cancel()
		server.Close()
		running.Wait()
	}
}

// TestWatcher goes through what servers do in a day: each change is told once, none is
// invented, and each interval brings one question.
func TestWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeIcecast{status: iceSourceJSON("/a", `"one"`)}
		h, log, end := watching(t, f, &Watcher{URL: "http://icecast:8000"})
		s := h.Subscribe("")
		changes := func() (all []string) { // of half an hour
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
			defer cancel()
			for {
				e, err := s.Next(ctx)
				if err != nil {
					return all
				}
				if m := decode(t, e.Data); m.Type == Change {
					for _, mount := range m.Mounts {
						text := ""
						if mount.Track != nil {
							text = mount.Track.Text
						}
						all = append(all, strings.TrimPrefix(mount.Mount, "http://icecast:8000")+" "+string(mount.State)+" "+text)
					}
				}
			}
		}
		for _, step := range []struct{ name, status, want string }{
			{"the first look", "", "/a playing one"},
			{"nothing new", "", ""},
			{"another title", iceSourceJSON("/a", `"two"`), "/a playing two"},
			{"one more mount", `,"source":[{"listenurl":"http://x/a","server_name":"Name","title":"two"},{"listenurl":"http://x/b","title":"x"}]`, "/b playing x"},
			{"a name that breaks the JSON", `,"source":[{"listenurl":"http://x/a","server_name":"Name","title":"two"},{"listenurl":"http://x/b","genre":-,"title":"y"}]`, "/b playing y"},
			{"gone", iceSourceJSON("/a", `"two"`), "/b off y"},
			{"restarted: no source yet", ``, "/a off two"},
			{"the source is back and says nothing yet", iceSourceJSON("/a", `null`), "/a playing "},
			{"it says what it said", iceSourceJSON("/a", `"two"`), "/a playing two"},
			{"down", "down", "/a unknown two|/b unknown y"},
			{"up", iceSourceJSON("/a", `"two"`), "/a playing two|/b off y"},
			{"garbage", "}", "/a unknown two|/b unknown y"},
			{"up with another title", iceSourceJSON("/a", `"three"`), "/a playing three|/b off y"},
		} {
			if step.name != "the first look" && step.name != "nothing new" {
				f.set(step.status)
			}
			if got := strings.Join(changes(), "|"); got != step.want {
				t.Errorf("%s: %q, want %q", step.name, got, step.want)
			}
		}
		m := h.Mounts()[0]
		var before []string
		for _, track := range m.History {
			before = append(before, track.Text)
		}
		if got := strings.Join(before, " "); got != "two one" {
			t.Errorf("history: %s", got)
		}
		if *m.Listeners != 3 || m.ListenURL != "http://icecast:8000/a" || m.Name != "Name" {
			t.Errorf("%+v", m)
		}
		asked := f.asked.Load()
		changes()
		if got := f.asked.Load() - asked; got < 330 || got > 395 {
			t.Errorf("asked %d times in 30 minutes, want 360, give or take", got)
		}
		end()
		if n := strings.Count(log.String(), "answers again"); n != 2 {
			t.Errorf("%d times back:\n%s", n, log)
		}
		if n := strings.Count(log.String(), "does not tell"); n < 6 || n > 8 { // at once, and every ten minutes
			t.Errorf("it is said %d times that it is down:\n%s", n, log)
		}
	})
}

func TestWatcherAdmin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log, end := watching(t, &fakeIcecast{status: "404"}, &Watcher{URL: "http://admin:s3cret@icecast:8000"})
		time.Sleep(time.Minute)
		if m := h.Mounts(); len(m) != 1 || m[0].Mount != "http://icecast:8000/kh" || m[0].Track.Text != "K - H" {
			t.Errorf("%+v", m)
		}
		end()
		if strings.Contains(log.String(), "s3cret") {
			t.Error(log)
		}
		_, log, end = watching(t, &fakeIcecast{status: "404"}, &Watcher{URL: "icecast://icecast", Mounts: []string{"/x"}})
		time.Sleep(time.Minute)
		end()
		if !strings.Contains(log.String(), "404 Not Found; give the admin's") {
			t.Error(log)
		}
	})
}

func TestWatcherCheck(t *testing.T) {
	for url, want := range map[string]string{
		"http://h":                       "http://h/status-json.xsl []",
		"https://h:8443/":                "https://h:8443/status-json.xsl []",
		"icecast://h/live":               "http://h:8000/status-json.xsl [/live]",
		"icecasts://u:p@[::1]:1/a":       "https://[::1]:1/status-json.xsl [/a]",
		"http://h/radio/status-json.xsl": "http://h/radio/status-json.xsl []",
		"ftp://h":                        "",
		"h":                              "",
		"http://u:s3cret@h:port":         "",
		"http://user:s3cret%zz@h":        "",
		"nonsense://user:s3cret@radio.example:80": "",
	} {
		w := &Watcher{URL: url}
		err := w.Check()
		if want == "" {
			if err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: %v", url, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", url, err)
		} else if got := fmt.Sprint(w.status, " ", w.Mounts); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
	for _, path := range []string{"live", "", "/a\x00"} {
		if (&Watcher{URL: "http://h", Mounts: []string{path}}).Check() == nil {
			t.Errorf("%q is taken for a mount", path)
		}
	}
	if w := (&Watcher{URL: "http://u:p@h/50%25%20x"}); w.Check() != nil || w.at(w.Mounts[0]).String() != "http://h/50%25%20x" {
		t.Error(w.Mounts, w.base)
	}
	if (&Watcher{URL: "http://h", Follow: true}).Check() == nil {
		t.Error("nobody knows what is to be followed")
	}
}

// TestFollow joins a mount that says titles, breaks, comes back in the past, and ends.
func TestFollow(t *testing.T) {
	t.Parallel()
	stage := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var titles []string
		select {
		case s := <-stage:
			titles = strings.Split(s, "|")
		default:
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "audio/mpeg")
		w.Header().Set("icy-name", "Näme")
		w.Header().Set("icy-metaint", "16")
		out := http.NewResponseController(w)
		for _, title := range titles {
			if title == "pause" { // the burst is over
				for range 20 {
					w.Write(append(make([]byte, 16), 0))
					out.Flush()
					time.Sleep(settles / 15)
				}
				continue
			}
			block := make([]byte, 16+1+64)
			block[16] = 4
			copy(block[17:], "StreamTitle='"+title+"';")
			w.Write(block)
			out.Flush()
		}
	}))
	defer server.Close()
	var h Hub
	w := &Watcher{URL: server.URL + "/live", Follow: true, Interval: time.Second, Hub: &h, Log: slog.New(slog.DiscardHandler)}
	stage <- "old|one|pause|two|K\xf6ln|pause"
	stage <- "one|two|Köln|pause|<b>three</b>|pause"
	ctx, cancel := context.WithCancel(t.Context())
	s := h.Subscribe("")
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	var got []string
	for len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "off") {
		e, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if m := decode(t, e.Data); len(m.Mounts) > 0 && m.Type != Position {
			said := string(m.Mounts[0].State)
			if m.Mounts[0].Track != nil {
				said += " " + m.Mounts[0].Track.Text
			}
			got = append(got, said)
		}
	}
	cancel()
	running.Wait()
	want := "playing|playing one|playing two|playing Köln|playing <b>three</b>|off <b>three</b>"
	if all := strings.Join(got, "|"); strings.Replace(all, "playing two|", "", 1) != strings.Replace(want, "playing two|", "", 1) {
		t.Errorf("%s, want %s", all, want) // "two" may be over before it is looked at
	}
}
