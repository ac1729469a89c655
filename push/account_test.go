package push

import (
	"math/rand/v2"
	"testing"
)

// TestSpans adds random rows of numbers, and compares with a set of them.
func TestSpans(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var s spans
		set := map[int64]bool{}
		for range 30 {
			a := int64(rnd.IntN(300))
			b := a + int64(rnd.IntN(20)) - 2
			s.add(a, b)
			for i := a; i < b; i++ {
				set[i] = true
			}
			from := int64(rnd.IntN(300))
			to := from + int64(rnd.IntN(100))
			want := int64(0)
			for i := from; i < to; i++ {
				if set[i] {
					want++
				}
			}
			if got := s.in(from, to); got != want {
				t.Fatalf("seed %d: %d from %d to %d, want %d: %v", seed, got, from, to, want, s)
			}
			for i, r := range s {
				if r[0] >= r[1] || i > 0 && s[i-1][1] >= r[0] {
					t.Fatalf("seed %d: %v", seed, s)
				}
			}
		}
	}
}

// TestManySpans forgets the oldest rows.
func TestManySpans(t *testing.T) {
	var s spans
	for i := range int64(2 * maxSpans) {
		s.add(3*i, 3*i+1)
	}
	if len(s) != maxSpans || s.in(0, 3*maxSpans) != 0 {
		t.Error(len(s))
	}
}
