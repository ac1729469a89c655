package track

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"icepush/frame"
)

// play reads a track to its end.
func play(t *testing.T, tr *Track) (frames []frame.Frame, titles []string, err error) {
	t.Helper()
	defer tr.Close()
	for {
		f, err := tr.Next()
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return frames, titles, err
		}
		if tr.Retitled || len(frames) == 0 {
			titles = append(titles, tr.Info.FormatTitle("{artist} - {title}"))
		}
		frames = append(frames, f)
	}
}

// TestOgg reads the titles in the headers, those of each link.
func TestOgg(t *testing.T) {
	for file, want := range map[string]string{
		"vorbis-44100-stereo.ogg": "Ольга Вєтрова - Тиха вода ☕",
		"opus-stereo.opus":        "Anna Å. - Ørsted ❄",
		"speex-16000.spx":         "Nordlys - Spoken – not sung",
		"id3-in-front.ogg":        "Duo Farol - This is the Vorbis comment",
		"vorbis-cover.ogg":        "Duo Farol - Zwei Küsten",
		"vorbis-chained.ogg":      "Part One - Left ←, Part Two - Right →",
		"vorbis-same-serial.ogg":  "Part One - Left ←, Part Three - The Same Serial",
	} {
		tr, err := Open(t.Context(), "../testdata/ogg/"+file, Info{Title: "of the list"})
		if err != nil {
			t.Fatal(err)
		}
		_, titles, err := play(t, tr)
		if got := strings.Join(titles, ", "); err != nil || got != want {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
}

// TestBitrate estimates it where no header tells.
func TestBitrate(t *testing.T) {
	for file, want := range map[string]int{
		"aac/lc-44100-stereo.aac": 91, "ogg/opus-stereo.opus": 87, "ogg/vorbis-44100-stereo.ogg": 64, "mp3/cbr128-44100-joint.mp3": 128,
	} {
		tr, err := Open(t.Context(), "../testdata/"+file, Info{})
		if err != nil {
			t.Fatal(err)
		}
		tr.Close()
		if got := tr.Info.Header.Bitrate / 1000; got < want*8/10 || got > want*12/10 {
			t.Errorf("%s: %d kbit/s", file, got)
		}
	}
}

// TestParts plays a file in three parts: put together they are the file, frame by frame,
// and the titles are those of the list. A part that does not follow what was played
// begins with silent frames that bring the bits it needs.
func TestParts(t *testing.T) {
	for _, file := range []string{"demo/01-pebbles-on-the-quay.mp3", "aac/lc-44100-stereo.aac", "ogg/vorbis-offset.ogg"} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			open := func(hint Info) *Track {
				tr, err := Open(t.Context(), "../testdata/"+file, hint)
				if err != nil {
					t.Fatal(err)
				}
				return tr
			}
			whole, _, err := play(t, open(Info{}))
			if err != nil {
				t.Fatal(err)
			}
			total, err := Measure(t.Context(), "../testdata/"+file, Info{})
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			for i, part := range []Info{
				{Stop: total / 3, Title: "one"}, {Start: total / 3, Stop: total / 2, Title: "two"}, {Start: total / 2, Title: "three"},
			} {
				tr := open(part)
				if tr.Info.Title != part.Title && !strings.HasSuffix(file, ".ogg") || tr.Info.Start != part.Start {
					t.Errorf("part %d is %+v", i, tr.Info)
				}
				tr.Seamless()
				frames, _, err := play(t, tr)
				if err != nil || len(frames) == 0 {
					t.Errorf("part %d: %d frames, %v", i, len(frames), err)
				}
				for _, f := range frames {
					got = append(got, f.Data...)
				}
			}
			var want []byte
			for _, f := range whole {
				want = append(want, f.Data...)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the parts have %d bytes, the file %d", len(got), len(want))
			}

			tr := open(Info{Start: total / 2})
			lead := tr.lead
			frames, _, _ := play(t, tr)
			if strings.HasSuffix(file, ".mp3") {
				if lead == 0 {
					t.Fatal("a part of an MP3 begins without the bits it needs")
				}
				for _, f := range frames[:lead] {
					if needs, _ := f.Reservoir(); needs != 0 {
						t.Error("a silent frame needs bits")
					}
				}
				if from := frame.From(lead, func(i int) frame.Frame { return frames[i] }); from > lead-1 {
					t.Error("the first frame has no need of what stands before")
				}
			}
			if _, err := Open(t.Context(), "../testdata/"+file, Info{Start: total + time.Second}); err == nil || !strings.Contains(err.Error(), "it ends before") {
				t.Errorf("a part behind the end: %v", err)
			}
		})
	}
}

// TestMuted has a part decoded from its silent frames on: from the first frame that sounds
// it is what the whole file gives.
func TestMuted(t *testing.T) {
	ffmpeg := tool(t, "ffmpeg")
	for _, file := range []string{"demo/01-pebbles-on-the-quay.mp3", "mp3/crc-44100.mp3", "mp3/mpeg2-16000-stereo.mp3"} {
		pcm := func(hint Info) (samples []byte, lead int) {
			tr, err := Open(t.Context(), "../testdata/"+file, hint)
			if err != nil {
				t.Fatal(err)
			}
			lead = tr.lead
			var b []byte
			frames, _, _ := play(t, tr)
			for _, f := range frames {
				b = append(b, f.Data...)
			}
			cmd := exec.Command(ffmpeg, "-v", "error", "-err_detect", "crccheck+explode", "-f", "mp3", "-i", "-", "-f", "s16le", "-")
			cmd.Stdin = bytes.NewReader(b)
			var said bytes.Buffer
			cmd.Stderr = &said
			out, err := cmd.Output()
			if err != nil || said.Len() > 0 {
				t.Errorf("%s: ffmpeg: %v: %s", file, err, said.String())
			}
			return out, lead
		}
		total, _ := Measure(t.Context(), "../testdata/"+file, Info{})
		whole, _ := pcm(Info{})
		part, lead := pcm(Info{Start: total / 2})
		// The first frame overlaps with one that is silent now; the decoder warms up over another.
		tr, _ := Open(t.Context(), "../testdata/"+file, Info{})
		frameBytes := tr.Info.Header.Samples * tr.Info.Header.Channels * 2
		tr.Close()
		same := len(part) - (lead+3)*frameBytes
		if same < frameBytes || !bytes.Equal(part[len(part)-same:], whole[len(whole)-same:]) {
			t.Errorf("%s: %d bytes behind %d silent frames are not those of the file", file, same, lead)
		}
	}
}

// TestURL plays what a server sends, and says why it does not.
func TestURL(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/gone.mp3":
			http.NotFound(w, r)
		case "/page.mp3":
			fmt.Fprint(w, "<!DOCTYPE html><title>Log in</title>")
		case "/loop.mp3":
			http.Redirect(w, r, "/loop.mp3", http.StatusFound)
		default:
			http.ServeFile(w, r, "../testdata"+r.URL.Path)
		}
	}))
	defer server.Close()
	with := strings.Replace(server.URL, "http://", "HTTP://me:hush@", 1)
	for path, want := range map[string]string{
		"/tags/kitchen-sink.mp3": "Kitchen Ensemble of the Quiet Harbour - Everything and the Sink, in Full",
		"/ogg/id3-in-front.ogg":  "Duo Farol - This is the Vorbis comment",
		"/mp3/vbri.mp3?x=y":      "vbri",
		"/gone.mp3":              "404 Not Found",
		"/page.mp3":              "it is HTML or XML",
		"/loop.mp3":              "redirected too often",
	} {
		var got string
		tr, err := Open(t.Context(), with+path, Info{})
		if err == nil {
			var titles []string
			frames, titles, e := play(t, tr)
			file, _, _ := strings.Cut(path, "?")
			local, _ := Open(t.Context(), "../testdata"+file, Info{})
			if want, _, _ := play(t, local); e != nil || len(frames) != len(want) {
				t.Errorf("%s: %d frames, want %d; %v", path, len(frames), len(want), e)
			}
			got = titles[0]
		} else {
			got = err.Error()
		}
		if !strings.Contains(got, want) || strings.Contains(got, "hush") {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// TestURLStalls gives up a server that says nothing more; the track ends there.
func TestURLStalls(t *testing.T) {
	sound, err := os.ReadFile("../testdata/demo/01-pebbles-on-the-quay.mp3")
	if err != nil {
		t.Fatal(err)
	}
	hold := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(sound[:100_000])
		w.(http.Flusher).Flush()
		<-hold
	}))
	defer server.Close()
	defer close(hold)
	body, err := fetch(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := openStream(t.Context(), server.URL, body, Info{}, 50*time.Millisecond, false)
	if err != nil {
		t.Fatal(err)
	}
	frames, _, err := play(t, tr)
	if len(frames) < 200 || err == nil || !strings.Contains(err.Error(), "nothing came for 50ms") {
		t.Errorf("%d frames, %v", len(frames), err)
	}
}

// tool returns the path of a program, or leaves the test out where it is not installed.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(name + " is not installed")
	}
	return path
}

// TestTranscode has ffmpeg make each format of another, titles and all.
func TestTranscode(t *testing.T) {
	tool(t, "ffmpeg")
	mpeg := func(layer, rate, channels int) frame.Header {
		return frame.Header{Format: frame.MPEG, Layer: layer, SampleRate: rate, Channels: channels, Bitrate: 64_000}
	}
	for _, to := range []frame.Header{
		mpeg(3, 44100, 2), mpeg(3, 22050, 1), mpeg(2, 48000, 2),
		{Format: frame.AAC, SampleRate: 32000, Channels: 1, Bitrate: 48_000},
		{Format: frame.Vorbis, SampleRate: 44100, Channels: 2, Bitrate: 96_000},
		{Format: frame.Opus, SampleRate: 48000, Channels: 2, Bitrate: 64_000},
		{Format: frame.FLAC, SampleRate: 44100, Channels: 2},
		{Format: frame.Speex, SampleRate: 16000, Channels: 1, Bitrate: 28_000},
	} {
		t.Run(fmt.Sprint(to), func(t *testing.T) {
			t.Parallel()
			// A name that looks like a flag and like a protocol.
			name := filepath.Join(t.TempDir(), "-i http:x.ogg")
			b, err := os.ReadFile("../testdata/ogg/vorbis-44100-stereo.ogg")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, b, 0o644); err != nil {
				t.Fatal(err)
			}
			x := Transcoder{To: to}
			tr, err := x.Open(t.Context(), name, Info{})
			if err != nil {
				t.Fatal(err)
			}
			frames, titles, err := play(t, tr)
			want := "Ольга Вєтрова - Тиха вода ☕"
			if to.Layer == 2 { // has no tags
				want = "-i http:x"
			}
			if err != nil || strings.Join(titles, ", ") != want {
				t.Errorf("%q, %v", titles, err)
			}
			var p position
			for _, f := range frames {
				p.add(f)
				if !f.SameCodec(to) || f.SampleRate != to.SampleRate || f.Channels != to.Channels {
					t.Fatalf("a frame is %s", f.Header)
				}
			}
			if d := p.time(); d < 590*time.Millisecond || d > 760*time.Millisecond {
				t.Errorf("it has %v", d)
			}
		})
	}
	if _, err := (&Transcoder{To: mpeg(1, 44100, 2)}).Open(t.Context(), "../testdata/mp3/vbri.mp3", Info{}); err == nil {
		t.Error("it makes Layer I")
	}
	x := Transcoder{To: mpeg(3, 44100, 2)}
	tr, err := x.Open(t.Context(), "../testdata/demo/01-pebbles-on-the-quay.mp3", Info{Start: 5 * time.Second, Stop: 7 * time.Second, Title: "A part", Artist: "The list"})
	if err != nil {
		t.Fatal(err)
	}
	frames, titles, _ := play(t, tr)
	if len(frames) < 76 || len(frames) > 80 || titles[0] != "The list - A part" {
		t.Errorf("a part: %d frames, %q", len(frames), titles)
	}
}

// TestBadFFmpeg has programs in the place of ffmpeg that hang, fail, write rubbish or
// another format, leave a child behind: each costs its track, says why, and is gone
// afterwards.
func TestBadFFmpeg(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no sh")
	}
	sound, err := filepath.Abs("../testdata/demo/01-pebbles-on-the-quay.mp3")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, script, open, end string }{
		{"fails", "echo 'first line' >&2; echo 'Invalid data found when processing input' >&2; exit 1", "ffmpeg: Invalid data found when processing input", ""},
		{"fails without a word", "exit 3", "ffmpeg: exit status 3", ""},
		{"gives nothing", "exit 0", "ffmpeg finds no audio in it", ""},
		{"writes rubbish", "head -c 300000 /dev/zero", "ffmpeg finds no audio in it", ""},
		{"writes rubbish for ever", "cat /dev/zero", "ffmpeg finds no audio in it", ""},
		{"writes another format", "cat " + filepath.Dir(sound) + "/../ogg/opus-stereo.opus", "ffmpeg gave Ogg Opus", ""},
		{"fails in the middle", "head -c 100000 " + sound + "; echo 'conversion failed' >&2; exit 1", "", "ffmpeg: conversion failed"},
		{"hangs in the middle", "head -c 100000 " + sound + "; sleep 1000 & sleep 1000", "", "nothing came for"},
		{"is killed", "head -c 100000 " + sound + "; kill -9 $$", "", "ffmpeg: signal: killed"},
		{"floods the log", "head -c 10000000 /dev/zero | tr '\\0' x >&2; exit 1", "ffmpeg: x", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			command := filepath.Join(dir, "ffmpeg")
			pid := filepath.Join(dir, "pid")
			if err := os.WriteFile(command, []byte("#!/bin/sh\necho $$ > "+pid+"\n"+test.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			x := Transcoder{Command: command, To: frame.Header{Format: frame.MPEG, Layer: 3, SampleRate: 44100, Channels: 2}}
			tr, err := x.Open(t.Context(), sound, Info{})
			if err == nil {
				tr.in.(*feed).patience = 300 * time.Millisecond
				_, _, err = play(t, tr)
			}
			if want := test.open + test.end; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			b, _ := os.ReadFile(pid)
			n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
			if p, _ := os.FindProcess(n); n == 0 || p.Signal(os.Interrupt) == nil {
				t.Errorf("process %d is still there", n)
			}
		})
	}
	t.Run("is not there", func(t *testing.T) {
		x := Transcoder{Command: filepath.Join(t.TempDir(), "ffmpeg"), To: frame.Header{Format: frame.MPEG, Layer: 3}}
		if _, err := x.Open(t.Context(), sound, Info{}); err == nil || x.Available() {
			t.Error("there is a program that is not there")
		}
	})
	t.Run("hangs, and is called back", func(t *testing.T) {
		command := filepath.Join(t.TempDir(), "ffmpeg")
		os.WriteFile(command, []byte("#!/bin/sh\nsleep 1000\n"), 0o755)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		x := Transcoder{Command: command, To: frame.Header{Format: frame.MPEG, Layer: 3, SampleRate: 44100}}
		if _, err := x.Open(ctx, sound, Info{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// emptyPages returns the headers of a file, and many pages without a packet, which last no
// time.
func emptyPages(t *testing.T) []byte {
	b, err := os.ReadFile("../testdata/ogg/opus-stereo.opus")
	if err != nil {
		t.Fatal(err)
	}
	tr, err := Open(t.Context(), "../testdata/ogg/opus-stereo.opus", Info{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	first, err := tr.Next()
	if err != nil {
		t.Fatal(err)
	}
	// The end of a chain is such a page, once there is no silent packet in it.
	page := append([]byte("OggS\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00"), first.Data[14:18]...)
	page = append(page, 9, 0, 0, 0, 0, 0, 0, 0, 0)
	crc := uint32(0)
	for _, c := range page {
		crc ^= uint32(c) << 24
		for range 8 {
			crc = crc<<1 ^ 0x04c11db7&-(crc>>31)
		}
	}
	binary.LittleEndian.PutUint32(page[22:], crc)
	return append(b[:first.Offset:first.Offset], bytes.Repeat(page, 100_000)...)
}

// TestHostile opens what is no music in ways that may hurt: each is one error, soon.
func TestHostile(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sparse := file("sparse.mp3", nil)
	if err := os.Truncate(sparse, 4<<30); err != nil {
		t.Fatal(err)
	}
	// Sound, then a hole of 4 GB.
	sound, err := os.ReadFile("../testdata/mp3/cbr128-44100-joint.mp3")
	if err != nil {
		t.Fatal(err)
	}
	hole := file("hole.mp3", sound)
	if err := os.Truncate(hole, 4<<30); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		sparse: "it begins with nothing but zeros",
		hole:   "too much in a row that is no audio",
		file("ff.mp3", bytes.Repeat([]byte{0xFF, 0xFB}, 10<<20)): "",
		file("oggs.ogg", bytes.Repeat([]byte("OggS"), 5<<20)):    "",
		file("empty.opus", emptyPages(t)):                        "it is Ogg without",
		dir:                                                      "is a folder",
		"/dev/zero":                                              "is no regular file",
	} {
		began := time.Now()
		tr, err := Open(t.Context(), path, Info{})
		if err == nil {
			_, _, err = play(t, tr)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
		if d := time.Since(began); d > time.Minute {
			t.Errorf("%s: it took %v", path, d)
		}
	}
}

// TestSkim compares what is found fast with what is found thoroughly, for every file
// there is.
func TestSkim(t *testing.T) {
	var files []string
	for _, root := range []string{"../testdata", "../../shared/corpus"} {
		filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && !strings.HasSuffix(path, ".golden") {
				files = append(files, path)
			}
			return nil
		})
	}
	fast := 0
	for _, path := range files {
		var skimmed Report
		if !skim(path, Info{}, &skimmed) {
			continue
		}
		fast++
		thorough, err := Scan(t.Context(), path, Info{}, true)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		thorough.AudioSHA256 = nil
		thorough.Info.Header.Bitrate, skimmed.Info.Header.Bitrate = 0, 0 // of AAC it is estimated
		if got, want := fmt.Sprintf("%+v", skimmed), fmt.Sprintf("%+v", thorough); got != want {
			t.Errorf("%s:\n%s, want\n%s", path, got, want)
		}
	}
	if fast < 20 {
		t.Errorf("%d of %d files were read fast", fast, len(files))
	}
	t.Logf("%d of %d files were read fast", fast, len(files))
}
