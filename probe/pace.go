package probe

import (
	"math"
	"slices"
	"time"
)

const (
	// together is how near to each other pieces come that were sent as one.
	together = 5 * time.Millisecond

	// maxPoints bounds how many points a pace is made of.
	maxPoints = 1 << 17
)

// point is the end of what came together.
type point struct {
	at   time.Duration // when, counted from the first byte
	have time.Duration // audio that had come by then
	low  time.Duration // how far a player that plays at once was ahead when the next came
}

// lead is how far a player is ahead that has played from the first byte on.
func (p point) lead() time.Duration { return p.have - p.at }

// pace is how audio comes: what came at once at first, and how fast the rest did.
type pace struct {
	points []point
	last   point
	every  int // of how many points one is kept
	left   int
}

// come notes that so much audio has come.
func (p *pace) come(at, lasts time.Duration) {
	if at-p.last.at >= together {
		p.end(at)
	}
	p.last.at = at
	p.last.have += lasts
}

// end notes that nothing more has come until a time.
func (p *pace) end(at time.Duration) {
	p.last.low = p.last.have - at
	p.every = max(1, p.every)
	if p.left > 0 {
		p.left--
		last := &p.points[len(p.points)-1]
		*last = last.or(p.last)
		return
	}
	p.points = append(p.points, p.last)
	p.left = p.every - 1
	if len(p.points) < maxPoints {
		return
	}
	half := p.points[:0]
	for i := 0; i+1 < len(p.points); i += 2 {
		half = append(half, p.points[i].or(p.points[i+1]))
	}
	p.points = half
	p.every *= 2
}

// or returns one point for two: the one with more lead, which is the end of something
// longer, and the lower low of both.
func (p point) or(q point) point {
	low := min(p.low, q.low)
	if q.lead() > p.lead() {
		p = q
	}
	p.low = low
	return p
}

// reserve returns the least a player was ahead that plays at once, from the end of the
// burst on.
func (p *pace) reserve() time.Duration {
	if len(p.points) == 0 {
		return p.last.lead()
	}
	_, _, i := p.burst()
	low := p.points[i-1].low
	for _, q := range p.points[i:] {
		low = min(low, q.low)
	}
	return low
}

// burst returns how far ahead a player is once the server has sent what it keeps for
// newcomers, and when that is: the first time it is about as far ahead as it ever is in the
// first half. I is the first point behind.
func (p *pace) burst() (ahead, in time.Duration, i int) {
	if len(p.points) == 0 {
		return p.last.lead(), p.last.at, 0
	}
	half := p.points[len(p.points)-1].at / 2
	most := p.points[0].lead()
	for _, q := range p.points {
		if q.at <= half {
			most = max(most, q.lead())
		}
	}
	least := most - max(100*time.Millisecond, most/50)
	for p.points[i].lead() < least {
		i++
	}
	return p.points[i].lead(), p.points[i].at, i + 1
}

// rate returns how many seconds of audio come in a second behind the burst, and the
// standard error of that: the slope of straight lines through the points. A pause begins
// another line: it says nothing of the pace. Ok is false when there are too few points.
func (p *pace) rate() (rate, err float64, ok bool) {
	_, _, i := p.burst()
	points := p.points[min(i, len(p.points)):]
	if len(points) < 4 || points[len(points)-1].at-points[0].at < 2*time.Second {
		return 0, 0, false
	}
	pause := pauses(points)
	var stt, stl, sll float64
	n := float64(len(points) - 1)
	for len(points) > 0 {
		end := 1
		for end < len(points) && points[end].at-points[end-1].at < pause {
			end++
		}
		tt, tl, ll := spread(points[:end])
		stt, stl, sll = stt+tt, stl+tl, sll+ll
		points = points[end:]
		n--
	}
	if stt == 0 || n < 1 {
		return 0, 0, false
	}
	slope := stl / stt
	return 1 + slope, math.Sqrt(max(0, sll-slope*stl) / n / stt), true
}

// pauses returns how long nothing has to come for a pause, going by how long that is
// usually.
func pauses(points []point) time.Duration {
	var gaps []time.Duration
	for i := range points[1:] {
		gaps = append(gaps, points[i+1].at-points[i].at)
	}
	slices.Sort(gaps)
	return max(time.Second, 4*gaps[len(gaps)/2])
}

// spread returns the sums of squares and products about the means of time and lead.
func spread(points []point) (tt, tl, ll float64) {
	var mt, ml float64
	for _, q := range points {
		mt += q.at.Seconds() / float64(len(points))
		ml += q.lead().Seconds() / float64(len(points))
	}
	for _, q := range points {
		t, l := q.at.Seconds()-mt, q.lead().Seconds()-ml
		tt, tl, ll = tt+t*t, tl+t*l, ll+l*l
	}
	return tt, tl, ll
}

// player plays what comes as soon as its buffer is full, and waits for it to be full again
// when there is nothing to play.
type player struct {
	buffer  time.Duration
	have    time.Duration // audio that has come
	played  time.Duration // when it began to play last
	since   time.Duration // that was
	plays   bool
	begun   bool
	start   time.Duration // when it first played
	stopped time.Duration // when it ran dry
	dry     int           // how often it did
	silent  time.Duration // for how long in all
}

// at brings the player to a time.
func (p *player) at(t time.Duration) {
	if position := p.played + t - p.since; p.plays && position > p.have {
		p.stopped = p.since + p.have - p.played
		p.played, p.plays = p.have, false
		p.dry++
	}
}

// come gives it audio.
func (p *player) come(t, lasts time.Duration) {
	p.at(t)
	p.have += lasts
	if p.plays || p.have-p.played < p.buffer {
		return
	}
	if p.begun {
		p.silent += t - p.stopped
	} else {
		p.begun, p.start = true, t
	}
	p.plays, p.since = true, t
}

// end ends the show.
func (p *player) end(t time.Duration) {
	p.at(t)
	if p.begun && !p.plays {
		p.silent += t - p.stopped
	}
}
