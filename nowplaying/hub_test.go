package nowplaying

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"icepush/frame"
	"icepush/track"
)

// next returns the next message of a subscription.
func next(t *testing.T, s *Subscription) Message {
	t.Helper()
	e, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, e.Data)
}

func decode(t *testing.T, data []byte) (m Message) {
	t.Helper()
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	if m.Version != 1 || m.ID == "" || m.Time.IsZero() {
		t.Fatalf("%s", data)
	}
	return m
}

// playing has a hub told of a track.
func playing(h *Hub, mount, text string) {
	h.Update(mount, func(m *Mount) {
		m.State = Playing
		m.Track = &Track{Text: text, StartedAt: time.Now()}
	})
}

// titles returns what a message says that plays, mount by mount.
func titles(m Message) string {
	var all []string
	for _, mount := range m.Mounts {
		text := ""
		if mount.Track != nil {
			text = mount.Track.Text
		}
		all = append(all, mount.Mount+"="+text)
	}
	return m.Type + " " + strings.Join(all, " ")
}

func expect(t *testing.T, m Message, want string) {
	t.Helper()
	if got := titles(m); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h Hub
		playing(&h, "/a", "one")
		playing(&h, "/b", "eins")
		all, some, none := h.Subscribe(""), h.Subscribe("", "/b"), h.Subscribe("", "/c")
		expect(t, next(t, all), "snapshot /a=one /b=eins")
		expect(t, next(t, some), "snapshot /b=eins")
		expect(t, next(t, none), "snapshot ")

		playing(&h, "/a", "two")
		expect(t, next(t, all), "change /a=two")

		// Who is slow gets what is, and not what was in between.
		playing(&h, "/a", "three")
		playing(&h, "/b", "zwei")
		playing(&h, "/a", "four")
		m := next(t, all)
		expect(t, m, "change /a=four /b=zwei")
		if got := fmt.Sprint(m.Mounts[0].History[0].Text, m.Mounts[0].History[1].Text, m.Mounts[0].History[2].Text); got != "threetwoone" {
			t.Error("history", got)
		}
		expect(t, next(t, some), "change /b=zwei")

		// Where nothing changes there is a heartbeat.
		began := time.Now()
		expect(t, next(t, some), "position /b=")
		if got := time.Since(began); got > heartbeat || got <= heartbeat-spread {
			t.Error("heartbeat after", got)
		}
		expect(t, next(t, none), "position ") // another mount's changes are none of its

		// Position and listeners are no change, and what is said again is none.
		n := 7
		h.Update("/b", func(m *Mount) { m.Listeners = &n; m.SetPosition(time.Second, time.Minute) })
		h.Update("/b", func(*Mount) {})
		began = time.Now()
		m = next(t, some)
		expect(t, m, "position /b=")
		if at := time.Second + time.Since(began).Round(time.Millisecond); *m.Mounts[0].Listeners != 7 || time.Duration(*m.Mounts[0].Position).Round(time.Millisecond) != at {
			t.Errorf("%+v, want %v", m.Mounts[0], at)
		}

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := some.Next(ctx); err == nil {
			t.Error("it waits for ever")
		}
	})
}

// TestLast is who was here before, and says what it knows.
func TestLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h Hub
		playing(&h, "/a", "one")
		playing(&h, "/b", "eins")
		known := h.ID()
		playing(&h, "/b", "zwei")
		expect(t, next(t, h.Subscribe(known)), "change /b=zwei")
		for _, last := range []string{"", "x", "x-1", known + "9999", strings.TrimRight(known, "0123456789") + "-5"} {
			expect(t, next(t, h.Subscribe(last)), "snapshot /a=one /b=zwei")
		}
	})
}

// TestBounds has a hub told too much.
func TestBounds(t *testing.T) {
	h := Hub{History: 3}
	for i := range 2 * maxMounts {
		playing(&h, fmt.Sprint("/", i), "x")
	}
	if got := len(h.Mounts()); got != maxMounts {
		t.Error(got, "mounts")
	}
	for i := range 10 {
		playing(&h, "/1", fmt.Sprint(i, strings.Repeat("x", 5000), "\x00\x1b[31m<b>\u202e"))
	}
	m := h.Mounts("/1")[0]
	if len(m.History) != 3 || len(m.Track.Text) > 1000 || strings.ContainsAny(m.Track.Text, "\x00\x1b") {
		t.Errorf("%d tracks, %q", len(m.History), m.Track.Text)
	}
	none := Hub{History: -1}
	playing(&none, "/a", "one")
	playing(&none, "/a", "two")
	if m := none.Mounts()[0]; len(m.History) != 0 {
		t.Error(m.History)
	}
}

// TestNames has mounts called what cannot be, more of them than there may be, and pages
// ask for some of them.
func TestNames(t *testing.T) {
	var h Hub
	for _, name := range []string{"", "/a\rb", "/a\x00b", "/a\xff", "/\u202e", "/" + strings.Repeat("x", 1000)} {
		if h.Update(name, func(m *Mount) { m.State = Playing }) {
			t.Errorf("%q is taken for a name", name)
		}
	}
	for i := range maxMounts {
		playing(&h, fmt.Sprint("/", i), "x")
	}
	if h.Update("/new", func(m *Mount) { m.State = Playing }) {
		t.Error("one too many")
	}
	h.Update("/5", func(m *Mount) { m.State = Off })
	h.Update("/7", func(m *Mount) { m.State = Unknown })
	playing(&h, "/new", "y") // takes the place of what is off
	if got := len(h.Mounts("/5")) + len(h.Mounts("/new", "/7")); got != 2 || len(h.Mounts()) != maxMounts {
		t.Error(got, len(h.Mounts()))
	}
	expect(t, decode(t, h.Snapshot("/1 /2").Data), "snapshot ")
	expect(t, decode(t, h.Snapshot("/1", "/2").Data), "snapshot /1=x /2=x")
}

// TestLongTitle is told of once, though it had to be cut.
func TestLongTitle(t *testing.T) {
	var h Hub
	s := h.Subscribe("")
	next(t, s)
	for range 5 {
		h.Update("/a", func(m *Mount) { m.plays(strings.Repeat("x", 999)+" and more", true) })
	}
	if m := next(t, s).Mounts[0]; len(m.History) > 0 {
		t.Errorf("%+v", m.History)
	}
}

// TestFeed plays tracks: a title is told of with the first frame of its track, and positions
// go with the clock.
func TestFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h Hub
		f := Feed{Hub: &h, Name: "/live"}
		second := []frame.Frame{{Header: frame.Header{Samples: 44100, SampleRate: 44100}}}
		s := h.Subscribe("")
		expect(t, next(t, s), "snapshot ")
		f.Play(track.Info{StreamTitle: "A - B (live)", Artist: "A", Title: "B", Album: "C", Duration: 2 * time.Second})
		if got := h.Mounts(); len(got) != 0 {
			t.Error("it is told of before it plays:", got)
		}
		began := time.Now()
		f.Send(second)
		m := next(t, s).Mounts[0]
		if m.State != Playing || m.Track.Artist != "A" || m.Track.Album != "C" || !m.Track.StartedAt.Equal(began) || *m.Position != 0 {
			t.Errorf("%+v %+v", m, m.Track)
		}
		time.Sleep(time.Second)
		f.Send(second)
		time.Sleep(time.Second / 2)
		if m := h.Mounts()[0]; time.Duration(*m.Position) != 1500*time.Millisecond {
			t.Error(time.Duration(*m.Position))
		}
		f.Play(track.Info{StreamTitle: "Station", Artist: "A", Title: "B", Continued: true}) // another title is shown
		f.Send(second)
		m = next(t, s).Mounts[0]
		if m.Track.Artist != "" || m.Track.Title != "" || *m.Position != 0 || m.Track.Duration != 0 || m.History[0].Text != "A - B (live)" {
			t.Errorf("%+v %+v", m, m.Track)
		}
		time.Sleep(time.Minute) // nothing is sent: the position stands
		if m := h.Mounts()[0]; time.Duration(*m.Position) != time.Second+patience {
			t.Error(time.Duration(*m.Position))
		}
		f.Play(track.Info{StreamTitle: "A - B", Artist: "A", Title: "B", Duration: 5 * time.Second, Continued: true}) // its own again
		f.Send(second)
		if m := next(t, s).Mounts[0]; time.Duration(*m.Position) != 3*time.Second || m.Track.Duration == 0 {
			t.Errorf("%+v %v", m.Track, time.Duration(*m.Position))
		}
		f.Play(track.Info{Continued: true}) // none is shown
		f.Send(second)
		if m := next(t, s).Mounts[0]; m.Track != nil {
			t.Errorf("%+v", m.Track)
		}
		f.OnAir = func() bool { return false }
		f.Look()
		if m := next(t, s).Mounts[0]; m.State != Off {
			t.Error(m.State)
		}
	})
}
