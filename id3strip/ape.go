package id3strip

import (
	"bytes"
	"encoding/binary"
)

// apeHeaderSize is the size of the header and of the footer of an APE tag (APEv2
// specification, "APE Tags Header").
const apeHeaderSize = 32

// ape is the header or the footer of an APE tag.
type ape struct {
	version  uint32 // 1000 or 2000
	size     int64  // of the items and the footer
	isHeader bool
	hasOne   bool // a footer that has a header, too
}

func (h ape) kind() string {
	if h.version == 1000 {
		return "APEv1"
	}
	return "APEv2"
}

// parseAPE reads the header or footer of an APE tag ("APE Tags Header", "APE Tags
// Flags"). Version 1 has no flags and only a footer.
func parseAPE(b []byte) (h ape, ok bool) {
	if len(b) < apeHeaderSize || string(b[:8]) != "APETAGEX" {
		return h, false
	}
	h.version = binary.LittleEndian.Uint32(b[8:])
	h.size = int64(binary.LittleEndian.Uint32(b[12:]))
	if h.version != 1000 && h.version != 2000 {
		return h, false
	}
	if h.version == 2000 {
		flags := binary.LittleEndian.Uint32(b[20:])
		h.hasOne = flags>>31 == 1
		h.isHeader = flags>>29&1 == 1
	}
	return h, true
}

// extent returns how much of the tag stands before and how much from its header or
// footer on, which is at the beginning of b. Left is as for ID3v2. A size that
// cannot be true costs the header or the footer alone.
func (h ape) extent(before, b []byte, left int64) (back int, length int64) {
	if h.isHeader {
		whole := apeHeaderSize + h.size
		if h.size < apeHeaderSize || left >= 0 && whole > left {
			return 0, apeHeaderSize
		}
		if whole <= int64(len(b)) && !bytes.HasPrefix(b[whole-apeHeaderSize:], []byte("APETAGEX")) {
			return 0, apeHeaderSize
		}
		return 0, whole
	}
	items := h.size - apeHeaderSize
	if items <= 0 || items > int64(len(before)) || !beginsItem(before[len(before)-int(items):], items) {
		return 0, apeHeaderSize
	}
	return int(items), apeHeaderSize
}

// beginsItem reports whether b begins an item that fits in size bytes: the length of
// its value, its flags, a key of 2 to 255 ASCII characters and a zero ("APE Tag
// Item").
func beginsItem(b []byte, size int64) bool {
	if len(b) < 11 || int64(binary.LittleEndian.Uint32(b))+11 > size {
		return false
	}
	end := bytes.IndexByte(b[8:min(len(b), 8+256)], 0)
	if end < 2 {
		return false
	}
	for _, c := range b[8 : 8+end] {
		if c < 0x20 || c > 0x7E {
			return false
		}
	}
	return true
}
