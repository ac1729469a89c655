package playlist

import (
	"iter"
	"math/rand/v2"
	"slices"
)

// maxKept is how many entries a shuffle keeps at a time.
const maxKept = 20_000

// shuffled yields the entries of pass n in random order. When there are more than
// maxKept, the lists are read again for each maxKept of them; so songs may come twice or
// not at all when a list changes during the pass.
func (p *Playlist) shuffled(n int) iter.Seq2[Entry, error] {
	return looked(func(yield func(Entry, error) bool) {
		var kept []Entry
		count := 0
		for e, err := range p.entries(nil) {
			switch {
			case err != nil:
				if !yield(Entry{}, err) {
					return
				}
			case count < maxKept:
				kept = append(kept, e)
				fallthrough
			default:
				count++
			}
		}
		order := make([]uint32, count)
		for i := range order {
			order[i] = uint32(i)
		}
		random := rand.New(rand.NewPCG(p.Seed, uint64(n)))
		random.Shuffle(count, func(i, j int) { order[i], order[j] = order[j], order[i] })
		for turn := range slices.Chunk(order, maxKept) {
			if count > maxKept {
				kept = p.pick(turn, kept)
			} else {
				kept = inOrder(kept, turn)
			}
			for _, e := range kept {
				if e.Path != "" && !yield(e, nil) {
					return
				}
			}
		}
	})
}

// inOrder returns entries in another order.
func inOrder(entries []Entry, order []uint32) []Entry {
	out := make([]Entry, len(order))
	for i, from := range order {
		out[i] = entries[from]
	}
	return out
}

// pick reads the entries with certain indices, in the order of these. One that is not
// there any more is left empty. The room of kept is used again.
func (p *Playlist) pick(indices []uint32, kept []Entry) []Entry {
	place := make(map[uint32]int, len(indices))
	last := uint32(0)
	for i, index := range indices {
		place[index] = i
		last = max(last, index)
	}
	kept = kept[:len(indices)]
	clear(kept)
	at := 0 // the index asked for last: what is yielded belongs to it
	wanted := func(i int) bool {
		_, ok := place[uint32(i)]
		at = i
		return ok
	}
	for e, err := range p.entries(wanted) {
		if err == nil {
			kept[place[uint32(at)]] = e
		}
		if at == int(last) && err == nil {
			break
		}
	}
	return kept
}
