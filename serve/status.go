package serve

import (
	"encoding/json"
	"net/http"
	"time"
)

// iceStatus is the status as Icecast 2.4 shapes it.
type iceStatus struct {
	Admin   string `json:"admin,omitempty"`
	Server  string `json:"server_id"`
	Start   string `json:"server_start"`
	StartAt string `json:"server_start_iso8601"`
	Source  any    `json:"source,omitempty"` // one of several shapes: see status
}

// iceSource is a mount in it.
type iceSource struct {
	Bitrate     int     `json:"bitrate,omitempty"`
	Genre       string  `json:"genre,omitempty"`
	Peak        int     `json:"listener_peak"`
	Listeners   int     `json:"listeners"`
	URL         string  `json:"listenurl"`
	Description string  `json:"server_description,omitempty"`
	Name        string  `json:"server_name"`
	Type        string  `json:"server_type"`
	Homepage    string  `json:"server_url,omitempty"`
	Start       string  `json:"stream_start"`
	StartAt     string  `json:"stream_start_iso8601"`
	Title       string  `json:"title,omitempty"`
	Position    float64 `json:"position"` // seconds of the track; ours, as the next
	Duration    float64 `json:"duration,omitempty"`
	Dummy       *string `json:"dummy"`
}

const (
	iceTime    = time.RFC1123Z
	iceISOTime = "2006-01-02T15:04:05-0700"
)

// status answers with what plays, in the shape of Icecast's status-json.xsl: no source is
// left out, one is an object, several are an array.
func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	st := iceStatus{Server: s.Name, Start: s.began.Format(iceTime), StartAt: s.began.Format(iceISOTime)}
	only := r.URL.Query().Get("mount")
	var sources []iceSource
	for _, m := range s.Mounts {
		contentType, bitrate, playing := m.describe()
		if !playing || only != "" && only != m.Path {
			continue
		}
		m.mu.Lock()
		sources = append(sources, iceSource{
			Bitrate: bitrate, Genre: m.Genre, Peak: m.peak, Listeners: m.listeners, URL: s.address(r, m.Path),
			Description: m.Description, Name: m.title(), Type: contentType, Homepage: m.URL,
			Start: m.began.Format(iceTime), StartAt: m.began.Format(iceISOTime), Title: m.track.StreamTitle,
			Position: m.now.Position().Seconds(), Duration: m.track.Duration.Seconds(),
		})
		m.mu.Unlock()
	}
	switch len(sources) {
	case 0:
	case 1:
		st.Source = sources[0]
	default:
		st.Source = sources
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache, no-store")
	if r.Method == http.MethodHead {
		return
	}
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.Encode(map[string]iceStatus{"icestats": st})
}

// health says whether something plays.
func (s *Server) health(w http.ResponseWriter) {
	for _, m := range s.Mounts {
		if _, _, playing := m.describe(); !playing {
			http.Error(w, m.Path+" does not play", http.StatusServiceUnavailable)
			return
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok\n"))
}
