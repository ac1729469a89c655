package serve

import (
	"context"
	"net"
	"time"

	"icepush/icy"
)

const (
	// metaint is how many bytes of audio stand between two metadata blocks, as Icecast
	// has it.
	metaint = 16000

	// writeTimeout is how long a listener may take nothing.
	writeTimeout = 20 * time.Second
)

// feed sends the mount to a listener until it leaves, takes nothing for too long, the
// mount ends, or ctx. With ICY the titles are between the audio. The listener joins at a
// frame border; one that is too slow goes on at another.
func (m *Mount) feed(ctx context.Context, c net.Conn, withICY bool) {
	w := listenerWriter{titles: withICY, left: metaint}
	m.follow(ctx, func(blocks []*block, gap bool) error {
		if gap {
			w.add(blocks[0].head)
		}
		for _, b := range blocks {
			w.audio(b)
		}
		c.SetWriteDeadline(time.Now().Add(writeTimeout))
		return w.flush(c)
	})
}

// listenerWriter puts blocks and titles together without copying them.
type listenerWriter struct {
	titles  bool
	left    int    // bytes of audio before the next metadata block
	shown   string // the title told last
	told    bool   // there was one
	buffers net.Buffers
}

func (w *listenerWriter) add(b []byte) {
	if len(b) > 0 {
		w.buffers = append(w.buffers, b)
	}
}

// noTitle is a metadata block that leaves the title as it is.
var noTitle = []byte{0}

// audio adds a block. A title stands at the first mark behind the first byte of its
// track.
func (w *listenerWriter) audio(b *block) {
	data := b.data
	for w.titles && len(data) >= w.left {
		w.add(data[:w.left])
		data = data[w.left:]
		w.left = metaint
		if b.title != w.shown || !w.told && b.title != "" {
			w.shown, w.told = b.title, true
			w.add(icy.Block(b.title, 0))
		} else {
			w.add(noTitle)
		}
	}
	w.add(data)
	w.left -= len(data)
}

// flush writes what has been put together.
func (w *listenerWriter) flush(c net.Conn) error {
	all := w.buffers
	_, err := w.buffers.WriteTo(c)
	clear(all) // the blocks are not kept by who waits for more
	w.buffers = all[:0]
	return err
}
