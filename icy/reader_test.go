package icy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// fields returns a metadata block with a text.
func fields(text string) string {
	units := (len(text) + 15) / 16
	return string(rune(units)) + text + strings.Repeat("\x00", units*16-len(text))
}

// TestReader shows what a listener gets of a stream with a block after every four bytes.
func TestReader(t *testing.T) {
	stream := "aaaa" + fields("StreamTitle='One';") +
		"bbbb" + fields("") +
		"cccc" + fields("StreamTitle='Two';StreamUrl='http://radio.example/two.png';") +
		"dddd" + fields("StreamTitle='caf\xe9'") +
		"eeee" + fields("StreamUrl='http://radio.example/';") +
		"ffff" + fields("StreamTitle='it's; fine';StreamUrl='';") +
		"gggg" + fields("StreamTitle='';") +
		"hh"
	for name, source := range map[string]io.Reader{
		"at once":            strings.NewReader(stream),
		"byte by byte":       iotest.OneByteReader(strings.NewReader(stream)),
		"the end with bytes": iotest.DataErrReader(strings.NewReader(stream)),
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader(source, 4)
			audio, err := io.ReadAll(r)
			if string(audio) != "aaaabbbbccccddddeeeeffffgggghh" || err != nil || r.Offset() != 30 {
				t.Errorf("%q, %v", audio, err)
			}
			var got []string
			for _, title := range append(r.Titles(12), r.Titles(math.MaxInt64)...) {
				got = append(got, fmt.Sprintf("%d %s %s", title.Offset, title.Text, title.URL))
			}
			want := "4 One |12 Two http://radio.example/two.png|16 café |24 it's; fine |28  "
			if s := strings.Join(got, "|"); s != want {
				t.Errorf("%s, want %s", s, want)
			}
		})
	}
}

// TestReaderTitles shows when titles are handed out, and how many wait.
func TestReaderTitles(t *testing.T) {
	var stream strings.Builder
	for i := range maxTitles + 2 {
		stream.WriteString("a" + fields(fmt.Sprintf("StreamTitle='%d';", i)))
	}
	r := NewReader(strings.NewReader(stream.String()), 1)
	io.Copy(io.Discard, r)
	if first := r.Titles(4); len(first) != 1 || first[0].Text != "2" {
		t.Errorf("%v", first)
	}
	if rest := r.Titles(math.MaxInt64); len(rest) != maxTitles-1 || rest[0].Text != "3" {
		t.Errorf("%d titles, %v", len(rest), rest[0])
	}
	if again := r.Titles(math.MaxInt64); len(again) > 0 {
		t.Errorf("%v again", again)
	}
}

// TestReaderBroken shows how a stream ends, and what a block that is none does.
func TestReaderBroken(t *testing.T) {
	for _, test := range []struct {
		stream, audio string
		every, odd    int
		err           error
	}{
		{"aaaa", "aaaa", 4, 0, nil},
		{"aaaa\x00bb", "aaaabb", 4, 0, nil},
		{"aaaa\x01StreamTi", "aaaa", 4, 0, io.ErrUnexpectedEOF},
		{"aaaa\x01", "aaaa", 4, 0, io.ErrUnexpectedEOF},
		{"aaaa\x01\xff\xfb\x90\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0cbb", "aaaabb", 4, 1, nil},
		{"aaaa\x01stays", "aaaa\x01stays", 0, 0, nil},
		{"aaaa\x01stays", "aaaa\x01stays", -1, 0, nil},
	} {
		r := NewReader(strings.NewReader(test.stream), test.every)
		audio, err := io.ReadAll(r)
		if string(audio) != test.audio || !errors.Is(err, test.err) || r.Odd() != test.odd {
			t.Errorf("%q: %q, %v, %d odd", test.stream, audio, err, r.Odd())
		}
	}
}

// FuzzReader: the audio, the blocks and their length bytes are what was read, in any
// pieces; titles stand at marks, in order, and are fit to go on.
func FuzzReader(f *testing.F) {
	f.Add([]byte("aaaa"+fields("StreamTitle='One';")+"bbbb\x00cccc"+fields("StreamTitle='T\xfc';StreamUrl='x';")+"d"), 4)
	f.Add([]byte("a\x01StreamTitle='a\x00\x00b\xff"), 1)
	f.Add([]byte("\xff\xfb\x90\x00"), 0)
	f.Fuzz(func(t *testing.T, in []byte, every int) {
		every %= 1 << 12
		r := NewReader(iotest.HalfReader(bytes.NewReader(in)), every)
		audio, err := io.ReadAll(r)
		var want []byte
		rest, marks := in, 0
		for every > 0 && len(rest) > every {
			want = append(want, rest[:every]...)
			rest = rest[every:]
			block := 1 + int(rest[0])*16
			if marks++; block > len(rest) {
				rest = nil
				if err != io.ErrUnexpectedEOF {
					t.Fatalf("a block is cut off: %v", err)
				}
				break
			}
			rest = rest[block:]
		}
		if want = append(want, rest...); !bytes.Equal(audio, want) || r.Offset() != int64(len(want)) {
			t.Fatalf("%d bytes of audio, want %d", len(audio), len(want))
		}
		titles := r.Titles(math.MaxInt64)
		if len(titles) > min(marks, maxTitles) {
			t.Fatalf("%d titles at %d marks", len(titles), marks)
		}
		at := int64(0)
		for _, title := range titles {
			if title.Offset <= at || title.Offset%int64(every) != 0 {
				t.Fatalf("a title at %d, behind one at %d", title.Offset, at)
			}
			at = title.Offset
			for _, s := range []string{title.Text, title.URL} {
				if !utf8.ValidString(s) || Safe(s) != s {
					t.Fatalf("%q", s)
				}
			}
		}
	})
}

// FuzzBlock: what Block writes is read back as Safe has it.
func FuzzBlock(f *testing.F) {
	f.Add("Artist - Title", 0)
	f.Add("it's; 'fine';", 100)
	f.Add("StreamTitle='☃", 4000)
	f.Fuzz(func(t *testing.T, title string, least int) {
		r := NewReader(bytes.NewReader(append([]byte("a"), Block(title, least%MaxBlock)...)), 1)
		io.Copy(io.Discard, r)
		got, want := r.Titles(2), strings.TrimSpace(Safe(title))
		if len(got) != 1 || !strings.HasPrefix(want, got[0].Text) || len(got[0].Text) < min(len(want), MaxBlock-20) {
			t.Fatalf("%q becomes %+v", title, got)
		}
	})
}
