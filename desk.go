package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"icepush/control"
	"icepush/playlist"
	"icepush/push"
	"icepush/serve"
	"icepush/station"
	"icepush/track"
)

// desk is what a show is controlled by, while it runs.
type desk struct {
	mount   string // of a show of serve
	station atomic.Pointer[station.Station]
	list    *playlist.Playlist // nil for a show without: standard input, or sources
	queue   *station.Queue     // the same
	reload  chan struct{}      // the same: has the list read again
	orders  chan station.Order
	titles  chan string
	again   chan struct{} // has the file with titles read again

	mu      sync.Mutex
	lengths lengths
}

// newDesk returns the desk of a show.
func (s *show) newDesk(mount string) *desk {
	d := &desk{
		mount: mount, orders: make(chan station.Order, station.MaxOrders), titles: make(chan string, 1), again: make(chan struct{}, 1),
	}
	if !s.stdin && len(s.cue.Playlist.Inputs) > 0 {
		d.list, d.queue, d.reload = &s.cue.Playlist, &station.Queue{}, make(chan struct{}, 1)
	}
	return d
}

// plays gives the desk the station it controls.
func (d *desk) plays(st *station.Station) {
	st.Orders, st.Titles = d.orders, d.titles
	d.station.Store(st)
}

// order has the station do something.
func (d *desk) order(o station.Order) error {
	if d.station.Load() == nil {
		return &control.Refusal{Code: http.StatusConflict, Err: errors.New("there is no show that could be asked to")}
	}
	select {
	case d.orders <- o:
		return nil
	default:
		return &control.Refusal{Code: http.StatusTooManyRequests, Err: fmt.Errorf("%d orders wait to be carried out already", station.MaxOrders)}
	}
}

// show has a title shown: the newest one wins.
func (d *desk) show(title string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		select {
		case d.titles <- title:
			return
		default:
		}
		select {
		case <-d.titles:
		default:
		}
	}
}

// readAgain asks for the list to be read again.
func (d *desk) readAgain() {
	select {
	case d.reload <- struct{}{}:
	default: // it has been asked already
	}
}

// retitle has the title sent again, and the file with titles read.
func (d *desk) retitle() {
	select {
	case d.again <- struct{}{}:
	default:
	}
	d.order(station.Retitle)
}

// errStdin says what cannot be done with standard input.
var errStdin = errors.New("standard input comes as it comes: there is no list, and nothing to skip to")

// lengths remembers what costs a file to be read: how long a track is, and a list.
type lengths struct {
	path     string
	number   int
	duration time.Duration
	of       int
	counted  time.Time
}

// listCounted is how long the length of a list is believed.
const listCounted = time.Minute

// measure completes what is known of the track that plays. It reads the file, once.
func (d *desk) measure(t *track.Info) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := &d.lengths
	if d.list == nil {
		return
	}
	if t.Of == 0 && t.Number > 0 {
		if time.Since(l.counted) > listCounted || t.Number > l.of {
			l.of, l.counted = d.list.Len(), time.Now()
		}
		t.Of = max(l.of, t.Number)
	}
	if t.Duration > 0 || t.Path == "" || (playlist.Entry{Path: t.Path}).Remote() {
		return
	}
	if l.path != t.Path || l.number != t.Number || l.duration == 0 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		l.path, l.number = t.Path, t.Number
		l.duration, _ = track.Measure(ctx, t.Path, track.Info{Start: t.Start, Stop: t.Stop})
	}
	t.Duration = l.duration
}

// status returns what the show is doing.
func (d *desk) status() (show control.Show) {
	show = control.Show{Mount: d.mount, Queue: []string{}, Lateness: control.Lateness{Buckets: []control.Bucket{}}}
	if d.queue != nil {
		if next, queued, ok := d.queue.Next(); ok {
			t := trackOf(next)
			t.FromQueue = queued
			show.Next = &t
		}
		for _, input := range d.queue.Waiting() {
			show.Queue = append(show.Queue, track.ShowURL(input))
		}
		show.Queued = len(show.Queue)
	}
	station := d.station.Load()
	if station == nil {
		return show
	}
	st := station.Status()
	d.measure(&st.Track)
	show.Playing, show.Track, show.Titled = st.Playing, trackOf(st.Track), st.Titled
	if !st.Since.IsZero() {
		show.StartedAt = &st.Since
	}
	show.Position = control.Seconds(st.Position)
	show.Played, show.Skipped, show.Failed, show.Frames = int64(st.Played), int64(st.Skipped), int64(st.Failed), st.Frames
	show.Audio, show.Silence, show.Ahead, show.Moved = control.Seconds(st.Audio), control.Seconds(st.Silence), control.Seconds(st.Ahead), control.Seconds(st.Moved)
	if !st.Beat.IsZero() {
		show.Beat = control.Seconds(time.Since(st.Beat))
	}
	show.Lateness = latenessOf(st.Lateness)
	return show
}

func latenessOf(l station.Lateness) control.Lateness {
	out := control.Lateness{Groups: l.Groups, Sum: l.Sum.Seconds(), Max: l.Most.Seconds(), Buckets: []control.Bucket{}}
	if l.Groups > 0 {
		out.Mean = (l.Sum / time.Duration(l.Groups)).Seconds()
	}
	for i, n := range l.Counts {
		b := control.Bucket{Groups: n}
		if i < len(station.LatenessBounds) {
			b.Most = station.LatenessBounds[i].Seconds()
		}
		out.Buckets = append(out.Buckets, b)
	}
	return out
}

func trackOf(t track.Info) control.Track {
	return control.Track{
		Path: track.ShowURL(t.Path), Artist: t.Artist, Title: t.Title, Album: t.Album, StreamTitle: t.StreamTitle,
		Duration: control.Seconds(t.Duration), Number: t.Number, Of: t.Of,
	}
}

// remote is what an icepush is controlled by. It is the control.Station of its socket.
type remote struct {
	began  time.Time
	level  *slog.LevelVar
	stop   chan<- os.Signal // as the system does it
	health time.Duration    // off the air for so long, it is not healthy
	shows  []*desk
	more   []prometheus.Collector // of metrics

	mu      sync.Mutex
	sources []*push.Source
	mounts  []*serve.Mount
	ending  bool
}

// sends says where the show goes.
func (r *remote) sends(sources []*push.Source, mounts ...*serve.Mount) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sources, r.mounts = sources, mounts
}

// ends notes that the shows are ending.
func (r *remote) ends() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ending = true
}

// Status returns what is going on.
func (r *remote) Status() control.Status {
	r.mu.Lock()
	sources, mounts, ending := r.sources, r.mounts, r.ending
	r.mu.Unlock()
	st := control.Status{
		Version: control.Version, Program: push.UserAgent, PID: os.Getpid(), Time: time.Now().UTC(), StartedAt: r.began.UTC(), Ending: ending,
		Targets: []control.Target{}, Goroutines: runtime.NumGoroutine(), Descriptors: descriptors(),
	}
	st.Memory, st.Heap = memory()
	for _, d := range r.shows {
		st.Shows = append(st.Shows, d.status())
	}
	if len(st.Shows) > 0 {
		st.Show = st.Shows[0]
	}
	if len(st.Shows) < 2 {
		st.Shows = nil
	}
	for _, src := range sources {
		st.Targets = append(st.Targets, targetOf(src, st.Show.Ahead))
	}
	for _, m := range mounts {
		stats := m.Stats()
		quiet := time.Since(r.began)
		if !stats.Latest.IsZero() {
			quiet = time.Since(stats.Latest)
		}
		st.Mounts = append(st.Mounts, control.Mount{
			Path: m.Path, Playing: stats.Playing, Quiet: control.Seconds(quiet), Source: stats.Source, Listeners: stats.Listeners, Peak: stats.Peak,
		})
	}
	st.Unhealthy = r.unhealthy(&st)
	st.Healthy = st.Unhealthy == ""
	return st
}

// unhealthy says what is wrong, "" for nothing.
func (r *remote) unhealthy(st *control.Status) string {
	limit := r.health.Seconds()
	if !r.alive(max(r.health, beatWithin)) {
		return "the clock stands still"
	}
	off := time.Since(r.began).Seconds()
	for _, t := range st.Targets {
		if t.OnAir {
			off = 0
		} else if t.Since != nil {
			off = min(off, time.Since(*t.Since).Seconds())
		}
	}
	if len(st.Targets) == 0 && len(st.Mounts) > 0 {
		off = 0
		for _, m := range st.Mounts {
			off = max(off, m.Quiet)
		}
	}
	if off > limit {
		return fmt.Sprintf("off the air for %.0f s", off)
	}
	return ""
}

// targetOf returns what a source is doing. Ahead is how far what has left the clock is ahead
// of what is heard, in seconds.
func targetOf(src *push.Source, ahead float64) control.Target {
	s := src.Status()
	t := control.Target{
		URL: src.Mount.String(), State: s.State.String(), OnAir: s.State == push.OnAir, OnFor: control.Seconds(s.On), OffFor: control.Seconds(s.Off),
		Server: s.Server, Bytes: s.Bytes, Frames: s.Frames, Lost: int64(s.Lost), Queued: control.Seconds(s.Queued),
		Reconnects: map[string]int64{}, Titles: int64(s.Titles), TitlesRefused: int64(s.Refused),
	}
	if t.OnAir {
		t.Lead = ahead - t.Queued
	}
	if !s.Since.IsZero() {
		since := s.Since.UTC()
		t.Since = &since
	}
	if s.Err != nil {
		t.Error = s.Err.Error()
	}
	for word, n := range s.Rejoined {
		t.Reconnects[word] = int64(n)
	}
	return t
}

// memory returns how many bytes the program has, and how many of the heap it uses.
func memory() (all, heap int64) {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64()), int64(samples[1].Value.Uint64())
}

// descriptors returns how many files and connections are open, 0 where that is not told.
func descriptors() int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(names) - 1 // one was that of the folder
}

// desk returns that of a mount, or the only one for "".
func (r *remote) desk(mount string) (*desk, error) {
	if mount == "" && len(r.shows) == 1 {
		return r.shows[0], nil
	}
	var mounts []string
	for _, d := range r.shows {
		if d.mount == mount {
			return d, nil
		}
		mounts = append(mounts, d.mount)
	}
	if len(r.shows) == 1 && r.shows[0].mount == "" {
		return nil, &control.Refusal{Code: http.StatusNotFound, Err: errors.New("there is one show for all mounts: leave the mount out")}
	}
	return nil, &control.Refusal{Code: http.StatusNotFound, Err: fmt.Errorf("name a show by its mount: it is one of %s", strings.Join(mounts, ", "))}
}

// listed returns the desk of a show that has a list.
func (r *remote) listed(mount string) (*desk, error) {
	d, err := r.desk(mount)
	if err == nil && d.list == nil {
		return nil, &control.Refusal{Code: http.StatusConflict, Err: errStdin}
	}
	return d, err
}

// Skip ends the track.
func (r *remote) Skip(mount string) error {
	d, err := r.listed(mount)
	if err != nil {
		return err
	}
	return d.order(station.Skip)
}

// Queue has files played behind the track.
func (r *remote) Queue(mount string, files []string) (waiting int, err error) {
	d, err := r.listed(mount)
	if err != nil {
		return 0, err
	}
	for _, name := range files {
		if (playlist.Entry{Path: name}).Remote() {
			continue
		}
		var pe *fs.PathError
		if _, err := os.Stat(name); errors.As(err, &pe) {
			return 0, &control.Refusal{Code: http.StatusNotFound, Err: fmt.Errorf("%.1000s: %w", name, pe.Err)}
		}
	}
	waiting, err = d.queue.Add(files...)
	if err != nil {
		err = &control.Refusal{Code: http.StatusTooManyRequests, Err: err}
		if errors.Is(err, station.ErrShowEnds) {
			err = &control.Refusal{Code: http.StatusConflict, Err: station.ErrShowEnds}
		}
	}
	return waiting, err
}

// maxTitle is how long a title may be, in bytes: as much as goes into a metadata block.
const maxTitle = 4000

// Title shows a text in place of the titles of the tracks.
func (r *remote) Title(mount, text string) error {
	d, err := r.desk(mount)
	switch {
	case err != nil:
		return err
	case d.station.Load() == nil:
		return &control.Refusal{Code: http.StatusConflict, Err: errors.New("there is no show whose title could be set")}
	case len(text) > maxTitle:
		return &control.Refusal{Code: http.StatusBadRequest, Err: fmt.Errorf("a title has at most %d bytes", maxTitle)}
	}
	d.show(text)
	return nil
}

// Reload reads the list again, and skips the track.
func (r *remote) Reload(mount string, now bool) error {
	d, err := r.listed(mount)
	if err != nil {
		return err
	}
	d.readAgain()
	if now {
		return d.order(station.Skip)
	}
	return nil
}

// Stop ends all shows.
func (r *remote) Stop(afterTrack bool) error {
	if afterTrack {
		var all error = &control.Refusal{Code: http.StatusConflict, Err: errors.New("there is no track to wait for")}
		for _, d := range r.shows {
			if d.station.Load() != nil {
				all = d.order(station.EndAfter)
			}
		}
		return all
	}
	select {
	case r.stop <- syscall.SIGTERM:
	default: // it has been told already
	}
	return nil
}

// SetLevel changes what is logged.
func (r *remote) SetLevel(level string) error {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return err
	}
	r.level.Set(l)
	return nil
}
