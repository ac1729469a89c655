package icy

import (
	"bytes"
	"io"
	"slices"
	"strings"
)

// maxTitles bounds how many titles are kept for who does not ask for them: the oldest go.
const maxTitles = 1000

// Title is what a block says of the audio behind it.
type Title struct {
	Offset int64  // of the block: so many bytes of audio stood before it
	Text   string // StreamTitle, as UTF8 returns it
	URL    string // StreamUrl, "" when there was none
	Raw    string // StreamTitle as it stood there
}

// Reader reads the audio out of a stream that has a block after every so many bytes of
// it.
type Reader struct {
	r      io.Reader
	every  int
	left   int // bytes of audio before the next block
	offset int64
	titles []Title
	odd    int
}

// NewReader returns a Reader of a stream with a block after every so many bytes of audio.
// Zero is a stream without blocks.
func NewReader(r io.Reader, every int) *Reader {
	every = max(0, every)
	return &Reader{r: r, every: every, left: every}
}

// Read returns audio. A stream that ends inside of a block ends with
// io.ErrUnexpectedEOF.
func (r *Reader) Read(p []byte) (int, error) {
	if r.every > 0 {
		if r.left == 0 {
			if err := r.block(); err != nil {
				return 0, err
			}
			r.left = r.every
		}
		p = p[:min(len(p), r.left)]
	}
	n, err := r.r.Read(p)
	r.left -= n
	r.offset += int64(n)
	return n, err
}

// Offset returns how many bytes of audio have been read.
func (r *Reader) Offset() int64 { return r.offset }

// Odd returns how many blocks there were that are none: without a title or another field.
// With them the stream has its blocks elsewhere than it says, or none.
func (r *Reader) Odd() int { return r.odd }

// Titles returns the titles that stood before an offset of the audio, and forgets them.
// Who puts a title at the first mark behind the beginning of a track means the frame that
// holds the mark, or begins there. Of more than a thousand that nobody asked for the last
// are kept.
func (r *Reader) Titles(before int64) []Title {
	n := 0
	for n < len(r.titles) && r.titles[n].Offset < before {
		n++
	}
	titles := slices.Clip(r.titles[:n])
	r.titles = r.titles[n:]
	return titles
}

// block reads a block: a byte with its length in units of 16, and a text filled up with
// zeros. One without a title is passed over.
func (r *Reader) block() error {
	var units [1]byte
	if _, err := io.ReadFull(r.r, units[:]); err != nil || units[0] == 0 {
		return err
	}
	b := make([]byte, int(units[0])*16)
	if _, err := io.ReadFull(r.r, b); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	text := string(bytes.TrimRight(b, "\x00"))
	title, rest, ok := field(text, "StreamTitle")
	if !ok {
		if text != "" && !strings.Contains(text, "='") {
			r.odd++
		}
		return nil
	}
	url, _, _ := field(rest, "StreamUrl")
	if len(r.titles) == maxTitles {
		r.titles = r.titles[1:]
	}
	r.titles = append(r.titles, Title{r.offset, UTF8(title), UTF8(url), title})
	return nil
}

// field returns the value of a field, and what stands behind it.
func field(text, name string) (value, rest string, ok bool) {
	if _, text, ok = strings.Cut(text, name+"='"); !ok {
		return "", "", false
	}
	value, rest, ended := strings.Cut(text, "';")
	if !ended {
		value = strings.TrimSuffix(value, "'")
	}
	return value, rest, true
}
