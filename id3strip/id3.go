package id3strip

import "bytes"

const (
	id3v2HeaderSize = 10  // and footer size (ID3v2.4 structure, 3.1 and 3.4)
	id3v1Size       = 128 // "TAG" and 125 bytes at the end of a file
	enhancedSize    = 227 // "TAG+" in front of an ID3v1 tag
)

// id3v2 is the header of an ID3v2 tag (ID3v2.4 structure, 3.1).
type id3v2 struct {
	version  byte // 2, 3 or 4
	unsync   bool // unsynchronisation is applied to the whole tag
	extended bool // an extended header follows
	footer   bool
	size     int64 // of what follows the header, without a footer
}

func (h id3v2) kind() string { return "ID3v2." + string('0'+rune(h.version)) }

// parseID3v2 reads the header of an ID3v2 tag. The revision has been 0 ever since,
// flags that have no meaning are 0 and each byte of the size is below 0x80: bytes
// of sound that look like it come once in 70 terabytes.
func parseID3v2(b []byte) (h id3v2, ok bool) {
	if len(b) < id3v2HeaderSize || string(b[:3]) != "ID3" || b[3] < 2 || b[3] > 4 || b[4] != 0 {
		return h, false
	}
	flags := b[5]
	if flags&([...]byte{2: 0x3F, 3: 0x1F, 4: 0x0F}[b[3]]) != 0 {
		return h, false
	}
	size, ok := Syncsafe(b[6:10])
	return id3v2{
		version:  b[3],
		unsync:   flags&0x80 != 0,
		extended: flags&0x40 != 0 && b[3] > 2,
		footer:   flags&0x10 != 0 && b[3] == 4,
		size:     size,
	}, ok
}

// Syncsafe reads a number of four bytes with seven bits each (ID3v2.4 structure, 6.2).
// Ok is false when one of them has its highest bit set.
func Syncsafe(b []byte) (n int64, ok bool) {
	for _, c := range b[:4] {
		if c >= 0x80 {
			return 0, false
		}
		n = n<<7 | int64(c)
	}
	return n, true
}

// HeaderLength returns how long the ID3v2 tag says it is that b begins with, header and
// footer included; 0 when there is none.
func HeaderLength(b []byte) int64 {
	h, ok := parseID3v2(b)
	switch {
	case !ok:
		return 0
	case h.footer:
		return 2*id3v2HeaderSize + h.size
	}
	return id3v2HeaderSize + h.size
}

// length returns how long the tag is that begins with b, of which the window may
// show only a part. Left is the number of bytes to the end of the source, -1 when
// unknown. The size in the header is taken where it can be true; where it reaches
// beyond the end, or ends inside a frame, the frames of the tag say where it ends.
func (h id3v2) length(b []byte, left int64) int64 {
	declared := id3v2HeaderSize + h.size
	if h.footer && !(declared+3 <= int64(len(b)) && string(b[declared:declared+3]) != "3DI") {
		declared += id3v2HeaderSize
	}
	switch {
	case left >= 0 && declared > left:
		end, _ := h.walk(b, left, left)
		return end
	case declared+4 <= int64(len(b)) && !beginsSomething(b[declared:]):
		if end, spilled := h.walk(b, declared, int64(len(b))); spilled {
			return end
		}
	}
	return declared
}

// walk goes from frame to frame and returns where the last one ends that begins
// before limit and is whole before most; spilled says that this one crosses the
// limit.
func (h id3v2) walk(b []byte, limit, most int64) (end int64, spilled bool) {
	at := int64(id3v2HeaderSize)
	if h.unsync {
		return at, false // sizes count bytes that are not there; and nothing in it looks like sound
	}
	if h.extended && len(b) >= id3v2HeaderSize+4 {
		size := int64(b[10])<<24 | int64(b[11])<<16 | int64(b[12])<<8 | int64(b[13])
		if h.version == 3 {
			size += 4 // which the size does not count (ID3v2.3, 3.2)
		}
		if size < 6 || at+size > most {
			return at, false
		}
		at += size
	}
	for at < limit || spilled {
		next, ok := h.frameEnd(b, at)
		if !ok || next > most {
			return at, spilled
		}
		spilled = spilled || next > limit
		at = next
	}
	return at, spilled
}

// frameEnd returns where the ID3v2 frame at offset at of b ends.
func (h id3v2) frameEnd(b []byte, at int64) (end int64, ok bool) {
	id, header := int64(4), int64(10)
	if h.version == 2 {
		id, header = 3, 6 // ID3v2.2, 3.2
	}
	if at+header > int64(len(b)) {
		return 0, false
	}
	f := b[at:]
	for _, c := range f[:id] {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return 0, false // padding, or the end
		}
	}
	size := int64(0)
	for _, c := range f[id : 2*id] {
		size = size<<8 | int64(c)
	}
	if h.version == 4 {
		// Some programs write plain numbers (iTunes before 7): the one that leads to a
		// frame, to padding or to the end of what is seen is meant.
		if n, ok := Syncsafe(f[4:8]); ok {
			next := at + header + n
			if next >= int64(len(b)) || b[next] == 0 || b[next] >= 'A' && b[next] <= 'Z' || beginsSomething(b[next:]) {
				return next, true
			}
		}
	}
	return at + header + size, true
}

// beginsSomething reports whether b begins what may stand behind a tag: a frame of
// audio, another tag, zeros.
func beginsSomething(b []byte) bool {
	if len(b) < 4 {
		return true
	}
	switch {
	case b[0] == 0xFF && b[1]&0xE0 == 0xE0, b[0] == 0 && b[1] == 0:
		return true
	case bytes.HasPrefix(b, []byte("APET")), bytes.HasPrefix(b, lyricsBegin[:4]),
		bytes.HasPrefix(b, []byte("OggS")), bytes.HasPrefix(b, []byte("fLaC")), bytes.HasPrefix(b, []byte("RIFF")),
		bytes.HasPrefix(b, []byte("TAG")):
		return true
	}
	_, ok := parseID3v2(b)
	return ok
}

// id3v1Length returns the length of the ID3v1 tag, or of the TAG+ block in front of
// one, that b begins with. As three letters prove little, it has to stand at the end
// of the stream or another tag has to follow: in the middle of a stream it is what
// two files joined leave.
func id3v1Length(b []byte, ended bool) (length int64, kind string) {
	if bytes.HasPrefix(b, []byte("TAG+")) && len(b) >= enhancedSize+id3v1Size {
		if n, _ := id3v1Length(b[enhancedSize:], ended); n == id3v1Size {
			return enhancedSize, "TAG+"
		}
	}
	if !bytes.HasPrefix(b, []byte("TAG")) || len(b) < id3v1Size {
		return 0, ""
	}
	rest := b[id3v1Size:]
	if ended && len(rest) == 0 {
		return id3v1Size, "ID3v1"
	}
	_, id3 := parseID3v2(rest)
	_, ape := parseAPE(rest)
	if id3 || ape || bytes.HasPrefix(rest, lyricsBegin) {
		return id3v1Size, "ID3v1"
	}
	return 0, ""
}
