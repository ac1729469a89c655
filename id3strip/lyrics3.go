package id3strip

import "bytes"

// A Lyrics3 tag begins and ends with words. In version 2 its size stands before the
// last one; it is not needed.
var (
	lyricsBegin = []byte("LYRICSBEGIN")
	lyricsEnd1  = []byte("LYRICSEND")
	lyricsEnd2  = []byte("LYRICS200")
)

// lyricsLength returns the length of the Lyrics3 tag that b begins with, 0 when b
// does not hold its end.
func lyricsLength(b []byte) (length int64, kind string) {
	for at := len(lyricsBegin); ; {
		i := bytes.Index(b[at:], []byte("LYRICS"))
		if i < 0 {
			return 0, ""
		}
		at += i
		end := int64(at + len(lyricsEnd1))
		switch {
		case bytes.HasPrefix(b[at:], lyricsEnd1):
			return end, "Lyrics3v1"
		case bytes.HasPrefix(b[at:], lyricsEnd2):
			return end, "Lyrics3v2"
		}
		at += len("LYRICS")
	}
}
