package serve

import (
	_ "embed"
	"html/template"
	"net/http"
	"strings"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// shown is what the page shows of a mount.
type shown struct {
	Path, Name, Description, Genre, URL string
	Title                               string
	Format                              string
	Type                                string
	Bitrate                             int
	Last                                []string
	WAV                                 bool
	Position, Duration                  int // seconds
}

// page answers with a page that plays the mounts. It works without scripts.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	var mounts []shown
	for _, m := range s.Mounts {
		contentType, bitrate, _ := m.describe()
		m.mu.Lock()
		mounts = append(mounts, shown{
			Path: m.Path, Name: m.title(), Description: m.Description, Genre: m.Genre, URL: m.URL, Title: m.track.StreamTitle,
			Format: m.header.String(), Type: contentType, Bitrate: bitrate, Last: append([]string(nil), m.last...),
			WAV: undecodable(m.header) == "", Position: int(m.position.Seconds()), Duration: int(m.track.Duration.Seconds()),
		})
		m.mu.Unlock()
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Security-Policy", "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors *")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	var page strings.Builder
	if err := pageTemplate.Execute(&page, mounts); err != nil {
		http.Error(w, "500 "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write([]byte(page.String()))
}
