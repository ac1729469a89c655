package push

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestParseURL shows what a URL says, and that a password is never repeated.
func TestParseURL(t *testing.T) {
	for _, test := range []struct {
		url, host, path, user, password, err string
		tls                                  bool
		protocol                             Protocol
	}{
		{url: "icecast://source:hackme@radio.example:8010/live", host: "radio.example:8010", path: "/live", user: "source", password: "hackme"},
		{url: "http://localhost", host: "localhost:8000"},
		{url: "http://localhost:9/", host: "localhost:9"},
		{url: "icecast://:a%40b%3A%2F%25@[::1]/x.mp3", host: "[::1]:8000", path: "/x.mp3", password: "a@b:/%"},
		{url: "icecasts://source:hackme@h/live", host: "h:8443", path: "/live", user: "source", password: "hackme", tls: true},
		{url: "https://h/live", host: "h:443", path: "/live", tls: true},
		{url: "icy://:hackme@h", host: "h:8000", password: "hackme", protocol: ICY},
		{url: "icecast://source:top%secret@h/live", err: "icecast://h/live: this is not a URL (a %, @, : or / in a password is written %25, %40, %3A, %2F)"},
		{url: "icecast://source:top/secret@h:8000/live", err: "icecast://h:8000/live: this is not a URL (a %, @, : or / in a password is written %25, %40, %3A, %2F)"},
		{url: "icecast://source:123/top@h:8000/live", err: "icecast://h:8000/live: this is not a URL (a %, @, : or / in a password is written %25, %40, %3A, %2F)"},
		{url: "radio.example/live", err: "radio.example/live: a URL begins with icecast:// or icecasts://"},
		{url: "ftp://source:topsecret@h/live", err: "ftp://h/live: icepush does not know ftp://, only icecast, icecasts, http, https and icy"},
		{url: "icecast:///live", err: "icecast:///live: there is no host in it"},
		{url: "icecast://h/live?x=1", err: "icecast://h/live?x=1: a mount has no ? and no #"},
	} {
		m, err := ParseURL(test.url)
		if err != nil || test.err != "" {
			if fmt.Sprint(err) != test.err {
				t.Errorf("%s: %v, want %s", test.url, err, test.err)
			}
			continue
		}
		if m.Host != test.host || m.Path != test.path || m.User != test.user || string(m.Password) != test.password ||
			m.TLS != test.tls || m.Protocol != test.protocol {
			t.Errorf("%s: %q %q %q %q", test.url, m.Host, m.Path, m.User, string(m.Password))
		}
	}
}

func TestCheckMount(t *testing.T) {
	for path, want := range map[string]string{
		"/live": "", "/a/b-c_d.~mp3": "",
		"": "no mount is named", "/": "no mount is named", "live": "mount live: it has to begin with /",
		"/a b": "letters, digits", "/ä": "letters, digits", "/a?b": "letters, digits", "/a//b": "letters, digits", "/../x": "letters, digits",
		"/a\r\nX: y": "letters, digits", "/admin/x": "the server itself answers there",
	} {
		err := Mount{Host: "h:1", Path: path}.Check()
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", path, err, want)
		}
	}
	if err := (Mount{Host: "h:1", Protocol: ICY}).Check(); err != nil {
		t.Error(err)
	}
	for _, m := range []Mount{{Password: "a\r\nX: y"}, {User: "a:b"}, {User: "a\nb"}} {
		m.Host, m.Path = "h:1", "/x"
		if err := m.Check(); err == nil || !strings.Contains(err.Error(), "no line break") {
			t.Errorf("%q %q: %v", m.User, string(m.Password), err)
		}
	}
	if err := (Mount{Host: "h:1", Path: "/x", Description: strings.Repeat("long ", 1000)}).Check(); err == nil {
		t.Error("a request of 5,000 bytes is taken")
	}
}

// TestSecret prints a password in every way there is (but %p, which vet refuses).
func TestSecret(t *testing.T) {
	const password = "hackme&co"
	m := Mount{Host: "h", Path: "/x", Password: password}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "mount", m, "secret", m.Password)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "mount", m, "secret", m.Password)
	b, _ := json.Marshal(m)
	all := log.String() + string(b) + m.String()
	for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %T %t") {
		all += fmt.Sprintf(verb, m.Password) + fmt.Sprintf(verb, m) + fmt.Sprintf(verb, &m)
	}
	for _, leak := range []string{password, "hackme", "6861636b6d65", "6861636B6D65"} {
		if strings.Contains(all, leak) {
			t.Errorf("%s is told in %s", leak, all)
		}
	}
}

// TestShownTitle reads a mount's title from the status of Icecast 2.4.
func TestShownTitle(t *testing.T) {
	for body, want := range map[string]string{
		`{"icestats":{"source":{"listenurl":"http://localhost:8000/live","title":"A - JÃ¤","dummy":null}}}`: "A - JÃ¤",
		`{"icestats":{"dummy":null}}`:             "",
		`{"icestats":{"source":[{"title":"x"}]}}`: "!",
		`{"icestats":{"source":{"title": - }}}`:   "!",
		`{"icestats":{"source":{"title": 123}}}`:  "!",
		`<html>`:                                  "!",
	} {
		got, ok := shownTitle([]byte(body))
		if !ok {
			got = "!"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}
