package track

import (
	"context"
	"errors"
	"io"
	"time"

	"icepush/frame"
)

// stdinName is how standard input is called.
const stdinName = "standard input"

// ErrStalled says that a live track had no frame in time.
var ErrStalled = errors.New("nothing came in time")

// OpenLive opens a stream as it comes, up to its first frame, for which it waits. Frames
// are returned by Await, as soon as they are known to be whole. Closing such a track does
// not wait until a read of the stream returns: of standard input nobody can call that
// back.
func OpenLive(ctx context.Context, r io.Reader, hint Info) (*Track, error) {
	type opened struct {
		track *Track
		err   error
	}
	done := make(chan opened, 1)
	go func() { // it may wait for the first byte for ever
		t, err := openStream(ctx, stdinName, io.NopCloser(r), hint, 0, true)
		done <- opened{t, err}
	}()
	select {
	case o := <-done:
		return o.track, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Live reports whether the track is a stream as it comes.
func (t *Track) Live() bool { return t.live }

// Late reports whether the frames of the track may come late: it is live, or comes from
// ffmpeg or a server.
func (t *Track) Late() bool { return t.fed }

// Await returns the next frame of a track that may come late, or ErrStalled when there is
// none at a time, or the error of ctx. At the end of the stream the error is io.EOF.
func (t *Track) Await(ctx context.Context, until time.Time) (frame.Frame, error) {
	if !t.live {
		f, err := t.nextUntil(ctx, until)
		if err == nil {
			t.like = f
		}
		return f, err
	}
	t.report(t.early)
	t.early = nil
	var f frame.Frame
	if len(t.ahead) > 0 {
		f = t.take()
	} else {
		var err error
		if f, err = t.pull(ctx, until); err != nil {
			return f, err
		}
	}
	t.like = f
	t.retitle(f)
	return f, nil
}

// Silence returns a frame of silence to stand where none has come, of the same shape as
// those before, when there is such a thing.
func (t *Track) Silence() (f frame.Frame, ok bool) {
	t.Retitled = false
	return frame.Silence(t.like)
}
