package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"icepush/frame"
)

// readFrames reads the frames of a stream. What is between them and is no part of the
// format fails the test.
func readFrames(t *testing.T, b []byte) (frames []frame.Frame) {
	t.Helper()
	r := frame.NewReader(bytes.NewReader(b))
	for {
		f, err := r.Next()
		for _, s := range r.Skipped() {
			if s.Kind != frame.Truncated && !s.Kind.IsHeaderFrame() { // the last silence may be cut
				t.Error(s)
			}
		}
		if err != nil {
			return frames
		}
		frames = append(frames, f)
	}
}

// sound is the audio of frames: of Ogg pages what is behind their headers.
func sound(frames []frame.Frame) []byte {
	var b []byte
	for _, f := range frames {
		data := f.Data
		if f.Setup != nil {
			data = data[27+int(data[26]):]
		}
		b = append(b, data...)
	}
	return b
}

// decodes has ffmpeg play a recording, as it comes to a player.
func decodes(t *testing.T, b []byte) {
	t.Helper()
	ffmpeg := installed(t, "ffmpeg", "ffmpeg")
	cmd := exec.Command(ffmpeg, "-v", "error", "-i", "-", "-f", "null", "-")
	cmd.Stdin = bytes.NewReader(b)
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "non monotonically increasing dts") { // see frame/chain_test.go
			t.Errorf("ffmpeg: %s", line)
		}
	}
	if err != nil {
		t.Errorf("ffmpeg: %v", err)
	}
}

// status returns what the status page says of the only mount.
func (s *icecast) status() (title, artist, kind string) {
	resp, err := http.Get(s.url("/status-json.xsl"))
	if err != nil {
		return "", "", ""
	}
	defer resp.Body.Close()
	var page struct {
		Icestats struct {
			Source struct {
				Title  string `json:"title"`
				Artist string `json:"artist"`
				Type   string `json:"server_type"`
			} `json:"source"`
		} `json:"icestats"`
	}
	json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&page)
	source := page.Icestats.Source
	return source.Title, source.Artist, source.Type
}

// TestFormats plays files of each format to a real Icecast, across track changes. What a
// listener records has all of their audio and nothing else, plays in another program
// without a complaint, and says each title; the status page has those of Vorbis.
func TestFormats(t *testing.T) {
	for _, test := range []struct {
		name, kind string
		files      []string
		titles     []string // in the headers of the links
		page       bool     // Icecast 2.4.4 shows titles of this format
		args       []string
	}{
		{
			name: "vorbis", kind: "audio/ogg", page: true,
			files:  []string{"ogg/vorbis-44100-stereo.ogg", "ogg/vorbis-cover.ogg", "ogg/vorbis-no-eos.ogg", "ogg/vorbis-same-serial.ogg", "ogg/id3-in-front.ogg", "ogg/multiplex.ogg"},
			titles: []string{"Ольга Вєтрова - Тиха вода ☕", "Duo Farol - Zwei Küsten", "Nordlys - Small Pages", "Part One - Left ←", "Part Three - The Same Serial", "Duo Farol - This is the Vorbis comment", "Nordlys - With a Picture"},
		},
		{
			name: "the same file twice, with a title", kind: "audio/ogg", page: true,
			files:  []string{"ogg/vorbis-44100-stereo.ogg", "ogg/vorbis-44100-stereo.ogg"},
			titles: []string{"Ünser Sender: Тиха вода ☕", "Ünser Sender: Тиха вода ☕"},
			args:   []string{"--title-format", "Ünser Sender: {title}"},
		},
		{
			name: "opus", kind: "audio/ogg",
			files:  []string{"ogg/opus-stereo.opus", "ogg/opus-60ms-mono.opus", "ogg/opus-stereo.opus"},
			titles: []string{"Anna Å. - Ørsted ❄", "Nordlys - Sixty Milliseconds", "Anna Å. - Ørsted ❄"},
		},
		{name: "flac", kind: "audio/ogg", files: slices.Repeat([]string{"ogg/flac-in-ogg.oga"}, 6), titles: slices.Repeat([]string{"Duo Farol - Tr##s Ondas"}, 6)},
		{name: "speex", kind: "audio/ogg", files: []string{"ogg/speex-16000.spx"}, titles: []string{"Nordlys - Spoken – not sung"}},
		{name: "aac", kind: "audio/aac", files: []string{"aac/lc-44100-stereo.aac", "aac/lc-44100-stereo.aac"}},
		{name: "aac in pieces", kind: "audio/aac", files: []string{"aac/tagged.aac", "aac/garbage-between.aac", "aac/truncated.aac"}, args: []string{"--transcode", "never"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := newIcecast(t)
			var args []string
			var want []byte
			for _, file := range test.files {
				args = append(args, filepath.Join("testdata", file))
				b, err := os.ReadFile(filepath.Join("testdata", file))
				if err != nil {
					t.Fatal(err)
				}
				r := frame.NewReader(bytes.NewReader(b))
				for {
					f, err := r.Next()
					if err != nil {
						break
					}
					want = append(want, sound([]frame.Frame{f})...)
				}
			}
			mount := "/live"
			stop := make(chan struct{})
			var heards []heard
			titles := map[string]bool{}
			kind := ""
			var listening sync.WaitGroup
			listening.Go(func() { heards = listen(server.url(mount), stop) })
			listening.Go(func() {
				for {
					if title, artist, k := server.status(); k != "" {
						kind = k
						titles[strings.TrimPrefix(artist+" - "+title, " - ")] = true
					}
					select {
					case <-stop:
						return
					case <-time.After(50 * time.Millisecond):
					}
				}
			})
			args = append(args, "--to", "icecast://127.0.0.1:"+server.port+mount)
			out, err := icepush(t, append(args, test.args...)...).CombinedOutput()
			close(stop)
			listening.Wait()
			if err != nil || len(heards) != 1 {
				t.Fatalf("%v, %d times on the air\n%s", err, len(heards), out)
			}
			got := readFrames(t, heards[0].audio)
			if b := sound(got); !bytes.HasPrefix(b, want) || test.kind == "audio/ogg" && len(b) != len(want) {
				t.Errorf("%d bytes of sound were heard, the files have %d\n%s", len(b), len(want), out)
			}
			if kind != test.kind {
				t.Errorf("the server takes it for %q", kind)
			}
			var links []string
			var last *frame.Setup
			for _, f := range got {
				if f.Setup != last {
					last = f.Setup
					links = append(links, last.Title())
				}
			}
			if !slices.Equal(links, test.titles) {
				t.Errorf("the links are %q, want %q", links, test.titles)
			}
			for _, title := range test.titles {
				if test.page && title != "Nordlys - Small Pages" && !titles[title] && len(titles) < len(test.titles)-2 {
					t.Errorf("%q was never on the page, but %v", title, titles)
				}
			}
			decodes(t, heards[0].audio)
		})
	}
}

// TestMixed plays a list of every format to one mount: all of it goes out as MP3, with
// its titles, and the MP3 files as they are.
func TestMixed(t *testing.T) {
	t.Parallel()
	ffmpeg := installed(t, "ffmpeg", "ffmpeg")
	server := newIcecast(t)
	dir := t.TempDir()
	_, files, _ := shortDemo(t, 60)
	list := []string{files[0]}
	for i, name := range []string{"a.flac", "b.m4a", "c.wav", "d.opus", "e.aac"} {
		path := filepath.Join(dir, name)
		title := fmt.Sprintf("Title %d", i)
		out, err := exec.Command(ffmpeg, "-v", "error", "-f", "lavfi", "-i", "sine=frequency=440", "-t", "1.5", "-metadata", "title="+title, "-metadata", "artist=Ä", path).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		list = append(list, path)
	}
	rubbish := filepath.Join(dir, "rubbish.m4a")
	os.WriteFile(rubbish, append([]byte("\x00\x00\x00\x20ftypM4A "), bytes.Repeat([]byte{7}, 5000)...), 0o644)
	list = append(list, rubbish, files[1])
	m3u := filepath.Join(dir, "list.m3u")
	os.WriteFile(m3u, []byte(strings.Join(list, "\n")), 0o644)

	stop := make(chan struct{})
	var heards []heard
	var listening sync.WaitGroup
	listening.Go(func() { heards = listen(server.url("/live"), stop) })
	out, err := icepush(t, m3u, "--to", "icecast://127.0.0.1:"+server.port+"/live").CombinedOutput()
	close(stop)
	listening.Wait()
	if err != nil || len(heards) != 1 {
		t.Fatalf("%v, %d times on the air\n%s", err, len(heards), out)
	}
	h := heards[0]
	seconds := 0.0
	for _, f := range readFrames(t, h.audio) {
		if f.Format != frame.MPEG || f.Layer != 3 || f.SampleRate != 44100 || f.Channels != 2 {
			t.Fatalf("a frame is %s", f.Header)
		}
		seconds += float64(f.Samples) / float64(f.SampleRate)
	}
	if want := 2*60*1152/44100.0 + 5*1.5; seconds < want || seconds > want+5*0.12 {
		t.Errorf("%.3f s were heard, want %.3f", seconds, want)
	}
	first, _ := framesOf(files[:1])
	last, _ := framesOf(files[1:2])
	if !bytes.HasPrefix(h.audio, []byte(strings.Join(first, ""))) || !bytes.Contains(h.audio, []byte(strings.Join(last, ""))) {
		t.Error("the MP3 files are not as they were")
	}
	var titles []string
	for _, title := range h.titles {
		titles = append(titles, title.Text)
	}
	// WAV has Latin-1 titles, and ADTS none.
	want := []string{"The Ring Buffer Trio - Pebbles on the Quay", "Ä - Title 0", "Ä - Title 1", "Ä - Title 2", "Ä - Title 3", "e", "Slow Socket Ensemble - Jäälautta"}
	if !slices.Equal(titles, want) {
		t.Errorf("titles are %q, want %q\n%s", titles, want, out)
	}
	if !strings.Contains(string(out), "rubbish.m4a: ffmpeg: ") {
		t.Errorf("nothing is said of rubbish:\n%s", out)
	}
	decodes(t, h.audio)
}

// TestNoFFmpeg says what it cannot do, where ffmpeg is not installed.
func TestNoFFmpeg(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitData, "lying-picture.flac: it is FLAC, which icepush does not play by itself; ffmpeg is not installed"},
		{[]string{"--transcode", "always"}, exitConfig, "--transcode always: ffmpeg is not installed"},
	} {
		cmd := icepush(t, append(test.args, "testdata/tags/lying-picture.flac")...)
		cmd.Env = append(cmd.Env, "PATH="+t.TempDir())
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != test.code || !strings.Contains(string(out), test.want) {
			t.Errorf("exit code %d, want %d: %s", code, test.code, out)
		}
	}
}

// TestParseFormat shows what --format takes.
func TestParseFormat(t *testing.T) {
	for s, want := range map[string]string{
		"":                  "unknown",
		"mp3":               "MPEG-1 Layer III, 44100 Hz, stereo",
		"MP3:64:22050:1":    "MPEG-2 Layer III, 22050 Hz, mono",
		"mp2:192:48000":     "MPEG-1 Layer II, 48000 Hz, stereo",
		"aac:::1":           "AAC, 44100 Hz, mono",
		"opus:64":           "Ogg Opus, 48000 Hz, stereo",
		"flac":              "Ogg FLAC, 44100 Hz, stereo",
		"vorbis:96:44100:6": "Ogg Vorbis, 44100 Hz, 6 channels",
	} {
		if h, err := parseFormat(s); err != nil || h.String() != want {
			t.Errorf("%s: %s, %v; want %s", s, h, err, want)
		}
	}
	for _, s := range []string{"wav", "mp3:0", "mp3:128:44100:3", "mp3:128:44100:2:1", "mp2:64:11025", "opus:64:44100", "mp3:128:12345", ":128"} {
		if h, err := parseFormat(s); err == nil {
			t.Errorf("%s is %s", s, h)
		}
	}
}
