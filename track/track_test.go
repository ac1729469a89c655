package track

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"icepush/frame"
)

// TestTags reads the tags of testdata/tags. What they hold is written in
// testdata/maketags.py; where a tag says nothing, or is of a kind that is not read
// (APE, ID3v2 at the end), the file name stands for the title.
func TestTags(t *testing.T) {
	for _, test := range []struct{ file, artist, title, album string }{
		{"apev1-end.mp3", "", "apev1-end", ""},
		{"apev2-cover-id3v1.mp3", "Duo Farol", "Zwei Küsten", "Fixtures"},
		{"concat-tags-between.mp3", "Part One", "Left", ""},
		{"control-chars.mp3", "Evil Artist: not a header", `Tab here & 100% = "x" and a line`, ""},
		{"empty-texts.mp3", "", "empty-texts", "Fixtures"},
		{"id3v1.mp3", "The Quiet Harbour", "Low Tide", "Fixtures"},
		{"id3v11-latin1.mp3", "Café Müller", "Señor Ærø übt", "Fixtures"},
		{"id3v2-size-past-eof.mp3", "Nordlys", "Past the End", ""},
		{"id3v2-size-too-small.mp3", "Nordlys", "id3v2-size-too-small", ""},
		{"id3v2-twice.mp3", "First Tag", "First Title", ""},
		{"id3v22-pic.mp3", "Duo Farol", "Três Ondas", ""},
		{"id3v23-exthdr.mp3", "Nordlys", "Extended", ""},
		{"id3v23-unsync.mp3", "Louÿs ÿÿ", "Ça ÿ est", ""},
		{"id3v23-utf16-apic.mp3", "Ольга Вєтрова", "Тиха вода ☕", ""},
		{"id3v24-utf8-multi.mp3", "Anna Å. / Bertil Ö. / Çelik", "Three of Us ❄", ""},
		{"kitchen-sink.mp3", "Kitchen Ensemble of the Quiet Harbour", "Everything and the Sink, in Full", ""},
	} {
		t.Run(test.file, func(t *testing.T) {
			tr, err := Open(t.Context(), "../testdata/tags/"+test.file, Info{})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			if i := tr.Info; i.Artist != test.artist || i.Title != test.title || i.Album != test.album {
				t.Errorf("%q, %q, %q; want %q, %q, %q", i.Artist, i.Title, i.Album, test.artist, test.title, test.album)
			}
		})
	}
}

// TestHint shows what counts more: tags, then the playlist, then the file name.
func TestHint(t *testing.T) {
	hint := Info{Artist: "List\x00Artist", Title: "List\nTitle", Number: 3, Of: 7}
	for file, want := range map[string]string{
		"tags/id3v1.mp3":                "The Quiet Harbour - Low Tide",
		"mp3/cbr128-44100-joint.mp3":    "ListArtist - List Title",
		"tags/id3v24-footer-end.mp3":    "ListArtist - List Title",
		"tags/id3v2-size-too-small.mp3": "Nordlys - List Title",
	} {
		tr, err := Open(t.Context(), "../testdata/"+file, hint)
		if err != nil {
			t.Fatal(err)
		}
		tr.Close()
		if got := tr.Info.FormatTitle("{artist} - {title}"); got != want || tr.Info.Number != 3 || tr.Info.Of != 7 {
			t.Errorf("%s: %q, %d of %d; want %q", file, got, tr.Info.Number, tr.Info.Of, want)
		}
	}
}

func TestFormatTitle(t *testing.T) {
	full := Info{Path: "/music/09 song.mp3", Artist: "A", Title: "T", Album: "B"}
	titleOnly := Info{Path: "/music/09 song.mp3", Title: "T"}
	for _, test := range []struct {
		info         Info
		format, want string
	}{
		{full, "{artist} - {title}", "A - T"},
		{titleOnly, "{artist} - {title}", "T"},
		{full, "@a@ @t@ @b@", "A T B"},
		{titleOnly, "@a@: @t@ (@b@", "T"},
		{full, "Radio: {title} by {artist}!", "Radio: T by A!"},
		{titleOnly, "Radio: {title} by {artist}!", "Radio: T!"},
		{full, "{file}", "09 song"},
		{full, "@T@\r\n", "09 song"},
		{full, "always this", "always this"},
		{full, "{year} {title}", "{year} T"},
	} {
		if got := test.info.FormatTitle(test.format); got != test.want {
			t.Errorf("%q gives %q, want %q", test.format, got, test.want)
		}
	}
}

// TestRefused shows the sentence for each file that does not play.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{
		"text.mp3": "this is a letter to my aunt\n", "page.mp3": "\n<!DOCTYPE html>", "empty.mp3": "",
		"a.flac": "fLaC\x00\x00\x00\x22", "a.ogg": "OggS\x00\x02", "a.m4a": "\x00\x00\x00\x20ftypM4A ",
		"a.wav": "RIFF\x00\x00\x00\x00WAVEfmt ", "a.aac": "\xff\xf1\x50\x80\x00", "noise.mp3": "\x00\x01\x02\x03",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.Mkdir(filepath.Join(dir, "folder.mp3"), 0o755)
	for name, want := range map[string]string{
		"text.mp3": "no audio in it: it is text", "page.mp3": "no audio in it: it is HTML or XML",
		"empty.mp3": "no audio in it: it is empty", "noise.mp3": "it is of a kind unknown here, which icepush does not play by itself",
		"a.flac":     "it is FLAC, which icepush does not play by itself",
		"a.ogg":      "it is Ogg without Vorbis, Opus, FLAC or Speex that can be read, which icepush does not play by itself",
		"a.m4a":      "it is MP4 (M4A), which icepush does not play by itself",
		"a.wav":      "it is WAV, which icepush does not play by itself",
		"a.aac":      "it is of a kind unknown here, which icepush does not play by itself",
		"folder.mp3": "is a folder", "missing.mp3": "no such file or directory", "/dev/zero": "is no regular file",
	} {
		path := filepath.Join(dir, name)
		if filepath.IsAbs(name) {
			path = name
		}
		_, err := Open(t.Context(), path, Info{})
		if err == nil || err.Error() != path+": "+want {
			t.Errorf("%v, want %s: %s", err, name, want)
		}
		if errors.Is(err, ErrNoAudio) != strings.HasPrefix(want, "no audio") || errors.As(err, new(*ForeignError)) != strings.HasPrefix(want, "it is ") {
			t.Errorf("%v is of the wrong kind", err)
		}
	}
}

// TestLyingPicture opens tags that claim a picture of 2 GiB and more: they must not
// cost what they claim.
func TestLyingPicture(t *testing.T) {
	sound, err := os.ReadFile("../testdata/mp3/cbr128-44100-joint.mp3")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "liar.mp3")
	for _, tag := range []string{
		"ID3\x03\x00\x00\x00\x00\x00\x23APIC\x7f\xff\xff\xff\x00\x00\x00image/png\x00\x03\x00",
		"ID3\x04\x00\x00\x00\x00\x00\x23APIC\x7f\x7f\x7f\x7f\x00\x00\x00image/png\x00\x03\x00",
		"ID3\x02\x00\x00\x00\x00\x00\x20PIC\xff\xff\xff\x00PNG\x03\x00",
		"ID3\x04\x00\x00\x7f\x7f\x7f\x7fTIT2\x7f\x7f\x7f\x7f\x00\x00",
		"ID3\x03\x00\x40\x00\x00\x00\x14\xff\xff\xff\xff\x00\x00",
		"fLaC\x06\xff\xff\xff\x00\x00\x00\x03\x7f\xff\xff\xff",
	} {
		if err := os.WriteFile(name, append([]byte(tag), sound...), 0o644); err != nil {
			t.Fatal(err)
		}
		allocated := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if tr, err := Open(t.Context(), name, Info{}); err == nil {
					tr.Close()
				}
			}
		}).AllocedBytesPerOp()
		if allocated > 2<<20 {
			t.Errorf("%d bytes allocated to open %q", allocated, tag)
		}
	}
}

// TestScan compares a report with the facts of testdata/README.md.
func TestScan(t *testing.T) {
	r, err := Scan(t.Context(), "../testdata/mp3/other-rate-concat.mp3", Info{}, true)
	if err != nil {
		t.Fatal(err)
	}
	if r.Frames != 37 || r.Samples != 17280+12672 {
		t.Errorf("%d frames, %d samples", r.Frames, r.Samples)
	}
	// 17280/44100 + 12672/22050 = 0.966530612...
	if r.Info.Duration != 966530612 {
		t.Errorf("duration %d ns", r.Info.Duration)
	}
	r, err = Scan(t.Context(), "../testdata/mp3/garbage-between.mp3", Info{}, true)
	if err != nil || len(r.Problems) != 1 || r.Problems[0].Kind != frame.Junk || r.Problems[0].Length != 300 {
		t.Errorf("problems %v, %v", r.Problems, err)
	}
	r, err = Scan(t.Context(), "../testdata/tags/concat-tags-between.mp3", Info{}, true)
	b, _ := os.ReadFile("../testdata/tags/concat-tags-between.mp3")
	if err != nil || len(r.HeaderFrames) != 2 || len(r.Problems) != 0 || len(r.Tags) != 4 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, s := range append(r.HeaderFrames, r.Problems...) {
		if at := b[s.Offset:]; !bytes.HasPrefix(at, []byte{0xFF, 0xFB}) {
			t.Errorf("%v: there stands % x", s, at[:4])
		}
	}
	for _, tag := range r.Tags {
		if at := b[tag.Offset:]; !bytes.HasPrefix(at, []byte("ID3")) && !bytes.HasPrefix(at, []byte("TAG")) {
			t.Errorf("%v: there stands %q", tag, at[:4])
		}
	}
	r, err = Scan(t.Context(), "../testdata/tags/only-tags.mp3", Info{}, true)
	if !errors.Is(err, ErrNoAudio) || r.Frames != 0 || len(r.Tags) != 3 || r.Info.Title != "No Music" {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestShrinks cuts a file while it is read: the track ends there, and says why.
func TestShrinks(t *testing.T) {
	sound, err := os.ReadFile("../testdata/demo/01-pebbles-on-the-quay.mp3")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "a.mp3")
	if err := os.WriteFile(name, sound, 0o644); err != nil {
		t.Fatal(err)
	}
	tr, err := Open(t.Context(), name, Info{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if err := os.Truncate(name, 200_000); err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; err == nil; n++ {
		_, err = tr.Next()
	}
	if err == io.EOF || !strings.Contains(err.Error(), "it became shorter while it was read: 200000 bytes of 456526 are left") || n < 100 {
		t.Errorf("%d frames and %v", n, err)
	}
}

// FuzzTags holds that no tag makes trouble and that what comes out can go on the
// air.
func FuzzTags(f *testing.F) {
	for _, seed := range []string{
		"ID3\x03\x00\x00\x00\x00\x00\x10TIT2\x00\x00\x00\x06\x00\x00\x00Title",
		"ID3\x04\x00\x80\x00\x00\x00\x10TPE1\x00\x00\x00\x06\x00\x03\x01\xff\xfea\x00",
		"ID3\x02\x00\x00\x00\x00\x00\x0cTT2\x00\x00\x06\x00Title",
		fmt.Sprintf("xTAG%-30s%-30s%-65s", "Title", "Artist", "Album"),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got := readTags(bytes.NewReader(in))
		for _, s := range []string{got.Artist, got.Title, got.Album} {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || s != Clean(s) {
				t.Fatalf("%q", s)
			}
		}
	})
}
