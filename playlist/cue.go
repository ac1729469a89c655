package playlist

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ReadCUE yields the tracks of a CUE sheet as parts of its files. A track begins at its
// INDEX 01 and lasts until the next one of the same file begins, so what lies between
// INDEX 00 and INDEX 01 belongs to the track before; the last lasts to the end of the
// file. The title of the sheet is the album. Text is read as by ReadM3U. The language
// is described in appendix A of the CDRWIN user's guide.
func ReadCUE(r io.Reader, name string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		l := newLines(r, name)
		var s cueSheet
		for l.next() {
			if err := s.command(l); err != nil && !yield(Entry{}, err) {
				return
			}
			if s.ready != nil {
				if !yield(s.entry(s.ready), nil) {
					return
				}
				s.ready = nil
			}
		}
		if err := s.end(l); err != nil && !yield(Entry{}, err) {
			return
		}
		if s.last != nil && s.last.audio && !yield(s.entry(s.last), nil) {
			return
		}
		if l.err == nil && s.files == 0 && l.n > 0 {
			l.err = fmt.Errorf("%s: there is no FILE in it, so it is no CUE sheet", name)
		}
		if l.err != nil {
			yield(Entry{}, l.err)
		}
	}
}

// cueSheet is what a sheet has said so far.
type cueSheet struct {
	title, performer string
	file             Entry     // the file of the tracks to come
	files            int       // how many there have been
	track            *cueTrack // the one being described
	last             *cueTrack // the one before, whose end is not known yet
	ready            *cueTrack // one whose end is known
}

type cueTrack struct {
	Entry
	audio     bool
	begun     bool   // INDEX 01 has been seen
	file      int    // the number of its file
	at        int    // the line of TRACK
	number    string // as it is written
	performer string
}

// command reads a line. What does not matter to the order and the titles is passed over.
func (s *cueSheet) command(l *lines) error {
	word, rest, _ := strings.Cut(strings.ReplaceAll(string(l.text), "\t", " "), " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToUpper(word) {
	case "FILE":
		s.file = Entry{}
		s.files++
		name := cueFile(rest)
		if name == "" {
			return l.errorf("FILE without a name")
		}
		return l.locate(&s.file, name)
	case "TRACK":
		err := s.end(l)
		number, kind, _ := strings.Cut(rest, " ")
		s.track = &cueTrack{
			audio:  strings.EqualFold(strings.TrimSpace(kind), "AUDIO"),
			number: string(cut([]byte(toUTF8(number)), 8)),
			at:     l.n,
		}
		return err
	case "TITLE":
		if s.track != nil {
			s.track.Title = clean(unquote(rest))
		} else {
			s.title = clean(unquote(rest))
		}
	case "PERFORMER":
		if s.track != nil {
			s.track.performer = clean(unquote(rest))
		} else {
			s.performer = clean(unquote(rest))
		}
	case "INDEX":
		number, at, _ := strings.Cut(rest, " ")
		if n, err := strconv.Atoi(number); err != nil || n != 1 || s.track == nil || s.track.begun {
			return nil
		}
		start, ok := cueTime(strings.TrimSpace(at))
		if !ok {
			return l.errorf("%q is no time like mm:ss:ff", string(cut([]byte(at), 40)))
		}
		return s.begin(l, start)
	}
	return nil
}

// begin notes where the track being described begins, and so where the one before ends.
func (s *cueSheet) begin(l *lines, start time.Duration) error {
	t := s.track
	if s.file.Path == "" {
		t.audio = false
		t.begun = true // what is wrong has been said
		return l.errorf("a track without a file")
	}
	// Some sheets name the file anew for each track.
	if s.last != nil && s.last.Path == s.file.Path && (s.last.file == s.files || s.last.Start < start) {
		if start <= s.last.Start {
			t.audio, t.begun, t.file = false, true, -1
			return l.errorf("track %s does not begin behind the one before", t.number)
		}
		s.last.Stop = start
		s.last.Duration = start - s.last.Start
	}
	if s.last != nil && s.last.audio {
		s.ready = s.last
	}
	s.last = nil
	t.begun, t.file, t.Start = true, s.files, start
	t.Path, t.list, t.line, t.raw = s.file.Path, s.file.list, t.at, true
	return nil
}

// end finishes the track being described.
func (s *cueSheet) end(l *lines) error {
	t := s.track
	s.track = nil
	switch {
	case t == nil:
		return nil
	case !t.begun && t.audio:
		return l.errorf("track %s, which begins in line %d, has no INDEX 01", t.number, t.at)
	case t.begun && t.file > 0:
		s.last = t
	}
	return nil
}

// entry completes a track with what the sheet says of all of them.
func (s *cueSheet) entry(t *cueTrack) Entry {
	e := t.Entry
	e.Artist, e.Album = t.performer, s.title
	if e.Artist == "" {
		e.Artist = s.performer
	}
	if e.Artist == "" {
		e.Artist, e.Title = splitTitle(e.Title)
	}
	return e
}

// cueTypes are the types of FILE, which stand behind the name.
var cueTypes = []string{"MP3", "WAVE", "AIFF", "BINARY", "MOTOROLA", "FLAC", "OGG", "AAC", "M4A", "APE", "WV"}

// cueFile returns the name in `"name" TYPE`. There may be quotes in it, or none round it.
func cueFile(s string) string {
	if i, j := strings.IndexByte(s, '"'), strings.LastIndexByte(s, '"'); i == 0 && j > 0 {
		return strings.TrimSpace(s[1:j])
	}
	if i := strings.LastIndexByte(s, ' '); i > 0 && slices.Contains(cueTypes, strings.ToUpper(s[i+1:])) {
		s = strings.TrimSpace(s[:i])
	}
	return s
}

// unquote takes the quotes off a text.
func unquote(s string) string {
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// cueTime reads mm:ss:ff. There are 75 frames in a second, and there may be more than 99
// minutes.
func cueTime(s string) (time.Duration, bool) {
	parts := strings.Split(s, ":")
	if len(parts) != 3 {
		return 0, false
	}
	var n [3]int
	for i, below := range []int{1_000_000, 60, 75} {
		v, err := strconv.ParseUint(parts[i], 10, 32)
		if err != nil || v >= uint64(below) {
			return 0, false
		}
		n[i] = int(v)
	}
	return time.Duration(n[0])*time.Minute + time.Duration(n[1])*time.Second + time.Duration(n[2])*time.Second/75, true
}
