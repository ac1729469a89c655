package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"icepush/frame"
	"icepush/playlist"
	"icepush/push/pushtest"
	"icepush/station"
	"icepush/track"
)

// TestInOrder shows that results come in the order of the values, that few are ahead of
// who takes them, and that both ends may stop.
func TestInOrder(t *testing.T) {
	asked := 0
	numbers := func(yield func(int) bool) {
		for asked = 1; asked <= 10_000 && yield(asked); asked++ {
		}
	}
	next := 1
	for n := range inOrder(t.Context(), numbers, func(_ context.Context, n int) int {
		if n%7 == 0 {
			time.Sleep(time.Millisecond)
		}
		return n
	}) {
		if n != next {
			t.Fatalf("%d, want %d", n, next)
		}
		if next++; next == 500 {
			break
		}
	}
	if asked > 500+1000 {
		t.Errorf("%d were worked on for 500", asked)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var forever iter.Seq[int] = func(yield func(int) bool) {
		for n := 0; yield(n); n++ {
		}
	}
	got := 0
	for range inOrder(ctx, forever, func(_ context.Context, n int) int { return n }) {
		if got++; got == 100 {
			cancel()
		}
	}
	if got != 100 {
		t.Errorf("%d after the end of the context", got)
	}
}

// wave writes a second of silence as WAV, which only ffmpeg plays.
func wave(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00")
	for _, v := range []any{uint16(1), uint16(1), uint32(8000), uint32(16000), uint16(2), uint16(16)} {
		binary.Write(&b, binary.LittleEndian, v)
	}
	b.WriteString("data\x80\x3E\x00\x00")
	b.Write(make([]byte, 16000))
	out := b.Bytes()
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8))
	name := filepath.Join(t.TempDir(), "silence.wav")
	if err := os.WriteFile(name, out, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestAssess holds what check says of each file against what a station.Cue does with it.
func TestAssess(t *testing.T) {
	installed(t, "ffmpeg", "ffmpeg")
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.wav")
	text := filepath.Join(dir, "text.mp3")
	for name, b := range map[string]string{broken: "RIFF\x00\x00\x00\x00WAVEand then nothing", text: "Dear aunt,"} {
		if err := os.WriteFile(name, []byte(b), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const stereo, mono, vorbis = "testdata/mp3/cbr128-44100-joint.mp3", "testdata/mp3/mono-32000.mp3", "testdata/ogg/vorbis-44100-stereo.ogg"
	wav := wave(t)
	for _, inputs := range [][]string{
		{stereo, mono, vorbis, wav, text, broken, "testdata/ogg/opus-stereo.opus", stereo},
		{wav, stereo, vorbis},
		{broken, vorbis, stereo},
		{vorbis, "testdata/ogg/vorbis-22050-mono.ogg", mono},
		{text, mono, stereo},
	} {
		for _, format := range []string{"", "mp3", "vorbis"} {
			for _, transcode := range []station.Transcode{station.Auto, station.Never, station.Always} {
				for _, ffmpeg := range []string{"ffmpeg", "no-ffmpeg-here"} {
					cue := station.Cue{Playlist: playlist.Playlist{Inputs: inputs}, Transcode: transcode}
					cue.Transcoder.Command = ffmpeg
					if transcode == station.Always && !cue.Transcoder.Available() {
						continue // refused at once
					}
					var err error
					if cue.Format, err = parseFormat(format); err != nil {
						t.Fatal(err)
					}
					a := newAssessor(cue)
					x := examiner{transcode: transcode, ffmpeg: a.ffmpeg}
					var said []string
					for f := range inOrder(t.Context(), numbered(cue.Playlist.Pass(0)), x.examine) {
						said = append(said, filepath.Base(f.Path)+" "+a.assess(f).way.String())
					}
					if did := ways(t, &cue); !slices.Equal(said, did) {
						t.Errorf("%v, --format %q, --transcode %d, %s:\nsaid %q\ndid  %q", inputs, format, transcode, ffmpeg, said, did)
					}
				}
			}
		}
	}
}

// ways returns what a Cue does with the entries of its list, in their order.
func ways(t *testing.T, cue *station.Cue) (did []string) {
	t.Helper()
	var log bytes.Buffer
	cue.Log = slog.New(slog.NewJSONHandler(&log, nil))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tracks := cue.Tracks()
	done := make(chan error, 1)
	go func() { done <- cue.Run(ctx) }()
	var played []string
	for tr := range tracks {
		if tr == nil { // the end
			break
		}
		played = append(played, tr.Info.Path)
		tr.Close()
	}
	if err := <-done; err != nil && !errors.Is(err, station.ErrNothingPlayable) {
		t.Fatal(err)
	}
	left, through := map[string]int{}, map[string]int{}
	for line := range strings.Lines(log.String()) {
		var said struct{ Msg, Err, File string }
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Fatal(err)
		}
		switch said.Msg {
		case "left out":
			path, _, _ := strings.Cut(said.Err, ": ")
			left[path]++
		case "through ffmpeg":
			through[said.File]++
		}
	}
	for _, input := range cue.Playlist.Inputs {
		switch {
		case left[input] > 0:
			left[input]--
			did = append(did, filepath.Base(input)+" "+station.LeftOut.String())
			continue
		case through[input] > 0:
			did = append(did, filepath.Base(input)+" "+station.ThroughFFmpeg.String())
		default:
			did = append(did, filepath.Base(input)+" "+station.AsItIs.String())
		}
		if len(played) == 0 || played[0] != input {
			t.Fatalf("%s was not played, but %q", input, played)
		}
		played = played[1:]
	}
	return did
}

// TestDuplicates shows that an entry is known again by where its file is and where it
// begins there, and told of with its line.
func TestDuplicates(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "list.m3u")
	if err := os.WriteFile(list, []byte("a.mp3\nb.mp3\n./a.mp3\n#EXTVLCOPT:start-time=10\nb.mp3\n"+filepath.Join(dir, "a.mp3")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := playlist.Playlist{Inputs: []string{list}}
	a := newAssessor(station.Cue{})
	var got []string
	for e := range numbered(p.Pass(0)) {
		got = append(got, a.before(e))
	}
	first := list + ": line 1"
	if want := []string{"", "", first, "", first}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if at := a.before(entry{Entry: playlist.Entry{Path: filepath.Join(dir, "c.mp3")}, number: 6}); at != "" {
		t.Error(at)
	}
	if at := a.before(entry{Entry: playlist.Entry{Path: filepath.Join(dir, "c.mp3")}, number: 7}); at != "as number 6" {
		t.Error(at)
	}
}

// TestCheckURL shows that a URL is opened up to its first frame, and no further.
func TestCheckURL(t *testing.T) {
	audio, err := os.ReadFile("testdata/demo/01-pebbles-on-the-quay.mp3")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/live" {
			http.NotFound(w, r)
			return
		}
		w.Write(audio)
		w.(http.Flusher).Flush()
		<-r.Context().Done() // a stream that has no end
	}))
	defer server.Close()
	secret := strings.Replace(server.URL, "http://", "http://me:topsecret@", 1)
	for path, want := range map[string]string{
		"/live": `"sent":"as it is","format":"mpeg"`, "/gone": `"problems":["the server says 404 Not Found"]`,
	} {
		var out, told bytes.Buffer
		code := run([]string{"icepush", "check", "--json", secret + path}, &out, &told)
		if (code == 0) != (path == "/live") || !strings.Contains(out.String(), want) || strings.Contains(out.String(), "duration_s\":0,\"audio") || strings.Contains(out.String()+told.String(), "topsecret") {
			t.Errorf("%s: exit %d\n%s%s", path, code, out.String(), told.String())
		}
	}
}

// TestWorst shows which exit code is told when there are several reasons.
func TestWorst(t *testing.T) {
	var errs []error
	if worst(nil) != nil {
		t.Error("nothing is wrong, and yet")
	}
	for _, code := range []int{exitData, exitTempFail, exitUnavailable, exitProtocol, exitNoPerm} {
		errs = append(errs, fail(code, "exit %d", code))
		var e *exitError
		if err := worst(errs); !errors.As(err, &e) || e.code != code {
			t.Errorf("%v, want exit %d", err, code)
		}
	}
}

// TestIcecastCheck asks a real Icecast whether it would take us: when the mount is free,
// with a wrong password, while a stream is on the air, which goes on with its title, and
// when the server is gone.
func TestIcecastCheck(t *testing.T) {
	t.Parallel()
	server := newIcecast(t)
	to := "icecast://127.0.0.1:" + server.port + "/live"
	list, _, titles := shortDemo(t, 60)
	exits := func(code int, want string, args ...string) {
		t.Helper()
		cmd := icepush(t, append([]string{"check", list}, args...)...)
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(string(out), want) {
			t.Errorf("exit %d, want %d and %q:\n%s", got, code, want, out)
		}
		if strings.Contains(string(out), "hackme") || strings.Contains(string(out), "s3cret") {
			t.Errorf("the password is told:\n%s", out)
		}
	}
	wrong := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(wrong, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	exits(0, "/live: Icecast 2.4.4, framing identity, titles inband\n  the password is right\n  the mount is free\n3 of 3 files play", "--to", to)
	exits(0, `"server":"Icecast 2.4.4","password":"right","mount":"free","framing":"identity","titles":"admin"}`, "--to", to, "--titles", "admin", "--json")
	exits(77, "/live: 401 You need to authenticate (Icecast 2.4.4)\n  the mount is free\n", "--to", to, "--password-file", wrong)
	exits(0, "the administrator's", "--to", to, "--user", "admin")
	if log := server.log(); strings.Contains(log, "Source logging in") {
		t.Errorf("there was a source:\n%s", log)
	}

	var said bytes.Buffer
	playing := icepush(t, "testdata/demo/01-pebbles-on-the-quay.mp3", "--loop", "--to", to)
	playing.Stderr = &said
	if err := playing.Start(); err != nil {
		t.Fatal(err)
	}
	title := func() string {
		resp, err := http.Get(server.url("/status-json.xsl"))
		if err != nil {
			return ""
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return string(b)
	}
	if !pushtest.Wait(func() bool { return strings.Contains(title(), titles[0]) }) {
		t.Errorf("never on the air:\n%s", said.String())
	}
	exits(75, "  the password is right\n  the mount is in use", "--to", to)
	exits(77, "401 You need to authenticate (Icecast 2.4.4)\n  the mount is in use", "--to", to, "--password-file", wrong)
	exits(0, "the mount is free", "--to", strings.Replace(to, "/live", "/other", 1))
	time.Sleep(1500 * time.Millisecond) // the server updates its status with the next blocks
	if now := title(); !strings.Contains(now, `"title":"`+titles[0]+`"`) {
		t.Errorf("the title has changed: %s", now)
	}
	playing.Process.Signal(syscall.SIGINT)
	if err := playing.Wait(); err != nil || strings.Contains(said.String(), "off the air, trying") {
		t.Errorf("%v\n%s", err, said.String())
	}
	server.end()
	exits(69, "connection refused; nothing listens there", "--to", to)
}

// TestSummaryIsBounded shows that a list of ever new formats does not count for ever.
func TestSummaryIsBounded(t *testing.T) {
	s := newSummary()
	for rate := range 1000 {
		var f examined
		f.Path = "x.ogg"
		f.report.Info = track.Info{Path: "x.ogg", Header: frame.Header{Format: frame.Vorbis, SampleRate: 8000 + rate, Channels: 2}}
		s.add(f, verdict{}, "{title}")
	}
	if len(s.Formats) > maxFormats+1 || s.Formats["others"] != 1000-maxFormats {
		t.Errorf("%d formats, %d others", len(s.Formats), s.Formats["others"])
	}
	if fmt.Sprint(sortedByCount(s.Formats)[0]) != "others" {
		t.Error("the most frequent is not first")
	}
}
