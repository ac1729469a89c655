package track

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"icepush/frame"
	"icepush/id3strip"
)

// maxProblems bounds the list of problems of one file.
const maxProblems = 1000

// Report is what a file holds, from reading all of it.
type Report struct {
	Info         Info // Duration is exact
	Frames       int
	Samples      int64
	AudioBytes   int64
	AudioSHA256  []byte // of all frames put end to end
	VBR          bool   // the bitrate is not the same in all frames
	Bitrate      int    // bit/s; the mean when VBR
	HeaderFrames []frame.Skip
	Problems     []frame.Skip // with their offsets in the file
	Tags         []id3strip.Tag
}

// Scan reads a whole file. The report of a file without audio is of its tags, and
// comes with an error.
func Scan(path string) (Report, error) {
	sum := sha256.New()
	r, err := scan(path, sum)
	r.AudioSHA256 = sum.Sum(nil)
	return r, err
}

// Measure returns the exact duration of a file.
func Measure(path string) (time.Duration, error) {
	r, err := scan(path, nil)
	return r.Info.Duration, err
}

func scan(path string, sum hash.Hash) (r Report, err error) {
	r.Info.Path = path
	t, err := Open(path, Info{})
	if errors.Is(err, ErrNoAudio) {
		r.Info, r.Tags, r.HeaderFrames = silent(path)
	}
	if err != nil {
		return r, err
	}
	defer t.Close()
	t.Skipped = func(s frame.Skip) {
		list := &r.Problems
		if s.Kind.IsHeaderFrame() {
			list = &r.HeaderFrames
		}
		if len(*list) < maxProblems {
			*list = append(*list, s)
		}
	}
	samples := map[int]int64{} // by rate
	for {
		f, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return r, err
		}
		if r.Frames == 0 {
			r.Bitrate = f.Bitrate
		}
		// The size of free format frames varies with their padding alone.
		r.VBR = r.VBR || f.Bitrate != r.Bitrate
		r.Frames++
		r.Samples += int64(f.Samples)
		r.AudioBytes += int64(len(f.Data))
		samples[f.SampleRate] += int64(f.Samples)
		if sum != nil {
			sum.Write(f.Data)
		}
	}
	seconds := 0.0
	for rate, n := range samples {
		seconds += float64(n) / float64(rate)
	}
	r.Info = t.Info
	r.Info.Duration = time.Duration(seconds*float64(time.Second) + 0.5)
	r.Tags = t.strip.Tags()
	if r.VBR {
		r.Bitrate = int(float64(r.AudioBytes)*8/seconds + 0.5)
	}
	return r, nil
}

// silent reads what there is to know of a file without audio.
func silent(path string) (info Info, tags []id3strip.Tag, headers []frame.Skip) {
	f, err := open(path)
	if err != nil {
		return Info{Path: path}, nil, nil
	}
	defer f.Close()
	info = describe(path, readTags(f), Info{})
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return info, nil, nil
	}
	strip := id3strip.NewReader(f)
	frames := frame.NewReader(strip)
	frames.Next() // there is none: it reads to the end
	for _, s := range frames.Skipped() {
		if s.Kind.IsHeaderFrame() {
			s.Offset = strip.SourceOffset(s.Offset)
			headers = append(headers, s)
		}
	}
	return info, strip.Tags(), headers
}

// String says in one line what is in the file.
func (r Report) String() string {
	rate := "CBR"
	if r.VBR {
		rate = "VBR"
	}
	return fmt.Sprintf("%s, %s %d kbit/s, %v", r.Info.Header, rate, (r.Bitrate+500)/1000, r.Info.Duration.Round(time.Millisecond))
}
