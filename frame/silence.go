package frame

// Silence returns a frame of silence that has the shape of another frame: format, rate,
// channels and bitrate stay. It decodes to nothing and needs nothing before it. In Ogg
// it is a page to be added to the stream the other one is of. There is none for FLAC,
// Speex, channels that the header does not tell, and headers without a size: ok is
// false then.
func Silence(like Frame) (f Frame, ok bool) {
	h := like.Header
	h.Protected = false
	switch {
	case h.Format == MPEG && h.Size >= mpegHeaderSize:
		return Frame{Header: h, Data: silentMPEG(h)}, true
	case h.Format == AAC:
		data := silentAAC(h)
		h.Samples, h.Size = 1024, len(data)
		return Frame{Header: h, Data: data}, data != nil
	case h.Format.Ogg() && like.Setup != nil:
		return like.Setup.silence()
	}
	return Frame{}, false
}
