// Package probe listens to a mount as a player does, and says what comes: how it is
// described, what it really is, how steadily it comes, what is between its frames, which
// titles it has, and what of that is wrong.
package probe

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"icepush/icy"
	"icepush/playlist"
	"icepush/track"
)

const (
	// patience is how long a stream may give nothing.
	patience = 10 * time.Second

	maxLists    = 3         // playlists that lead from one to the next
	maxListSize = 256 << 10 // bytes of one

	// statusPatience is how long the server may take to say which mounts it has.
	statusPatience = 5 * time.Second
	maxStatus      = 1 << 20 // bytes of that
	maxMounts      = 20      // that are named
)

// Probe is how to listen. The zero value will do.
type Probe struct {
	Join   icy.Options
	For    time.Duration // how long; zero is 10 s
	Buffer time.Duration // of the player that is thought of; zero is 1 s
}

// Report is what there is to say of a mount.
type Report struct {
	URL    string      // that was asked for, without user and password
	Via    []Hop       // what led from there to the stream
	Stream *icy.Stream // what has answered; it is closed
	Kind   string      // what comes when it is no audio that is known here, "" when it is, or unknown
	Mounts []string    // what the server has, where the URL is none of it
	Web    Web
	Heard

	Problems []string // what is wrong, and what to do about it
	Notes    []string // what is worth knowing
}

// Hop is a URL that leads to another.
type Hop struct {
	URL string
	How string // "redirect", or the kind of playlist that it is
}

// Web is what a browser finds that it asks a server for.
type Web struct {
	Asked  bool
	Range  int    // what a request with "Range: bytes=0-" was answered with
	Origin string // Access-Control-Allow-Origin
	Err    error  // why there was no answer
}

// ErrList says that playlists do not lead to a stream.
var ErrList = errors.New("there is no URL of a stream in this playlist")

// ErrHLS says that a URL is that of a playlist of HLS.
var ErrHLS = errors.New("it is HLS, which has pieces of a stream in place of one: players that know HLS play it, and this is no mount of Icecast")

// Run joins a mount, listens to it, and judges. It goes through redirects and playlists. The
// error is why there is nothing to listen to; the report then says how far it came. When
// ctx ends, the report is of what was heard until then.
func (p *Probe) Run(ctx context.Context, address string) (*Report, error) {
	o := p.Join
	if o.Patience == 0 {
		o.Patience = patience
	}
	r := &Report{URL: shown(address)}
	for range maxLists + 1 {
		next, err := p.visit(ctx, r, address, o)
		if err != nil || next == "" {
			return r, err
		}
		address = next
	}
	return r, fmt.Errorf("%s: %w: one leads to another, too often", r.URL, ErrList)
}

// visit joins what an address names. It returns the address a playlist leads to, or listens
// to what is none.
func (p *Probe) visit(ctx context.Context, r *Report, address string, o icy.Options) (next string, err error) {
	began := time.Now()
	s, err := icy.Join(ctx, address, o)
	if err != nil {
		var status *icy.StatusError
		if errors.As(err, &status) {
			r.redirected(status.Via)
			if status.Code == http.StatusNotFound || status.Code == http.StatusGone {
				r.Mounts = mounts(ctx, withUser(status.URL, address), o)
			}
		}
		return "", err
	}
	defer s.Close()
	r.Stream = s
	r.redirected(s.Via)

	listening, cancel := context.WithTimeout(ctx, cmp.Or(p.For, 10*time.Second))
	defer cancel()
	defer context.AfterFunc(listening, func() { s.Close() })()
	m := &meter{src: s}
	in := bufio.NewReader(m)
	head, _ := in.Peek(headSize)
	if kind := listKind(s, head); kind != "" {
		r.Via = append(r.Via, Hop{s.URL, kind + " playlist"})
		return follow(in, kind, withUser(s.URL, address))
	}
	head = bytes.Clone(head)
	l := listener{meter: m, titles: s.Titles, player: player{buffer: cmp.Or(p.Buffer, time.Second)}}
	l.listen(listening, in)
	s.Close()
	r.Heard, r.Odd = l.Heard, s.Odd()
	if !m.first.IsZero() {
		r.Wait = m.first.Sub(began)
	}
	if r.Frames == 0 || r.LeadIn+r.Junk > r.Bytes/2 { // frames may be in anything
		r.Kind = kindOf(head)
	}
	switch {
	case ctx.Err() != nil:
	case r.Kind == webPage:
		r.Mounts = mounts(ctx, withUser(s.URL, address), o)
	case r.Frames > 0 && r.Kind == "":
		r.Web = browse(ctx, address, o)
	}
	p.judge(r)
	return "", nil
}

// redirected notes the URLs that led to another.
func (r *Report) redirected(via []string) {
	for _, u := range via {
		r.Via = append(r.Via, Hop{u, "redirect"})
	}
}

// shown returns a URL as it may be shown: without user and password.
func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}

// withUser returns a URL with the user and password of another, if the server is the same.
func withUser(bare, of string) string {
	b, err := url.Parse(bare)
	o, err2 := url.Parse(of)
	if err != nil || err2 != nil || b.Host != o.Host || b.Scheme != o.Scheme || b.User != nil {
		return bare
	}
	b.User = o.User
	return b.String()
}

// listReaders are the kinds of playlists that lead to streams.
var listReaders = map[string]func(io.Reader, string) iter.Seq2[playlist.Entry, error]{
	"M3U": playlist.ReadM3U, "PLS": playlist.ReadPLS, "XSPF": playlist.ReadXSPF,
}

// listTypes are their media types.
var listTypes = map[string]string{
	"audio/x-mpegurl": "M3U", "audio/mpegurl": "M3U", "application/x-mpegurl": "M3U", "application/vnd.apple.mpegurl": "M3U",
	"audio/x-scpls": "PLS", "audio/scpls": "PLS", "application/pls+xml": "PLS", "application/x-scpls": "PLS",
	"application/xspf+xml": "XSPF",
}

// listEndings are what their names end in.
var listEndings = map[string]string{".m3u": "M3U", ".m3u8": "M3U", ".pls": "PLS", ".xspf": "XSPF"}

// listKind returns which kind of playlist a stream is, "" when it is none.
func listKind(s *icy.Stream, head []byte) string {
	text := strings.TrimLeft(strings.TrimPrefix(string(head), "\uFEFF"), " \t\r\n")
	lower := strings.ToLower(text)
	switch {
	case text == "", strings.ContainsFunc(text, func(c rune) bool { return c < ' ' && !strings.ContainsRune("\t\r\n", c) }):
		return ""
	case strings.HasPrefix(lower, "#extm3u"):
		return "M3U"
	case strings.HasPrefix(lower, "[playlist]"):
		return "PLS"
	case strings.HasPrefix(lower, "<") && strings.Contains(lower, "xspf.org"):
		return "XSPF"
	case strings.HasPrefix(lower, "<"):
		return ""
	}
	return cmp.Or(listTypes[s.ContentType], listEndings[strings.ToLower(path.Ext(s.URL))])
}

// follow returns the first http or https URL in a playlist. The base is the URL it has.
func follow(in io.Reader, kind, base string) (string, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxListSize))
	switch {
	case bytes.Contains(b, []byte("#EXT-X-")):
		return "", fmt.Errorf("%s: %w", shown(base), ErrHLS)
	case err != nil && len(b) == 0:
		return "", fmt.Errorf("%s: %w", shown(base), err)
	}
	from, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	for e, err := range listReaders[kind](bytes.NewReader(b), shown(base)) {
		if err != nil {
			continue // the rest may do
		}
		u, err := from.Parse(e.Path)
		if err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") {
			return withUser(u.String(), base), nil
		}
	}
	return "", fmt.Errorf("%s: %w", shown(base), ErrList)
}

// webPage is the Kind of what is shown, and not heard.
const webPage = "a web page"

// kindOf says what something without frames is, by its first bytes; "" when that is not
// known.
func kindOf(head []byte) string {
	text := strings.ToLower(strings.TrimSpace(string(head)))
	switch {
	case strings.HasPrefix(text, "<!doctype html"), strings.HasPrefix(text, "<html"), strings.Contains(text, "<html"):
		return webPage
	case strings.HasPrefix(text, "<"):
		return "XML"
	case strings.HasPrefix(text, "{"), strings.HasPrefix(text, "["):
		return "JSON"
	case len(head) > 188 && head[0] == 0x47 && head[188] == 0x47: // ISO/IEC 13818-1, 2.4.3.2
		return "an MPEG transport stream"
	}
	return track.Foreign(head)
}

// browse asks for a mount as a page of another site does, and as Safari does, which wants
// bytes from the first on.
func browse(ctx context.Context, address string, o icy.Options) Web {
	w := Web{Asked: true}
	o.Header = http.Header{"Range": {"bytes=0-"}, "Origin": {"https://player.example"}}
	s, err := icy.Join(ctx, address, o)
	var status *icy.StatusError
	switch {
	case err == nil:
		s.Close()
		w.Range, w.Origin = http.StatusOK, s.Header.Get("Access-Control-Allow-Origin")
	case errors.As(err, &status):
		w.Range, w.Origin = status.Code, status.Header.Get("Access-Control-Allow-Origin")
	default:
		w.Err = err
	}
	w.Origin = icy.UTF8(w.Origin)
	return w
}

// listenURL is a mount in a status of Icecast's shape. It is not read as JSON, which it is
// not always.
var listenURL = regexp.MustCompile(`"listenurl"\s*:\s*("(?:[^"\\]|\\.)*")`)

// mounts asks the server of an address which mounts it has, as far as it says so.
func mounts(ctx context.Context, address string, o icy.Options) []string {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	u = u.ResolveReference(&url.URL{Path: "/status-json.xsl"})
	ctx, cancel := context.WithTimeout(ctx, statusPatience)
	defer cancel()
	s, err := icy.Join(ctx, u.String(), o)
	if err != nil {
		return nil
	}
	defer s.Close()
	b, _ := io.ReadAll(io.LimitReader(s, maxStatus))
	var found []string
	for _, match := range listenURL.FindAllSubmatch(b, -1) {
		var listen string
		if json.Unmarshal(match[1], &listen) != nil {
			continue
		}
		m, err := url.Parse(listen)
		if err != nil || m.Path == "" || slices.Contains(found, m.EscapedPath()) {
			continue
		}
		if found = append(found, m.EscapedPath()); len(found) == maxMounts {
			break
		}
	}
	return found
}
