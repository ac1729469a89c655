// Package pushtest is a fake Icecast for tests, in the manner of net/http/httptest: it
// takes source connections, records what they send, and can refuse, break off and stop
// reading.
package pushtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Server is a fake Icecast. Set the fields before the first connection; change them
// later with Set.
type Server struct {
	Password string // of the user "source"; empty takes any

	// Software is what the server calls itself. "Icecast 2.4.4" when empty. It behaves
	// as that does: 2.5 answers OPTIONS and sends 100 alone, 2.4 closes the connection
	// at an OPTIONS and sends 100 and 200, Icecast-KH ("Icecast 2.4.0-kh22") sends 100
	// before it looks at the password. A name that ends in " Allow" is that of something
	// before a 2.5.
	Software string

	// Method is the only one that sources may use, "" for PUT and SOURCE alike. Others are
	// answered 405.
	Method string

	// Mute leaves everything but sources without an answer.
	Mute bool

	// SourceTimeout is how long a source may be silent before it is dropped. Zero is for
	// ever.
	SourceTimeout time.Duration

	// Slow is a pause before each read from a source.
	Slow time.Duration

	// Refuse answers every source with this status and text, 0 does not.
	Refuse     int
	RefuseText string

	// Answer, when set, answers a source in place of the server. It returns false to have
	// the connection closed.
	Answer func(c net.Conn) bool

	mu       sync.Mutex
	open     map[net.Conn]*Stream
	streams  []*Stream
	requests []string // of all kinds, as "PUT /live"
	titles   []string // by /admin/metadata
	frozen   bool
	thaw     *sync.Cond
}

// Stream is what one source connection sent.
type Stream struct {
	Method string // PUT, SOURCE or ICY
	Path   string
	Header textproto.MIMEHeader
	Audio  []byte  // without ICY blocks
	Titles []Title // from ICY blocks
	Raw    int     // bytes of the body, ICY blocks included
	Chunks []int   // their sizes, when the server decodes them
	Ended  bool    // the source ended it in order, with FIN or the last chunk

	Taken time.Time // when the source got its mount
	First time.Time // when its first audio came
	Last  time.Time // when more came last
}

// Title is an ICY title and where in the audio it stood.
type Title struct {
	Offset int
	Text   string
}

// Set changes fields while the server runs.
func (s *Server) Set(change func(*Server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// Serve takes connections from l until it is closed, and waits for their end.
func (s *Server) Serve(l net.Listener) { s.accept(l, s.serve) }

func (s *Server) accept(l net.Listener, serve func(net.Conn)) {
	var running sync.WaitGroup
	for {
		c, err := l.Accept()
		if err != nil {
			break
		}
		running.Go(func() {
			defer c.Close()
			serve(c)
		})
	}
	running.Wait()
}

// Streams returns a copy of what the source connections sent so far.
func (s *Server) Streams() []Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Stream
	for _, st := range s.streams {
		c := *st
		c.Audio = bytes.Clone(st.Audio)
		c.Titles = append([]Title(nil), st.Titles...)
		out = append(out, c)
	}
	return out
}

// Requests returns the requests so far, as "PUT /live".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// AdminTitles returns the titles set by /admin/metadata.
func (s *Server) AdminTitles() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.titles...)
}

// Break closes all source connections: with RST when that is asked for and the
// connections can.
func (s *Server) Break(reset bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		if l, ok := c.(interface{ SetLinger(int) error }); ok && reset {
			l.SetLinger(0)
		}
		c.Close()
	}
}

// breakMount closes the connection of the source that has a mount.
func (s *Server) breakMount(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, st := range s.open {
		if st.Path == path {
			c.Close()
			delete(s.open, c)
		}
	}
}

// Freeze stops or takes up reading what sources send.
func (s *Server) Freeze(frozen bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = frozen
	if s.thaw != nil {
		s.thaw.Broadcast()
	}
}

func (s *Server) software() string {
	if s.Software == "" {
		return "Icecast 2.4.4"
	}
	return s.Software
}

func (s *Server) serve(c net.Conn) {
	br := bufio.NewReader(c)
	tp := textproto.NewReader(br)
	line, err := tp.ReadLine()
	if err != nil {
		return
	}
	header, err := tp.ReadMIMEHeader()
	if err != nil {
		return
	}
	method, target, _ := strings.Cut(line, " ")
	target, _, _ = strings.Cut(target, " ")
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, method+" "+u.Path)
	software, password, only, mute := s.software(), s.Password, s.Method, s.Mute
	s.mu.Unlock()
	newer := strings.HasPrefix(software, "Icecast 2.5") || strings.HasSuffix(software, " Allow")
	req := http.Request{Header: http.Header(header)}
	_, given, _ := req.BasicAuth()
	denied := password != "" && given != password
	source := method == http.MethodPut || method == "SOURCE"
	// What only a source of the mount is answered, and that changes nothing.
	question := method == http.MethodGet && (u.Path == "/admin/updatemetadata" || u.Path == "/admin/metadata" && !u.Query().Has("mode"))

	reply := func(code int, kind, body string) {
		extra := ""
		if newer {
			extra = "Allow: GET, PUT, OPTIONS, SOURCE\r\n"
		}
		fmt.Fprintf(c, "HTTP/1.0 %d %s\r\nServer: %s\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			code, http.StatusText(code), software, extra, kind, len(body), body)
	}
	page := func(code int, text string) {
		reply(code, "text/html", fmt.Sprintf("<html><head><title>Error %d</title></head><body><b>%d - %s</b></body></html>\r\n", code, code, text))
	}
	switch {
	case mute && !source:
		io.Copy(io.Discard, c)
	case method == http.MethodOptions && newer:
		reply(http.StatusNoContent, "text/plain", "")
	case method == http.MethodOptions: // closed without a word
	case method == http.MethodGet && u.Path == "/status-json.xsl":
		source := ""
		if mount := u.Query().Get("mount"); s.taken(mount) {
			source = fmt.Sprintf(`,"source":{"listenurl":%q}`, "http://localhost:8000"+mount)
		}
		reply(http.StatusOK, "application/json", fmt.Sprintf(`{"icestats":{"server_id":%q%s}}`, software, source))
	case method == http.MethodGet && u.Path == "/admin/metadata" && denied:
		page(http.StatusUnauthorized, "You need to authenticate")
	case question && denied:
		page(http.StatusUnauthorized, "You need to authenticate")
	case question && !s.taken(u.Query().Get("mount")) && newer:
		page(http.StatusNotFound, "Source does not exist")
	case question && !s.taken(u.Query().Get("mount")):
		page(http.StatusBadRequest, "Source does not exist")
	case question && u.Path == "/admin/updatemetadata":
		reply(http.StatusOK, "text/xml", "<?xml version=\"1.0\"?>\n<icestats><source mount=\"/live\"/></icestats>\n")
	case question && !strings.Contains(software, "-kh"): // which does without a mode
		page(http.StatusBadRequest, "Missing parameter")
	case method == http.MethodGet && u.Path == "/admin/metadata":
		s.mu.Lock()
		s.titles = append(s.titles, u.Query().Get("song"))
		s.mu.Unlock()
		reply(http.StatusOK, "text/xml", "<?xml version=\"1.0\"?>\n<iceresponse><message>Metadata update successful</message><return>1</return></iceresponse>\n")
	case method == http.MethodGet && u.Path == "/admin.cgi" && !newer && u.Query().Get("pass") == password:
		s.mu.Lock()
		s.titles = append(s.titles, u.Query().Get("song"))
		s.mu.Unlock()
		reply(http.StatusOK, "text/html", "<html><body>Metadata update successful</body></html>")
	case method == http.MethodGet && u.Path == "/admin/killsource" && denied:
		page(http.StatusUnauthorized, "You need to authenticate")
	case method == http.MethodGet && u.Path == "/admin/killsource":
		s.breakMount(u.Query().Get("mount"))
		reply(http.StatusOK, "text/xml", "<?xml version=\"1.0\"?>\n<iceresponse><message>Source Removed</message><return>1</return></iceresponse>\n")
	case source && only != "" && method != only:
		page(http.StatusMethodNotAllowed, "Method not allowed")
	case source:
		s.mu.Lock()
		refuse, text, answer := s.Refuse, s.RefuseText, s.Answer
		s.mu.Unlock()
		st := &Stream{Method: method, Path: u.Path, Header: header}
		if answer != nil {
			if !answer(c) {
				return
			}
			s.take(c, st)
			s.stream(c, st, br)
			return
		}
		kh := strings.Contains(software, "-kh")
		if kh && header.Get("Expect") != "" {
			io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		switch {
		case denied:
			page(http.StatusUnauthorized, "You need to authenticate")
			return
		case refuse != 0:
			page(refuse, text)
			return
		case !s.take(c, st) && newer:
			page(http.StatusConflict, "Mountpoint in use")
			return
		case !s.has(c):
			page(http.StatusForbidden, "Mountpoint in use")
			return
		}
		body := io.Reader(br)
		switch {
		case newer && method == "SOURCE":
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nServer: %s\r\nContent-Length: 0\r\n\r\n", software)
		case newer && header.Get("Expect") == "": // it is silent, as behind a proxy
		case newer:
			fmt.Fprintf(c, "HTTP/1.1 100 Continue\r\nServer: %s\r\nAllow: GET, PUT, OPTIONS, SOURCE\r\nContent-Length: 0\r\n\r\n", software)
		case kh:
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nServer: %s\r\nContent-Length: 0\r\n\r\n", software)
		case header.Get("Expect") != "":
			io.WriteString(c, "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\nHTTP/1.0 200 OK\r\n\r\n")
		default:
			io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n")
		}
		if newer && strings.EqualFold(header.Get("Transfer-Encoding"), "chunked") {
			body = &chunks{r: br, each: func(n int) {
				s.mu.Lock()
				st.Chunks = append(st.Chunks, n)
				s.mu.Unlock()
			}}
		}
		s.stream(c, st, body)
		if newer && method == http.MethodPut {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		}
	default:
		page(http.StatusNotFound, "The file you requested could not be found")
	}
}

// ServeICY takes connections of SHOUTcast sources from l until it is closed, and waits
// for their end. Icecast 2.5 says OK2 after the headers, others before.
func (s *Server) ServeICY(l net.Listener) { s.accept(l, s.serveICY) }

func (s *Server) serveICY(c net.Conn) {
	const yes = "OK2\r\nicy-caps:11\r\n\r\n"
	br := bufio.NewReader(c)
	tp := textproto.NewReader(br)
	given, err := tp.ReadLine()
	if err != nil {
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, "ICY")
	newer, right := strings.HasPrefix(s.software(), "Icecast 2.5"), given == s.Password || s.Password == ""
	s.mu.Unlock()
	if !newer {
		if !right {
			return
		}
		io.WriteString(c, yes)
	}
	header, err := tp.ReadMIMEHeader()
	if err != nil || !right {
		return
	}
	st := &Stream{Method: "ICY", Path: "/stream", Header: header}
	if !s.take(c, st) {
		io.WriteString(c, "HTTP/1.0 403 Forbidden\r\n\r\nMountpoint in use")
		return
	}
	if newer {
		io.WriteString(c, yes)
	}
	s.stream(c, st, br)
}

// take gives a connection its mount, unless another has it.
func (s *Server) take(c net.Conn, st *Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.open {
		if other.Path == st.Path {
			return false
		}
	}
	if s.open == nil {
		s.open = map[net.Conn]*Stream{}
	}
	s.open[c] = st
	st.Taken = time.Now()
	s.streams = append(s.streams, st)
	return true
}

// taken reports whether a mount has a source.
func (s *Server) taken(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.open {
		if st.Path == path {
			return true
		}
	}
	return false
}

func (s *Server) has(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[c] != nil
}

// stream records the body of a source's request, which comes from r.
func (s *Server) stream(c net.Conn, st *Stream, r io.Reader) {
	defer func() {
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
	}()
	every, _ := strconv.Atoi(st.Header.Get("Icy-Metaint"))
	body := &counter{r: r}
	left := every
	buf := make([]byte, 4096)
	for {
		s.mu.Lock()
		for s.frozen {
			if s.thaw == nil {
				s.thaw = sync.NewCond(&s.mu)
			}
			s.thaw.Wait()
		}
		slow, timeout := s.Slow, s.SourceTimeout
		s.mu.Unlock()
		if slow > 0 {
			time.Sleep(slow)
		}
		if timeout > 0 {
			c.SetReadDeadline(time.Now().Add(timeout))
		}
		if every > 0 && left == 0 {
			text, err := block(body)
			if err != nil {
				s.end(st, err)
				return
			}
			s.mu.Lock()
			st.Raw = body.n
			if text != "" {
				st.Titles = append(st.Titles, Title{len(st.Audio), text})
			}
			s.mu.Unlock()
			left = every
		}
		p := buf
		if every > 0 {
			p = buf[:min(left, len(buf))]
		}
		n, err := body.Read(p)
		left -= n
		s.mu.Lock()
		if n > 0 {
			st.Last = time.Now()
		}
		if len(st.Audio) == 0 {
			st.First = st.Last
		}
		st.Audio = append(st.Audio, p[:n]...)
		st.Raw = body.n
		s.mu.Unlock()
		if err != nil {
			s.end(st, err)
			return
		}
	}
}

func (s *Server) end(st *Stream, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Ended = errors.Is(err, io.EOF)
}

// block reads one ICY block and returns the title in it.
func block(r io.Reader) (string, error) {
	var n [1]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return "", err
	}
	b := make([]byte, int(n[0])*16)
	if _, err := io.ReadFull(r, b); err != nil || len(b) == 0 {
		return "", err
	}
	text := strings.TrimRight(string(b), "\x00")
	title, ok := strings.CutPrefix(text, "StreamTitle='")
	title, _, ended := strings.Cut(title, "';")
	if !ok || !ended {
		return "", fmt.Errorf("this is no metadata block: %q", text)
	}
	return title, nil
}

// chunks decodes a chunked body as Icecast 2.5.0 does: each time something comes it
// reads at most 1,024 bytes, and hands on at most one chunk of what it has. What is
// left is looked at when more comes. So chunks that are smaller pile up once several
// come together, and their end is never seen.
type chunks struct {
	r    io.Reader
	each func(size int)
	raw  []byte // read, not decoded
	out  []byte // handed on
	left int    // of the chunk that is handed on
	crlf bool   // the end of a chunk is to come
	last bool
}

func (d *chunks) Read(p []byte) (int, error) {
	for len(d.out) == 0 {
		if d.last {
			return 0, io.EOF
		}
		buf := make([]byte, 1024)
		n, err := d.r.Read(buf)
		d.raw = append(d.raw, buf[:n]...)
		if err != nil {
			return 0, err
		}
		if err := d.decode(); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

// decode hands on what there is of one chunk.
func (d *chunks) decode() error {
	if d.crlf && d.left == 0 {
		if len(d.raw) < 2 {
			return nil
		}
		if string(d.raw[:2]) != "\r\n" {
			return fmt.Errorf("a chunk ends with %q", d.raw[:2])
		}
		d.raw, d.crlf = d.raw[2:], false
	}
	if d.left == 0 {
		line, rest, ok := bytes.Cut(d.raw, []byte("\r\n"))
		if !ok {
			return nil
		}
		size, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return fmt.Errorf("a chunk begins with %q", line)
		}
		d.raw = rest
		d.each(int(size))
		d.left, d.crlf, d.last = int(size), size > 0, size == 0
	}
	n := min(len(d.raw), d.left)
	d.out = append(d.out, d.raw[:n]...)
	d.raw, d.left = d.raw[n:], d.left-n
	return nil
}

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// Network is a network in memory for tests in virtual time (testing/synctest), where
// sockets would never be idle. It is a net.Listener; Dial connects to it.
type Network struct {
	mu     sync.Mutex
	closed chan struct{}
	conns  chan net.Conn
	down   bool
	lost   bool // packets are
	open   []*far
}

// NewNetwork returns a network with nothing wrong.
func NewNetwork() *Network {
	return &Network{closed: make(chan struct{}), conns: make(chan net.Conn)}
}

// Down makes Dial refuse connections, or take them again.
func (n *Network) Down(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
}

// Lose makes all packets disappear, or arrive again. Connections that were open then
// stay dead: nothing comes out of them, at neither end, until they are closed there.
func (n *Network) Lose(lost bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lost = lost
	for _, c := range n.open {
		c.lose()
	}
	n.open = nil
}

// Dial connects to the listener.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	down, lost := n.down, n.lost
	n.mu.Unlock()
	switch {
	case down:
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	case lost:
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
	}
	here, there := net.Pipe()
	end := &far{Conn: there, gone: make(chan struct{}), closed: make(chan struct{})}
	select {
	case n.conns <- end:
		n.mu.Lock()
		n.open = append(n.open, end)
		n.mu.Unlock()
		return &Conn{Conn: here}, nil
	case <-n.closed:
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept waits for Dial.
func (n *Network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (n *Network) Close() error {
	close(n.closed)
	return nil
}

// Addr returns an address.
func (n *Network) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8000} }

// Conn is the source's end of a connection. It has no buffer: what has been read by
// the server is what has arrived.
type Conn struct {
	net.Conn
	acked atomic.Int64
}

func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.acked.Add(int64(n))
	return n, err
}

// BytesAcked returns how many bytes the other side has read.
func (c *Conn) BytesAcked() (int64, bool) { return c.acked.Load(), true }

// CloseWrite ends the connection: a pipe has no half of it.
func (c *Conn) CloseWrite() error { return c.Conn.Close() }

// far is the server's end.
type far struct {
	net.Conn
	gone   chan struct{} // closed when the line is
	once   sync.Once
	closed chan struct{}
	ended  sync.Once

	mu       sync.Mutex
	deadline time.Time
}

func (c *far) lose() {
	c.once.Do(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		close(c.gone)
		c.Conn.SetReadDeadline(time.Unix(1, 0)) // ends a Read
	})
}

func (c *far) lost() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

func (c *far) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if c.lost() {
		return nil
	}
	return c.Conn.SetReadDeadline(t)
}

// Read reads what arrives. On a line that is gone that is nothing, not even the end.
func (c *far) Read(p []byte) (int, error) {
	if !c.lost() {
		n, err := c.Conn.Read(p)
		if n > 0 || !c.lost() {
			return n, err
		}
	}
	c.mu.Lock()
	left := time.Until(c.deadline)
	if c.deadline.IsZero() {
		left = time.Hour
	}
	c.mu.Unlock()
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	case <-time.After(left):
		return 0, os.ErrDeadlineExceeded
	}
}

// Write writes into nothing when the line is gone.
func (c *far) Write(p []byte) (int, error) {
	if c.lost() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// Close closes this end. The other does not hear of it when the line is gone.
func (c *far) Close() error {
	c.ended.Do(func() { close(c.closed) })
	if c.lost() {
		return nil
	}
	return c.Conn.Close()
}

// Wait waits until a condition holds, for at most ten seconds.
func Wait(holds func() bool) bool {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return true
		}
	}
	return false
}
