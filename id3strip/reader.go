// Package id3strip leaves the tags out of a stream of audio.
//
// [Reader] is a reader over a reader: what it returns is what it read, without
// ID3v2.2 to 2.4, ID3v1, TAG+, APEv1, APEv2 and Lyrics3 tags, wherever they stand.
// It works in one pass and in constant memory, however large a tag is.
//
// Sources: ID3v2 at https://id3.org/id3v2.4.0-structure (and id3v2.3.0, id3v2-00);
// ID3v1 at https://id3.org/ID3v1; APE at
// https://wiki.hydrogenaud.io/index.php?title=APEv2_specification; Lyrics3 at
// https://id3.org/Lyrics3 and https://id3.org/Lyrics3v2.
package id3strip

import (
	"bytes"
	"io"
)

const (
	// bufferSize is the window tags are looked for in. The end of a Lyrics3 tag has to
	// be inside it.
	bufferSize = 64 << 10

	// holdBack is how many bytes are kept back until more has been seen: a tag that
	// has a footer and no header (APEv1) is taken out when it is not longer.
	holdBack = 8 << 10

	// lookBack is how far before a tag one may begin that could only be told by what
	// stands behind it: TAG+, ID3v1 and the beginning of the next.
	lookBack = 512

	// lookAhead is how much must be seen to say that no tag begins at a byte.
	lookAhead = enhancedSize + id3v1Size + apeHeaderSize

	// maxTags bounds the list of tags; beyond it they are counted to the last one.
	maxTags = 4096
)

// Tag is a tag that was left out.
type Tag struct {
	Kind   string // "ID3v2.3", "ID3v1", "TAG+", "APEv2", "Lyrics3v2" ...
	Offset int64  // in the source
	Length int64  // bytes

	at int64 // where it would stand in what is returned
}

// Reader reads a source and leaves out its tags.
type Reader struct {
	// Live has audio handed on at once, for a source that is heard while it is made.
	// Then a tag with a footer and no header (APEv1) is not found.
	Live bool

	src  io.Reader
	size int64 // of the source; -1 when unknown
	err  error // of the source; sticky

	buf    []byte // buf[r:w] has been read and not yet returned
	r, w   int
	scan   int   // no tag begins in buf[r:scan]
	offset int64 // of buf[r] in what is returned
	tags   []Tag
}

// NewReader returns a Reader of src. When src is an io.Seeker, its size is asked
// for, so that a tag that claims to reach beyond the end is not believed.
func NewReader(src io.Reader) *Reader {
	r := &Reader{src: src, size: -1}
	if s, ok := src.(io.Seeker); ok {
		if here, err := s.Seek(0, io.SeekCurrent); err == nil {
			if end, err := s.Seek(0, io.SeekEnd); err == nil {
				r.size = end - here
			}
			if _, err := s.Seek(here, io.SeekStart); err != nil {
				r.err = err
			}
		}
	}
	return r
}

// Tags returns the tags left out so far, in the order they stand in.
func (r *Reader) Tags() []Tag { return r.tags }

// SourceOffset returns where in the source the byte stands that is at offset of
// what is returned.
func (r *Reader) SourceOffset(offset int64) int64 {
	source := offset
	for _, t := range r.tags {
		if t.at > offset {
			break
		}
		source += t.Length
	}
	return source
}

// Read returns audio. The error at the end is the source's.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		ready := r.scan - r.r
		if !r.Live {
			ready -= holdBack
		}
		if r.err != nil && r.scan == r.w {
			ready = r.w - r.r
		}
		if ready > 0 {
			n := copy(p, r.buf[r.r:r.r+ready])
			r.r += n
			r.offset += int64(n)
			return n, nil
		}
		if r.err != nil && r.scan == r.w {
			return 0, r.err
		}
		r.find()
	}
}

// beginnings are what tags begin with; an APE footer, too.
var beginnings = [4][]byte{[]byte("ID3"), []byte("APETAGEX"), lyricsBegin, []byte("TAG")}

// find looks for tags as far as the window shows, and takes them out.
func (r *Reader) find() {
	if r.w-r.scan <= lookAhead {
		r.fill()
	}
	for r.scan < r.w {
		end, decided := r.w, r.w
		if r.err == nil {
			end, decided = r.w-len(lyricsBegin)+1, r.w-lookAhead
		}
		if r.scan = r.candidate(r.scan, end); r.scan >= min(end, max(decided, r.r)) {
			return
		}
		before, length, kind := r.tagAt(r.scan)
		for length < 0 { // more has to be seen to know its end
			r.fill()
			before, length, kind = r.tagAt(r.scan)
		}
		if length == 0 {
			r.scan++
			continue
		}
		r.remove(r.scan-before, int64(before)+length, kind)
	}
}

// candidate returns where between from and end the next tag may begin, end when it does
// not.
func (r *Reader) candidate(from, end int) int {
	end = max(from, end)
	for _, b := range beginnings {
		if i := bytes.Index(r.buf[from:min(r.w, end+len(b)-1)], b); i >= 0 {
			end = from + i
		}
	}
	return end
}

// tagAt returns the length of the tag that begins at buf[i], 0 when none does,
// -1 when the window has to grow to know. A footer without a header is a tag, too:
// then before is how many bytes of it stand before i.
func (r *Reader) tagAt(i int) (before int, length int64, kind string) {
	b := r.buf[i:r.w]
	ended := r.err != nil
	left := int64(-1) // bytes to the end of the source
	switch {
	case ended:
		left = int64(len(b))
	case r.size >= 0:
		left = r.size - r.SourceOffset(r.offset+int64(i-r.r))
	}
	switch b[0] {
	case 'I':
		if h, ok := parseID3v2(b); ok {
			return 0, h.length(b, left), h.kind()
		}
	case 'A':
		if h, ok := parseAPE(b); ok {
			before, length = h.extent(r.buf[r.r:i], b, left)
			return before, length, h.kind()
		}
	case 'L':
		if bytes.HasPrefix(b, lyricsBegin) {
			length, kind = lyricsLength(b)
			if length == 0 && !ended && len(r.buf)-(r.w-r.r) > 0 {
				return 0, -1, ""
			}
			if length == 0 {
				// Without its end only the mark is sure to be no audio.
				length, kind = int64(len(lyricsBegin)), "Lyrics3"
			}
			return 0, length, kind
		}
	case 'T':
		length, kind = id3v1Length(b, ended)
		return 0, length, kind
	}
	return 0, 0, ""
}

// remove takes length bytes from buf[i] on out of the stream, and reads over what
// is not in the window yet.
func (r *Reader) remove(i int, length int64, kind string) {
	at := r.offset + int64(i-r.r)
	kept := i - r.r
	removed := int64(0)
	for {
		n := min(length-removed, int64(r.w-i))
		removed += n
		// What stands before is the shorter part to move.
		copy(r.buf[r.r+int(n):], r.buf[r.r:i])
		r.r += int(n)
		if removed == length || r.err != nil {
			break
		}
		r.scan = r.w
		r.fill()
		i = r.r + kept
	}
	r.scan = max(r.r, r.r+kept-lookBack)
	r.note(Tag{kind, 0, removed, at})
}

// note puts a tag on the list.
func (r *Reader) note(t Tag) {
	// Tags noted before may stand behind this one: they move up.
	i := len(r.tags)
	for ; i > 0 && r.tags[i-1].at > t.at; i-- {
		r.tags[i-1].at = max(t.at, r.tags[i-1].at-t.Length)
	}
	if len(r.tags) == maxTags {
		r.tags[maxTags-1].Length += t.Length
		return
	}
	// Of two at one place the one found later stood behind, or around.
	t.Offset = t.at
	for _, before := range r.tags[:i] {
		t.Offset += before.Length
	}
	r.tags = append(r.tags, Tag{})
	copy(r.tags[i+1:], r.tags[i:])
	r.tags[i] = t
}

// fill reads once from the source, into a window that begins with what is kept.
func (r *Reader) fill() {
	if r.buf == nil {
		size := bufferSize
		if r.size >= 0 {
			size = int(min(bufferSize, r.size+1)) // one more to find the end
		}
		r.buf = make([]byte, size)
	}
	copy(r.buf, r.buf[r.r:r.w])
	r.w -= r.r
	r.scan -= r.r
	r.r = 0
	for range 100 {
		n, err := r.src.Read(r.buf[r.w:])
		r.w += n
		if err != nil {
			r.err = err
			return
		}
		if n > 0 {
			return
		}
	}
	r.err = io.ErrNoProgress
}
