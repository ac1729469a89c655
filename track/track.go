// Package track is one opened audio file: what its tags say, and its frames.
package track

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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

	Header   frame.Header  // of the first frame
	Duration time.Duration // 0 when not measured

	StreamTitle string // what goes on the air; set by who plays the track
	Number      int    // which one of the playlist it is, from 1; 0 when not counted
	Of          int    // how many the playlist has; 0 when not counted
}

// Track is a file that plays.
type Track struct {
	Info Info

	// Skipped is called for what is left out between frames, with the offset in the
	// file. It is optional and is called by Next.
	Skipped func(frame.Skip)

	file   io.Closer
	strip  *id3strip.Reader
	frames *frame.Reader
	ahead  []frame.Frame // read and not yet returned
	bytes  int           // in ahead
	end    error         // what follows them, once that is known
	early  []frame.Skip  // left out before the first frame
}

// lookAhead is how many bytes before its end the end of a track is known: as many as
// there are between two places for a title.
const lookAhead = 1024

// ErrNoAudio says that there is no audio in a file.
var ErrNoAudio = errors.New("no MPEG audio in it")

// Open opens a file up to its first frame. Hint is what a playlist says of it; it
// counts where the file itself says nothing. The error names the file.
func Open(path string, hint Info) (*Track, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	t := &Track{file: f}
	t.Info = describe(path, readTags(f), hint)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, reason(err))
	}
	t.strip = id3strip.NewReader(f)
	t.frames = frame.NewReader(t.strip)
	first, err := t.frames.Next()
	if err != nil {
		defer f.Close()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("%s: %w", path, noAudio(f))
		}
		return nil, fmt.Errorf("%s: %w", path, reason(err))
	}
	t.early = append(t.early, t.frames.Skipped()...)
	t.ahead, t.bytes = append(t.ahead, first), first.Size
	t.Info.Header = first.Header
	return t, nil
}

// open opens a regular file. Of a pipe or device nobody knows when it answers.
func open(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		kind := "no regular file"
		if info.IsDir() {
			kind = "a folder"
		}
		return nil, fmt.Errorf("%s: is %s", path, kind)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, reason(err))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, reason(err))
	}
	return f, nil
}

// reason returns what is wrong without the name of the file, which is said already.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// noAudio says what a file without frames is, as far as its first bytes tell.
func noAudio(f io.ReaderAt) error {
	head := make([]byte, 512)
	n, _ := f.ReadAt(head, 0)
	head = head[:n]
	is := func(at int, magic string) bool {
		return len(head) >= at+len(magic) && string(head[at:at+len(magic)]) == magic
	}
	switch {
	case n == 0:
		return fmt.Errorf("%w: it is empty", ErrNoAudio)
	case is(0, "OggS"):
		return fmt.Errorf("%w: it is Ogg, which icepush does not play yet", ErrNoAudio)
	case is(0, "fLaC"):
		return fmt.Errorf("%w: it is FLAC, which icepush does not play yet", ErrNoAudio)
	case is(4, "ftyp"):
		return fmt.Errorf("%w: it is MP4 (M4A), which icepush does not play yet", ErrNoAudio)
	case is(0, "RIFF") && is(8, "WAVE"):
		return fmt.Errorf("%w: it is WAV, which icepush does not play yet", ErrNoAudio)
	case n >= 2 && head[0] == 0xFF && head[1]&0xF6 == 0xF0:
		return fmt.Errorf("%w: it is AAC, which icepush does not play yet", ErrNoAudio)
	case strings.HasPrefix(strings.TrimSpace(strings.ToLower(string(head))), "<"):
		return fmt.Errorf("%w: it is HTML or XML", ErrNoAudio)
	}
	for _, c := range head {
		if c < 0x20 && c != '\n' && c != '\r' && c != '\t' {
			return ErrNoAudio
		}
	}
	return fmt.Errorf("%w: it is text", ErrNoAudio)
}

// Next returns the next frame. At the end of the file the error is io.EOF, also when
// its last frame was cut off.
func (t *Track) Next() (frame.Frame, error) {
	t.report(t.early)
	t.early = nil
	for t.end == nil && (len(t.ahead) == 0 || t.bytes-t.ahead[0].Size < lookAhead) {
		f, err := t.frames.Next()
		t.report(t.frames.Skipped())
		switch {
		case err == nil:
			t.ahead = append(t.ahead, f)
			t.bytes += f.Size
		case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
			t.end = io.EOF
		default:
			t.end = fmt.Errorf("%s: %w", t.Info.Path, reason(err))
		}
	}
	if len(t.ahead) == 0 {
		return frame.Frame{}, t.end
	}
	f := t.ahead[0]
	t.ahead = append(t.ahead[:0], t.ahead[1:]...)
	t.bytes -= f.Size
	f.Ending = t.bytes < lookAhead
	return f, nil
}

func (t *Track) report(skips []frame.Skip) {
	if t.Skipped == nil {
		return
	}
	for _, s := range skips {
		s.Offset = t.strip.SourceOffset(s.Offset)
		t.Skipped(s)
	}
}

// Close closes the file.
func (t *Track) Close() error { return t.file.Close() }

// describe chooses between what the tags and the playlist say, and falls back to the
// name of the file.
func describe(path string, t tags, hint Info) Info {
	info := Info{Path: path, Artist: t.Artist, Title: t.Title, Album: t.Album}
	if info.Title == "" {
		info.Title = clean(hint.Title)
		if info.Artist == "" {
			info.Artist = clean(hint.Artist)
		}
	}
	if info.Title == "" {
		info.Title = stem(path)
	}
	info.Number, info.Of = hint.Number, hint.Of
	return info
}

// placeholder is what a title format fills in: ours, and ezstream's names for them.
var placeholder = regexp.MustCompile(`\{(?:artist|title|album|file)\}|@[atbT]@`)

// FormatTitle fills in a title format: {artist}, {title}, {album} and {file}, or
// ezstream's @a@, @t@, @b@ and @T@. What is empty takes the text before it along, so
// that a track without an artist is "Title" and not " - Title".
func (i Info) FormatTitle(format string) string {
	format = clean(format)
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

// stem returns the name of a file without its folder and ending.
func stem(path string) string {
	name := filepath.Base(path)
	return clean(strings.TrimSuffix(name, filepath.Ext(name)))
}
