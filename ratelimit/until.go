package ratelimit

import (
	"context"
	"time"
)

// Until waits until the clock on the wall has reached t, or ctx ends, with its error. A
// clock that is set meanwhile, or a machine that has slept, is noticed within a minute, and
// before half of what was left has passed. A t that was counted from time.Now is a span of
// time, whatever the clock on the wall does.
func Until(ctx context.Context, t time.Time) error {
	return until(ctx, func() time.Duration { return time.Until(t) })
}

// until waits until nothing is left.
func until(ctx context.Context, left func() time.Duration) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		wait := left()
		if wait <= 0 {
			return nil
		}
		if wait > time.Second {
			wait = max(time.Second, min(wait/2, time.Minute))
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}
