package track

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
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
	"sync/atomic"
	"time"

	"icepush/frame"
	"icepush/id3strip"
)

// ErrNoAudio says that there is nothing to play in a file, whoever reads it.
var ErrNoAudio = errors.New("no audio in it")

// ErrForeign is what every ForeignError is.
var ErrForeign = errors.New("icepush does not play it by itself")

// ForeignError says that a file may be audio, but needs ffmpeg to be played.
type ForeignError struct{ Kind string }

func (e *ForeignError) Is(target error) bool { return target == ErrForeign }

func (e *ForeignError) Error() string {
	return "it is " + e.Kind + ", which icepush does not play by itself"
}

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

// Foreign says what a file is that certainly has frames of nothing that is read here,
// going by its first bytes behind an ID3v2 tag; "" when that is not certain. What is in
// such a file can look like frames: PCM does.
func Foreign(head []byte) string {
	is := func(at int, magic string) bool {
		return len(head) >= at+len(magic) && string(head[at:at+len(magic)]) == magic
	}
	switch {
	case is(0, "fLaC"):
		return "FLAC"
	case is(4, "ftyp"):
		return "MP4 (M4A)"
	case (is(0, "RIFF") || is(0, "RF64")) && is(8, "WAVE") && !mpegInRIFF(head):
		return "WAV"
	case is(0, "FORM") && (is(8, "AIFF") || is(8, "AIFC")):
		return "AIFF"
	case is(0, "\x1A\x45\xDF\xA3"):
		return "Matroska or WebM"
	case is(0, "\x30\x26\xB2\x75\x8E\x66\xCF\x11"):
		return "Windows Media"
	case is(0, "MAC "):
		return "Monkey's Audio"
	case is(0, "wvpk"):
		return "WavPack"
	}
	return ""
}

// mpegInRIFF reports whether a WAV file may hold MPEG audio: its format tag, where that can
// be seen, is 0x50 or 0x55 (RFC 2361).
func mpegInRIFF(head []byte) bool {
	for at := 12; at+10 <= len(head); {
		size := binary.LittleEndian.Uint32(head[at+4:])
		if string(head[at:at+4]) == "fmt " {
			tag := binary.LittleEndian.Uint16(head[at+8:])
			return tag == 0x50 || tag == 0x55
		}
		if size > headSize {
			break
		}
		at += 8 + int(size) + int(size&1)
	}
	return true
}

// noAudio says what a file without frames is, as far as its first bytes tell.
func noAudio(head []byte) error {
	is := func(at int, magic string) bool {
		return len(head) >= at+len(magic) && string(head[at:at+len(magic)]) == magic
	}
	kind := Foreign(head)
	switch {
	case kind != "":
	case len(head) == 0:
		return fmt.Errorf("%w: it is empty", ErrNoAudio)
	case is(0, "OggS"):
		kind = "Ogg without Vorbis, Opus, FLAC or Speex that can be read"
	case is(0, "RIFF"):
		kind = "WAV"
	case strings.HasPrefix(strings.TrimSpace(strings.ToLower(string(head))), "<"):
		return fmt.Errorf("%w: it is HTML or XML", ErrNoAudio)
	}
	if kind != "" {
		return &ForeignError{kind}
	}
	text, zero, high := true, true, 0
	for _, c := range head {
		text = text && (c >= 0x20 || c == '\n' || c == '\r' || c == '\t')
		zero = zero && c == 0
		if c >= 0x80 {
			high++
		}
	}
	text = text && high <= len(head)/2
	switch {
	case text:
		return fmt.Errorf("%w: it is text", ErrNoAudio)
	case zero:
		return fmt.Errorf("%w: it begins with nothing but zeros", ErrNoAudio)
	}
	return &ForeignError{"of a kind unknown here"}
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

// readHead returns the first bytes of a file, behind an ID3v2 tag when something stands
// there: it may be in front of Ogg and FLAC as well.
func readHead(f io.ReaderAt) ([]byte, error) {
	head := make([]byte, headSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, reason(err)
	}
	head = head[:n]
	if n := id3strip.HeaderLength(head); n > 0 {
		behind := make([]byte, headSize)
		if n, _ := f.ReadAt(behind, n); n > 0 {
			return behind[:n], nil
		}
	}
	return head, nil
}

// newFileInput returns the input of a file that begins with head.
func newFileInput(f *os.File, head []byte) *fileInput {
	in := &fileInput{file: f}
	if info, err := f.Stat(); err == nil {
		in.size = info.Size()
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
	since    time.Time // nothing has come
	err      error     // the last
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
		in.since, in.err = time.Time{}, item.err
		return item.frame, item.skips, item.err
	default:
	}
	wait := in.patience
	if !until.IsZero() {
		if in.patience > 0 && !in.since.IsZero() && time.Since(in.since) > in.patience {
			in.err = fmt.Errorf("nothing came for %v", in.patience)
			return frame.Frame{}, nil, in.err
		}
		if in.since.IsZero() {
			in.since = time.Now()
		}
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
		in.since, in.err = time.Time{}, item.err
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

	// urlStart is how long it may take to the first frame.
	urlStart = 15 * time.Second

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
		return nil, fmt.Errorf("the server says %s", Clean(resp.Status))
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
	var late atomic.Bool
	watch := time.AfterFunc(urlStart, func() { late.Store(true); body.Close() })
	t, err := openStream(ctx, ShowURL(path), body, hint, urlPatience, false)
	if !watch.Stop() && err != nil && late.Load() {
		err = fmt.Errorf("%s: there was no audio in %v", ShowURL(path), urlStart)
	}
	return t, err
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
		if n < streamTag-headSize {
			if b, _ := r.Peek(int(n) + headSize); len(b) > int(n) {
				head = bytes.Clone(b[n:])
			}
		}
	}
	if kind := Foreign(head); kind != "" {
		src.Close()
		return nil, fmt.Errorf("%s: %w", name, &ForeignError{kind})
	}
	read := newReader(r, head, live)
	read.frames.MaxJunk = maxJunk
	t.fed = true
	in := newFeed(read, src, patience)
	in.live = live
	t.in = in
	return t.begin(ctx, name, head, hint, func() tags { return texts })
}
