package nowplaying

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browser starts a real one, headless.
func browser(t *testing.T) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is not installed")
		}
		t.Skip("chromium is not installed (Debian: apt-get install chromium)")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// page is what a station pastes into its own page, and more.
const page = `<!DOCTYPE html><meta charset="utf-8"><title>A page</title>
<icepush-now mount="/live"><b data-now="text"></b> <i data-now="artist"></i> <span data-now="clock"></span>
<img data-now="artwork"><ol data-now="history" data-most="3"></ol></icepush-now>
<script type="module" src="/icepush-now.js"></script>`

// hostile are titles that somebody may try.
var hostile = []string{
	`"quotes" & 'apostrophes' <`,
	`<script>document.title = "broken"</script>`,
	`<img src=x onerror="document.title='broken'">`,
	`</b></icepush-now><h1>x`,
	`{{.}} ${1+1} \u0041 %s`,
	"🎧 Ünïcödé 日本語 👩‍👩‍👧",
	"עברית – عربى \u202etxet",
	strings.Repeat("4 kB ", 820),
}

// TestHostile has a page shown what is meant to break it.
func TestHostile(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	h := &Handler{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.Serve(ctx, w, r) {
			fmt.Fprint(w, page)
		}
	}))
	defer server.Close()
	playing(&h.Hub, "/live", "first")
	await := func(condition, arg string) {
		t.Helper()
		if err := until(ctx, condition, arg); err != nil {
			t.Fatal(err)
		}
	}
	evaluate := func(expression string) string {
		t.Helper()
		value, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression))
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL)); err != nil {
		t.Fatal(err)
	}
	const shows = `document.querySelector("b").textContent === arg`
	await(shows, "first")
	for _, title := range append(hostile, "last") {
		h.Hub.Update("/live", func(m *Mount) {
			m.Track = &Track{Text: title, Artist: title, Artwork: "javascript:" + title, StartedAt: time.Now()}
		})
		want := h.Hub.Mounts()[0].Track.Text
		if !strings.HasPrefix(title, want) {
			t.Errorf("%q becomes %q", title, want)
		}
		await(shows, want)
		shown := evaluate(`document.title + " " + document.querySelectorAll("h1, icepush-now script, li *, b *, i *").length + " " + document.querySelector("img").hidden`)
		if shown != "A page 0 true" {
			t.Errorf("%q: %s", title, shown)
		}
	}
	shown := evaluate(`document.querySelectorAll("li").length + document.querySelector("li").textContent`)
	if want := "3" + h.Hub.Mounts()[0].History[0].Text; shown != want {
		t.Errorf("%q, want %q", shown, want)
	}
	h.Hub.Update("/live", func(m *Mount) {
		m.Track = &Track{Text: "x", Artwork: server.URL + "/a.png"}
	})
	await(`document.querySelector("img").src === arg && !document.querySelector("img").hidden`, server.URL+"/a.png")
}

// until waits until a condition of JavaScript about arg holds on the page.
func until(ctx context.Context, condition, arg string) (err error) {
	for range 5 {
		_, err = chromedp.Run(ctx, chromedp.PollFunction[bool]("arg => "+condition, chromedp.WithPollingArgs(arg), chromedp.WithPollingTimeout(25*time.Second)))
		if err == nil || !strings.Contains(err.Error(), "Cannot find context") { // of a page that has been left
			break
		}
	}
	return err
}

// TestFallback takes from a page one way after the other, and gives them back.
func TestFallback(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	h := &Handler{}
	type stage struct {
		context.Context
		broken string
	}
	var now atomic.Pointer[stage]
	asked := make(chan string, 1000)
	var taken sync.Map // connections that have become WebSockets
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := now.Load()
		if strings.Contains(now.broken+" ", r.URL.Path+" ") {
			http.Error(w, "no", http.StatusBadGateway)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/nowplaying") {
			asked <- r.URL.Path
		}
		if !h.Serve(now, w, r) {
			fmt.Fprint(w, page)
		}
	}))
	server.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateHijacked {
			taken.Store(c, true)
		}
	}
	server.Start()
	defer server.Close()
	next := func(broken string) (end func()) {
		ctx, cancel := context.WithCancel(ctx)
		now.Store(&stage{ctx, broken})
		return func() {
			cancel()
			taken.Range(func(c, _ any) bool {
				c.(net.Conn).Close()
				return true
			})
		}
	}
	end := next("")
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL)); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ broken, way string }{
		{"", "/nowplaying"},
		{"/nowplaying", "/nowplaying/events"},
		{"/nowplaying /nowplaying/events", "/nowplaying.json"},
		{"", "/nowplaying"}, // asking is given up after a minute; a page that is looked at again does not wait
	} {
		if before := end; step.broken != "" {
			end = next(step.broken)
			before()
		} else {
			end()
			end = next("")
			if err := chromedp.Do(ctx, chromedp.Reload()); err != nil {
				t.Fatal(err)
			}
		}
		for {
			select {
			case way := <-asked:
				if way != step.way {
					continue
				}
			case <-ctx.Done():
				t.Fatal(step.way, " is not tried")
			}
			break
		}
		title := "by way of " + step.way + step.broken
		playing(&h.Hub, "/live", title)
		if err := until(ctx, `document.querySelector("b").textContent === arg && !document.querySelector("[data-offline]")`, title); err != nil {
			t.Fatal(step, err)
		}
	}
	end()
}
