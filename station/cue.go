package station

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"time"

	"icepush/frame"
	"icepush/playlist"
	"icepush/track"
)

// ErrNothingPlayable says that a whole pass through the playlist had nothing in it that
// plays.
var ErrNothingPlayable = errors.New("nothing in it can be played")

// Cue opens tracks before they are due, one ahead of the one that plays, so that a slow
// disk or a row of missing files is not heard.
type Cue struct {
	Playlist playlist.Playlist
	Loop     bool

	// Fill is played over and over when the list has ended, until the show has. The zero
	// value lets the show end with the list.
	Fill playlist.Playlist

	// Title is the format of what goes on the air, as for track.Info.FormatTitle.
	Title string

	// Measure asks for the duration of each track, which means to read it twice.
	Measure bool

	// Format is that of the stream; the zero value takes that of the first track. Tracks
	// of another codec never go on the air as they are.
	Format frame.Header

	// Transcode says which tracks go through ffmpeg.
	Transcode Transcode

	// Transcoder runs ffmpeg. Its To is set here.
	Transcoder track.Transcoder

	// Reload asks for the list to be read again, while a track plays: what follows it then
	// is what stands behind it in the list now. It is optional.
	Reload <-chan struct{}

	// Queue is what is played before the list goes on. It is optional.
	Queue *Queue

	// Log takes what cannot be played. Nil is slog.Default.
	Log *slog.Logger

	tracks chan *track.Track
	last   track.Info // the one that plays
	failed error      // what went wrong in this pass: the only thing to say of it, perhaps
	mended map[string]bool
	told   bool // that there is nothing in the list any more
}

// Transcode says which tracks go through ffmpeg.
type Transcode int

const (
	Auto   Transcode = iota // those that are not of the stream's format
	Never                   // none; what is of another codec is left out
	Always                  // all
)

// DefaultFormat is the stream's when its first track has none that can be one.
var DefaultFormat = frame.Header{Format: frame.MPEG, Version: frame.MPEG1, Layer: 3, SampleRate: 44100, Channels: 2, Mode: frame.JointStereo, Bitrate: 192_000}

// Tracks returns the channel Run sends to. The last one is nil; it is closed when Run
// returns.
func (c *Cue) Tracks() <-chan *track.Track {
	if c.tracks == nil {
		c.tracks = make(chan *track.Track)
	}
	return c.tracks
}

// Run opens tracks until the playlist ends, or ctx. It fails with ErrNothingPlayable
// when a pass had nothing to play.
func (c *Cue) Run(ctx context.Context) error {
	c.Tracks()
	defer close(c.tracks)
	defer c.Queue.close()
	total := 0
	for pass := 0; ; pass++ {
		played, err := c.pass(ctx, pass)
		total += played
		switch {
		case err != nil:
			return err
		case played == 0 && c.Loop && total > 0: // a list that is being written, or a disk that is away
			if err := c.wait(ctx); err != nil {
				return err
			}
		case played == 0 && c.failed != nil:
			return &NothingPlayableError{c.failed}
		case played == 0:
			return ErrNothingPlayable
		case !c.Loop:
			return nil
		}
	}
}

// emptyPause is how long a list that has become empty is left alone.
const emptyPause = 5 * time.Second

// wait waits until a list that has nothing to play any more may have something.
func (c *Cue) wait(ctx context.Context) error {
	if !c.told {
		c.log().Warn("there is nothing in it to play any more: it is looked at again and again")
		c.told = true
	}
	select {
	case <-time.After(emptyPause):
	case <-c.Reload:
	case <-c.Queue.wake():
	case <-ctx.Done():
	}
	return ctx.Err()
}

// NothingPlayableError is ErrNothingPlayable with the last reason.
type NothingPlayableError struct{ Reason error }

func (e *NothingPlayableError) Error() string {
	return ErrNothingPlayable.Error() + " (" + e.Reason.Error() + ")"
}

func (e *NothingPlayableError) Is(target error) bool { return target == ErrNothingPlayable }
func (e *NothingPlayableError) Unwrap() error        { return e.Reason }

// pass sends the tracks of one time through the playlist, which may be another in the
// middle of it.
func (c *Cue) pass(ctx context.Context, n int) (played int, err error) {
	log := c.log()
	of := 0
	if c.Measure { // to be shown; it reads all lists
		of = c.Playlist.Len()
	}
	var on place // what plays
	first, rest := 0, c.Playlist.Pass(n)
	for {
		again, err := c.interlude(ctx)
		if err != nil {
			return played, err
		}
		for t, err := range c.open(ctx, rest, first, of) {
			var info track.Info // whoever plays it may change it
			if err == nil && !again {
				info = t.Info
				again, err = c.give(ctx, &t)
			}
			if err != nil {
				return played, err
			}
			if again {
				t.close()
				break
			}
			if t.Track == nil { // it could not be opened again
				continue
			}
			on.take(t)
			c.last, c.told = info, false
			played++
		}
		if !again && (c.Loop || played == 0) {
			return played, nil
		}
		if !again { // until the last one has ended there may be more
			if again, err = c.end(ctx); err != nil || !again {
				return played, err
			}
		}
		log.Info("the list is read again")
		if first, rest = 0, c.Playlist.Pass(n); on.number > 0 {
			first, rest = c.Playlist.Resume(n, on.number-1, on.key, on.played)
		}
	}
}

// place is where in a pass the show is.
type place struct {
	number int    // of what plays, counted from 1; 0 for nothing yet
	key    string // of its entry
	played map[string]bool
}

// maxPlayed bounds what is remembered to have been played in a pass.
const maxPlayed = 100_000

func (p *place) take(t cued) {
	p.number, p.key = t.hint.Number, t.key
	if p.played == nil {
		p.played = map[string]bool{}
	}
	if len(p.played) < maxPlayed {
		p.played[p.key] = true
	}
}

// hand gives a track to the station when that wants one. Asked says that the list is to be
// read again before: what it says now may be another. Queued says that there is something
// to be played before, when wake tells of that. The track is closed then. No track is the
// end of the show.
func (c *Cue) hand(ctx context.Context, t cued, wake <-chan struct{}) (asked, queued bool, err error) {
	c.Queue.offer(t, wake == nil)
	select { // what has been asked before goes before
	case <-c.Reload:
		asked = true
	case <-wake:
		queued = true
	default:
		select {
		case c.tracks <- t.Track:
			c.Queue.offer(cued{}, false)
			return false, false, nil
		case <-c.Reload:
			asked = true
		case <-wake:
			queued = true
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	t.close()
	return asked, queued, err
}

// cued is a track that is ready, and the entry it was opened for.
type cued struct {
	*track.Track
	entry playlist.Entry
	hint  track.Info
	key   string // of the entry
}

func (t cued) close() {
	if t.Track != nil {
		t.Close()
	}
}

// end hands over what follows the list: the tracks of Fill, and then the end of the show.
func (c *Cue) end(ctx context.Context) (asked bool, err error) {
	more := len(c.Fill.Inputs) > 0
	for pass := 0; more; pass++ {
		more = false
		for t, err := range c.open(ctx, c.Fill.Pass(pass), 0, 0) {
			if err != nil {
				return false, err
			}
			info := t.Info // whoever plays it may change it
			if asked, err := c.give(ctx, &t); asked || err != nil {
				t.close()
				return asked, err
			}
			if t.Track == nil { // it could not be opened again
				continue
			}
			if pass == 0 && !more {
				c.log().Info("the list has ended: what is to fill the rest plays")
			}
			c.last, more = info, true
		}
	}
	return c.give(ctx, &cued{})
}

// open opens the tracks of entries as they are asked for. The first has this number,
// counted from 0.
func (c *Cue) open(ctx context.Context, entries iter.Seq2[playlist.Entry, error], number, of int) iter.Seq2[cued, error] {
	log := c.log()
	return func(yield func(cued, error) bool) {
		for e, err := range entries {
			if ctx.Err() != nil {
				yield(cued{}, ctx.Err())
				return
			}
			if err != nil {
				log.Warn("left out", "err", err)
				c.failed = err
				continue
			}
			number++
			c.tellMended(e)
			hint := track.Info{Artist: e.Artist, Title: e.Title, Album: e.Album, Artwork: e.Artwork, Start: e.Start, Stop: e.Stop, Number: number, Of: of}
			if t, ok := c.ready(ctx, e, hint); ok && !yield(t, nil) {
				return
			}
		}
	}
}

// ready opens the track of an entry. What cannot be played is told of.
func (c *Cue) ready(ctx context.Context, e playlist.Entry, hint track.Info) (t cued, ok bool) {
	opened, err := c.openTrack(ctx, e.Path, hint)
	if err != nil {
		attrs := []any{"err", err}
		if at := e.Position(); at != "" {
			attrs = append(attrs, "list", at)
		}
		c.log().Warn("left out", attrs...)
		c.failed = err
		return t, false
	}
	c.prepare(ctx, opened, e, hint)
	return cued{opened, e, hint, e.Key()}, true
}

func (c *Cue) log() *slog.Logger {
	if c.Log != nil {
		return c.Log
	}
	return slog.Default()
}

// openTrack opens a track as it can go on the air.
func (c *Cue) openTrack(ctx context.Context, path string, hint track.Info) (*track.Track, error) {
	t, err := track.Open(ctx, path, hint)
	var foreign *track.ForeignError
	if err != nil && !errors.As(err, &foreign) {
		return nil, err
	}
	var h frame.Header
	var from string
	if err == nil {
		h, from = t.Info.Header, t.Info.Header.String()
	} else {
		from = foreign.Kind
	}
	way := Choose(h, c.Format, c.Transcode, c.Transcoder.Available())
	if way == AsItIs {
		if c.Format.Format == frame.Unknown {
			c.Format = c.model(ctx, t, hint)
		}
		return t, nil
	}
	format := c.Format
	if format.Format == frame.Unknown {
		format = DefaultFormat
		if err == nil {
			format = c.model(ctx, t, hint)
		}
	}
	if t != nil {
		t.Close()
	}
	if way == LeftOut {
		why := "ffmpeg is not installed"
		if c.Transcode == Never {
			why = "--transcode never keeps ffmpeg from it"
		}
		if err != nil {
			return nil, fmt.Errorf("%w; %s", err, why)
		}
		return nil, fmt.Errorf("%s: it is %s, the stream is %s, and %s", track.ShowURL(path), h, c.Format, why)
	}
	if format.Bitrate == 0 && format.Format == frame.MPEG {
		format.Bitrate = DefaultFormat.Bitrate
	}
	x := c.Transcoder
	x.To = format
	made, err := x.Open(ctx, path, hint)
	if err != nil {
		return nil, err
	}
	c.Format = format
	c.log().Info("through ffmpeg", "file", made.Info.Path, "from", from, "to", x.To.String())
	return made, nil
}

// Way is how a track goes on the air.
type Way int

const (
	AsItIs Way = iota
	ThroughFFmpeg
	LeftOut
)

func (w Way) String() string { return [...]string{"as it is", "through ffmpeg", "left out"}[w] }

// Choose says how a track goes on the air whose first frame is h, the zero Header when only
// ffmpeg can read it, in a stream of a format, the zero Header when it is the first. Another
// rate in the codec of the stream goes as it is where ffmpeg is not there.
func Choose(h, stream frame.Header, t Transcode, ffmpeg bool) Way {
	known, first := h.Format != frame.Unknown, stream.Format == frame.Unknown
	switch {
	case known && t != Always && (first || Fits(h, stream)):
		return AsItIs
	case t != Never && ffmpeg:
		return ThroughFFmpeg
	case known && (first || h.SameCodec(stream)):
		return AsItIs
	}
	return LeftOut
}

// Fits reports whether a track can go on the air as it is: codec, sample rate and
// channels are those of the stream. In Ogg each track brings its own headers, and rate
// and channels may change with them.
func Fits(h, stream frame.Header) bool {
	if h.Format.Ogg() {
		return h.SameCodec(stream)
	}
	return h.SameCodec(stream) && h.SampleRate == stream.SampleRate && h.Channels == stream.Channels
}

// model returns the format of a track as that of the stream: what is transcoded later
// gets its mean bitrate.
func (c *Cue) model(ctx context.Context, t *track.Track, hint track.Info) frame.Header {
	h := t.Info.Header
	if c.Transcode == Never || !c.Transcoder.Available() || !t.Local() {
		return h
	}
	if r, err := track.Scan(ctx, t.Info.Path, hint, false); err == nil {
		h.Bitrate = standardBitrate(r.Bitrate, h)
	}
	return h
}

// standardBitrate returns the bitrate an encoder is to be asked for: the nearest that
// MPEG audio has, else whole kbit/s.
func standardBitrate(mean int, h frame.Header) int {
	if h.Format != frame.MPEG {
		return (mean + 500) / 1000 * 1000
	}
	best := 0
	for _, n := range h.Bitrates() {
		if abs(n-mean) < abs(best-mean) {
			best = n
		}
	}
	return best
}

func abs(n int) int { return max(n, -n) }

// tellMended says once for a list that its paths had to be mended to fit.
func (c *Cue) tellMended(e playlist.Entry) {
	list, _, _ := strings.Cut(e.Position(), ": line ")
	if key := list + "\x00" + e.Mended; e.Mended != "" && !c.mended[key] && len(c.mended) < 100 {
		if c.mended == nil {
			c.mended = map[string]bool{}
		}
		c.mended[key] = true
		c.log().Info("a path did not fit as it is written; others like it are not told of", "list", e.Position(), "file", e.Path, "read as", e.Mended)
	}
}

// prepare completes what is known of a track and warns of what players may not like.
func (c *Cue) prepare(ctx context.Context, t *track.Track, e playlist.Entry, hint track.Info) {
	t.SetTitleFormat(c.Title)
	was := c.last
	if t.Info.Start > 0 && t.Info.Path == was.Path && t.Info.Start == was.Stop {
		t.Seamless()
	}
	t.Info.Duration = e.Duration
	if c.Measure && t.Local() {
		if d, err := track.Measure(ctx, t.Info.Path, hint); err == nil {
			t.Info.Duration = d
		}
	}
	if h := t.Info.Header; was.Path != "" && !Fits(h, was.Header) {
		c.log().Warn("the format of the stream changes: some players stop or play it too fast", "file", t.Info.Path, "from", was.Header.String(), "to", h.String())
	}
}
