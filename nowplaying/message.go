// Package nowplaying tells web pages what plays, the moment it changes.
//
// A [Hub] knows what each mount plays and what it played before. It is fed by a [Feed],
// which is a sink of the station, or by a [Watcher], which looks at other people's servers. A
// [Handler] passes it on over WebSocket (RFC 6455), server-sent events (HTML standard, 9.2)
// and as JSON; a [Relay] over NATS to others like it. All of them carry the same
// [Message], which docs/nowplaying.md describes.
package nowplaying

import (
	"encoding/json"
	"strconv"
	"time"

	"icepush/track"
)

// Version is that of the messages. Within one, fields are added and none is changed.
const Version = 1

// The types of messages.
const (
	Snapshot = "snapshot" // all mounts, and all that is known of them
	Change   = "change"   // the mounts that are not as they were, each in full
	Position = "position" // how far each mount is, and who listens
)

// Message is what is told.
type Message struct {
	Version int       `json:"version"`
	Type    string    `json:"type"`
	ID      string    `json:"id"`   // of what is known: another one after each change
	Time    time.Time `json:"time"` // that positions are of
	Mounts  []Mount   `json:"mounts"`
}

// State is what a mount is doing.
type State string

const (
	Playing State = "playing"
	Off     State = "off"     // nothing plays
	Unknown State = "unknown" // its server does not answer
)

// Mount is what is known of one.
type Mount struct {
	Mount string `json:"mount"` // its path, or its URL where servers are watched
	State State  `json:"state"`

	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	Genre       string `json:"genre,omitempty"`
	URL         string `json:"url,omitempty"`        // of the station's page
	ListenURL   string `json:"listen_url,omitempty"` // of the stream, where that is elsewhere

	Listeners *int `json:"listeners,omitempty"`

	// Lead is how much a listener gets at once: what leaves the clock now is heard that
	// much later.
	Lead Seconds `json:"lead,omitzero"`

	Track    *Track   `json:"track,omitempty"`
	Position *Seconds `json:"position,omitempty"` // in the track, at the time of the message
	History  []Track  `json:"history,omitempty"`  // the tracks before, the newest first

	at   time.Time     // when it was at Position
	runs time.Duration // how long it goes on from there without being told of
}

// Track is what plays, or has played. Texts are UTF-8 without control characters, at most
// 1,000 characters.
type Track struct {
	Text      string    `json:"text"`                // what listeners are shown
	Artist    string    `json:"artist,omitempty"`    // these three where they are
	Title     string    `json:"title,omitempty"`     // known apart
	Album     string    `json:"album,omitempty"`     //
	Artwork   string    `json:"artwork,omitempty"`   // URL of a picture, http or https
	StartedAt time.Time `json:"started_at,omitzero"` // when its first frame left the clock, or it was first seen to play
	Duration  Seconds   `json:"duration,omitzero"`
}

// Seconds is a time that is a number of seconds in JSON, to the millisecond.
type Seconds time.Duration

// MarshalJSON writes the number.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(s).Round(time.Millisecond).Seconds(), 'f', -1, 64), nil
}

// UnmarshalJSON reads the number. What is no time of this world is none.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	var f float64
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	if f < 0 || f > 1e7 {
		f = 0
	}
	*s = Seconds(f * float64(time.Second))
	return nil
}

// SetPosition says where in its track a mount is now, and for how long it goes on from there
// if nothing else is said.
func (m *Mount) SetPosition(position, runs time.Duration) {
	s := Seconds(position)
	m.Position, m.at, m.runs = &s, time.Now(), runs
}

// now returns the mount as it is at a time.
func (m Mount) now(t time.Time) Mount {
	if m.Position != nil {
		p := *m.Position
		if m.State == Playing {
			p += Seconds(max(0, min(t.Sub(m.at), m.runs)))
		}
		if m.Track != nil && m.Track.Duration > 0 {
			p = min(p, m.Track.Duration)
		}
		m.Position = &p
	}
	return m
}

// stamp returns a time as messages have it.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// clean makes a mount fit to be told of, whoever said it.
func (m *Mount) clean() {
	for _, s := range []*string{&m.Name, &m.Description, &m.Genre, &m.URL, &m.ListenURL} {
		*s = track.Clean(*s)
	}
	if m.Track != nil {
		t := m.Track.cleaned()
		m.Track = &t
	}
}

func (t Track) cleaned() Track {
	for _, s := range []*string{&t.Text, &t.Artist, &t.Title, &t.Album, &t.Artwork} {
		*s = track.Clean(*s)
	}
	if !isWeb(t.Artwork) {
		t.Artwork = ""
	}
	if t.StartedAt = stamp(t.StartedAt); t.StartedAt.Year() < 1970 || t.StartedAt.Year() > 9999 { // RFC 3339 has no others
		t.StartedAt = time.Time{}
	}
	return t
}
