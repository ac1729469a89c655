package icy

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// joinTimeout bounds each step of joining: connecting, the TLS handshake, the answer.
	joinTimeout = 10 * time.Second

	maxRedirects = 5
	maxHeader    = 64 << 10 // bytes of an answer's

	// maxMetaint is the longest distance between two blocks that is believed, in bytes:
	// at 64 kbit/s more than two minutes.
	maxMetaint = 1 << 20

	// maxRefusal is how many bytes of the page of a refusal are kept.
	maxRefusal = 1 << 10
)

// Options are how to join a mount. The zero value works.
type Options struct {
	UserAgent string      // "icepush" when empty
	TLS       *tls.Config // nil trusts whom the system does

	// Header is what to ask besides, a Range for one.
	Header http.Header

	// Patience is how long the server may send nothing before Read fails with a timeout.
	// Zero is for ever.
	Patience time.Duration

	// Proxy returns the proxy for a request, as that of http.Transport. Nil is none.
	Proxy func(*http.Request) (*url.URL, error)

	// Dial connects in place of a net.Dialer, for tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Stream is a mount that has been joined. Read gives its audio, and nothing else, as it
// comes; Titles what stood between.
type Stream struct {
	*Reader

	URL     string   // that has answered in the end, without user and password
	Via     []string // the URLs before it, which led there
	Address string   // host:port that has been connected to
	Proto   string   // "HTTP/1.1", "HTTP/1.0", or "ICY" as SHOUTcast 1 has it
	TLS     *tls.ConnectionState
	Header  http.Header
	Length  int64 // bytes that are to come, -1 when there is no end in sight

	// What the header says. Of the numbers 0 is unknown.
	Server      string
	ContentType string // in lower case, without parameters
	Name        string
	Genre       string
	Description string
	Homepage    string
	Bitrate     int // kbit/s
	Metaint     int // bytes of audio between two blocks, 0 when there are none

	body   io.Closer
	cancel context.CancelFunc
}

// StatusError is an answer other than 200 OK.
type StatusError struct {
	Code   int
	Server string // Server header, "" when there was none
	URL    string // that has answered, without user and password
	Via    []string
	Header http.Header
	Page   string // the beginning of what came with it
}

func (e *StatusError) Error() string {
	s := strings.TrimSpace(fmt.Sprintf("%d %s", e.Code, http.StatusText(e.Code)))
	if e.Server != "" {
		s += " (" + e.Server + ")"
	}
	return s
}

var (
	// ErrURL says that there is nothing to join at what is no http or https URL.
	ErrURL = errors.New("this is no http or https URL")

	// ErrRedirects says that one URL led to another too often.
	ErrRedirects = errors.New("it is redirected too often")

	// ErrSilent says that a server has taken the connection and does not answer.
	ErrSilent = errors.New("the server does not answer")

	// ErrHandshake says that it does not answer in the way of TLS.
	ErrHandshake = errors.New("the server does not answer the TLS handshake: does this port speak TLS?")

	// ErrClosed says that it has closed the connection without an answer.
	ErrClosed = errors.New("the server closed the connection without an answer")

	// ErrNotHTTP says that what answers is no HTTP server, nor a SHOUTcast.
	ErrNotHTTP = errors.New("its answer is not HTTP")
)

// Join joins a mount as a player does that knows titles. It follows redirects, and takes
// the answers of SHOUTcast 1. A user and a password in the URL are sent, and in no error.
// What is answered with 200 is joined whatever it is: a page, a playlist. The stream ends
// with ctx, or when it is closed.
func Join(ctx context.Context, address string, o Options) (*Stream, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, ErrURL // it may have a password
	}
	s := &Stream{}
	s.URL = shown(u)
	if err := s.join(ctx, u, o); err != nil {
		return nil, fmt.Errorf("%s: %w", s.URL, err)
	}
	return s, nil
}

func (s *Stream) join(ctx context.Context, u *url.URL, o Options) error {
	ctx, s.cancel = context.WithCancel(ctx)
	var conn net.Conn
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { conn = info.Conn }})
	req, err := http.NewRequestWithContext(traced, http.MethodGet, shown(u), nil)
	if err != nil {
		s.cancel()
		return errors.New("this is no URL that can be asked for")
	}
	if u.User != nil { // so that it goes along on the same host, and to no other
		password, _ := u.User.Password()
		req.SetBasicAuth(u.User.Username(), password)
	}
	req.Header.Set("Icy-MetaData", "1")
	req.Header.Set("User-Agent", cmp.Or(o.UserAgent, "icepush"))
	req.Header.Set("Accept", "*/*")
	maps.Copy(req.Header, o.Header)
	client := &http.Client{
		Transport: o.transport(),
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return ErrRedirects
			}
			req.Header.Del("Referer") // players have none
			if req.URL.Scheme == "http" && slices.ContainsFunc(via, func(r *http.Request) bool { return r.URL.Scheme == "https" }) {
				req.Header.Del("Authorization") // it was not to be read by others
			}
			s.Via, s.URL = append(s.Via, s.URL), shown(req.URL)
			return nil
		},
	}
	resp, err := client.Do(req)
	if err != nil {
		s.cancel()
		return plain(err)
	}
	s.Header, s.Proto, s.TLS, s.Length = resp.Header, resp.Proto, resp.TLS, resp.ContentLength
	if c, ok := conn.(*conversation); ok {
		s.Address = c.RemoteAddr().String()
		if c.old {
			s.Proto = "ICY"
		}
		if t, ok := c.Conn.(*tls.Conn); ok {
			state := t.ConnectionState()
			s.TLS = &state
		}
	} else if conn != nil {
		s.Address = conn.RemoteAddr().String()
	}
	s.describe()
	if resp.StatusCode != http.StatusOK {
		page, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		resp.Body.Close()
		s.cancel()
		return &StatusError{resp.StatusCode, s.Server, s.URL, s.Via, s.Header, UTF8(string(page))}
	}
	s.Reader, s.body = NewReader(resp.Body, s.Metaint), resp.Body
	return nil
}

// describe reads the header.
func (s *Stream) describe() {
	text := func(names ...string) string {
		for _, name := range names {
			if v := UTF8(s.Header.Get(name)); v != "" {
				return v
			}
		}
		return ""
	}
	number := func(name string, most int) int {
		n, err := strconv.Atoi(digits(s.Header.Get(name)))
		if err != nil || n > most {
			return 0
		}
		return n
	}
	s.Server = text("Server")
	if notice := text("icy-notice2"); s.Server == "" && strings.HasPrefix(notice, "SHOUTcast") {
		s.Server, _, _ = strings.Cut(notice, "<") // <BR>
	}
	s.ContentType = UTF8(ContentType(s.Header))
	s.Name, s.Genre, s.Description, s.Homepage = text("icy-name", "ice-name"), text("icy-genre", "ice-genre"), text("icy-description", "ice-description"), text("icy-url", "ice-url")
	s.Bitrate, s.Metaint = number("icy-br", 1_000_000), number("icy-metaint", maxMetaint)
}

// digits returns those a text begins with: Icecast may have two bitrates in one header.
func digits(s string) string {
	s = strings.TrimSpace(s)
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return s[:n]
}

// Close leaves the mount. It may be called while Read waits, which ends then.
func (s *Stream) Close() error {
	s.cancel()
	return s.body.Close()
}

// transport returns what makes one connection for each request, and hands on what comes
// there as it comes.
func (o Options) transport() *http.Transport {
	dial := o.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: joinTimeout}).DialContext
	}
	begin := func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return newConversation(c, o.Patience), nil
	}
	return &http.Transport{
		Proxy:       o.Proxy,
		DialContext: begin,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			config := &tls.Config{}
			if o.TLS != nil {
				config = o.TLS.Clone()
			}
			if config.ServerName == "" {
				config.ServerName, _, _ = net.SplitHostPort(address)
			}
			t := tls.Client(c, config)
			limited, cancel := context.WithTimeout(ctx, joinTimeout)
			defer cancel()
			if err := t.HandshakeContext(limited); err != nil {
				c.Close()
				if limited.Err() != nil && ctx.Err() == nil {
					err = ErrHandshake
				}
				return nil, err
			}
			return newConversation(t, o.Patience), nil
		},
		TLSClientConfig:        o.TLS, // behind a proxy
		TLSHandshakeTimeout:    joinTimeout,
		ResponseHeaderTimeout:  joinTimeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableKeepAlives:      true,
		DisableCompression:     true,
	}
}

// plain returns why a request failed, without its URL.
func plain(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	var op *net.OpError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, context.Canceled), errors.As(err, &op) && op.Op == "dial":
		return err
	case errors.As(err, &timeout) && timeout.Timeout():
		return ErrSilent
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrClosed
	case strings.Contains(err.Error(), "Location"): // what stands there may have a password
		return errors.New("it redirects to what is no URL")
	}
	for _, said := range []string{"malformed ", "server response headers "} { // of net/http, which has no types for it
		if _, rest, ok := strings.Cut(err.Error(), said); ok {
			return fmt.Errorf("%w: %s%.200s", ErrNotHTTP, said, rest)
		}
	}
	return err
}

// shown returns a URL as it may be shown: without user and password.
func shown(u *url.URL) string {
	bare := *u
	bare.User = nil
	return bare.String()
}

// conversation is a connection to a server. What SHOUTcast 1 answers it makes HTTP.
type conversation struct {
	HeadConn
	patience time.Duration
	old      bool // the answer is SHOUTcast 1's
}

func newConversation(conn net.Conn, patience time.Duration) *conversation {
	c := &conversation{HeadConn: HeadConn{Conn: conn}, patience: patience}
	c.Look = c.look
	return c
}

func (c *conversation) Read(p []byte) (int, error) {
	if c.patience > 0 {
		c.SetReadDeadline(time.Now().Add(c.patience))
	}
	return c.HeadConn.Read(p)
}

// look reads the first word of the answer, as far as it may be one that is to be changed.
func (c *conversation) look() (head []byte, err error) {
	const old, now = "ICY ", "HTTP/1.0 "
	b := make([]byte, 0, len(old))
	for len(b) < len(old) && string(b) == old[:len(b)] {
		n, err := c.Conn.Read(b[len(b):cap(b)])
		if b = b[:len(b)+n]; err != nil {
			return b, err
		}
	}
	if string(b) == old {
		c.old, b = true, []byte(now)
	}
	return b, nil
}
