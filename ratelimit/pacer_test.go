package ratelimit

import (
	"context"
	"errors"
	"math/big"
	"testing"
	"testing/synctest"
	"time"
)

// exact is the duration of samples at a rate, rounded down to nanoseconds.
func exact(counts map[int]int64) time.Duration {
	sum := new(big.Rat)
	for rate, samples := range counts {
		sum.Add(sum, big.NewRat(samples*1000, int64(rate)))
	}
	sum.Mul(sum, big.NewRat(1_000_000, 1))
	return time.Duration(new(big.Int).Quo(sum.Num(), sum.Denom()).Int64())
}

// TestWeek lets a week of audio through and looks for every frame whether it went
// when it was due, and whether the clock ends with no error at all.
func TestWeek(t *testing.T) {
	const week = 7 * 24 * time.Hour
	type kind struct{ samples, rate int }
	for _, test := range []struct {
		name  string
		kinds []kind // one track each, over and over
	}{
		{"44.1 kHz", []kind{{1152, 44100}}},
		{"mixed rates", []kind{{1152, 44100}, {1152, 48000}, {576, 22050}, {1152, 32000}, {576, 11025}, {1024, 44100}, {384, 48000}, {576, 12000}, {960, 48000}, {1024, 37800}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := Pacer{Lead: 500 * time.Millisecond, Group: 200 * time.Millisecond}
				begin := time.Now()
				counts := map[int]int64{}
				frames := 0
				for track := 0; p.Audio() < week; track++ {
					k := test.kinds[track%len(test.kinds)]
					for range 200 * k.rate / k.samples { // 200 s
						moved, err := p.Wait(t.Context(), k.samples, k.rate)
						if err != nil || moved != 0 {
							t.Fatalf("frame %d: moved %v, %v", frames, moved, err)
						}
						counts[k.rate] += int64(k.samples)
						frames++
					}
					// The last frame let go is due within a group from now, none is late.
					ahead := exact(counts) - time.Since(begin)
					if ahead < p.Lead || ahead > p.Lead+p.Group+150*time.Millisecond {
						t.Fatalf("after %v the audio is %v ahead", p.Audio(), ahead)
					}
				}
				if got, want := p.Audio(), exact(counts); got != want {
					t.Errorf("after %d frames the clock is off by %v", frames, got-want)
				}
				if err := p.Drain(t.Context()); err != nil {
					t.Fatal(err)
				}
				if off := time.Since(begin) - exact(counts); off != 0 {
					t.Errorf("the week ended %v off", off)
				}
			})
		})
	}
}

// frames of 10 ms make what is due easy to see.
func wait(t *testing.T, p *Pacer) time.Duration {
	t.Helper()
	moved, err := p.Wait(t.Context(), 480, 48000)
	if err != nil {
		t.Fatal(err)
	}
	return moved
}

// TestEachFrame shows that without a group every frame goes by itself, on time.
func TestEachFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Pacer{Lead: 30 * time.Millisecond}
		begin := time.Now()
		for i := range 100 {
			wait(t, &p)
			want := max(0, time.Duration(i-3)*10*time.Millisecond)
			if got := time.Since(begin); got != want {
				t.Fatalf("frame %d went after %v, want %v", i, got, want)
			}
		}
	})
}

// TestStall shows what goes out after a pause of the sender: all that is due at
// once, but no more than the lead and ten seconds.
func TestStall(t *testing.T) {
	for _, test := range []struct {
		stall, moved time.Duration
		burst        int // frames
	}{
		{5 * time.Second, 0, 500},
		{10 * time.Second, 0, 1000},
		{60 * time.Second, 48*time.Second + 990*time.Millisecond, 1101},
	} {
		t.Run(test.stall.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := Pacer{Lead: time.Second}
				for range 101 {
					wait(t, &p)
				}
				time.Sleep(test.stall)
				now := time.Now()
				moved := wait(t, &p)
				if moved != test.moved {
					t.Errorf("moved by %v, want %v", moved, test.moved)
				}
				burst := 1
				for wait(t, &p); time.Now().Equal(now); wait(t, &p) {
					burst++
				}
				if burst != test.burst {
					t.Errorf("%d frames at once, want %d", burst, test.burst)
				}
			})
		})
	}
}

// TestRestart stops the clock for an outage: the show goes on where it was, the
// lead is built up again.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Pacer{Lead: 100 * time.Millisecond}
		for range 50 {
			wait(t, &p)
		}
		time.Sleep(time.Hour)
		again := 50 * time.Millisecond // goes out again first
		p.Restart(again)
		now := time.Now()
		for range 5 { // the rest of the lead goes at once
			wait(t, &p)
		}
		if d := time.Since(now); d != 0 {
			t.Errorf("the rest of the lead took %v", d)
		}
		wait(t, &p)
		wait(t, &p)
		if d := time.Since(now); d != 10*time.Millisecond {
			t.Errorf("then a frame took %v", d)
		}
	})
}

// TestCancel ends a wait in the middle: the frame is not counted.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		var p Pacer
		wait(t, &p)
		if _, err := p.Wait(ctx, 480, 48000); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if got := p.Audio(); got != 10*time.Millisecond {
			t.Errorf("%v counted", got)
		}
	})
}

// TestManyRates counts more rates than are kept apart.
func TestManyRates(t *testing.T) {
	p := Pacer{Lead: time.Hour}
	for rate := 8000; rate < 8000+3*maxRates; rate++ {
		if _, err := p.Wait(t.Context(), rate, rate); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := p.Audio(), 3*maxRates*time.Second; got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if len(p.sent) > maxRates {
		t.Errorf("%d rates kept", len(p.sent))
	}
}
