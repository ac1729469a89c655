package playlist

import (
	"os"
	"strings"
	"testing"
)

// TestMends finds files whose names have been changed on their way into a list.
func TestMends(t *testing.T) {
	for _, test := range []struct {
		name, file string // on the disk, "" for none
		written    string // in list/x.m3u
		path       string
		mended     string
		err        string
	}{
		{"as written", "list/a b.mp3", "a b.mp3", "list/a b.mp3", "", ""},
		{"above the list", "a.mp3", "../a.mp3", "a.mp3", "", ""},
		{"missing", "", "a%20b.mp3", "list/a%20b.mp3", "", ""},
		{"percent signs", "list/a b.mp3", "a%20b.mp3", "list/a b.mp3", "percent-decoded", ""},
		{"percent signs in the name", "list/a%20b.mp3", "a%20b.mp3", "list/a%20b.mp3", "", ""},
		{"no percent code", "list/100%.mp3", "100%.mp3", "list/100%.mp3", "", ""},
		{"backslashes", "list/sub/a.mp3", `sub\a.mp3`, "list/sub/a.mp3", "backslashes as slashes", ""},
		{"a backslash in the name", `list/AC\DC.mp3`, `AC\DC.mp3`, `list/AC\DC.mp3`, "", ""},
		{"Windows-1252", "list/é€.mp3", "\xe9\x80.mp3", "list/é€.mp3", "Windows-1252", ""},
		{"the very bytes", "list/\xe9.mp3", "\xe9.mp3", "list/\xe9.mp3", "", ""},
		{"NFC", "list/\u00e9.mp3", "e\u0301.mp3", "list/\u00e9.mp3", "Unicode NFC", ""},
		{"NFD", "list/e\u0301.mp3", "\u00e9.mp3", "list/e\u0301.mp3", "Unicode NFD", ""},
		{"three of them", "list/sub/e\u0301 x.mp3", `sub\%C3%A9%20x.mp3`, "list/sub/e\u0301 x.mp3", "percent-decoded, backslashes as slashes, Unicode NFD", ""},
		{"percent signs of Windows-1252", "list/é.mp3", "%E9.mp3", "list/é.mp3", "percent-decoded, Windows-1252", ""},
		{"missing, of Windows", "", "sub\\\xe9.mp3", "list/sub/é.mp3", "", ""},
		{"file URL", "/x y.mp3", "file://{tmp}/x%20y.mp3", "{tmp}/x y.mp3", "", ""},
		{"file URL of this machine", "/x y.mp3", "FILE://LOCALHOST{tmp}/x%20y.mp3", "{tmp}/x y.mp3", "", ""},
		{"short file URL", "/x y.mp3", "file:{tmp}/x%20y.mp3", "{tmp}/x y.mp3", "", ""},
		{"file URL as it is", "/x%20y.mp3", "file://{tmp}/x%20y.mp3", "{tmp}/x%20y.mp3", "not percent-decoded", ""},
		{"missing file URL", "", "file:///srv/%C3%A9.mp3", "/srv/é.mp3", "", ""},
		{"file URL of Windows", "", "file:///C:/x.mp3", "", "", "a path of a Windows drive, which is not here"},
		{"drive", "", `C:\x.mp3`, "", "", "a path of a Windows drive, which is not here"},
		{"drive and slash", "", `D:/x.mp3`, "", "", "a path of a Windows drive, which is not here"},
		{"share", "", `\\server\x.mp3`, "", "", "a path of a Windows drive, which is not here"},
		{"root", "", `\x.mp3`, "", "", "a path of a Windows drive, which is not here"},
		{"like a drive", `list/C:\x.mp3`, `C:\x.mp3`, `list/C:\x.mp3`, "", ""},
		{"URL", "", "HTTPS://x/a%20b.mp3", "HTTPS://x/a%20b.mp3", "", ""},
		{"other URL", "", "ftp://x/a.mp3", "", "", "ftp:// is not a way icepush reads"},
		{"a colon", "", "mailto:x.mp3", "list/mailto:x.mp3", "", ""},
		{"gain", "list/a.mp3", "replaygain:lufs_track_gain:a.mp3", "list/a.mp3", "", ""},
		{"gain in the name", "list/replaygain:a.mp3", "replaygain:a.mp3", "list/replaygain:a.mp3", "", ""},
		{"gain of a URL", "", "replaygain:http://x/a.mp3", "http://x/a.mp3", "", ""},
		{"home", "", "~/a.mp3", "list/~/a.mp3", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			tmp, err := os.Getwd()
			if err != nil {
				t.Fatal(err)
			}
			here := func(s string) string { return strings.ReplaceAll(s, "{tmp}", tmp) }
			write(t, map[string]string{"list/x.m3u": "\n" + here(test.written) + "\n"})
			if test.file != "" {
				write(t, map[string]string{strings.TrimPrefix(test.file, "/"): ""})
			}
			n := 0
			for e, err := range (&Playlist{Inputs: []string{"list/x.m3u"}}).Pass(0) {
				n++
				switch {
				case test.err != "":
					if err == nil || err.Error() != "list/x.m3u: line 2: "+test.err {
						t.Errorf("%+v, %v, want %q", e, err, test.err)
					}
				case err != nil || e.Path != here(test.path) || e.Mended != test.mended:
					t.Errorf("%q, mended %q, %v, want %q, %q", e.Path, e.Mended, err, here(test.path), test.mended)
				case e.Remote() != strings.Contains(test.path, "://"):
					t.Error("Remote is wrong")
				}
			}
			if n != 1 {
				t.Errorf("%d entries", n)
			}
		})
	}
}

// TestAlternatives takes the first location of a track that is there.
func TestAlternatives(t *testing.T) {
	t.Chdir(t.TempDir())
	track := func(locations ...string) string {
		return "<track><location>" + strings.Join(locations, "</location><location>") + "</location></track>"
	}
	write(t, map[string]string{
		"b c.mp3": "", "d%20e.mp3": "",
		"x.xspf": "<playlist><trackList>" + track("a.mp3", "b%20c.mp3", "http://x/") + track("a.mp3", "http://x/a") + track("smb://x", "a%20a.mp3") + track("d%20e.mp3") + track("smb://x", `C:\a`) + "</trackList></playlist>",
	})
	got, errs := entries(&Playlist{Inputs: []string{"x.xspf"}})
	if g := strings.Join(got, ", "); g != "b c.mp3, http://x/a, a a.mp3, d%20e.mp3" {
		t.Errorf("got %q", g)
	}
	if len(errs) != 1 || errs[0] != "x.xspf: line 1: smb:// is not a way icepush reads" {
		t.Errorf("errors %q", errs)
	}
}
