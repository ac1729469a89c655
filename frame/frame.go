// Package frame turns bytes into audio frames.
//
// A [Reader] finds the frames in a stream, leaves out everything that is not
// audio, and says what it left out. A [Frame] is a value: the fields of its
// header, its bytes, and where it stood.
//
// MPEG audio (MP3, MP2, MP1) is described in ISO/IEC 11172-3 (MPEG-1) and
// ISO/IEC 13818-3 (MPEG-2, lower sampling frequencies). MPEG-2.5 is the
// extension of Layer III by Fraunhofer IIS to 8, 11.025 and 12 kHz; it has no
// standard of its own.
package frame

import (
	"errors"
	"fmt"
)

// Format is the bitstream a frame belongs to.
type Format uint8

const (
	Unknown Format = iota
	MPEG           // MPEG-1, 2 and 2.5 audio, Layers I to III
)

// String returns the name of the format in lower case, as in check --json.
func (f Format) String() string {
	if f == MPEG {
		return "mpeg"
	}
	return "unknown"
}

// ContentType returns the media type Icecast expects for the format: exactly
// this spelling and no parameters, for servers compare it byte by byte.
func (f Format) ContentType() string {
	if f == MPEG {
		return "audio/mpeg"
	}
	return "application/octet-stream"
}

// Header holds the fields of one frame header.
type Header struct {
	Format     Format
	Version    Version     // MPEG1, MPEG2 or MPEG25
	Layer      int         // 1, 2 or 3
	Mode       ChannelMode // how the channels are coded
	Protected  bool        // a 16-bit CRC follows the header
	Padding    bool        // the frame is one slot longer than its bitrate asks for
	FreeFormat bool        // the bitrate is not in the header: Size is measured
	Bitrate    int         // bit/s; of a free format frame the one its size amounts to
	SampleRate int         // Hz
	Channels   int         // 1 or 2
	Samples    int         // per channel: 384, 576 or 1152
	Size       int         // bytes of the whole frame, header included
}

// SameStream reports whether a frame with header h can stand beside one with
// header o in one stream without a decoder having to start anew: version,
// layer and sample rate are equal. Bitrate, mode and the other bits may change
// from frame to frame (ISO/IEC 11172-3, 2.4.2.3).
func (h Header) SameStream(o Header) bool {
	return h.Format == o.Format && h.Version == o.Version && h.Layer == o.Layer &&
		h.SampleRate == o.SampleRate && h.FreeFormat == o.FreeFormat
}

// String describes the stream the header belongs to, for people.
func (h Header) String() string {
	if h.Format == Unknown {
		return "unknown"
	}
	return fmt.Sprintf("MPEG-%s Layer %s, %d Hz, %s",
		h.Version, [...]string{"?", "I", "II", "III"}[h.Layer&3], h.SampleRate, h.Mode)
}

// Frame is one audio frame. Data is never changed or used again by the Reader
// that returned it, so a Frame may be kept without copying.
type Frame struct {
	Header
	Data   []byte // the whole frame, header included
	Offset int64  // of Data[0] in the stream the Reader reads
	Ending bool   // its track ends less than a kilobyte behind it; set by who knows
}

// SkipKind says why bytes were left out.
type SkipKind uint8

const (
	Junk      SkipKind = iota // not a frame
	Damaged                   // a frame that the next one begins inside of
	Truncated                 // a frame the stream ends inside of
	XingFrame                 // encoder information in a frame of silence, variable bitrate
	InfoFrame                 // the same, constant bitrate
	VBRIFrame                 // the same, by Fraunhofer encoders
)

var skipNames = [...]string{"junk", "damaged frame", "truncated frame", "Xing", "Info", "VBRI"}

func (k SkipKind) String() string {
	if int(k) < len(skipNames) {
		return skipNames[k]
	}
	return "unknown"
}

// IsHeaderFrame reports whether the bytes are an encoder's header frame, which
// belongs to the file and not to the audio.
func (k SkipKind) IsHeaderFrame() bool { return k >= XingFrame }

// Skip is a stretch of the stream that is not audio.
type Skip struct {
	Kind   SkipKind
	Offset int64 // in the stream the Reader reads
	Length int64 // bytes
}

func (s Skip) String() string {
	return fmt.Sprintf("%s, %d bytes at offset %d", s.Kind, s.Length, s.Offset)
}

// ErrNotFrame is returned by the header parsers for bytes that cannot begin a
// frame.
var ErrNotFrame = errors.New("not a frame header")

// ParseError says at which offset a stream could not be read on.
type ParseError struct {
	Offset int64
	Err    error
}

func (e *ParseError) Error() string { return fmt.Sprintf("offset %d: %v", e.Offset, e.Err) }
func (e *ParseError) Unwrap() error { return e.Err }
