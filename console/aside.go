package console

import (
	"bytes"
	"fmt"
	"io"
	"time"
)

const (
	// asideTexts is how many texts may wait for a terminal: lines, and drawings of the bar.
	asideTexts = 256

	// asideEnd is how long the end waits for what is still to be written.
	asideEnd = time.Second
)

// aside is a writer that does not wait for the one under it.
type aside struct {
	w     io.Writer
	texts chan []byte
	done  chan struct{} // closed when all is written
	lost  int           // texts, since the last that was taken
}

// Run has everything written from now on by itself, until Close: a terminal that takes
// nothing (Ctrl-S, a connection that hangs) holds nobody up. What does not fit into its
// queue then is left out, and that is told later.
func (c *Console) Run() {
	a := &aside{texts: make(chan []byte, asideTexts), done: make(chan struct{})}
	defer close(a.done)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	a.w = c.w
	c.w, c.aside = a, a
	c.mu.Unlock()
	for text := range a.texts {
		a.w.Write(text)
	}
}

// Write takes a text, or leaves it out. The caller holds the Console's mu.
func (a *aside) Write(p []byte) (int, error) {
	text := bytes.Clone(p)
	if a.lost > 0 {
		text = append(fmt.Appendf(nil, "\n(%d lines or more are missing here: the terminal took nothing)\n", a.lost), text...)
	}
	select {
	case a.texts <- text:
		a.lost = 0
	default:
		if bytes.HasSuffix(p, []byte("\n")) { // the bar is drawn again anyhow
			a.lost++
		}
	}
	return len(p), nil
}

// end waits a moment for what is to be written.
func (a *aside) end() {
	close(a.texts)
	select {
	case <-a.done:
	case <-time.After(asideEnd):
	}
}
