package frame

import "encoding/binary"

// This is AAC in ADTS frames: ISO/IEC 13818-7, 6.2, and ISO/IEC 14496-3, 1.A.2.2.

// adtsHeaderSize is the length of an ADTS header in bytes, without CRC.
const adtsHeaderSize = 7

// adtsRates in Hz by sampling_frequency_index (ISO/IEC 14496-3, 1.6.3.4); 13 and 14 are
// reserved, and 15 is not allowed in ADTS.
var adtsRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// ParseADTS reads an ADTS header from the first seven bytes of b. It returns
// ErrNotFrame when these are no such header. The bitrate is not in it. Channels is 0
// when the frame itself says how many there are.
func ParseADTS(b []byte) (Header, error) {
	if len(b) < adtsHeaderSize || b[0] != 0xFF || b[1]&0xF6 != 0xF0 {
		return Header{}, ErrNotFrame
	}
	rate := b[2] >> 2 & 15
	if int(rate) >= len(adtsRates) {
		return Header{}, ErrNotFrame
	}
	blocks := int(b[6]&3) + 1 // raw data blocks of 1,024 samples
	h := Header{
		Format:     AAC,
		Version:    MPEG4,
		ObjectType: int(b[2]>>6) + 1,
		Protected:  b[1]&1 == 0,
		SampleRate: adtsRates[rate],
		Channels:   int(b[2]&1)<<2 | int(b[3]>>6),
		Samples:    1024 * blocks,
		Size:       int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5,
	}
	if b[1]&8 != 0 {
		h.Version = MPEG2
	}
	if h.Channels == 7 {
		h.Channels = 8 // channel_configuration 7 is 7.1
	}
	if h.Size < h.adtsData()+blocks {
		return Header{}, ErrNotFrame // a raw data block has at least an end
	}
	return h, nil
}

// adtsData returns where the first raw data block begins.
func (h Header) adtsData() int {
	if h.Protected {
		return adtsHeaderSize + 2
	}
	return adtsHeaderSize
}

// The syntactic elements of a raw data block (ISO/IEC 13818-7, 6.3, table 18).
const (
	idSCE = 0 // one channel
	idCPE = 1 // two channels
	idLFE = 3 // the deep one
	idFIL = 6 // nothing
	idEND = 7
)

// aacElements are those that make up each number of channels
// (ISO/IEC 13818-7, 8.5.3, table 42).
var aacElements = [...][]uint32{
	1: {idSCE},
	2: {idCPE},
	3: {idSCE, idCPE},
	4: {idSCE, idCPE, idSCE},
	5: {idSCE, idCPE, idCPE},
	6: {idSCE, idCPE, idCPE, idLFE},
	8: {idSCE, idCPE, idCPE, idCPE, idLFE},
}

// silentAAC returns a frame of silence of a shape, with one raw data block: every
// channel has a long window without scale factors, and fill elements give it the size of
// h. Nil when the header does not say which channels there are.
func silentAAC(h Header) []byte {
	if h.Channels >= len(aacElements) || aacElements[h.Channels] == nil {
		return nil
	}
	var w bitWriter
	used := map[uint32]uint32{}
	for _, id := range aacElements[h.Channels] {
		w.put(id, 3)
		w.put(used[id], 4) // element_instance_tag
		used[id]++
		n := 1
		if id == idCPE {
			w.put(0, 1) // common_window
			n = 2
		}
		for range n {
			w.put(0, 8)  // global_gain
			w.put(0, 11) // ics_info: long window, max_sfb 0
			w.put(0, 3)  // no pulses, TNS or gain control
		}
	}
	size := min(max(h.Size, adtsHeaderSize+(w.bits+3+7)/8), 8191)
	for {
		room := (size-adtsHeaderSize)*8 - w.bits - 3
		if room < 7 {
			break
		}
		w.put(idFIL, 3)
		n := min((room-7)/8, 14)
		if room >= 15+15*8 { // the longer form
			n = min((room-15)/8, 269)
			w.put(15, 4)
			w.put(uint32(n-14), 8)
		} else {
			w.put(uint32(n), 4)
		}
		for range n {
			w.put(0, 8) // EXT_FILL and what it is filled with
		}
	}
	w.put(idEND, 3)
	frame := append(make([]byte, adtsHeaderSize, size), w.buf...)
	rate := 0
	for i, r := range adtsRates {
		if r == h.SampleRate {
			rate = i
		}
	}
	config := min(h.Channels, 7)
	frame[0], frame[1] = 0xFF, 0xF1
	if h.Version == MPEG2 {
		frame[1] |= 8
	}
	frame[2] = byte(h.ObjectType-1)<<6 | byte(rate)<<2 | byte(config>>2)
	frame[3] = byte(config&3)<<6 | byte(len(frame)>>11)
	binary.BigEndian.PutUint16(frame[4:], uint16(len(frame))<<5|0x1F) // buffer fullness: unknown
	frame[6] = 0xFC
	return frame
}

// bitWriter writes bits, the highest first.
type bitWriter struct {
	buf  []byte
	bits int
}

func (w *bitWriter) put(v uint32, n int) {
	for n--; n >= 0; n-- {
		if w.bits%8 == 0 {
			w.buf = append(w.buf, 0)
		}
		w.buf[w.bits/8] |= byte(v>>n&1) << (7 - w.bits%8)
		w.bits++
	}
}
