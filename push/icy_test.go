package push

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// readICY takes the blocks out of a body again, as a server does, and returns the audio
// and each title with its place in it. A block that a server would end the stream for
// is an error.
func readICY(body []byte) (audio []byte, titles []string, err error) {
	r := bytes.NewReader(body)
	for {
		chunk, _ := io.ReadAll(io.LimitReader(r, metaint))
		audio = append(audio, chunk...)
		units, err := r.ReadByte()
		if err == io.EOF {
			return audio, titles, nil
		}
		block := make([]byte, int(units)*16)
		if _, err := io.ReadFull(r, block); err != nil {
			return audio, titles, fmt.Errorf("block cut off: %w", err)
		}
		if units == 0 {
			continue
		}
		text := string(bytes.TrimRight(block, "\x00"))
		if !strings.HasPrefix(text, "StreamTitle='") || !strings.HasSuffix(text, "';") {
			return audio, titles, fmt.Errorf("no title in %q", text)
		}
		title := text[len("StreamTitle='") : len(text)-len("';")]
		if strings.Contains(title, "';") || strings.ContainsRune(title, 0) || !utf8.ValidString(title) {
			return audio, titles, fmt.Errorf("players would misread %q", title)
		}
		titles = append(titles, fmt.Sprintf("%d %s", len(audio), title))
	}
}

// TestICYMarks shows where blocks stand: the first mark after the title was set, and
// exactly at a border when that is a mark.
func TestICYMarks(t *testing.T) {
	w := newICYWriter()
	var body []byte
	add := func(title string, n int) {
		if title != "" {
			w.setTitle(title)
		}
		body = w.append(body, bytes.Repeat([]byte{'a'}, n), false)
	}
	add("one", 1024)
	add("two", 1) // set at the mark: the block of "one" has not gone yet
	add("three", 1023+1024)
	add("four", 10)
	audio, titles, err := readICY(body)
	if err != nil || len(audio) != 3082 {
		t.Fatalf("%d bytes of audio, %v", len(audio), err)
	}
	if got := strings.Join(titles, ", "); got != "1024 two, 2048 three, 3072 four" {
		t.Error(got)
	}
}

// shownAt returns the mark, in bytes of audio, at which a listener from the beginning
// gets a title, by the rules of Icecast 2.4: each block of 1,400 bytes has the title whose
// metadata ended in it or before, and at a mark the block of the byte before it counts.
func shownAt(body []byte, title string) int {
	var ofAudio []int // for each byte of audio: its block
	ends := -1        // block in which the metadata of the title ends
	for i, left := 0, metaint; i < len(body); {
		if left == 0 {
			n := 1 + int(body[i])*16
			if bytes.Contains(body[i:i+n], []byte("'"+title+"'")) && ends < 0 {
				ends = (i + n - 1) / block
			}
			i += n
			left = metaint
			continue
		}
		ofAudio = append(ofAudio, i/block)
		i++
		left--
	}
	for mark := metaint; mark <= len(ofAudio); mark += metaint {
		if ends >= 0 && ofAudio[mark-1] >= ends {
			return mark
		}
	}
	return -1
}

// TestICYBlocks puts a border at every place there is: when it is known to come, the title
// shows at the first mark behind it; when it is not, at that or the next one, never early.
func TestICYBlocks(t *testing.T) {
	for border := 1024; border < 1024+1025*28; border += 11 {
		for _, known := range []bool{true, false} {
			w := newICYWriter()
			w.setTitle("Old")
			near := max(0, border-1024-417)
			body := w.append(nil, bytes.Repeat([]byte{1}, near), false)
			body = w.append(body, bytes.Repeat([]byte{1}, border-near), known)
			w.setTitle("Artist - Title")
			body = w.append(body, bytes.Repeat([]byte{2}, 4*1024), false)
			mark := (border + metaint - 1) / metaint * metaint
			got := shownAt(body, "Artist - Title")
			if got != mark && (known || got != mark+metaint) {
				t.Fatalf("border at %d, known %v: the title shows at %d, want %d", border, known, got, mark)
			}
		}
	}
}

// FuzzICY holds that a reader gets the audio back, whatever the titles and however the
// audio is cut.
func FuzzICY(f *testing.F) {
	f.Add("Artist - Title", "it's';", uint16(1000), uint16(100), uint16(3000))
	f.Add("\x00", strings.Repeat("é", 100), uint16(1024), uint16(1024), uint16(1))
	f.Fuzz(func(t *testing.T, a, b string, x, y, z uint16) {
		w := newICYWriter()
		var body, want []byte
		for i, n := range []uint16{x, y, z} {
			if i == 0 {
				w.setTitle(a)
			} else if i == 2 {
				w.setTitle(b)
			}
			audio := bytes.Repeat([]byte{byte('0' + i)}, int(n))
			want = append(want, audio...)
			body = w.append(body, audio, i == 1)
		}
		audio, titles, err := readICY(body)
		if err != nil || !bytes.Equal(audio, want) || len(titles) > 2+int(y)/metaint+1 {
			t.Fatalf("%d bytes become %d, titles %q, %v", len(want), len(audio), titles, err)
		}
	})
}
