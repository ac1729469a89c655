package serve

import (
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"strings"

	"icepush/icy"
)

// address returns the URL of a path as the client reached us.
func (s *Server) address(r *http.Request, path string) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	host := r.Host
	if host == "" { // HTTP/1.0
		if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
			host = a.String()
		}
	}
	return scheme + "://" + icy.HeaderValue(host) + path
}

// link answers with a playlist that names a mount: players open that.
func (s *Server) link(w http.ResponseWriter, r *http.Request, m *Mount, ending string) {
	url, name := s.address(r, m.Path), icy.HeaderValue(m.title())
	kind, text := "audio/x-mpegurl", ""
	switch ending {
	case ".m3u", ".m3u8":
		text = "#EXTM3U\r\n#EXTINF:-1," + name + "\r\n" + url + "\r\n"
	case ".pls":
		kind = "audio/x-scpls"
		text = "[playlist]\r\nNumberOfEntries=1\r\nFile1=" + url + "\r\nTitle1=" + name + "\r\nLength1=-1\r\nVersion=2\r\n"
	case ".xspf":
		kind = "application/xspf+xml"
		escape := func(s string) string {
			var b strings.Builder
			xml.EscapeText(&b, []byte(s))
			return b.String()
		}
		text = fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<playlist version=\"1\" xmlns=\"http://xspf.org/ns/0/\"><title>%s</title><trackList><track><location>%s</location><title>%[1]s</title></track></trackList></playlist>\n", escape(name), escape(url))
	}
	if ending == ".m3u8" || ending == ".m3u" {
		kind += "; charset=utf-8"
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", `inline; filename="`+strings.TrimPrefix(strings.ReplaceAll(m.Path, "/", "-"), "-")+ending+`"`)
	h.Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", s.began, strings.NewReader(text))
}

// title is what the mount is called.
func (m *Mount) title() string {
	if m.Name != "" {
		return m.Name
	}
	return strings.TrimPrefix(m.Path, "/")
}
