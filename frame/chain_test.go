package frame

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// oggFiles returns the Ogg files of testdata, each as its frames.
func oggFiles(t *testing.T) map[string][]Frame {
	t.Helper()
	files := map[string][]Frame{}
	for _, pattern := range []string{"*.ogg", "*.opus", "*.oga", "*.spx"} {
		names, _ := filepath.Glob("../testdata/ogg/" + pattern)
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			frames, _, _ := readAll(NewReader(bytes.NewReader(b)))
			files[filepath.Base(name)] = frames
		}
	}
	if len(files) < 10 {
		t.Fatal("there are too few Ogg files in ../testdata/ogg")
	}
	return files
}

// decode has ffmpeg decode a stream, as an independent judge. It returns the samples, 16
// bits each and as many channels as there are, and fails at the smallest complaint.
func decode(t *testing.T, b []byte, args ...string) []int16 {
	t.Helper()
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("ffmpeg is not installed")
	}
	cmd := exec.Command(ffmpeg, slices.Concat([]string{"-v", "error"}, args, []string{"-i", "-", "-f", "s16le", "-"})...)
	cmd.Stdin = bytes.NewReader(b)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err = cmd.Run()
	for line := range strings.Lines(complaints.String()) {
		// It does not trim the end of a link of Vorbis that another follows, so its own times
		// overlap there; that is so for any two files behind each other.
		if !strings.Contains(line, "non monotonically increasing dts") {
			t.Errorf("ffmpeg: %s", line)
		}
	}
	if err != nil {
		t.Errorf("ffmpeg: %v", err)
	}
	samples := make([]int16, out.Len()/2)
	binary.Read(&out, binary.LittleEndian, samples)
	return samples
}

// links checks that a physical stream is well-formed (RFC 3533, section 4): each link
// begins and ends once, and has a serial number of its own and no gap in its pages. It
// returns how many there are.
func links(t *testing.T, b []byte) int {
	t.Helper()
	seen := map[uint32]bool{}
	open := false
	var serial, sequence uint32
	for at := 0; at < len(b); {
		size, known := pageSize(b[at:])
		if !known || size == 0 || at+size > len(b) {
			t.Fatalf("no page at %d", at)
		}
		p, ok := parsePage(b[at : at+size])
		begin := p.flags&begins != 0
		switch {
		case !ok:
			t.Errorf("the checksum of the page at %d is wrong", at)
		case begin && (open || seen[p.serial]):
			t.Errorf("a stream begins at %d: one is open: %v; its number was there before: %v", at, open, seen[p.serial])
		case !begin && (!open || p.serial != serial || p.sequence != sequence):
			t.Errorf("the page at %d is number %d of stream %d, want %d of %d (open: %v)", at, p.sequence, p.serial, sequence, serial, open)
		}
		seen[p.serial] = true
		serial, sequence = p.serial, p.sequence+1
		open = p.flags&ends == 0
		at += size
	}
	if open {
		t.Error("the last stream has no end")
	}
	return len(seen)
}

// TestChain plays every file twice, with its own title and with another, and without its
// first and last pages: what comes out is a row of whole links with all of the audio.
func TestChain(t *testing.T) {
	for name, frames := range oggFiles(t) {
		t.Run(name, func(t *testing.T) {
			var c Chain
			var b []byte
			packets := 0
			play := func(frames []Frame, title func(*Setup) string) {
				for _, f := range frames {
					b = c.Append(b, f, title(f.Setup))
					packets += f.Packets
				}
			}
			play(frames, (*Setup).Title)
			play(frames, func(*Setup) string { return "Ünother – title" })
			if len(frames) > 2 {
				play(frames[1:len(frames)-1], func(*Setup) string { return "" })
			}
			b = c.End(b)
			if again := c.End(b); len(again) != len(b) {
				t.Error("it ends twice")
			}
			if name != "damaged-page.ogg" {
				links(t, b)
			}
			got, skips, err := readAll(NewReader(bytes.NewReader(b)))
			for _, s := range skips {
				if !s.Kind.IsHeaderFrame() {
					t.Error(s)
				}
			}
			n := 0
			titles := map[string]bool{}
			for _, f := range got {
				if f.Data[5]&ends == 0 || f.Samples > 0 { // else it is the end of a link, and no more
					n += f.Packets
				}
				titles[f.Setup.Title()] = true
			}
			// What goes on from a page that was left out cannot be played.
			if short := packets - n; short < 0 || short > 3 {
				t.Errorf("%d packets, want %d; %v", n, packets, err)
			}
			if !titles["Ünother – title"] || !titles[frames[0].Setup.Title()] || len(frames) > 2 && !titles[""] {
				t.Errorf("titles are %v", titles)
			}
		})
	}
}

// TestChainUntouched shows that a file which is as it should be passes byte for byte.
func TestChainUntouched(t *testing.T) {
	for _, name := range []string{"vorbis-44100-stereo.ogg", "opus-stereo.opus", "flac-in-ogg.oga", "vorbis-chained.ogg", "vorbis-offset.ogg"} {
		want, err := os.ReadFile("../testdata/ogg/" + name)
		if err != nil {
			t.Fatal(err)
		}
		frames, _, _ := readAll(NewReader(bytes.NewReader(want)))
		var c Chain
		var got []byte
		for _, f := range frames {
			got = c.Append(got, f, f.Setup.Title())
		}
		if !bytes.Equal(c.End(got), want) {
			t.Errorf("%s was changed", name)
		}
	}
}

// TestChainDecodes has files of one format that follow each other decoded.
func TestChainDecodes(t *testing.T) {
	files := oggFiles(t)
	for name, samples := range map[string]int{
		"vorbis-44100-stereo.ogg": 2 * 26460, "opus-stereo.opus": 2 * 28800, "flac-in-ogg.oga": 6400, "vorbis-cover.ogg": 4000,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c Chain
			var b []byte
			for i := range 3 {
				for _, f := range files[name] {
					b = c.Append(b, f, fmt.Sprint("Title ", i))
				}
			}
			// At the end of a link that is not the last, ffmpeg plays all of the last block.
			most := 3 * samples
			if frames := files[name]; frames[0].Format == Vorbis {
				most += 2 * 1024 * frames[0].Channels
			}
			if got := len(decode(t, c.End(b))); got < 3*samples || got > most {
				t.Errorf("%d samples, want %d", got, 3*samples)
			}
			if strings.Contains(string(b), "METADATA_BLOCK_PICTURE") {
				t.Error("a picture is on the air")
			}
		})
	}
}

// TestSilenceDecodes has silence of every shape decoded, in Ogg between the pages of a
// file: as many samples as are counted, and all of them zero.
func TestSilenceDecodes(t *testing.T) {
	like := map[string][]Frame{}
	for name, frames := range oggFiles(t) {
		like[name] = frames
	}
	for channels := 1; channels <= 8; channels++ {
		for _, size := range []int{9, 60, 100, 299, 300, 1000, 6000} {
			h := Header{Format: AAC, Version: MPEG4, ObjectType: 2, SampleRate: 44100, Channels: channels, Samples: 2048, Size: size}
			like[fmt.Sprintf("AAC, %d channels, %d bytes", channels, size)] = []Frame{{Header: h}}
		}
	}
	like["MPEG"] = []Frame{{Header: func() Header { h, _ := ParseMPEG(mp3(1)); return h }()}}
	for name, frames := range like {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := frames[0]
			s, ok := Silence(f)
			if none := f.Format == FLAC || f.Format == Speex || f.Channels == 7; ok == none {
				t.Fatalf("there is silence: %v", ok)
			}
			if !ok {
				return
			}
			var c Chain
			var b []byte
			want, before := 0, 0
			if f.Setup == nil {
				frames = nil
				if f.Size > 70 && s.Size != f.Size {
					t.Fatalf("%d bytes, want %d", s.Size, f.Size)
				}
			}
			for i, f := range frames {
				if f.Setup != frames[0].Setup {
					frames = frames[:i]
					break
				}
				if i == len(frames)-1 && i > 0 { // the last page says that it is that
					break
				}
				b = c.Append(b, f, "Silence")
				before += f.Samples
			}
			for range 20 {
				b = c.Append(b, s, "Silence")
				want += s.Samples
			}
			if len(frames) > 1 {
				last := frames[len(frames)-1]
				b = c.Append(b, last, "Silence")
			}
			b = c.End(b)
			if f.Setup != nil && name != "damaged-page.ogg" && !c.ended {
				t.Error("it has no end")
			}
			got, skips, _ := readAll(NewReader(bytes.NewReader(b)))
			samples := 0
			for _, f := range got {
				samples += f.Samples
			}
			for _, s := range skips {
				if !s.Kind.IsHeaderFrame() {
					t.Error(s)
				}
			}
			last := 0
			if len(frames) > 1 {
				last = frames[len(frames)-1].Samples
			}
			// Where one length of block follows another, there is a quarter of each less or more.
			if d := samples - before - want - last; d < -2048 || d > 2048 || f.Setup == nil && d != 0 {
				t.Errorf("read again, there are %d samples too many", d)
			}
			if len(frames) == 1 && f.Setup != nil {
				return // the silence stands behind the end
			}
			args := []string{}
			if f.Format == AAC {
				args = []string{"-f", "aac"}
			}
			pcm := decode(t, b, args...)
			silent := pcm
			if f.Setup != nil { // well inside
				silent = pcm[min(len(pcm), (before+4096)*f.Channels):min(len(pcm), (before+want-4096)*f.Channels)]
			}
			if len(silent) < want*f.Channels/2 {
				t.Errorf("%d samples of silence, want %d", len(silent), want*f.Channels)
			}
			if i := slices.IndexFunc(silent, func(s int16) bool { return s != 0 && (f.Format != Opus || s > 2 || s < -2) }); i >= 0 {
				t.Errorf("sample %d is %d", i, silent[i])
			}
		})
	}
}

// FuzzChain holds the law that whatever pages there are, and whichever are left out, a
// row of whole links comes out.
func FuzzChain(f *testing.F) {
	id := append([]byte("OpusHead\x01\x01\x38\x01\x80\xbb\x00\x00\x00\x00\x00"), 0)
	tags := append([]byte("OpusTags"), commentBlock([]string{"TITLE=t"})...)
	head, next := appendPages(nil, 7, [][]byte{id[:19], tags})
	one := appendPage(bytes.Clone(head), 0, 960, 7, next, []byte{3}, []byte{0xF8, 0xFF, 0xFE})
	f.Add(one, uint(0))
	f.Add(append(appendPage(one, ends, 1920, 7, next+1, []byte{3}, []byte{0xF8, 0xFF, 0xFE}), one...), uint(2))
	f.Fuzz(func(t *testing.T, in []byte, left uint) {
		// The fuzzer cannot make checksums.
		for at := 0; at < len(in); at++ {
			if size, known := pageSize(in[at:]); known && size > 0 && at+size <= len(in) {
				binary.LittleEndian.PutUint32(in[at+22:], pageChecksum(in[at:at+size]))
				at += size - 1
			}
		}
		frames, _, _ := readAll(NewReader(bytes.NewReader(in)))
		var c Chain
		var b []byte
		for i, f := range frames {
			if f.Setup == nil {
				return
			}
			if f.Samples < 0 || f.Samples > 255*8192 {
				t.Fatalf("%d samples in a page", f.Samples)
			}
			if uint(i)%8 != left%8 {
				b = c.Append(b, f, []string{f.Setup.Title(), "another"}[i/3%2])
			}
		}
		b = c.End(b)
		got, skips, err := readAll(NewReader(bytes.NewReader(b)))
		for _, s := range skips {
			if !s.Kind.IsHeaderFrame() {
				t.Fatalf("%s, %v, %d of %d pages", s, err, len(got), len(frames))
			}
		}
	})
}

// TestChainFromSilence begins a link with silence, as on a connection that is made in the
// middle of a stall: what comes then goes on behind it, without a gap in pages or time.
func TestChainFromSilence(t *testing.T) {
	for _, name := range []string{"vorbis-offset.ogg", "opus-stereo.opus"} {
		frames := oggFiles(t)[name]
		silence, ok := Silence(frames[0])
		if !ok {
			t.Fatal("there is no silence")
		}
		var c Chain
		var b []byte
		samples := 0
		for i, f := range []Frame{silence, silence, frames[2], frames[3], silence, frames[4]} {
			b = c.Append(b, f, "Stalled")
			if samples += f.Samples; i == 0 && name == "opus-stereo.opus" {
				samples -= 312 // the decoder drops as much at the beginning
			}
		}
		links(t, c.End(b))
		got, _, _ := readAll(NewReader(bytes.NewReader(c.End(b))))
		for _, f := range got {
			samples -= f.Samples
		}
		// A block of Vorbis overlaps with the one before, whose size it may not have.
		if samples < -1024 || samples > 1024 {
			t.Errorf("%s: %d samples are missing", name, samples)
		}
	}
}
