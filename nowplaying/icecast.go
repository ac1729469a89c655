package nowplaying

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Icecast tells what plays at /status-json.xsl (2.4 and later) and, to its admin, at
// /admin/stats, in XML. There is no standard; what is read here is what 2.4.4, 2.5 and KH
// were seen to write.

// iceMount is a mount as a server tells of it.
type iceMount struct {
	Path      string
	Mount     Mount // without a name
	Title     string
	Artist    string
	Position  *float64 // seconds; icepush serve tells these two
	Duration  float64
	Listeners *int
}

// text is a field that may be anything: Icecast writes what looks like a number without
// quotes, and what is empty as null.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	switch {
	case json.Unmarshal(b, &s) == nil:
		*t = text(s)
	case len(b) > 0 && (b[0] == '{' || b[0] == '['):
		*t = ""
	default:
		*t = text(b) // 123, true
	}
	if *t == "null" {
		*t = ""
	}
	return nil
}

// number returns the field as one, if it is one.
func (t text) number() (float64, bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(string(t)), 64)
	return f, err == nil && f >= 0 && f < 1e9
}

// iceSource is a source in status-json.xsl.
type iceSource struct {
	ListenURL   text `json:"listenurl"`
	Name        text `json:"server_name"`
	Description text `json:"server_description"`
	Genre       text `json:"genre"`
	URL         text `json:"server_url"`
	Title       text `json:"title"`
	Artist      text `json:"artist"`
	Listeners   text `json:"listeners"`
	Position    text `json:"position"`
	Duration    text `json:"duration"`
}

// sources are one source, several, or none.
type sources []iceSource

func (s *sources) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	several := len(b) > 0 && b[0] == '['
	if several {
		d.Token()
	}
	for n := 0; n < maxMounts && (several || n == 0) && d.More(); n++ {
		var one json.RawMessage
		if err := d.Decode(&one); err != nil {
			return err
		}
		var source iceSource
		if json.Unmarshal(one, &source) == nil { // else it is none
			*s = append(*s, source)
		}
	}
	return nil
}

var errNoStatus = errors.New("the answer is no status of an Icecast")

// readStatus reads status-json.xsl.
func readStatus(b []byte) (mounts []iceMount, err error) {
	var status struct {
		Stats *struct {
			Source sources `json:"source"`
		} `json:"icestats"`
	}
	b = mendJSON(b)
	if err := json.Unmarshal(b, &status); err != nil {
		if trimmed := bytes.TrimSpace(b); len(trimmed) == 0 || trimmed[0] != '{' {
			return nil, errNoStatus
		}
		return nil, fmt.Errorf("the status cannot be read: %w", err)
	}
	if status.Stats == nil {
		return nil, errNoStatus
	}
	for _, s := range status.Stats.Source {
		if m, ok := s.mount(); ok {
			mounts = append(mounts, m)
		}
	}
	return mounts, nil
}

// mount returns what a source says. One without a path is none.
func (s iceSource) mount() (m iceMount, ok bool) {
	// The host in it may be anything, as the server is configured.
	_, path, _ := strings.Cut(string(s.ListenURL), "://")
	if slash := strings.IndexByte(path, '/'); slash >= 0 {
		path = path[slash:]
	} else if path = ""; strings.HasPrefix(string(s.ListenURL), "/") {
		path = string(s.ListenURL)
	}
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	if !isName(path) {
		return m, false
	}
	m = iceMount{
		Path: path, Title: mojibake(string(s.Title)), Artist: mojibake(string(s.Artist)),
		Mount: Mount{Name: specified(mojibake(string(s.Name))), Description: specified(mojibake(string(s.Description))), Genre: mojibake(string(s.Genre)), URL: mojibake(string(s.URL))},
	}
	if n, ok := s.Listeners.number(); ok {
		listeners := int(n)
		m.Listeners = &listeners
	}
	if at, ok := s.Position.number(); ok {
		m.Position = &at
		m.Duration, _ = s.Duration.number()
	}
	return m, true
}

// specified leaves out what Icecast writes where nothing was said.
func specified(s string) string {
	if s == "Unspecified name" || s == "Unspecified description" {
		return ""
	}
	return s
}

// mojibake mends a text of UTF-8 that was taken for Latin-1, as Icecast does on mounts
// without a charset: "Ã¤" is "ä". A text that really is such letters in a row is rarer by far.
func mojibake(s string) string {
	b := make([]byte, 0, len(s))
	wide := false
	for _, c := range s {
		if c > 0xFF {
			return s
		}
		wide = wide || c > 0x7F
		b = append(b, byte(c))
	}
	if wide && utf8.Valid(b) {
		return string(b)
	}
	return s
}

// mendJSON returns the JSON of a server that does not always write what JSON is. Icecast
// 2.4 writes texts like "-", "1." or ".5" as if they were numbers, and both 2.4 and 2.5 control
// characters as they are; bytes that are no UTF-8 are taken for Latin-1. What is right
// stays as it is.
func mendJSON(b []byte) []byte {
	if json.Valid(b) && utf8.Valid(b) {
		return b
	}
	var out []byte
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == '"':
			out = append(out, c)
			for i++; i < len(b) && b[i] != '"'; {
				switch r, n := utf8.DecodeRune(b[i:]); {
				case b[i] == '\\' && i+1 < len(b):
					out = append(out, b[i], b[i+1])
					i += 2
				case b[i] < 0x20:
					out = fmt.Appendf(out, `\u%04x`, b[i])
					i++
				case r == utf8.RuneError && n == 1:
					out = utf8.AppendRune(out, rune(b[i]))
					i++
				default:
					out = append(out, b[i:i+n]...)
					i += n
				}
			}
			if i < len(b) {
				out = append(out, '"')
				i++
			}
		case strings.IndexByte("{}[]:, \t\r\n", c) >= 0:
			out = append(out, c)
			i++
		default: // a word without quotes, up to what ends it
			end := i
			for end < len(b) && strings.IndexByte("{}[],\"\n", b[end]) < 0 {
				end++
			}
			word := bytes.TrimSpace(b[i:end])
			if json.Valid(word) {
				out = append(out, b[i:end]...)
			} else {
				quoted, _ := json.Marshal(strings.ToValidUTF8(string(word), "\uFFFD"))
				out = append(out, quoted...)
			}
			i = end
		}
	}
	return out
}

// readStats reads /admin/stats.
func readStats(b []byte) (mounts []iceMount, err error) {
	var stats struct {
		XMLName xml.Name `xml:"icestats"`
		Source  []struct {
			Mount       string `xml:"mount,attr"`
			Name        string `xml:"server_name"`
			Description string `xml:"server_description"`
			Genre       string `xml:"genre"`
			URL         string `xml:"server_url"`
			Title       string `xml:"title"`
			Artist      string `xml:"artist"`
			Listeners   string `xml:"listeners"`
		} `xml:"source"`
	}
	d := xml.NewDecoder(bytes.NewReader(bytes.ToValidUTF8(b, []byte("\uFFFD"))))
	d.Strict = false
	if err := d.Decode(&stats); err != nil {
		return nil, errNoStatus
	}
	for _, s := range stats.Source {
		if m, ok := (iceSource{
			ListenURL: text(s.Mount), Name: text(s.Name), Description: text(s.Description), Genre: text(s.Genre), URL: text(s.URL),
			Title: text(s.Title), Artist: text(s.Artist), Listeners: text(s.Listeners),
		}).mount(); ok {
			mounts = append(mounts, m)
		}
	}
	return mounts, nil
}
