package frame

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

// This is Ogg: its pages (RFC 3533, section 6), and which of them are audio.

const (
	pageHeaderSize = 27 // without the segment table
	maxPageSize    = pageHeaderSize + 255 + 255*255

	// maxSetup bounds the headers of one stream: there may be a picture in them.
	maxSetup = 8 << 20

	// maxRaw is how much of the headers is kept as it stood, to be passed on untouched.
	maxRaw = 256 << 10

	// maxHeaders bounds the header packets of one stream.
	maxHeaders = 256
)

var oggs = []byte("OggS")

// Flags in a page header.
const (
	continued = 1 << iota // the page begins inside a packet
	begins                // first page of its stream
	ends                  // last page of its stream
)

// page is one Ogg page.
type page struct {
	flags    byte
	granule  int64
	serial   uint32
	sequence uint32
	lacing   []byte // the segment table
	body     []byte
	data     []byte // all of it
}

// pageSize returns the length of the page whose header b begins with, or how many more
// bytes of it are needed to tell. It is 0 when b is no such header.
func pageSize(b []byte) (size int, known bool) {
	switch {
	case len(b) < pageHeaderSize:
		return pageHeaderSize, false
	case !bytes.HasPrefix(b, oggs) || b[4] != 0:
		return 0, true
	}
	size = pageHeaderSize + int(b[26])
	if len(b) < size {
		return size, false
	}
	for _, n := range b[pageHeaderSize:size] {
		size += int(n)
	}
	return size, true
}

// parsePage reads a whole page. It returns false when the checksum is wrong.
func parsePage(b []byte) (p page, ok bool) {
	segments := pageHeaderSize + int(b[26])
	p = page{
		flags:    b[5],
		granule:  int64(binary.LittleEndian.Uint64(b[6:])),
		serial:   binary.LittleEndian.Uint32(b[14:]),
		sequence: binary.LittleEndian.Uint32(b[18:]),
		lacing:   b[pageHeaderSize:segments],
		body:     b[segments:],
		data:     b,
	}
	return p, pageChecksum(b) == binary.LittleEndian.Uint32(b[22:])
}

// crcTable is that of the polynomial 0x04c11db7, without reflection (RFC 3533, section
// 6, field 7).
var crcTable = func() (t [8][256]uint32) {
	for i := range t[0] {
		c := uint32(i) << 24
		for range 8 {
			c = c<<1 ^ 0x04c11db7&-(c>>31)
		}
		t[0][i] = c
	}
	for k := 1; k < len(t); k++ { // with so many zero bytes behind
		for i := range t[k] {
			t[k][i] = t[k-1][i]<<8 ^ t[0][t[k-1][i]>>24]
		}
	}
	return t
}()

// pageChecksum returns the checksum of a page: its own field counts as zero.
func pageChecksum(b []byte) uint32 {
	return crc(crc(crc(0, b[:22]), []byte{0, 0, 0, 0}), b[26:])
}

// crc goes on with a checksum, eight bytes at a time.
func crc(c uint32, b []byte) uint32 {
	t := &crcTable
	for ; len(b) >= 8; b = b[8:] {
		c ^= binary.BigEndian.Uint32(b)
		c = t[7][c>>24] ^ t[6][c>>16&255] ^ t[5][c>>8&255] ^ t[4][c&255] ^ t[3][b[4]] ^ t[2][b[5]] ^ t[1][b[6]] ^ t[0][b[7]]
	}
	for _, x := range b {
		c = c<<8 ^ t[0][byte(c>>24)^x]
	}
	return c
}

// packets calls with each piece of a packet in the page: whether it is the first piece,
// and whether it is the last.
func (p *page) packets(piece func(b []byte, first, last bool)) {
	first, at := p.flags&continued == 0, 0
	begin := at
	for i, n := range p.lacing {
		at += int(n)
		if n == 255 && i+1 < len(p.lacing) {
			continue
		}
		piece(p.body[begin:at], first, n < 255)
		first, begin = true, at
	}
}

// oggStream is the audio among the logical streams of an Ogg file: it picks the first
// of each group that begins together, reads its headers, and counts the samples of its
// pages.
type oggStream struct {
	grouping bool // the page before began a stream: those that begin now are of its group
	chosen   bool
	serial   uint32

	setup  *Setup // nil until its headers are complete
	codec  codec
	header []byte   // of the packet that is being read
	heads  [][]byte // header packets so far
	size   int      // bytes of them
	raw    []byte   // their pages

	start    []byte // the first bytes of the packet that goes on in the next page
	unknown  bool   // the beginning of that packet is lost
	granule  int64  // of the page before
	fresh    bool   // there was none
	skip     int64  // samples that are decoded and not played (pre-skip of Opus)
	sequence uint32 // expected next
}

// packetStart is how many bytes of a packet tell its duration.
const packetStart = 16

// take takes a page. When it is audio, it is returned as a frame without data and offset.
func (o *oggStream) take(p page) (f Frame, is SkipKind, audio bool) {
	if p.flags&begins != 0 {
		if !o.grouping {
			*o = oggStream{}
		}
		o.grouping = true
		if o.chosen || !o.choose(p) {
			return f, OtherPage, false
		}
		return f, SetupPage, false
	}
	o.grouping = false
	if !o.chosen || p.serial != o.serial {
		return f, OtherPage, false
	}
	if o.setup == nil {
		if !o.collect(p) {
			o.chosen = false // headers that no decoder takes
			return f, Damaged, false
		}
		return f, SetupPage, false
	}
	f = Frame{Header: o.setup.Header, Setup: o.setup}
	f.Samples, f.Packets = o.count(p)
	f.Size = len(p.data)
	return f, 0, true
}

// choose begins a stream, if it is audio that is known here.
func (o *oggStream) choose(p page) bool {
	var id []byte
	p.packets(func(b []byte, first, last bool) {
		if id == nil && first && last {
			id = b
		}
	})
	c, h, ok := identify(id)
	if !ok {
		return false
	}
	o.chosen, o.serial, o.codec = true, p.serial, c
	o.setup = nil
	o.heads = [][]byte{slices.Clone(id)}
	o.size = len(id)
	o.raw = slices.Clone(p.data)
	o.fresh, o.unknown = true, false
	o.codec.header = h
	return true
}

// collect reads a page with header packets. It returns false when they are none.
func (o *oggStream) collect(p page) bool {
	if o.size += len(p.data); o.size > maxSetup {
		return false
	}
	if o.raw != nil {
		if o.raw = append(o.raw, p.data...); len(o.raw) > maxRaw {
			o.raw = nil
		}
	}
	ok := true
	p.packets(func(b []byte, first, last bool) {
		if !ok || o.setup != nil { // audio where it should not be: its beginning is lost
			return
		}
		if first {
			o.header = nil
		}
		o.header = append(o.header, b...)
		if !last {
			return
		}
		o.heads = append(o.heads, o.header)
		o.header = nil
		if len(o.heads) > maxHeaders {
			ok = false
		} else if len(o.heads) == o.codec.headers(o.heads) {
			o.setup, ok = newSetup(&o.codec, o.heads, o.raw, o.serial, p.sequence+1)
			o.skip = o.codec.skip
			o.heads, o.raw, o.header = nil, nil, nil
		}
	})
	return ok
}

// count returns how many samples become audible with a page, and how many packets end
// in it. The position in its header says so, where that is possible with the durations
// of its packets: less of the first page is played when it begins before zero, and
// less of the last.
func (o *oggStream) count(p page) (samples, packets int) {
	sum := int64(0)
	if p.flags&continued == 0 {
		o.unknown = false
	}
	if p.sequence != o.sequence && !o.fresh {
		o.unknown, o.start = p.flags&continued != 0, nil
	}
	o.sequence = p.sequence + 1
	p.packets(func(b []byte, first, last bool) {
		if first {
			o.start, o.unknown = o.start[:0], false
		}
		o.start = append(o.start, b[:min(len(b), packetStart-len(o.start))]...)
		if last && !o.unknown {
			packets++
			sum += int64(o.codec.duration(o.start))
		}
	})
	played := sum
	switch {
	case p.granule < 0: // no packet ends here
		return 0, packets
	case o.fresh:
		// A stream that was cut out of a longer one begins late.
		played = min(sum, p.granule)
	case p.granule >= o.granule && p.granule-o.granule <= sum:
		played = p.granule - o.granule
	}
	o.fresh, o.granule = false, p.granule
	skipped := min(o.skip, played)
	o.skip -= skipped
	return int(played - skipped), packets
}

// Setup is what a decoder needs before the audio of an Ogg stream: its header packets.
type Setup struct {
	Header   Header // without Samples and Size
	Comments []string

	serial   uint32
	packets  [][]byte // without pictures
	pages    []byte   // as they stood; nil when something was taken out
	sequence uint32   // of the first page of audio, as it stood
	codec    codec
}

// newSetup reads header packets.
func newSetup(c *codec, packets [][]byte, pages []byte, serial, sequence uint32) (*Setup, bool) {
	if !c.setUp(packets) {
		return nil, false
	}
	s := &Setup{Header: c.header, serial: serial, sequence: sequence, packets: packets, pages: pages, codec: *c}
	comments, pictures := parseComments(c.comments(packets))
	s.Comments = comments
	if pictures || pages == nil || len(packets) != len(c.withoutPictures(packets)) {
		s.packets = c.withComments(c.withoutPictures(packets), comments)
		s.pages = nil
	}
	return s, true
}

// Comment returns the values of a comment, of which there may be several, with " / "
// between them (Ogg Vorbis I, "comment field and header specification").
func (s *Setup) Comment(name string) string {
	var values []string
	for _, c := range s.Comments {
		if n, value, ok := strings.Cut(c, "="); ok && strings.EqualFold(n, name) && value != "" {
			values = append(values, value)
		}
	}
	return strings.Join(values, " / ")
}

// Artist returns the artist, whom Speex calls author.
func (s *Setup) Artist() string { return cmp.Or(s.Comment("ARTIST"), s.Comment("AUTHOR")) }

// Title returns what players show of the comments: "artist - title", or what there is
// of it.
func (s *Setup) Title() string {
	artist, title := s.Artist(), s.Comment("TITLE")
	if artist != "" && title != "" {
		return artist + " - " + title
	}
	return artist + title
}

// titled returns header packets with nothing but this title in the comments.
func (s *Setup) titled(title string) [][]byte {
	var comments []string
	if title != "" {
		comments = []string{"TITLE=" + title}
	}
	return s.codec.withComments(s.packets, comments)
}

const (
	maxComments = 10_000
	maxComment  = 64 << 10 // bytes; what is longer is not text
	maxTexts    = 64 << 10 // bytes of all comments; beyond it only those players show are kept
)

// told are the comments that players show.
var told = map[string]bool{"ARTIST": true, "AUTHOR": true, "TITLE": true, "ALBUM": true}

// parseComments reads a comment block: the vendor, a count, and "NAME=value" as often,
// each with its length before. Pictures are left out, and what is too much to be text.
func parseComments(b []byte) (comments []string, pictures bool) {
	field := func() (string, bool) {
		if len(b) < 4 {
			return "", false
		}
		n := binary.LittleEndian.Uint32(b)
		b = b[4:]
		if uint64(n) > uint64(len(b)) {
			return "", false
		}
		s := b[:n]
		b = b[n:]
		return string(s), true
	}
	if _, ok := field(); !ok || len(b) < 4 {
		return nil, false
	}
	count := binary.LittleEndian.Uint32(b)
	b = b[4:]
	texts := 0
	for range min(count, maxComments) {
		c, ok := field()
		if !ok {
			break
		}
		name, _, _ := strings.Cut(c, "=")
		switch name = strings.ToUpper(name); {
		case name == "METADATA_BLOCK_PICTURE", name == "COVERART", len(c) > maxComment, texts+len(c) > maxTexts && (!told[name] || texts > 4*maxTexts):
			pictures = true
		default:
			texts += len(c)
			comments = append(comments, c)
		}
	}
	return comments, pictures
}

// commentBlock writes a comment block.
func commentBlock(comments []string) []byte {
	const vendor = "icepush"
	field := func(b []byte, s string) []byte {
		return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	b := field(nil, vendor)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(comments)))
	for _, c := range comments {
		b = field(b, c)
	}
	return b
}

// appendPages appends packets as pages of a stream: the first packet gets a page of its
// own that begins the stream (RFC 3533, section 4). It returns the number of the page
// that comes next.
func appendPages(b []byte, serial uint32, packets [][]byte) ([]byte, uint32) {
	b = appendPage(b, begins, 0, serial, 0, lace(len(packets[0])), packets[0])
	var lacing, body []byte
	sequence, flags, granule := uint32(1), byte(0), int64(-1)
	flush := func(more bool) {
		b = appendPage(b, flags, granule, serial, sequence, lacing, body)
		sequence++
		lacing, body, flags, granule = lacing[:0], body[:0], 0, -1
		if more {
			flags = continued
		}
	}
	for _, packet := range packets[1:] {
		for at := 0; ; at += 255 {
			if len(lacing) == 255 {
				flush(at > 0)
			}
			n := min(len(packet)-at, 255)
			lacing = append(lacing, byte(n))
			body = append(body, packet[at:at+n]...)
			if n < 255 {
				granule = 0
				break
			}
		}
	}
	if len(lacing) > 0 {
		flush(false)
	}
	return b, sequence
}

// lace returns the segment table of one packet of n bytes.
func lace(n int) []byte {
	return append(bytes.Repeat([]byte{255}, n/255), byte(n%255))
}

// appendPage appends one page.
func appendPage(b []byte, flags byte, granule int64, serial, sequence uint32, lacing, body []byte) []byte {
	at := len(b)
	b = append(b, oggs...)
	b = append(b, 0, flags)
	b = binary.LittleEndian.AppendUint64(b, uint64(granule))
	b = binary.LittleEndian.AppendUint32(b, serial)
	b = binary.LittleEndian.AppendUint32(b, sequence)
	b = append(b, 0, 0, 0, 0, byte(len(lacing)))
	b = append(append(b, lacing...), body...)
	binary.LittleEndian.PutUint32(b[at+22:], pageChecksum(b[at:]))
	return b
}
