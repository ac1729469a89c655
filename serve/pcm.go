package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"icepush/ratelimit"
)

// PCM is the shape of raw sound.
type PCM struct {
	Bits     int // 8 (unsigned), 16, 24 or 32 (signed, the lowest byte first)
	Rate     int // Hz
	Channels int
}

// pcmBits are the names of ffmpeg and arecord for what a WAV file may hold.
var pcmBits = map[string]int{"u8": 8, "s16le": 16, "s24le": 24, "s32le": 32}

// ParsePCM reads a shape: "s16le:44100:1".
func ParsePCM(s string) (p PCM, err error) {
	name, rest, _ := strings.Cut(s, ":")
	rate, channels, _ := strings.Cut(rest, ":")
	p.Bits = pcmBits[strings.ToLower(name)]
	if p.Rate, err = strconv.Atoi(rate); err == nil {
		p.Channels, err = strconv.Atoi(channels)
	}
	if err != nil || p.Bits == 0 || p.Rate < 1000 || p.Rate > 384_000 || p.Channels < 1 || p.Channels > 8 {
		return p, fmt.Errorf("%s: it is u8, s16le, s24le or s32le, then Hz and channels, as in s16le:44100:1", s)
	}
	return p, nil
}

// Sample returns what ffmpeg calls one sample: "s16le".
func (p PCM) Sample() string {
	for name, bits := range pcmBits {
		if bits == p.Bits {
			return name
		}
	}
	return ""
}

// frame is the bytes of one sample of all channels.
func (p PCM) frame() int { return p.Bits / 8 * p.Channels }

const (
	// pcmPiece is how much raw sound is sent at one time.
	pcmPiece = 20 * time.Millisecond

	// pcmLate is how long after its time raw sound is taken to have stalled.
	pcmLate = 500 * time.Millisecond
)

// PlayPCM plays raw sound as a WAV stream until it ends, or ctx. Sound in real time is
// passed on at once; what comes faster is held back. While nothing comes there is
// silence.
func (m *Mount) PlayPCM(ctx context.Context, r io.Reader, p PCM) error {
	pieces := make(chan []byte)
	var failed error
	go func() { // a read of standard input cannot be called back: it ends with the program
		defer close(pieces)
		for {
			b := make([]byte, max(1, int(int64(p.Rate)*int64(pcmPiece)/int64(time.Second)))*p.frame())
			n, err := io.ReadFull(r, b)
			if n -= n % p.frame(); n > 0 {
				select {
				case pieces <- b[:n]:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				if err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
					failed = err
				}
				return
			}
		}
	}()
	head := wavHeader(p)
	m.mu.Lock()
	m.kind, m.began = "audio/wav", time.Now()
	m.mu.Unlock()
	pacer := ratelimit.Pacer{}
	send := func(b []byte) error {
		samples := len(b) / p.frame()
		if _, err := pacer.Wait(ctx, samples, p.Rate); err != nil {
			return err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.append(&block{data: b, head: head, lasts: time.Duration(samples) * time.Second / time.Duration(p.Rate)})
		return nil
	}
	silence := make([]byte, max(1, p.Rate/50)*p.frame())
	if p.Bits == 8 {
		for i := range silence {
			silence[i] = 0x80
		}
	}
	stalled := false
	for {
		var late <-chan time.Time
		if at := pacer.Heard(); !at.IsZero() {
			if !stalled {
				at = at.Add(pcmLate)
			}
			late = time.After(time.Until(at))
		}
		select {
		case b, ok := <-pieces:
			stalled = false
			if !ok {
				return failed
			}
			if err := send(b); err != nil {
				return nil
			}
		case <-late:
			stalled = true
			if err := send(silence); err != nil {
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}
