package playlist

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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
		{input: "order.pls", want: []string{
			"sub dir/#1 hit.mp3 | Café | First | 0s",
			"../mp3/vbr-44100-joint.mp3 | Nordlys | Second | 1s",
			"sub dir/inner.mp3 |  | The Last | 0s",
		}},
		{input: "tracks.xspf", want: []string{
			"sub dir/inner.mp3 | The Quiet Harbour | Ebb & Flow | 235ms",
			"sub dir/#1 hit.mp3",
			"sub dir/cœur brisé.mp3 |  | Second choice | 0s",
		}},
		{input: "disc.cue", want: []string{
			"../mp3/cbr128-44100-joint.mp3 | The Quiet Harbour | Low Tide | 173.333333ms",
			"../mp3/cbr128-44100-joint.mp3 | Nordlys | High Tide | 120ms",
			"../mp3/cbr128-44100-joint.mp3 | The Quiet Harbour | Slack Water | 0s",
		}},
		{
			input: "mended.m3u",
			want: []string{
				"sub dir/inner.mp3 | Mended | Backslashes | 1s",
				"sub dir/#1 hit.mp3 | Mended | Percent signs | 1s",
				"sub dir/cœur brisé.mp3 | Mended | All of it | 1s",
			},
			errs: []string{
				"mended.m3u: line 8: a path of a Windows drive, which is not here",
				"mended.m3u: line 9: a path of a Windows drive, which is not here",
				"mended.m3u: line 10: smb:// is not a way icepush reads",
			},
		},
		{input: "utf16.m3u", want: []string{"sub dir/cœur brisé.mp3 | Žluťoučký kůň | Příliš | 1s"}},
		{input: "parts.m3u", want: []string{
			"../mp3/cbr128-44100-joint.mp3 | Nordlys | From the middle | 1s",
			`../mp3/vbr-44100-joint.mp3 | Duo "Farol" | Cue points, with commas | 0s`,
			"sub dir/inner.mp3",
		}},
		{input: "nested.m3u", errs: []string{"nested.m3u: contains itself"}},
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
		"order.pls": 3, "tracks.xspf": 3, "disc.cue": 3, "mended.m3u": 3, "utf16.m3u": 1, "parts.m3u": 3, "nested.m3u": 17,
	} {
		if got := (&Playlist{Inputs: []string{"../testdata/playlist/" + name}}).Len(); got != want {
			t.Errorf("%s: %d songs, want %d", name, got, want)
		}
	}
}

// TestRefused shows the sentence for what is no list of songs.
func TestRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, map[string]string{
		"hls.m3u8":  "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\na.ts\n",
		"html.m3u":  "\n<!DOCTYPE html>\n<p>moved</p>\n",
		"sound.m3u": "ID3\x03\x00\x00\x00\n\x00\xff\xfb\n",
		"self.m3u":  "./self.m3u\n",
		"long.m3u":  "a.mp3\n" + strings.Repeat("x", maxLine+1) + "\nb.mp3\n",
		"list.asx":  "<asx/>\n",
		"rand.m3u":  "\x7fELF\x02\x01\n",
		"late.m3u":  "a.mp3\n" + strings.Repeat("#\n", 1024) + "b\x00.mp3\nc.mp3\n",
		"ctrl.m3u":  "a\x1b[1m.mp3\nb.mp3\n",
		"text.pls":  "a.mp3\n",
		"text.xspf": "a.mp3\n",
		"html.xspf": "<!DOCTYPE html>\n<html/>\n",
		"text.cue":  "a.mp3\n",
		"web.m3u":   "http://user:secret@example.org/a.M3U8?x=1\n",
		"smb.m3u":   "smb://user:secret@nas/a.mp3\n",
		"far.m3u":   "file://nas/a.mp3\n",
		"drive.m3u": "C:\\a.mp3\n",
	})
	for name, want := range map[string]string{
		"hls.m3u8":  "hls.m3u8: this is an HLS playlist, which lists pieces of one stream, not songs",
		"html.m3u":  "html.m3u: line 2: this is HTML or XML, not a playlist",
		"sound.m3u": "sound.m3u: this is audio, not a playlist",
		"self.m3u":  "self.m3u: contains itself",
		"long.m3u":  "long.m3u: line 2: a name is longer than 65536 bytes",
		"list.asx":  "list.asx: this kind of playlist is not read; write it as M3U",
		"rand.m3u":  "rand.m3u: this is no text, not a playlist",
		"late.m3u":  "late.m3u: line 1026: this is no text, so no playlist",
		"ctrl.m3u":  `ctrl.m3u: line 1: there are control characters in the name "a\x1b[1m.mp3"`,
		"text.pls":  "text.pls: there is no [playlist] in it, so it is no PLS list",
		"text.xspf": "text.xspf: there is no <playlist> in it, so it is no XSPF playlist",
		"html.xspf": "html.xspf: line 2: this is <html>, not an XSPF playlist",
		"text.cue":  "text.cue: there is no FILE in it, so it is no CUE sheet",
		"web.m3u":   "web.m3u: line 1: example.org/a.M3U8: a playlist on the web: download it first",
		"smb.m3u":   "smb.m3u: line 1: smb:// is not a way icepush reads",
		"far.m3u":   "far.m3u: line 1: a file:// URL of another machine, which icepush cannot read",
		"drive.m3u": "drive.m3u: line 1: a path of a Windows drive, which is not here",
	} {
		list := &Playlist{Inputs: []string{name}}
		got, errs := entries(list)
		if len(errs) != 1 || errs[0] != want {
			t.Errorf("%s: errors %q, want %q", name, errs, want)
		}
		// What is in front of the fault and behind it is played.
		if n := map[string]int{"long.m3u": 2, "late.m3u": 1, "ctrl.m3u": 1}[name]; len(got) != n || list.Len() != n {
			t.Errorf("%s: entries %q, Len %d, want %d", name, got, list.Len(), n)
		}
	}
}

// TestNested expands what lies in a list: lists of each kind, folders, a loop.
func TestNested(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, map[string]string{
		"all.m3u":          "sub/a.PLS\nsub/b.xspf\nsub\\c.cue\nmusic/\nno ending\nnamed.mp3\nsub/loop.m3u8\ngone.m3u\nhttps://example.org/x\nlast.mp3",
		"sub/a.PLS":        "[playlist]\nFile1=a.mp3\n",
		"sub/b.xspf":       "<playlist><trackList><track><location>b%201.mp3</location></track></trackList></playlist>",
		"sub/c.cue":        "FILE c.mp3 MP3\nTRACK 01 AUDIO\nINDEX 01 00:00:00\nTRACK 02 AUDIO\nINDEX 01 01:00:00\n",
		"sub/loop.m3u8":    "../all.m3u\n",
		"music/2.ogg":      "",
		"music/list.m3u":   "not followed.mp3\n",
		"no ending/10.mp3": "",
		"no ending/9.flac": "",
		"named.mp3/in.mp3": "",
	})
	want := []string{
		"sub/a.mp3", "sub/b 1.mp3", "sub/c.mp3", "sub/c.mp3", "music/2.ogg", "no ending/9.flac", "no ending/10.mp3", "named.mp3/in.mp3",
		"https://example.org/x", "last.mp3",
	}
	list := &Playlist{Inputs: []string{"all.m3u"}}
	got, errs := entries(list)
	for i, line := range got {
		got[i], _, _ = strings.Cut(line, " | ")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := []string{"all.m3u: contains itself", "gone.m3u: no such file or directory"}; !slices.Equal(errs, want) {
		t.Errorf("errors %q, want %q", errs, want)
	}
	if n := list.Len(); n != len(want) {
		t.Errorf("Len is %d, want %d", n, len(want))
	}
}

// TestRemoteInput plays a URL that is named as an input.
func TestRemoteInput(t *testing.T) {
	got, errs := entries(&Playlist{Inputs: []string{"HTTP://example.org/a.mp3", "http://u:secret@example.org/a.pls"}})
	if len(got) != 1 || got[0] != "HTTP://example.org/a.mp3" {
		t.Errorf("got %q", got)
	}
	if len(errs) != 1 || errs[0] != "example.org/a.pls: a playlist on the web: download it first" {
		t.Errorf("errors %q", errs)
	}
}

// write makes files in the working folder.
func write(t *testing.T, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
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
