package push

import (
	"unicode/utf8"

	"icepush/icy"
)

const (
	// metaint is how many bytes of audio stand between two metadata blocks.
	metaint = 1024
)

// icyWriter puts ICY metadata blocks into audio, one after every metaint bytes: a
// length byte in units of 16 bytes and the block, filled up with zeros. Most blocks
// have length 0, which leaves the title as it is.
//
// Icecast 2 reads the body in blocks of 1,400 bytes and binds a title to the block in
// which its metadata ends. A listener gets, at each mark, the title of the block that
// holds the byte before the mark. So a title shows exactly at its mark when the block
// begins less than metaint before it, and the metadata fits into what is left; with two
// marks in one block it would show at the first of them, which may be early.
type icyWriter struct {
	left  int    // bytes of audio before the next block
	raw   int64  // bytes of the body so far, metadata included
	title string // of the audio appended last
	fresh bool   // it has not gone yet
}

func newICYWriter() *icyWriter { return &icyWriter{left: metaint} }

// setTitle makes title the one of the audio that is appended from now on.
func (w *icyWriter) setTitle(title string) { w.title, w.fresh = title, true }

// append adds audio and the metadata that falls into it to b. Metadata at the very end
// waits for more audio: the title may be another by then. Ending says that the track may
// end before the next mark.
func (w *icyWriter) append(b, audio []byte, ending bool) []byte {
	before := len(b)
	for len(audio) > 0 {
		if w.left == 0 {
			raw := w.raw + int64(len(b)-before)
			switch {
			case w.fresh && alone(raw):
				b = append(b, icy.Block(w.title, 0)...)
			case w.fresh: // zeros let it end in the next block: late by metaint, but not early
				b = append(b, icy.Block(w.title, int(block-raw%block)+1)...)
			case ending && w.title != "" && !alone(raw+1+metaint):
				// A title is to come at the next mark. The one that stands, with zeros, moves
				// that to where it is alone in its block.
				least := int(block - (raw+metaint)%block + 1)
				if (raw+metaint)%block == 0 {
					least = 1
				}
				b = append(b, icy.Block(w.title, least)...)
			default:
				b = append(b, 0)
			}
			w.fresh = false
			w.left = metaint
		}
		n := min(w.left, len(audio))
		b = append(b, audio[:n]...)
		audio = audio[n:]
		w.left -= n
	}
	w.raw += int64(len(b) - before)
	return b
}

// marks returns how many empty metadata blocks there are in the next n bytes.
func (w *icyWriter) marks(n int) int {
	if n <= w.left {
		return 0
	}
	return (n-w.left-1)/(metaint+1) + 1
}

// alone reports whether metadata at this place of the body is the only one that can end
// in its block, with room for a title of usual length.
func alone(raw int64) bool {
	q := raw % block
	return q >= 1 && q <= metaint
}

// cut returns at most n bytes of s, whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
