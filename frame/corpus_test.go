package frame

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestCorpus compares packets and durations of a corpus of Ogg and AAC files that lies
// beside the project where icepush is developed with what is known of them.
func TestCorpus(t *testing.T) {
	const dir = "../../shared/corpus"
	f, err := os.Open(filepath.Join(dir, "MANIFEST.tsv"))
	if err != nil {
		t.Skip("there is no corpus")
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	column := map[string]int{}
	for n := 0; lines.Scan(); n++ {
		cells := strings.Split(lines.Text(), "\t")
		if n == 0 {
			for i, name := range cells {
				column[name] = i
			}
			continue
		}
		row := func(name string) string { return cells[column[name]] }
		if kind := row("kind"); kind != "ogg" && kind != "adts" {
			continue
		}
		t.Run(row("file"), func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(dir, row("file")))
			if err != nil {
				t.Fatal(err)
			}
			frames, skips, _ := readAll(NewReader(bytes.NewReader(b)))
			count, seconds := 0, 0.0
			for _, f := range frames {
				if count++; f.Format.Ogg() {
					count += f.Packets - 1
				}
				seconds += float64(f.Samples) / float64(f.SampleRate)
			}
			want := 0
			for _, n := range strings.Split(row("audio_frames"), "+") {
				i, _ := strconv.Atoi(n)
				want += i
			}
			duration, _ := strconv.ParseFloat(row("duration_s"), 64)
			if count != want || math.Abs(seconds-duration) > 1e-6 {
				t.Errorf("%d packets, %.6f s; want %d, %s; skipped %v", count, seconds, want, row("duration_s"), skips)
			}
			if sum := sha256.Sum256(audio(frames)); len(row("audio_sha256")) == 64 && hex.EncodeToString(sum[:]) != row("audio_sha256") {
				t.Error("the audio is other bytes")
			}
		})
	}
}
