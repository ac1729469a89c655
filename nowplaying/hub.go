package nowplaying

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// heartbeat is how often a subscriber is told the position at least, and spread by how much
	// more often some are, so that not all are at one time. Who hears nothing for some of these
	// knows that its line is dead.
	heartbeat = 5 * time.Second
	spread    = time.Second

	// maxMounts bounds how many mounts a hub knows, for others may name them.
	maxMounts = 1000

	// shares is how long a message that was made for one subscriber is given to others: a
	// moment, for its positions are of when it was made.
	shares = 250 * time.Millisecond
)

// Hub knows what plays, and passes on what changes. The zero Hub knows of no mount. Its
// methods never wait for who wants to know.
type Hub struct {
	// History is how many tracks before the present one are kept. Zero is 10, and less
	// than that none.
	History int

	mu      sync.Mutex
	epoch   string        // tells this hub's IDs from those of one before it
	changes int64         // so far
	changed chan struct{} // closed and made anew at each
	order   []string      // of mounts, as they came
	mounts  map[string]*known
	made    map[purpose]made // messages that were just made
}

// purpose is what a message is for: the same is the same for all who ask at one time.
type purpose struct {
	kind  string
	from  int64  // the change it tells what came after
	names string // of the mounts that are asked for
}

// known is a mount and the number of the change that made it so.
type known struct {
	Mount
	change int64
}

// made is a message that others may want, too.
type made struct {
	Event
	at time.Time
}

// Event is a message on its way.
type Event struct {
	ID   string
	Type string
	Data []byte // the message, JSON
}

// begin makes a zero hub ready. The caller holds mu.
func (h *Hub) begin() {
	if h.mounts == nil {
		h.mounts, h.made = map[string]*known{}, map[purpose]made{}
		h.epoch = strconv.FormatInt(time.Now().UnixMilli(), 36)
		h.changed = make(chan struct{})
	}
}

// Update has change say what is different about a mount, which may be a new one. Who
// wants to know is told when it is more than position and listeners. What played before
// becomes history. Ok is false when no mount can have that name, or there are too many.
func (h *Hub) Update(name string, change func(*Mount)) (ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.known(name)
	if k == nil {
		return false
	}
	m := k.Mount
	m.Mount = name
	change(&m)
	m.clean()
	if was := k.Track; was != nil && was.Text != "" && (m.Track == nil || !was.same(*m.Track)) {
		m.History = append([]Track{*was}, m.History[:max(0, min(len(m.History), h.keep()-1))]...)
		m.History = m.History[:min(len(m.History), h.keep())]
	}
	h.put(k, m)
	return true
}

// Replace says all that there is to say of a mount, its history, too.
func (h *Hub) Replace(m Mount) (ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.known(m.Mount)
	if k == nil {
		return false
	}
	m.clean()
	m.History = slices.Clone(m.History[:min(len(m.History), h.keep())])
	for i := range m.History {
		m.History[i] = m.History[i].cleaned()
	}
	h.put(k, m)
	return true
}

// known returns what is known of a mount, nil when it cannot be one, or there are too many
// that play. The caller holds mu.
func (h *Hub) known(name string) *known {
	h.begin()
	k := h.mounts[name]
	if k != nil || !isName(name) || len(h.mounts) >= maxMounts && !h.forget() {
		return k
	}
	k = &known{Mount: Mount{Mount: name}}
	h.mounts[name] = k
	h.order = append(h.order, name)
	return k
}

// isName reports whether a mount can be called so. A page has to find it again by it.
func isName(s string) bool {
	return s != "" && len(s) <= 1000 && utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) })
}

// forget makes room: of the mounts that do not play the one goes that nothing has been heard
// of for longest. The caller holds mu.
func (h *Hub) forget() bool {
	oldest := -1
	for i, name := range h.order {
		if k := h.mounts[name]; k.State != Playing && (oldest < 0 || k.change < h.mounts[h.order[oldest]].change) {
			oldest = i
		}
	}
	if oldest < 0 {
		return false
	}
	delete(h.mounts, h.order[oldest])
	h.order = slices.Delete(h.order, oldest, oldest+1)
	return true
}

// put stores a mount, and tells of it when it has changed. The caller holds mu.
func (h *Hub) put(k *known, m Mount) {
	told := k.change > 0 && unchanged(k.Mount, m)
	if k.Mount = m; told {
		return
	}
	h.changes++
	k.change = h.changes
	clear(h.made)
	close(h.changed)
	h.changed = make(chan struct{})
}

// unchanged reports whether nothing is to be told of a mount but its position and
// listeners.
func unchanged(a, b Mount) bool {
	for _, m := range []*Mount{&a, &b} {
		m.Position, m.Listeners, m.at, m.runs = nil, nil, time.Time{}, 0
	}
	return reflect.DeepEqual(a, b)
}

// same reports whether it is the same playing of the same track.
func (t Track) same(o Track) bool { return t.Text == o.Text && t.StartedAt.Equal(o.StartedAt) }

func (h *Hub) keep() int {
	switch {
	case h.History < 0:
		return 0
	case h.History == 0:
		return 10
	}
	return h.History
}

// Mounts returns what is known of the mounts with these names, of all when there are
// none.
func (h *Hub) Mounts(only ...string) []Mount {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.since(0, only, time.Now())
}

// since returns the mounts that have changed after a change, as they are now. The caller
// holds mu.
func (h *Hub) since(change int64, only []string, now time.Time) []Mount {
	list := []Mount{}
	for _, name := range h.order {
		k := h.mounts[name]
		if k.change > change && wanted(name, only) {
			list = append(list, k.now(now))
		}
	}
	return list
}

// wanted reports whether a mount is one of those that are named, by its name or, where
// that is a URL, by its path.
func wanted(name string, only []string) bool {
	return len(only) == 0 || slices.ContainsFunc(only, func(o string) bool {
		return o == name || strings.HasPrefix(o, "/") && strings.HasSuffix(name, o) && !strings.HasPrefix(name, "/")
	})
}

// id returns the name of what is known now. The caller holds mu.
func (h *Hub) id() string { return h.epoch + "-" + strconv.FormatInt(h.changes, 10) }

// message makes a message of mounts. The caller holds mu.
func (h *Hub) message(kind string, now time.Time, mounts []Mount) Event {
	m := Message{Version: Version, Type: kind, ID: h.id(), Time: stamp(now), Mounts: mounts}
	data, err := json.Marshal(m)
	if err != nil {
		panic(err) // numbers and texts can be written
	}
	return Event{ID: m.ID, Type: kind, Data: data}
}

// shared returns a message that was just made for the same, or makes it. The caller
// holds mu.
func (h *Hub) shared(key purpose, now time.Time, mounts func() Event) Event {
	m, ok := h.made[key]
	if !ok || now.Sub(m.at) > shares {
		if len(h.made) > 100 {
			clear(h.made)
		}
		m = made{mounts(), now}
		h.made[key] = m
	}
	return m.Event
}

// Snapshot returns a message with all there is to know of some mounts, or of all.
func (h *Hub) Snapshot(only ...string) Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begin()
	now := time.Now()
	return h.shared(purpose{kind: Snapshot, names: strings.Join(only, "\x00")}, now, func() Event {
		return h.message(Snapshot, now, h.since(0, only, now))
	})
}

// ID returns the name of what is known: another one after each change.
func (h *Hub) ID() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begin()
	return h.id()
}

// Subscription is one who wants to know.
type Subscription struct {
	hub   *Hub
	only  []string
	names string // the same in one
	began bool
	seen  int64 // the last change it knows of
	beat  time.Time
	every time.Duration
	timer *time.Timer
}

// Subscribe returns a subscription to some mounts, or to all. Last is the ID of what the
// subscriber knows already, "" for nothing.
func (h *Hub) Subscribe(last string, only ...string) *Subscription {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begin()
	s := &Subscription{hub: h, only: only, names: strings.Join(only, "\x00"), beat: time.Now(), every: heartbeat - rand.N(spread)}
	if number, ok := strings.CutPrefix(last, h.epoch+"-"); ok {
		if n, err := strconv.ParseInt(number, 10, 64); err == nil && n >= 0 && n <= h.changes {
			s.began, s.seen = true, n
		}
	}
	return s
}

// Next waits for what is to be told next: all first, then what has changed since the time
// before, however often, or where the position is after a while. It fails when ctx ends.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		now := time.Now()
		e, changed := s.look(now)
		if e.Data != nil {
			return e, ctx.Err()
		}
		if wait := s.beat.Add(s.every).Sub(now); s.timer == nil {
			s.timer = time.NewTimer(wait)
		} else {
			s.timer.Reset(wait)
		}
		select {
		case <-changed:
		case <-s.timer.C:
		case <-ctx.Done():
			s.timer.Stop()
			return Event{}, ctx.Err()
		}
	}
}

// look returns what there is to tell now, if there is, and a channel that is closed when
// something changes.
func (s *Subscription) look(now time.Time) (Event, <-chan struct{}) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return s.due(now), s.hub.changed
}

// due returns what there is to tell now, if there is. The caller holds the hub's mu.
func (s *Subscription) due(now time.Time) Event {
	h := s.hub
	switch {
	case !s.began:
		s.began, s.seen, s.beat = true, h.changes, now
		return h.shared(purpose{kind: Snapshot, names: s.names}, now, func() Event { return h.message(Snapshot, now, h.since(0, s.only, now)) })
	case h.changes > s.seen:
		from := s.seen
		s.seen = h.changes
		e := h.shared(purpose{Change, from, s.names}, now, func() Event {
			mounts := h.since(from, s.only, now)
			if len(mounts) == 0 {
				return Event{}
			}
			return h.message(Change, now, mounts)
		})
		if e.Data != nil {
			s.beat = now
			return e
		}
	}
	if now.Sub(s.beat) < s.every {
		return Event{}
	}
	s.beat = now
	return h.shared(purpose{kind: Position, names: s.names}, now, func() Event {
		mounts := h.since(0, s.only, now)
		for i, m := range mounts {
			mounts[i] = Mount{Mount: m.Mount, State: m.State, Listeners: m.Listeners, Position: m.Position}
		}
		return h.message(Position, now, mounts)
	})
}
