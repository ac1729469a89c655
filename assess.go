package main

import (
	"errors"
	"fmt"
	"hash/maphash"
	"path/filepath"
	"strconv"
	"strings"

	"icepush/frame"
	"icepush/station"
	"icepush/track"
)

// verdict is what would become of an entry.
type verdict struct {
	way   station.Way
	mixed bool     // its format is not the stream's
	twice bool     // it stood in the list before
	notes []string // what is worth knowing, and keeps it from nothing
	err   error    // why it is left out
}

// assessor says of one entry after the other what a station.Cue would do with it.
type assessor struct {
	transcode station.Transcode
	ffmpeg    bool
	stream    frame.Header // its format; Unknown until that is known

	seed  maphash.Seed
	known map[uint64]place
	lists []string // their names
}

// place is where an entry stands: the number of the list, from 1, and the line in it; and
// which one of the pass it is.
type place struct{ list, line, number int32 }

func newAssessor(cue station.Cue) *assessor {
	return &assessor{
		transcode: cue.Transcode, ffmpeg: cue.Transcoder.Available(), stream: cue.Format,
		seed: maphash.MakeSeed(), known: map[uint64]place{},
	}
}

// assess says what becomes of an entry. It is to be called for all, in their order.
func (a *assessor) assess(f examined) (v verdict) {
	if f.Path == "" {
		return verdict{way: station.LeftOut, err: f.err}
	}
	v = a.decide(f)
	if f.Mended != "" {
		v.notes = append(v.notes, "its path fits only "+f.Mended)
	}
	if at := a.before(f.entry); at != "" {
		v.twice = true
		v.notes = append(v.notes, "is in it already, "+at)
	}
	return v
}

// decide is station.Cue's choice between the ways, put into words.
func (a *assessor) decide(f examined) verdict {
	h, foreign := f.report.Info.Header, errors.Is(f.err, track.ErrForeign)
	probed := f.about && !f.Remote() // ffprobe was asked, and may have found nothing
	if f.err != nil && !foreign {
		return verdict{way: station.LeftOut, err: f.err}
	}
	way := station.Choose(h, a.stream, a.transcode, a.ffmpeg)
	first := a.stream.Format == frame.Unknown
	v := verdict{way: way, mixed: f.err != nil || !first && !station.Fits(h, a.stream)}
	why := "ffmpeg is not installed"
	if a.transcode == station.Never {
		why = "--transcode never keeps ffmpeg from it"
	}
	switch {
	case way == station.LeftOut && f.err != nil:
		v.err = fmt.Errorf("%w; %s", f.err, why)
		return v
	case way == station.LeftOut:
		v.err = fmt.Errorf("%s: it is %s, the stream is %s, and %s", f.report.Info.Path, h, a.stream, why)
		return v
	case way == station.AsItIs && v.mixed:
		v.notes = []string{fmt.Sprintf("the stream is %s, and %s: sent as it is, some players stop there or play it too fast", a.stream, why)}
	}
	if first {
		if a.stream = h; f.err != nil {
			a.stream = station.DefaultFormat
		}
	}
	switch {
	case way == station.AsItIs:
	case probed && f.probed.Format == "":
		v.notes = []string{"goes through ffmpeg, if that can read it: what is in it was not looked at"}
	default:
		v.notes = []string{"goes through ffmpeg: the stream is " + a.stream.String()}
	}
	return v
}

// before says where an entry stood before, "" when it did not.
func (a *assessor) before(e entry) string {
	key := e.Key()
	if path, err := filepath.Abs(e.Path); err == nil && !e.Remote() {
		key = path + strings.TrimPrefix(key, e.Path)
	}
	hash := maphash.String(a.seed, key)
	if at, ok := a.known[hash]; ok {
		if at.list == 0 {
			return fmt.Sprintf("as number %d", at.number)
		}
		return fmt.Sprintf("%s: line %d", a.lists[at.list-1], at.line)
	}
	if len(a.known) == maxKnown {
		return ""
	}
	at := place{number: int32(e.number)}
	if i := strings.LastIndex(e.Position(), ": line "); i >= 0 {
		list := e.Position()[:i]
		line, _ := strconv.Atoi(e.Position()[i+len(": line "):])
		at.line = int32(line)
		if n := len(a.lists); n == 0 || a.lists[n-1] != list {
			a.lists = append(a.lists, list)
		}
		at.list = int32(len(a.lists))
	}
	a.known[hash] = at
	return ""
}
