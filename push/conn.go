package push

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"

	"icepush/frame"
)

const (
	dialTimeout   = 10 * time.Second
	answerTimeout = 10 * time.Second // for the first answer to a PUT
	finalTimeout  = 2 * time.Second  // for the final status after a 100, and for EOF at the end
	writeTimeout  = 10 * time.Second

	// block is what Icecast 2.4 and 2.5 read at a time. An incomplete one at the end of
	// the stream is lost.
	block = 1400
)

// dial connects to an address, from a local one if given.
func (s *Source) dial(ctx context.Context, address string, local net.Addr) (net.Conn, error) {
	if s.Dial != nil {
		return s.Dial(ctx, "tcp", address)
	}
	d := net.Dialer{Timeout: dialTimeout, Control: limitUnacked(writeTimeout)}
	if a, ok := local.(*net.TCPAddr); ok {
		d.LocalAddr = &net.TCPAddr{IP: a.IP, Zone: a.Zone}
	}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return tcpConn{c.(*net.TCPConn)}, nil
}

// conn is a connection on which a stream is sent.
type conn struct {
	net.Conn
	server  server
	icy     *icyWriter // nil when titles go by the admin interface
	header  int64      // bytes of the request
	written int64      // bytes of the body
	last    frame.Header
	ends    int64 // where in the body the last frame does

	answers chan answer // from the reader, after the verdict; closed when it ends
	reader  sync.WaitGroup
}

// answer is a response of the server on the stream's connection, or what ended it.
type answer struct {
	code   int
	reason string
	header textproto.MIMEHeader
	err    error
}

// refused returns the answer as an error.
func (a answer) refused() error {
	if a.err != nil {
		return a.err
	}
	if location := a.header.Get("Location"); location != "" {
		a.reason = strings.TrimSpace(a.reason + ": it is said to be at " + headerValue(location))
	}
	return &StatusError{Code: a.code, Reason: a.reason, Server: headerValue(a.header.Get("Server"))}
}

// connect opens a connection, asks for the mount and waits for the verdict. No audio is
// sent before.
func (s *Source) connect(ctx context.Context, srv server, h frame.Header) (*conn, error) {
	nc, err := s.dial(ctx, s.Mount.Host, nil)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, server: srv, answers: make(chan answer, 1)}
	// A cancelled context ends what blocks here; later the stream's loop sees to it.
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	mount := s.Mount
	if mount.Bitrate == 0 {
		mount.Bitrate = (h.Bitrate + 500) / 1000
	}
	head := "PUT " + mount.Path + " HTTP/1.1\r\n" +
		mount.headers(mount.authorization(), h.Format.ContentType(), fmt.Sprintf("bitrate=%d;samplerate=%d;channels=%d", mount.Bitrate, h.SampleRate, h.Channels)) +
		"Expect: 100-continue\r\n"
	if s.Titles == InBand || s.Titles == Auto && srv.icecast {
		c.icy = newICYWriter()
		head += "icy-metaint: " + strconv.Itoa(metaint) + "\r\n"
	}
	head += "\r\n"
	nc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := io.WriteString(nc, head); err != nil {
		nc.Close()
		return nil, fmt.Errorf("sending the request: %w", plain(err))
	}
	c.header = int64(len(head))

	c.reader.Go(c.read)
	if err := c.verdict(ctx); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// verdict waits until the server has said yes or no. 100 alone is a yes of Icecast 2.5
// only: Icecast-KH sends it before it looks at the password.
func (c *conn) verdict(ctx context.Context) error {
	limit := time.NewTimer(answerTimeout)
	defer limit.Stop()
	continued := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			if continued { // a server that says 100 and no more takes the stream
				return nil
			}
			return errSilent
		case a, ok := <-c.answers:
			switch {
			case !ok:
				return errClosed
			case a.err != nil && continued:
				return fmt.Errorf("after 100 Continue: %w", a.err)
			case a.err != nil:
				return a.err
			case a.code == http.StatusContinue:
				continued = true
				v := recognise(http.Header(a.header))
				if v.newer || c.server.newer {
					return nil
				}
				limit.Reset(finalTimeout)
			case a.code >= 300:
				return a.refused()
			case a.code >= 200:
				if recognise(http.Header(a.header)).proxy {
					return errProxy
				}
				return nil
			}
		}
	}
}

// read reads the server's answers for as long as the connection lives, while audio is
// written: a refusal or the end of the stream comes at any time.
func (c *conn) read() {
	defer close(c.answers)
	r := bufio.NewReaderSize(io.LimitReader(c.Conn, 64<<10), 4096)
	for first := true; ; first = false {
		a := readAnswer(r, c.Conn)
		switch ended := errors.Is(a.err, io.EOF); {
		case first && (ended || isReset(a.err)):
			a.err = errClosed
		case ended:
			a.err = errEnded
		}
		c.answers <- a
		if a.err != nil {
			return
		}
	}
}

// readAnswer reads one response: its head and, of a refusal, the text in its body.
func readAnswer(r *bufio.Reader, c net.Conn) answer {
	tp := textproto.NewReader(r)
	line, err := tp.ReadLine()
	if err != nil {
		return answer{err: plain(err)}
	}
	proto, rest, _ := strings.Cut(line, " ")
	status, reason, _ := strings.Cut(rest, " ")
	code, err := strconv.Atoi(status)
	if err != nil || !strings.HasPrefix(proto, "HTTP/") || code < 100 || code > 999 {
		return answer{err: fmt.Errorf("this is no HTTP server: it says %q", cut(line, 60))}
	}
	header, err := tp.ReadMIMEHeader()
	if err != nil && len(header) == 0 && code < 300 {
		return answer{err: plain(err)}
	}
	a := answer{code: code, reason: headerValue(reason), header: header}
	n, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	switch {
	case code < 300 && err == nil:
		io.CopyN(io.Discard, r, n)
	case code >= 300:
		// Some servers leave the connection open after the body.
		c.SetReadDeadline(time.Now().Add(finalTimeout))
		if err != nil || n > 4096 {
			n = 4096
		}
		body, _ := io.ReadAll(io.LimitReader(r, n))
		if text := message(string(body)); text != "" {
			a.reason = text
		}
	}
	return a
}

// message returns the text of a refusal's body, without its markup, in one line.
func message(body string) string {
	var b strings.Builder
	depth := 0
	for _, c := range body {
		switch {
		case c == '<':
			depth++
			b.WriteByte(' ')
		case c == '>' && depth > 0:
			depth--
		case depth == 0 && c >= 0x20 && c != 0x7F:
			b.WriteRune(c)
		}
	}
	words := strings.Fields(strings.ToValidUTF8(b.String(), ""))
	// Icecast's pages say everything twice: "Error 401", "401", then the reason.
	for len(words) > 0 && (strings.EqualFold(words[0], "error") || words[0] == "-" || len(words[0]) == 3 && strings.Trim(words[0], "0123456789") == "") {
		words = words[1:]
	}
	return cut(strings.Join(words, " "), 200)
}

// write sends body bytes.
func (c *conn) write(b []byte) error {
	c.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err := c.Write(b)
	c.written += int64(n)
	return plain(err)
}

// acked returns how many bytes of the body have reached the server, in whole blocks: an
// incomplete one never reaches its listeners. Ok is false when that is not known.
func (c *conn) acked() (n int64, ok bool) {
	if a, is := c.Conn.(interface{ BytesAcked() (int64, bool) }); is {
		n, ok = a.BytesAcked()
	}
	n = max(0, n-c.header)
	return n - n%block, ok
}

// finish ends the stream in order: silence that pushes the last frame through the
// server's blocks, then FIN, then the server's own end is waited for.
func (c *conn) finish() {
	if silence := frame.Silence(c.last).Data; len(silence) > 0 {
		var b []byte
		for n := (block - c.written%block) % block; n > 0; n -= int64(len(silence)) {
			if c.icy != nil {
				b = c.icy.append(b, silence, false)
			} else {
				b = append(b, silence...)
			}
		}
		if c.write(b) != nil {
			return
		}
	}
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.SetReadDeadline(time.Now().Add(finalTimeout))
	for range c.answers { // until EOF
	}
}

// close closes the connection and waits for its reader.
func (c *conn) close() {
	c.Close()
	for range c.answers {
	}
	c.reader.Wait()
}

// plain takes the addresses out of a network error: what is said about it names the
// mount already.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op != "dial" {
		return op.Err
	}
	return err
}
