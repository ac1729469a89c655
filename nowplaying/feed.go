package nowplaying

import (
	"strings"
	"time"

	"icepush/frame"
	"icepush/track"
)

// patience is how long a position goes on behind what was sent, before it stands.
const patience = time.Second

// Feed tells a hub what a mount plays, with the frames: it is a sink of the station. A track
// begins when its first frame leaves the clock.
type Feed struct {
	Hub  *Hub // nil tells nobody
	Name string

	// OnAir says whether what is sent is heard. Nil is that it is.
	OnAir func() bool

	track    track.Info
	fresh    bool // its first frame is still to come
	position time.Duration
}

// Play says that the frames sent from now on are of this track.
func (f *Feed) Play(t track.Info) {
	f.track, f.fresh = t, true
	if !t.Continued {
		f.position = 0
	}
}

// Goes says where in its track the next frame is.
func (f *Feed) Goes(position time.Duration) { f.position = position }

// Position returns where in its track the next frame is.
func (f *Feed) Position() time.Duration { return f.position }

// Send says that frames go out now.
func (f *Feed) Send(frames []frame.Frame) {
	at := f.position
	for _, fr := range frames {
		f.position += fr.Lasts()
	}
	if f.Hub == nil {
		return
	}
	f.Hub.Update(f.Name, func(m *Mount) {
		m.State = f.state()
		if f.fresh || m.Track == nil {
			t := trackOf(f.track)
			if t.StartedAt = time.Now(); !f.track.Continued {
				t.StartedAt = t.StartedAt.Add(-at) // it may go on after a live source
			}
			m.Track, f.fresh = &t, false
		}
		m.SetPosition(at, f.position-at+patience)
	})
}

func (f *Feed) state() State {
	if f.OnAir != nil && !f.OnAir() {
		return Off
	}
	return Playing
}

// Look has it told when the mount has come on the air, or gone off. Unlike the others it may
// be called by anybody.
func (f *Feed) Look() { f.Hub.Update(f.Name, func(m *Mount) { m.State = f.state() }) }

// Off says that nothing plays any more, or not there.
func (f *Feed) Off() {
	if f.Hub != nil {
		f.Hub.Update(f.Name, func(m *Mount) { m.State = Off })
	}
}

// trackOf returns what may be told of a track: of its artist, title and album what
// listeners are shown anyway, for what they are shown may be something else.
func trackOf(t track.Info) Track {
	shown := func(s string) string {
		if strings.Contains(t.StreamTitle, s) {
			return s
		}
		return ""
	}
	of := Track{Text: t.StreamTitle, Artist: shown(t.Artist), Title: shown(t.Title), Artwork: t.Artwork, Duration: Seconds(t.Duration)}
	if of.Album = shown(t.Album); of.Title != "" {
		of.Album = t.Album
	}
	return of
}
