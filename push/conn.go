package push

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"icepush/frame"
	"icepush/icy"
)

const (
	answerTimeout = 10 * time.Second // for the first answer to a request for the mount
	finalTimeout  = 2 * time.Second  // for the final status after a 100, and for EOF at the end
	proxyTimeout  = time.Second / 2  // for a refusal that comes through a proxy behind its own 100
	writeTimeout  = 10 * time.Second

	// block is what Icecast 2.4 and 2.5 read at a time. An incomplete one at the end of
	// the stream is lost.
	block = 1400

	// maxChunk is the most audio in one chunk: whole blocks, for the decoder of Icecast
	// 2.5 gets stuck on chunks that are smaller than one.
	maxChunk = 11 * block
)

// conn is a connection on which a stream is sent.
type conn struct {
	net.Conn
	server  server
	relayed bool       // by a proxy of ours
	ogg     bool       // titles are in the comments
	icy     *icyWriter // nil when titles are not in ICY blocks
	chain   frame.Chain
	last    frame.Frame
	ends    int64 // where in the body the last frame does

	out     int64 // bytes of the connection
	header  int64 // of them, before the body
	written int64 // bytes of the body
	sent    int64 // of them, without those held
	counted int64 // of out, in the account

	// Encrypted or in chunks, the body goes in whole blocks; what is left is held.
	blocks bool
	held   []byte
	rest   []byte // what could not be written when the server had stopped reading

	chunked bool
	framing int64   // bytes of the chunks' own so far
	chunks  []chunk // the last ones

	answers chan answer // from the reader, after the verdict; closed when it ends
	reader  sync.WaitGroup
}

// chunk is where the audio of a chunk begins, in the body and among all bytes of the
// connection.
type chunk struct{ body, wire int64 }

// maxChunks is how many chunks are remembered that have arrived; as maxRecords.
const maxChunks = 1024

// answer is a response of the server on the stream's connection, or what ended it.
type answer struct {
	code   int
	reason string
	header textproto.MIMEHeader
	err    error
}

// refused returns the answer as an error. What the server is called it may have said
// before: Icecast-KH is silent about it in a refusal.
func (a answer) refused(srv server) error {
	if a.err != nil {
		return a.err
	}
	if location := a.header.Get("Location"); location != "" {
		a.reason = strings.TrimSpace(a.reason + ": it is said to be at " + cut(icy.HeaderValue(location), 200))
	}
	return &StatusError{Code: a.code, Reason: a.reason, Server: cut(cmp.Or(icy.HeaderValue(a.header.Get("Server")), srv.software), 100)}
}

// connect opens a connection, asks for the mount and waits for the verdict. No audio is
// sent before.
func (s *Source) connect(ctx context.Context, srv server, how Protocol, h frame.Header) (*conn, error) {
	if how == ICY {
		return s.connectICY(ctx, srv, h)
	}
	nc, err := s.dial(ctx, s.Mount.Host, nil)
	if err != nil {
		return nil, err
	}
	c := s.newConn(nc, srv)
	s.shape(c, how, h.Format)
	// A cancelled context ends what blocks here; later the stream's loop sees to it.
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()

	if err := c.send(s.head(c, how, h)); err != nil {
		nc.Close()
		return nil, err
	}
	c.reader.Go(func() { c.read(answersOn(nc), true) })
	if err := c.verdict(ctx, s.Framing == AnyFraming && !c.chunked); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// shape decides how a stream goes on a connection.
func (s *Source) shape(c *conn, how Protocol, format frame.Format) {
	c.chunked = how == PUT && (s.Framing == Chunked || s.Framing == AnyFraming && c.server.chunked)
	c.blocks = c.chunked || s.Mount.TLS
	if c.ogg = format.Ogg(); !c.ogg && (s.Titles == InBand || s.Titles == AnyTitles && c.server.icecast) {
		c.icy = newICYWriter()
	}
}

func (s *Source) newConn(nc net.Conn, srv server) *conn {
	via, _ := s.proxy()
	return &conn{Conn: nc, server: srv, relayed: via != nil, answers: make(chan answer, 1)}
}

// head returns the head of the request for the mount. Legacy SOURCE is a verb of
// Icecast's own that is answered at once, and whose body never has a framing.
func (s *Source) head(c *conn, how Protocol, h frame.Header) string {
	var b strings.Builder
	if how == SOURCE {
		b.WriteString("SOURCE " + s.Mount.Path + " HTTP/1.0\r\n")
	} else {
		b.WriteString("PUT " + s.Mount.Path + " HTTP/1.1\r\n")
	}
	mount := s.Mount.described(h)
	b.WriteString(mount.headers(mount.authorization(), h.Format.ContentType(), audioInfo(mount, h)))
	if how == PUT {
		b.WriteString("Expect: 100-continue\r\n")
	}
	if c.chunked {
		b.WriteString("Transfer-Encoding: chunked\r\n")
	}
	if c.icy != nil {
		b.WriteString("icy-metaint: " + strconv.Itoa(metaint) + "\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

// audioInfo returns what ice-audio-info says, as far as it is known.
func audioInfo(m Mount, h frame.Header) string {
	var parts []string
	add := func(name string, value int) {
		if value > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", name, value))
		}
	}
	add("bitrate", m.Bitrate)
	add("samplerate", h.SampleRate)
	add("channels", h.Channels)
	return strings.Join(parts, ";")
}

// framed says how the body is delimited on this connection.
func (c *conn) framed() string {
	if c.chunked {
		return "chunked"
	}
	return "identity"
}

// send writes what comes before the body.
func (c *conn) send(head string) error {
	c.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err := io.WriteString(c.Conn, head)
	c.out += int64(n)
	c.header = c.out
	if err != nil {
		return fmt.Errorf("sending the request: %w", plain(err))
	}
	return nil
}

// verdict waits until the server has said yes or no. 100 alone is a yes of Icecast 2.5
// only: Icecast-KH sends it before it looks at the password, and a proxy sends its own.
// Bare says that audio will go without a framing, which proxies swallow.
func (c *conn) verdict(ctx context.Context, bare bool) error {
	limit := time.NewTimer(answerTimeout)
	defer limit.Stop()
	continued := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			switch {
			case !continued:
				return errSilent
			case c.server.unknown && bare:
				return errHalf
			}
			return nil // a server that says 100 and no more takes the stream
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
				if recognise(http.Header(a.header)).newer || c.server.newer && !c.server.proxy {
					return nil
				}
				if c.server.newer {
					limit.Reset(proxyTimeout)
				} else {
					limit.Reset(finalTimeout)
				}
			case a.code >= 300:
				return a.refused(c.server)
			case a.code >= 200:
				if bare && (recognise(http.Header(a.header)).proxy || a.header.Get("Transfer-Encoding") != "") {
					return errProxy
				}
				return nil
			}
		}
	}
}

// answersOn reads what a server answers on a connection, 64 kB at most.
func answersOn(c net.Conn) *bufio.Reader {
	return bufio.NewReader(io.LimitReader(c, 64<<10))
}

// read reads the server's answers for as long as the connection lives, while audio is
// written: a refusal or the end of the stream comes at any time.
// First says that there was no answer yet.
func (c *conn) read(r *bufio.Reader, first bool) {
	defer close(c.answers)
	for ; ; first = false {
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
	a := answer{code: code, reason: cut(icy.HeaderValue(reason), 200), header: header}
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

// write sends body bytes, in whole blocks where that is how they go.
func (c *conn) write(b []byte) error {
	c.written += int64(len(b))
	if !c.blocks {
		return c.body(b)
	}
	c.held = append(c.held, b...)
	whole := len(c.held) - len(c.held)%block
	err := c.body(c.held[:whole])
	c.held = append(c.held[:0], c.held[whole:]...)
	return err
}

// body sends the next bytes of the body.
func (c *conn) body(b []byte) error {
	if !c.chunked {
		c.sent += int64(len(b))
		return c.put(b)
	}
	var framed []byte
	for len(b) > 0 {
		part := b[:min(len(b), maxChunk)]
		b = b[len(part):]
		head := fmt.Sprintf("%x\r\n", len(part)) // RFC 9112, 7.1
		c.chunks = append(c.chunks, chunk{c.sent, c.header + c.sent + c.framing + int64(len(head))})
		framed = append(append(append(framed, head...), part...), "\r\n"...)
		c.sent += int64(len(part))
		c.framing += int64(len(head)) + 2
	}
	return c.put(framed)
}

// put writes bytes as they are, behind what could not be written before.
func (c *conn) put(b []byte) error {
	if len(c.rest) > 0 {
		b = append(c.rest, b...)
		c.rest = nil
	}
	if len(b) == 0 {
		return nil
	}
	c.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err := c.Write(b)
	c.out += int64(n)
	if errors.Is(err, errStuck) {
		c.rest = slices.Clone(b[n:])
	}
	return plain(err)
}

// resumable reports whether a connection that was stuck can be used again. An encrypted
// one cannot where a write has failed.
func (c *conn) resumable() bool {
	_, encrypted := c.Conn.(*tlsConn)
	return !encrypted || len(c.rest) == 0
}

// moves reports whether a server that had stopped reading reads again.
func (c *conn) moves() bool {
	w := watched(c.Conn)
	if w == nil || w.Doubt() > time.Second {
		return false
	}
	w.Settle(true)
	return true
}

const (
	// unsureRead is how much of what a server's machine has its program may not have
	// read, or not passed on, when it stops or dies: what it got at one time, which is a
	// group of frames.
	unsureRead = 400 * time.Millisecond

	// unsureUnknown is the same where there is no telling what has arrived.
	unsureUnknown = time.Second
)

// acked returns how many bytes of the body have reached the server. Where that is not
// known, for the system does not tell, something stands in between, or the server has
// stopped, it is the most it can be, and unsure is how much audio of that may be lost
// all the same.
func (c *conn) acked() (n int64, unsure time.Duration) {
	n, unsure = c.out, unsureUnknown
	if a, is := c.Conn.(ackCounter); is {
		if got, ok := a.BytesAcked(); ok {
			n = got
			if !c.relayed && !c.server.proxy {
				unsure = 0
			}
		}
	}
	if w := watched(c.Conn); w != nil && w.Stopped() {
		unsure = max(unsure, unsureRead)
	}
	if c.chunked {
		return c.unframed(n), unsure
	}
	return max(0, n-c.header), unsure
}

// unframed returns how many bytes of the body are in the first n of the connection.
func (c *conn) unframed(n int64) int64 {
	i := sort.Search(len(c.chunks), func(i int) bool { return c.chunks[i].wire > n })
	if i == 0 {
		return 0
	}
	end := c.sent
	if i < len(c.chunks) {
		end = c.chunks[i].body
	}
	in := c.chunks[i-1]
	if keep := i - maxChunks; keep > 0 {
		c.chunks = c.chunks[keep:]
	}
	return min(end, in.body+n-in.wire)
}

// append appends a frame to b as it goes on this connection. Title is that of its track.
func (c *conn) append(b []byte, f frame.Frame, title string) []byte {
	if c.icy != nil {
		return c.icy.append(b, f.Data, f.Ending)
	}
	return c.chain.Append(b, f, title)
}

// finish ends the stream in order: silence that pushes the last frame through the
// server's blocks, or the end of an Ogg stream, which is read in pages; then the end of
// the body, and the server's own end is waited for.
func (c *conn) finish() {
	var b []byte
	if c.ogg {
		b = c.chain.End(b)
	} else if n := int((block - c.written%block) % block); n > 0 {
		like := c.last
		if like.Format == frame.AAC { // of any length: none of it has to be lost
			if n < minSilence {
				n += block
			}
			like.Size = c.audioIn(n)
		}
		for silence, ok := frame.Silence(like); ok && n > 0; n -= silence.Size {
			b = c.append(b, silence, "")
		}
	}
	if c.write(b) != nil {
		return
	}
	if c.sent < c.ends && c.body(c.held) != nil {
		return
	}
	c.SetReadDeadline(time.Now().Add(finalTimeout))
	if c.chunked { // a proxy may take FIN for a client that has gone, so its answer comes first
		if c.put([]byte("0\r\n\r\n")) != nil {
			return
		}
		if a, ok := <-c.answers; !ok || a.err != nil {
			return
		}
	}
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	for range c.answers { // until EOF
	}
}

// minSilence is more than the least that a silent frame of AAC has, in bytes.
const minSilence = 100

// audioIn returns how much audio makes n bytes of the body.
func (c *conn) audioIn(n int) int {
	if c.icy == nil {
		return n
	}
	return n - c.icy.marks(n)
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
	switch {
	case !errors.As(err, &op) || op.Op == "dial":
		return err
	case op.Op == "remote error": // of TLS: the server does not like our side of it
		return &TLSError{op.Err}
	}
	return op.Err
}
