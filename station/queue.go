package station

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"icepush/playlist"
	"icepush/track"
)

// MaxQueue is how many inputs a Queue holds.
const MaxQueue = 1000

// ErrQueueFull and ErrShowEnds say why a Queue takes no more.
var (
	ErrQueueFull = fmt.Errorf("the queue is full: %d wait already", MaxQueue)
	ErrShowEnds  = errors.New("the show is over: nothing is played behind it")
)

// Queue is what is played behind the current track, before the list goes on: files,
// playlists and folders, in order. The zero Queue is empty and ready for use, by any
// goroutine.
type Queue struct {
	mu      sync.Mutex
	waiting []string
	told    chan struct{} // that there is something; holds one
	ended   bool

	next   track.Info // of what is ready to be played
	ready  bool       // there is such a thing
	queued bool       // it was queued
}

// Add puts inputs at the end: all of them, or none when there is no room. Waiting is how many
// wait then.
func (q *Queue) Add(inputs ...string) (waiting int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.ended:
		return 0, ErrShowEnds
	case len(q.waiting)+len(inputs) > MaxQueue:
		return len(q.waiting), ErrQueueFull
	case len(inputs) == 0:
		return len(q.waiting), nil
	}
	q.waiting = append(q.waiting, inputs...)
	select {
	case q.tell() <- struct{}{}:
	default: // it has been told already
	}
	return len(q.waiting), nil
}

// Waiting returns the inputs that wait, but for the one that is being played or is ready.
func (q *Queue) Waiting() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.waiting)
}

// Next returns what plays next, as far as that is known: the track that is ready. Queued says
// that it comes from the queue.
func (q *Queue) Next() (next track.Info, queued, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.next, q.queued, q.ready
}

// tell returns the channel of told. The caller holds mu.
func (q *Queue) tell() chan struct{} {
	if q.told == nil {
		q.told = make(chan struct{}, 1)
	}
	return q.told
}

// wake returns what tells that something is queued. A nil Queue never does; so with the
// methods below.
func (q *Queue) wake() <-chan struct{} {
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.tell()
}

// take removes the first input.
func (q *Queue) take() (input string, ok bool) {
	if q == nil {
		return "", false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		select { // what was told of has been taken
		case <-q.tell():
		default:
		}
		return "", false
	}
	input = q.waiting[0]
	q.waiting = slices.Delete(q.waiting, 0, 1)
	return input, true
}

// offer notes what is ready to be played next.
func (q *Queue) offer(t cued, queued bool) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next, q.ready, q.queued = track.Info{}, t.Track != nil, queued
	if q.ready {
		q.next = t.Info
	}
}

// close says that nothing more is taken.
func (q *Queue) close() {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended, q.waiting, q.ready = true, nil, false
}

// give hands a track of the list to the station, behind what is queued. It is opened again
// when something went before: it has another one before it now. Then it may be none.
func (c *Cue) give(ctx context.Context, t *cued) (asked bool, err error) {
	last := t.Track == nil // the end of the show
	for {
		var queued bool
		asked, queued, err = c.hand(ctx, *t, c.Queue.wake())
		if asked || queued || err != nil { // it has been closed
			t.Track = nil
		}
		if !queued || err != nil {
			return asked, err
		}
		if asked, err = c.interlude(ctx); asked || err != nil {
			return asked, err
		}
		if last {
			continue
		}
		again, ok := c.ready(ctx, t.entry, t.hint)
		if !ok {
			return false, ctx.Err()
		}
		*t = again
	}
}

// interlude hands over what is queued. Asked says that the list is to be read again.
func (c *Cue) interlude(ctx context.Context) (asked bool, err error) {
	for {
		input, ok := c.Queue.take()
		if !ok {
			return asked, ctx.Err()
		}
		list := playlist.Playlist{Inputs: []string{input}}
		for e, err := range list.Pass(0) {
			if err != nil {
				c.log().Warn("left out", "err", err)
				continue
			}
			again, err := c.giveQueued(ctx, e)
			if err != nil {
				return asked, err
			}
			asked = asked || again
		}
	}
}

// giveQueued hands the track of a queued entry over, if it plays.
func (c *Cue) giveQueued(ctx context.Context, e playlist.Entry) (asked bool, err error) {
	hint := track.Info{Artist: e.Artist, Title: e.Title, Album: e.Album, Artwork: e.Artwork, Start: e.Start, Stop: e.Stop}
	for {
		t, ok := c.ready(ctx, e, hint)
		if !ok {
			return asked, ctx.Err()
		}
		info := t.Info // whoever plays it may change it
		again, _, err := c.hand(ctx, t, nil)
		if err != nil {
			return asked, err
		}
		if !again {
			c.last, c.told = info, false
			return asked, nil
		}
		asked = true // when the queue is empty
	}
}
