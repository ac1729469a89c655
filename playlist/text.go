package playlist

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	textunicode "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

const (
	// maxLine is how much of a line is kept, in bytes. It may be longer.
	maxLine = 64 << 10

	// maxText is how much of a title or another text is kept, in bytes.
	maxText = 4 << 10
)

// unmark returns r as UTF-8 without its byte order mark, and whether it had one. Text
// without a mark is left as it is.
func unmark(r io.Reader) (*bufio.Reader, bool) {
	b := bufio.NewReader(r)
	switch head, _ := b.Peek(3); {
	case bytes.HasPrefix(head, []byte("\xEF\xBB\xBF")):
		b.Discard(3)
	case bytes.HasPrefix(head, []byte("\xFF\xFE")), bytes.HasPrefix(head, []byte("\xFE\xFF")):
		decoder := textunicode.UTF16(textunicode.LittleEndian, textunicode.ExpectBOM).NewDecoder()
		return bufio.NewReader(transform.NewReader(b, decoder)), true
	default:
		return b, false
	}
	return b, true
}

// lines reads text line by line. They end with LF, CR LF or CR.
type lines struct {
	r    *bufio.Reader
	name string // of the list, for messages
	n    int    // the number of the line, from 1
	text []byte // the line without the blanks round it, until the next one is read
	cut  bool   // the line is longer than maxLine, and this is its beginning
	err  error  // why there are no more
	cr   bool   // the line before ended with CR, so an LF belongs to it
	done bool   // the end has been read
}

// newLines returns the lines of a list, or an error for what only bears the name of one.
func newLines(r io.Reader, name string) *lines {
	l := &lines{name: name}
	l.r, _ = unmark(r)
	if l.err = binary(l.r, name); l.err != nil {
		return l
	}
	head, _ := l.r.Peek(1024)
	if at := bytes.IndexFunc(head, func(c rune) bool { return !unicode.IsSpace(c) }); at >= 0 && head[at] == '<' {
		l.err = fmt.Errorf("%s: line %d: this is HTML or XML, not a playlist", name, 1+lineEnds(head[:at]))
	}
	return l
}

// binary refuses what is no text, by its first bytes: so that none of them is taken for
// the name of a song.
func binary(r *bufio.Reader, name string) error {
	head, _ := r.Peek(1024)
	if !bytes.ContainsFunc(head, noText) {
		return nil
	}
	return fmt.Errorf("%s: this is %s, not a playlist", name, binaryKind(head))
}

// noText reports what stands in no list. 0x1A ends a text of MS-DOS.
func noText(c rune) bool {
	return c < ' ' && !strings.ContainsRune("\t\n\v\f\r\x1A\x1B", c)
}

// binaryKind says what bytes that are no text may be.
func binaryKind(head []byte) string {
	for _, magic := range []string{"ID3", "OggS", "fLaC", "RIFF", "FORM", "wvpk", "MAC "} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return "audio"
		}
	}
	switch {
	case len(head) > 1 && head[0] == 0xFF && head[1]&0xE0 == 0xE0: // the sync of MPEG
		return "audio"
	case len(head) > 8 && string(head[4:8]) == "ftyp":
		return "audio"
	}
	return "no text"
}

// lineEnds counts the lines that end in b.
func lineEnds(b []byte) int {
	return bytes.Count(b, []byte("\n")) + bytes.Count(b, []byte("\r")) - bytes.Count(b, []byte("\r\n"))
}

// next reads a line, and reports whether there was one.
func (l *lines) next() bool {
	if l.err != nil || l.done {
		return false
	}
	l.text, l.cut = l.text[:0], false
	begun := false
	for {
		if _, err := l.r.Peek(1); err != nil { // else the buffer is filled now
			l.done = true
			if err != io.EOF {
				l.err = pathError(l.name, err)
			}
			return begun && l.line()
		}
		b, _ := l.r.Peek(l.r.Buffered())
		if l.cr {
			l.cr = false
			if b[0] == '\n' {
				l.r.Discard(1)
				continue
			}
		}
		begun = true
		end := bytes.IndexAny(b, "\r\n")
		piece := b
		if end >= 0 {
			piece = b[:end]
		}
		// One byte more than is kept, to see where a letter begins.
		room := min(len(piece), maxLine+1-len(l.text))
		l.text = append(l.text, piece[:room]...)
		l.cut = l.cut || len(l.text) > maxLine
		if end >= 0 {
			l.cr = b[end] == '\r'
			l.r.Discard(end + 1)
			return l.line()
		}
		l.r.Discard(len(b))
	}
}

// line finishes a line that has been read.
func (l *lines) line() bool {
	l.n++
	if l.cut {
		l.text = cut(l.text, maxLine)
	}
	if bytes.IndexByte(l.text, 0) >= 0 {
		l.err = l.errorf("this is no text, so no playlist")
		return false
	}
	l.text = bytes.TrimSpace(bytes.TrimRight(l.text, "\x1A"))
	return true
}

// errorf says what is wrong with a line.
func (l *lines) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: line %d: %w", l.name, l.n, fmt.Errorf(format, args...))
}

// locate says of an entry where it is written and what it names.
func (l *lines) locate(e *Entry, path string) error {
	switch {
	case l.cut:
		return l.errorf("a name is longer than %d bytes", maxLine)
	case strings.ContainsFunc(path, isControl):
		return l.errorf("there are control characters in the name %q", string(cut([]byte(path), 80)))
	}
	e.Path, e.list, e.line, e.raw = path, l.name, l.n, true
	return nil
}

// isControl reports a control character of ASCII: what no name in a list can hold.
func isControl(c rune) bool { return c < ' ' || c == 0x7F }

// cut returns the first n bytes, or fewer so that no letter is cut in two.
func cut(b []byte, n int) []byte {
	if len(b) <= n {
		return b
	}
	for i := n; i > 0 && i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			return b[:i]
		}
	}
	return b[:n]
}

// clean makes a title or another text fit to be shown: one line of UTF-8, not longer
// than maxText, without blanks round it.
func clean(s string) string {
	s = strings.TrimSpace(strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, toUTF8(s)))
	if len(s) > maxText {
		s = strings.TrimSpace(string(cut([]byte(s), maxText)))
	}
	return s
}

// splitTitle splits "Artist - Title" at the first " - ".
func splitTitle(text string) (artist, title string) {
	if artist, title, ok := strings.Cut(text, " - "); ok {
		return strings.TrimSpace(artist), strings.TrimSpace(title)
	}
	return "", text
}

// joinTitle is the contrary of splitTitle.
func joinTitle(artist, title string) string {
	if artist == "" || title == "" {
		return artist + title
	}
	return artist + " - " + title
}

// seconds reads a number of seconds with or without decimals; 0 is what is unknown.
func seconds(s string) time.Duration {
	s = strings.TrimPrefix(strings.TrimSpace(s), "+")
	if strings.Trim(s, "0123456789.") != "" {
		return 0
	}
	// Without a detour through floating point, so that what is written reads the same.
	d, err := time.ParseDuration(s + "s")
	if err != nil || d > math.MaxInt32*time.Second {
		return 0
	}
	return d
}

// formatSeconds is the contrary of seconds.
func formatSeconds(d time.Duration) string {
	s := fmt.Sprintf("%d.%09d", d/time.Second, d%time.Second)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}

// toUTF8 returns s, read as Windows-1252 when it is not UTF-8.
func toUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	out, err := charmap.Windows1252.NewDecoder().String(s)
	if err != nil {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return out
}

// pathError says "name: what is wrong".
func pathError(name string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("%s: %w", name, err)
}
