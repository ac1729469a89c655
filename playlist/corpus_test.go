package playlist

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// corpusList is what the corpus says of a list.
type corpusList struct {
	Type    string
	Entries []struct {
		Kind, Path, URL, Title string
		Seconds                float64
		Exists                 *bool
	}
}

// TestCorpus reads the lists of the corpus beside the repository, which other programs
// wrote, and compares with what is known of them.
func TestCorpus(t *testing.T) {
	dir, err := filepath.Abs("../../shared/corpus/playlists")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Skip("the corpus is not here: ", err)
	}
	var lists map[string]corpusList
	if err := json.Unmarshal(text, &lists); err != nil {
		t.Fatal(err)
	}
	for name, list := range lists {
		t.Run(name, func(t *testing.T) {
			var got []Entry
			var errs []string
			for e, err := range (&Playlist{Inputs: []string{filepath.Join(dir, name)}}).Pass(0) {
				if err != nil {
					errs = append(errs, err.Error())
				} else {
					got = append(got, e)
				}
			}
			if name == "entity-bomb.xspf" { // an error is fine, and so is a title as it is written
				if len(got) > 1 || len(got) == 1 && got[0].Title != "&c;&f;" {
					t.Errorf("got %+v", got)
				}
				return
			}
			wantErrs := 0
			switch {
			case list.Type == "hls", list.Type == "not-a-playlist", name == "truncated.xspf":
				wantErrs = 1
			case name == "basic.xspf": // one of its tracks has no location
				wantErrs = 1
			}
			next := func() (e Entry) {
				if len(got) == 0 {
					t.Fatal("an entry is missing")
				}
				e, got = got[0], got[1:]
				return e
			}
			for _, want := range list.Entries {
				path := strings.ReplaceAll(want.Path, "{DIR}", dir)
				switch want.Kind {
				case "windows-absolute":
					wantErrs++
					continue
				case "url":
					if !isRemote(want.URL) {
						wantErrs++
						continue
					}
					path = want.URL
				case "playlist": // it is expanded
					if filepath.Base(path) == name {
						wantErrs++
						continue
					}
					for range lists[filepath.Base(path)].Entries {
						next()
					}
					continue
				case "directory":
					files, _ := os.ReadDir(path)
					for range files {
						if e := next(); !strings.HasPrefix(e.Path, path+"/") {
							t.Errorf("%q is not in %q", e.Path, path)
						}
					}
					continue
				default:
					path = filepath.Clean(path)
				}
				e := next()
				if e.Path != path {
					t.Errorf("path %q, want %q", e.Path, path)
				}
				title := e.Title
				if list.Type != "xspf" {
					title = joinTitle(e.Artist, e.Title)
				}
				if name == "long-line.m3u" && len(title) > 200 {
					title = title[:200]
				}
				if title != want.Title {
					t.Errorf("%s: title %q, want %q", e.Path, title, want.Title)
				}
				if d := time.Duration(math.Round(max(want.Seconds, 0) * 1e9)); e.Duration != d {
					t.Errorf("%s: duration %v, want %v", e.Path, e.Duration, d)
				}
				if want.Exists != nil {
					if _, err := os.Stat(e.Path); (err == nil) != *want.Exists {
						t.Errorf("%s: %v, want exists %v", e.Path, err, *want.Exists)
					}
				}
			}
			if len(got) > 0 {
				t.Errorf("too many entries: %+v", got)
			}
			if len(errs) != wantErrs {
				t.Errorf("errors %q, want %d", errs, wantErrs)
			}
		})
	}
}
