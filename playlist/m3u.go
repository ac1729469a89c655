package playlist

import (
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
)

// ReadM3U yields the entries of an M3U or M3U8 list as they are written. Name is
// that of the list, for messages and for the paths relative to it. UTF-8 and UTF-16
// are told by their byte order mark; text that is not UTF-8 is taken for
// Windows-1252, but a path stays as it is written. Lines end with LF, CR LF or CR and
// may be of any length, but of a directive 64 KiB are read, and no name is longer.
// There is no standard; the directives are those of Winamp's extended M3U, of VLC and
// of Liquidsoap ("annotate:").
func ReadM3U(r io.Reader, name string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		l := newLines(r, name)
		m := m3u{}
		for l.next() {
			line := string(l.text)
			if line == "" {
				continue
			}
			if line[0] == '#' {
				if strings.HasPrefix(line, "#EXT-X-") {
					yield(Entry{}, fmt.Errorf("%s: this is an HLS playlist, which lists pieces of one stream, not songs", name))
					return
				}
				m.directive(line)
				continue
			}
			e, err := m.entry(l, line)
			if !yield(e, err) {
				return
			}
		}
		if l.err != nil {
			yield(Entry{}, l.err)
		}
	}
}

// m3u is what the directives have said so far.
type m3u struct {
	artist, album string // of the whole list
	begun         bool   // something has been said of an entry, so no more is of the list
	next          m3uEntry
}

// m3uEntry is what has been said of the entry to come.
type m3uEntry struct {
	text      string // of #EXTINF
	artist    string // of #EXTART
	hasArtist bool
	Entry
}

// directive reads a line that begins with "#". What is unknown is a comment.
func (m *m3u) directive(line string) {
	name, value, _ := strings.Cut(line, ":")
	switch strings.ToUpper(name) {
	case "#EXTINF":
		m.begun = true
		m.next.Duration, m.next.text = extinf(toUTF8(value))
	case "#EXTART":
		if m.begun {
			m.next.artist, m.next.hasArtist = clean(value), true
		} else {
			m.artist = clean(value)
		}
	case "#EXTALB":
		if m.begun {
			m.next.Album = clean(value)
		} else {
			m.album = clean(value)
		}
	case "#EXTIMG":
		if image := clean(value); m.begun && isRemote(image) {
			m.next.Artwork = image
		}
	case "#EXTVLCOPT":
		option, value, _ := strings.Cut(value, "=")
		switch strings.ToLower(strings.TrimSpace(option)) {
		case "start-time":
			m.next.Start = seconds(value)
		case "stop-time":
			m.next.Stop = seconds(value)
		}
	}
}

// entry puts together what has been said of an entry and forgets it.
func (m *m3u) entry(l *lines, path string) (Entry, error) {
	next := m.next
	m.begun, m.next = true, m3uEntry{}

	e := next.Entry
	e.Artist, e.Title = splitTitle(next.text)
	if next.hasArtist {
		// The text is "Artist - Title" nearly always, and else the title alone.
		e.Artist, e.Title = next.artist, next.text
		prefix := next.artist + " - "
		if n := len(prefix); next.artist != "" && len(next.text) >= n && strings.EqualFold(next.text[:n], prefix) {
			e.Title = strings.TrimSpace(next.text[n:])
		}
	}
	if !l.cut {
		path = annotate(&e, path)
	}
	e.Artist, e.Title = clean(e.Artist), clean(e.Title)
	if e.Artist == "" && !next.hasArtist {
		e.Artist = m.artist
	}
	if e.Album == "" {
		e.Album = m.album
	}
	if e.Stop <= e.Start {
		e.Stop = 0
	}
	if err := l.locate(&e, path); err != nil {
		return Entry{}, err
	}
	return e, nil
}

// extinf reads what follows "#EXTINF:": seconds, attributes, a comma, "Artist - Title".
func extinf(s string) (d time.Duration, text string) {
	// The comma is the first outside the quotes of an attribute.
	quoted := false
	comma := strings.IndexFunc(s, func(c rune) bool {
		if c == '"' {
			quoted = !quoted
		}
		return c == ',' && !quoted
	})
	if comma < 0 {
		comma = strings.IndexByte(s, ',')
	}
	head := s
	if comma >= 0 {
		head, text = s[:comma], strings.TrimSpace(s[comma+1:])
	}
	if words := strings.Fields(head); len(words) > 0 {
		d = seconds(words[0])
	}
	return d, text
}

// gains are protocols of Liquidsoap that ask for a loudness.
var gains = []string{"replaygain:", "lufs_track_gain:"}

// cutGains returns the path behind protocols that ask for a loudness.
func cutGains(path string) string {
	for {
		rest := path
		for _, g := range gains {
			rest = strings.TrimPrefix(rest, g)
		}
		if rest == path || rest == "" {
			return path
		}
		path = rest
	}
}

// annotate reads Liquidsoap's `annotate:key="value",key="value":path` and returns the
// path. A path that is not quite so is left as it is.
func annotate(e *Entry, path string) string {
	for {
		rest, ok := strings.CutPrefix(cutGains(path), "annotate:")
		if !ok {
			return path
		}
		said, rest, ok := annotations(rest)
		if !ok {
			return path
		}
		for _, kv := range said {
			switch key, value := kv[0], kv[1]; key {
			case "title":
				e.Title = clean(value)
			case "artist":
				e.Artist = clean(value)
			case "album":
				e.Album = clean(value)
			case "liq_cue_in":
				e.Start = seconds(value)
			case "liq_cue_out":
				e.Stop = seconds(value)
			}
		}
		path = rest
	}
}

// annotations reads `key="value",key="value":` and returns what follows it.
func annotations(s string) (said [][2]string, rest string, ok bool) {
	for {
		key, after, ok := strings.Cut(s, "=")
		if key = strings.TrimSpace(key); !ok || key == "" || strings.ContainsAny(key, `:",/`) {
			return nil, "", false
		}
		var value string
		if value, after, ok = annotated(strings.TrimLeft(after, " ")); !ok {
			return nil, "", false
		}
		said = append(said, [2]string{key, value})
		after = strings.TrimLeft(after, " ")
		switch {
		case strings.HasPrefix(after, ","):
			s = after[1:]
		case strings.HasPrefix(after, ":") && strings.TrimSpace(after[1:]) != "":
			return said, strings.TrimSpace(after[1:]), true
		default:
			return nil, "", false
		}
	}
}

// annotated reads a value, in quotes or not, and returns what follows it.
func annotated(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ",:")
		if end < 0 {
			return "", "", false
		}
		return strings.TrimSpace(s[:end]), s[end:], true
	}
	var b strings.Builder
	for s = s[1:]; s != ""; {
		switch s[0] {
		case '"':
			return b.String(), s[1:], true
		case '\\':
			c, _, tail, err := strconv.UnquoteChar(s, '"')
			if err != nil { // a sign that needs no backslash
				s = s[1:]
				break
			}
			b.WriteRune(c)
			s = tail
			continue
		}
		if s != "" {
			b.WriteByte(s[0])
			s = s[1:]
		}
	}
	return "", "", false
}
