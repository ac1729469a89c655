// Package control is the socket a running icepush listens on: what it is doing, and what
// it is asked to do.
//
// It is HTTP with JSON, over a unix socket, or a loopback address with a token.
// docs/control.md describes it. A [Server] answers for a [Station], which it knows by that
// interface alone; a [Client] asks.
package control

import "time"

// Version is that of the JSON. Fields may be added to it; none is taken away or changes its
// meaning.
const Version = 1

// Status is what an icepush is doing at one moment. Lengths of time are in seconds.
type Status struct {
	Version   int       `json:"version"`
	Program   string    `json:"program"` // "icepush/1.0"
	PID       int       `json:"pid"`
	Time      time.Time `json:"time"`
	StartedAt time.Time `json:"started_at"`
	Ending    bool      `json:"ending"` // it was told to stop
	Healthy   bool      `json:"healthy"`
	Unhealthy string    `json:"unhealthy,omitempty"` // why it is not
	Show      Show      `json:"show"`
	Shows     []Show    `json:"shows,omitempty"` // all of them, when there are several
	Targets   []Target  `json:"targets"`
	Mounts    []Mount   `json:"mounts,omitempty"` // of icepush itself

	Goroutines  int   `json:"goroutines"`
	Memory      int64 `json:"memory"`                // bytes the program has from the system
	Heap        int64 `json:"heap"`                  // of these, what is in use
	Descriptors int   `json:"descriptors,omitempty"` // open files and connections
}

// Show is a station and what it plays.
type Show struct {
	Mount   string `json:"mount,omitempty"` // of a show of serve
	Playing bool   `json:"playing"`
	Track
	Titled    bool       `json:"titled"`               // the stream title was set, and is not the track's own
	StartedAt *time.Time `json:"started_at,omitempty"` // of the track
	Position  float64    `json:"position"`

	Next   *Track   `json:"next"`   // null when that is not known, or nothing
	Queued int      `json:"queued"` // inputs that wait
	Queue  []string `json:"queue"`  // the first of them

	Played   int64    `json:"played"` // tracks
	Skipped  int64    `json:"skipped"`
	Failed   int64    `json:"failed"`
	Frames   int64    `json:"frames"`  // that have left the clock
	Audio    float64  `json:"audio"`   // the same
	Silence  float64  `json:"silence"` // of that, what filled gaps
	Ahead    float64  `json:"ahead"`   // of it, what has not been heard yet
	Moved    float64  `json:"moved"`   // what could not be caught up with
	Lateness Lateness `json:"lateness"`
	Beat     float64  `json:"beat"` // how long ago the clock last showed that it goes
}

// Track is what can be played.
type Track struct {
	Path        string  `json:"path"`
	Artist      string  `json:"artist"`
	Title       string  `json:"title"`
	Album       string  `json:"album"`
	StreamTitle string  `json:"stream_title"`
	Duration    float64 `json:"duration"` // 0 when unknown
	Number      int     `json:"number"`   // in the list, from 1; 0 when not counted
	Of          int     `json:"of"`       // 0 when not counted
	FromQueue   bool    `json:"from_queue"`
}

// Lateness is how long after they were due groups of frames have left.
type Lateness struct {
	Groups  int64    `json:"groups"`
	Sum     float64  `json:"sum"`
	Mean    float64  `json:"mean"`
	Max     float64  `json:"max"`
	Buckets []Bucket `json:"buckets"` // in order
}

// Bucket counts the groups that were at most so late, but later than the bucket before. The
// last bucket has all the rest, and no bound.
type Bucket struct {
	Most   float64 `json:"most,omitempty"`
	Groups int64   `json:"groups"`
}

// Target is a remote mount.
type Target struct {
	URL           string           `json:"url"` // without user and password
	State         string           `json:"state"`
	OnAir         bool             `json:"on_air"`
	Since         *time.Time       `json:"since,omitempty"` // it is on the air, or off it
	OnFor         float64          `json:"on_for"`          // in all
	OffFor        float64          `json:"off_for"`
	Server        string           `json:"server"` // what it calls itself
	Error         string           `json:"error"`  // why it is off the air
	Bytes         int64            `json:"bytes"`  // sent, in all
	Frames        int64            `json:"frames"` // sent, each counted once
	Lost          int64            `json:"lost"`   // frames that were not sent, with --live
	Queued        float64          `json:"queued"` // audio that waits to be sent
	Lead          float64          `json:"lead"`   // how far what was sent is ahead of what is heard
	Reconnects    map[string]int64 `json:"reconnects"`
	Titles        int64            `json:"titles"` // that were sent
	TitlesRefused int64            `json:"titles_refused"`
}

// Mount is one that listeners join.
type Mount struct {
	Path      string  `json:"path"`
	Playing   bool    `json:"playing"`
	Quiet     float64 `json:"quiet"`  // how long ago audio came last
	Source    bool    `json:"source"` // it is that of a live source
	Listeners int     `json:"listeners"`
	Peak      int     `json:"peak"`
}

// Seconds returns a length of time as it is in the JSON, to the millisecond.
func Seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond).Milliseconds()) / 1000
}

// Station is what a Server answers for. Its methods are called by several goroutines at
// once, and do not wait. Mount names a show of several; "" is the only one. An error is a
// sentence for who asked, and a [Refusal] when it is more than bad luck.
type Station interface {
	Status() Status
	Skip(mount string) error                                     // ends the track
	Queue(mount string, files []string) (waiting int, err error) // plays them behind the track
	Title(mount, text string) error                              // shows this; "" gives the track's own back
	Reload(mount string, now bool) error                         // reads the list again, and skips
	Stop(afterTrack bool) error                                  // ends the show in order
	SetLevel(level string) error                                 // of logging: debug, info, warn, error
}

// Refusal is an error with a status of HTTP.
type Refusal struct {
	Code int
	Err  error
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }
