package frame

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
)

// This is what the codecs in Ogg differ in: their headers, and how long a packet lasts.

// codec is one stream's codec: Vorbis I specification (sections 1.3.2, 4.2 and 4.3),
// RFC 7845 and RFC 6716 (section 3.1) for Opus, RFC 9639 (sections 8, 9.1 and 10.1) for
// FLAC, the Speex manual ("Ogg file format").
type codec struct {
	header Header
	skip   int64 // samples at the beginning that are not played

	// Vorbis
	blocks [2]int // block sizes, the short one first
	long   []bool // for each mode, which of them it uses
	last   int    // block size of the packet before, 0 when there is none

	samples int // Speex: in a packet
	extra   int // Speex: header packets behind the comments
}

// Sample rates outside are no music, and bound what a packet can last.
const minRate, maxRate = 1000, 1_000_000

// identify reads the first packet of a stream.
func identify(id []byte) (c codec, h Header, ok bool) {
	has := func(magic string, n int) bool { return len(id) >= n && string(id[:len(magic)]) == magic }
	u32 := func(at int) int { return int(binary.LittleEndian.Uint32(id[at:])) }
	switch {
	case has("\x01vorbis", 30):
		h = Header{Format: Vorbis, Channels: int(id[11]), SampleRate: u32(12), Bitrate: bitrate(int32(u32(20)))}
		c.blocks = [2]int{1 << (id[28] & 15), 1 << (id[28] >> 4)}
		ok = u32(7) == 0 && c.blocks[0] >= 64 && c.blocks[0] <= c.blocks[1] && c.blocks[1] <= 8192
	case has("OpusHead", 19):
		h = Header{Format: Opus, Channels: int(id[9]), SampleRate: 48000}
		c.skip = int64(binary.LittleEndian.Uint16(id[10:]))
		ok = id[8]&0xF0 == 0
	case has("\x7FFLAC", 13+4+34) && string(id[9:13]) == "fLaC":
		info := id[17:] // STREAMINFO
		bits := binary.BigEndian.Uint32(info[10:])
		h = Header{Format: FLAC, Channels: int(bits>>9&7) + 1, SampleRate: int(bits >> 12)}
		ok = id[5] == 1
	case has("Speex   ", 80):
		h = Header{Format: Speex, Channels: u32(48), SampleRate: u32(36), Bitrate: bitrate(int32(u32(52)))}
		c.samples, c.extra = u32(56)*max(1, u32(64)), u32(68)
		ok = u32(56) > 0 && u32(56) <= 640 && u32(64) <= 100 && c.extra <= maxHeaders && h.Channels <= 2
	}
	return c, h, ok && h.Channels > 0 && h.SampleRate >= minRate && h.SampleRate <= maxRate
}

// bitrate returns a bitrate that is believable, else 0.
func bitrate(n int32) int { return int(max(0, min(n, 10_000_000))) }

// headers returns how many packets of headers there are, as far as the ones read tell.
func (c *codec) headers(read [][]byte) int {
	switch c.header.Format {
	case Vorbis:
		return 3
	case FLAC: // metadata blocks; the last one is marked
		if block := read[len(read)-1]; len(read) > 1 && len(block) > 0 && block[0]&0x80 != 0 {
			return len(read)
		}
		return len(read) + 1
	case Speex:
		return 2 + c.extra
	}
	return 2
}

// flacBlock returns the type of a metadata block, -1 when it is none.
func flacBlock(b []byte) int {
	if len(b) < 4 {
		return -1
	}
	return int(b[0] & 0x7F)
}

const (
	flacComments = 4
	flacPicture  = 6
)

// setUp reads the header packets behind the first.
func (c *codec) setUp(packets [][]byte) bool {
	switch c.header.Format {
	case Vorbis:
		c.long = vorbisModes(packets[2])
		return bytes.HasPrefix(packets[1], []byte("\x03vorbis")) && bytes.HasPrefix(packets[2], []byte("\x05vorbis")) && c.long != nil
	case Opus:
		return bytes.HasPrefix(packets[1], []byte("OpusTags"))
	case FLAC:
		return flacBlock(packets[1]) == flacComments
	}
	return true
}

// comments returns the comment block in the header packets.
func (c *codec) comments(packets [][]byte) []byte {
	switch c.header.Format {
	case Vorbis:
		return packets[1][7:]
	case Opus:
		return packets[1][8:]
	case FLAC:
		return packets[1][4:]
	}
	return packets[1]
}

// withoutPictures returns the header packets that are no pictures.
func (c *codec) withoutPictures(packets [][]byte) [][]byte {
	if c.header.Format != FLAC {
		return packets
	}
	return slices.DeleteFunc(slices.Clone(packets), func(p []byte) bool { return flacBlock(p) == flacPicture })
}

// withComments returns header packets with other comments.
func (c *codec) withComments(packets [][]byte, comments []string) [][]byte {
	packets = slices.Clone(packets)
	block := commentBlock(comments)
	switch c.header.Format {
	case Vorbis:
		packets[1] = append(append([]byte("\x03vorbis"), block...), 1)
	case Opus:
		packets[1] = append([]byte("OpusTags"), block...)
	case FLAC:
		n := len(block)
		packets[1] = append([]byte{flacComments, byte(n >> 16), byte(n >> 8), byte(n)}, block...)
		packets[0] = slices.Clone(packets[0])
		binary.BigEndian.PutUint16(packets[0][7:], uint16(len(packets)-1))
		for i := range packets[1:] {
			p := slices.Clone(packets[i+1])
			p[0] &= 0x7F
			if i+2 == len(packets) {
				p[0] |= 0x80
			}
			packets[i+1] = p
		}
	default:
		packets[1] = block
	}
	return packets
}

// vorbisModes returns which modes use the long block. The modes stand at the end of the
// setup header, behind tables whose length is only known to who decodes them; but read
// from the end they are easy to tell: 41 bits each, 32 of them zero, and their number
// stands before (Vorbis I specification, 4.2.4). Nil when there are none.
func vorbisModes(setup []byte) []bool {
	bit := func(at int) uint32 { return uint32(setup[at/8]>>(at%8)) & 1 } // the lowest bit first
	field := func(at, n int) (v uint32) {
		for i := range n {
			v |= bit(at+i) << i
		}
		return v
	}
	end := len(setup)*8 - 1
	for end >= 0 && bit(end) == 0 {
		end-- // to the framing bit
	}
	const size, count, most = 1 + 16 + 16 + 8, 6, 64
	found := 0
	for n := 1; n <= most; n++ {
		at := end - n*size
		if at < count || field(at+1, 32) != 0 || field(at+33, 8) >= 64 {
			break
		}
		if field(at-count, count) == uint32(n-1) {
			found = n
		}
	}
	var long []bool
	for n := range found {
		long = append(long, bit(end-(found-n)*size) == 1)
	}
	return long
}

// modeBits is how many bits of a Vorbis packet are the number of its mode.
func (c *codec) modeBits() int { return bits.Len(uint(len(c.long) - 1)) }

// opusSamples at 48 kHz in a frame, by the upper five bits of the first byte (RFC 6716,
// table 2).
var opusSamples = [32]int{
	480, 960, 1920, 2880, 480, 960, 1920, 2880, 480, 960, 1920, 2880,
	480, 960, 480, 960,
	120, 240, 480, 960, 120, 240, 480, 960, 120, 240, 480, 960, 120, 240, 480, 960,
}

// duration returns how many samples a packet has that begins with start. Packets have
// to be given in their order.
func (c *codec) duration(start []byte) int {
	if len(start) == 0 {
		return 0
	}
	switch c.header.Format {
	case Vorbis:
		mode := int(start[0] >> 1 & byte(1<<c.modeBits()-1))
		if start[0]&1 != 0 || mode >= len(c.long) {
			return 0
		}
		size, last := c.blocks[0], c.last
		if c.long[mode] {
			size = c.blocks[1]
		}
		c.last = size
		if last == 0 {
			return 0 // it has nothing to overlap with
		}
		return last/4 + size/4
	case Opus:
		n := 1
		switch start[0] & 3 {
		case 1, 2:
			n = 2
		case 3:
			if n = 0; len(start) > 1 {
				n = int(start[1] & 63)
			}
		}
		if d := n * opusSamples[start[0]>>3]; d <= 5760 { // 120 ms
			return d
		}
	case FLAC:
		return flacSamples(start)
	case Speex:
		return c.samples
	}
	return 0
}

// flacSamples reads the block size in the header of a frame (RFC 9639, 9.1).
func flacSamples(b []byte) int {
	if len(b) < 5 || b[0] != 0xFF || b[1]&0xFE != 0xF8 {
		return 0
	}
	switch n := b[2] >> 4; {
	case n == 1:
		return 192
	case n >= 2 && n <= 5:
		return 144 << n
	case n >= 8:
		return 1 << n
	case n == 0:
		return 0
	case n == 6, n == 7: // it stands behind the coded number, whose first byte tells its length
		at := 4 + max(1, bits.LeadingZeros8(^b[4]))
		if at+1 < len(b) && n == 6 {
			return int(b[at]) + 1
		} else if at+2 < len(b) && n == 7 {
			return int(b[at])<<8 + int(b[at+1]) + 1
		}
	}
	return 0
}

// silentPacket returns a packet of silence and how many samples it has; nil when none is
// known.
func (c *codec) silentPacket() (packet []byte, samples int) {
	switch {
	case c.header.Format == Opus && c.header.Channels <= 2:
		return []byte{31<<3 | byte(c.header.Channels-1)<<2, 0xFF, 0xFE}, 960
	case c.header.Format == Vorbis:
		// No channel has a floor, so nothing follows.
		mode := max(0, slices.Index(c.long, true))
		v, used, size := uint32(mode)<<1, 1+c.modeBits(), c.blocks[0]
		if c.long[mode] {
			v |= 3 << used // between long blocks
			used, size = used+2, c.blocks[1]
		}
		packet = make([]byte, (used+c.header.Channels+7)/8+3)
		binary.LittleEndian.PutUint32(packet, v)
		return packet, size / 2
	}
	return nil, 0
}

// silence returns a page of silence to be added to the stream, about a tenth of a second.
func (s *Setup) silence() (f Frame, ok bool) {
	packet, samples := s.codec.silentPacket()
	if packet == nil {
		return f, false
	}
	packets := max(1, min(s.Header.SampleRate/10/samples, 200))
	f = Frame{Header: s.Header, Packets: packets, Setup: s, Added: true}
	f.Samples = samples * packets
	f.Data = appendPage(nil, 0, int64(f.Samples), s.serial, 0,
		bytes.Repeat([]byte{byte(len(packet))}, packets), bytes.Repeat(packet, packets))
	f.Size = len(f.Data)
	return f, true
}
