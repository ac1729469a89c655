package frame

import (
	"bytes"
	"errors"
	"io"
)

const (
	// slabSize is how much is read at a time. Frames are handed out as slices of a
	// slab, which is then left to them: one allocation serves some 150 frames.
	slabSize = 64 << 10

	// headerSize is how many bytes of a frame tell what it is: an ADTS header.
	headerSize = adtsHeaderSize

	// maxAhead bounds how far is looked ahead to confirm one frame, so that a file of
	// false headers costs neither memory nor time.
	maxAhead = slabSize / 2

	// maxIdle is how many bytes of pages in a row may bring no sound before Next gives up.
	// A packet that spans pages has a few hundred kilobytes at most.
	maxIdle = 1 << 20

	// maxSkips bounds what one call of Next reports; beyond it stretches run
	// together, so that a hostile file costs no memory.
	maxSkips = 1000

	// maxSpacings bounds how many distances are tried for the size of one free
	// format frame, so that a file of false headers costs no time.
	maxSpacings = 64

	// maxStreams bounds how many changes of the stream are looked through to confirm
	// one frame.
	maxStreams = 16
)

// Reader reads the audio frames of a stream.
//
// One header is never believed: a frame counts when the next one stands at its
// end, or the stream ends there, or it stands itself at the end of such a frame.
// After a break the first frame of the same kind needs one more behind it, one
// of another kind two. An Ogg page counts when its checksum is right.
//
// It reads no more than it needs to tell, so the frames of a live stream come as soon
// as the header behind them.
//
// Once Next has returned an error it returns the same error for ever.
type Reader struct {
	// MaxJunk is how many bytes in a row may be no audio before Next gives up with
	// ErrNoAudio. Zero is no limit.
	MaxJunk int64

	src io.Reader
	err error // of src; sticky

	slab   []byte
	r, w   int   // slab[r:w] is read and not yet used
	offset int64 // of slab[r] in src
	lent   bool  // frames of this slab are in other hands
	junk   int64 // bytes skipped since the last frame
	idle   int64 // bytes of pages since the last one that brought sound

	locked   bool   // a frame ended at slab[r]
	stream   Header // a header of the stream last locked to
	freeBase int    // size of its frames without padding, if free format
	ogg      bool   // locked to Ogg pages
	pages    oggStream
	lost     SkipKind // what it is when there is nothing to lock to

	skipped []Skip
}

// ErrTooMuchJunk says that there was no audio for longer than MaxJunk.
var ErrTooMuchJunk = errors.New("too much in a row that is no audio")

// NewReader returns a Reader of src. It takes MPEG audio of any version and layer, AAC
// in ADTS frames, and Ogg. Tags should be taken out before (package id3strip), but not
// from Ogg: what is in them can look like frames.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: src}
}

// Skipped returns what the last call of Next left out, in order. The slice is
// valid until the next call.
func (r *Reader) Skipped() []Skip { return r.skipped }

// Offset returns the offset of the first byte not yet returned or skipped.
func (r *Reader) Offset() int64 { return r.offset }

// parse reads the header of an MPEG or ADTS frame.
func parse(b []byte) (Header, error) {
	if len(b) > 1 && b[1]&0xF6 == 0xF0 {
		return ParseADTS(b)
	}
	return ParseMPEG(b)
}

// Next returns the next audio frame. At the end of the stream the error is
// io.EOF; when the stream ends inside a frame, it is a *ParseError that wraps
// io.ErrUnexpectedEOF. Errors of the source come as a *ParseError, too.
func (r *Reader) Next() (Frame, error) {
	r.skipped = r.skipped[:0]
	for {
		if r.MaxJunk > 0 && r.junk > r.MaxJunk && r.err == nil {
			r.err = &ParseError{r.offset, ErrTooMuchJunk}
			r.w = r.r
		}
		b := r.peek(headerSize)
		if len(b) < mpegHeaderSize {
			return Frame{}, r.end(b)
		}
		if !r.locked && !r.lock() {
			continue
		}
		var f Frame
		var ok bool
		var err error
		if r.ogg {
			f, ok, err = r.page()
		} else {
			f, ok, err = r.frame()
		}
		if ok || err != nil {
			r.junk = 0
			return f, err
		}
	}
}

// frame returns the MPEG or ADTS frame at the read position, unless it is none.
func (r *Reader) frame() (f Frame, ok bool, err error) {
	h, ok := r.headerAt(0)
	if !ok || !h.SameStream(r.stream) {
		r.locked = false
		return f, false, nil
	}
	b := r.peek(h.Size + headerSize)
	if !r.endsWell(h, b) {
		if at, found := r.syncWithin(min(h.Size, len(b))); found {
			r.skip(Damaged, at) // the next frame begins inside this one
			return f, false, nil
		}
		if len(b) < h.Size {
			return f, false, r.end(b)
		}
		r.locked = false
	}
	data := r.peek(h.Size)[:h.Size:h.Size] // looking further may have moved what b shows
	if kind, is := h.headerFrame(data); is {
		locked := r.locked
		r.skip(kind, h.Size)
		r.locked, r.junk = locked, 0
		return f, false, nil
	}
	return r.give(Frame{Header: h}), true, nil
}

// page returns the Ogg page at the read position, when it is audio.
func (r *Reader) page() (f Frame, ok bool, err error) {
	p, whole, is := r.pageAt(0)
	switch {
	case !is:
		r.locked, r.lost = false, Damaged
		if !bytes.HasPrefix(r.peek(len(oggs)), oggs) {
			r.lost = Junk
		}
		return f, false, nil
	case !whole:
		rest := r.peek(maxPageSize)
		if at := bytes.Index(rest[1:], oggs) + 1; at > 0 { // its length may be wrong
			if _, whole, is := r.pageAt(at); is && whole {
				r.skip(Damaged, at)
				return f, false, nil
			}
		}
		return f, false, r.end(rest)
	}
	f, kind, audio := r.pages.take(p)
	if !audio {
		r.skip(kind, len(p.data))
		r.junk = 0
		return f, false, nil
	}
	if r.idle += int64(f.Size); f.Samples > 0 {
		r.idle = 0
	}
	if r.idle > maxIdle && r.err == nil { // it would cost the clock nothing, and us everything
		r.err = &ParseError{r.offset, ErrTooMuchJunk}
		r.w = r.r
		return Frame{}, false, nil
	}
	return r.give(f), true, nil
}

// give takes f.Size bytes for a frame.
func (r *Reader) give(f Frame) Frame {
	f.Data, f.Offset = r.peek(f.Size)[:f.Size:f.Size], r.offset
	r.lent = true
	r.r += f.Size
	r.offset += int64(f.Size)
	return f
}

// pageAt reads the Ogg page at offset at of the read position. Is says that it is one,
// and whole that all of it is there.
func (r *Reader) pageAt(at int) (p page, whole, is bool) {
	b := r.peek(at + pageHeaderSize)[at:]
	size, known := pageSize(b)
	if !known && len(b) == pageHeaderSize {
		b = r.peek(at + size)[at:]
		size, known = pageSize(b)
	}
	if !known {
		return p, false, bytes.HasPrefix(b, oggs)
	}
	if size == 0 {
		return p, false, false
	}
	if b = r.peek(at + size)[at:]; len(b) < size {
		return p, false, true
	}
	p, ok := parsePage(b[:size:size])
	return p, true, ok
}

// endsWell reports whether what follows the frame at the read position, whose
// bytes and the next header's b holds, confirms it.
func (r *Reader) endsWell(h Header, b []byte) bool {
	switch {
	case len(b) == h.Size: // the stream ends here
		return true
	case len(b) < h.Size+mpegHeaderSize:
		return false
	}
	if next, err := parse(b[h.Size:]); err == nil && next.SameStream(h) {
		return true
	}
	_, ok := r.confirmed(h.Size, 0) // a stream of another kind begins
	return ok
}

// lock moves the read position to the next confirmed frame, or, when there is
// none in what has been read, past what cannot begin one, and returns false.
func (r *Reader) lock() bool {
	oggAt := -1 // where the next "OggS" is, from the read position
	for at := 0; ; at++ {
		if at >= slabSize/8 { // leave room to look ahead
			r.skip(r.lost, at)
			return false
		}
		r.peek(at + headerSize)
		b := r.slab[r.r:r.w]
		if oggAt < at {
			if oggAt = bytes.Index(b[at:], oggs); oggAt < 0 {
				oggAt = len(b)
			} else {
				oggAt += at
			}
		}
		i := bytes.IndexByte(b[at:], 0xFF)
		switch {
		case i >= 0 && at+i < oggAt:
			at += i
		case oggAt < len(b):
			at = oggAt
		default: // but the end may be the beginning of a capture pattern
			keep := 0
			for n := 1; n <= 3 && r.err == nil; n++ {
				if bytes.HasSuffix(b, oggs[:n]) {
					keep = n
				}
			}
			r.skip(r.lost, len(b)-keep)
			return false
		}
		if at >= slabSize/8 {
			continue
		}
		if at == oggAt {
			if _, whole, is := r.pageAt(at); is && whole {
				r.skip(r.lost, at)
				r.locked, r.ogg, r.lost = true, true, Junk
				return true
			}
			continue
		}
		if h, ok := r.confirmed(at, 0); ok {
			r.skip(r.lost, at)
			r.locked, r.ogg, r.stream, r.lost = true, false, h, Junk
			if h.FreeFormat {
				r.freeBase = h.Size - h.padding()
			}
			return true
		}
	}
}

// syncWithin looks for a confirmed frame that begins inside the next n bytes,
// not at the first of them.
func (r *Reader) syncWithin(n int) (at int, found bool) {
	for at = 1; at < n; at++ {
		b := r.peek(n)
		i := bytes.IndexByte(b[at:], 0xFF)
		if i < 0 {
			return 0, false
		}
		at += i
		if _, ok := r.confirmed(at, 0); ok {
			return at, true
		}
	}
	return 0, false
}

// confirmed reports whether the header at offset at of the read position is followed by
// as many others of its stream as it takes to believe it: one when the stream is
// the one last locked to, else two. The end of the stream right behind a frame,
// or a confirmed frame of any stream, serves as well. It returns the header,
// its size measured if it is free format. Depth counts the streams looked through.
func (r *Reader) confirmed(at, depth int) (first Header, ok bool) {
	first, err := parse(r.ahead(at))
	if err != nil {
		return first, false
	}
	known := first.SameStream(r.stream)
	base := r.freeBase
	if first.FreeFormat {
		if !known {
			if base, ok = r.spacing(at, first, depth); !ok {
				return first, false
			}
		}
		first = first.measured(base)
	}
	need := 2
	if known {
		need = 1
	}
	at += first.Size
	for seen := range need {
		ok = false
		b := r.ahead(at)
		switch {
		case len(b) == 0 && r.err != nil && r.r+at == r.w:
			return first, true
		case len(b) < mpegHeaderSize:
			return first, seen > 0
		}
		next, err := parse(b)
		if err != nil || !next.SameStream(first) {
			if depth < maxStreams {
				_, ok = r.confirmed(at, depth+1)
			}
			return first, ok
		}
		if next.FreeFormat {
			next = next.measured(base)
		}
		at += next.Size
	}
	return first, true
}

// ahead returns the bytes of a header at offset at of the read position, fewer at the
// end of the stream, none farther ahead than is looked.
func (r *Reader) ahead(at int) []byte {
	if at+headerSize > maxAhead {
		return nil
	}
	b := r.peek(at + headerSize)
	return b[min(at, len(b)):]
}

// spacing measures a free format frame: the distance to the next header of the
// same stream that has another such distance, or a confirmed frame, behind it. It
// returns the bytes of a frame without padding.
func (r *Reader) spacing(at int, h Header, depth int) (base int, ok bool) {
	b := r.peek(min(at+3*maxFrameSize, maxAhead))
	least := 2 * mpegHeaderSize // there is no sound in less
	if h.Layer == 3 {
		start, side := h.sideInfo()
		least = start + side
	}
	most := at + min(maxFrameSize, len(b)-at-mpegHeaderSize)
	tried := 0
	for i := at + least + h.padding(); i <= most && tried < maxSpacings; i++ {
		j := bytes.IndexByte(b[i:], 0xFF)
		if j < 0 || i+j > most {
			break
		}
		i += j
		second, err := ParseMPEG(b[i:])
		if err != nil || !second.SameStream(h) || second.Protected != h.Protected || second.Channels != h.Channels {
			continue
		}
		tried++
		base = i - at - h.padding()
		third := i + second.measured(base).Size
		if third == len(b) && r.err != nil {
			return base, true
		}
		if third+mpegHeaderSize > len(b) {
			continue
		}
		next, err := ParseMPEG(b[third:])
		switch {
		case err != nil:
		case next.SameStream(h):
			return base, true
		case !next.FreeFormat && depth < maxStreams: // one more measurement inside this one would have no end
			if _, ok := r.confirmed(third, maxStreams); ok {
				return base, true
			}
		}
	}
	return 0, false
}

// headerAt parses the header at offset at of the read position; a free format one is
// given the size measured when the stream was locked to.
func (r *Reader) headerAt(at int) (Header, bool) {
	h, err := parse(r.slab[r.r+at : r.w])
	if err != nil {
		return h, false
	}
	if h.FreeFormat {
		h = h.measured(r.freeBase)
	}
	return h, true
}

// end uses up the last bytes of the stream, which are no frame, and sets the
// final error.
func (r *Reader) end(rest []byte) error {
	kind, err := Junk, r.err
	h, ok := r.headerAt(0)
	if ok && r.locked && !r.ogg && h.SameStream(r.stream) || r.locked && r.ogg && bytes.HasPrefix(rest, oggs) {
		kind = Truncated
		if err == io.EOF {
			err = &ParseError{r.offset, io.ErrUnexpectedEOF}
		}
	}
	if err != io.EOF && !errors.As(err, new(*ParseError)) {
		err = &ParseError{r.offset + int64(len(rest)), err}
	}
	r.skip(kind, len(rest))
	r.err = err
	return err
}

// skip passes over n bytes and notes it.
func (r *Reader) skip(kind SkipKind, n int) {
	if n == 0 {
		return
	}
	s := Skip{kind, r.offset, int64(n)}
	r.r += n
	r.offset += int64(n)
	r.junk += int64(n)
	if i := len(r.skipped) - 1; i >= 0 {
		last := &r.skipped[i]
		joins := last.Kind == kind && !kind.IsHeaderFrame() && last.Offset+last.Length == s.Offset
		if joins || len(r.skipped) == maxSkips {
			last.Length = r.offset - last.Offset
			return
		}
	}
	r.skipped = append(r.skipped, s)
}

// peek returns the next n bytes, fewer only at the end of the stream. It reads no more
// than it has to wait for.
func (r *Reader) peek(n int) []byte {
	for r.w-r.r < n && r.err == nil {
		r.fill(n)
	}
	return r.slab[r.r : r.r+min(n, r.w-r.r)]
}

// fill reads once from the source. There will be room for n bytes.
func (r *Reader) fill(n int) {
	if n = max(n, slabSize/2); len(r.slab)-r.r < n || r.w == len(r.slab) {
		rest := r.slab[r.r:r.w]
		if r.lent || len(r.slab) < 2*n {
			r.slab = make([]byte, max(slabSize, 2*n))
			r.lent = false
		}
		r.w = copy(r.slab, rest)
		r.r = 0
	}
	for range 100 {
		n, err := r.src.Read(r.slab[r.w:])
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
