package nowplaying

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestReadStatus(t *testing.T) {
	source := func(fields string) string {
		return `{"icestats":{"server_id":"Icecast 2.4.4","source":{"listenurl":"http://h:8000/a","title":` + fields + `,"dummy":null}}}`
	}
	for _, test := range []struct{ name, status, want string }{
		{"no source", `{"icestats":{"admin":"x","dummy":null}}`, ""},
		{"one", source(`"A - B"`), "/a A - B"},
		{"several", `{"icestats":{"source":[{"listenurl":"http://h/a","title":"x"},{"listenurl":"http://h:1/b"},{"listenurl":"http://h/c.ogg","artist":"A","title":"T"}]}}`, "/a x|/b |/c.ogg A/T"},
		{"a number", source(`123`), "/a 123"},
		{"a truth", source(`true`), "/a true"},
		{"nothing", source(`null`), "/a "},
		{"a dash", source(`-`), "/a -"},
		{"a dash between blanks", source(` - `), "/a -"},
		{"a number that is none", source(`1.`), "/a 1."},
		{"and others", source(`.5`), "/a .5"},
		{"", source(`-.5`), "/a -.5"},
		{"", source(`-05`), "/a -05"},
		{"control characters", source("\"a\tb\x01\nc\""), "/a a\tb\x01\nc"},
		{"quotes", source(`"say \"x\" \\"`), `/a say "x" \`},
		{"Latin-1", source("\"K\xf6ln\""), "/a Köln"},
		{"UTF-8 as Latin-1", source(`"KÃ¶ln"`), "/a Köln"},
		{"a bad name beside a good title", `{"icestats":{"source":{"listenurl":"http://h/a","server_name":-,"genre":1.,"title":"x"}}}`, "/a x"},
		{"2.5", `{"icestats":{"modules":{"x":1},"authentication":null,"source":{"listenurl":"http://h/a","allow-direct-access":true,"playlist":{"title":null,"trackList":[{"title":"x"}]},"metadata":{"a":"b"},"title":"A - B"}}}`, "/a A - B"},
		{"an array in place of a text", source(`["x"]`), "/a "},
		{"a host that is none", `{"icestats":{"source":[{"listenurl":"http://::1:8000/a","title":"x"},{"listenurl":"http://my radio:8000/100%","title":"y"},{"listenurl":"http://h/a%0db","title":"z"}]}}`, "/a x|/100% y"},
		{"no URL", `{"icestats":{"source":[{"title":"x"},{"listenurl":"http://h"},null]}}`, ""},
	} {
		mounts, err := readStatus([]byte(test.status))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var got []string
		for _, m := range mounts {
			if m.Artist != "" {
				m.Title = m.Artist + "/" + m.Title
			}
			got = append(got, m.Path+" "+m.Title)
		}
		if strings.Join(got, "|") != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	for _, status := range []string{"", "<html>", "[]", "{}", "null", `{"icestats":`, `{"icestats":7}`, "\x00"} {
		if mounts, err := readStatus([]byte(status)); err == nil {
			t.Errorf("%q is taken for a status: %v", status, mounts)
		}
	}
}

func TestReadStats(t *testing.T) {
	mounts, err := readStats([]byte(`<?xml version="1.0"?><icestats><admin>x</admin><source mount="/a"><artist>A</artist><title>T &amp; U</title><listeners>3</listeners></source><source mount="/b"/></icestats>`))
	if err != nil || len(mounts) != 2 || mounts[0].Title != "T & U" || *mounts[0].Listeners != 3 || mounts[1].Path != "/b" {
		t.Error(mounts, err)
	}
	if _, err := readStats([]byte("<html><body>x")); err == nil {
		t.Error("a page is taken for statistics")
	}
}

// FuzzReadStatus: what is right stays as it is, and what is mended once need not be again.
func FuzzReadStatus(f *testing.F) {
	f.Add([]byte(`{"icestats":{"source":{"listenurl":"http://h/a","title": - ,"x":"\u00e4` + "\x01\xff" + `"}}}`))
	f.Add([]byte(`{"icestats":{"source":[{"listenurl":"/a","title":1e5,"listeners":-1},null,7]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		mended := mendJSON(b)
		if json.Valid(b) && bytes.Equal(bytes.ToValidUTF8(b, nil), b) && !bytes.Equal(mended, b) {
			t.Errorf("%q becomes %q", b, mended)
		}
		if again := mendJSON(mended); json.Valid(mended) && !bytes.Equal(again, mended) {
			t.Errorf("%q becomes %q", mended, again)
		}
		mounts, _ := readStatus(b)
		var h Hub
		for _, m := range mounts {
			h.Update(m.Path, func(to *Mount) { to.plays(m.Title, true) })
		}
		if e := h.Snapshot(); !json.Valid(e.Data) {
			t.Errorf("%s", e.Data)
		}
	})
}
