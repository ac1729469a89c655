package frame

import (
	"bytes"
	"encoding/binary"
)

// Version is the version of the MPEG audio standard.
type Version uint8

const (
	MPEG1  Version = iota + 1 // ISO/IEC 11172-3: 32, 44.1, 48 kHz
	MPEG2                     // ISO/IEC 13818-3: 16, 22.05, 24 kHz
	MPEG25                    // Fraunhofer's extension: 8, 11.025, 12 kHz
	MPEG4                     // ISO/IEC 14496-3: AAC
)

// String returns "1", "2", "2.5" or "4".
func (v Version) String() string {
	switch v {
	case MPEG1:
		return "1"
	case MPEG2:
		return "2"
	case MPEG25:
		return "2.5"
	case MPEG4:
		return "4"
	}
	return "?"
}

// ChannelMode is the mode field of the header (ISO/IEC 11172-3, 2.4.2.3).
type ChannelMode uint8

const (
	Stereo ChannelMode = iota
	JointStereo
	DualChannel
	Mono
)

func (m ChannelMode) String() string {
	return [...]string{"stereo", "joint stereo", "dual channel", "mono"}[m&3]
}

// mpegHeaderSize is the length of an MPEG audio frame header in bytes.
const mpegHeaderSize = 4

// maxFrameSize bounds every frame. The longest regular one is 2,880 bytes
// (Layer II at 160 kbit/s and 8 kHz); free format at the 640 kbit/s that
// decoders are known to take (LAME's limit) and 8 kHz has 5,760.
const maxFrameSize = 8192

// bitrates in kbit/s by table and bitrate index; 0 is free format. Index 15 is
// forbidden (ISO/IEC 11172-3, 2.4.2.3; ISO/IEC 13818-3, 2.4.2.3).
var bitrates = [5][15]int{
	{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448}, // MPEG-1 Layer I
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},    // MPEG-1 Layer II
	{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},     // MPEG-1 Layer III
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},    // MPEG-2 Layer I
	{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},         // MPEG-2 Layers II and III
}

// sampleRates in Hz of MPEG-1; MPEG-2 halves and MPEG-2.5 quarters them.
// Index 3 is reserved (ISO/IEC 11172-3, 2.4.2.3).
var sampleRates = [3]int{44100, 48000, 32000}

// ParseMPEG reads an MPEG audio frame header from the first four bytes of b. It
// returns ErrNotFrame when these are no such header. Size and Bitrate of a free
// format header are 0: they are known only from where the next header stands.
func ParseMPEG(b []byte) (Header, error) {
	if len(b) < mpegHeaderSize || b[0] != 0xFF || b[1]&0xE0 != 0xE0 {
		return Header{}, ErrNotFrame
	}
	bits := binary.BigEndian.Uint32(b)
	version, layer := bits>>19&3, 4-int(bits>>17&3)
	bitrateIndex, rateIndex := bits>>12&15, bits>>10&3
	if version == 1 || layer == 4 || bitrateIndex == 15 || rateIndex == 3 {
		return Header{}, ErrNotFrame
	}
	h := Header{
		Format:     MPEG,
		Layer:      layer,
		Mode:       ChannelMode(bits >> 6 & 3),
		Protected:  bits>>16&1 == 0,
		Padding:    bits>>9&1 == 1,
		FreeFormat: bitrateIndex == 0,
		SampleRate: sampleRates[rateIndex],
		Channels:   2,
	}
	if h.Mode == Mono {
		h.Channels = 1
	}
	table := layer - 1
	switch version {
	case 3:
		h.Version = MPEG1
	case 2:
		h.Version = MPEG2
		h.SampleRate /= 2
	case 0:
		h.Version = MPEG25
		h.SampleRate /= 4
	}
	if h.Version != MPEG1 {
		table = min(layer, 2) + 2
	}
	h.Bitrate = bitrates[table][bitrateIndex] * 1000

	switch {
	case layer == 1:
		h.Samples = 384
	case layer == 3 && h.Version != MPEG1: // one granule (ISO/IEC 13818-3, 2.4.2.2)
		h.Samples = 576
	default:
		h.Samples = 1152
	}
	if !h.FreeFormat {
		h.Size = h.slots(h.Bitrate)
	}
	return h, nil
}

// Bitrates returns the bitrates, in bit/s, that frames of the version and layer of h can
// have, the lowest first. Free format is not among them.
func (h Header) Bitrates() []int {
	if h.Format != MPEG || h.Layer < 1 || h.Layer > 3 {
		return nil
	}
	table := h.Layer - 1
	if h.Version != MPEG1 {
		table = min(h.Layer, 2) + 2
	}
	var list []int
	for _, kbps := range bitrates[table][1:] {
		list = append(list, kbps*1000)
	}
	return list
}

// slots returns the bytes a frame has at a bitrate: whole slots of one byte, in
// Layer I of four (ISO/IEC 11172-3, 2.4.3.1).
func (h Header) slots(bitrate int) int {
	if h.Layer == 1 {
		return h.Samples/32*bitrate/h.SampleRate*4 + h.padding()
	}
	return h.Samples/8*bitrate/h.SampleRate + h.padding()
}

// padding returns the bytes the padding bit adds.
func (h Header) padding() int {
	switch {
	case !h.Padding:
		return 0
	case h.Layer == 1:
		return 4
	}
	return 1
}

// measured returns h with the size of a free format frame: base bytes without
// padding.
func (h Header) measured(base int) Header {
	h.Size = base + h.padding()
	h.Bitrate = int(int64(base) * 8 * int64(h.SampleRate) / int64(h.Samples))
	return h
}

// sideInfo returns where the side information of a Layer III frame begins and
// how many bytes it has (ISO/IEC 11172-3, 2.4.1.7; ISO/IEC 13818-3, 2.4.1.7).
func (h Header) sideInfo() (start, length int) {
	start = mpegHeaderSize
	if h.Protected {
		start += 2
	}
	switch {
	case h.Version == MPEG1 && h.Mode != Mono:
		return start, 32
	case h.Version == MPEG1 || h.Mode != Mono:
		return start, 17
	}
	return start, 9
}

// headerFrame reports whether a whole Layer III frame is an encoder's header
// frame, and which. The name stands where the main data would begin, counted as
// if there were no CRC (LAME writes it so in frames with one, too) or after it;
// VBRI always stands at 36. The side information before it is empty: that tells
// it from an audio frame whose main data happens to begin with those letters.
// Sources: the Xing VBR header SDK; the LAME tag revision 1; Fraunhofer's VBRI
// header as described with the MP3 encoder of 2001.
func (h Header) headerFrame(data []byte) (SkipKind, bool) {
	if h.Layer != 3 {
		return 0, false
	}
	start, side := h.sideInfo()
	// Without CRC the two places are one. The two bytes of a CRC may be set
	// whatever follows them; in a frame whose name overlies the CRC layout by two
	// they are the beginning of the side information.
	for _, at := range [2]int{mpegHeaderSize + side, start + side} {
		if len(data) < at+4 {
			continue
		}
		kind := XingFrame
		switch string(data[at : at+4]) {
		case "Info":
			kind = InfoFrame
		case "Xing":
		default:
			continue
		}
		if empty(data[start:at]) {
			return kind, true
		}
	}
	if len(data) >= 40 && string(data[36:40]) == "VBRI" && empty(data[start:min(start+side, 36)]) {
		return VBRIFrame, true
	}
	return 0, false
}

func empty(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// Reservoir returns how many bytes of main data before this frame it needs to
// be decoded (main_data_begin, ISO/IEC 11172-3, 2.4.2.7; at most 511), and how
// many bytes of main data it brings itself. Only Layer III has a reservoir.
func (f Frame) Reservoir() (needs, brings int) {
	if f.Format != MPEG || f.Layer != 3 {
		return 0, 0
	}
	start, side := f.sideInfo()
	if len(f.Data) < start+side {
		return 0, 0
	}
	if f.Version == MPEG1 {
		needs = int(f.Data[start])<<1 | int(f.Data[start+1])>>7 // nine bits
	} else {
		needs = int(f.Data[start]) // eight bits
	}
	return needs, len(f.Data) - start - side
}

// Muted returns the frame without its sound: its side information is all zero. The main
// data stays, so frames behind it find the bits they need. Only Layer III has that; other
// frames are returned as they are.
func (f Frame) Muted() Frame {
	start, side := f.sideInfo()
	if f.Format != MPEG || f.Layer != 3 || len(f.Data) < start+side {
		return f
	}
	f.Data = bytes.Clone(f.Data)
	clear(f.Data[start : start+side])
	if f.Protected { // the CRC is that of the header and the side information
		crc := crc16(crc16(0xFFFF, f.Data[2:4]), f.Data[start:start+side])
		binary.BigEndian.PutUint16(f.Data[4:], crc)
	}
	return f
}

// crc16 goes on with the CRC of the header (ISO/IEC 11172-3, 2.4.3.1).
func crc16(crc uint16, b []byte) uint16 {
	for _, c := range b {
		crc ^= uint16(c) << 8
		for range 8 {
			crc = crc<<1 ^ 0x8005&-(crc>>15)
		}
	}
	return crc
}

// silentMPEG returns a frame of silence of a shape. Its side information (bit allocation
// in Layers I and II) is all zero, so it decodes to nothing and needs no reservoir.
func silentMPEG(h Header) []byte {
	bits := uint32(0xFFE00000)
	bits |= [...]uint32{MPEG1: 3, MPEG2: 2, MPEG25: 0}[h.Version] << 19
	bits |= uint32(4-h.Layer) << 17
	bits |= 1 << 16
	bits |= h.bitrateIndex() << 12
	for i, rate := range sampleRates {
		if rate == h.SampleRate || rate/2 == h.SampleRate && h.Version == MPEG2 || rate/4 == h.SampleRate && h.Version == MPEG25 {
			bits |= uint32(i) << 10
		}
	}
	if h.Padding {
		bits |= 1 << 9
	}
	bits |= uint32(h.Mode) << 6
	data := make([]byte, h.Size)
	binary.BigEndian.PutUint32(data, bits)
	return data
}

func (h Header) bitrateIndex() uint32 {
	if h.FreeFormat {
		return 0
	}
	table := h.Layer - 1
	if h.Version != MPEG1 {
		table = min(h.Layer, 2) + 2
	}
	for i, kbps := range bitrates[table] {
		if kbps*1000 == h.Bitrate {
			return uint32(i)
		}
	}
	return 0
}
