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
	told     Track
	fresh    bool // its first frame is still to come
	position time.Duration
	from     time.Duration // where in the track the title began that is shown
}

// Play says that the frames sent from now on are of this track.
func (f *Feed) Play(t track.Info) {
	f.track, f.fresh, f.told = t, true, trackOf(t)
	if !t.Continued {
		f.position = 0
	}
	if f.from = 0; t.Continued && f.told.Title == "" { // it is shown in place of the track's own
		f.from, f.told.Duration = f.position, 0
	}
}

// Again has the hub told once more what plays, or, when it is a new one, for the first time.
func (f *Feed) Again() { f.fresh = f.told != Track{} }

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
		if f.fresh {
			t := f.told
			t.StartedAt = time.Now()
			if !f.track.Continued {
				t.StartedAt = t.StartedAt.Add(-at) // it may go on after a live source
			}
			if m.Track, f.fresh = &t, false; t.Text == "" {
				m.Track = nil
			}
		}
		m.SetPosition(at-f.from, f.position-at+patience)
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
