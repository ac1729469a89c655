package probe

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"icepush/icy"
)

// TestGarbled shows which titles have been made UTF-8 twice.
func TestGarbled(t *testing.T) {
	for title, want := range map[string]bool{
		"": false, "Artist - Title": false, "Jäälautta": false, "Ünï – ☃": false, "Ελληνικά": false, "J\xe4\xe4lautta": false,
		"JÃ¤Ã¤lautta": true, "Ã\u0096": true, "â€“ dash": true, "Ð\u00a0Ð°Ð´Ð¸Ð¾": true, "50 € ©": false, "São Paulo": false, "Ã": false,
	} {
		if got := garbled(title); got != want {
			t.Errorf("%q: %v", title, got)
		}
	}
}

// TestMeter shows what is kept of what has come.
func TestMeter(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 3*maxRecent/16)
	m := &meter{src: iotest.HalfReader(strings.NewReader(text))}
	io.Copy(io.Discard, m)
	if got := m.sample(int64(len(text))-20, 100); string(got) != text[len(text)-20:] {
		t.Errorf("%q", got)
	}
	if got := m.sample(int64(len(text)-maxRecent), 4); string(got) != "0123" {
		t.Errorf("%q", got)
	}
	if got := m.sample(0, 4); len(got) > 0 || len(m.recent) > 2*maxRecent {
		t.Errorf("%q of %d", got, len(m.recent))
	}
}

// FuzzListen: whatever a server sends, what is said of it fits into what came, and is in
// order.
func FuzzListen(f *testing.F) {
	f.Add([]byte("ID3\x03\x00\x00\x00\x00\x00\x02xx\xff\xfb\x90\x00\x00StreamTitle='\xff';"), 16)
	f.Add([]byte("OggS\x00\x02"), 0)
	f.Add(append(icy.Block("a", 0), icy.Block("JÃ¤", 0)...), 1)
	f.Fuzz(func(t *testing.T, in []byte, every int) {
		r := icy.NewReader(bytes.NewReader(in), every%4096)
		m := &meter{src: r}
		l := listener{meter: m, titles: r.Titles, player: player{buffer: time.Second}}
		l.listen(t.Context(), bufio.NewReader(m))
		if l.End == nil || l.Bytes != r.Offset() || l.LeadIn+l.Junk > l.Bytes {
			t.Fatalf("%+v", l.Heard)
		}
		at := int64(0)
		for _, s := range l.Skips {
			if s.Length <= 0 || s.Offset+s.Length > l.Bytes {
				t.Fatalf("%+v of %d bytes", s, l.Bytes)
			}
		}
		for _, title := range l.Titles {
			if title.Offset < at || title.Offset > l.Bytes || title.Time > l.Audio {
				t.Fatalf("%+v", title)
			}
			at = title.Offset
		}
		kindOf(in)
		looksLike(in)
		listKind(&icy.Stream{}, in)
	})
}
