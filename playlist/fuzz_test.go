package playlist

import (
	"bytes"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// law holds for every text that is read: there are no more entries and errors than
// bytes, each entry has a name, a place and sensible times, and all of it reads back the
// same when it is written.
func law(t *testing.T, text string, read func(io.Reader, string) iter.Seq2[Entry, error]) {
	var got []Entry
	n := 0
	for e, err := range read(strings.NewReader(text), "x") {
		if n++; n > len(text) {
			t.Fatalf("%d entries and errors from %d bytes", n, len(text))
		}
		if err != nil {
			if e.Path != "" || !strings.HasPrefix(err.Error(), "x: ") {
				t.Fatalf("%+v, error %v", e, err)
			}
			continue
		}
		if e.Path == "" || !e.raw || e.list != "x" || e.line < 1 || e.line > n+len(text) {
			t.Fatalf("entry %+v", e)
		}
		if e.Duration < 0 || e.Duration > 100*365*24*time.Hour || e.Start < 0 || e.Stop != 0 && e.Stop <= e.Start {
			t.Fatalf("times of %+v", e)
		}
		if max(len(e.Artist), len(e.Title), len(e.Album)) > maxText || len(e.Path) > 3*maxLine {
			t.Fatal("a text is too long")
		}
		if len(e.others) > 2*maxPlaces {
			t.Fatalf("%d alternatives", len(e.others))
		}
		resolve(e)
		if path, err := writable(e.Path); err == nil {
			e.Path, e.others = path, nil
			got = append(got, e)
		}
	}
	want := show(values(got))
	var m3u, pls, again bytes.Buffer
	if err := WriteM3U(&m3u, slices.Values(got)); err != nil {
		t.Fatal(err)
	}
	if back := show(ReadM3U(&m3u, "x")); !slices.Equal(back, want) {
		t.Fatalf("%q\nreads back as\n%q\nwant\n%q", text, back, want)
	}
	if err := WritePLS(&pls, slices.Values(got)); err != nil {
		t.Fatal(err)
	}
	var back []Entry
	for e, err := range ReadPLS(bytes.NewReader(pls.Bytes()), "x") {
		if err != nil || e.Path != got[len(back)].Path {
			t.Fatalf("%+v, %v, want %+v", e, err, got[len(back)])
		}
		back = append(back, e)
	}
	if err := WritePLS(&again, slices.Values(back)); err != nil || again.String() != pls.String() {
		t.Fatalf("%q\nis written again as\n%q, %v", pls.String(), again.String(), err)
	}
}

// values yields entries as a reader does.
func values(entries []Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func FuzzReadM3U(f *testing.F) {
	f.Add("#EXTM3U\n#EXTINF:12 a=\"b,c\",Artist - Title\nsong.mp3\r\nother.mp3\rlast")
	f.Add("\xEF\xBB\xBFcaf\xe9.mp3\n#EXTINF:-1,x\n#EXTART:y\n#EXTALB:z\na\n")
	f.Add("#EXTVLCOPT:start-time=1.5\nannotate:title=\"a\\\"b\",liq_cue_out=\"2\":x\nreplaygain:y")
	f.Add("\xFF\xFEa\x00\n\x00")
	f.Fuzz(func(t *testing.T, text string) { law(t, text, ReadM3U) })
}

// FuzzReadPLS also holds that a list is the same whether it can be read twice or not.
func FuzzReadPLS(f *testing.F) {
	f.Add("[playlist]\nFile1=a\nTitle1=b - c\nLength1=3\nNumberOfEntries=1\n")
	f.Add("file10=b\r\nFile2 = c\r\ntitle10=\xe9\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		law(t, text, ReadPLS)
		twice := slices.DeleteFunc(show(ReadPLS(strings.NewReader(text), "x")), isError)
		once := slices.DeleteFunc(show(ReadPLS(iotest.HalfReader(strings.NewReader(text)), "x")), isError)
		if !slices.Equal(twice, once) {
			t.Fatalf("%q, and read once %q", twice, once)
		}
	})
}

// isError tells the lines of show that are errors.
func isError(line string) bool { return strings.HasPrefix(line, "error: ") }

func FuzzReadXSPF(f *testing.F) {
	f.Add(`<playlist><trackList><track><location>a%20b</location><title>t</title></track></trackList></playlist>`)
	f.Add(`<?xml version="1.0" encoding="ISO-8859-1"?><x:playlist xmlns:x="http://xspf.org/ns/0/" xml:base="b/"><x:trackList><x:track><x:location>c</x:location><x:creator>&#x2603;</x:creator><x:duration>1</x:duration></x:track>`)
	f.Fuzz(func(t *testing.T, text string) { law(t, text, ReadXSPF) })
}

func FuzzReadCUE(f *testing.F) {
	f.Add("TITLE \"t\"\nFILE \"a.mp3\" MP3\nTRACK 01 AUDIO\nPERFORMER p\nINDEX 01 00:00:00\nTRACK 02 AUDIO\nINDEX 01 01:02:03\n")
	f.Add("FILE a\nTRACK 1 MODE1\nINDEX 1 0:0:0\nFILE b\nINDEX 01 00:00:01")
	f.Fuzz(func(t *testing.T, text string) { law(t, text, ReadCUE) })
}
