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
// of another kind two.
//
// Once Next has returned an error it returns the same error for ever.
type Reader struct {
	src io.Reader
	err error // of src; sticky

	slab   []byte
	r, w   int   // slab[r:w] is read and not yet used
	offset int64 // of slab[r] in src
	lent   bool  // frames of this slab are in other hands

	locked   bool   // a frame ended at slab[r]
	stream   Header // a header of the stream last locked to
	freeBase int    // size of its frames without padding, if free format

	skipped []Skip
}

// NewReader returns a Reader of src. It takes MPEG audio of any version and
// layer. Tags should be taken out before (package id3strip): what is in them can
// look like frames.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: src}
}

// Skipped returns what the last call of Next left out, in order. The slice is
// valid until the next call.
func (r *Reader) Skipped() []Skip { return r.skipped }

// Offset returns the offset of the first byte not yet returned or skipped.
func (r *Reader) Offset() int64 { return r.offset }

// Next returns the next audio frame. At the end of the stream the error is
// io.EOF; when the stream ends inside a frame, it is a *ParseError that wraps
// io.ErrUnexpectedEOF. Errors of the source come as a *ParseError, too.
func (r *Reader) Next() (Frame, error) {
	r.skipped = r.skipped[:0]
	for {
		b := r.peek(headerSize)
		if len(b) < headerSize {
			return Frame{}, r.end(b)
		}
		if !r.locked && !r.lock() {
			continue
		}
		h, ok := r.headerAt(0)
		if !ok || !h.SameStream(r.stream) {
			r.locked = false
			continue
		}
		b = r.peek(h.Size + headerSize)
		if !r.endsWell(h, b) {
			if at, found := r.syncWithin(min(h.Size, len(b))); found {
				r.skip(Damaged, at) // the next frame begins inside this one
				continue
			}
			if len(b) < h.Size {
				return Frame{}, r.end(b)
			}
			r.locked = false
		}
		data := r.peek(h.Size)[:h.Size:h.Size] // looking further may have moved what b shows
		if kind, is := h.headerFrame(data); is {
			locked := r.locked
			r.skip(kind, h.Size)
			r.locked = locked
			continue
		}
		f := Frame{Header: h, Data: data, Offset: r.offset}
		r.lent = true
		r.r += h.Size
		r.offset += int64(h.Size)
		return f, nil
	}
}

// endsWell reports whether what follows the frame at the read position, whose
// bytes and the next header's b holds, confirms it.
func (r *Reader) endsWell(h Header, b []byte) bool {
	switch {
	case len(b) == h.Size: // the stream ends here
		return true
	case len(b) < h.Size+headerSize:
		return false
	}
	if next, err := ParseMPEG(b[h.Size:]); err == nil && next.SameStream(h) {
		return true
	}
	_, ok := r.confirmed(h.Size, 0) // a stream of another kind begins
	return ok
}

// lock moves the read position to the next confirmed frame, or, when there is
// none in what can be seen, past what cannot begin one, and returns false.
func (r *Reader) lock() bool {
	b := r.window()
	for at := 0; ; at++ {
		i := bytes.IndexByte(b[at:], 0xFF)
		if i < 0 {
			r.skip(Junk, len(b))
			return false
		}
		at += i
		// Near the end of the window more may have to be read to decide.
		if at > 0 && len(b)-at < slabSize/2 && r.err == nil {
			r.skip(Junk, at)
			return false
		}
		if len(b)-at < headerSize {
			r.skip(Junk, len(b)) // the window cannot grow: the stream ends here
			return false
		}
		if h, ok := r.confirmed(at, 0); ok {
			r.skip(Junk, at)
			r.locked, r.stream = true, h
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
	b := r.window()
	for at = 1; at < n; at++ {
		i := bytes.IndexByte(b[at:n], 0xFF)
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

// confirmed reports whether the header at offset at of the window is followed by
// as many others of its stream as it takes to believe it: one when the stream is
// the one last locked to, else two. The end of the stream right behind a frame,
// or a confirmed frame of any stream, serves as well. It returns the header,
// its size measured if it is free format. Depth counts the streams looked through.
func (r *Reader) confirmed(at, depth int) (first Header, ok bool) {
	b := r.window()
	if len(b)-at < headerSize {
		return first, false
	}
	first, err := ParseMPEG(b[at:])
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
		switch {
		case at == len(b) && r.err != nil:
			return first, true
		case len(b)-at < headerSize:
			return first, seen > 0
		}
		next, err := ParseMPEG(b[at:])
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

// spacing measures a free format frame: the distance to the next header of the
// same stream that has another such distance, or a confirmed frame, behind it. It
// returns the bytes of a frame without padding.
func (r *Reader) spacing(at int, h Header, depth int) (base int, ok bool) {
	b := r.window()
	least := 2 * headerSize // there is no sound in less
	if h.Layer == 3 {
		start, side := h.sideInfo()
		least = start + side
	}
	most := at + min(maxFrameSize, len(b)-at-headerSize)
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
		if third+headerSize > len(b) {
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

// headerAt parses the header at offset at of the window; a free format one is
// given the size measured when the stream was locked to.
func (r *Reader) headerAt(at int) (Header, bool) {
	h, err := ParseMPEG(r.slab[r.r+at : r.w])
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
	if h, ok := r.headerAt(0); ok && r.locked && h.SameStream(r.stream) {
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

// window returns what can be seen of the stream: at least half a slab, unless it
// ends before. That is room for more frames than are ever looked at together.
func (r *Reader) window() []byte {
	r.peek(slabSize / 2)
	return r.slab[r.r:r.w]
}

// peek returns the next n bytes, fewer only at the end of the stream. n is at
// most half a slab.
func (r *Reader) peek(n int) []byte {
	for r.w-r.r < n && r.err == nil {
		r.fill()
	}
	return r.slab[r.r : r.r+min(n, r.w-r.r)]
}

// fill reads once from the source.
func (r *Reader) fill() {
	if len(r.slab)-r.r < slabSize/2 || r.w == len(r.slab) {
		rest := r.slab[r.r:r.w]
		if r.lent || r.slab == nil {
			r.slab = make([]byte, slabSize)
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
