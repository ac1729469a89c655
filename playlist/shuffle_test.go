package playlist

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// numbered writes a list of songs 0.mp3, 1.mp3 and so on and returns its name.
func numbered(t *testing.T, n int) string {
	t.Helper()
	list := filepath.Join(t.TempDir(), "list.m3u")
	f, err := os.Create(list)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := bufio.NewWriter(f)
	for i := range n {
		fmt.Fprintf(b, "#EXTINF:180,The Artist of the Song - The Title of Song Number %d\n%d.mp3\n", i, i)
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	return list
}

// names returns the file names of a pass.
func names(p *Playlist, n int) (out []string) {
	for e := range p.Pass(n) {
		out = append(out, filepath.Base(e.Path))
	}
	return out
}

// TestShuffle shows that a seed gives one order, that passes differ and that every
// song comes once: in a list that is kept, and in one that is read again for each part.
func TestShuffle(t *testing.T) {
	for _, n := range []int{100, maxKept + 7} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			list := numbered(t, n)
			pass := func(seed uint64, n int) []string {
				return names(&Playlist{Inputs: []string{list}, Shuffle: true, Seed: seed}, n)
			}
			first := pass(1, 0)
			if !slices.Equal(first, pass(1, 0)) {
				t.Error("the same seed gave another order")
			}
			if slices.Equal(first, pass(1, 1)) || slices.Equal(first, pass(2, 0)) {
				t.Error("another pass or seed gave the same order")
			}
			if count := (&Playlist{Inputs: []string{list}}).Len(); count != n {
				t.Errorf("Len is %d", count)
			}
			if sorted := slices.Sorted(slices.Values(first)); len(first) != n || len(slices.Compact(sorted)) != n {
				t.Errorf("%d songs, %d different, want %d", len(first), len(sorted), n)
			}
		})
	}
}

// TestShuffleErrors tells errors once and before the songs, in lists of any length.
func TestShuffleErrors(t *testing.T) {
	list := numbered(t, maxKept+1)
	p := &Playlist{Inputs: []string{"/no such file.mp3", list, list}, Shuffle: true}
	songs, errs := 0, 0
	for _, err := range p.Pass(0) {
		if err == nil {
			songs++
		} else if errs++; songs > 0 {
			t.Error("an error after songs")
		}
	}
	if want := 2 * (maxKept + 1); songs != want || errs != 1 {
		t.Errorf("%d songs, want %d; %d errors", songs, want, errs)
	}
}

// TestMillion shows that a million lines cost hardly any memory, read in order or
// shuffled.
func TestMillion(t *testing.T) {
	if testing.Short() {
		t.Skip("reads a million lines")
	}
	t.Parallel()
	const million = 1_000_000
	list := numbered(t, million)
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for _, test := range []struct {
		shuffle bool
		most    int64
	}{{false, 2 << 20}, {true, 40 << 20}} {
		var most int64
		n := 0
		for _, err := range (&Playlist{Inputs: []string{list}, Shuffle: test.shuffle}).Pass(0) {
			if err != nil {
				t.Fatal(err)
			}
			if n%50_000 == 0 {
				most = max(most, heap()-before)
			}
			if n++; test.shuffle && n > maxKept/2 { // all of it would be read 50 times
				break
			}
		}
		t.Logf("shuffle %v: %d bytes", test.shuffle, most)
		if !test.shuffle && n != million {
			t.Errorf("%d entries", n)
		}
		if most > test.most {
			t.Errorf("shuffle %v: the heap grew by %d bytes, want no more than %d", test.shuffle, most, test.most)
		}
	}
}

// TestResume goes on in a list that has changed while a song played.
func TestResume(t *testing.T) {
	for _, test := range []struct {
		name    string
		list    string
		at      int
		playing string
		first   int
		want    string
	}{
		{"as it was", "a b c d", 1, "b", 2, "c d"},
		{"songs before it are gone", "b c d", 1, "b", 1, "c d"},
		{"songs before it are new", "x y a b c d", 1, "b", 4, "c d"},
		{"it is gone", "a c d", 1, "b", 1, "c d"},
		{"it stands there twice", "b a a a b c", 3, "b", 5, "c"},
		{"both are as near", "a b a b c", 2, "b", 2, "a b c"},
		{"it is the last", "a b", 1, "b", 2, ""},
		{"the list is shorter", "x", 5, "b", 5, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			write(t, map[string]string{"list.m3u": "gone.m3u\n" + strings.ReplaceAll(test.list, " ", ".mp3\n") + ".mp3\ngone.m3u\n"})
			first, rest := (&Playlist{Inputs: []string{"list.m3u"}}).Resume(0, test.at, test.playing+".mp3", nil)
			var got []string
			errs := 0
			for e, err := range rest {
				if err != nil {
					errs++
				} else {
					got = append(got, strings.TrimSuffix(e.Path, ".mp3"))
				}
			}
			if g := strings.Join(got, " "); first != test.first || g != test.want {
				t.Errorf("%d, %q, want %d, %q", first, g, test.first, test.want)
			}
			if errs > 1 {
				t.Error("an error before the song that plays is told again")
			}
		})
	}
}

// TestResumePart tells the tracks of a CUE sheet from each other.
func TestResumePart(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, map[string]string{"a.cue": "FILE a.mp3 MP3\nTRACK 01 AUDIO\nINDEX 01 00:00:00\nTRACK 02 AUDIO\nINDEX 01 01:00:00\nTRACK 03 AUDIO\nINDEX 01 02:00:00\n"})
	p := &Playlist{Inputs: []string{"a.cue"}}
	playing := ""
	for e := range p.Pass(0) {
		if playing = e.Key(); e.Start > 0 {
			break
		}
	}
	first, rest := p.Resume(0, 0, playing, nil)
	for e := range rest {
		if first != 2 || e.Start != 2*60e9 {
			t.Errorf("goes on with %d, %v", first, e.Start)
		}
	}
}

// TestResumeShuffled leaves out what has been played.
func TestResumeShuffled(t *testing.T) {
	p := &Playlist{Inputs: []string{numbered(t, 50)}, Shuffle: true, Seed: 5}
	played := map[string]bool{}
	playing, n := "", 0
	for e := range p.Pass(3) {
		if n++; n == 20 {
			playing = e.Key()
			break
		}
		played[e.Key()] = true
	}
	all := names(p, 3)
	first, rest := p.Resume(3, 19, playing, played)
	var got []string
	for e := range rest {
		got = append(got, filepath.Base(e.Path))
	}
	if first != 20 || !slices.Equal(got, all[20:]) {
		t.Errorf("goes on with %d, %q, want 20, %q", first, got, all[20:])
	}
}
