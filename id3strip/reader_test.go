package id3strip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"icepush/frame"
)

// plain hides that a reader can seek, as standard input cannot.
type plain struct{ io.Reader }

// strip returns what a Reader leaves of in, and the tags it left out.
func strip(t testing.TB, in io.Reader) ([]byte, []Tag) {
	t.Helper()
	r := NewReader(in)
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out, r.Tags()
}

// sound is bytes that could be frames, n of them.
func sound(n int) string {
	return strings.Repeat("\xff\xfb\x90\x64 sound, no tag ", n/19+1)[:n]
}

// id3v2Tag makes a tag with frames, its size off by what is given.
func id3v2Tag(version byte, off int, frames string) string {
	n := len(frames) + off
	return "ID3" + string([]byte{version, 0, 0, byte(n >> 21), byte(n >> 14 & 127), byte(n >> 7 & 127), byte(n & 127)}) + frames
}

func text(id, s string) string {
	return id + string([]byte{0, 0, 0, byte(len(s) + 1), 0, 0, 0}) + s
}

// apeTag makes an APE tag with one item: without a header when it is version 1.
func apeTag(version uint32, value string) string {
	item := string(binary.LittleEndian.AppendUint32(nil, uint32(len(value)))) + "\x00\x00\x00\x00Title\x00" + value
	part := func(flags uint32) string {
		b := binary.LittleEndian.AppendUint32([]byte("APETAGEX"), version)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(item)+apeHeaderSize))
		b = binary.LittleEndian.AppendUint32(b, 1)
		b = binary.LittleEndian.AppendUint32(b, flags)
		return string(append(b, make([]byte, 8)...))
	}
	if version == 1000 {
		return item + part(0)
	}
	return part(1<<31|1<<29) + item + part(1<<31)
}

func id3v1Tag(title string) string { return fmt.Sprintf("TAG%-125s", title) }

func TestReader(t *testing.T) {
	v3 := id3v2Tag(3, 0, text("TIT2", "Title")+text("TPE1", "Artist"))
	v22 := id3v2Tag(2, 0, "TT2\x00\x00\x06\x00Title")
	footer := id3v2Tag(4, 0, text("TIT2", "Title"))
	footer = footer[:5] + "\x10" + footer[6:] + "3DI" + footer[3:5] + "\x10" + footer[6:10]
	enhanced := "TAG+" + strings.Repeat(" ", enhancedSize-4)
	lyrics2 := "LYRICSBEGININD0000200EAL00004Song000031LYRICS200"
	lyrics1 := "LYRICSBEGIN[00:01]la la laLYRICSEND"
	a, b := sound(900), sound(700)
	big := id3v2Tag(3, 0, "APIC\x00\x05\x00\x00\x00\x00"+sound(5*65536)) // five slabs

	for _, test := range []struct{ name, in, out, tags string }{
		{"nothing", "", "", ""},
		{"sound alone", a, a, ""},
		{"ID3v2.3 in front", v3 + a, a, "ID3v2.3@0+43"},
		{"ID3v2.2 in front", v22 + a, a, "ID3v2.2@0+22"},
		{"ID3v2.4 with a footer behind", a + footer, a, "ID3v2.4@900+36"},
		{"several in a row", v3 + v22 + footer + a, a, "ID3v2.3@0+43 ID3v2.2@43+22 ID3v2.4@65+36"},
		{"between", a + v3 + b, a + b, "ID3v2.3@900+43"},
		{"ID3v2.3 and ID3v1 behind", a + v3 + id3v1Tag("x"), a, "ID3v2.3@900+43 ID3v1@943+128"},
		{"ID3v1 in the middle of two joined files", a + id3v1Tag("x") + v3 + b + id3v1Tag("y"), a + b, "ID3v1@900+128 ID3v2.3@1028+43 ID3v1@1771+128"},
		{"ID3v1 twice", a + id3v1Tag("x") + id3v1Tag("y"), a, "ID3v1@900+128 ID3v1@1028+128"},
		{"ID3v2.4 behind ID3v1", a + id3v1Tag("x") + footer, a, "ID3v1@900+128 ID3v2.4@1028+36"},
		{"the letters TAG in the sound", a + id3v1Tag("x") + b, a + id3v1Tag("x") + b, ""},
		{"TAG+", a + enhanced + id3v1Tag("x"), a, "TAG+@900+227 ID3v1@1127+128"},
		{"APEv1 behind", a + apeTag(1000, "x"), a, "APEv1@900+47"},
		{"APEv1 and ID3v1 behind", a + apeTag(1000, strings.Repeat("x", 3000)) + id3v1Tag("x"), a, "APEv1@900+3046 ID3v1@3946+128"},
		{"APEv2 in front", apeTag(2000, a) + b, b, "APEv2@0+978"},
		{"APEv2 behind", a + apeTag(2000, a), a, "APEv2@900+978"},
		{"APEv2 with a picture of 100 kB", a + apeTag(2000, sound(100_000)) + id3v1Tag("x"), a, "APEv2@900+100078 ID3v1@100978+128"},
		{"Lyrics3v1", a + lyrics1 + id3v1Tag("x"), a, "Lyrics3v1@900+35 ID3v1@935+128"},
		{"Lyrics3v2 alone", a + lyrics2, a, "Lyrics3v2@900+48"},
		{"all at the end", a + v3 + apeTag(2000, "y") + lyrics2 + id3v1Tag("x"), a, "ID3v2.3@900+43 APEv2@943+79 Lyrics3v2@1022+48 ID3v1@1070+128"},
		{"a picture of 320 kB", big + a, a, "ID3v2.3@0+327700"},
		{"a size one frame too small", id3v2Tag(3, -17, text("TIT2", "Title")+text("TPE1", "Artist")+text("TALB", "A")) + a, a, "ID3v2.3@0+55"},
		{"joined letters", "ID" + v3 + "3\x03\x00\x00\x00\x00\x00\x00" + a, a, "ID3v2.3@0+10 ID3v2.3@2+43"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for kind, in := range map[string]io.Reader{
				"file":         strings.NewReader(test.in),
				"pipe":         plain{strings.NewReader(test.in)},
				"byte by byte": iotest.OneByteReader(strings.NewReader(test.in)),
				"halves":       iotest.HalfReader(strings.NewReader(test.in)),
				"EOF at once":  iotest.DataErrReader(strings.NewReader(test.in)),
			} {
				out, tags := strip(t, in)
				if string(out) != test.out {
					t.Errorf("%s: %d bytes left, want %d", kind, len(out), len(test.out))
				}
				var s []string
				for _, tag := range tags {
					s = append(s, fmt.Sprintf("%s@%d+%d", tag.Kind, tag.Offset, tag.Length))
				}
				if got := strings.Join(s, " "); got != test.tags {
					t.Errorf("%s: tags %s, want %s", kind, got, test.tags)
				}
			}
		})
	}
}

// TestLyingSizes shows what a tag costs whose size cannot be true: a file knows its
// end, a pipe does not.
func TestLyingSizes(t *testing.T) {
	a := sound(900)
	frames := text("TIT2", "Title") + text("TPE1", "Artist")
	ape := []byte(apeTag(1000, "x"))
	binary.LittleEndian.PutUint32(ape[len(ape)-20:], 900_000)
	for _, test := range []struct{ name, in, out string }{
		{"ID3v2 past the end, frames whole", id3v2Tag(3, 1000_000, frames) + a, a},
		{"ID3v2 past the end, a frame past the end", id3v2Tag(3, 1000_000, frames+"APIC\x7f\xff\xff\xff\x00\x00") + a, "APIC\x7f\xff\xff\xff\x00\x00" + a},
		{"ID3v2 past the end, nothing behind", id3v2Tag(3, 1000_000, frames), ""},
		{"APEv1 larger than the file", a + string(ape), a + string(ape[:len(ape)-apeHeaderSize])},
		{"APEv2 header larger than the file", "APETAGEX\xd0\x07\x00\x00\xff\xff\xff\x7f\x01\x00\x00\x00\x00\x00\x00\xa0\x00\x00\x00\x00\x00\x00\x00\x00" + a, a},
		{"Lyrics3 without an end", a + "LYRICSBEGIN" + a, a + a},
	} {
		t.Run(test.name, func(t *testing.T) {
			if out, _ := strip(t, strings.NewReader(test.in)); string(out) != test.out {
				t.Errorf("%d bytes left, want %d: %q", len(out), len(test.out), out[:min(len(out), 40)])
			}
		})
	}
}

// TestSourceOffset finds bytes of the source by their offset in what is returned.
func TestSourceOffset(t *testing.T) {
	in := id3v2Tag(3, 0, text("TIT2", "T")) + "first" + id3v2Tag(4, 0, text("TIT2", "T")) + "second" + id3v1Tag("x")
	r := NewReader(strings.NewReader(in))
	out, _ := io.ReadAll(r)
	for i, c := range out {
		if at := r.SourceOffset(int64(i)); in[at] != c {
			t.Errorf("byte %d, %q, is not at %d", i, c, at)
		}
	}
}

// TestFiles takes the tags from testdata and counts the frames that are left:
// testdata/README.md says which tools gave these numbers.
func TestFiles(t *testing.T) {
	files, _ := filepath.Glob("../testdata/tags/*.mp3")
	if len(files) == 0 {
		t.Fatal("no files in ../testdata/tags")
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want := 17
			if base := filepath.Base(name); base == "only-tags.mp3" || base == "lying-picture.mp3" {
				want = 0
			}
			r := frame.NewReader(NewReader(bytes.NewReader(b)))
			got := 0
			for {
				if _, err := r.Next(); err != nil {
					break
				}
				got++
			}
			if got != want {
				t.Errorf("%d frames, want %d", got, want)
			}
		})
	}
}

// TestMemory takes a picture of 50 MB out and looks at what that cost.
func TestMemory(t *testing.T) {
	in := id3v2Tag(3, 0, "APIC\x03\x00\x00\x00\x00\x00"+strings.Repeat("\xff\xfb\x90\x64", 3<<22)) + sound(4000)
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			io.Copy(io.Discard, plain{NewReader(plain{strings.NewReader(in)})})
		}
	}).AllocedBytesPerOp()
	if allocated > 256<<10 {
		t.Errorf("%d bytes allocated for a tag of %d", allocated, len(in))
	}
}

// FuzzReader holds the laws: stripping twice equals stripping once, a pipe gives
// what a file gives unless a size was a lie, and the tags account for every byte.
func FuzzReader(f *testing.F) {
	a := sound(60)
	f.Add([]byte(id3v2Tag(3, 0, text("TIT2", "Title")) + a + id3v1Tag("x")))
	f.Add([]byte(id3v2Tag(2, 0, "TT2\x00\x00\x06\x00Title") + a))
	f.Add([]byte(a + apeTag(1000, "x") + id3v1Tag("x")))
	f.Add([]byte(a + apeTag(2000, "xyz")))
	f.Add([]byte(a + "LYRICSBEGIN[00:01]laLYRICSEND" + id3v1Tag("x") + id3v2Tag(4, 0, text("TIT2", "T"))))
	f.Add([]byte("TAG+" + strings.Repeat(" ", enhancedSize-4) + id3v1Tag("x")))
	f.Fuzz(func(t *testing.T, in []byte) {
		once, tags := strip(t, bytes.NewReader(in))
		removed := int64(0)
		for _, tag := range tags {
			if tag.Length <= 0 || tag.Offset < 0 || tag.Offset+tag.Length > int64(len(in)) {
				t.Fatalf("tag %+v of %d bytes", tag, len(in))
			}
			removed += tag.Length
		}
		if removed+int64(len(once)) != int64(len(in)) {
			t.Fatalf("%d bytes in, %d out and %d in tags", len(in), len(once), removed)
		}
		if twice, tags := strip(t, bytes.NewReader(once)); !bytes.Equal(once, twice) {
			t.Fatalf("stripped again, %d bytes become %d: %+v", len(once), len(twice), tags)
		}
		if half, _ := strip(t, iotest.HalfReader(bytes.NewReader(in))); len(in) < lookAhead {
			if pipe, _ := strip(t, plain{bytes.NewReader(in)}); !bytes.Equal(pipe, half) {
				t.Fatal("read in pieces, something else is left")
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	in := sound(4 << 20)
	src := strings.NewReader(in)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	buf := make([]byte, 64<<10)
	for b.Loop() {
		src.Reset(in)
		io.CopyBuffer(io.Discard, plain{NewReader(src)}, buf)
	}
}
