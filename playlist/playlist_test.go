package playlist

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// entries returns one pass as "path | artist | title | duration" a line, and the
// errors in it.
func entries(p *Playlist) (lines, errs []string) {
	for e, err := range p.Pass(0) {
		if err != nil {
			errs = append(errs, err.Error())
			continue
		}
		line := filepath.ToSlash(e.Path)
		if e.Title != "" || e.Duration != 0 {
			line = fmt.Sprintf("%s | %s | %s | %v", line, e.Artist, e.Title, e.Duration)
		}
		lines = append(lines, line)
	}
	return lines, errs
}

// TestLists reads the lists of testdata/playlist, whose README says what each is for.
func TestLists(t *testing.T) {
	t.Chdir("../testdata/playlist")
	for _, test := range []struct {
		input string
		want  []string
		errs  []string
	}{
		{input: "plain.m3u", want: []string{"../mp3/cbr128-44100-joint.mp3", "../mp3/vbr-44100-joint.mp3", "../tags/id3v1.mp3", "../mp3/cbr128-44100-joint.mp3"}},
		{input: "extended.m3u", want: []string{
			"../mp3/cbr128-44100-joint.mp3 | The Quiet Harbour | Low Tide | 1s",
			"../mp3/cbr-noinfo-44100-stereo.mp3 | Nordlys | Length not known | 0s",
			"../mp3/vbr-44100-joint.mp3 | Nordlys | Decimals | 418ms",
			"../mp3/crc-44100.mp3 | Duo Farol | Attributes - and a second dash | 1s",
			"../mp3/dual-44100.mp3 |  | Title without an artist | 0s",
			"../mp3/tiny-44100-joint.mp3 |  |  | 2s",
			"../tags/id3v22-pic.mp3 |  | No number | 0s",
			"../tags/id3v24-utf8-multi.mp3",
		}},
		{input: "bom-crlf.m3u8"},
		{input: "latin1.m3u", want: []string{"sub dir/cœur brisé.mp3 |  | Chloé – “L’heure bleue” | 1s", "../tags/id3v11-latin1.mp3 |  | Café Müller – 5 €… | 1s"}},
		{input: "cr-only.m3u"},
		{input: "hash-names.m3u"},
		{input: "spaces.m3u"},
		{input: "relative.m3u"},
		{input: "missing.m3u"},
		{input: "empty.m3u"},
		{input: "folder", want: []string{"folder/Track 1.mp3", "folder/track 2.mp3", "folder/track 10.mp3"}},
		{input: "no such list.m3u", errs: []string{"no such list.m3u: no such file or directory"}},
		{input: "../README.md", want: []string{"../README.md"}}, // what is in it decides later
	} {
		t.Run(test.input, func(t *testing.T) {
			got, errs := entries(&Playlist{Inputs: []string{test.input}})
			if test.want != nil && !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			if !slices.Equal(errs, test.errs) {
				t.Errorf("errors %q, want %q", errs, test.errs)
			}
			missing := 0
			for _, line := range got {
				name, _, _ := strings.Cut(line, " | ")
				if _, err := os.Stat(name); err != nil {
					missing++
				}
			}
			if want := map[string]int{"missing.m3u": 1}[test.input]; missing != want {
				t.Errorf("%d of the files do not exist, want %d: %q", missing, want, got)
			}
		})
	}
}

// TestCounts compares the number of songs with what testdata/README.md says.
func TestCounts(t *testing.T) {
	for name, want := range map[string]int{
		"plain.m3u": 4, "extended.m3u": 8, "bom-crlf.m3u8": 2, "latin1.m3u": 2, "cr-only.m3u": 2, "hash-names.m3u": 2,
		"spaces.m3u": 3, "relative.m3u": 5, "missing.m3u": 3, "mixed-formats.m3u": 6, "empty.m3u": 0, "folder": 3,
	} {
		if got := (&Playlist{Inputs: []string{"../testdata/playlist/" + name}}).Len(); got != want {
			t.Errorf("%s: %d songs, want %d", name, got, want)
		}
	}
}

// TestRefused shows the sentence for what is no list of songs.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{
		"hls.m3u8":  "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\na.ts\n",
		"html.m3u":  "\n<!DOCTYPE html>\n<p>moved</p>\n",
		"sound.m3u": "ID3\x03\x00\x00\x00\n\x00\xff\xfb\n",
		"self.m3u":  "other.m3u\n",
		"other.m3u": "self.m3u\n",
		"long.m3u":  "a.mp3\n" + strings.Repeat("x", maxLine+1) + "\nb.mp3\n",
		"list.pls":  "[playlist]\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"hls.m3u8":  "hls.m3u8: this is an HLS playlist, which lists pieces of one stream, not songs",
		"html.m3u":  "html.m3u: line 2: this is HTML or XML, not a playlist",
		"sound.m3u": "sound.m3u: line 1: this is no text, so no playlist",
		"self.m3u":  "self.m3u: contains itself",
		"long.m3u":  "long.m3u: a line is longer than 1048576 bytes",
		"list.pls":  "list.pls: this kind of playlist is not read yet; write it as M3U",
	} {
		_, errs := entries(&Playlist{Inputs: []string{name}})
		if len(errs) != 1 || errs[0] != want {
			t.Errorf("%s: errors %q, want %q", name, errs, want)
		}
	}
}

// TestFolder reads a tree: natural order, hidden files and others left out, a link
// that leads back told of.
func TestFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"CD 10/1.mp3", "cd 2/b 11.MP3", "cd 2/B 9.mp3", "cd 2/cover.jpg", ".trash/x.mp3", "a.mp3", "B.mp2"} {
		os.MkdirAll(filepath.Dir(name), 0o755)
		os.WriteFile(name, nil, 0o644)
	}
	os.Symlink("..", "cd 2/up")
	got, errs := entries(&Playlist{Inputs: []string{"."}})
	want := []string{"a.mp3", "B.mp2", "cd 2/B 9.mp3", "cd 2/b 11.MP3", "CD 10/1.mp3"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(errs) != 1 || !strings.Contains(errs[0], "contains itself") {
		t.Errorf("errors %q", errs)
	}
}

// TestShuffle shows that a seed gives one order, that passes differ and that every
// song comes once.
func TestShuffle(t *testing.T) {
	list := filepath.Join(t.TempDir(), "list.m3u")
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "%d.mp3\n", i)
	}
	os.WriteFile(list, []byte(b.String()), 0o644)
	pass := func(seed uint64, n int) (out []string) {
		for e := range (&Playlist{Inputs: []string{list}, Shuffle: true, Seed: seed}).Pass(n) {
			out = append(out, e.Path)
		}
		return out
	}
	first := pass(1, 0)
	if !slices.Equal(first, pass(1, 0)) {
		t.Error("the same seed gave another order")
	}
	if slices.Equal(first, pass(1, 1)) || slices.Equal(first, pass(2, 0)) {
		t.Error("another pass or seed gave the same order")
	}
	slices.Sort(first)
	if len(slices.Compact(first)) != 100 {
		t.Error("songs are missing or come twice")
	}
}

// FuzzReadM3U holds that no list makes trouble: every entry has a name and a line of
// its own, and reads back as it was when written by itself.
func FuzzReadM3U(f *testing.F) {
	f.Add("#EXTM3U\n#EXTINF:12 a=\"b,c\",Artist - Title\nsong.mp3\r\nother.mp3\rlast")
	f.Add("\xEF\xBB\xBFcaf\xe9.mp3\n#EXTINF:-1,x\n")
	f.Fuzz(func(t *testing.T, text string) {
		line := 0
		for e, err := range ReadM3U(strings.NewReader(text), "x.m3u") {
			if err != nil {
				continue
			}
			if e.Path == "" || e.line <= line || e.Duration < 0 || e.Duration > 100*365*24*time.Hour {
				t.Fatalf("entry %+v after line %d", e, line)
			}
			line = e.line
			for again, err := range ReadM3U(strings.NewReader("#EXTM3U\n"+e.Path), "x.m3u") {
				if err != nil || again.Path != e.Path {
					t.Fatalf("%q reads as %q, %v", e.Path, again.Path, err)
				}
			}
		}
	})
}
