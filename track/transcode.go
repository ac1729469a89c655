package track

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"icepush/frame"
)

// Transcoder has ffmpeg turn files of other formats into the one of the stream.
type Transcoder struct {
	// To is the stream: Format, Layer, SampleRate, Channels and Bitrate count.
	To frame.Header

	// Command is the name of ffmpeg, or the path of it. Empty is "ffmpeg".
	Command string
}

const (
	// startPatience is how long ffmpeg may take to the first frame.
	startPatience = 10 * time.Second

	// runPatience is how long it may stand still then. It is less than the time Icecast
	// waits for a source.
	runPatience = 8 * time.Second
)

// encoder is how ffmpeg is asked for a format.
type encoder struct{ codec, muxer string }

var encoders = map[frame.Format]encoder{
	frame.MPEG:   {"libmp3lame", "mp3"},
	frame.AAC:    {"aac", "adts"},
	frame.Vorbis: {"libvorbis", "ogg"},
	frame.Opus:   {"libopus", "ogg"},
	frame.FLAC:   {"flac", "ogg"},
	frame.Speex:  {"libspeex", "ogg"},
}

// Available reports whether ffmpeg is there.
func (x *Transcoder) Available() bool {
	_, err := exec.LookPath(cmp.Or(x.Command, "ffmpeg"))
	return err == nil
}

// arguments returns those of ffmpeg for an input, whose shape may have to be told. Titles
// come as tags in what it writes.
func (x *Transcoder) arguments(input string, shape ...string) ([]string, error) {
	protocol, _, _ := strings.Cut(input, ":") // what is in a file must not make it open others
	to := x.To
	e, ok := encoders[to.Format]
	if to.Format == frame.MPEG && to.Layer == 2 {
		e = encoder{"mp2", "mp2"}
	}
	if !ok || to.Format == frame.MPEG && to.Layer == 1 {
		return nil, fmt.Errorf("ffmpeg makes no %s", to)
	}
	args := append([]string{"-nostdin", "-hide_banner", "-v", "error", "-protocol_whitelist", protocol}, shape...)
	args = append(args, "-i", input, "-map", "0:a:0", "-map_metadata", "0:g", "-map_metadata", "0:s:a:0", // titles may be in either
		"-vn", "-sn", "-dn", "-c:a", e.codec, "-ar", strconv.Itoa(to.SampleRate))
	if to.Channels > 0 {
		args = append(args, "-ac", strconv.Itoa(to.Channels))
	}
	if to.Bitrate > 0 && to.Format != frame.FLAC {
		args = append(args, "-b:a", strconv.Itoa(to.Bitrate))
	}
	switch e.muxer {
	case "mp3":
		args = append(args, "-write_xing", "0", "-id3v2_version", "4")
	case "adts":
		args = append(args, "-write_id3v2", "1")
	case "ogg":
		args = append(args, "-page_duration", "200000")
	}
	return append(args, "-f", e.muxer, "pipe:1"), nil
}

// Open opens a file, or an http or https URL, as ffmpeg renders it, up to the first
// frame. Hint is as for the function Open, but for Start and Stop of a part.
func (x *Transcoder) Open(ctx context.Context, path string, hint Info) (*Track, error) {
	name := ShowURL(path)
	fail := func(err error) (*Track, error) { return nil, fmt.Errorf("%s: %w", name, err) }
	var body io.ReadCloser
	input := "file:" + path // a name may begin with "-", or look like another protocol
	if isURL(path) {
		var err error
		if body, err = fetch(ctx, path); err != nil {
			return fail(err)
		}
		input = "pipe:0"
	} else if f, err := open(path); err != nil {
		return nil, err
	} else {
		f.Close()
	}
	args, err := x.arguments(input)
	if err == nil && hint.Start > 0 {
		args = append([]string{"-ss", seconds(hint.Start)}, args...)
	}
	if err == nil && hint.Stop > hint.Start {
		args = append([]string{"-t", seconds(hint.Stop - hint.Start)}, args...)
	}
	child := &child{body: body}
	if err == nil {
		err = child.start(cmp.Or(x.Command, "ffmpeg"), args)
	}
	if err != nil {
		if body != nil {
			body.Close()
		}
		return fail(err)
	}

	// While it says nothing it can be stopped by ending it.
	watch := time.AfterFunc(startPatience, func() { child.kill(fmt.Errorf("ffmpeg gave no audio in %v", startPatience)) })
	stop := context.AfterFunc(ctx, func() { child.kill(ctx.Err()) })
	defer stop()
	defer watch.Stop()
	whole := hint
	whole.Start, whole.Stop = 0, 0
	t, err := openStream(ctx, name, child, whole, runPatience, false)
	if err != nil {
		if why := child.wait(); why != nil {
			err = fmt.Errorf("%s: %w", name, why)
		} else if errors.Is(err, ErrNoAudio) {
			err = fmt.Errorf("%s: ffmpeg finds no audio in it", name)
		}
		return nil, err
	}
	header := t.Info.Header
	t.Info = describe(name, tags{t.Info.Artist, t.Info.Title, t.Info.Album}, hint)
	t.Info.Header = header
	if !t.Info.Header.SameCodec(x.To) {
		t.Close()
		return fail(fmt.Errorf("ffmpeg gave %s", t.Info.Header))
	}
	return t, nil
}

// OpenRaw has ffmpeg encode raw sound as it comes: bits a sample ("s16le"), Hz and
// channels are those of r. The track is live.
func (x *Transcoder) OpenRaw(ctx context.Context, r io.ReadCloser, sample string, rate, channels int, hint Info) (*Track, error) {
	args, err := x.arguments("pipe:0", "-f", sample, "-ar", strconv.Itoa(rate), "-ac", strconv.Itoa(channels))
	if err != nil {
		return nil, err
	}
	args = append(args[:len(args)-1:len(args)-1], "-flush_packets", "1", args[len(args)-1])
	child := &child{body: r}
	if err := child.start(cmp.Or(x.Command, "ffmpeg"), args); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { child.kill(ctx.Err()) })
	defer stop()
	return openStream(ctx, stdinName, child, hint, 0, true)
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 6, 64) }

// child is a running ffmpeg, read from.
type child struct {
	body io.ReadCloser // what it is fed; nil when it reads a file
	cmd  *exec.Cmd
	out  io.ReadCloser
	said tail

	mu    sync.Mutex
	why   error // it was killed
	ended bool

	once sync.Once
	end  error
}

func (c *child) start(command string, args []string) (err error) {
	c.cmd = exec.Command(command, args...)
	if c.body != nil {
		c.cmd.Stdin = c.body
	}
	c.cmd.Stderr = &c.said
	ownGroup(c.cmd)
	// A child that has closed its output, or left it to another, is not waited for.
	c.cmd.WaitDelay = time.Second
	if c.out, err = c.cmd.StdoutPipe(); err != nil {
		return err
	}
	if err = c.cmd.Start(); errors.Is(err, exec.ErrNotFound) {
		return errors.New("ffmpeg is not installed")
	}
	return err
}

// Read reads what ffmpeg writes. When it ends in failure so does Read.
func (c *child) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	if err != nil && n == 0 {
		if why := c.wait(); why != nil {
			return 0, why
		}
		return 0, io.EOF
	}
	return n, nil
}

// kill ends ffmpeg, for a reason.
func (c *child) kill(why error) {
	c.mu.Lock()
	if c.why == nil {
		c.why = why
	}
	ended := c.ended
	c.mu.Unlock()
	if c.body != nil {
		c.body.Close()
	}
	if !ended { // its number may be somebody else's by now
		killGroup(c.cmd)
	}
}

// wait waits for the end of ffmpeg and returns why it failed.
func (c *child) wait() error {
	c.once.Do(func() {
		err := c.cmd.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ended = true
		switch {
		case c.why == errClosed:
		case c.why != nil:
			c.end = c.why
		case err != nil:
			c.end = fmt.Errorf("ffmpeg: %s", cmp.Or(c.said.last(), err.Error()))
		}
	})
	return c.end
}

var errClosed = errors.New("closed")

// Close ends ffmpeg.
func (c *child) Close() error {
	c.kill(errClosed)
	c.wait()
	return nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const maxTail = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - maxTail; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

// last returns the last line.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := bytes.Split(bytes.TrimSpace(t.buf), []byte("\n"))
	return Clean(string(lines[len(lines)-1]))
}

// Probed is what ffprobe says of a file that icepush itself cannot read.
type Probed struct {
	Format        string
	Duration      time.Duration // about; 0 when unknown
	Artist, Title string
}

// Probe asks ffprobe about a file.
func (x *Transcoder) Probe(ctx context.Context, path string) (p Probed, err error) {
	if isURL(path) {
		return p, errors.New("a URL is not asked about")
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	command := strings.TrimSuffix(cmp.Or(x.Command, "ffmpeg"), "ffmpeg") + "ffprobe"
	cmd := exec.CommandContext(ctx, command, "-v", "error", "-protocol_whitelist", "file", "-select_streams", "a:0",
		"-show_entries", "stream=codec_name,sample_rate,channels,duration:stream_tags=artist,title:format=duration:format_tags=artist,title", "-of", "json", "-i", "file:"+path)
	var said tail
	cmd.Stderr = &said
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return p, fmt.Errorf("ffprobe: %s", cmp.Or(said.last(), err.Error()))
	}
	type entry struct {
		Codec    string            `json:"codec_name"`
		Rate     string            `json:"sample_rate"`
		Channels int               `json:"channels"`
		Duration string            `json:"duration"`
		Tags     map[string]string `json:"tags"`
	}
	var found struct {
		Streams []entry `json:"streams"`
		Format  entry   `json:"format"`
	}
	if err := json.Unmarshal(out, &found); err != nil || len(found.Streams) == 0 {
		return p, errors.New("ffprobe finds no audio in it")
	}
	s := found.Streams[0]
	if s.Codec == "" || s.Rate == "" || s.Rate == "0" || s.Channels == 0 {
		return p, errors.New("ffprobe finds no audio in it")
	}
	p.Format = fmt.Sprintf("%s, %s Hz, %d channels", Clean(s.Codec), Clean(s.Rate), s.Channels)
	for _, d := range []string{s.Duration, found.Format.Duration} {
		if v, err := strconv.ParseFloat(d, 64); err == nil && v > 0 && v < 1e6 && p.Duration == 0 {
			p.Duration = time.Duration(v * float64(time.Second))
		}
	}
	for _, tags := range []map[string]string{found.Format.Tags, s.Tags} {
		for name, value := range tags {
			switch strings.ToLower(name) {
			case "artist":
				p.Artist = cmp.Or(p.Artist, Clean(value))
			case "title":
				p.Title = cmp.Or(p.Title, Clean(value))
			}
		}
	}
	return p, nil
}
