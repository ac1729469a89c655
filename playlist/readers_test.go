package playlist

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/text/encoding/unicode"
)

// show writes what a reader says, an entry or error a line. What an entry does not say is
// left out.
func show(seq iter.Seq2[Entry, error]) (out []string) {
	for e, err := range seq {
		if err != nil {
			out = append(out, "error: "+err.Error())
			continue
		}
		line := e.Path
		for _, field := range []struct{ name, value string }{
			{"artist", e.Artist},
			{"title", e.Title},
			{"album", e.Album},
			{"for", times(e.Duration)},
			{"from", times(e.Start)},
			{"to", times(e.Stop)},
			{"or", strings.Join(e.others, ", ")},
		} {
			if field.value != "" {
				line += " | " + field.name + " " + field.value
			}
		}
		out = append(out, line)
	}
	return out
}

func times(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

type readerTest struct {
	name string
	text string
	want []string
}

// testReader compares what a reader yields, also when the text comes byte by byte.
func testReader(t *testing.T, read func(io.Reader, string) iter.Seq2[Entry, error], tests []readerTest) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"at once":             strings.NewReader(test.text),
				"byte by byte":        iotest.OneByteReader(strings.NewReader(test.text)),
				"the end with a byte": iotest.DataErrReader(strings.NewReader(test.text)),
			} {
				if got := show(read(r, "x")); !slices.Equal(got, test.want) {
					t.Errorf("%s: got\n%s\nwant\n%s", how, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
				}
			}
		})
	}
}

// inUTF16 returns text as Windows' Notepad writes it as "Unicode".
func inUTF16(t *testing.T, text string, order unicode.Endianness) string {
	out, err := unicode.UTF16(order, unicode.UseBOM).NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestReadM3U(t *testing.T) {
	long := strings.Repeat("x", 3*maxLine)
	testReader(t, ReadM3U, []readerTest{
		{"nothing", "", nil},
		{"a header", "#EXTM3U\n", nil},
		{"line ends", "a.mp3\nb.mp3\r\nc.mp3\rd.mp3\n\r\r\n\ne.mp3", []string{"a.mp3", "b.mp3", "c.mp3", "d.mp3", "e.mp3"}},
		{"blanks round lines", " \t#EXTINF:3,T \n\ta b.mp3 \n", []string{"a b.mp3 | title T | for 3s"}},
		{"the end of a text of MS-DOS", "a.mp3\r\n\x1A", []string{"a.mp3"}},
		{"UTF-8 with a mark", "\xEF\xBB\xBF#EXTINF:1,é\né.mp3", []string{"é.mp3 | title é | for 1s"}},
		{"UTF-16LE", inUTF16(t, "#EXTINF:1,Č\n☃.mp3\n", unicode.LittleEndian), []string{"☃.mp3 | title Č | for 1s"}},
		{"UTF-16BE", inUTF16(t, "#EXTINF:1,Č\n☃.mp3\n", unicode.BigEndian), []string{"☃.mp3 | title Č | for 1s"}},
		{"Windows-1252", "#EXTINF:1,Caf\xe9 \x80\ncaf\xe9.mp3\n", []string{"caf\xe9.mp3 | title Café € | for 1s"}},
		{"a quoted comma", `#EXTINF:7 tvg-id="x" title="a,b",Artist - Title` + "\na.mp3", []string{"a.mp3 | artist Artist | title Title | for 7s"}},
		{"an open quote", `#EXTINF:7 x="a,Artist - Title` + "\na.mp3", []string{"a.mp3 | artist Artist | title Title | for 7s"}},
		{"hyphens", "#EXTINF:1,Jay-Z - 99-Problems - Live\na.mp3", []string{"a.mp3 | artist Jay-Z | title 99-Problems - Live | for 1s"}},
		{"lengths", "#EXTINF:1.25,\na\n#EXTINF:-1,\nb\n#EXTINF:x,\nc\n#EXTINF:99999999999999999999,\nd\n#EXTINF:1m2,\ne\n#EXTINF\nf", []string{"a | for 1.25s", "b", "c", "d", "e", "f"}},
		{"comments keep what was said", "#EXTINF:1,T\n#EXTGRP:g\n# c\n\na.mp3\nb.mp3", []string{"a.mp3 | title T | for 1s", "b.mp3"}},
		{"small letters", "#extinf:1,T\na.mp3", []string{"a.mp3 | title T | for 1s"}},
		{
			"artist and album of the list", "#EXTM3U\n#PLAYLIST:P\n#EXTART:A\n#EXTALB:B\na\n#EXTALB:C\n#EXTINF:1,X - Y\nb\n#EXTINF:,Z\nc",
			[]string{"a | artist A | album B", "b | artist X | title Y | album C | for 1s", "c | artist A | title Z | album B"},
		},
		{
			"artist of an entry", "a\n#EXTART:A - B\n#EXTINF:1,A - B - C\nb\n#EXTINF:1,X - Y\n#EXTART:\nc\n#EXTINF:1,T\n#EXTART:A\nd",
			[]string{"a", "b | artist A - B | title C | for 1s", "c | title X - Y | for 1s", "d | artist A | title T | for 1s"},
		},
		{
			"a part", "#EXTVLCOPT:start-time=1.5\n#EXTVLCOPT:stop-time=61\n#EXTVLCOPT:network-caching=1\na\n#EXTVLCOPT:start-time=9\n#EXTVLCOPT:stop-time=3\nb",
			[]string{"a | from 1.5s | to 1m1s", "b | from 9s"},
		},
		{
			"annotate", `annotate:title="A \"B\", \u00e9:c",artist="X - Y",album="Z",liq_cue_in="1.5",liq_cue_out=2.5,jingle_mode="true":sub/a:b.mp3`,
			[]string{`sub/a:b.mp3 | artist X - Y | title A "B", é:c | album Z | from 1.5s | to 2.5s`},
		},
		{"annotate behind a gain", `replaygain:annotate:title="T":lufs_track_gain:a.mp3`, []string{"lufs_track_gain:a.mp3 | title T"}},
		{"annotate and EXTINF", "#EXTINF:3,A - B\nannotate:title=\"T\":a.mp3", []string{"a.mp3 | artist A | title T | for 3s"}},
		{"no annotate", "annotate:a.mp3\nannotate:a=\"b:c.mp3\nannotate:a=\"b\":\nannotate:", []string{"annotate:a.mp3", "annotate:a=\"b:c.mp3", "annotate:a=\"b\":", "annotate:"}},
		{"a long title", "#EXTINF:1," + long + "\na\n#" + long + "\nb", []string{"a | title " + long[:maxText] + " | for 1s", "b"}},
		{"a long name", "#EXTINF:1,T\n" + long + "\nb", []string{"error: x: line 2: a name is longer than 65536 bytes", "b"}},
		{"a small sign later on", "a\n<b>.mp3\n", []string{"a", "<b>.mp3"}},
	})
}

// TestLongLetter cuts a long line between letters.
func TestLongLetter(t *testing.T) {
	for i := range 4 {
		for e, err := range ReadM3U(strings.NewReader("#EXTINF:1,"+strings.Repeat("x", i)+strings.Repeat("€", maxLine)+"\na\n"), "x") {
			if err != nil || strings.Trim(e.Title, "x€") != "" {
				t.Errorf("%v, %q", err, e.Title[len(e.Title)-9:])
			}
		}
	}
}

// TestReadFails tells why a list could not be read to its end.
func TestReadFails(t *testing.T) {
	for ending, text := range map[string]string{".m3u": "#", ".pls": "[playlist]", ".xspf": "<playlist>", ".cue": "REM"} {
		r := io.MultiReader(strings.NewReader(text), iotest.ErrReader(errors.New("the disk is wet")))
		if got := show(readers[ending](r, "x")); !slices.Equal(got, []string{"error: x: the disk is wet"}) {
			t.Errorf("%s: %q", ending, got)
		}
	}
}

func TestReadPLS(t *testing.T) {
	testReader(t, ReadPLS, []readerTest{
		{"nothing", "", nil},
		{"an empty list", "[playlist]\nNumberOfEntries=0\n", nil},
		{"all of it", "[playlist]\nFile1=a b.mp3\nTitle1=A - B - C\nLength1=12\nNumberOfEntries=1\nVersion=2", []string{"a b.mp3 | artist A | title B - C | for 12s"}},
		{"any case, blanks", " [PlayList]\nFILE1 = a.mp3 \ntitle1= T\n", []string{"a.mp3 | title T"}},
		{"order by number", "[playlist]\nFile10=c\nFile2=b\nFile1=a\nTitle10=C\n", []string{"a", "b", "c | title C"}},
		{"titles behind all files", "[playlist]\nFile1=a\nFile2=b\nTitle1=A\nTitle2=B\n", []string{"a | title A", "b | title B"}},
		{"gaps, no file", "[playlist]\nFile0=z\nFile3=a\nTitle4=T\nFile5=\nFile7=b\n", []string{"z", "a", "b"}},
		{"the last word counts", "[playlist]\nFile1=a\nFile1=b\n", []string{"b"}},
		{"comments", "; c\n# c\n[playlist]\nFile1=Track #1; live.mp3\n;File2=x\n", []string{"Track #1; live.mp3"}},
		{"signs in a title", "[playlist]\nFile1=a?b=c\nTitle1=x = y # z\n", []string{"a?b=c | title x = y # z"}},
		{"Windows-1252", "[playlist]\nFile1=\xc9t\xe9.mp3\nTitle1=\xc9t\xe9\n", []string{"\xc9t\xe9.mp3 | title Été"}},
		{"a mark", "\xEF\xBB\xBF[playlist]\r\nFile1=a\r\n", []string{"a"}},
		{"UTF-16", inUTF16(t, "[playlist]\nFile1=☃\n", unicode.BigEndian), []string{"☃"}},
		{"no header", "File1=a\n", []string{"a"}},
		{"other keys", "[playlist]\nX-Unknown=1\nFile=b\nFilex1=c\nFile-1=d\nFile1=a\n[other]\n", []string{"a"}},
		{"a high number", "[playlist]\nFile1000001=a\nFile1000000=b\n", []string{"error: x: line 2: 1000001 is too high for the number of an entry", "b"}},
		{"a long name", "[playlist]\nFile1=" + strings.Repeat("x", maxLine) + "\nFile2=b\n", []string{"error: x: line 2: a name is longer than 65536 bytes", "b"}},
	})
}

// TestLongPLS holds a list that is out of order as far as that goes, and any other not.
func TestLongPLS(t *testing.T) {
	var up, down strings.Builder
	for i := range maxPLSHeld + 2 {
		fmt.Fprintf(&up, "File%d=a\n", i)
		fmt.Fprintf(&down, "File%d=a\n", maxPLSHeld+1-i)
	}
	if got := show(ReadPLS(strings.NewReader(up.String()), "x")); len(got) != maxPLSHeld+2 {
		t.Errorf("%d entries", len(got))
	}
	got := show(ReadPLS(strings.NewReader(down.String()), "x"))
	if last := got[len(got)-1]; len(got) != maxPLSHeld+2 || last != "error: x: line 100001: the list is too long to be put in order; what follows is left out" {
		t.Errorf("%d entries, then %q", len(got), last)
	}
}

func TestReadXSPF(t *testing.T) {
	head := `<?xml version="1.0" encoding="UTF-8"?><playlist version="1" xmlns="http://xspf.org/ns/0/"><title>List</title><trackList>`
	tail := "</trackList></playlist>"
	testReader(t, ReadXSPF, []readerTest{
		{"nothing", "", nil},
		{"an empty list", head + tail, nil},
		{
			"all of it", head + "<track><location> a.mp3\n</location><title>T &amp; <![CDATA[<U>]]></title><creator>C</creator><album>A</album><duration>1500</duration></track>" + tail,
			[]string{"a.mp3 | artist C | title T & <U> | album A | for 1.5s"},
		},
		{"no creator", head + "<track><location>a.mp3</location><title>A - B</title></track>" + tail, []string{"a.mp3 | artist A | title B"}},
		{"percent signs", head + "<track><location>a%20b%2B+.mp3</location></track>" + tail, []string{"a b++.mp3 | or a%20b%2B+.mp3"}},
		{"a sign no name has", head + "<track><location>a%00%0A.mp3</location></track>" + tail, []string{"a%00%0A.mp3"}},
		{"a URL in disguise", head + "<track><location>http%3A//x</location></track>" + tail, []string{"http%3A//x"}},
		{"URLs", head + "<track><location>http://x/a%20b?c</location></track><track><location>file:///a%20b</location></track>" + tail, []string{"http://x/a%20b?c", "file:///a%20b"}},
		{"alternatives", head + "<track><location>a</location><location>b</location></track>" + tail, []string{"a | or b"}},
		{"no location", head + "\n<track><title>T</title></track><track><location/></track>\n<track><location>b</location></track>" + tail, []string{"error: x: line 2: a track without a location", "error: x: line 2: a track without a location", "b"}},
		{"no namespace", "<playlist><trackList><track><location>a</location></track></trackList></playlist>", []string{"a"}},
		{
			"foreign elements", `<x:playlist xmlns:x="http://xspf.org/ns/0/" xmlns:y="http://example.org/"><x:trackList><y:track><y:location>n</y:location></y:track>` +
				`<x:track><x:location>a</x:location><x:extension><x:location>n</x:location></x:extension><y:location>n</y:location></x:track></x:trackList></x:playlist>`,
			[]string{"a"},
		},
		{
			"bases", `<playlist xml:base="http://x/y/z"><trackList xml:base="w/"><track><location>a</location></track><track><location>/b</location></track>` +
				`<track xml:base="file:///srv/"><location>c</location></track></trackList></playlist>`,
			[]string{"http://x/y/w/a", "http://x/b", "file:///srv/c"},
		},
		{"a base that is a host", `<playlist xml:base="http://x"><trackList><track><location>a</location></track></trackList></playlist>`, []string{"http://x/a"}},
		{"Latin-1", `<?xml version="1.0" encoding="ISO-8859-1"?>` + "<playlist><trackList><track><location>a</location><title>\xfc</title></track>" + tail, []string{"a | title ü"}},
		{"UTF-16", inUTF16(t, `<?xml version="1.0" encoding="UTF-16"?><playlist><trackList><track><location>☃</location></track>`+tail, unicode.LittleEndian), []string{"☃"}},
		{"an unknown character set", `<?xml version="1.0" encoding="x"?><playlist/>`, []string{`error: x: xml: opening charset "x": the character set "x" is not known`}},
		{"cut short", head + "<track><location>a</location></track>\n<track><location>b</loc", []string{"a", "error: x: line 2: the list is cut short here"}},
		{"an ampersand by itself", head + "<track><location>a</location><title>R&B</title></track>" + tail, []string{"a | title R&B"}},
		{"entities of its own", `<!DOCTYPE p [<!ENTITY a "b"><!ENTITY f SYSTEM "file:///etc/hostname">]>` + head[len(`<?xml version="1.0" encoding="UTF-8"?>`):] + "<track><location>a</location><title>&a;&f;</title></track>" + tail, []string{"a | title &a;&f;"}},
		{"deep", strings.Repeat("<playlist>", maxXMLDepth+1), []string{"error: x: line 1: more than 64 elements lie in each other"}},
		{"a long comment", head + "<!--" + strings.Repeat("-x", maxXMLPiece), []string{"error: x: a piece of it is longer than 1048576 bytes"}},
		{"a long location", head + "<track><location>" + strings.Repeat("x", maxLine+1) + "</location></track><track><location>b</location></track>" + tail, []string{"error: x: line 1: a track without a location", "b"}},
		{"sound", "ID3\x03\x00\x00", []string{"error: x: this is audio, not a playlist"}},
	})
}

func TestReadCUE(t *testing.T) {
	testReader(t, ReadCUE, []readerTest{
		{"nothing", "", nil},
		{
			"all of it", `REM GENRE x
CATALOG 123
PERFORMER "P"
TITLE "Album"
FILE "a b.mp3" MP3
  TRACK 01 AUDIO
    TITLE "One"
    FLAGS DCP
    PREGAP 00:02:00
    INDEX 01 00:00:00
  TRACK 02 AUDIO
    TITLE "Two - and a half"
    PERFORMER "Q"
    ISRC x
    INDEX 00 03:00:00
    INDEX 01 03:02:37
  TRACK 03 AUDIO
    INDEX 01 100:00:74
    INDEX 02 101:00:00
`,
			[]string{
				"a b.mp3 | artist P | title One | album Album | for 3m2.493333333s | to 3m2.493333333s",
				"a b.mp3 | artist Q | title Two - and a half | album Album | for 1h36m58.493333333s | from 3m2.493333333s | to 1h40m0.986666666s",
				"a b.mp3 | artist P | album Album | from 1h40m0.986666666s",
			},
		},
		{
			"several files", "FILE \"1.wav\" WAVE\nTRACK 01 AUDIO\nINDEX 01 00:00:00\nTRACK 02 AUDIO\nINDEX 00 01:00:00\nFILE \"2.wav\" WAVE\nINDEX 01 00:00:00\nTRACK 03 AUDIO\nINDEX 01 00:01:00",
			[]string{"1.wav", "2.wav | for 1s | to 1s", "2.wav | from 1s"},
		},
		{"a file named anew", "FILE a MP3\nTRACK 01 AUDIO\nINDEX 01 00:00:00\nFILE a MP3\nTRACK 02 AUDIO\nINDEX 01 00:02:00", []string{"a | for 2s | to 2s", "a | from 2s"}},
		{"hidden audio in front", "FILE a MP3\nTRACK 01 AUDIO\nINDEX 00 00:00:00\nINDEX 01 00:05:00\n", []string{"a | from 5s"}},
		{"no audio", "FILE a BINARY\nTRACK 01 MODE1/2352\nINDEX 01 00:00:00\nTRACK 02 AUDIO\nINDEX 01 00:01:00\nTRACK 03 MODE1/2352\nINDEX 01 00:02:00\n", []string{"a | for 1s | from 1s | to 2s"}},
		{"quotes and none", "FILE \"a \"b\".mp3\" MP3\nTRACK 1 AUDIO\nTITLE T\nINDEX 1 0:0:0\nFILE a b.ogg\nTRACK 2 AUDIO\nINDEX 01 00:00:00\nFILE c d.mp3 MP3\nTRACK 3 AUDIO\nINDEX 01 00:00:00", []string{`a "b".mp3 | title T`, "a b.ogg", "c d.mp3"}},
		{"small letters, tabs", "file\ta MP3\n\ttrack\t01\taudio\n\t\ttitle\t\"T\"\n\t\tindex\t01\t00:00:00", []string{"a | title T"}},
		{"Windows-1252", "TITLE \"\xdc\"\nFILE \"\xfc.mp3\" MP3\nTRACK 01 AUDIO\nINDEX 01 00:00:00", []string{"\xfc.mp3 | album Ü"}},
		{"a mark", "\xEF\xBB\xBFFILE a MP3\nTRACK 01 AUDIO\nINDEX 01 00:00:00", []string{"a"}},
		{"artist in the title", "FILE a MP3\nTRACK 01 AUDIO\nTITLE \"A - B\"\nINDEX 01 00:00:00", []string{"a | artist A | title B"}},
		{"the title behind the index", "FILE a MP3\nTRACK 01 AUDIO\nINDEX 01 00:00:00\nTITLE T\n", []string{"a | title T"}},
		{"no index", "FILE a MP3\nTRACK 01 AUDIO\nTRACK 02 AUDIO\nINDEX 01 00:00:00", []string{"error: x: line 3: track 01, which begins in line 2, has no INDEX 01", "a"}},
		{"no file", "TRACK 01 AUDIO\nINDEX 01 00:00:00\nFILE a MP3\nTRACK 02 AUDIO\nINDEX 01 00:00:00\n", []string{"error: x: line 2: a track without a file", "a"}},
		{"no time", "FILE a MP3\nTRACK 01 AUDIO\nINDEX 01 00:61:00\n", []string{`error: x: line 3: "00:61:00" is no time like mm:ss:ff`, "error: x: line 3: track 01, which begins in line 2, has no INDEX 01"}},
		{
			"backwards", "FILE a MP3\nTRACK 01 AUDIO\nINDEX 01 00:05:00\nTRACK 02 AUDIO\nINDEX 01 00:02:00\nTRACK 03 AUDIO\nINDEX 01 00:09:00",
			[]string{"error: x: line 5: track 02 does not begin behind the one before", "a | for 4s | from 5s | to 9s", "a | from 9s"},
		},
	})
}
