package track

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dhowden/tag"
	"golang.org/x/text/encoding/charmap"

	"icepush/id3strip"
)

const (
	// maxTag is how much of an ID3v2 tag is looked at for texts. They stand before the
	// pictures in nearly every file; pictures are stepped over, not read.
	maxTag = 4 << 20

	// maxText is the longest text frame that is read, in bytes.
	maxText = 64 << 10

	// maxTexts is how many text frames are read.
	maxTexts = 64
)

// tags is what the tags of a file say.
type tags struct{ Artist, Title, Album string }

// readTags reads artist, title and album through dhowden/tag. That package is given
// a tag made of the text frames alone: it allocates what a picture claims to need,
// does not inflate, glues values together that are separated by NUL, and gives up on
// the whole tag for one bad frame. A file with bad tags still plays.
func readTags(f io.ReadSeeker) (t tags) {
	defer func() {
		if recover() != nil { // dhowden/tag slices what it has not measured
			t = tags{}
		}
	}()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return t
	}
	var m tag.Metadata
	var err error
	if b := textFrames(f); b != nil {
		m, err = tag.ReadID3v2Tags(bytes.NewReader(b))
	}
	if m == nil || err != nil || Clean(m.Title()) == "" && Clean(m.Artist()) == "" {
		// It seeks to the last 128 bytes itself.
		if v1, err := tag.ReadID3v1Tags(f); err == nil {
			m = v1
		}
	}
	if m == nil {
		return t
	}
	return tags{Clean(m.Artist()), Clean(m.Title()), Clean(m.Album())}
}

// textFrames returns an ID3v2.3 or 2.4 tag that holds the artist, title and album
// frames of the ID3v2 tag that f begins with, each once, decoded but for the
// characters; nil when there is none. Sizes and flags as in ID3v2.2 (3.2), 2.3 (3.1
// to 3.3) and 2.4 (structure, 3 and 4).
func textFrames(f io.Reader) []byte {
	var head [10]byte
	if _, err := io.ReadFull(f, head[:]); err != nil || string(head[:3]) != "ID3" || head[3] < 2 || head[3] > 4 {
		return nil
	}
	version, flags := head[3], head[5]
	size, ok := id3strip.Syncsafe(head[6:])
	if !ok {
		return nil
	}
	tagUnsync := flags&0x80 != 0
	room := int(min(size, maxText)) + 16
	r := bufio.NewReaderSize(io.LimitReader(f, min(size, maxTag)), room)
	if tagUnsync && version < 4 {
		r = bufio.NewReaderSize(&resync{r: r}, room)
	}
	if flags&0x40 != 0 && version > 2 { // extended header
		var b [4]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil
		}
		n := int64(binary.BigEndian.Uint32(b[:]))
		if version == 4 {
			n -= 4 // it counts itself
		}
		if _, err := io.CopyN(io.Discard, r, n); n < 0 || err != nil {
			return nil
		}
	}

	out := []byte("ID3\x04\x00\x00\x00\x00\x00\x00")
	seen := map[string]bool{}
	for range maxTexts * 16 {
		id, body, ok := nextFrame(r, version, tagUnsync)
		if !ok || len(seen) == maxTexts {
			break
		}
		name := map[string]string{"TP1": "TPE1", "TPE1": "TPE1", "TT2": "TIT2", "TIT2": "TIT2", "TAL": "TALB", "TALB": "TALB"}[id]
		if name == "" || seen[name] || len(body) < 2 || body[0] > 3 {
			continue
		}
		seen[name] = true
		body = joinValues(body)
		out = append(out, name...)
		out = appendSyncsafe(out, len(body))
		out = append(out, 0, 0)
		out = append(out, body...)
	}
	if len(out) == 10 {
		return nil
	}
	// dhowden/tag counts the header to the size.
	copy(out[6:], appendSyncsafe(nil, len(out)))
	return out
}

// nextFrame reads a frame of an ID3v2 tag. The body is that of a text frame, inflated
// and without unsynchronisation; others are stepped over and have none.
func nextFrame(r *bufio.Reader, version byte, tagUnsync bool) (id string, body []byte, ok bool) {
	letters, header := 4, 10
	if version == 2 {
		letters, header = 3, 6
	}
	var head [10]byte
	if _, err := io.ReadFull(r, head[:header]); err != nil || head[0] < 'A' || head[0] > 'Z' {
		return "", nil, false
	}
	id = string(head[:letters])
	size := int64(0)
	for _, c := range head[letters : 2*letters] {
		size = size<<8 | int64(c)
	}
	if version == 4 {
		plain := size
		if size, ok = id3strip.Syncsafe(head[4:8]); !ok || size != plain && !frameFollows(r, size) && frameFollows(r, plain) {
			size = plain // as iTunes before version 7 writes it
		}
	}
	if id[0] != 'T' || size > maxText {
		_, err := io.CopyN(io.Discard, r, size)
		return id, nil, err == nil
	}
	body = make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return "", nil, false
	}
	format := head[9]
	switch {
	case version == 3 && format&0xC0 != 0: // compressed or encrypted
		if format&0x40 != 0 || len(body) < 4 {
			return id, nil, true
		}
		body = inflate(body[4:])
	case version == 4:
		if format&0x04 != 0 { // encrypted
			return id, nil, true
		}
		if format&0x40 != 0 && len(body) > 0 { // group identity
			body = body[1:]
		}
		if format&0x01 != 0 && len(body) >= 4 { // data length indicator
			body = body[4:]
		}
		if format&0x02 != 0 || tagUnsync {
			body, _ = io.ReadAll(&resync{r: bytes.NewReader(body)})
		}
		if format&0x08 != 0 {
			body = inflate(body)
		}
	}
	return id, body, true
}

// frameFollows reports whether n bytes on another frame begins, or padding, or the
// end of the tag. Only what is near can be seen.
func frameFollows(r *bufio.Reader, n int64) bool {
	if n > maxText {
		return true
	}
	b, _ := r.Peek(int(n) + 1)
	return int64(len(b)) == n || int64(len(b)) > n && (b[n] == 0 || b[n] >= 'A' && b[n] <= 'Z')
}

// joinValues puts " / " between the values of a text frame, which NUL separates
// (ID3v2.4 structure, 4.2). Its first byte is the encoding.
func joinValues(body []byte) []byte {
	enc, text := body[0], body[1:]
	unit, sep := 1, []byte(" / ")
	if enc == 1 || enc == 2 { // UTF-16
		unit, sep = 2, []byte("\x00 \x00/\x00 ")
		if enc == 1 && bytes.HasPrefix(text, []byte{0xFF, 0xFE}) {
			sep = []byte(" \x00/\x00 \x00")
		}
	}
	var values [][]byte
	begin := 0
	for i := 0; i+unit <= len(text); i += unit {
		if empty := text[i] == 0 && text[i+unit-1] == 0; empty {
			values = append(values, text[begin:i])
			begin = i + unit
		}
	}
	values = append(values, text[begin:])
	values = slices.DeleteFunc(values, func(v []byte) bool { return len(v) == 0 })
	return append([]byte{enc}, bytes.Join(values, sep)...)
}

// inflate returns what zlib compressed, nil when it is no such thing. It is bounded.
func inflate(b []byte) []byte {
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	out, err := io.ReadAll(io.LimitReader(z, maxText))
	if err != nil {
		return nil
	}
	return out
}

// resync undoes unsynchronisation: the zero after each 0xFF goes (ID3v2.4 structure,
// 6.1).
type resync struct {
	r    io.Reader
	last byte
}

func (u *resync) Read(p []byte) (int, error) {
	for {
		n, err := u.r.Read(p)
		kept := 0
		for _, c := range p[:n] {
			if u.last != 0xFF || c != 0 {
				p[kept] = c
				kept++
			}
			u.last = c
		}
		if kept > 0 || err != nil || n == 0 {
			return kept, err
		}
	}
}

func appendSyncsafe(b []byte, n int) []byte {
	return append(b, byte(n>>21&0x7F), byte(n>>14&0x7F), byte(n>>7&0x7F), byte(n&0x7F))
}

// Clean makes text fit to go on the air: UTF-8 (what is not is taken for
// Windows-1252), no control characters, blanks single, at most 1,000 characters.
func Clean(s string) string {
	if !utf8.ValidString(s) {
		if decoded, err := charmap.Windows1252.NewDecoder().String(s); err == nil {
			s = decoded
		}
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	s = strings.Map(func(c rune) rune {
		switch {
		case c == '\t', c == '\n', c == '\r', c == '\u2028', c == '\u2029':
			return ' '
		case unicode.IsControl(c), c == '\uFEFF', c == utf8.RuneError:
			return -1
		}
		return c
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > 1000 {
		s = strings.TrimSpace(string(runes[:1000]))
	}
	return s
}
