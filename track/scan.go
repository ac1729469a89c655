package track

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"icepush/frame"
	"icepush/id3strip"
)

const (
	// maxProblems bounds the list of problems of one file.
	maxProblems = 1000

	// maxLinks bounds the list of the streams in one file.
	maxLinks = 1000
)

// Report is what a file holds, from reading all of it.
type Report struct {
	Info         Info // Duration is exact
	Frames       int  // of Ogg: packets
	Samples      int64
	AudioBytes   int64
	AudioSHA256  []byte // of all frames put end to end; nil when it was not asked for
	VBR          bool   // the bitrate is not the same in all frames
	Bitrate      int    // bit/s; the mean when VBR
	HeaderFrames []frame.Skip
	Problems     []frame.Skip // with their offsets in the file
	Tags         []id3strip.Tag
	Links        []Link // of Ogg, when there are several
}

// Link is one of the streams that follow each other in an Ogg file.
type Link struct {
	Header        frame.Header
	Artist, Title string
	Packets       int
	Samples       int64
}

// Scan reads a whole file, and its checksum if sum is true. The report of a file without
// audio is of its tags, and comes with an error. Hint is as for Open.
func Scan(ctx context.Context, path string, hint Info, sum bool) (Report, error) {
	var h hash.Hash
	if sum {
		h = sha256.New()
	}
	r, err := scan(ctx, path, hint, h)
	if sum {
		r.AudioSHA256 = h.Sum(nil)
	}
	return r, err
}

func scan(ctx context.Context, path string, hint Info, sum hash.Hash) (r Report, err error) {
	r.Info = Info{Path: path, Title: stem(path)}
	if sum == nil && skim(path, hint, &r) {
		return r, nil
	}
	t, err := Open(ctx, path, hint)
	if errors.Is(err, ErrNoAudio) && !isURL(path) {
		r.Info, r.Tags, r.HeaderFrames = silent(path, hint)
	}
	if err != nil {
		return r, err
	}
	defer t.Close()
	t.Seamless()
	t.Skipped = func(s frame.Skip) {
		list := &r.Problems
		if s.Kind.IsHeaderFrame() {
			list = &r.HeaderFrames
		}
		if len(*list) < maxProblems {
			*list = append(*list, s)
		}
	}
	r.Info = t.Info
	defer func() { r.Tags = t.in.tags() }()
	samples := map[int]int64{} // by rate
	var link *Link
	for {
		f, err := t.Next()
		if err != nil {
			seconds := 0.0
			for rate, n := range samples {
				seconds += float64(n) / float64(rate)
			}
			r.Info.Duration = time.Duration(seconds*float64(time.Second) + 0.5)
			if r.VBR = r.VBR || r.Bitrate == 0; r.VBR && r.Info.Duration > 0 {
				r.Bitrate = int(float64(r.AudioBytes)*8/r.Info.Duration.Seconds() + 0.5)
			}
			if len(r.Links) == 1 {
				r.Links = nil
			}
			if err == io.EOF {
				err = nil
			}
			if err == nil && r.Samples == 0 {
				err = fmt.Errorf("%s: %w: it lasts no time", path, ErrNoAudio)
			}
			return r, err
		}
		if f.Setup != nil && (link == nil || t.Retitled) && len(r.Links) < maxLinks {
			r.Links = append(r.Links, Link{Header: f.Header, Artist: t.Info.Artist, Title: t.Info.Title})
			link = &r.Links[len(r.Links)-1]
		}
		if r.Frames == 0 {
			r.Bitrate = f.Bitrate
		}
		// The size of free format frames varies with their padding alone.
		r.VBR = r.VBR || f.Bitrate != r.Bitrate || f.Format.Ogg()
		if f.Setup == nil {
			r.Frames++
		} else {
			r.Frames += f.Packets
			link.Packets += f.Packets
			link.Samples += int64(f.Samples)
		}
		r.Samples += int64(f.Samples)
		r.AudioBytes += int64(len(f.Data))
		samples[f.SampleRate] += int64(f.Samples)
		if sum != nil {
			sum.Write(f.Data)
		}
	}
}

// skim reads a whole file that has nothing wrong with it: tags, frames, tags. It returns
// false where there is more to be said. A tag inside of frames that confirm each other is
// not looked for.
func skim(path string, hint Info, r *Report) bool {
	if isURL(path) || hint.Start > 0 || hint.Stop > 0 {
		return false
	}
	f, err := open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false
	}
	size := info.Size()
	var head [16]byte
	begin := int64(0)
	for {
		n, _ := f.ReadAt(head[:], begin)
		length := id3strip.HeaderLength(head[:n])
		if length == 0 {
			break
		}
		begin += length
	}
	s, ok := frame.Skim(f, begin, size)
	if !ok {
		return false
	}
	var found []id3strip.Tag
	for _, part := range [2][2]int64{{0, begin}, {s.End, size}} {
		tags, only := onlyTags(f, part[0], part[1])
		if !only {
			return false
		}
		found = append(found, tags...)
	}
	r.Info = describe(path, readTags(io.NewSectionReader(f, 0, size)), hint)
	r.Info.Header = s.First
	r.Info.Duration = time.Duration(float64(s.Samples)/float64(s.First.SampleRate)*float64(time.Second) + 0.5)
	r.Frames, r.Samples, r.AudioBytes = s.Frames, s.Samples, s.Bytes
	r.HeaderFrames, r.Tags = s.HeaderFrames, found
	r.Bitrate = s.First.Bitrate
	if r.VBR = !s.SameBitrate || r.Bitrate == 0; r.VBR {
		r.Bitrate = int(float64(r.AudioBytes)*8/r.Info.Duration.Seconds() + 0.5)
	}
	return true
}

// onlyTags returns the tags in a part of a file, and whether there is nothing else in it.
func onlyTags(f io.ReaderAt, from, to int64) (tags []id3strip.Tag, only bool) {
	if from == to {
		return nil, true
	}
	strip := id3strip.NewReader(io.NewSectionReader(f, from, to-from))
	var b [1]byte
	if n, err := strip.Read(b[:]); n > 0 || err != io.EOF {
		return nil, false
	}
	for _, t := range strip.Tags() {
		t.Offset += from
		tags = append(tags, t)
	}
	return tags, true
}

// Measure returns the exact duration of a file, or of the part of it that hint says.
func Measure(ctx context.Context, path string, hint Info) (time.Duration, error) {
	r, err := Scan(ctx, path, hint, false)
	return r.Info.Duration, err
}

// silent reads what there is to know of a file without audio.
func silent(path string, hint Info) (info Info, tags []id3strip.Tag, headers []frame.Skip) {
	f, err := open(path)
	if err != nil {
		return Info{Path: path}, nil, nil
	}
	defer f.Close()
	info = describe(path, readTags(f), hint)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return info, nil, nil
	}
	r := newReader(f, nil, false)
	r.frames.MaxJunk = maxJunk
	_, skips, _ := r.read() // there is none: it reads to the end
	for _, s := range skips {
		if s.Kind.IsHeaderFrame() {
			headers = append(headers, s)
		}
	}
	return info, r.tags(), headers
}

// String says in one line what is in the file.
func (r Report) String() string {
	rate := "CBR"
	if r.VBR {
		rate = "VBR"
	}
	return fmt.Sprintf("%s, %s %d kbit/s, %v", r.Info.Header, rate, (r.Bitrate+500)/1000, r.Info.Duration.Round(time.Millisecond))
}
