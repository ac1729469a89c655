package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"icepush/push"
)

// notifier tells systemd how icepush is (sd_notify(3)): a datagram for each message.
type notifier struct {
	net.Conn
	watchdog time.Duration // how often it wants to hear that all is well; 0 for not at all
}

// newNotifier returns nil when systemd does not want to know. What icepush runs is not to
// speak for it.
func newNotifier(log *slog.Logger) *notifier {
	socket, usec, pid := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		os.Unsetenv(name)
	}
	if socket == "" {
		return nil
	}
	c, err := net.Dial("unixgram", socket) // @ stands for an abstract one
	if err != nil {
		log.Warn("systemd is not told how it is", "err", err)
		return nil
	}
	n := &notifier{Conn: c}
	if us, err := strconv.ParseInt(usec, 10, 64); err == nil && us > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.watchdog = time.Duration(us) * time.Microsecond
	}
	return n
}

// send sends a message. Who does not take it in time goes without.
func (n *notifier) send(message string) {
	n.SetWriteDeadline(time.Now().Add(time.Second))
	n.Write([]byte(message))
}

const (
	// notifyEvery is how often it is looked what there is to tell.
	notifyEvery = 500 * time.Millisecond

	// beatWithin is how long ago the loop of a station has shown that it lives, at most.
	beatWithin = 2 * time.Second
)

// notify tells systemd when it is on the air, what plays, that it lives, and that it ends.
// The loops of the stations have to have shown that they live.
func (r *remote) notify(ctx context.Context, n *notifier) {
	defer n.Close()
	every := notifyEvery
	if n.watchdog > 0 {
		every = min(every, n.watchdog/2)
	}
	var fed time.Time
	ready, stopping, said := false, false, ""
	for {
		line, up, ending := r.line()
		if up && !ready {
			ready = true
			n.send("READY=1")
		}
		if line != said {
			said = line
			n.send("STATUS=" + line)
		}
		if ending && !stopping {
			stopping = true
			n.send("STOPPING=1")
		}
		if n.watchdog > 0 && time.Since(fed) >= n.watchdog/2-every/2 && r.alive(max(beatWithin, n.watchdog/2)) {
			fed = time.Now()
			n.send("WATCHDOG=1")
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			if !stopping {
				n.send("STOPPING=1")
			}
			return
		}
	}
}

// line says in one line what plays, and where. Up says that somebody can hear it.
func (r *remote) line() (line string, up, ending bool) {
	r.mu.Lock()
	sources, mounts, ending := r.sources, r.mounts, r.ending
	r.mu.Unlock()
	var parts []string
	for _, d := range r.shows {
		if st := d.station.Load(); st != nil {
			if t := st.Status().Track; t.StreamTitle != "" || t.Title != "" {
				title := t.StreamTitle
				if title == "" {
					title = t.Title
				}
				parts = append(parts, title)
			}
		}
	}
	for _, src := range sources {
		state := src.Status().State
		up = up || state == push.OnAir
		parts = append(parts, src.Mount.String()+" "+state.String())
	}
	for _, m := range mounts {
		up = true
		parts = append(parts, m.Path)
	}
	return printable(strings.Join(parts, ", ")), up, ending
}

// alive reports whether the loops of all stations that play have shown within so long that
// they live.
func (r *remote) alive(within time.Duration) bool {
	for _, d := range r.shows {
		st := d.station.Load()
		if st == nil {
			continue
		}
		if s := st.Status(); !s.Ended && !s.Beat.IsZero() && time.Since(s.Beat) > within {
			return false
		}
	}
	return true
}
