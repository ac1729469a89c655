// Package ratelimit says when the next frame is due: it is the frame clock.
//
// Audio is counted in whole samples, for each sample rate apart, and only turned
// into nanoseconds to wait, against the monotonic clock. Nothing is ever summed from
// rounded parts, so the clock does not drift, however long it runs and however often
// the rate changes.
package ratelimit

import (
	"context"
	"time"
)

// maxRates bounds the sample rates that are counted apart. MPEG audio has nine.
const maxRates = 64

// Pacer holds audio back until it is due. The zero Pacer lets every frame go exactly
// when its turn to be heard comes.
//
// A Pacer is for one goroutine.
type Pacer struct {
	// Lead is how far ahead of the moment it is to be heard audio is due. Frames that
	// are due in the past go at once, so the first Lead of a stream does.
	Lead time.Duration

	// Group is how much audio goes out at one waking: the frames due within Group of
	// the one that was waited for go with it. A waking costs more than a frame. Zero
	// sends each frame by itself.
	Group time.Duration

	// CatchUp, with Lead, bounds what goes out at once when a stall is over. What is
	// late by more moves the clock. Zero means 10 s.
	CatchUp time.Duration

	start   time.Time     // when the first sample is to be heard
	sent    []count       // audio let go since start
	folded  time.Duration // more of it, of rates no longer counted apart
	rate    int           // index in sent of the rate of the last frame
	horizon time.Duration // frames due before need no waiting

	restarted time.Time // when the clock was set
	due       time.Time // when the first frame of this group was
}

// count is audio of one sample rate.
type count struct {
	rate    int // Hz
	samples int64
}

// Wait blocks until a frame of so many samples at so many Hz is due, and counts it.
// When that is longer ago than can be caught up with (the machine was stopped, say),
// the clock is moved on, and moved says by how much. Wait returns the error of ctx when that ends
// first; the frame is then not counted.
func (p *Pacer) Wait(ctx context.Context, samples, rate int) (moved time.Duration, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if p.start.IsZero() {
		p.Restart(0)
	}
	if p.GroupEnds() {
		due := p.Audio() - p.Lead
		wait := due - time.Since(p.start)
		catchUp := p.CatchUp
		if catchUp == 0 {
			catchUp = 10 * time.Second
		}
		switch {
		case wait > 0:
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return 0, ctx.Err()
			}
		case -wait > p.Lead+catchUp:
			moved = -wait - p.Lead - catchUp
			p.start = p.start.Add(moved)
		}
		p.due = p.start.Add(due - moved)
		if p.due.Before(p.restarted) {
			p.due = p.restarted // what is due before the clock goes, goes with it
		}
		p.horizon = due + p.Group
	}
	p.count(samples, rate)
	return moved, nil
}

// GroupEnds reports whether the next frame begins a new group: Wait may block for it,
// so what was let go before should be on its way.
func (p *Pacer) GroupEnds() bool {
	return p.start.IsZero() || p.Audio()-p.Lead >= p.horizon
}

// Restart sets the clock so that the audio counted so far is heard from now on after
// ahead more: the next frame is due in ahead - Lead. It is for the end of an outage
// during which the clock stood still; ahead is the audio that will be sent again.
func (p *Pacer) Restart(ahead time.Duration) {
	p.restarted = time.Now()
	p.start = p.restarted.Add(ahead - p.Audio())
	p.horizon = p.Audio() - p.Lead
}

// Audio returns how much audio was let go, to the nanosecond, rounded down.
func (p *Pacer) Audio() time.Duration {
	whole := p.folded
	parts := 0.0 // of nanoseconds: few, and each less than one
	for _, c := range p.sent {
		d, part := c.duration()
		whole += d
		parts += part
	}
	return whole + time.Duration(parts+1e-6) // what adds up to a whole one may be a hair less
}

// duration returns the nanoseconds of audio, and the part of one that is left.
func (c count) duration() (whole time.Duration, part float64) {
	rate := int64(c.rate)
	rest := c.samples % rate * int64(time.Second)
	whole = time.Duration(c.samples/rate)*time.Second + time.Duration(rest/rate)
	return whole, float64(rest%rate) / float64(rate)
}

// Heard returns when all audio let go so far has been heard: what comes later than that
// leaves a gap. It is zero before the first frame.
func (p *Pacer) Heard() time.Time {
	if p.start.IsZero() {
		return time.Time{}
	}
	return p.start.Add(p.Audio())
}

// Due returns when the group of frames that was let go last was due, on the clock as it stood
// then.
func (p *Pacer) Due() time.Time { return p.due }

// Drain waits until all audio let go has been heard, or ctx ends.
func (p *Pacer) Drain(ctx context.Context) error {
	if p.start.IsZero() {
		return ctx.Err()
	}
	timer := time.NewTimer(time.Until(p.start.Add(p.Audio())))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// count adds a frame.
func (p *Pacer) count(samples, rate int) {
	if p.rate < len(p.sent) && p.sent[p.rate].rate == rate {
		p.sent[p.rate].samples += int64(samples)
		return
	}
	for i := range p.sent {
		if p.sent[i].rate == rate {
			p.rate = i
			p.sent[i].samples += int64(samples)
			return
		}
	}
	if len(p.sent) == maxRates { // no music has that many: less than a nanosecond is lost
		whole, _ := p.sent[0].duration()
		p.folded += whole
		p.sent = append(p.sent[:0], p.sent[1:]...)
	}
	p.rate = len(p.sent)
	p.sent = append(p.sent, count{rate, int64(samples)})
}
