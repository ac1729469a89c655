package serve

import (
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"icepush/nowplaying"
)

//go:embed page.html
var pageText string

//go:embed page.js
var pageScript string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"clock": clock}).Parse(pageText))

// shown is what the page shows of a mount.
type shown struct {
	nowplaying.Mount
	Format string // what it plays; "" for a mount of somebody else
	Links  bool   // there are playlists that lead to it
	WAV    bool
}

// Text is the title.
func (s shown) Text() string {
	if s.Track == nil || s.State == nowplaying.Off {
		return "Nothing plays"
	}
	return s.Track.Text
}

// Stream is the URL of the stream. It is a relative one for our own, for a proxy may have us
// under a path.
func (s shown) Stream() string {
	if strings.HasPrefix(s.ListenURL, "/") {
		return "." + s.ListenURL
	}
	return s.ListenURL
}

// Seconds is where in its track the mount is, of how many; Known is false where that is
// not known.
func (s shown) Seconds() (p struct {
	Known        bool
	Position, Of float64
},
) {
	if s.Position != nil && s.Track != nil && s.Track.Duration > 0 {
		p.Known, p.Position, p.Of = s.State != nowplaying.Off, time.Duration(*s.Position).Seconds(), time.Duration(s.Track.Duration).Seconds()
	}
	return p
}

// Before are the tracks before, as many as are shown.
func (s shown) Before() []nowplaying.Track { return s.History[:min(len(s.History), 5)] }

// clock writes seconds as minutes and seconds.
func clock(seconds float64) string { return fmt.Sprintf("%d:%02d", int(seconds)/60, int(seconds)%60) }

// page answers with a page that plays the mounts. It works without scripts; with them it
// shows what plays the moment it changes.
func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	var mounts []shown
	for _, known := range s.NowPlaying.Hub.Mounts() {
		as := shown{Mount: known}
		if m := s.mount(known.Mount); m != nil {
			_, bitrate, _ := m.describe()
			m.mu.Lock()
			if as.Format = m.header.String(); m.kind != "" {
				as.Format = "PCM"
			}
			as.WAV = m.kind == "" && undecodable(m.header) == ""
			m.mu.Unlock()
			if as.Links = true; bitrate > 0 {
				as.Format += fmt.Sprintf(" · %d kbit/s", bitrate)
			}
		}
		mounts = append(mounts, as)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Security-Policy", "default-src 'self'; connect-src 'self' ws: wss:; img-src data: http: https:; media-src 'self' http: https:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors *")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	var page strings.Builder
	if err := pageTemplate.Execute(&page, mounts); err != nil {
		http.Error(w, "500 "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write([]byte(page.String()))
}
