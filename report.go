package main

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	"icepush/frame"
	"icepush/push"
	"icepush/station"
	"icepush/track"
)

// summary is what check --json says of the whole.
type summary struct {
	Files           int            `json:"files"`
	Playable        int            `json:"playable"`
	Missing         int            `json:"missing"`
	Unreadable      int            `json:"unreadable"` // lists, too
	LeftOut         int            `json:"left_out"`   // for want of ffmpeg
	DurationS       float64        `json:"duration_s"` // of what would be played, as far as it is known
	About           bool           `json:"about,omitempty"`
	UnknownDuration int            `json:"unknown_duration,omitempty"` // so many more would be played
	Stream          string         `json:"stream,omitempty"`
	Formats         map[string]int `json:"formats"`
	Mixed           int            `json:"mixed"`
	FFmpeg          int            `json:"ffmpeg"` // so many go through it
	Duplicates      int            `json:"duplicates"`
	Mended          int            `json:"mended"`
	Problems        int            `json:"with_problems"` // so many play, with something wrong in them
	NotLatin1       int            `json:"titles_not_latin1"`

	duration time.Duration
	foreign  string // a title that is not Latin-1
	byAdmin  bool   // titles go beside the stream
}

func newSummary() *summary { return &summary{Formats: map[string]int{}} }

// add counts an entry.
func (s *summary) add(f examined, v verdict, titleFormat string) {
	if f.Path == "" {
		s.Unreadable++
		return
	}
	s.Files++
	if v.twice {
		s.Duplicates++
	}
	if v.mixed {
		s.Mixed++
	}
	if f.Mended != "" {
		s.Mended++
	}
	if name := f.format(); name != "" {
		if _, ok := s.Formats[name]; !ok && len(s.Formats) >= maxFormats {
			name = "others"
		}
		s.Formats[name]++
	}
	switch {
	case v.way == station.LeftOut && errors.Is(f.err, fs.ErrNotExist):
		s.Missing++
	case v.way == station.LeftOut && (f.err == nil || errors.Is(f.err, track.ErrForeign)):
		s.LeftOut++
	case v.way == station.LeftOut:
		s.Unreadable++
	}
	if v.way == station.LeftOut {
		return
	}
	s.Playable++
	s.duration += f.report.Info.Duration
	s.About = s.About || f.about || v.way == station.ThroughFFmpeg
	if f.unknown {
		s.UnknownDuration++
	}
	if v.way == station.ThroughFFmpeg {
		s.FFmpeg++
	}
	if len(f.report.Problems) > 0 {
		s.Problems++
	}
	if title := f.report.Info.FormatTitle(titleFormat); !isLatin1(title) {
		if s.NotLatin1++; s.foreign == "" {
			s.foreign = title
		}
	}
}

// isLatin1 reports whether ISO-8859-1 has all letters of a title.
func isLatin1(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c > 0xFF })
}

// format names the format of an entry, without how its channels are coded: that may
// change from frame to frame.
func (f examined) format() string {
	h := f.report.Info.Header
	if h.Format == frame.Unknown {
		return f.probed.Format
	}
	if h.Format == frame.MPEG && h.Channels == 2 {
		h.Mode = frame.Stereo
	}
	return h.String()
}

// fileReport is what check --json says of a file. What is unknown is absent. Of a file
// with several links it says what is true of all, and the rest of each.
type fileReport struct {
	File         string       `json:"file,omitempty"`
	List         string       `json:"list,omitempty"` // where it is written
	Sent         string       `json:"sent"`
	Format       string       `json:"format,omitempty"`
	Version      string       `json:"version,omitempty"`
	Layer        int          `json:"layer,omitempty"`
	SampleRate   int          `json:"sample_rate,omitempty"`
	Channels     int          `json:"channels,omitempty"`
	BitrateKbps  float64      `json:"bitrate_kbps,omitempty"`
	VBR          *bool        `json:"vbr,omitempty"`
	Frames       *int         `json:"frames,omitempty"`
	Samples      *int64       `json:"samples,omitempty"`
	DurationS    *float64     `json:"duration_s,omitempty"`
	About        bool         `json:"about,omitempty"` // the duration
	AudioBytes   *int64       `json:"audio_bytes,omitempty"`
	AudioSHA256  string       `json:"audio_sha256,omitempty"`
	StartS       float64      `json:"start_s,omitempty"` // of a part of the file
	StopS        float64      `json:"stop_s,omitempty"`
	Artist       string       `json:"artist,omitempty"`
	Title        string       `json:"title,omitempty"`
	Album        string       `json:"album,omitempty"`
	Links        []linkReport `json:"links,omitempty"`
	HeaderFrames []span       `json:"header_frames,omitempty"`
	Tags         []span       `json:"tags,omitempty"`
	Problems     []string     `json:"problems,omitempty"`
	Notes        []string     `json:"notes,omitempty"`
}

// linkReport is one of the streams that follow each other in an Ogg file.
type linkReport struct {
	Format     string  `json:"format"`
	SampleRate int     `json:"sample_rate"`
	Channels   int     `json:"channels,omitempty"`
	Frames     int     `json:"frames"`
	Samples    int64   `json:"samples"`
	DurationS  float64 `json:"duration_s"`
	Artist     string  `json:"artist,omitempty"`
	Title      string  `json:"title,omitempty"`
}

// span is a stretch of a file.
type span struct {
	Kind   string `json:"kind"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
}

// rounded returns a duration in seconds, to the microsecond.
func rounded(d time.Duration) float64 { return math.Round(d.Seconds()*1e6) / 1e6 }

// newFileReport puts into a report what became of an entry.
func newFileReport(e examined, v verdict) fileReport {
	r, info := e.report, e.report.Info
	f := fileReport{
		File: track.ShowURL(e.Path), List: e.Position(), Sent: v.way.String(), StartS: rounded(e.Start), StopS: rounded(e.Stop),
		Artist: info.Artist, Title: info.Title, Album: info.Album, Notes: v.notes,
	}
	h := info.Header
	switch duration := rounded(info.Duration); {
	case e.Path == "", e.unknown:
	case e.about:
		f.DurationS, f.About = &duration, true
	default:
		f.DurationS, f.AudioBytes = &duration, &r.AudioBytes
		f.Frames, f.Samples = &r.Frames, &r.Samples
	}
	if h.Format != frame.Unknown {
		f.Format, f.Version, f.Layer = h.Format.String(), h.Version.String(), h.Layer
		f.SampleRate, f.Channels = h.SampleRate, h.Channels
		if !e.Remote() {
			f.BitrateKbps = math.Round(float64(r.Bitrate)/100) / 10
			f.VBR = &r.VBR
			f.AudioSHA256 = hex.EncodeToString(r.AudioSHA256)
		}
	} else {
		f.Format = e.probed.Format
	}
	if len(r.Links) > 0 {
		f.Format, f.Version, f.Layer, f.SampleRate, f.Channels, f.Frames, f.Samples = "", "", 0, 0, 0, nil, nil
		for _, l := range r.Links {
			f.Links = append(f.Links, linkReport{
				Format: l.Header.Format.String(), SampleRate: l.Header.SampleRate, Channels: l.Header.Channels,
				Frames: l.Packets, Samples: l.Samples, DurationS: linkSeconds(l), Artist: l.Artist, Title: l.Title,
			})
		}
	}
	for _, s := range r.HeaderFrames {
		f.HeaderFrames = append(f.HeaderFrames, span{s.Kind.String(), s.Offset, s.Length})
	}
	for _, t := range r.Tags {
		f.Tags = append(f.Tags, span{t.Kind, t.Offset, t.Length})
	}
	for _, s := range r.Problems {
		f.Problems = append(f.Problems, s.String())
	}
	if v.err != nil {
		f.Problems = append(f.Problems, strings.TrimPrefix(v.err.Error(), f.File+": "))
	}
	return f
}

func linkSeconds(l track.Link) float64 {
	if l.Header.SampleRate == 0 {
		return 0
	}
	return math.Round(float64(l.Samples)/float64(l.Header.SampleRate)*1e6) / 1e6
}

// checkOutput prints what check finds.
type checkOutput struct {
	w    io.Writer
	json bool
	bar  *progress
}

// object prints a value as a line of JSON.
func (o *checkOutput) object(v any) error {
	o.bar.clear()
	out := json.NewEncoder(o.w)
	out.SetEscapeHTML(false)
	return out.Encode(v)
}

// file prints what became of an entry.
func (o *checkOutput) file(f examined, v verdict) error {
	defer o.bar.step()
	if o.json {
		return o.object(newFileReport(f, v))
	}
	var text strings.Builder
	switch {
	case v.err != nil:
		text.WriteString(printable(v.err.Error()))
		if at := f.Position(); at != "" {
			fmt.Fprintf(&text, " (%s)", printable(at))
		}
		text.WriteString("\n")
	default:
		info := f.report.Info
		fmt.Fprintf(&text, "%s: ", printable(track.ShowURL(f.Path)))
		switch {
		case f.Remote():
			fmt.Fprintf(&text, "reachable, %s", info.Header)
		case f.about:
			fmt.Fprintf(&text, "%s, about %v", cmp.Or(f.probed.Format, "of a kind unknown here"), info.Duration.Round(time.Second))
		default:
			text.WriteString(f.report.String())
		}
		if f.Start > 0 || f.Stop > 0 {
			fmt.Fprintf(&text, ", from %v", f.Start.Round(time.Millisecond))
		}
		fmt.Fprintf(&text, ", %s\n", info.FormatTitle("{artist} - {title}"))
	}
	for i, l := range f.report.Links {
		title := track.Info{Artist: l.Artist, Title: l.Title}.FormatTitle("{artist} - {title}")
		fmt.Fprintf(&text, "  link %d: %s, %v, %s\n", i+1, l.Header, time.Duration(linkSeconds(l)*1e9).Round(time.Millisecond), title)
	}
	for _, s := range f.report.Problems {
		fmt.Fprintf(&text, "  %s\n", s)
	}
	for _, note := range v.notes {
		fmt.Fprintf(&text, "  %s\n", printable(note))
	}
	o.bar.clear()
	_, err := io.WriteString(o.w, text.String())
	return err
}

// targetReport is what check --json says of a server.
type targetReport struct {
	URL      string `json:"url"`
	Address  string `json:"address,omitempty"`
	TLS      string `json:"tls,omitempty"`
	Server   string `json:"server,omitempty"`
	Password string `json:"password"` // right, wrong, unknown
	Mount    string `json:"mount"`    // free, in use, unknown
	Framing  string `json:"framing,omitempty"`
	Titles   string `json:"titles,omitempty"`
	Error    string `json:"error,omitempty"`
	Hint     string `json:"hint,omitempty"`
}

// target prints what a server lets be known.
func (o *checkOutput) target(src *push.Source, f push.Findings, err error) error {
	r := targetReport{
		URL: src.Mount.String(), Address: f.Address, TLS: f.TLS, Server: f.Server, Framing: f.Framing, Titles: f.Titles,
		Password: map[push.Answer]string{push.Yes: "right", push.No: "wrong"}[f.Password],
		Mount:    map[push.Answer]string{push.Yes: "in use", push.No: "free"}[f.InUse],
	}
	r.Password, r.Mount = cmp.Or(r.Password, "unknown"), cmp.Or(r.Mount, "unknown")
	if err != nil {
		r.Error, r.Hint = strings.TrimPrefix(err.Error(), r.URL+": "), push.Hint(err)
	}
	if o.json {
		return o.object(map[string]targetReport{"target": r})
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s: ", r.URL)
	if err != nil {
		text.WriteString(printable(r.Error))
	} else {
		text.WriteString(cmp.Or(r.Server, "a server without a name"))
		if r.Address != src.Mount.Host {
			fmt.Fprintf(&text, " at %s", r.Address)
		}
		fmt.Fprintf(&text, ", framing %s, titles %s", r.Framing, r.Titles)
	}
	text.WriteString("\n")
	if r.TLS != "" {
		fmt.Fprintf(&text, "  %s\n", r.TLS)
	}
	switch {
	case f.Admin:
		text.WriteString("  user and password are the administrator's: sources have their own\n")
	case r.Password != "wrong" && f.Server+f.Framing != "":
		fmt.Fprintf(&text, "  the password is %s\n", cmp.Or(map[string]string{"right": "right"}[r.Password], "not known to be right: only a stream would show it"))
	}
	switch r.Mount {
	case "free":
		text.WriteString("  the mount is free\n")
	case "in use":
		text.WriteString("  the mount is in use: another source has it\n")
	}
	o.bar.clear()
	_, err = io.WriteString(o.w, text.String())
	return err
}

// summary prints the whole. Inband says that titles go inside the stream, where all
// letters arrive.
func (o *checkOutput) summary(s *summary, a *assessor, inband bool) error {
	o.bar.clear()
	s.DurationS = rounded(s.duration)
	if a.stream.Format != frame.Unknown {
		s.Stream = a.stream.String()
	}
	if o.json {
		return o.object(map[string]*summary{"summary": s})
	}
	var text strings.Builder
	line := func(n int, format string, args ...any) {
		if n > 0 {
			fmt.Fprintf(&text, format+"\n", args...)
		}
	}
	if len(s.Formats) > 1 {
		for _, name := range sortedByCount(s.Formats) {
			line(1, "%d × %s", s.Formats[name], name)
		}
	}
	line(s.Missing, "missing: %d", s.Missing)
	line(s.Unreadable, "not to be read, or without audio: %d", s.Unreadable)
	line(s.LeftOut, "left out for want of ffmpeg: %d", s.LeftOut)
	line(s.FFmpeg, "through ffmpeg: %d", s.FFmpeg)
	line(s.Duplicates, "in it already: %d", s.Duplicates)
	line(s.Problems, "playable, with something wrong in them: %d", s.Problems)
	if !inband && !a.stream.Format.Ogg() { // which brings its own
		line(s.NotLatin1, "titles that do not fit ISO-8859-1: %d, %q for one; where titles go beside the stream, a mount without <charset>UTF-8</charset> shows them wrong", s.NotLatin1, s.foreign)
	}
	line(s.UnknownDuration, "of a length that is not known: %d", s.UnknownDuration)
	lasts := roundly(s.duration).String()
	if s.About {
		lasts = "about " + s.duration.Round(time.Second).String()
	}
	line(1, "%d of %d files play, %s", s.Playable, s.Files, lasts)
	_, err := io.WriteString(o.w, text.String())
	return err
}

// roundly rounds a duration to what a person wants to know of it.
func roundly(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}

// sortedByCount returns the keys of counts, the most frequent first.
func sortedByCount(counts map[string]int) []string {
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(a, b)
	})
	return names
}
