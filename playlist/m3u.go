package playlist

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// maxLine is the longest line that is read, in bytes.
const maxLine = 1 << 20

// ReadM3U yields the entries of an M3U or M3U8 list as they are written. Name is
// that of the list, for messages and for the paths relative to it. A byte order mark
// is passed over; lines end with LF, CR LF or CR. Text that is not UTF-8 is taken
// for Windows-1252, but a path stays as it is written. There is no standard; the
// directives are those of Winamp's extended M3U.
func ReadM3U(r io.Reader, name string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 0, 4096), maxLine)
		lines.Split(splitLines)
		var next Entry // what has been said of the entry to come
		for n := 1; lines.Scan(); n++ {
			b := lines.Bytes()
			if n == 1 {
				b = bytes.TrimPrefix(b, []byte("\xEF\xBB\xBF"))
			}
			line := string(bytes.TrimSpace(b))
			switch {
			case line == "":
			case strings.HasPrefix(line, "#EXT-X-"):
				yield(Entry{}, fmt.Errorf("%s: this is an HLS playlist, which lists pieces of one stream, not songs", name))
				return
			case strings.HasPrefix(line, "#EXTINF:"):
				next = extinf(toUTF8(line[len("#EXTINF:"):]))
			case strings.HasPrefix(line, "#"):
			case strings.HasPrefix(line, "<"):
				yield(Entry{}, fmt.Errorf("%s: line %d: this is HTML or XML, not a playlist", name, n))
				return
			case strings.ContainsRune(line, 0):
				yield(Entry{}, fmt.Errorf("%s: line %d: this is no text, so no playlist", name, n))
				return
			default:
				next.Path, next.list, next.line = line, name, n
				if !yield(next, nil) {
					return
				}
				next = Entry{}
			}
		}
		if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
			yield(Entry{}, fmt.Errorf("%s: a line is longer than %d bytes", name, maxLine))
		} else if err != nil {
			yield(Entry{}, pathError(name, err))
		}
	}
}

// splitLines is a bufio.SplitFunc for lines that end with LF, CR LF or CR.
func splitLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	switch i := bytes.IndexAny(data, "\r\n"); {
	case i < 0 && atEOF && len(data) > 0:
		return len(data), data, nil
	case i < 0:
		return 0, nil, nil
	case data[i] == '\n':
		return i + 1, data[:i], nil
	case i+1 < len(data) && data[i+1] == '\n':
		return i + 2, data[:i], nil
	case i+1 == len(data) && !atEOF:
		return 0, nil, nil // CR: is there an LF to come?
	default:
		return i + 1, data[:i], nil
	}
}

// extinf reads what follows "#EXTINF:": seconds, attributes, a comma, the title.
// "Artist - Title" is split at the first " - ".
func extinf(s string) Entry {
	var e Entry
	// The comma is the first outside the quotes of an attribute.
	quoted := false
	comma := strings.IndexFunc(s, func(c rune) bool {
		if c == '"' {
			quoted = !quoted
		}
		return c == ',' && !quoted
	})
	if comma < 0 {
		if comma = strings.IndexByte(s, ','); comma < 0 {
			comma = len(s)
		}
	}
	seconds, _, _ := strings.Cut(strings.TrimSpace(s[:comma]), " ")
	if v, err := strconv.ParseFloat(seconds, 64); err == nil && v > 0 && v < math.MaxInt32 {
		e.Duration = time.Duration(v * float64(time.Second))
	}
	if comma < len(s) {
		text := strings.TrimSpace(s[comma+1:])
		if artist, title, ok := strings.Cut(text, " - "); ok {
			e.Artist, e.Title = strings.TrimSpace(artist), strings.TrimSpace(title)
		} else {
			e.Title = text
		}
	}
	return e
}

// toUTF8 returns s, read as Windows-1252 when it is not UTF-8.
func toUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return fromWindows1252(s)
}

func fromWindows1252(s string) string {
	out, err := charmap.Windows1252.NewDecoder().String(s)
	if err != nil {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return out
}
