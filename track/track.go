// Package track is one thing that plays, opened: what its tags say, and its frames. It may
// be a file, what ffmpeg makes of one, a URL, or standard input.
package track

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"icepush/frame"
	"icepush/id3strip"
)

// Info is what is known of a track. Texts are UTF-8 without control characters.
type Info struct {
	Path   string
	Artist string // "" when unknown
	Title  string // never "" after Open: the file name stands in for it
	Album  string // "" when unknown

	Artwork string // URL of a picture, "" when unknown

	Header   frame.Header  // of the first frame
	Duration time.Duration // 0 when not measured

	Start, Stop time.Duration // the part of the file that is played; Stop is 0 for its end

	StreamTitle string // what goes on the air; set by who plays the track
	Continued   bool   // the track goes on, under another title
	Number      int    // which one of the playlist it is, from 1; 0 when not counted
	Of          int    // how many the playlist has; 0 when not counted
}

// Track is something that plays: a file, what ffmpeg makes of one, a URL, or a stream as it
// comes.
type Track struct {
	Info Info

	// Skipped is called for what is left out between frames, with the offset in the
	// file. It is optional and is called by Next and Await.
	Skipped func(frame.Skip)

	// Retitled says that Info has changed with the frame that was returned last: in Ogg
	// each link has titles of its own.
	Retitled bool

	in     input
	live   bool
	fed    bool   // frames are read ahead by somebody else, and may come late
	local  bool   // a file that can be read again
	format string // of StreamTitle

	ahead []frame.Frame // read and not yet returned
	bytes int           // in ahead
	end   error         // what follows them, once that is known
	early []frame.Skip  // left out before the first frame
	setup *frame.Setup  // of the frame returned last
	lead  int           // silent frames before a part, for the decoder

	samples position // of the next frame to be read

	like frame.Frame // the last one that was no silence
}

// input is where the frames of a track come from.
type input interface {
	// next returns a frame and what was left out before it, with offsets in the file. It
	// gives up when ctx ends, and at a time, when that is not zero, with ErrStalled.
	next(ctx context.Context, until time.Time) (frame.Frame, []frame.Skip, error)
	tags() []id3strip.Tag
	io.Closer
}

// lookAhead is how many bytes before its end the end of a track is known: as many as
// there are between two places for a title.
const lookAhead = 1024

// maxJunk is how much may be no audio in a row before a track is given up: more than any
// damage, and less than takes long to read.
const maxJunk = 16 << 20

// Open opens a file, or an http or https URL, up to its first frame. Hint is what a
// playlist says of it; it counts where the file itself says nothing, and for a part of a
// file. The error names the file.
func Open(ctx context.Context, path string, hint Info) (*Track, error) {
	if isURL(path) {
		return openURL(ctx, path, hint)
	}
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	head, err := readHead(f)
	if kind := Foreign(head); err == nil && kind != "" {
		err = &ForeignError{kind}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	in := newFileInput(f, head)
	t := &Track{in: in, local: true}
	return t.begin(ctx, path, head, hint, func() tags {
		return readTags(io.NewSectionReader(f, 0, in.size)) // where f is read must not move
	})
}

// begin reads up to the first frame of the part that is to be played. Tags are read when
// there is one that has none itself. On an error the input is closed.
func (t *Track) begin(ctx context.Context, path string, head []byte, hint Info, tags func() tags) (*Track, error) {
	t.Info.Path = path
	first, err := t.firstFrame(ctx, hint)
	skipped := slices.ContainsFunc(t.early, func(s frame.Skip) bool { return !s.Kind.IsHeaderFrame() })
	switch {
	case errors.Is(err, io.EOF) && !skipped && len(head) > 0:
		err = fmt.Errorf("%w: there are tags and headers in it, and no more", ErrNoAudio)
	case errors.Is(err, io.EOF), errors.Is(err, frame.ErrTooMuchJunk):
		err = noAudio(head)
	case err == errNoSuchPart:
		err = fmt.Errorf("it ends before %v", hint.Start)
	}
	if err != nil {
		t.in.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t.setup = first.Setup
	if first.Setup != nil {
		t.Info = describe(path, comments(first.Setup), hint)
	} else {
		t.Info = describe(path, tags(), hint)
	}
	t.Info.Header = first.Header
	t.estimate()
	return t, nil
}

// Local reports whether the track is a file that is played as it is.
func (t *Track) Local() bool { return t.local }

// errNoSuchPart says that a file ends before the part that is to be played.
var errNoSuchPart = errors.New("no such part")

// firstFrame puts the first frame to be played into ahead, behind what a decoder needs to
// begin there.
func (t *Track) firstFrame(ctx context.Context, hint Info) (frame.Frame, error) {
	t.Info.Stop = hint.Stop
	var row []frame.Frame
	start := -1 // in row: where the part begins; behind it there may be pages without sound
	for {
		begin := t.samples.time()
		f, err := t.pull(ctx, time.Time{})
		if err != nil {
			if len(row) > 0 && start < 0 && err == io.EOF {
				err = errNoSuchPart
			}
			return f, err
		}
		row = append(row, f)
		t.Info.Header = f.Header // what follows has to be of this codec
		if begin >= hint.Start && start < 0 {
			start = len(row) - 1
		}
		if start >= 0 && f.Samples > 0 {
			break
		}
		if start < 0 && len(row) > frame.MaxBefore {
			row = append(row[:0], row[1:]...)
		}
	}
	last := len(row) - 1
	for i := frame.From(start, func(i int) frame.Frame { return row[i] }); i <= last; i++ {
		f := row[i]
		if i < start {
			f = f.Muted()
			t.lead++
		}
		t.ahead = append(t.ahead, f)
		t.bytes += f.Size
	}
	return row[last], nil
}

// Seamless leaves out the frames before the part of a file that is played, which are
// silent: the frame before it has been played already.
func (t *Track) Seamless() {
	for ; t.lead > 0; t.lead-- {
		t.take()
	}
}

// estimate sets the bitrate of a track whose header does not tell it, from its first
// second.
func (t *Track) estimate() {
	if t.Info.Header.Bitrate > 0 || t.live {
		return
	}
	var p position
	bytes := 0
	for i := 0; ; i++ {
		if i == len(t.ahead) {
			if more, _ := t.readAhead(context.Background(), time.Time{}); !more {
				break
			}
		}
		f := t.ahead[i]
		p.add(f)
		bytes += f.Size
		if p.time() >= time.Second || bytes > 256<<10 {
			break
		}
	}
	if d := p.time(); d > 0 {
		t.Info.Header.Bitrate = int(float64(bytes) * 8 / d.Seconds())
	}
}

// pull reads the next frame of the part that is played. Another codec's are left out.
func (t *Track) pull(ctx context.Context, until time.Time) (frame.Frame, error) {
	for {
		f, skips, err := t.in.next(ctx, until)
		t.report(skips)
		switch {
		case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
			return f, io.EOF
		case err != nil:
			return f, err
		case t.Info.Header.Format != frame.Unknown && !f.SameCodec(t.Info.Header):
			t.report([]frame.Skip{{Kind: frame.OtherCodec, Offset: f.Offset, Length: int64(f.Size)}})
			continue
		case t.Info.Stop > 0 && t.samples.time() >= t.Info.Stop:
			return f, io.EOF
		}
		t.samples.add(f)
		return f, nil
	}
}

// readAhead reads one frame more. It returns false at the end, and an error when none has
// come until a time, or ctx has ended.
func (t *Track) readAhead(ctx context.Context, until time.Time) (more bool, err error) {
	if t.end != nil {
		return false, nil
	}
	f, err := t.pull(ctx, until)
	if errors.Is(err, ErrStalled) || ctx.Err() != nil {
		return false, err
	}
	if err != nil {
		if t.end = err; err != io.EOF {
			t.end = fmt.Errorf("%s: %w", t.Info.Path, err)
		}
		return false, nil
	}
	t.ahead = append(t.ahead, f)
	t.bytes += f.Size
	return true, nil
}

// take removes the first frame from ahead.
func (t *Track) take() frame.Frame {
	f := t.ahead[0]
	t.ahead = append(t.ahead[:0], t.ahead[1:]...)
	t.bytes -= f.Size
	return f
}

// Next returns the next frame. At the end of the file the error is io.EOF, also when
// its last frame was cut off.
func (t *Track) Next() (frame.Frame, error) {
	return t.nextUntil(context.Background(), time.Time{})
}

func (t *Track) nextUntil(ctx context.Context, until time.Time) (frame.Frame, error) {
	t.report(t.early)
	t.early = nil
	for len(t.ahead) == 0 || t.bytes-t.ahead[0].Size < lookAhead {
		more, err := t.readAhead(ctx, until)
		if err != nil {
			return frame.Frame{}, err
		}
		if !more {
			break
		}
	}
	if len(t.ahead) == 0 {
		return frame.Frame{}, t.end
	}
	f := t.take()
	f.Ending = t.bytes < lookAhead
	f.Last = f.Setup != nil && (len(t.ahead) == 0 || t.ahead[0].Setup != f.Setup)
	t.retitle(f)
	return f, nil
}

// retitle takes the titles of a new link of Ogg.
func (t *Track) retitle(f frame.Frame) {
	t.Retitled = f.Setup != t.setup && f.Setup != nil
	if !t.Retitled {
		return
	}
	t.setup = f.Setup
	was := t.Info
	t.Info = describe(was.Path, comments(f.Setup), Info{})
	t.Info.Header, t.Info.Duration, t.Info.Number, t.Info.Of = was.Header, was.Duration, was.Number, was.Of
	t.Info.Start, t.Info.Stop = was.Start, was.Stop
	t.SetTitleFormat(t.format)
}

// SetTitleFormat sets what goes on the air as title, as for [Info.FormatTitle].
func (t *Track) SetTitleFormat(format string) {
	t.format = format
	t.Info.StreamTitle = t.Info.FormatTitle(format)
	if t.Info.StreamTitle == "" && format != "" {
		t.Info.StreamTitle = t.Info.FormatTitle("{file}") // else the title before would stay
	}
}

func (t *Track) report(skips []frame.Skip) {
	if t.Skipped == nil {
		t.early = append(t.early, skips[:min(len(skips), maxEarly-len(t.early))]...)
		return
	}
	for _, s := range skips {
		t.Skipped(s)
	}
}

// maxEarly bounds what is remembered of what was left out before somebody listens.
const maxEarly = 1000

// Close closes the file.
func (t *Track) Close() error { return t.in.Close() }

// position is a moment in audio.
type position struct {
	before  time.Duration // of other sample rates
	samples int64
	rate    int
}

func (p *position) add(f frame.Frame) {
	if f.SampleRate != p.rate {
		*p = position{before: p.time(), rate: f.SampleRate}
	}
	p.samples += int64(f.Samples)
}

func (p *position) time() time.Duration {
	if p.rate == 0 {
		return p.before
	}
	rate := int64(p.rate)
	return p.before + time.Duration(p.samples/rate)*time.Second + time.Duration(p.samples%rate*int64(time.Second)/rate)
}

// describe chooses between what the tags and the playlist say, and falls back to the
// name of the file. Of a part of a file the playlist knows better.
func describe(path string, t tags, hint Info) Info {
	info := Info{Path: path, Artist: t.Artist, Title: t.Title, Album: t.Album, Artwork: hint.Artwork, Start: hint.Start, Stop: hint.Stop}
	if part := hint.Start > 0 || hint.Stop > 0; info.Title == "" || part && hint.Title != "" {
		info.Title = Clean(hint.Title)
		if artist := Clean(hint.Artist); info.Artist == "" || part && artist != "" {
			info.Artist = artist
		}
	}
	if info.Album == "" {
		info.Album = Clean(hint.Album)
	}
	if info.Title == "" {
		info.Title = stem(path)
	}
	info.Number, info.Of = hint.Number, hint.Of
	return info
}

// comments returns what the headers of an Ogg stream say.
func comments(s *frame.Setup) tags {
	return tags{Clean(s.Artist()), Clean(s.Comment("TITLE")), Clean(s.Comment("ALBUM"))}
}

// placeholder is what a title format fills in: ours, and ezstream's names for them.
var placeholder = regexp.MustCompile(`\{(?:artist|title|album|file)\}|@[atbT]@`)

// FormatTitle fills in a title format: {artist}, {title}, {album} and {file}, or
// ezstream's @a@, @t@, @b@ and @T@. What is empty takes the text before it along, so
// that a track without an artist is "Title" and not " - Title".
func (i Info) FormatTitle(format string) string {
	format = Clean(format)
	at := placeholder.FindAllStringIndex(format, -1)
	if len(at) == 0 {
		return format
	}
	var out strings.Builder
	out.WriteString(format[:at[0][0]])
	filled := false
	for n, p := range at {
		var value string
		switch format[p[0]:p[1]] {
		case "{artist}", "@a@":
			value = i.Artist
		case "{title}", "@t@":
			value = i.Title
		case "{album}", "@b@":
			value = i.Album
		default:
			value = stem(i.Path)
		}
		if value == "" {
			continue
		}
		if filled {
			out.WriteString(format[at[n-1][1]:p[0]])
		}
		out.WriteString(value)
		filled = true
	}
	out.WriteString(format[at[len(at)-1][1]:])
	return strings.TrimSpace(out.String())
}

// stem returns the name of a file without its folder and ending. Standard input has none.
func stem(path string) string {
	name := filepath.Base(path)
	if path == stdinName {
		return ""
	}
	if isURL(path) {
		if u, err := url.Parse(path); err == nil {
			name = filepath.Base(u.Path)
		}
	}
	return Clean(strings.TrimSuffix(name, filepath.Ext(name)))
}
