package push_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"icepush/frame"
	"icepush/push"
	"icepush/push/pushtest"
	"icepush/ratelimit"
)

// accounted looks whether a Source that has ended knows what became of its frames: without
// Live all have been sent and arrived; with it at least those have been sent that the server
// has, and no more have arrived than were sent.
func accounted(t *testing.T, r *rig, all []frame.Frame, streams []pushtest.Stream) {
	t.Helper()
	n := int64(len(all))
	sent, acknowledged, settled := r.source.Delivered(0, n)
	st := r.source.Status()
	if !settled || st.Frames != sent || acknowledged > sent {
		t.Errorf("%d of %d frames sent, %d in the status, %d arrived, settled %v", sent, n, st.Frames, acknowledged, settled)
	}
	if !r.source.Live && acknowledged != n {
		t.Errorf("%d of %d frames have arrived", acknowledged, n)
	}
	got := map[string]bool{}
	for _, st := range streams {
		for b := st.Audio; len(b) >= 417; b = b[417:] {
			got[string(b[:417])] = true
		}
	}
	have := int64(0)
	for _, f := range all {
		if got[string(f.Data)] {
			have++
		}
	}
	if have > sent {
		t.Errorf("%d frames sent, but the server has %d", sent, have)
	}
	parts := [2]int64{}
	for from := int64(0); from < n; from += 77 {
		sent, acknowledged, _ := r.source.Delivered(from, min(n, from+77))
		parts[0], parts[1] = parts[0]+sent, parts[1]+acknowledged
	}
	if parts != [2]int64{sent, acknowledged} {
		t.Errorf("%v in parts, %d and %d in all", parts, sent, acknowledged)
	}
	rejoined := 0
	for word, n := range st.Rejoined {
		rejoined += n
		if !slices.Contains(push.Reasons, word) {
			t.Errorf("the reason %q has no name", word)
		}
	}
	if st.Bytes <= 0 || st.On+st.Off <= 0 {
		t.Errorf("%d bytes, on the air %v, off %v, rejoined %d times", st.Bytes, st.On, st.Off, rejoined)
	}
}

// TestDelivered breaks a line for a minute, live: the frames of that time have not been
// sent, those before and behind have, and how long it was is known.
func TestDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.source.Live = true
		r.run(t.Context())
		frames := noise(1, 5000) // 130.6 s
		time.AfterFunc(20*time.Second, func() {
			r.net.Down(true)
			r.server.Break(false)
		})
		time.AfterFunc(80*time.Second, func() { r.net.Down(false) })
		if err := r.play(t.Context(), &ratelimit.Pacer{Lead: 500 * time.Millisecond}, "Title", frames); err != nil {
			t.Fatal(err)
		}
		r.source.Close()
		if err := r.end(); err != nil {
			t.Error(err)
		}
		accounted(t, r, frames, r.server.Streams())
		st := r.source.Status()
		if st.Rejoined["closed"] != 1 || st.Off < 60*time.Second || st.Off > 62*time.Second || st.On < 69*time.Second || st.Titles != 2 {
			t.Errorf("rejoined %v, off %v, on %v, %d titles", st.Rejoined, st.Off, st.On, st.Titles)
		}
		sent, _, _ := r.source.Delivered(0, 5000)
		if lost := 5000 - sent; lost != int64(st.Lost) && lost < 2200 || lost > 2310 {
			t.Errorf("%d frames were not sent, %d dropped", lost, st.Lost)
		}
		if sent, acknowledged, settled := r.source.Delivered(1000, 2500); sent != 0 || acknowledged != 0 || !settled {
			t.Errorf("%d sent, %d arrived while it was away", sent, acknowledged)
		}
	})
}
