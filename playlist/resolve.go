package playlist

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// mends are what may have happened to the name of a file on its way into a list, the
// most frequent first.
var mends = []struct {
	name string
	mend func(string) string
}{
	{"percent-decoded", func(s string) string {
		if decoded, err := url.PathUnescape(s); err == nil && !strings.ContainsRune(decoded, 0) {
			return decoded
		}
		return s
	}},
	{"backslashes as slashes", func(s string) string { return strings.ReplaceAll(s, `\`, "/") }},
	{"Windows-1252", toUTF8},
	{"Unicode NFC", ifUTF8(norm.NFC.String)},
	{"Unicode NFD", ifUTF8(norm.NFD.String)},
}

func ifUTF8(mend func(string) string) func(string) string {
	return func(s string) string {
		if utf8.ValidString(s) {
			return mend(s)
		}
		return s
	}
}

// place is where an entry may be.
type place struct {
	path string
	how  string // which mends lead to it
}

// mended returns the forms of a path: as it is written, then with each mend and with
// all of them together that change it.
func mended(path string) []place {
	forms := []place{{path, ""}}
	for _, m := range mends {
		for _, f := range forms { // those there were before this mend
			s := m.mend(f.path)
			if slices.ContainsFunc(forms, func(p place) bool { return p.path == s }) {
				continue
			}
			how := m.name
			if f.how != "" {
				how = f.how + ", " + m.name
			}
			forms = append(forms, place{s, how})
		}
	}
	return forms
}

// plain returns the form of a path that is most likely meant when there is none of them.
func plain(path string) string {
	return toUTF8(strings.ReplaceAll(path, `\`, "/"))
}

// scheme returns the scheme of a URL in small letters, "" for what is none.
func scheme(s string) string {
	name, _, ok := strings.Cut(s, "://")
	if !ok || name == "" || len(name) > 32 {
		return ""
	}
	name = strings.ToLower(name)
	for i, c := range name {
		if !('a' <= c && c <= 'z' || i > 0 && ('0' <= c && c <= '9' || strings.ContainsRune("+.-", c))) {
			return ""
		}
	}
	return name
}

// errDrive says that a path begins where only Windows begins.
var errDrive = errors.New("a path of a Windows drive, which is not here")

// onDrive reports whether a path is C:\x, C:/x, \\server\x or \x.
func onDrive(path string) bool {
	if filepath.IsAbs(path) {
		return false
	}
	if strings.HasPrefix(path, `\`) {
		return true
	}
	return len(path) > 2 && path[1] == ':' && (path[2] == '\\' || path[2] == '/') &&
		('a' <= path[0]|0x20 && path[0]|0x20 <= 'z')
}

// filePath returns the path in a file: URL as it is written there.
func filePath(uri string) (string, error) {
	path := uri[len("file:"):]
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		host, _, _ := strings.Cut(rest, "/")
		if host != "" && !strings.EqualFold(host, "localhost") {
			return "", errors.New("a file:// URL of another machine, which icepush cannot read")
		}
		path = rest[len(host):]
	}
	if onDrive(strings.TrimPrefix(path, "/")) {
		return "", errDrive
	}
	if path == "" {
		return "", errors.New("a file:// URL without a file")
	}
	return path, nil
}

// isFileURL also knows the short form, file:/srv/x.mp3.
func isFileURL(s string) bool {
	return len(s) > 6 && strings.EqualFold(s[:6], "file:/")
}

// isLocal reports whether a path of a list names a place in this machine's files.
func isLocal(path string) bool {
	if isFileURL(path) {
		_, err := filePath(path)
		return err == nil
	}
	return scheme(path) == "" && !onDrive(path)
}

// places returns where a path of a list may be found, the likeliest first, and the path
// to name when it is nowhere. The error is for what cannot be there, unless a file has
// that very name.
func places(folder, written string) (at []place, missing string, err error) {
	in := func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(folder, path)
	}
	if path := cutGains(written); path != written {
		at = append(at, place{in(written), ""})
		written = path
	}
	switch s := scheme(written); {
	case s == "http", s == "https":
		return append(at, place{written, ""}), written, nil
	case isFileURL(written):
		path, err := filePath(written)
		if err != nil {
			return at, "", err
		}
		decoded := mends[0].mend(path)
		for _, f := range mended(decoded) {
			at = append(at, place{in(f.path), f.how})
		}
		if decoded != path {
			at = append(at, place{in(path), "not percent-decoded"})
		}
		return at, in(toUTF8(decoded)), nil
	case s != "":
		return at, "", fmt.Errorf("%s:// is not a way icepush reads", s)
	case onDrive(written):
		return append(at, place{in(written), ""}), "", errDrive
	}
	for _, f := range mended(written) {
		at = append(at, place{in(f.path), f.how})
	}
	return at, in(plain(written)), nil
}

// resolve makes the path of an entry one that can be opened: relative to its list, as it
// is written or else with the first mend that fits. What is nowhere keeps the likeliest
// name. Info is nil for that and for what is remote.
func resolve(e Entry) (found Entry, info fs.FileInfo, err error) {
	if !e.raw {
		info, _ = os.Stat(e.Path)
		return e, info, nil
	}
	found = e
	found.Path, found.raw, found.others = "", false, nil
	for _, written := range append([]string{e.Path}, e.others...) {
		at, missing, wrong := places(filepath.Dir(e.list), written)
		for _, p := range at {
			found.Mended = p.how
			if isRemote(p.path) {
				found.Path = p.path
				return found, nil, remoteList(found)
			}
			if info, err := os.Stat(p.path); err == nil {
				found.Path = p.path
				return found, info, nil
			}
		}
		if err == nil {
			err = wrong
		}
		if found.Path == "" {
			found.Path = missing
		}
	}
	found.Mended = ""
	if found.Path == "" {
		return Entry{}, nil, fmt.Errorf("%s: %w", e.Position(), err)
	}
	return found, nil, nil
}

// mayBe reports whether an entry may stand for a path, without a look at the disk.
func mayBe(e Entry, path string) bool {
	if !e.raw {
		return e.Path == path
	}
	for _, written := range append([]string{e.Path}, e.others...) {
		at, missing, _ := places(filepath.Dir(e.list), written)
		if missing == path || slices.ContainsFunc(at, func(p place) bool { return p.path == path }) {
			return true
		}
	}
	return false
}

// remoteList refuses a list that would have to be fetched first.
func remoteList(e Entry) error {
	u, err := url.Parse(e.Path)
	if err != nil || !isList(u.Path) {
		return nil
	}
	err = fmt.Errorf("%s%s: a playlist on the web: download it first", u.Host, u.Path) // without a password
	if at := e.Position(); at != "" {
		err = fmt.Errorf("%s: %w", at, err)
	}
	return err
}

// isRemote reports whether a path is an http or https URL.
func isRemote(path string) bool {
	s := scheme(path)
	return s == "http" || s == "https"
}
