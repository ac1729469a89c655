package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"icepush/frame"
	"icepush/playlist"
	"icepush/track"
)

// fileReport is what check --json says of a file. What is unknown is absent.
type fileReport struct {
	File         string   `json:"file"`
	Format       string   `json:"format,omitempty"`
	Version      string   `json:"version,omitempty"`
	Layer        int      `json:"layer,omitempty"`
	SampleRate   int      `json:"sample_rate,omitempty"`
	Channels     int      `json:"channels,omitempty"`
	BitrateKbps  float64  `json:"bitrate_kbps,omitempty"`
	VBR          *bool    `json:"vbr,omitempty"`
	Frames       int      `json:"frames"`
	Samples      int64    `json:"samples"`
	DurationS    float64  `json:"duration_s"`
	AudioBytes   int64    `json:"audio_bytes"`
	AudioSHA256  string   `json:"audio_sha256,omitempty"`
	Artist       string   `json:"artist,omitempty"`
	Title        string   `json:"title,omitempty"`
	Album        string   `json:"album,omitempty"`
	HeaderFrames []span   `json:"header_frames,omitempty"`
	Tags         []span   `json:"tags,omitempty"`
	Problems     []string `json:"problems,omitempty"`
}

// span is a stretch of a file.
type span struct {
	Kind   string `json:"kind"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
}

// newFileReport puts a report into words. Err is why the file does not play.
func newFileReport(r track.Report, err error) fileReport {
	f := fileReport{
		File: r.Info.Path, Frames: r.Frames, Samples: r.Samples, DurationS: math.Round(r.Info.Duration.Seconds()*1e6) / 1e6,
		AudioBytes: r.AudioBytes, Artist: r.Info.Artist, Title: r.Info.Title, Album: r.Info.Album,
	}
	if h := r.Info.Header; h.Format != frame.Unknown {
		f.Format, f.Version, f.Layer = h.Format.String(), h.Version.String(), h.Layer
		f.SampleRate, f.Channels = h.SampleRate, h.Channels
		f.BitrateKbps = math.Round(float64(r.Bitrate)/100) / 10
		f.VBR = &r.VBR
		f.AudioSHA256 = hex.EncodeToString(r.AudioSHA256)
	}
	for _, s := range r.HeaderFrames {
		f.HeaderFrames = append(f.HeaderFrames, span{s.Kind.String(), s.Offset, s.Length})
	}
	for _, t := range r.Tags {
		f.Tags = append(f.Tags, span{t.Kind, t.Offset, t.Length})
	}
	for _, s := range r.Problems {
		f.Problems = append(f.Problems, s.String())
	}
	if err != nil {
		f.Problems = append(f.Problems, strings.TrimPrefix(err.Error(), r.Info.Path+": "))
	}
	return f
}

// checkAction reads every file of the inputs and says what is in it.
func checkAction(c *cli.Context, stdout, stderr io.Writer) error {
	if c.NArg() == 0 {
		return fail(exitUsage, "check: name at least one file, playlist or folder")
	}
	for _, input := range c.Args().Slice() {
		if err := checkInput(input); err != nil {
			return err
		}
	}
	list := playlist.Playlist{Inputs: c.Args().Slice()}
	out := json.NewEncoder(stdout)
	out.SetEscapeHTML(false)
	files, bad, unread := 0, 0, 0
	var total time.Duration
	for e, err := range list.Pass(0) {
		var r track.Report
		if err == nil {
			r, err = track.Scan(e.Path)
		} else {
			fmt.Fprintf(stderr, "icepush: %v\n", err)
			unread++
			continue
		}
		files++
		total += r.Info.Duration
		if err != nil {
			bad++
		}
		if c.Bool("json") {
			if err := out.Encode(newFileReport(r, err)); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			fmt.Fprintf(stdout, "%v\n", err)
			continue
		}
		fmt.Fprintf(stdout, "%s: %s, %s\n", e.Path, r, r.Info.FormatTitle("{artist} - {title}"))
		for _, s := range r.Problems {
			fmt.Fprintf(stdout, "  %s\n", s)
		}
	}
	if files == 0 && unread == 0 {
		return fail(exitData, "%s: there is no audio in it", strings.Join(c.Args().Slice(), ", "))
	}
	if !c.Bool("json") {
		fmt.Fprintf(stdout, "%d of %d files play, %v\n", files-bad, files, total.Round(time.Second))
	}
	if bad+unread > 0 {
		return &exitError{exitData, errors.New("check: not everything would play")}
	}
	return nil
}
