package push

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"icepush/frame"
	"icepush/icy"
)

// The protocol of SHOUTcast 1, which Icecast speaks on the port after a listen-socket
// that has a shoutcast-mount. It has no standard. The source sends the password, the
// server OK2, the source headers of its own kind, and then audio. What goes with the
// password in one packet is not looked at before more comes, so there are two. Icecast
// 2.5 says OK2 only after the headers.

const (
	passwordTimeout = time.Second     // for OK2 after the password
	headersTimeout  = time.Second / 2 // for a refusal after the headers

	// defaultICYMount is where Icecast puts such a stream when its shoutcast-mount has no
	// name. SHOUTcast knows no mounts.
	defaultICYMount = "/stream"
)

// connectICY opens a connection as a SHOUTcast source.
func (s *Source) connectICY(ctx context.Context, srv server, h frame.Header) (*conn, error) {
	if h.Format.Ogg() {
		return nil, errNoOgg
	}
	address, err := s.sourceAddress()
	if err != nil {
		return nil, err
	}
	nc, err := s.dial(ctx, address, nil)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	c := s.newConn(nc, srv)
	r := answersOn(nc)
	if err := s.introduce(c, r, h); err != nil {
		nc.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	nc.SetReadDeadline(time.Time{})
	c.reader.Go(func() { c.read(r, false) })
	return c, nil
}

// sourceAddress returns where sources connect: with ICY that is the port after the
// listeners'.
func (s *Source) sourceAddress() (string, error) {
	if s.Mount.Protocol != ICY {
		return s.Mount.Host, nil
	}
	host, port, err := net.SplitHostPort(s.Mount.Host)
	if err != nil {
		return "", err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0xFFFF {
		return "", fmt.Errorf("port %s: there is none after it", port)
	}
	return net.JoinHostPort(host, strconv.FormatUint(n+1, 10)), nil
}

// introduce sends password and headers and looks for one OK2 in all.
func (s *Source) introduce(c *conn, r *bufio.Reader, h frame.Header) error {
	if err := c.send(string(s.Mount.Password) + "\r\n"); err != nil {
		return err
	}
	c.SetReadDeadline(time.Now().Add(passwordTimeout))
	ok, err := c.readOK2(r, false)
	if err != nil {
		return err
	}
	mount := s.Mount.described(h)
	var b strings.Builder
	line := func(name, value string) {
		if value = icy.HeaderValue(value); value != "" {
			fmt.Fprintf(&b, "%s:%s\r\n", name, value)
		}
	}
	line("content-type", h.Format.ContentType())
	line("icy-name", mount.Name)
	line("icy-genre", mount.Genre)
	line("icy-url", mount.URL)
	line("icy-pub", mount.public())
	if mount.Bitrate > 0 {
		line("icy-br", strconv.Itoa(mount.Bitrate))
	}
	if err := c.send(b.String() + "\r\n"); err != nil {
		return err
	}
	c.SetReadDeadline(time.Now().Add(headersTimeout))
	switch ok, err = c.readOK2(r, ok); {
	case err != nil:
		return err
	case !ok:
		return errNotICY
	}
	return nil
}

// readOK2 reads what the server says to a password or to headers: OK2 and its
// capabilities, a refusal as HTTP has it or in SHOUTcast's words, or nothing in time.
// Had says that OK2 has come before.
func (c *conn) readOK2(r *bufio.Reader, had bool) (ok bool, err error) {
	for ok = had; ; {
		if b, _ := r.Peek(5); string(b) == "HTTP/" {
			return ok, readAnswer(r, c).refused(c.server)
		}
		line, err := r.ReadSlice('\n')
		text := strings.TrimSpace(string(line))
		switch {
		case isTimeout(err):
			return ok, nil
		case errors.Is(err, io.EOF) || isReset(err):
			if ok {
				return ok, errClosed
			}
			return ok, errPassword
		case err != nil:
			return ok, plain(err)
		case strings.HasPrefix(text, "OK2"):
			ok = true
		case strings.Contains(strings.ToLower(text), "invalid password"):
			return ok, errPassword
		case text == "" && ok: // behind the capabilities
			return ok, nil
		case !ok:
			return ok, fmt.Errorf("this is no SHOUTcast server: it says %q", cut(text, 60))
		}
	}
}

var (
	// errPassword is how a SHOUTcast server, or Icecast as one, refuses: it hangs up.
	errPassword = errors.New("the server hung up at the password")

	// errNoOgg is a format the protocol was not made for.
	errNoOgg = errors.New("SHOUTcast takes MP3 and AAC, but no Ogg")

	// errNotICY is a server that says nothing to a password.
	errNotICY = errors.New("the server does not answer as SHOUTcast does")
)
