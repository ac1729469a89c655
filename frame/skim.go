package frame

import (
	"io"
	"sync"
)

// Skimmed is what Skim has found.
type Skimmed struct {
	First        Header // of the first frame that is audio
	Frames       int
	Samples      int64
	Bytes        int64 // of the frames
	SameBitrate  bool  // all frames have that of the first
	HeaderFrames []Skip
	End          int64 // where the last frame ends
}

// skimBuffers are used again, for many files are skimmed in a row.
var skimBuffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// Skim counts the frames of an MPEG or ADTS stream that begins at an offset and has
// nothing wrong with it, many times faster than a Reader: it goes from header to header,
// each of which confirms the one before, and looks at nothing between. Where a Reader
// might see more than that, ok is false: when it does not begin with three frames of one
// stream, when it is free format, or when the source fails. What stands behind End is for
// the caller to look at.
func Skim(src io.ReaderAt, from, size int64) (s Skimmed, ok bool) {
	buf := skimBuffers.Get().(*[]byte)
	defer skimBuffers.Put(buf)
	b := *buf
	at, read := from, 0 // b[:read] stands at offset at
	i := 0              // in b
	var stream Header
	s.SameBitrate = true
	seen := 0
	for {
		// Headers are looked at with as much as tells a header frame.
		if read-i < 64 && at+int64(read) < size {
			at += int64(i)
			i = 0
			n, err := src.ReadAt(b[:min(int64(len(b)), size-at)], at)
			if read = n; err != nil && err != io.EOF || n < 64 && at+int64(n) < size {
				return s, false
			}
		}
		h, err := parse(b[min(i, read):read])
		offset := at + int64(i)
		switch {
		case err != nil, seen > 0 && !h.SameStream(stream):
			s.End = offset
			return s, seen >= 3 && s.Frames > 0
		case h.FreeFormat:
			return s, false
		case offset+int64(h.Size) > size:
			s.End = offset
			return s, seen >= 3 && s.Frames > 0
		}
		stream = h
		seen++
		if kind, is := h.headerFrame(b[i:min(read, i+h.Size)]); is {
			s.HeaderFrames = append(s.HeaderFrames, Skip{kind, offset, int64(h.Size)})
			if len(s.HeaderFrames) > maxSkips {
				return s, false
			}
		} else {
			if s.Frames == 0 {
				s.First = h
			}
			s.Frames++
			s.Samples += int64(h.Samples)
			s.Bytes += int64(h.Size)
			s.SameBitrate = s.SameBitrate && h.Bitrate == s.First.Bitrate
		}
		if i += h.Size; i > read {
			at += int64(i)
			i, read = 0, 0
		}
	}
}
