package probe

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"icepush/frame"
	"icepush/icy"
)

const (
	// A stream that comes at another pace than it is heard at is wrong from pacePercent on,
	// if that is more than five times its standard error.
	pacePercent = 0.5

	// filePace is how many times as fast as it is heard something comes that nobody paces.
	filePace = 1.5

	// maxLeadIn is how many bytes before the first frame are usual: servers let listeners
	// in anywhere, and frames are shorter.
	maxLeadIn = 8 << 10

	// certificateEnds is how long before its end a certificate is told of.
	certificateEnds = 14 * 24 * time.Hour
)

// judge fills in Problems and Notes, the worst first.
func (p *Probe) judge(r *Report) {
	if r.Frames == 0 || r.Kind != "" {
		r.nothing()
		r.encryption(p)
		return
	}
	r.contentType()
	if !r.metadata() { // else the rest follows from that
		r.steadiness(cmp.Or(p.Buffer, time.Second))
		r.junk()
	}
	r.titles()
	r.format()
	r.encryption(p)
	r.browsers()
}

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// nothing says why there is nothing to hear.
func (r *Report) nothing() {
	switch {
	case r.Bytes == 0 && r.End == io.EOF:
		r.problem("the server takes a listener, and ends the stream before a byte of it: its source has just gone, or it is full")
	case r.Bytes == 0 && r.End != nil && !errors.Is(r.End, os.ErrDeadlineExceeded):
		r.problem("the server takes a listener, and breaks the stream off before a byte of it (%v)", r.End)
	case r.Bytes == 0:
		r.problem("the server takes a listener, and nothing comes: its source sends nothing, so look there")
	case r.Kind == webPage && len(r.Mounts) > 0:
		r.problem("this is a web page, not a stream; the server has %s", strings.Join(r.Mounts, ", "))
	case r.Kind == webPage:
		r.problem("this is a web page, not a stream: a stream has a URL of its own, which ends in the name of a mount")
	case r.Kind == "WAV" && strings.HasPrefix(r.Stream.ContentType, "audio/") && strings.Contains(r.Stream.ContentType, "wav"):
		r.note("it is WAV, as it says: sound without frames is not looked into; probe the mount that it is made of")
	case r.Kind != "":
		r.problem("what comes is %s: there are no frames of MPEG, AAC (ADTS) or Ogg in it, which players of Icecast know", r.Kind)
	default:
		r.problem("there are no frames of MPEG, AAC (ADTS) or Ogg in the %d bytes that came: the source sends something else, or it arrives damaged", r.Bytes)
	}
}

// contentType compares what the stream is called with what it is.
func (r *Report) contentType() {
	is := r.First.Format.ContentType()
	switch said := r.Stream.ContentType; {
	case said == "":
		r.problem("there is no Content-Type: browsers do not play it; have the source send %s", is)
	case icy.MediaType(said) != is:
		r.problem("it is called %s and is %s: players go by the name; have the source send %s", said, r.First, is)
	}
	if encoding := r.Stream.Header.Get("Content-Encoding"); encoding != "" {
		r.problem("Content-Encoding is %s: audio is not to be compressed, and players do not undo that; turn it off in the proxy before the server", icy.UTF8(encoding))
	}
}

// steadiness says whether the stream comes as fast as it is heard, and goes on.
func (r *Report) steadiness(buffer time.Duration) {
	percent := (r.Rate - 1) * 100
	off := r.Rate > 0 && max(percent, -percent) > max(pacePercent, 500*r.RateErr)
	file := r.Rate > filePace || r.Stream.Length >= 0
	ran := ""
	if r.Dry > 0 {
		ran = fmt.Sprintf("; a player with a buffer of %v ran dry %s and was silent for %.1f s", buffer, Times(r.Dry), r.Silent.Seconds())
	}
	switch {
	case off && !file && percent < 0:
		r.problem("the stream comes at %.1f %% of the pace it is heard at%s: the source is too slow, or the line to the server, or from it to here", r.Rate*100, ran)
	case off && !file:
		r.problem("the stream comes at %.1f %% of the pace it is heard at: buffers fill up and servers drop listeners; the source's clock is wrong", r.Rate*100)
	case errors.Is(r.End, os.ErrDeadlineExceeded):
		r.problem("nothing came any more after %s, for %.0f s: the source or the line is stuck", Stamp(r.GapAt), r.Gap.Seconds())
	case ran != "" && r.Gap > buffer/2:
		r.problem("nothing came for %.1f s at %s%s: the source or the line pauses", r.Gap.Seconds(), Stamp(r.GapAt), ran)
	case ran != "":
		r.problem("the stream comes in fits and starts%s: the source or the line is not steady", ran)
	case !r.Starts && !file:
		r.problem("in %.1f s less than %v of audio came: a player with that buffer plays nothing", r.Lasted.Seconds(), buffer)
	case r.Burst < 500*time.Millisecond && r.StartAt > 500*time.Millisecond:
		r.note("a player with a buffer of %v begins after %.1f s, for the server sends nothing in advance: burst-size of Icecast does that", buffer, r.StartAt.Seconds())
	}
	switch {
	case file && r.Stream.Length >= 0:
		r.note("it is a file of %d bytes, with an end, and no stream", r.Stream.Length)
	case file:
		r.note("it comes %.1f times as fast as it is heard: it is a file, or its source does not pace", r.Rate)
	}
	switch {
	case r.End == nil, r.End == io.EOF && file:
	case r.End == io.EOF:
		r.problem("the stream ended after %.1f s: the source has left, or the server drops listeners", r.Lasted.Seconds())
	case errors.Is(r.End, os.ErrDeadlineExceeded): // said above
	case errors.Is(r.End, frame.ErrTooMuchJunk):
		r.problem("after %s there was no audio any more in what came", Stamp(r.Audio))
	default:
		r.problem("the stream broke off after %.1f s (%v)", r.Lasted.Seconds(), r.End)
	}
}

// advice is what to do about junk.
var advice = map[string]string{
	"tags of files":             "players click or stop there; have the source leave them out, as icepush does",
	"encoder headers of files":  "players take the length in them for that of the stream; have the source leave them out, as icepush does",
	"the sizes of chunks":       "the source sends chunks to a server that does not decode them; icepush --framing identity does not",
	"ICY metadata":              "titles are in the audio where no player looks for them: a proxy drops the header icy-metaint, or the source sends what the server does not take out (icepush --titles admin does not)",
	"a web page":                "a server or proxy says something there that should be a status",
	"damaged frames":            "they are heard as clicks; the source cuts frames, or the server loses some of it",
	"frames of another codec":   "players stop there; have the source send one format",
	"bytes that are no audio":   "they are heard as clicks; the source sends what is no frame, or loses some",
	"a picture":                 "cover art is no audio; have the source leave tags out, as icepush does",
	"zeros":                     "the source sends nothing in place of silence",
	"frames that are cut short": "they are heard as clicks; the source cuts frames",
}

// class returns by which name of advice a skip goes.
func (s Skip) class() string {
	switch s.Kind {
	case frame.XingFrame.String(), frame.InfoFrame.String(), frame.VBRIFrame.String():
		return "encoder headers of files"
	case frame.OtherCodec.String():
		return "frames of another codec"
	case frame.Truncated.String():
		return "frames that are cut short"
	case frame.Junk.String(), frame.Damaged.String():
		switch {
		case s.What == "an ID3 tag":
			return "tags of files"
		case s.What != "":
			return s.What
		case s.Kind == frame.Damaged.String():
			return "damaged frames"
		}
		return "bytes that are no audio"
	}
	return "tags of files" // they have many kinds
}

// junk says what is between the frames.
func (r *Report) junk() {
	if r.LeadIn > maxLeadIn {
		r.problem("there are %d bytes before the first frame: the server lets listeners in where no player finds the beginning", r.LeadIn)
	}
	var classes []string
	places, bytes, first := map[string]int{}, map[string]int64{}, map[string]Skip{}
	for _, s := range r.Skips {
		c := s.class()
		if places[c]++; places[c] == 1 {
			classes = append(classes, c)
			first[c] = s
		}
		bytes[c] += s.Length
	}
	for _, c := range classes {
		kind := ""
		if s := first[c]; c == "tags of files" || c == "encoder headers of files" {
			kind = s.Kind + ", "
		}
		where := "at " + Stamp(first[c].Time)
		if places[c] > 1 {
			where = fmt.Sprintf("in %d places, first at %s", places[c], Stamp(first[c].Time))
		}
		r.problem("there are %s between the frames (%s%d bytes, %s): %s", c, kind, bytes[c], where, advice[c])
	}
}

// metadata says whether blocks are where the header has them. Lost says that they are not.
func (r *Report) metadata() (lost bool) {
	said := r.Stream.Header.Get("icy-metaint")
	switch {
	case r.Odd > 0:
		r.problem("icy-metaint says %d, and there is something else than metadata there (%s): what cuts the stream into pieces counts otherwise than the server; players hear noise", r.Stream.Metaint, Times(r.Odd))
	case said != "" && said != "0" && r.Stream.Metaint == 0:
		r.problem("icy-metaint is %q, which is no distance between titles", icy.UTF8(said))
	}
	return r.Odd > 0
}

// titles says what is wrong with titles.
func (r *Report) titles() {
	var latin, garbled, empty []Title
	for _, t := range r.Titles {
		switch {
		case t.Text == "":
			empty = append(empty, t)
		case t.Latin1:
			latin = append(latin, t)
		case t.Garbled:
			garbled = append(garbled, t)
		}
	}
	if len(latin) > 0 {
		r.problem("titles are not UTF-8 (%q, %s): most players show other letters; have the source send UTF-8, and the mount know it: <charset>UTF-8</charset> in icecast.xml", latin[0].Text, Times(len(latin)))
	}
	if len(garbled) > 0 {
		r.problem("titles have been taken for Latin-1 on their way (%q, %s): <charset>UTF-8</charset> in the section of the mount in icecast.xml mends that; icepush --titles inband goes round it", garbled[0].Text, Times(len(garbled)))
	}
	if len(empty) > 0 {
		r.note("a title is empty (at %s, %s): players show nothing, or what they showed before", Stamp(empty[0].Time), Times(len(empty)))
	}
	if r.Titled > 0 {
		return
	}
	ogg := r.First.Format.Ogg()
	switch {
	case ogg:
		r.note("there is no title in the headers of the Ogg stream")
	case r.Stream.Metaint == 0:
		r.note("the server sends no titles with this stream (there is no icy-metaint in its answer)")
	case r.Bytes > int64(r.Stream.Metaint) && r.Odd == 0:
		r.note("no title came: the source has sent none")
	}
}

// format says whether the format stays, and is the one that is told.
func (r *Report) format() {
	if r.Changed > 0 {
		c := r.Changes[0]
		r.problem("the format changes (%s, first at %s from %s to %s): many players stop there or play on at the wrong pace; have the source keep to one format (icepush turns tracks into it where ffmpeg is installed)", Times(r.Changed), Stamp(c.Time), r.First, c.Header)
	}
	if told := float64(r.Stream.Bitrate); told > 0 && !r.VBR && r.First.Format == frame.MPEG && (told > 1.15*r.Kbps || told < r.Kbps/1.15) {
		r.note("icy-br says %.0f kbit/s, and the frames have %.0f: players show the first", told, r.Kbps)
	}
}

// encryption looks at the certificate of the server.
func (r *Report) encryption(p *Probe) {
	state := r.Stream.TLS
	if state == nil || len(state.PeerCertificates) == 0 {
		return
	}
	leaf := state.PeerCertificates[0]
	if p.Join.TLS != nil && p.Join.TLS.InsecureSkipVerify {
		others := x509.NewCertPool()
		for _, c := range state.PeerCertificates[1:] {
			others.AddCert(c)
		}
		u, _ := url.Parse(r.Stream.URL)
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: u.Hostname(), Roots: p.Join.TLS.RootCAs, Intermediates: others}); err != nil {
			r.problem("players do not trust the server's certificate: %s", strings.TrimPrefix(err.Error(), "x509: "))
			return
		}
	}
	if left := time.Until(leaf.NotAfter); left < certificateEnds {
		r.note("the server's certificate ends at %s UTC, in %.1f days: have it renewed", leaf.NotAfter.UTC().Format(time.DateTime), left.Hours()/24)
	}
}

// browsers says what keeps web pages from playing the stream.
func (r *Report) browsers() {
	if r.Stream.Proto == "ICY" {
		r.note("the server answers as SHOUTcast 1 does, \"ICY 200 OK\": browsers do not take that for an answer; players do")
	}
	u, _ := url.Parse(r.Stream.URL)
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		r.note("it is not encrypted: pages on https cannot play it")
	}
	if !r.Web.Asked {
		return
	}
	switch code := r.Web.Range; {
	case r.Web.Err != nil:
		r.note("a second listener got no answer: %v", r.Web.Err)
		return
	case code == http.StatusOK, code == http.StatusPartialContent:
	default:
		r.problem("a request with \"Range: bytes=0-\" is answered %d %s: Safari asks so, and does not play it", code, http.StatusText(code))
	}
	if r.Web.Origin == "" {
		r.note("there is no Access-Control-Allow-Origin: pages of other sites play it with a plain <audio>, but not with crossorigin or through Web Audio, and their scripts cannot read titles")
	}
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Times says how often something is.
func Times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// Stamp returns a time in a stream as minutes, seconds and tenths.
func Stamp(d time.Duration) string {
	d = d.Round(100 * time.Millisecond)
	s := fmt.Sprintf("%d:%04.1f", int(d.Minutes()), (d % time.Minute).Seconds())
	if h := int(d.Hours()); h > 0 {
		s = fmt.Sprintf("%d:%02d:%04.1f", h, int(d.Minutes())%60, (d % time.Minute).Seconds())
	}
	return s
}
