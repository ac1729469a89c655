// Package frame turns bytes into audio frames.
//
// A [Reader] finds the frames in a stream, leaves out everything that is not
// audio, and says what it left out. A [Frame] is a value: the fields of its
// header, its bytes, and where it stood. A [Chain] makes one stream of the frames of
// several tracks.
//
// MPEG audio (MP3, MP2, MP1) is described in ISO/IEC 11172-3 (MPEG-1) and
// ISO/IEC 13818-3 (MPEG-2, lower sampling frequencies). MPEG-2.5 is the
// extension of Layer III by Fraunhofer IIS to 8, 11.025 and 12 kHz; it has no
// standard of its own. AAC in ADTS frames is in ISO/IEC 13818-7 and ISO/IEC 14496-3.
// Ogg is RFC 3533; what is in it, the Vorbis I specification, RFC 7845 (Opus), RFC 9639
// (FLAC, section 10.1) and the Speex manual. The frames of Ogg are its pages.
package frame

import (
	"errors"
	"fmt"
	"time"
)

// Format is the bitstream a frame belongs to.
type Format uint8

const (
	Unknown Format = iota
	MPEG           // MPEG-1, 2 and 2.5 audio, Layers I to III
	AAC            // in ADTS frames
	Vorbis         // in Ogg, as the ones below
	Opus
	FLAC
	Speex
)

// formats are the names of the formats, as in check --json, and what a file of one is
// called by.
var formats = [...]struct{ name, ext, title string }{
	Unknown: {"unknown", "", "unknown"},
	MPEG:    {"mpeg", ".mp3", "MPEG"},
	AAC:     {"aac", ".aac", "AAC"},
	Vorbis:  {"vorbis", ".ogg", "Ogg Vorbis"},
	Opus:    {"opus", ".opus", "Ogg Opus"},
	FLAC:    {"flac", ".oga", "Ogg FLAC"},
	Speex:   {"speex", ".spx", "Ogg Speex"},
}

// String returns the name of the format in lower case.
func (f Format) String() string { return formats[f].name }

// Ext returns what the name of a file or mount of the format ends in, ".mp3" for one.
func (f Format) Ext() string { return formats[f].ext }

// Ogg reports whether frames of the format are Ogg pages.
func (f Format) Ogg() bool { return f >= Vorbis }

// ContentType returns the media type Icecast expects for the format: exactly
// this spelling and no parameters, for servers compare it byte by byte.
func (f Format) ContentType() string {
	switch {
	case f == MPEG:
		return "audio/mpeg"
	case f == AAC:
		return "audio/aac"
	case f.Ogg():
		return "audio/ogg"
	}
	return "application/octet-stream"
}

// Header holds the fields of one frame header. Those of Ogg are in the header of the
// stream, but for Samples and Size.
type Header struct {
	Format     Format
	Version    Version     // MPEG1, MPEG2 or MPEG25; of AAC MPEG2 or MPEG4
	Layer      int         // of MPEG: 1, 2 or 3
	Mode       ChannelMode // of MPEG: how the channels are coded
	ObjectType int         // of AAC: 1 Main, 2 LC, 3 SSR, 4 LTP
	Protected  bool        // a 16-bit CRC follows the header
	Padding    bool        // the frame is one slot longer than its bitrate asks for
	FreeFormat bool        // the bitrate is not in the header: Size is measured
	Bitrate    int         // bit/s; of a free format frame the one its size amounts to; 0 when unknown
	SampleRate int         // Hz
	Channels   int         // 0 when it is not in the header
	Samples    int         // per channel: 384, 576 or 1152; of AAC 1024 to 4096; of Ogg any
	Size       int         // bytes of the whole frame, header included
}

// SameStream reports whether a frame with header h can stand beside one with
// header o in one stream without a decoder having to start anew: version,
// layer and sample rate are equal. Bitrate, mode and the other bits may change
// from frame to frame (ISO/IEC 11172-3, 2.4.2.3); in AAC the channels may not
// (ISO/IEC 13818-7, 6.2.1).
func (h Header) SameStream(o Header) bool {
	return h.SameCodec(o) && h.Version == o.Version && h.SampleRate == o.SampleRate && h.FreeFormat == o.FreeFormat &&
		(h.Format == MPEG || h.Channels == o.Channels && h.ObjectType == o.ObjectType)
}

// SameCodec reports whether the decoder for a frame with header h takes one with header
// o, too: Format and Layer are equal.
func (h Header) SameCodec(o Header) bool { return h.Format == o.Format && h.Layer == o.Layer }

// String describes the stream the header belongs to, for people.
func (h Header) String() string {
	switch {
	case h.Format == Unknown:
		return "unknown"
	case h.Format == MPEG:
		return fmt.Sprintf("MPEG-%s Layer %s, %d Hz, %s",
			h.Version, [...]string{"?", "I", "II", "III"}[h.Layer&3], h.SampleRate, h.Mode)
	}
	name := formats[h.Format].title
	if h.Format == AAC {
		name += [...]string{"", " Main", "-LC", " SSR", " LTP"}[h.ObjectType]
	}
	return fmt.Sprintf("%s, %d Hz, %s", name, h.SampleRate, channels(h.Channels))
}

func channels(n int) string {
	switch n {
	case 0:
		return "channels unknown"
	case 1:
		return "mono"
	case 2:
		return "stereo"
	}
	return fmt.Sprintf("%d channels", n)
}

// Frame is one audio frame. Data is never changed or used again by the Reader
// that returned it, so a Frame may be kept without copying.
type Frame struct {
	Header
	Data    []byte // the whole frame, header included
	Offset  int64  // of Data[0] in the stream the Reader reads
	Ending  bool   // its track ends less than a kilobyte behind it; set by who knows
	Last    bool   // of Ogg: its link ends with it; set by who knows, the page may not say so
	Added   bool   // of Ogg: it was not in the file; its position counts from the page before
	Packets int    // of Ogg: how many packets end in the page
	Setup   *Setup // of Ogg: what a decoder needs before; all pages of a link have the same
}

// MaxBefore is the most frames before another that a decoder may need for it.
const MaxBefore = 9

// From returns which frame a decoder has to begin with so that frame i of a row makes
// sense to it: in Layer III the bit reservoir reaches back, in Ogg a packet may.
func From(i int, row func(i int) Frame) int {
	from := i
	needs, _ := row(i).Reservoir()
	for from > 0 && i-from < MaxBefore {
		f := row(from)
		if needs <= 0 && !(f.Setup != nil && f.Data[5]&continued != 0) {
			break
		}
		from--
		_, brings := row(from).Reservoir()
		needs -= brings
	}
	return from
}

// Lasts returns how long the frame is heard, rounded down to nanoseconds: for what need not
// add up.
func (h Header) Lasts() time.Duration {
	return time.Duration(h.Samples) * time.Second / time.Duration(h.SampleRate)
}

// SkipKind says why bytes were left out.
type SkipKind uint8

const (
	Junk       SkipKind = iota // not a frame
	Damaged                    // a frame that the next one begins inside of, or whose checksum is wrong
	Truncated                  // a frame the stream ends inside of
	OtherCodec                 // a frame of another codec than those before
	XingFrame                  // encoder information in a frame of silence, variable bitrate
	InfoFrame                  // the same, constant bitrate
	VBRIFrame                  // the same, by Fraunhofer encoders
	SetupPage                  // headers of an Ogg stream, which its frames have as Setup
	OtherPage                  // of an Ogg stream that is not the audio
)

var skipNames = [...]string{"junk", "damaged frame", "truncated frame", "frame of another codec", "Xing", "Info", "VBRI", "Ogg headers", "other Ogg stream"}

func (k SkipKind) String() string {
	if int(k) < len(skipNames) {
		return skipNames[k]
	}
	return "unknown"
}

// IsHeaderFrame reports whether the bytes are a header frame of an encoder or a part of
// an Ogg file that is no audio: it belongs to the file, and nothing is wrong with it.
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
