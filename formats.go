package main

import (
	"strconv"
	"strings"

	"icepush/frame"
)

// formatNames are what --format calls the formats of a stream, each with what is taken
// where nothing is said.
var formatNames = map[string]frame.Header{
	"mp3":    {Format: frame.MPEG, Layer: 3, SampleRate: 44100, Channels: 2, Bitrate: 128_000},
	"mp2":    {Format: frame.MPEG, Layer: 2, SampleRate: 44100, Channels: 2, Bitrate: 192_000},
	"aac":    {Format: frame.AAC, SampleRate: 44100, Channels: 2, Bitrate: 128_000},
	"vorbis": {Format: frame.Vorbis, SampleRate: 44100, Channels: 2, Bitrate: 128_000},
	"opus":   {Format: frame.Opus, SampleRate: 48000, Channels: 2, Bitrate: 96_000},
	"flac":   {Format: frame.FLAC, SampleRate: 44100, Channels: 2},
	"speex":  {Format: frame.Speex, SampleRate: 16000, Channels: 1, Bitrate: 28_000},
}

// parseFormat reads --format: a name, then kbit/s, Hz and channels, each of which may be
// left out. The zero Header stands for the format of the first track.
func parseFormat(s string) (frame.Header, error) {
	if s == "" {
		return frame.Header{}, nil
	}
	parts := strings.Split(s, ":")
	h, ok := formatNames[strings.ToLower(parts[0])]
	if !ok || len(parts) > 4 {
		return h, fail(exitUsage, "--format %s: it is mp3, mp2, aac, vorbis, opus, flac or speex, then kbit/s, Hz and channels, as in mp3:128:44100:2", s)
	}
	set := func(i int, what string, unit, least, most int, to *int) error {
		if i >= len(parts) || parts[i] == "" {
			return nil
		}
		n, err := strconv.Atoi(parts[i])
		if err != nil || n < least || n > most {
			return fail(exitUsage, "--format %s: %s is a number from %d to %d", s, what, least, most)
		}
		*to = n * unit
		return nil
	}
	for _, err := range []error{
		set(1, "kbit/s", 1000, 8, 1000, &h.Bitrate),
		set(2, "Hz", 1, 8000, 192000, &h.SampleRate),
		set(3, "channels", 1, 1, 8, &h.Channels),
	} {
		if err != nil {
			return h, err
		}
	}
	if h.Format == frame.Opus && h.SampleRate != 48000 {
		return h, fail(exitUsage, "--format %s: Opus is always at 48000 Hz", s)
	}
	if h.Format == frame.MPEG {
		// The version follows from the rate, and which bitrates there are from that.
		switch h.SampleRate {
		case 32000, 44100, 48000:
			h.Version = frame.MPEG1
		case 16000, 22050, 24000:
			h.Version = frame.MPEG2
		case 8000, 11025, 12000:
			h.Version = frame.MPEG25
		}
		if h.Channels == 1 {
			h.Mode = frame.Mono
		}
		possible := h.Version != 0 && h.Channels <= 2 && (h.Layer == 3 || h.Version != frame.MPEG25)
		if !possible {
			return h, fail(exitUsage, "--format %s: %s has 32000, 44100, 48000 Hz or a half of them, and one or two channels", s, parts[0])
		}
	}
	return h, nil
}
