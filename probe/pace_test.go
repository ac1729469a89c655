package probe

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestPace shows what is made of audio that comes in different ways. The frames last
// 25 ms.
func TestPace(t *testing.T) {
	const frame = 25 * time.Millisecond
	type come func(at time.Duration, frames int)
	steady := func(burst int, every time.Duration, frames float64, jitter time.Duration) func(come) {
		return func(come come) {
			come(0, burst)
			sent := 0
			for i := 1; time.Duration(i)*every <= 20*time.Second; i++ {
				due := int(frames * float64(i))
				at := time.Duration(i) * every
				if jitter > 0 {
					at += rand.N(jitter)
				}
				come(at, due-sent)
				sent = due
			}
		}
	}
	for _, test := range []struct {
		name           string
		way            func(come)
		burst, reserve time.Duration
		rate, within   float64
		dry            int
		start, silent  time.Duration
	}{
		{"frame by frame", steady(160, frame, 1, 0), 4 * time.Second, 3975 * time.Millisecond, 1, 1e-6, 0, 0, 0},
		{"in groups of 400 ms", steady(160, 16*frame, 16, 0), 4 * time.Second, 3600 * time.Millisecond, 1, 1e-6, 0, 0, 0},
		{"in groups, with jitter", steady(160, 16*frame, 16, 20*time.Millisecond), 4 * time.Second, 3580 * time.Millisecond, 1, 2e-3, 0, 0, 0},
		{"without a burst", steady(1, 4*frame, 4, 0), 25 * time.Millisecond, -75 * time.Millisecond, 1, 1e-6, 0, time.Second, 0},
		{"1 % too slow", steady(160, 4*frame, 3.96, 0), 4 * time.Second, 3700 * time.Millisecond, 0.99, 1e-3, 0, 0, 0},
		{"half as fast", steady(80, 4*frame, 2, 0), 2 * time.Second, -8 * time.Second, 0.5, 1e-3, 5, 0, 8200 * time.Millisecond},
		{"a break of 6 s", func(come come) {
			come(0, 120)
			for i := 1; i <= 800; i++ {
				at := time.Duration(i) * frame
				if at > 5*time.Second && at < 11*time.Second {
					at = 11 * time.Second
				}
				come(at, 1)
			}
		}, 3 * time.Second, -3 * time.Second, 1, 1e-6, 1, 0, 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			var p pace
			play := player{buffer: time.Second}
			test.way(func(at time.Duration, frames int) {
				for range frames {
					p.come(at, frame)
					play.come(at, frame)
				}
			})
			p.end(20 * time.Second)
			play.end(20 * time.Second)
			burst, _, _ := p.burst()
			rate, err, ok := p.rate()
			near := func(a, b time.Duration) bool { return (a - b).Abs() <= 150*time.Millisecond }
			if !near(burst, test.burst) || !near(p.reserve(), test.reserve) || !ok || rate < test.rate-test.within || rate > test.rate+test.within {
				t.Errorf("burst %v, reserve %v, rate %v ± %v", burst, p.reserve(), rate, err)
			}
			if play.dry != test.dry || !near(play.start, test.start) || !near(play.silent, test.silent) {
				t.Errorf("begins at %v, ran dry %d times, %v", play.start, play.dry, play.silent)
			}
		})
	}
}

// TestPaceLong has a pace of more points than are kept.
func TestPaceLong(t *testing.T) {
	var p pace
	for i := range 3 * maxPoints {
		p.come(time.Duration(i)*10*time.Millisecond, 10*time.Millisecond)
	}
	rate, _, ok := p.rate()
	if len(p.points) > maxPoints || !ok || fmt.Sprintf("%.6f", rate) != "1.000000" {
		t.Errorf("%d points, rate %v", len(p.points), rate)
	}
}
