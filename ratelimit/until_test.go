package ratelimit

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestUntil waits for a time of day while the clock on the wall is set: forward, back, past
// the time, or not at all.
func TestUntil(t *testing.T) {
	const hour = time.Hour
	for _, test := range []struct {
		name      string
		wait      time.Duration
		at        time.Duration // when the clock is set
		by        time.Duration // forward
		want      time.Duration
		tolerance time.Duration
	}{
		{"not set", hour, 0, 0, hour, 0},
		{"a moment", 300 * time.Millisecond, 0, 0, 300 * time.Millisecond, 0},
		{"passed", -hour, 0, 0, 0, 0},
		{"forward by 2 s", hour, 10 * time.Minute, 2 * time.Second, hour - 2*time.Second, 0},
		{"back by 2 s", hour, 10 * time.Minute, -2 * time.Second, hour + 2*time.Second, 0},
		{"forward by half an hour", hour, 10 * time.Minute, hour / 2, hour / 2, 0},
		{"back by half an hour", hour, 59 * time.Minute, -hour / 2, hour + hour/2, 0},
		{"forward in the last minute", hour, hour - 40*time.Second, 10 * time.Second, hour - 10*time.Second, 0},
		{"past the time", 2 * hour, hour, 2 * hour, hour, time.Minute},
		{"back in the last second", hour, hour - 500*time.Millisecond, -time.Second, hour + time.Second, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				err := until(t.Context(), func() time.Duration {
					passed := time.Since(began)
					if passed >= test.at {
						passed += test.by
					}
					return test.wait - passed
				})
				if got := time.Since(began); err != nil || got < test.want || got > test.want+test.tolerance {
					t.Errorf("%v, after %v, want %v", err, got, test.want)
				}
			})
		})
	}
}

// TestUntilCancelled gives up at once.
func TestUntilCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		if err := Until(ctx, began.Add(time.Hour)); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
