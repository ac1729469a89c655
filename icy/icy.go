// Package icy is what is said about a stream of audio beside the audio: in its headers, and
// inside of it in a block after every so many bytes, as agreed on with icy-metaint. It makes
// that fit to go out, and, as a player does, joins a mount and takes it apart again. There
// is no standard; SHOUTcast began with it, and servers and players have it from there.
package icy

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxBlock is the longest block in bytes, without its length byte, which counts units of
// 16.
const MaxBlock = 255 * 16

// Block returns a metadata block with its length byte, at least so many bytes long. Title
// is cut between characters to fit. There is always a zero behind it: Icecast 2.4.4
// writes one over the last byte of a full block.
func Block(title string, least int) []byte {
	const before, after = "StreamTitle='", "';"
	title = Safe(title)
	if most := MaxBlock - len(before) - len(after) - 1; len(title) > most {
		title = strings.ToValidUTF8(title[:most], "")
	}
	text := before + title + after
	units := (max(len(text)+1, least-1) + 15) / 16
	block := make([]byte, 1+units*16)
	block[0] = byte(units)
	copy(block[1:], text)
	return block
}

// Safe returns a title that players read to its end: no control characters, and no
// apostrophe before a semicolon, which would end it.
func Safe(title string) string {
	title = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == utf8.RuneError {
			return -1
		}
		return c
	}, strings.ToValidUTF8(title, ""))
	return strings.ReplaceAll(title, "';", "’;")
}

// UTF8 returns a text that another program has sent, made safe. What is no UTF-8 is taken
// for Latin-1.
func UTF8(s string) string {
	if !utf8.ValidString(s) {
		return Latin1(s)
	}
	return strings.TrimSpace(Safe(s))
}

// Latin1 returns a text that was sent in ISO-8859-1, made safe.
func Latin1(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteRune(rune(c))
	}
	return strings.TrimSpace(Safe(b.String()))
}

// HeaderValue returns a value without line breaks and other control characters.
func HeaderValue(s string) string {
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		if c < 0x20 || c == 0x7F {
			return ' '
		}
		return c
	}, s))
}

// mediaTypes are what programs call what they send, and what it is called here.
var mediaTypes = map[string]string{
	"audio/mpeg": "audio/mpeg", "audio/mp3": "audio/mpeg", "audio/x-mpeg": "audio/mpeg", "audio/mpeg3": "audio/mpeg",
	"audio/aac": "audio/aac", "audio/aacp": "audio/aac", "audio/x-aac": "audio/aac",
	"audio/ogg": "audio/ogg", "application/ogg": "audio/ogg", "application/x-ogg": "audio/ogg", "audio/opus": "audio/ogg",
}

// MediaType returns the one name for a media type that goes by several, "" for what is
// none of audio/mpeg, audio/aac and audio/ogg.
func MediaType(name string) string { return mediaTypes[name] }

// ContentType returns the media type in a header, in lower case and without parameters.
func ContentType(h http.Header) string {
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(kind))
}
