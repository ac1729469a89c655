package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"icepush/frame"
	"icepush/icy"
	"icepush/probe"
	"icepush/push"
)

// shownTitles is how many titles, and how many stretches of junk, the text has.
const shownTitles = 20

// probeFlags are those of probe.
func probeFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.DurationFlag{Name: "for", EnvVars: env("PROBE_FOR"), Value: 10 * time.Second, Usage: "how long to listen, a `TIME`"},
		&cli.DurationFlag{Name: "buffer", EnvVars: env("BUFFER"), Value: time.Second, Usage: "how much a player waits for before it plays, a `TIME`"},
		&cli.BoolFlag{Name: "json", EnvVars: env("JSON"), Usage: "print one JSON object"},
		&cli.StringFlag{Name: "user-agent", EnvVars: env("USER_AGENT"), Usage: "`NAME` of the player to be taken for", DefaultText: "icepush"},
	}, sharedFlags("", "ca", "insecure")...)
}

// probeAction listens to a mount and says what comes.
func probeAction(c *cli.Context, stdout, stderr io.Writer) error {
	if c.NArg() != 1 {
		return fail(exitUsage, "probe: name one URL, as in icepush probe http://localhost:8000/live")
	}
	for _, name := range []string{"for", "buffer"} {
		if d := c.Duration(name); d <= 0 || d > 7*24*time.Hour {
			return fail(exitUsage, "--%s %v: it is more than nothing and at most a week", name, d)
		}
	}
	config, err := tlsConfig(c)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second interrupt ends the program
	if isTerminal(stderr) && !c.Bool("json") {
		fmt.Fprintf(stderr, "listening for %v; Ctrl-C ends that\n", c.Duration("for"))
	}
	p := probe.Probe{
		Join:   icy.Options{UserAgent: cmp.Or(c.String("user-agent"), push.UserAgent), TLS: config, Proxy: http.ProxyFromEnvironment},
		For:    c.Duration("for"),
		Buffer: c.Duration("buffer"),
	}
	r, err := p.Run(ctx, streamURL(c.Args().First()))
	out := newProbeReport(r, p)
	if err != nil {
		err = probeError(err, r, ctx.Err() != nil)
		out.Error = strings.TrimPrefix(err.Error(), out.URL+": ")
	}
	switch {
	case c.Bool("json"):
		printed := json.NewEncoder(stdout)
		printed.SetEscapeHTML(false)
		if err := printed.Encode(map[string]probeReport{"probe": out}); err != nil {
			return err
		}
	case err == nil:
		if _, err := io.WriteString(stdout, out.text(r)); err != nil {
			return err
		}
	}
	if err == nil && len(r.Problems) > 0 {
		err = &exitError{code: exitData} // they have been told
	}
	return err
}

// streamURL returns the URL that is meant: http is the default, and the ways sources have
// for it will do.
func streamURL(arg string) string {
	scheme, rest, ok := strings.Cut(arg, "://")
	if !ok {
		return "http://" + arg
	}
	if to := map[string]string{"icecast": "http", "icecasts": "https", "icy": "http"}[strings.ToLower(scheme)]; to != "" {
		scheme = to
	}
	return strings.ToLower(scheme) + "://" + rest
}

// probeError returns why there was nothing to listen to, with its exit code and what a
// person can do about it.
func probeError(err error, r *probe.Report, interrupted bool) error {
	var status *icy.StatusError
	var verification *tls.CertificateVerificationError
	var op *net.OpError
	code, hint := exitUnavailable, ""
	switch {
	case interrupted:
		return fail(exitInterrupted, "probe: interrupted before there was something to hear")
	case errors.As(err, &status):
		code, hint = exitData, statusHint(status, r.Mounts)
		if status.Code == http.StatusUnauthorized || status.Code == http.StatusProxyAuthRequired {
			code = exitNoPerm
		}
	case errors.Is(err, icy.ErrURL):
		code = exitUsage
	case errors.Is(err, probe.ErrHLS), errors.Is(err, probe.ErrList):
		code = exitData
	case errors.Is(err, http.ErrSchemeMismatch):
		return fail(exitProtocol, "%s: the server does not speak TLS on this port: http:// in place of https:// does without", r.URL)
	case errors.As(err, &verification):
		at, _, _ := strings.Cut(err.Error(), ": ")
		refused := &push.TLSError{Err: verification}
		return fail(exitProtocol, "%s: %w; %s", at, refused, push.Hint(refused))
	case errors.Is(err, icy.ErrSilent):
		hint = "it is up, and stuck; or is this another port than that of listeners?"
	case errors.Is(err, icy.ErrClosed):
		code, hint = exitProtocol, "is this the port of listeners, and does it expect https?"
	case errors.Is(err, icy.ErrHandshake), errors.Is(err, icy.ErrNotHTTP), errors.Is(err, icy.ErrRedirects):
		code = exitProtocol
	case errors.As(err, &op) && op.Op == "remote error": // of TLS
		code = exitProtocol
	default:
		hint = push.Hint(err)
	}
	if hint != "" {
		err = fmt.Errorf("%w; %s", err, hint)
	}
	return &exitError{code, err}
}

// statusHint says what can be done about an answer other than 200.
func statusHint(e *icy.StatusError, mounts []string) string {
	switch e.Code {
	case http.StatusUnauthorized:
		return "this mount wants a user and a password of listeners, or these are wrong: http://user:password@host:port/mount"
	case http.StatusForbidden:
		return "the server does not let us listen: it is full (<limits>, max-listeners), or does not want this address"
	case http.StatusNotFound, http.StatusGone:
		if len(mounts) > 0 {
			return "there is no such mount, or it has no source; the server has " + strings.Join(mounts, ", ")
		}
		return "there is no such mount, or it has no source"
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return "nothing plays there yet, or the server is full"
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return "a proxy stands before the server and does not reach it"
	case http.StatusBadRequest:
		return "is this the port of listeners, and does it expect https?"
	}
	if strings.Contains(e.Page, "<") { // it is HTML
		return ""
	}
	return fmt.Sprintf("%.200s", e.Page)
}

// probeReport is what probe --json says. What is unknown is absent.
type probeReport struct {
	URL         string     `json:"url"`
	Via         []hop      `json:"via,omitempty"`
	Stream      string     `json:"stream_url,omitempty"`
	Address     string     `json:"address,omitempty"`
	Protocol    string     `json:"protocol,omitempty"`
	TLS         *tlsReport `json:"tls,omitempty"`
	Server      string     `json:"server,omitempty"`
	ContentType string     `json:"content_type,omitempty"`
	Name        string     `json:"name,omitempty"`
	Genre       string     `json:"genre,omitempty"`
	Description string     `json:"description,omitempty"`
	Homepage    string     `json:"homepage,omitempty"`
	ToldKbps    int        `json:"icy_br,omitempty"`
	Metaint     int        `json:"icy_metaint,omitempty"`

	Format      string  `json:"format,omitempty"`
	Version     string  `json:"version,omitempty"`
	Layer       int     `json:"layer,omitempty"`
	SampleRate  int     `json:"sample_rate,omitempty"`
	Channels    int     `json:"channels,omitempty"`
	BitrateKbps float64 `json:"bitrate_kbps,omitempty"`
	VBR         *bool   `json:"vbr,omitempty"`

	Heard    *heardReport `json:"heard,omitempty"`
	Range    int          `json:"range_status,omitempty"`
	Origin   string       `json:"allow_origin,omitempty"`
	Mounts   []string     `json:"mounts,omitempty"`
	Problems []string     `json:"problems,omitempty"`
	Notes    []string     `json:"notes,omitempty"`
	Error    string       `json:"error,omitempty"`

	buffer time.Duration
}

// hop is a URL that led to the next.
type hop struct {
	URL string `json:"url"`
	How string `json:"how"`
}

// tlsReport is how the line is encrypted.
type tlsReport struct {
	Version  string    `json:"version"`
	NotAfter time.Time `json:"certificate_ends"`
}

// heardReport is what came. Seconds "at" are those since the first byte, the others, in
// lists, those of the audio.
type heardReport struct {
	WaitS      float64       `json:"wait_s"`
	ListenedS  float64       `json:"listened_s"`
	Bytes      int64         `json:"bytes"`
	Frames     int           `json:"frames"`
	AudioS     float64       `json:"audio_s"`
	LeadIn     int64         `json:"lead_in_bytes"`
	Junk       int64         `json:"junk_bytes"`
	Skips      []skipReport  `json:"junk,omitempty"`
	Odd        int           `json:"odd_metadata,omitempty"`
	BurstS     float64       `json:"burst_s"`
	BurstAtS   float64       `json:"burst_at_s"`
	Rate       float64       `json:"rate,omitempty"`
	RateError  float64       `json:"rate_error,omitempty"`
	ReserveS   float64       `json:"reserve_s"`
	GapS       float64       `json:"longest_gap_s"`
	GapAtS     float64       `json:"longest_gap_at_s"`
	BufferS    float64       `json:"buffer_s"`
	StartsAtS  *float64      `json:"starts_at_s,omitempty"`
	Underruns  int           `json:"underruns"`
	SilentS    float64       `json:"silent_s"`
	Titles     []titleReport `json:"titles,omitempty"`
	Changes    []changed     `json:"format_changes,omitempty"`
	EndedEarly string        `json:"ended_early,omitempty"`
}

// skipReport is a stretch that is no audio.
type skipReport struct {
	span
	Like string  `json:"like,omitempty"`
	S    float64 `json:"s"`
}

// titleReport is a title and where it stood.
type titleReport struct {
	Offset  int64   `json:"offset"`
	S       float64 `json:"s"`
	Title   string  `json:"title"`
	URL     string  `json:"url,omitempty"`
	Latin1  bool    `json:"latin1,omitempty"`
	Garbled bool    `json:"garbled,omitempty"`
}

// changed is another format than before.
type changed struct {
	Offset int64   `json:"offset"`
	S      float64 `json:"s"`
	Format string  `json:"format"`
}

// newProbeReport puts together what is told of a mount.
func newProbeReport(r *probe.Report, p probe.Probe) probeReport {
	out := probeReport{URL: r.URL, Mounts: r.Mounts, Problems: r.Problems, Notes: r.Notes, Range: r.Web.Range, Origin: r.Web.Origin, buffer: p.Buffer}
	for _, h := range r.Via {
		out.Via = append(out.Via, hop{h.URL, h.How})
	}
	s := r.Stream
	if s == nil {
		return out
	}
	out.Stream, out.Address, out.Protocol, out.Server, out.ContentType = s.URL, s.Address, s.Proto, s.Server, s.ContentType
	out.Name, out.Genre, out.Description, out.Homepage, out.ToldKbps, out.Metaint = s.Name, s.Genre, s.Description, s.Homepage, s.Bitrate, s.Metaint
	if t := s.TLS; t != nil && len(t.PeerCertificates) > 0 {
		out.TLS = &tlsReport{tls.VersionName(t.Version), t.PeerCertificates[0].NotAfter.UTC()}
	}
	h := r.Heard
	out.Heard = &heardReport{
		WaitS: rounded(h.Wait), ListenedS: rounded(h.Lasted), Bytes: h.Bytes, Frames: h.Frames, AudioS: rounded(h.Audio),
		LeadIn: h.LeadIn, Junk: h.Junk, Odd: h.Odd, BurstS: rounded(h.Burst), BurstAtS: rounded(h.BurstAt),
		Rate: math.Round(h.Rate*1e6) / 1e6, RateError: math.Round(h.RateErr*1e6) / 1e6, ReserveS: rounded(h.Reserve),
		GapS: rounded(h.Gap), GapAtS: rounded(h.GapAt), BufferS: rounded(p.Buffer), Underruns: h.Dry, SilentS: rounded(h.Silent),
	}
	if h.Starts {
		at := rounded(h.StartAt)
		out.Heard.StartsAtS = &at
	}
	if h.End != nil {
		out.Heard.EndedEarly = h.End.Error()
	}
	for _, skip := range h.Skips {
		out.Heard.Skips = append(out.Heard.Skips, skipReport{span{skip.Kind, skip.Offset, skip.Length}, skip.What, rounded(skip.Time)})
	}
	for _, t := range h.Titles {
		out.Heard.Titles = append(out.Heard.Titles, titleReport{t.Offset, rounded(t.Time), t.Text, t.URL, t.Latin1, t.Garbled})
	}
	for _, c := range h.Changes {
		out.Heard.Changes = append(out.Heard.Changes, changed{c.Offset, rounded(c.Time), c.Header.String()})
	}
	if f := h.First; f.Format != frame.Unknown {
		out.Format, out.Version, out.Layer, out.SampleRate, out.Channels = f.Format.String(), f.Version.String(), f.Layer, f.SampleRate, f.Channels
		out.BitrateKbps = math.Round(h.Kbps*10) / 10
		if f.Format == frame.MPEG {
			out.VBR = &h.VBR
		}
	}
	return out
}

// text is the report for a person: what was asked and what answers, what it plays, how
// it comes, and at the end what is wrong.
func (p probeReport) text(r *probe.Report) string {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "  %-9s %s\n", what, printable(fmt.Sprintf(format, args...)))
	}
	h := r.Heard
	fmt.Fprintf(&b, "%s\n", printable(p.Stream))
	for _, via := range p.Via {
		line("by", "%s (%s)", via.URL, via.How)
	}
	line("server", "%s, %s, at %s", cmp.Or(p.Server, "without a name"), p.Protocol, p.Address)
	if p.TLS != nil {
		line("tls", "%s, certificate until %s UTC", p.TLS.Version, p.TLS.NotAfter.Format(time.DateTime))
	}
	if described := join(", ", quoted(p.Name), p.Genre, p.Description, p.Homepage); described != "" {
		line("name", "%s", described)
	}
	if h.Frames > 0 && r.Kind == "" {
		kind := "constant bitrate"
		switch {
		case h.First.Format != frame.MPEG:
			kind = "in the mean"
		case h.VBR:
			kind = "variable bitrate"
		}
		told := ""
		if p.ToldKbps > 0 {
			told = fmt.Sprintf("; icy-br %d", p.ToldKbps)
		}
		line("format", "%s, %.0f kbit/s, %s%s", h.First, h.Kbps, kind, told)
	}
	line("type", "%s", cmp.Or(p.ContentType, "none"))
	if h.Frames > 0 && r.Kind == "" {
		p.audio(line, h)
	}
	if r.Web.Asked && r.Web.Err == nil {
		line("browsers", "Range is answered %d, Access-Control-Allow-Origin %s", r.Web.Range, cmp.Or(r.Web.Origin, "is not there"))
	}
	line("listened", "%.1f s, %d bytes, %d frames, %.1f s of audio; the first byte after %.2f s", h.Lasted.Seconds(), h.Bytes, h.Frames, h.Audio.Seconds(), h.Wait.Seconds())
	list := func(what string, sentences []string) {
		if len(sentences) > 0 {
			fmt.Fprintf(&b, "%s:\n", what)
		}
		for _, s := range sentences {
			fmt.Fprintf(&b, "  - %s\n", printable(s))
		}
	}
	list("worth knowing", r.Notes)
	list("wrong", r.Problems)
	if len(r.Problems) == 0 {
		b.WriteString("nothing wrong\n")
	}
	return b.String()
}

// audio says how the audio comes, and what is between it.
func (p probeReport) audio(line func(what, format string, args ...any), h probe.Heard) {
	pace := "; too short to say how fast"
	if h.Rate > 0 {
		pace = fmt.Sprintf(", then %.2f %% of the pace it is heard at (± %.2f)", h.Rate*100, h.RateErr*100)
	}
	line("comes", "%.1f s ahead after %.1f s%s", h.Burst.Seconds(), h.BurstAt.Seconds(), pace)
	gap := fmt.Sprintf("longest gap %.2f s, at %s", h.Gap.Seconds(), probe.Stamp(h.GapAt))
	if h.Reserve >= 0 {
		line("", "%s; there were always %.1f s to play", gap, h.Reserve.Seconds())
	} else {
		line("", "%s; a buffer has to hold %.1f s", gap, -h.Reserve.Seconds())
	}
	switch {
	case !h.Starts:
		line("plays", "not, with a buffer of %v", p.buffer)
	case h.Dry == 0:
		line("plays", "with a buffer of %v after %.1f s, and never runs dry", p.buffer, h.StartAt.Seconds())
	default:
		line("plays", "with a buffer of %v after %.1f s, and ran dry %s, for %.1f s", p.buffer, h.StartAt.Seconds(), probe.Times(h.Dry), h.Silent.Seconds())
	}
	line("clean", "%d bytes before the first frame, %d bytes of junk behind it", h.LeadIn, h.Junk)
	for i, s := range h.Skips {
		if i == shownTitles {
			line("", "and %d more", h.Skipped-i)
			break
		}
		like := ""
		if s.What != "" {
			like = ", like " + s.What
		}
		line("", "%s  %s, %d bytes at offset %d%s", probe.Stamp(s.Time), s.Kind, s.Length, s.Offset, like)
	}
	switch {
	case h.First.Format.Ogg():
		line("titles", "in the headers of Ogg")
	case p.Metaint > 0:
		line("titles", "every %d bytes, %.1f s", p.Metaint, float64(p.Metaint)*8/1000/h.Kbps)
	default:
		line("titles", "none are sent")
	}
	for i, t := range h.Titles {
		if i == shownTitles {
			line("", "and %d more", h.Titled-i)
			break
		}
		line("", "%s  %s  (offset %d)", probe.Stamp(t.Time), join("  ", cmp.Or(t.Text, "(empty)"), t.URL), t.Offset)
	}
}

// join joins the texts that are not empty.
func join(by string, texts ...string) string {
	var some []string
	for _, s := range texts {
		if s != "" {
			some = append(some, s)
		}
	}
	return strings.Join(some, by)
}

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf("%q", s)
}
