package track

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"icepush/frame"
	"icepush/id3strip"
)

var (
	// ErrNoAudio says that there is nothing to play in a file, whoever reads it.
	ErrNoAudio = errors.New("no audio in it")

	// ErrForeign says that a file may be audio, but needs ffmpeg to be played.
	ErrForeign = errors.New("which icepush does not play by itself")
)

const (
	// headSize is how much of the beginning of a file tells what it is.
	headSize = 512

	// streamTag is how much of an ID3v2 tag is looked at where one cannot go back.
	streamTag = 64 << 10
)

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
func noAudio(head []byte) error {
	is := func(at int, magic string) bool {
		return len(head) >= at+len(magic) && string(head[at:at+len(magic)]) == magic
	}
	foreign := ""
	switch {
	case len(head) == 0:
		return fmt.Errorf("%w: it is empty", ErrNoAudio)
	case is(0, "OggS"):
		foreign = "Ogg without Vorbis, Opus, FLAC or Speex that can be read"
	case is(0, "fLaC"), is(0, "ID3") && bytes.Contains(head, []byte("fLaC")):
		foreign = "FLAC"
	case is(4, "ftyp"):
		foreign = "MP4 (M4A)"
	case is(0, "RIFF") && is(8, "WAVE"), is(0, "RF64"):
		foreign = "WAV"
	case is(0, "FORM") && (is(8, "AIFF") || is(8, "AIFC")):
		foreign = "AIFF"
	case is(0, "\x1A\x45\xDF\xA3"):
		foreign = "Matroska or WebM"
	case is(0, "\x30\x26\xB2\x75\x8E\x66\xCF\x11"):
		foreign = "Windows Media"
	case is(0, "MAC "):
		foreign = "Monkey's Audio"
	case is(0, "wvpk"):
		foreign = "WavPack"
	case strings.HasPrefix(strings.TrimSpace(strings.ToLower(string(head))), "<"):
		return fmt.Errorf("%w: it is HTML or XML", ErrNoAudio)
	}
	if foreign != "" {
		return fmt.Errorf("it is %s, %w", foreign, ErrForeign)
	}
	text, zero := true, true
	for _, c := range head {
		text = text && (c >= 0x20 || c == '\n' || c == '\r' || c == '\t')
		zero = zero && c == 0
	}
	switch {
	case text:
		return fmt.Errorf("%w: it is text", ErrNoAudio)
	case zero:
		return fmt.Errorf("%w: it begins with nothing but zeros", ErrNoAudio)
	case is(0, "ID3"):
		return fmt.Errorf("%w: there are tags in it, and no more", ErrNoAudio)
	}
	return fmt.Errorf("it is of a kind unknown here, %w", ErrForeign)
}

// reader reads the frames of a byte stream, without its tags.
type reader struct {
	frames *frame.Reader
	strip  *id3strip.Reader // nil for Ogg: what looks like a tag in a page is none
}

// newReader returns a reader of r, which begins with head.
func newReader(r io.Reader, head []byte, live bool) *reader {
	if bytes.HasPrefix(head, []byte("OggS")) {
		return &reader{frames: frame.NewReader(r)}
	}
	strip := id3strip.NewReader(r)
	strip.Live = live
	return &reader{frame.NewReader(strip), strip}
}

// read returns a frame and what was left out before it.
func (r *reader) read() (frame.Frame, []frame.Skip, error) {
	f, err := r.frames.Next()
	skips := r.frames.Skipped()
	if r.strip != nil {
		for i := range skips {
			skips[i].Offset = r.strip.SourceOffset(skips[i].Offset)
		}
	}
	return f, skips, err
}

func (r *reader) tags() []id3strip.Tag {
	if r.strip == nil {
		return nil
	}
	return r.strip.Tags()
}

// fileInput is a file on a disk.
type fileInput struct {
	*reader
	file *os.File
	size int64
}

// newFileInput returns the input of a file that begins with head.
func newFileInput(f *os.File, head []byte) *fileInput {
	in := &fileInput{file: f}
	if info, err := f.Stat(); err == nil {
		in.size = info.Size()
	}
	// Ogg may have an ID3v2 tag in front, which is no page.
	if n := id3strip.HeaderLength(head); n > 0 {
		behind := make([]byte, 4)
		if _, err := f.ReadAt(behind, n); err == nil && string(behind) == "OggS" {
			head = behind
		}
	}
	in.reader = newReader(f, head, false)
	in.frames.MaxJunk = maxJunk
	return in
}

func (in *fileInput) next(context.Context, time.Time) (frame.Frame, []frame.Skip, error) {
	f, skips, err := in.read()
	if err == nil {
		return f, skips, nil
	}
	// At its end, or what seems to be that, a file that was being written to tells.
	if info, e := in.file.Stat(); e == nil && info.Size() < in.size && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		err = fmt.Errorf("it became shorter while it was read: %d bytes of %d are left", info.Size(), in.size)
	}
	return f, skips, reason(err)
}

func (in *fileInput) Close() error { return in.file.Close() }

// feed reads frames in a goroutine of its own, for who cannot be sure to be answered.
type feed struct {
	*reader
	patience time.Duration // the longest wait for a frame
	src      io.Closer
	live     bool // src cannot be closed while it is read
	frames   chan fed
	stop     chan struct{}
	done     sync.WaitGroup
	once     sync.Once
	err      error // the last
}

// fed is what a feed hands over.
type fed struct {
	frame frame.Frame
	skips []frame.Skip
	err   error
}

// feedAhead is how many frames a feed reads ahead.
const feedAhead = 64

// newFeed starts to read r. Close ends that, which closes src first.
func newFeed(r *reader, src io.Closer, patience time.Duration) *feed {
	in := &feed{reader: r, patience: patience, src: src, frames: make(chan fed, feedAhead), stop: make(chan struct{})}
	in.done.Go(func() {
		for {
			var item fed
			item.frame, item.skips, item.err = r.read()
			item.skips = append([]frame.Skip(nil), item.skips...)
			select {
			case in.frames <- item:
			case <-in.stop:
				return
			}
			if item.err != nil {
				return
			}
		}
	})
	return in
}

func (in *feed) next(ctx context.Context, until time.Time) (frame.Frame, []frame.Skip, error) {
	if in.err != nil {
		return frame.Frame{}, nil, in.err
	}
	select {
	case item := <-in.frames:
		in.err = item.err
		return item.frame, item.skips, item.err
	default:
	}
	wait := in.patience
	if !until.IsZero() {
		wait = time.Until(until)
	}
	var late <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		late = timer.C
	} else if !until.IsZero() {
		return frame.Frame{}, nil, ErrStalled
	}
	select {
	case item := <-in.frames:
		in.err = item.err
		return item.frame, item.skips, item.err
	case <-late:
		if until.IsZero() {
			in.err = fmt.Errorf("nothing came for %v", in.patience)
			return frame.Frame{}, nil, in.err
		}
		return frame.Frame{}, nil, ErrStalled
	case <-ctx.Done():
		return frame.Frame{}, nil, ctx.Err()
	}
}

func (in *feed) Close() error {
	var err error
	in.once.Do(func() {
		close(in.stop)
		err = in.src.Close()
		if !in.live {
			in.done.Wait()
		}
	})
	return err
}

// isURL reports whether a path is a URL that can be played.
func isURL(path string) bool {
	scheme, _, ok := strings.Cut(path, "://")
	return ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

const (
	// urlPatience is how long a server may say nothing. It is less than the time Icecast
	// waits for a source.
	urlPatience = 8 * time.Second

	maxRedirects = 5
)

// client fetches URLs. There is no limit on how long that takes, for a file is read as
// it is played.
var client = &http.Client{
	Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: urlPatience}).DialContext,
		TLSHandshakeTimeout:   urlPatience,
		ResponseHeaderTimeout: urlPatience,
		DisableCompression:    true,
	},
	CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return errors.New("it is redirected too often")
		}
		return nil
	},
}

// fetch asks for a URL. The error has no password in it.
func fetch(ctx context.Context, path string) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		cancel()
		return nil, errors.New("this is no URL")
	}
	req.Header.Set("User-Agent", "icepush")
	resp, err := client.Do(req)
	if err != nil {
		cancel()
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		cancel()
		return nil, fmt.Errorf("the server says %s", resp.Status)
	}
	return &fetched{resp.Body, cancel}, nil
}

// fetched is a body whose Close also ends a read that waits.
type fetched struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (f *fetched) Close() error {
	f.cancel()
	return f.ReadCloser.Close()
}

// ShowURL returns a URL, or the name of a file, as it may be shown: without a password.
func ShowURL(path string) string {
	if !isURL(path) {
		return path
	}
	u, err := url.Parse(path)
	if err != nil {
		return "a URL that cannot be read"
	}
	return u.Redacted()
}

func openURL(ctx context.Context, path string, hint Info) (*Track, error) {
	body, err := fetch(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ShowURL(path), err)
	}
	return openStream(ctx, ShowURL(path), body, hint, urlPatience, false)
}

// openStream opens what cannot be gone back in.
func openStream(ctx context.Context, name string, src io.ReadCloser, hint Info, patience time.Duration, live bool) (*Track, error) {
	r := bufio.NewReaderSize(src, streamTag)
	head, err := r.Peek(headSize)
	if err != nil && err != io.EOF {
		src.Close()
		return nil, fmt.Errorf("%s: %w", name, reason(err))
	}
	head = bytes.Clone(head)
	t := &Track{live: live}
	var texts tags
	if n := id3strip.HeaderLength(head); n > 0 {
		b, _ := r.Peek(int(min(n, streamTag)))
		texts = readTags(bytes.NewReader(bytes.Clone(b)))
		if b, err := r.Peek(int(min(n+4, streamTag))); err == nil && n+4 <= streamTag && string(b[n:]) == "OggS" {
			head = b[n:]
		}
	}
	read := newReader(r, head, live)
	read.frames.MaxJunk = maxJunk
	in := newFeed(read, src, patience)
	in.live = live
	t.in = in
	return t.begin(ctx, name, head, hint, func() tags { return texts })
}
