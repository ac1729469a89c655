package frame

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

var update = flag.Bool("update", false, "rewrite the .golden files")

// readAll returns every frame, every skip and the final error.
func readAll(r *Reader) (frames []Frame, skips []Skip, err error) {
	for {
		f, err := r.Next()
		skips = append(skips, r.Skipped()...)
		if err != nil {
			return frames, skips, err
		}
		frames = append(frames, f)
	}
}

// audio is the bytes of the frames, one behind the other.
func audio(frames []Frame) []byte {
	var b []byte
	for _, f := range frames {
		b = append(b, f.Data...)
	}
	return b
}

// TestGolden reads every stream of testdata and compares each frame with what the
// golden says of it. The counts in testdata/README.md were made by other tools.
func TestGolden(t *testing.T) {
	var files []string
	for _, pattern := range []string{"mp3/*.mp?", "aac/*.aac", "ogg/*.o*", "ogg/*.spx"} {
		some, _ := filepath.Glob("../testdata/" + pattern)
		if files = append(files, some...); len(some) == 0 {
			t.Fatal("no streams in ../testdata/" + pattern)
		}
	}
	files = slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, ".golden") })
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := transcript(NewReader(bytes.NewReader(b)))
			golden := name + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("frames differ from %s:\n%s", golden, got)
			}
			for kind, r := range map[string]io.Reader{
				"one byte":      iotest.OneByteReader(bytes.NewReader(b)),
				"half":          iotest.HalfReader(bytes.NewReader(b)),
				"data with EOF": iotest.DataErrReader(bytes.NewReader(b)),
			} {
				if again := transcript(NewReader(r)); again != got {
					t.Errorf("%s at a time, the frames are others", kind)
				}
			}
		})
	}
}

// transcript has one line a frame (offset, size, samples, rate, and in Ogg packets), one a
// skip, and one for each new stream.
func transcript(r *Reader) string {
	var s strings.Builder
	var setup *Setup
	for {
		f, err := r.Next()
		for _, skip := range r.Skipped() {
			fmt.Fprintf(&s, "# %s\n", skip)
		}
		if err != nil {
			if err != io.EOF {
				fmt.Fprintf(&s, "# %v\n", err)
			}
			return s.String()
		}
		if f.Setup == nil {
			fmt.Fprintf(&s, "%d %d %d %d\n", f.Offset, f.Size, f.Samples, f.SampleRate)
			continue
		}
		if f.Setup != setup {
			setup = f.Setup
			fmt.Fprintf(&s, "# %s: %s\n", setup.Header, setup.Title())
		}
		fmt.Fprintf(&s, "%d %d %d %d %d\n", f.Offset, f.Size, f.Samples, f.SampleRate, f.Packets)
	}
}

// mp3 makes n MPEG-1 Layer III frames of 128 kbit/s, 44.1 kHz, joint stereo, each
// with other bytes in it.
func mp3(n int) []byte { return stream(n, 0xFF, 0xFB, 0x90, 0x40) }

// stream makes n frames with a given header.
func stream(n int, header ...byte) []byte {
	h, err := ParseMPEG(header)
	if err != nil {
		panic(err)
	}
	var b []byte
	for i := range n {
		f := make([]byte, h.Size)
		copy(f, header)
		for j := 4; j < len(f); j++ {
			f[j] = byte(1 + (i*7+j)%200) // never 0xFF
		}
		b = append(b, f...)
	}
	return b
}

func join(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case []byte:
			b = append(b, p...)
		case string:
			b = append(b, p...)
		}
	}
	return b
}

// TestReader shows what counts as a frame.
func TestReader(t *testing.T) {
	frames := mp3(6) // 417 bytes each
	const size = 417
	other := stream(4, 0xFF, 0xF3, 0x40, 0xC0) // MPEG-2, 22.05 kHz, mono
	info := make([]byte, size)
	copy(info, frames[:4])
	copy(info[36:], "Info")
	false1 := join("junk", frames[:4], bytes.Repeat([]byte("junk"), 200))

	for _, test := range []struct {
		name  string
		in    []byte
		out   []byte
		skips string
		err   error
	}{
		{"nothing", nil, nil, "[]", io.EOF},
		{"three bytes", frames[:3], nil, "[junk, 3 bytes at offset 0]", io.EOF},
		{"one frame and the end", frames[:size], frames[:size], "[]", io.EOF},
		{"one frame and something else", join(frames[:size], "and something else"), nil, "[junk, 435 bytes at offset 0]", io.EOF},
		{"six frames", frames, frames, "[]", io.EOF},
		{"junk before, between and behind", join("junk", frames[:3*size], "more junk", frames[3*size:], "end"), frames, "[junk, 4 bytes at offset 0 junk, 9 bytes at offset 1255 junk, 3 bytes at offset 2515]", io.EOF},
		{"a header in junk", join(frames[:3*size], false1, frames[3*size:]), frames, "[junk, 808 bytes at offset 1251]", io.EOF},
		{"the last frame cut", frames[:6*size-1], frames[:5*size], "[truncated frame, 416 bytes at offset 2085]", io.ErrUnexpectedEOF},
		{"bytes missing in a frame", join(frames[:2*size+300], frames[3*size:]), join(frames[:2*size], frames[3*size:]), "[damaged frame, 300 bytes at offset 834]", io.EOF},
		{"an Info frame", join(info, frames), frames, "[Info, 417 bytes at offset 0]", io.EOF},
		{"Info frames in front and between", join(info, info, frames[:size], info, frames[size:]), frames, "[Info, 417 bytes at offset 0 Info, 417 bytes at offset 417 Info, 417 bytes at offset 1251]", io.EOF},
		{"an Info frame alone", info, nil, "[Info, 417 bytes at offset 0]", io.EOF},
		{"another stream behind", join(frames, other), join(frames, other), "[]", io.EOF},
		{"two frames of another stream in junk", join(frames, "junk", other[:len(other)/2], "junk"), frames, "[junk, 216 bytes at offset 2502]", io.EOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := NewReader(bytes.NewReader(test.in))
			got, skips, err := readAll(r)
			if !bytes.Equal(audio(got), test.out) {
				t.Errorf("got %d frames with %d bytes, want %d bytes", len(got), len(audio(got)), len(test.out))
			}
			if s := fmt.Sprint(skips); s != test.skips {
				t.Errorf("skipped %s, want %s", s, test.skips)
			}
			if !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			if _, again := r.Next(); again != err {
				t.Errorf("then error %v, want %v again", again, err)
			}
		})
	}
}

// TestSourceError shows that an error of the source comes after the frames before
// it, with the offset.
func TestSourceError(t *testing.T) {
	broken := errors.New("disk on fire")
	r := NewReader(io.MultiReader(bytes.NewReader(mp3(3)), iotest.ErrReader(broken)))
	frames, _, err := readAll(r)
	var at *ParseError
	if len(frames) != 3 || !errors.Is(err, broken) || !errors.As(err, &at) || at.Offset != 3*417 {
		t.Errorf("got %d frames and %v", len(frames), err)
	}
}

// TestFramesStay shows that a frame is not changed by what is read after it.
func TestFramesStay(t *testing.T) {
	want := mp3(1000)
	frames, _, _ := readAll(NewReader(bytes.NewReader(want)))
	if !bytes.Equal(audio(frames), want) {
		t.Error("frames changed after they were returned")
	}
	for i, f := range frames {
		if cap(f.Data) != len(f.Data) {
			t.Fatalf("frame %d: appending to Data would change the next frame", i)
		}
	}
}

// TestWindow puts a frame where looking at what follows it makes the Reader read on: it is
// what stands in the stream all the same.
func TestWindow(t *testing.T) {
	info := make([]byte, 417)
	copy(info, mp3(1)[:4])
	copy(info[36:], "Info")
	other := stream(300, 0xFF, 0xFB, 0x94, 0x40) // 48 kHz
	for junk := slabSize/2 - 417; junk <= slabSize/2; junk += 8 {
		in := join(make([]byte, junk), info, mp3(1), other)
		frames, _, err := readAll(NewReader(bytes.NewReader(in)))
		if err != io.EOF || len(frames) != 301 {
			t.Fatalf("behind %d bytes: %d frames, %v", junk, len(frames), err)
		}
		for _, f := range frames {
			if !bytes.Equal(f.Data, in[f.Offset:f.Offset+int64(f.Size)]) {
				t.Fatalf("behind %d bytes: the frame at %d is not what stands there", junk, f.Offset)
			}
		}
	}
}

// TestReservoir checks main_data_begin and the room for main data.
func TestReservoir(t *testing.T) {
	for _, test := range []struct {
		name          string
		header        []byte
		side          []byte // first bytes of the side information
		needs, brings int
	}{
		{"MPEG-1 stereo", []byte{0xFF, 0xFB, 0x90, 0x40}, []byte{0xFF, 0x80}, 511, 417 - 4 - 32},
		{"MPEG-1 mono", []byte{0xFF, 0xFB, 0x90, 0xC0}, []byte{0x01, 0x00}, 2, 417 - 4 - 17},
		{"MPEG-1 with CRC", []byte{0xFF, 0xFA, 0x90, 0x40}, []byte{0, 0, 0x80, 0x80}, 257, 417 - 6 - 32},
		{"MPEG-2 mono", []byte{0xFF, 0xF3, 0x40, 0xC0}, []byte{0x7F, 0xFF}, 127, 104 - 4 - 9},
		{"Layer II", []byte{0xFF, 0xFD, 0x90, 0x40}, []byte{0xFF, 0xFF}, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, err := ParseMPEG(test.header)
			if err != nil {
				t.Fatal(err)
			}
			f := Frame{Header: h, Data: make([]byte, h.Size)}
			copy(f.Data, test.header)
			copy(f.Data[4:], test.side)
			if needs, brings := f.Reservoir(); needs != test.needs || brings != test.brings {
				t.Errorf("needs %d, brings %d; want %d, %d", needs, brings, test.needs, test.brings)
			}
		})
	}
}

// TestSilence makes silence of every shape there is and reads it back.
func TestSilence(t *testing.T) {
	n := 0
	for b1 := 0xE0; b1 <= 0xFF; b1++ {
		for b2 := range 256 {
			for mode := range 4 {
				h, err := ParseMPEG([]byte{0xFF, byte(b1), byte(b2), byte(mode << 6)})
				if err != nil || h.FreeFormat {
					continue
				}
				n++
				f, _ := Silence(Frame{Header: h})
				again, err := ParseMPEG(f.Data)
				h.Protected = false
				if err != nil || again != h || len(f.Data) != h.Size {
					t.Fatalf("silence for %+v reads as %+v, %v", h, again, err)
				}
				if needs, _ := f.Reservoir(); needs != 0 {
					t.Fatalf("silence for %+v needs %d bytes of reservoir", h, needs)
				}
			}
		}
	}
	if n != 2*3*3*14*3*2*2*4 { // CRC, version, layer, bitrate, rate, padding, private, mode
		t.Errorf("%d shapes", n)
	}
}

// FuzzReader holds the laws: what comes out and what is skipped is what went in,
// in order, and reading the output again gives the same frames. Skimming finds the same
// where it finds nothing wrong.
func FuzzReader(f *testing.F) {
	small := stream(3, 0xFF, 0xF3, 0x10, 0xC4)
	f.Add(small)
	f.Add(join("x", small, "junk", small[:40]))
	f.Add(join(small, stream(3, 0xFF, 0xE3, 0x18, 0xC4), small))
	f.Add(join(stream(2, 0xFF, 0xFF, 0x14, 0x40)))
	free := join(small[:100], small[:100], small[:100])
	for i := 0; i < 300; i += 100 {
		free[i+2] &= 0x0F
		free[i], free[i+1] = 0xFF, 0xF3
	}
	f.Add(free)
	info := bytes.Clone(small)
	clear(info[4:52])
	copy(info[4+9:], "Xing")
	f.Add(info)
	var adts []byte
	for range 3 {
		silence, _ := Silence(Frame{Header: Header{Format: AAC, Version: MPEG4, ObjectType: 2, SampleRate: 44100, Channels: 1, Size: 30}})
		adts = append(adts, silence.Data...)
	}
	f.Add(join(adts, "junk", adts[:70], small))
	ogg, next := appendPages(nil, 7, [][]byte{[]byte("OpusHead\x01\x01\x38\x01\x80\xbb\x00\x00\x00\x00\x00"), append([]byte("OpusTags"), commentBlock(nil)...)})
	ogg = appendPage(ogg, ends, 960, 7, next, []byte{3}, []byte{0xF8, 0xFF, 0xFE})
	f.Add(join(small, ogg, "junk", ogg, adts))
	f.Fuzz(func(t *testing.T, in []byte) {
		frames, skips, err := readAll(NewReader(bytes.NewReader(in)))
		if err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("error %v", err)
		}
		at := int64(0)
		for len(frames)+len(skips) > 0 {
			switch {
			case len(frames) > 0 && frames[0].Offset == at:
				fr := frames[0]
				if !bytes.Equal(fr.Data, in[at:at+int64(len(fr.Data))]) || fr.Size != len(fr.Data) || fr.Size == 0 {
					t.Fatalf("frame at %d is not what stands there", at)
				}
				at += int64(len(fr.Data))
				frames = frames[1:]
			case len(skips) > 0 && skips[0].Offset == at && skips[0].Length > 0:
				at += skips[0].Length
				skips = skips[1:]
			default:
				t.Fatalf("nothing is said of the byte at %d", at)
			}
		}
		if at != int64(len(in)) {
			t.Fatalf("%d bytes in, %d out or skipped", len(in), at)
		}

		once, allSkips, _ := readAll(NewReader(bytes.NewReader(in)))
		if s, ok := Skim(bytes.NewReader(in), 0, int64(len(in))); ok && s.End == int64(len(in)) {
			headers := 0
			for _, skip := range allSkips {
				if headers++; !skip.Kind.IsHeaderFrame() {
					t.Fatalf("skimmed, there was nothing wrong; read, there is %s", skip)
				}
			}
			if len(once) != s.Frames || len(audio(once)) != int(s.Bytes) || headers != len(s.HeaderFrames) || once[0].Header != s.First {
				t.Fatalf("skimmed there are %d frames, %d bytes and %d headers; read %d, %d and %d", s.Frames, s.Bytes, len(s.HeaderFrames), len(once), len(audio(once)), headers)
			}
		}
		if piecemeal, _, _ := readAll(NewReader(iotest.HalfReader(bytes.NewReader(in)))); !bytes.Equal(audio(piecemeal), audio(once)) {
			t.Fatal("read in pieces, the frames are others")
		}
		twice, _, _ := readAll(NewReader(bytes.NewReader(audio(once))))
		if slices.ContainsFunc(once, func(f Frame) bool { return f.FreeFormat || f.Setup != nil }) {
			return // measured by what stood around it, which may have been skipped
		}
		if len(once) != len(twice) {
			t.Fatalf("%d frames, read again %d", len(once), len(twice))
		}
		for i := range once {
			if !bytes.Equal(once[i].Data, twice[i].Data) {
				t.Fatalf("frame %d is another when read again", i)
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	in := mp3(10000)
	src := bytes.NewReader(in)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(in)
		r := NewReader(src)
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
	}
}
