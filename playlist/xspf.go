package playlist

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/encoding/htmlindex"
)

const (
	maxXMLDepth = 64      // how deep elements lie in each other
	maxXMLPiece = 1 << 20 // how long a tag, a text or a comment is, in bytes
	maxPlaces   = 16      // how many locations of a track are kept
)

// ReadXSPF yields the tracks of an XSPF list. Their locations are URIs: they are put
// behind the xml:base there is, and a relative one is percent-decoded. Several locations
// of a track are alternatives; Path is the first. Entities of the list's own are not
// expanded, and no other file is read. See
// https://www.xspf.org/spec.
func ReadXSPF(r io.Reader, name string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		x, err := newXSPF(r, name)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for {
			e, err := x.next()
			if err == io.EOF || !yield(e, err) || err != nil && x.over {
				return
			}
		}
	}
}

// xspf reads the tracks of a list.
type xspf struct {
	name  string
	in    *pieces
	d     *xml.Decoder
	open  []xspfElement // the elements being read, the outermost first
	begun bool          // <playlist> has been seen
	over  bool          // an error was met that nothing follows
	track xspfTrack
	text  []byte // of the element being read, if it is one of a track
	cut   bool   // it is longer than maxLine
}

type xspfElement struct {
	name string // "" when it belongs to another language
	base string // what its locations are relative to
}

type xspfTrack struct {
	Entry
	places []string
	line   int
}

func newXSPF(r io.Reader, name string) (*xspf, error) {
	text, marked := unmark(r)
	if err := binary(text, name); err != nil {
		return nil, err
	}
	x := &xspf{name: name, in: &pieces{r: text}}
	x.d = xml.NewDecoder(x.in)
	x.d.Strict = false // so that "&" by itself is no error
	x.d.CharsetReader = func(label string, r io.Reader) (io.Reader, error) {
		if marked {
			return r, nil // the mark has told already
		}
		encoding, err := htmlindex.Get(label)
		if err != nil {
			return nil, fmt.Errorf("the character set %q is not known", label)
		}
		return encoding.NewDecoder().Reader(r), nil
	}
	return x, nil
}

// next returns the next track, or an error that stands for one; x.over tells whether
// more follow. It is io.EOF at the end.
func (x *xspf) next() (Entry, error) {
	for !x.over {
		x.in.left = maxXMLPiece
		token, err := x.d.Token()
		if err != nil {
			x.over = true
			return Entry{}, x.failed(err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if err := x.start(t); err != nil {
				x.over = true
				return Entry{}, err
			}
		case xml.CharData:
			if x.inTrack() {
				x.cut = x.cut || len(x.text)+len(t) > maxLine
				x.text = append(x.text, t[:min(len(t), maxLine-len(x.text))]...)
			}
		case xml.EndElement:
			e, err := x.end()
			if e.Path != "" || err != nil {
				return e, err
			}
		}
	}
	return Entry{}, io.EOF
}

// failed puts an error of the XML into words.
func (x *xspf) failed(err error) error {
	var syntax *xml.SyntaxError
	switch {
	case err == io.EOF && !x.begun && x.d.InputOffset() > 0:
		return fmt.Errorf("%s: there is no <playlist> in it, so it is no XSPF playlist", x.name)
	case err == io.EOF:
		return io.EOF
	case errors.As(err, &syntax) && syntax.Msg == "unexpected EOF":
		return fmt.Errorf("%s: line %d: the list is cut short here", x.name, syntax.Line)
	case errors.As(err, &syntax):
		return fmt.Errorf("%s: line %d: %s", x.name, syntax.Line, syntax.Msg)
	}
	return pathError(x.name, err)
}

// inTrack reports whether the text of a track's element is being read.
func (x *xspf) inTrack() bool {
	if len(x.open) != 4 {
		return false
	}
	for i, name := range []string{"playlist", "trackList", "track"} {
		if x.open[i].name != name {
			return false
		}
	}
	return x.open[3].name != ""
}

func (x *xspf) start(t xml.StartElement) error {
	line, _ := x.d.InputPos()
	e := xspfElement{}
	if t.Name.Space == "" || strings.HasPrefix(t.Name.Space, "http://xspf.org/ns/0") {
		e.name = t.Name.Local
	}
	if len(x.open) == 0 && e.name != "playlist" {
		return fmt.Errorf("%s: line %d: this is <%s>, not an XSPF playlist", x.name, line, string(cut([]byte(t.Name.Local), 40)))
	}
	if len(x.open) == maxXMLDepth {
		return fmt.Errorf("%s: line %d: more than %d elements lie in each other", x.name, line, maxXMLDepth)
	}
	if len(x.open) > 0 {
		e.base = x.open[len(x.open)-1].base
	}
	for _, a := range t.Attr {
		if a.Name.Local == "base" && a.Name.Space == "http://www.w3.org/XML/1998/namespace" {
			e.base = join(e.base, strings.TrimSpace(a.Value))
		}
	}
	if len(e.base) > maxLine {
		return fmt.Errorf("%s: line %d: an xml:base is longer than %d bytes", x.name, line, maxLine)
	}
	x.open = append(x.open, e)
	x.begun = true
	if len(x.open) == 3 && e.name == "track" {
		x.track = xspfTrack{line: line}
	}
	x.text, x.cut = x.text[:0], false
	return nil
}

// end closes an element. With that of a track it returns the entry.
func (x *xspf) end() (Entry, error) {
	if len(x.open) == 0 {
		return Entry{}, nil
	}
	if x.inTrack() {
		x.field(x.open[3])
	}
	isTrack := len(x.open) == 3 && x.open[0].name == "playlist" && x.open[1].name == "trackList" && x.open[2].name == "track"
	x.open = x.open[:len(x.open)-1]
	if !isTrack {
		return Entry{}, nil
	}
	t := x.track
	e := t.Entry
	if len(t.places) == 0 {
		return Entry{}, fmt.Errorf("%s: line %d: a track without a location", x.name, t.line)
	}
	if e.Artist == "" {
		e.Artist, e.Title = splitTitle(e.Title)
	}
	e.Path, e.others = t.places[0], t.places[1:]
	e.list, e.line, e.raw = x.name, t.line, true
	return e, nil
}

// field notes what an element says of the track.
func (x *xspf) field(e xspfElement) {
	t, text := &x.track, strings.TrimSpace(string(x.text))
	switch e.name {
	case "location":
		if text == "" || x.cut || len(t.places) >= maxPlaces {
			return
		}
		uri := join(e.base, text)
		// The name may stand there as it is on the disk, though it should not.
		if path := uriPath(uri); path != uri {
			t.places = append(t.places, path)
		}
		t.places = append(t.places, uri)
	case "title":
		t.Title = clean(text)
	case "creator":
		t.Artist = clean(text)
	case "album":
		t.Album = clean(text)
	case "image":
		if image := clean(text); isRemote(image) {
			t.Artwork = image
		}
	case "duration": // in milliseconds
		if ms, err := strconv.ParseInt(text, 10, 40); err == nil && ms > 0 {
			t.Duration = time.Duration(ms) * time.Millisecond
		}
	}
}

// join resolves a URI against a base. Both are left as they are written, for they need
// not be quite right.
func join(base, uri string) string {
	if scheme(uri) != "" || strings.HasPrefix(uri, "file:/") || base == "" {
		return uri
	}
	root := 0 // how much of the base is "scheme://host"
	if i := strings.Index(base, "://"); i >= 0 && scheme(base) != "" {
		root = len(base)
		if j := strings.IndexByte(base[i+3:], '/'); j >= 0 {
			root = i + 3 + j
		}
	}
	if strings.HasPrefix(uri, "/") {
		return base[:root] + uri
	}
	if end := strings.LastIndexByte(base, '/'); end >= root {
		return base[:end+1] + uri
	}
	if root > 0 {
		return base[:root] + "/" + uri
	}
	return uri
}

// uriPath returns the file a URI names, or the URI when it names none.
func uriPath(uri string) string {
	if scheme(uri) != "" || strings.HasPrefix(uri, "file:/") {
		return uri // resolve knows these
	}
	path, err := url.PathUnescape(uri)
	if err != nil || scheme(path) != "" || strings.HasPrefix(path, "file:/") || strings.ContainsFunc(path, isControl) {
		return uri
	}
	return path
}

// pieces ends a text of which a piece is too long, for encoding/xml takes in a whole
// piece at once.
type pieces struct {
	r    *bufio.Reader
	left int // what may be read until the next piece begins
}

var errPiece = fmt.Errorf("a piece of it is longer than %d bytes", maxXMLPiece)

func (p *pieces) ReadByte() (byte, error) {
	if p.left--; p.left < 0 {
		return 0, errPiece
	}
	return p.r.ReadByte()
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.left <= 0 {
		return 0, errPiece
	}
	n, err := p.r.Read(b)
	p.left -= n
	return n, err
}
