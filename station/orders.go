package station

import (
	"context"
	"errors"
	"time"
)

// Order is what a person asks of a Station that plays. It is carried out where a group of
// frames ends, at once while the gate holds the clock.
type Order int

const (
	Skip     Order = iota // end the track; the next one follows
	Retitle               // send the title again
	EndAfter              // end the show behind the track
)

// MaxOrders is how many orders are to wait at most.
const MaxOrders = 32

// errSkipped says that a track is to end here.
var errSkipped = errors.New("skipped")

// obey carries out what has been ordered while a track plays. It fails with errSkipped when
// that is to end.
func (s *Station) obey() error {
	for s.playing != nil {
		select {
		case o := <-s.Orders:
			switch o {
			case Skip:
				return errSkipped
			case Retitle:
				s.flush()
				s.show(s.playing, true)
			case EndAfter:
				s.ends = true
			}
		default:
			return nil
		}
	}
	return nil
}

// beatEvery is how often a loop that waits shows that it lives.
const beatEvery = 500 * time.Millisecond

// ready waits until the gate wants audio.
func (s *Station) ready(ctx context.Context) (waited bool, ahead time.Duration, err error) {
	for {
		turn, cancel := context.WithTimeout(ctx, beatEvery)
		was, ahead, err := s.Gate.Ready(turn)
		cancel()
		s.beat()
		waited = waited || was
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return waited, ahead, err
		}
		if err := s.obey(); err != nil {
			return waited, 0, err
		}
	}
}
