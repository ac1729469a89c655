package serve

import (
	"bytes"
	"cmp"
	"context"
	"sync"
	"time"

	"icepush/frame"
	"icepush/nowplaying"
	"icepush/track"
)

// keep is how much audio beyond the burst is kept for listeners that are behind.
const keep = 10 * time.Second

// Mount is one stream that listeners join. It is a sink of the station: Play and Send
// never block, however many listen and however slowly.
type Mount struct {
	Path        string // "/live"
	Name        string
	Description string
	Genre       string
	URL         string
	Bitrate     int // kbit/s, as told to listeners; 0 takes that of the first track

	// Burst is how much audio a listener gets at once, so that it need not wait for its
	// buffer to fill. Zero is 4 s.
	Burst time.Duration

	// SourcePassword lets other programs send what is played, which is heard in place of
	// the show while they do; "" does not. SourceUser is "source" when empty.
	SourceUser     string
	SourcePassword string

	mu      sync.Mutex
	changed chan struct{} // closed and made anew when there is more
	blocks  []*block      // the oldest first
	first   int64         // number of blocks[0]
	kept    time.Duration // of audio in blocks
	chain   frame.Chain
	track   track.Info
	now     nowplaying.Feed
	header  frame.Header // of the first track
	kind    string       // media type, where the header does not tell
	began   time.Time
	played  time.Duration
	latest  time.Time // when the newest block came

	ended  bool
	closed bool // for good

	show   track.Info    // what the station plays, heard or not
	shown  bool          // it does
	showAt time.Duration // how far it is
	on     *live         // the source that has the mount
	heard  *live         // the one that is heard, or was last; nil when the show is
	seam   seam          // at which what is heard now began

	listeners int
	peak      int
	skipped   int64 // blocks that listeners were too slow for

	pcm *Mount // the decoded stream, once somebody has asked for it

	// What plays only while somebody listens.
	source  func(context.Context)
	stop    context.CancelFunc
	playing sync.WaitGroup
}

// block is what is sent at one time: whole frames of one track. Listeners share it.
type block struct {
	data  []byte
	head  []byte // what a newcomer needs before it: headers of Ogg
	title string
	lasts time.Duration
}

// Play says that the frames sent from now on are of this track.
func (m *Mount) Play(t track.Info) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.show, m.shown = t, true; !t.Continued {
		m.showAt = 0
	}
	if m.heard == nil {
		m.play(t)
	}
}

// play says what the frames are that are heard from now on. The caller holds mu.
func (m *Mount) play(t track.Info) {
	if m.ended && !m.closed {
		m.revive()
	}
	m.track = t
	m.now.Play(t)
	if m.began.IsZero() {
		m.header, m.began = t.Header, time.Now()
	}
}

// Send puts frames into the ring and wakes the listeners.
func (m *Mount) Send(frames []frame.Frame) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range frames {
		m.showAt += f.Lasts()
	}
	if m.heard == nil {
		m.send(frames)
	}
}

// send puts frames into the ring that are heard. The caller holds mu.
func (m *Mount) send(frames []frame.Frame) {
	if frames = m.seam.join(frames); len(frames) == 0 {
		return
	}
	b := &block{title: m.track.StreamTitle}
	size := 0
	for _, f := range frames {
		size += len(f.Data)
	}
	b.data = make([]byte, 0, size)
	for i, f := range frames {
		b.data = m.chain.Append(b.data, f, b.title)
		if head := m.chain.Head(); i == 0 && !bytes.Contains(b.data, head) {
			b.head = head // else they are in it
		}
		b.lasts += f.Lasts()
	}
	m.now.Send(frames)
	m.append(b)
}

// append puts a block into the ring. The caller holds mu.
func (m *Mount) append(b *block) {
	m.blocks = append(m.blocks, b)
	m.latest = time.Now()
	m.kept += b.lasts
	m.played += b.lasts
	for len(m.blocks) > 1 && m.kept-m.blocks[0].lasts >= m.burst()+keep {
		m.kept -= m.blocks[0].lasts
		m.blocks[0] = nil
		m.blocks = m.blocks[1:]
		m.first++
	}
	m.notify()
}

// Close says that no more frames come: listeners get what there is, and are let go.
func (m *Mount) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended, m.closed = true, true
	m.now.Off()
	m.notify()
}

// tellOf has a hub told what the mount plays from now on.
func (m *Mount) tellOf(hub *nowplaying.Hub) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Hub, m.now.Name = hub, m.Path
	m.now.Again()
	hub.Update(m.Path, func(n *nowplaying.Mount) {
		n.State = nowplaying.Off
		n.Name, n.Description, n.Genre, n.URL = m.title(), m.Description, m.Genre, m.URL
		n.ListenURL, n.Lead = m.Path, nowplaying.Seconds(m.burst())
		n.Listeners = new(int)
	})
}

// tellListeners says how many listen. The caller holds mu.
func (m *Mount) tellListeners() {
	if m.now.Hub != nil {
		n := m.listeners
		m.now.Hub.Update(m.Path, func(of *nowplaying.Mount) { of.Listeners = &n })
	}
}

// notify wakes who waits for more. The caller holds mu.
func (m *Mount) notify() {
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}

func (m *Mount) burst() time.Duration {
	if m.Burst > 0 {
		return m.Burst
	}
	return 4 * time.Second
}

// join returns the number of the block a newcomer begins with.
func (m *Mount) join() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.present()
}

// present returns the number of the block that begins a burst before the newest. The
// caller holds mu.
func (m *Mount) present() int64 {
	ahead, i := time.Duration(0), len(m.blocks)
	for i > 0 && ahead < m.burst() {
		i--
		ahead += m.blocks[i].lasts
	}
	return m.first + int64(i)
}

// after appends to list the blocks from number next on, as far as they are there. When there
// are none it returns a channel that is closed when there are. Who has fallen behind what
// is kept goes on at the present. Ended says that no more come.
func (m *Mount) after(next int64, list []*block) (_ []*block, from int64, more <-chan struct{}, ended bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if next < m.first {
		present := m.present()
		m.skipped += present - next
		next = present
	}
	if i := int(next - m.first); i < len(m.blocks) {
		return append(list, m.blocks[i:]...), next, nil, false
	}
	if m.ended {
		return list, next, nil, true
	}
	if m.changed == nil {
		m.changed = make(chan struct{})
	}
	return list, next, m.changed, false
}

// follow hands on the blocks as they come, from a burst before the newest on, until the
// mount ends, ctx does, or take fails. Gap says that the first of them does not follow those
// before, of which there may have been none. The slice is used again.
func (m *Mount) follow(ctx context.Context, take func(blocks []*block, gap bool) error) {
	next, gap := m.join(), true
	var blocks []*block
	for {
		var from int64
		var more <-chan struct{}
		var ended bool
		blocks, from, more, ended = m.after(next, blocks[:0])
		switch {
		case ended:
			return
		case more != nil:
			select {
			case <-more:
				continue
			case <-ctx.Done():
				return
			}
		}
		if take(blocks, gap || from != next) != nil {
			return
		}
		next, gap = from+int64(len(blocks)), false
	}
}

// plays reports whether there is something to hear. The caller holds mu.
func (m *Mount) plays() bool { return len(m.blocks) > 0 && !m.ended }

// describe returns what the mount plays. Ok is false while that is nothing.
func (m *Mount) describe() (contentType string, bitrate int, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	bitrate = m.Bitrate
	if bitrate == 0 {
		bitrate = (m.header.Bitrate + 500) / 1000
	}
	return cmp.Or(m.kind, m.header.Format.ContentType()), bitrate, m.plays()
}

// enter counts a listener in; the first one starts what plays only for listeners.
func (m *Mount) enter(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.listeners++
	m.peak = max(m.peak, m.listeners)
	m.tellListeners()
	if m.source != nil && m.listeners == 1 {
		ctx, m.stop = context.WithCancel(ctx)
		m.playing.Go(func() { m.source(ctx) })
	}
}

// leave counts a listener out; the last one stops what plays only for listeners.
func (m *Mount) leave() {
	m.mu.Lock()
	m.listeners--
	m.tellListeners()
	last := m.source != nil && m.listeners == 0
	if last {
		m.stop()
	}
	m.mu.Unlock()
	if !last {
		return
	}
	m.playing.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listeners == 0 { // what is left is of the past by the time somebody comes
		m.first += int64(len(m.blocks))
		m.blocks, m.kept = nil, 0
	}
}
