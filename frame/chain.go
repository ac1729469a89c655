package frame

import (
	"encoding/binary"
	"slices"
)

// Chain puts frames of several tracks together into one stream. Of MPEG and AAC that is
// what they are. Of Ogg it makes links that follow each other (RFC 3533, section 4),
// each whole: with its headers, also when its first frames are not sent, with a serial
// number of its own, and with an end, also when its last frames are not sent. A page is
// passed on as it is wherever that will do.
//
// The zero Chain is ready for use. A new one is needed wherever somebody begins to
// listen: on each connection.
type Chain struct {
	setup    *Setup // of the link that is being written, nil when there is none
	title    string
	serial   uint32
	offset   uint32 // of sequence numbers here from those in the file
	sequence uint32 // of the next page
	granule  int64  // of the last one that had one
	added    int64  // samples that were not in the file
	unset    bool   // no page of the file has been written in this link: it began with silence
	ended    bool   // its last page has been written
	head     []byte // its headers
	used     map[uint32]bool
}

// Append appends a frame to b. Title is what players show: where the comments of an Ogg
// stream would show something else, they are replaced, and where it changes, a new link
// begins. Other formats have no place for it.
func (c *Chain) Append(b []byte, f Frame, title string) []byte {
	if f.Setup == nil {
		return append(b, f.Data...)
	}
	flags := f.Data[5]
	if f.Setup != c.setup || c.ended || title != c.title && flags&continued == 0 {
		b = c.begin(c.End(b), f, title)
	}
	at := len(b)
	b = append(b, f.Data...)
	p := b[at:]
	sequence := binary.LittleEndian.Uint32(p[18:]) + c.offset
	granule := int64(binary.LittleEndian.Uint64(p[6:]))
	if !f.Added && c.unset { // it goes on where the silence has led to
		c.unset = false
		c.offset += c.sequence - sequence
		sequence = c.sequence
		if granule >= 0 {
			c.added = c.granule + int64(f.Samples) - granule
		}
	}
	if f.Added {
		sequence = c.sequence
		c.offset++
		c.added += granule
		granule += c.granule
	} else if granule >= 0 {
		granule += c.added
	}
	if f.Last {
		flags |= ends
	}
	if c.serial != f.Setup.serial || c.offset != 0 || c.added != 0 || f.Added || flags != f.Data[5] {
		p[5] = flags
		binary.LittleEndian.PutUint64(p[6:], uint64(granule))
		binary.LittleEndian.PutUint32(p[14:], c.serial)
		binary.LittleEndian.PutUint32(p[18:], sequence)
		binary.LittleEndian.PutUint32(p[22:], pageChecksum(p))
	}
	c.sequence = sequence + 1
	if granule >= 0 {
		c.granule = granule
	}
	c.ended = flags&ends != 0
	return b
}

// Head returns what a decoder needs that begins with the frame appended last: the headers
// of the link it is in. It is nil where nothing is needed.
func (c *Chain) Head() []byte { return c.head }

// End appends what ends the stream in order. Nothing has to follow it. In the last page
// there is a packet of silence, if there is such a thing, of which nothing is played, for
// that is before the position of the page: Icecast 2.4, which makes pages of its own of
// Vorbis, takes the end to be in a page with packets, and else loses those before it.
func (c *Chain) End(b []byte) []byte {
	if c.setup == nil || c.ended {
		return b
	}
	c.ended = true
	packet, _ := c.setup.codec.silentPacket()
	var lacing []byte
	if packet != nil {
		lacing = lace(len(packet))
	}
	return appendPage(b, ends, c.granule, c.serial, c.sequence, lacing, packet)
}

// maxSerials bounds how many serial numbers are remembered.
const maxSerials = 4096

// begin appends the headers of a link that begins with f.
func (c *Chain) begin(b []byte, f Frame, title string) []byte {
	s := f.Setup
	if c.used == nil || len(c.used) >= maxSerials {
		c.used = map[uint32]bool{}
	}
	serial := s.serial
	for c.used[serial] {
		serial++
	}
	c.used[serial] = true
	c.setup, c.title, c.serial, c.ended, c.granule, c.added = s, title, serial, false, 0, 0
	c.unset = f.Added

	at := len(b)
	switch {
	case title != s.Title():
		b, c.sequence = appendPages(b, serial, s.titled(title))
	case s.pages == nil:
		b, c.sequence = appendPages(b, serial, s.packets)
	default:
		b = append(b, renumbered(s.pages, serial)...)
		c.sequence = s.sequence
	}
	c.head = slices.Clone(b[at:])
	c.offset = c.sequence - binary.LittleEndian.Uint32(f.Data[18:])
	return b
}

// renumbered returns pages with another serial number.
func renumbered(pages []byte, serial uint32) []byte {
	if binary.LittleEndian.Uint32(pages[14:]) == serial {
		return pages
	}
	pages = slices.Clone(pages)
	for b := pages; len(b) > 0; {
		size, known := pageSize(b)
		if !known || size == 0 || size > len(b) {
			break // they were whole when they were read
		}
		binary.LittleEndian.PutUint32(b[14:], serial)
		binary.LittleEndian.PutUint32(b[22:], pageChecksum(b[:size]))
		b = b[size:]
	}
	return pages
}
