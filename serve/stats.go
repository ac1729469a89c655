package serve

import "time"

// Stats is a Mount at one moment.
type Stats struct {
	Playing   bool
	Latest    time.Time // when audio came last
	Source    bool      // it is that of a live source
	Listeners int
	Peak      int // the most listeners at one time
}

// Stats returns what the mount is doing.
func (m *Mount) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Stats{Playing: m.plays(), Latest: m.latest, Source: m.heard != nil, Listeners: m.listeners, Peak: m.peak}
}
