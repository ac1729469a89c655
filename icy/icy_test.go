package icy

import (
	"strings"
	"testing"
)

// TestBlock shows what a block does to a title.
func TestBlock(t *testing.T) {
	for title, want := range map[string]string{
		"Artist - Title":           "Artist - Title",
		"":                         "",
		"it's; fine":               "it's; fine",
		"end';StreamUrl='evil":     "end’;StreamUrl='evil",
		"line\r\nbreak\x00":        "linebreak",
		"Ünï – ☃ 🎧":                "Ünï – ☃ 🎧",
		"bad \xff utf-8":           "bad  utf-8",
		strings.Repeat("☃", 2000):  strings.Repeat("☃", (MaxBlock-16)/3),
		strings.Repeat("x", 10000): strings.Repeat("x", MaxBlock-16),
	} {
		b := Block(title, 0)
		if len(b) != 1+int(b[0])*16 {
			t.Errorf("%.20q: a block of %d bytes says %d", title, len(b), b[0])
		}
		if b[len(b)-1] != 0 {
			t.Errorf("%.20q: there is no zero behind it", title)
		}
		if got := strings.TrimRight(string(b[1:]), "\x00"); got != "StreamTitle='"+want+"';" {
			t.Errorf("%.20q becomes %.60q", title, got)
		}
	}
}
