package playlist

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
	"unicode"
)

// WriteM3U writes an extended M3U list that reads back the same, but for Mended and for
// line ends in a text, which become blanks. Paths are written as they are: to be found
// again, they are to be relative to the folder of the list, or absolute. One that no
// line of a list can hold is an error, and so is one of w.
func WriteM3U(w io.Writer, entries iter.Seq[Entry]) error {
	b := bufio.NewWriter(w)
	b.WriteString("#EXTM3U\n")
	for e := range entries {
		path, err := writable(e.Path)
		if err != nil {
			return err
		}
		e.Artist, e.Title, e.Album = clean(e.Artist), clean(e.Title), clean(e.Album)
		text := joinTitle(e.Artist, e.Title)
		artist, title := splitTitle(text)
		ambiguous := artist != e.Artist || title != e.Title
		if ambiguous && e.Title == "" {
			text = ""
		}
		if e.Duration > 0 || text != "" || e.Album != "" || e.Artwork != "" || ambiguous {
			length := "-1"
			if e.Duration > 0 {
				length = formatSeconds(e.Duration)
			}
			fmt.Fprintf(b, "#EXTINF:%s,%s\n", length, text)
		}
		if ambiguous {
			fmt.Fprintf(b, "#EXTART:%s\n", e.Artist)
		}
		if e.Album != "" {
			fmt.Fprintf(b, "#EXTALB:%s\n", e.Album)
		}
		if isRemote(clean(e.Artwork)) {
			fmt.Fprintf(b, "#EXTIMG:%s\n", clean(e.Artwork))
		}
		if e.Start > 0 {
			fmt.Fprintf(b, "#EXTVLCOPT:start-time=%s\n", formatSeconds(e.Start))
		}
		if e.Stop > 0 {
			fmt.Fprintf(b, "#EXTVLCOPT:stop-time=%s\n", formatSeconds(e.Stop))
		}
		fmt.Fprintln(b, path)
	}
	return b.Flush()
}

// WritePLS writes a PLS list, which holds the paths, titles as "Artist - Title", and
// lengths in whole seconds. What is true of paths in WriteM3U is true here.
func WritePLS(w io.Writer, entries iter.Seq[Entry]) error {
	b := bufio.NewWriter(w)
	b.WriteString("[playlist]\n")
	n := 0
	for e := range entries {
		path, err := writable(e.Path)
		if err != nil {
			return err
		}
		n++
		fmt.Fprintf(b, "File%d=%s\n", n, path)
		// As it will be read again: there is one blank on either side of the hyphen.
		text := joinTitle(splitTitle(clean(joinTitle(clean(e.Artist), clean(e.Title)))))
		if text != "" {
			fmt.Fprintf(b, "Title%d=%s\n", n, text)
		}
		length := int64(-1)
		if e.Duration > 0 {
			length = max(1, int64(e.Duration.Round(time.Second)/time.Second))
		}
		fmt.Fprintf(b, "Length%d=%d\n", n, length)
	}
	fmt.Fprintf(b, "NumberOfEntries=%d\nVersion=2\n", n)
	return b.Flush()
}

// writable returns a path as it can stand in a list.
func writable(path string) (string, error) {
	if path == "" {
		return "", errors.New("an entry without a path")
	}
	// What stands in front of a name may mean something else, but not behind "./".
	if strings.HasPrefix(path, "#") || strings.TrimLeftFunc(path, unicode.IsSpace) != path || cutGains(path) != path || strings.HasPrefix(path, "annotate:") {
		path = "./" + path
	}
	switch {
	case strings.ContainsFunc(path, isControl):
		return "", fmt.Errorf("%q: a name with control characters cannot stand in a list", path)
	case strings.TrimSpace(path) != path:
		return "", fmt.Errorf("%q: a name that ends in a blank cannot stand in a list", path)
	case len(path) > maxLine:
		return "", fmt.Errorf("a name of %d bytes cannot stand in a list", len(path))
	}
	return path, nil
}
