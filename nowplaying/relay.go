package nowplaying

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// lostAfter is how long a relay may hear nothing before it is taken to know nothing:
// there is a heartbeat every few seconds.
const lostAfter = 4 * heartbeat

// Relay carries messages from one hub to others through a NATS server, so that several
// web servers share one watcher. What is published on the subject are the messages that pages
// get; who asks on the subject with ".snapshot" behind it is answered with one.
type Relay struct {
	URL     string // nats://host:4222, tls://..., several with commas between them
	Subject string
	Name    string // of this client, for the server
	Log     *slog.Logger
}

// Check says what is wrong with where a relay is to connect.
func (r *Relay) Check() error {
	for one := range strings.SplitSeq(r.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Host == "" || u.Scheme != "nats" && u.Scheme != "tls" {
			return errors.New("this is no URL of a NATS server: it looks like nats://host:4222") // it may have a password
		}
	}
	if r.Subject == "" || strings.ContainsAny(r.Subject, "*> \t\r\n") || strings.HasPrefix(r.Subject, ".") || strings.HasSuffix(r.Subject, ".") || strings.Contains(r.Subject, "..") {
		return fmt.Errorf("the subject %q is none to publish on: words with dots between them", r.Subject)
	}
	return nil
}

// connect connects, now or when that becomes possible, and stays so.
func (r *Relay) connect(again func()) (*nats.Conn, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	c, err := nats.Connect(r.URL,
		nats.Name(r.Name), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(time.Second), nats.ReconnectJitter(500*time.Millisecond, time.Second),
		nats.ReconnectBufSize(1<<20), nats.Timeout(5*time.Second), nats.PingInterval(20*time.Second),
		nats.IgnoreAuthErrorAbort(), // a password may be mended
		nats.ConnectHandler(func(c *nats.Conn) { r.Log.Info("connected", "nats", c.ConnectedUrlRedacted()); again() }),
		nats.ReconnectHandler(func(c *nats.Conn) { r.Log.Info("connected again", "nats", c.ConnectedUrlRedacted()); again() }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				r.Log.Warn("the connection is lost", "nats", r.Subject, "err", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			r.Log.Warn("the relay has trouble", "nats", r.Subject, "err", err)
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	if !c.IsConnected() {
		r.Log.Warn("it is not there yet; it is tried again and again", "nats", r.Subject, "err", c.LastError())
	} else {
		again() // its handler is called for attempts after the first only
	}
	return c, nil
}

// Publish passes on what a hub knows until ctx ends.
func (r *Relay) Publish(ctx context.Context, h *Hub) error {
	connected := make(chan struct{}, 1)
	c, err := r.connect(func() {
		select {
		case connected <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Subscribe(r.Subject+".snapshot", func(m *nats.Msg) { m.Respond(h.Snapshot().Data) }); err != nil {
		return fmt.Errorf("nats %s: %w", r.Subject, err)
	}
	s := h.Subscribe("")
	for {
		e, err := s.Next(ctx)
		if err != nil {
			break
		}
		select {
		case <-connected: // who listens there may have missed something
			e = h.Snapshot()
		default:
		}
		if !c.IsConnected() {
			continue // the newest is what counts when it is back
		}
		if err := c.Publish(r.Subject, e.Data); err != nil {
			r.Log.Warn("this is not passed on", "nats", r.Subject, "err", err)
		}
	}
	if c.IsConnected() { // what there is in the end
		c.Publish(r.Subject, h.Snapshot().Data)
		c.FlushTimeout(time.Second)
	}
	return nil
}

// Receive tells a hub what others publish until ctx ends.
func (r *Relay) Receive(ctx context.Context, h *Hub) error {
	messages := make(chan *nats.Msg, 1000)
	asks := make(chan struct{}, 1)
	c, err := r.connect(func() {
		select {
		case asks <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.ChanSubscribe(r.Subject, messages); err != nil {
		return fmt.Errorf("nats %s: %w", r.Subject, err)
	}
	answers := nats.NewInbox()
	if _, err := c.ChanSubscribe(answers, messages); err != nil {
		return fmt.Errorf("nats %s: %w", r.Subject, err)
	}
	told := map[string]time.Time{}
	odd := false
	look := time.NewTicker(heartbeat)
	defer look.Stop()
	for {
		select {
		case <-asks:
			c.PublishRequest(r.Subject+".snapshot", answers, nil)
		case m := <-messages:
			err := h.apply(m.Data, told)
			if err != nil && len(m.Data) > 0 && !odd { // nobody is there who answers: it is empty
				odd = true
				r.Log.Warn("what comes there is left out", "nats", r.Subject, "err", err)
			}
		case <-look.C:
			silent := 0
			for name, heard := range told {
				if time.Since(heard) > lostAfter {
					h.Update(name, func(m *Mount) { m.State = Unknown })
					delete(told, name)
					silent++
				}
			}
			if silent > 0 {
				r.Log.Warn("nothing comes of some mounts any more", "nats", r.Subject, "mounts", silent)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// apply has a hub know what a message of another one says, and notes in told when it heard
// of which mounts.
func (h *Hub) apply(data []byte, told map[string]time.Time) error {
	var m Message
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("this is no message: %w", err)
	}
	if m.Version != Version {
		return fmt.Errorf("a message of version %d is not known here", m.Version)
	}
	for _, mount := range m.Mounts[:min(len(m.Mounts), maxMounts)] {
		switch mount.State {
		case Playing, Off, Unknown:
		default:
			continue
		}
		if !isWeb(mount.ListenURL) {
			mount.ListenURL = "" // a path is one of the publisher's, and not of ours
		}
		if mount.Position != nil {
			mount.SetPosition(time.Duration(*mount.Position), 2*heartbeat)
		}
		if m.Type != Position {
			if h.Replace(mount) {
				told[mount.Mount] = time.Now()
			}
			continue
		}
		if _, ok := told[mount.Mount]; ok {
			told[mount.Mount] = time.Now()
			h.Update(mount.Mount, func(to *Mount) {
				to.State, to.Listeners = mount.State, mount.Listeners
				to.Position, to.at, to.runs = mount.Position, mount.at, mount.runs
			})
		}
	}
	return nil
}
