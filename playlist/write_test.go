package playlist

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// songs are entries that are not easy to write.
var songs = []Entry{
	{Path: "a b.mp3"},
	{Path: "#1.mp3", Title: "T"},
	{Path: " b.mp3", Artist: "A", Title: "T - U", Duration: 90500 * time.Millisecond},
	{Path: "annotate:a=\"b\":c.mp3", Artist: "A - B", Title: "C"},
	{Path: "replaygain:a.mp3", Title: "C - D", Album: "E"},
	{Path: "caf\xe9.mp3", Artist: "only"},
	{Path: "http://x/a?b#c", Title: "two\r\nlines\t", Start: 1, Stop: 12345678901},
}

func TestWriteM3U(t *testing.T) {
	var b strings.Builder
	if err := WriteM3U(&b, slices.Values(songs)); err != nil {
		t.Fatal(err)
	}
	want := `#EXTM3U
a b.mp3
#EXTINF:-1,T
./#1.mp3
#EXTINF:90.5,A - T - U
./ b.mp3
#EXTINF:-1,A - B - C
#EXTART:A - B
./annotate:a="b":c.mp3
#EXTINF:-1,C - D
#EXTART:
#EXTALB:E
./replaygain:a.mp3
#EXTINF:-1,
#EXTART:only
` + "caf\xe9.mp3" + `
#EXTINF:-1,two  lines
#EXTVLCOPT:start-time=0.000000001
#EXTVLCOPT:stop-time=12.345678901
http://x/a?b#c
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	for i, line := range show(ReadM3U(strings.NewReader(want), "x")) {
		e := songs[i]
		e.Path, _ = writable(e.Path)
		e.Title = clean(e.Title)
		if w := show(values([]Entry{e})); w[0] != line {
			t.Errorf("reads back as %q, want %q", line, w[0])
		}
	}
}

func TestWritePLS(t *testing.T) {
	var b strings.Builder
	if err := WritePLS(&b, slices.Values(songs[1:4])); err != nil {
		t.Fatal(err)
	}
	want := `[playlist]
File1=./#1.mp3
Title1=T
Length1=-1
File2=./ b.mp3
Title2=A - T - U
Length2=91
File3=./annotate:a="b":c.mp3
Title3=A - B - C
Length3=-1
NumberOfEntries=3
Version=2
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// TestUnwritable refuses what would read back as something else.
func TestUnwritable(t *testing.T) {
	for path, want := range map[string]string{
		"":                               "an entry without a path",
		"a\nb.mp3":                       `"a\nb.mp3": a name with control characters cannot stand in a list`,
		"b.mp3 ":                         `"b.mp3 ": a name that ends in a blank cannot stand in a list`,
		strings.Repeat("x", maxLine+1):   "a name of 65537 bytes cannot stand in a list",
		"\u2003/srv/a.mp3":               "",
		"/srv/" + strings.Repeat("x", 9): "",
	} {
		for _, write := range []error{WriteM3U(io.Discard, slices.Values([]Entry{{Path: path}})), WritePLS(io.Discard, slices.Values([]Entry{{Path: path}}))} {
			if got := errorText(write); got != want {
				t.Errorf("%.20q: %q, want %q", path, got, want)
			}
		}
	}
	full := errors.New("the disk is full")
	if err := WriteM3U(iotest.TruncateWriter(failing{full}, 9), slices.Values(songs)); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
