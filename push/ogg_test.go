package push_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"icepush/frame"
	"icepush/push/pushtest"
	"icepush/ratelimit"
	"icepush/track"
)

// pages returns the pages of a file of testdata, n times over, each time as a track opened
// anew.
func pages(t *testing.T, name string, n int) (all []frame.Frame) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../testdata/ogg", name))
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		r := frame.NewReader(bytes.NewReader(b))
		for {
			f, err := r.Next()
			if err != nil {
				break
			}
			all = append(all, f)
		}
	}
	return all
}

// TestOggReconnect breaks the line in the middle of Ogg tracks, again and again: each
// connection begins with the headers of what plays, is a row of whole links, and nothing
// is lost.
func TestOggReconnect(t *testing.T) {
	for _, live := range []bool{false, true} {
		for _, name := range []string{"vorbis-offset.ogg", "opus-stereo.opus", "flac-in-ogg.oga"} {
			t.Run(fmt.Sprintf("%s, live %v", name, live), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t)
					r.source.Live = live
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					r.run(ctx)
					go func() {
						for range 4 {
							time.Sleep(2700 * time.Millisecond)
							r.server.Break(true)
						}
					}()
					p := &ratelimit.Pacer{Lead: 500 * time.Millisecond}
					all := pages(t, name, 40)
					var setup *frame.Setup
					for _, f := range all {
						if f.Setup != setup {
							setup = f.Setup
							r.source.Play(track.Info{StreamTitle: setup.Title(), Header: f.Header})
						}
						if !live {
							if waited, ahead, err := r.source.Ready(ctx); err != nil {
								t.Fatal(err)
							} else if waited {
								p.Restart(ahead)
							}
						}
						p.Wait(ctx, f.Samples, f.SampleRate)
						r.source.Send([]frame.Frame{f})
					}
					p.Drain(ctx)
					r.source.Close()
					if err := r.end(); err != nil {
						t.Fatal(err, r.log.String())
					}
					streams := r.server.Streams()
					if len(streams) != 5 {
						t.Fatalf("%d connections\n%s", len(streams), r.log.String())
					}
					checkOgg(t, streams, all, live)
				})
			})
		}
	}
}

// checkOgg checks what came on each connection, and, unless the show ran on meanwhile, that
// all of the audio is there.
func checkOgg(t *testing.T, streams []pushtest.Stream, all []frame.Frame, live bool) {
	t.Helper()
	got := map[string]bool{}
	for i, s := range streams {
		if s.Header.Get("Content-Type") != "audio/ogg" || s.Header.Get("icy-metaint") != "" {
			t.Errorf("stream %d: %v", i, s.Header)
		}
		if !bytes.HasPrefix(s.Audio, []byte("OggS\x00\x02")) {
			t.Errorf("stream %d does not begin with a header", i)
		}
		n := 0
		r := frame.NewReader(bytes.NewReader(s.Audio))
		for {
			f, err := r.Next()
			for _, skip := range r.Skipped() {
				// What the server has not read of a broken line may be the rest of a page.
				if !skip.Kind.IsHeaderFrame() && skip.Kind != frame.Truncated {
					t.Errorf("stream %d: %s", i, skip)
				}
			}
			if err != nil {
				break
			}
			if f.SampleRate != all[0].SampleRate {
				t.Errorf("stream %d has %s", i, f.Header)
			}
			n++
			got[string(f.Data[28:])] = true
		}
		if n == 0 {
			t.Errorf("stream %d has no audio", i)
		}
	}
	if live {
		return
	}
	missing := 0
	for _, f := range all {
		if !got[string(f.Data[28:])] {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d pages are missing", missing, len(all))
	}
}
