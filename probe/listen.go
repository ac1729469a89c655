package probe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"icepush/frame"
	"icepush/icy"
	"icepush/id3strip"
)

const (
	// maxNoise is how many bytes in a row may be no audio before there is none.
	maxNoise = 1 << 20

	// maxList bounds how many titles, skips and changes are listed. All are counted.
	maxList = 1000

	// headSize is how much of the beginning of a stream tells what it is.
	headSize = 512
)

// Heard is what came while the probe listened. Times are counted from the first byte, in
// the time of the world where the name ends in At, else in the time of the audio.
type Heard struct {
	Wait   time.Duration // from the request to the first byte
	Lasted time.Duration // from then to the end
	Bytes  int64         // without ICY blocks
	Audio  time.Duration // of whole frames
	Frames int
	First  frame.Header // of the first frame, Unknown when there was none
	Kbps   float64      // of the frames, mean
	VBR    bool         // their bitrate changes

	LeadIn  int64  // bytes before the first frame
	Skips   []Skip // what was no audio behind it
	Skipped int    // how often
	Junk    int64  // bytes of them

	Titles []Title
	Titled int // how many there were, the listed ones among them
	Odd    int // ICY blocks that are none

	Changes []Change // of the format
	Changed int

	Burst   time.Duration // how far ahead a player is when it has joined
	BurstAt time.Duration // when it is
	Rate    float64       // seconds of audio a second behind the burst, 0 when that is not known
	RateErr float64       // standard error of it
	Reserve time.Duration // the least a player that plays at once was ahead, behind the burst
	Gap     time.Duration // the longest time nothing came
	GapAt   time.Duration
	Starts  bool          // a player with the buffer begins to play
	StartAt time.Duration // when it does
	Dry     int           // how often it ran dry
	Silent  time.Duration // for how long in all

	// End is why the stream ended before the time was over, nil when it did not.
	End error
}

// Skip is a stretch that is no audio.
type Skip struct {
	Kind   string // "junk", "Xing", "ID3v2.3" and so on
	What   string // what it looks like, "" when like nothing that is known
	Offset int64  // in the audio
	Length int64
	Time   time.Duration
}

// Title is a title and where it stood.
type Title struct {
	icy.Title
	Time    time.Duration
	Latin1  bool // it was no UTF-8
	Garbled bool // it was UTF-8, taken for Latin-1 and made UTF-8 again
}

// Change is a place where the format of the stream changes.
type Change struct {
	Header frame.Header
	Offset int64
	Time   time.Duration
}

// listener measures a stream.
type listener struct {
	Heard
	meter  *meter
	pace   pace
	player player
	titles func(before int64) []icy.Title
	last   frame.Header
	setup  *frame.Setup
	tags   int // how many have been noted
}

// listen reads a stream until it ends, or ctx, which has to end the reading as well. In
// begins with what the meter has read.
func (l *listener) listen(ctx context.Context, in *bufio.Reader) {
	head, _ := in.Peek(headSize)
	src, offset := io.Reader(in), func(n int64) int64 { return n }
	var strip *id3strip.Reader
	if !bytes.HasPrefix(head, []byte("OggS")) { // what looks like a tag in there is none
		strip = id3strip.NewReader(in)
		strip.Live = true
		src, offset = strip, strip.SourceOffset
	}
	frames := frame.NewReader(src)
	frames.MaxJunk = maxNoise
	for {
		f, err := frames.Next()
		if err != nil {
			if strip != nil {
				l.noteTags(strip.Tags(), math.MaxInt64)
			}
			l.end(ctx, err)
			return
		}
		begins, ends := offset(f.Offset), offset(f.Offset+int64(f.Size)-1)+1
		if strip != nil {
			l.noteTags(strip.Tags(), begins)
		}
		for _, s := range frames.Skipped() {
			l.noteSkip(s, offset(s.Offset))
		}
		l.noteTitles(f, begins, ends)
		l.frame(f, begins, ends)
	}
}

// frame counts a frame.
func (l *listener) frame(f frame.Frame, begins, ends int64) {
	switch {
	case l.Frames == 0:
		l.First = f.Header
	case !f.SameStream(l.last) || f.Channels != l.last.Channels:
		if l.Changed++; len(l.Changes) < maxList {
			l.Changes = append(l.Changes, Change{f.Header, begins, l.Audio})
		}
	}
	l.last = f.Header
	l.Frames++
	l.Kbps += float64(f.Size) * 8 / 1000 // kilobits, until the end
	l.VBR = l.VBR || f.Format == frame.MPEG && f.Bitrate != l.First.Bitrate
	at, lasts := l.meter.when(ends), f.Lasts()
	l.pace.come(at, lasts)
	l.player.come(at, lasts)
	l.Audio += lasts
}

// noteTags notes the tags that stand before an offset and have not been noted.
func (l *listener) noteTags(tags []id3strip.Tag, before int64) {
	for l.tags < len(tags) && tags[l.tags].Offset < before {
		t := tags[l.tags]
		l.skip(t.Kind, "", t.Offset, t.Length)
		l.tags++
	}
}

// noteSkip notes what is no audio, where it stood in the stream.
func (l *listener) noteSkip(s frame.Skip, offset int64) {
	switch {
	case s.Kind == frame.SetupPage, s.Kind == frame.OtherPage: // they belong there
		return
	case l.Frames == 0 && !s.Kind.IsHeaderFrame():
		l.LeadIn += s.Length
		return
	}
	l.skip(s.Kind.String(), looksLike(l.meter.sample(offset, min(s.Length+64, 8<<10))), offset, s.Length)
}

func (l *listener) skip(kind, what string, offset, length int64) {
	l.Junk += length
	if l.Skipped++; len(l.Skips) < maxList {
		l.Skips = append(l.Skips, Skip{kind, what, offset, length, l.Audio})
	}
}

// chunkSize is the line between two chunks (RFC 9112, 7.1).
var chunkSize = regexp.MustCompile(`\r\n[0-9A-Fa-f]{1,8}\r\n`)

// looksLike says what junk most likely is.
func looksLike(b []byte) string {
	lower := bytes.ToLower(b)
	switch {
	case bytes.Contains(b, []byte("StreamTitle='")):
		return "ICY metadata"
	case bytes.Contains(lower, []byte("<html")), bytes.Contains(lower, []byte("<!doctype")):
		return "a web page"
	case bytes.Contains(b, []byte("ID3\x03")), bytes.Contains(b, []byte("ID3\x04")), bytes.Contains(b, []byte("ID3\x02")):
		return "an ID3 tag"
	case bytes.Contains(b, []byte("\xFF\xD8\xFF")), bytes.Contains(b, []byte("\x89PNG")):
		return "a picture"
	case chunkSize.Match(b):
		return "the sizes of chunks"
	case len(b) > 0 && len(bytes.Trim(b, "\x00")) == 0:
		return "zeros"
	}
	return ""
}

// noteTitles notes the titles that stand in or before a frame.
func (l *listener) noteTitles(f frame.Frame, begins, ends int64) {
	titles := l.titles(ends)
	if f.Setup != l.setup && f.Setup != nil { // of Ogg
		raw := f.Setup.Title()
		titles = []icy.Title{{Offset: begins, Text: icy.UTF8(raw), Raw: raw}}
	}
	l.setup = f.Setup
	for _, t := range titles {
		l.title(t)
	}
}

func (l *listener) title(t icy.Title) {
	if l.Titled++; len(l.Titles) < maxList {
		l.Titles = append(l.Titles, Title{t, l.Audio, !utf8.ValidString(t.Raw), garbled(t.Raw)})
	}
}

// garbled reports whether a text is UTF-8 that somebody took for Latin-1 or Windows-1252
// and wrote as UTF-8: then its letters, as bytes, are UTF-8 beyond ASCII.
func garbled(s string) bool {
	b := make([]byte, 0, len(s))
	high := false
	for _, c := range s { // what is no UTF-8 gives U+FFFD
		switch i := slices.Index(windows1252[:], c); {
		case c < 0x100:
			b = append(b, byte(c))
		case i >= 0:
			b = append(b, byte(0x80+i))
		default:
			return false
		}
		high = high || c >= 0x80
	}
	return high && utf8.Valid(b)
}

// windows1252 are the letters of Windows-1252 from 0x80 to 0x9F, where Latin-1 has none.
var windows1252 = [32]rune{
	'€', 0x81, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0x8D, 'Ž', 0x8F,
	0x90, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0x9D, 'ž', 'Ÿ',
}

// end puts together what has been heard. The error is why no more came.
func (l *listener) end(ctx context.Context, err error) {
	now := time.Now()
	m := l.meter
	for _, t := range l.titles(math.MaxInt64) {
		l.title(t)
	}
	l.Bytes = m.n
	if ctx.Err() == nil {
		var parse *frame.ParseError
		if l.End = err; errors.As(err, &parse) {
			l.End = parse.Err
		}
		if errors.Is(err, io.ErrUnexpectedEOF) { // inside of a frame
			l.End = io.EOF
		}
	}
	if l.End != io.EOF {
		m.pause(now)
	}
	l.Gap, l.GapAt = m.gap, m.gapAt
	if m.n == 0 {
		return
	}
	l.Lasted = now.Sub(m.first)
	if l.End == io.EOF {
		l.Lasted = m.last.Sub(m.first)
	}
	if l.Frames == 0 {
		return
	}
	l.Kbps /= l.Audio.Seconds()
	if l.Lasted > l.pace.last.at {
		l.pace.end(l.Lasted)
	}
	l.player.end(l.Lasted)
	l.Burst, l.BurstAt, _ = l.pace.burst()
	l.Rate, l.RateErr, _ = l.pace.rate()
	l.Reserve = l.pace.reserve()
	l.Starts, l.StartAt, l.Dry, l.Silent = l.player.begun, l.player.start, l.player.dry, l.player.silent
}
