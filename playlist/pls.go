package playlist

import (
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxPLSNumber = 1_000_000 // the highest number of an entry
	maxPLSHeld   = 100_000   // how many entries are put in order
	maxPLSText   = 64 << 20  // and how many bytes of them
)

// ReadPLS yields the entries of a PLS list in the order of their numbers. Text is read
// as by ReadM3U. Only a line that begins with ";" or "#" is a comment, for names hold
// these signs, too; NumberOfEntries is not believed. An r that seeks is read twice, and
// costs no memory when the numbers rise, as they do nearly always. Other lists are held
// until their end, as far as 100,000 entries or 64 MB.
func ReadPLS(r io.Reader, name string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		p := pls{rising: numbersRise(r), held: map[int]*plsEntry{}}
		l := newLines(r, name)
		isPLS := false // something has been seen that stands in such lists only
		for l.next() {
			line := string(l.text)
			key, number, value := plsKey(line)
			isPLS = isPLS || key != "" || strings.EqualFold(line, "[playlist]")
			if key == "" || number < 0 {
				continue
			}
			if number > maxPLSNumber {
				if !yield(Entry{}, l.errorf("%d is too high for the number of an entry", number)) {
					return
				}
				continue
			}
			if p.rising && p.held[number] == nil && !p.flush(yield) {
				return
			}
			if err := p.set(l, key, number, value); err != nil && !yield(Entry{}, err) {
				return
			}
			if len(p.held) > maxPLSHeld || p.size > maxPLSText {
				l.err = l.errorf("the list is too long to be put in order; what follows is left out")
			}
		}
		if !p.flush(yield) {
			return
		}
		if l.err == nil && !isPLS && l.n > 0 {
			l.err = fmt.Errorf("%s: there is no [playlist] in it, so it is no PLS list", name)
		}
		if l.err != nil {
			yield(Entry{}, l.err)
		}
	}
}

// numbersRise reads a list ahead, and reports whether no number in it is lower than one
// before. It cannot tell when r does not seek.
func numbersRise(r io.Reader) bool {
	s, ok := r.(io.Seeker)
	if !ok {
		return false
	}
	start, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return false
	}
	rise, last := true, 0
	for l := newLines(r, ""); rise && l.next(); {
		if key, number, _ := plsKey(string(l.text)); key != "" && number >= 0 {
			rise = number >= last
			last = number
		}
	}
	_, err = s.Seek(start, io.SeekStart)
	return rise && err == nil
}

// plsKey takes "File12=x" apart into "file", 12 and "x". The number of a key without
// one is -1. The key of what does not belong to such lists is "".
func plsKey(line string) (key string, number int, value string) {
	if line == "" || line[0] == ';' || line[0] == '#' {
		return "", 0, ""
	}
	name, value, ok := strings.Cut(line, "=")
	if !ok || len(name) > 32 {
		return "", 0, ""
	}
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "numberofentries" || name == "version" {
		return name, -1, value
	}
	key = strings.TrimRight(name, "0123456789")
	if key != "file" && key != "title" && key != "length" {
		return "", 0, ""
	}
	number, err := strconv.Atoi(name[len(key):])
	if err != nil {
		return "", 0, ""
	}
	return key, number, strings.TrimSpace(value)
}

// pls holds entries until their turn.
type pls struct {
	rising bool // the turn of an entry is over when another begins
	held   map[int]*plsEntry
	size   int // bytes held
}

type plsEntry struct {
	Entry
	title  string
	length time.Duration
}

// set notes what a line says of an entry. The last word counts.
func (p *pls) set(l *lines, key string, number int, value string) error {
	e := p.held[number]
	if e == nil {
		e = &plsEntry{}
		p.held[number] = e
	}
	switch key {
	case "title":
		value = clean(value)
		e.title = value
	case "length":
		e.length = seconds(value)
		value = ""
	case "file":
		if value == "" {
			return nil
		}
		if err := l.locate(&e.Entry, value); err != nil {
			return err
		}
	}
	p.size += len(value)
	return nil
}

// flush yields what is held, in order.
func (p *pls) flush(yield func(Entry, error) bool) bool {
	for _, number := range slices.Sorted(maps.Keys(p.held)) {
		e := p.held[number]
		delete(p.held, number)
		if e.Path == "" {
			continue
		}
		e.Artist, e.Title = splitTitle(e.title)
		e.Duration = e.length
		if !yield(e.Entry, nil) {
			return false
		}
	}
	p.size = 0
	return true
}
