// Package push sends audio to a mount of an Icecast server: one source connection,
// made by hand, with titles, and made again when it breaks.
//
// The protocol has no standard. What is done here follows what Icecast 2.4, 2.5,
// Icecast-KH and their relatives do: a PUT (RFC 9110, 9.3.4) over HTTP/1.1 (RFC 9112)
// whose body has no end, and ICY metadata blocks inside it or GET /admin/metadata
// beside it.
package push

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"strings"

	"icepush/frame"
	"icepush/icy"
)

// Secret is a text that cannot be printed, logged or marshalled.
type Secret string

const hidden = "(hidden)"

func (Secret) String() string               { return hidden }
func (Secret) GoString() string             { return hidden }
func (Secret) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
func (Secret) Format(f fmt.State, _ rune)   { fmt.Fprint(f, hidden) }

// Protocol is how a source asks for its mount.
type Protocol int

const (
	AnyProtocol Protocol = iota // PUT, or SOURCE where that is not known
	PUT                         // as Icecast 2.4 and later want it
	SOURCE                      // as Icecast had it before
	ICY                         // of SHOUTcast 1, on the port after the listeners'
)

func (p Protocol) String() string { return [...]string{"auto", "put", "source", "icy"}[p] }

// Mount is where audio goes, who sends it, and how it is described to listeners.
type Mount struct {
	Host     string // name or address and port, "localhost:8000"
	Path     string // "/live"; with ICY it may be empty
	TLS      bool   // the connection is encrypted
	Protocol Protocol
	User     string // "source" when empty
	Password Secret

	Name        string
	Description string
	Genre       string
	URL         string
	Public      bool // list the stream in directories
	Bitrate     int  // kbit/s as told to listeners; 0 takes that of the first track
}

// validPath is what every server takes the same way: no escapes, no blanks, nothing
// that means something in a URL.
var validPath = regexp.MustCompile(`^/[A-Za-z0-9._~/-]+$`)

// schemes are what a URL may begin with, and the port when it has none: those that
// Icecast's own configuration has, but for https.
var schemes = map[string]struct {
	port     string
	tls      bool
	protocol Protocol
}{
	"icecast":  {"8000", false, AnyProtocol},
	"http":     {"8000", false, AnyProtocol},
	"icecasts": {"8443", true, AnyProtocol},
	"https":    {"443", true, AnyProtocol},
	"icy":      {"8000", false, ICY},
}

// ParseURL reads icecast://user:password@host:port/mount. http:// is the same, icecasts://
// and https:// are encrypted, icy:// is SHOUTcast's protocol. What is not in the URL stays
// empty, but for the port. The error does not repeat the password.
func ParseURL(s string) (Mount, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Mount{}, fmt.Errorf("%s: this is not a URL (a %%, @, : or / in a password is written %%25, %%40, %%3A, %%2F)", redact(s))
	}
	scheme, known := schemes[u.Scheme]
	switch {
	case u.Scheme == "":
		return Mount{}, fmt.Errorf("%s: a URL begins with icecast:// or icecasts://", redact(s))
	case !known:
		return Mount{}, fmt.Errorf("%s: icepush does not know %s://, only icecast, icecasts, http, https and icy", redact(s), u.Scheme)
	case u.Hostname() == "":
		return Mount{}, fmt.Errorf("%s: there is no host in it", redact(s))
	case strings.Contains(u.Path, "@"): // what is before it may be part of a password
		return Mount{}, fmt.Errorf("%s: this is not a URL (a %%, @, : or / in a password is written %%25, %%40, %%3A, %%2F)", redact(s))
	case u.RawQuery != "" || u.Fragment != "":
		return Mount{}, fmt.Errorf("%s: a mount has no ? and no #", redact(s))
	}
	m := Mount{
		Host: net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), scheme.port)),
		TLS:  scheme.tls, Protocol: scheme.protocol, User: u.User.Username(),
	}
	if u.Path != "/" {
		m.Path = u.Path
	}
	password, _ := u.User.Password()
	m.Password = Secret(password)
	return m, nil
}

// redact returns a URL without what stands between :// and the last @.
func redact(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		scheme, rest = "", s
	} else {
		scheme += "://"
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest = rest[at+1:]
	}
	return scheme + rest
}

// Check says what is wrong with the mount, as far as that can be said without asking
// the server.
func (m Mount) Check() error {
	switch {
	case m.Host == "":
		return errors.New("no server is named")
	case m.Path == "" && m.Protocol == ICY:
	case m.Path == "" || m.Path == "/":
		return errors.New("no mount is named")
	case !strings.HasPrefix(m.Path, "/"):
		return fmt.Errorf("mount %s: it has to begin with /", m.Path)
	case !validPath.MatchString(m.Path) || strings.Contains(m.Path, "//") || strings.Contains(m.Path, "/.."):
		return fmt.Errorf("mount %s: servers agree only on letters, digits and . _ ~ - / in a mount", m.Path)
	case strings.HasPrefix(m.Path, "/admin") || m.Path == "/status-json.xsl":
		return fmt.Errorf("mount %s: the server itself answers there", m.Path)
	}
	if strings.ContainsAny(string(m.Password)+m.User, "\r\n\x00") || strings.Contains(m.User, ":") {
		return fmt.Errorf("%s: there is no line break in a password, and no colon in a user name", m)
	}
	if n := len(m.headers(m.authorization(), "audio/mpeg", strings.Repeat(" ", 60))); n > maxHeader {
		return fmt.Errorf("name, description, genre and URL are too long: the request has %d bytes, servers read %d", n, maxHeader)
	}
	return nil
}

// String names the mount in messages and logs, without the password.
func (m Mount) String() string {
	switch {
	case m.TLS:
		return "https://" + m.Host + m.Path
	case m.Protocol == ICY:
		return "icy://" + m.Host + m.Path
	}
	return "http://" + m.Host + m.Path
}

// authorization returns the value of the Authorization header.
func (m Mount) authorization() string {
	return basic(cmp.Or(m.User, "source"), string(m.Password))
}

// basic returns the credentials of a user as a header has them (RFC 7617).
func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// described returns the mount with what the first frame tells of the stream.
func (m Mount) described(h frame.Header) Mount {
	if m.Bitrate == 0 {
		m.Bitrate = (h.Bitrate + 500) / 1000
	}
	return m
}

// public returns what a header says of being listed.
func (m Mount) public() string {
	if m.Public {
		return "1"
	}
	return "0"
}

// maxHeader is how many bytes of request header all servers read.
const maxHeader = 4000

// headers returns the lines that describe the stream, of the Ice-* kind. AudioInfo is
// what ice-audio-info says. There are fewer than 30 lines with the request's own:
// servers leave out what is beyond 32.
func (m Mount) headers(authorization, contentType, audioInfo string) string {
	var b strings.Builder
	line := func(name, value string) {
		if value = icy.HeaderValue(value); value != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	line("Host", m.Host)
	line("Authorization", authorization)
	line("User-Agent", UserAgent)
	line("Content-Type", contentType)
	line("Ice-Public", m.public())
	line("Ice-Name", m.Name)
	line("Ice-Description", m.Description)
	line("Ice-Genre", m.Genre)
	line("Ice-URL", m.URL)
	if m.Bitrate > 0 {
		line("Ice-Bitrate", fmt.Sprint(m.Bitrate))
	}
	line("ice-audio-info", audioInfo)
	return b.String()
}

// UserAgent names the program to servers. main sets its version.
var UserAgent = "icepush"
