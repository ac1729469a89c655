package serve

import (
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/hajimehoshi/go-mp3"

	"icepush/frame"
)

// wavHeader begins a WAV file without an end (Multimedia Programming Interface and Data
// Specifications 1.0, chapter 3). The sizes are the largest there are.
func wavHeader(p PCM) []byte {
	b := []byte("RIFF\xff\xff\xff\xffWAVEfmt ")
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1) // PCM
	b = binary.LittleEndian.AppendUint16(b, uint16(p.Channels))
	b = binary.LittleEndian.AppendUint32(b, uint32(p.Rate))
	b = binary.LittleEndian.AppendUint32(b, uint32(p.Rate*p.frame()))
	b = binary.LittleEndian.AppendUint16(b, uint16(p.frame()))
	b = binary.LittleEndian.AppendUint16(b, uint16(p.Bits))
	return append(b, "data\xff\xff\xff\xff"...)
}

// undecodable says why go-mp3 cannot decode a stream, "" when it can.
func undecodable(h frame.Header) string {
	switch {
	case h.Format != frame.MPEG:
		return "only MP3 is decoded here, and this mount has " + h.String()
	case h.Layer != 3:
		return "only Layer III is decoded here, and this mount has " + h.String()
	case h.Version == frame.MPEG25:
		return "MPEG-2.5 is not decoded here"
	case h.FreeFormat:
		return "free format is not decoded here"
	}
	return ""
}

// wav answers a listener of the decoded mount.
func (s *Server) wav(ctx context.Context, w http.ResponseWriter, r *http.Request, m *Mount) {
	m.mu.Lock()
	header, playing := m.header, m.plays()
	m.mu.Unlock()
	if !playing {
		nothingPlays(w)
		return
	}
	if why := undecodable(header); why != "" {
		http.Error(w, "415 "+why, http.StatusUnsupportedMediaType)
		return
	}
	s.answer(ctx, w, r, m.decoded(header.SampleRate), "audio/wav", 0, false)
}

// decoded returns the mount of the decoded stream. It plays while somebody listens.
func (m *Mount) decoded(rate int) *Mount {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pcm == nil {
		pcm := &Mount{Path: m.Path + ".wav", Name: m.Name, Genre: m.Genre, Description: m.Description, URL: m.URL, Burst: m.burst()}
		pcm.source = func(ctx context.Context) { m.decode(ctx, pcm, rate) }
		m.pcm = pcm
	}
	return m.pcm
}

// decode decodes the mount into another until it ends, or ctx. Where the decoder gives
// up, another one goes on at the present.
func (m *Mount) decode(ctx context.Context, out *Mount, rate int) {
	for ctx.Err() == nil {
		m.decodeOnce(ctx, out, rate)
		if _, _, playing := m.describe(); !playing {
			out.Close()
			return
		}
		select {
		case <-time.After(out.burst()): // what has been decoded is not to be heard twice
		case <-ctx.Done():
		}
	}
}

func (m *Mount) decodeOnce(ctx context.Context, out *Mount, rate int) {
	r, w := io.Pipe()
	var reading sync.WaitGroup
	defer reading.Wait()
	defer r.Close()
	reading.Go(func() {
		defer w.Close()
		m.follow(ctx, func(blocks []*block, _ bool) error {
			for _, b := range blocks {
				if _, err := w.Write(b.data); err != nil {
					return err
				}
			}
			return nil
		})
	})
	d, err := mp3.NewDecoder(struct{ io.Reader }{r}) // it must not be able to seek
	if err != nil {
		return
	}
	head := wavHeader(PCM{Bits: 16, Rate: d.SampleRate(), Channels: 2})
	for {
		data := make([]byte, rate/10*4) // a tenth of a second
		n, err := io.ReadFull(d, data)
		if n > 0 {
			out.mu.Lock()
			out.append(&block{data: data[:n], head: head, lasts: time.Duration(n/4) * time.Second / time.Duration(rate)})
			out.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}
