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

	// Refuse answers every PUT with this status and text, 0 does not.
	Refuse     int
	RefuseText string

	// Answer, when set, answers a PUT in place of the server. It returns false to have
	// the connection closed.
	Answer func(c net.Conn) bool

	mu       sync.Mutex
	open     map[net.Conn]*Stream
	streams  []*Stream
	requests []string // of all kinds, as "PUT /live"
	titles   []string // by /admin/metadata
	frozen   bool
	thaw     *sync.Cond
	running  sync.WaitGroup
}

// Stream is what one source connection sent.
type Stream struct {
	Path   string
	Header textproto.MIMEHeader
	Audio  []byte  // without ICY blocks
	Titles []Title // from ICY blocks
	Raw    int     // bytes of the body, ICY blocks included
	Ended  bool    // the source ended it in order, with FIN
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
func (s *Server) Serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			break
		}
		s.running.Go(func() {
			defer c.Close()
			s.serve(c)
		})
	}
	s.running.Wait()
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
	software, password := s.software(), s.Password
	s.mu.Unlock()
	newer := strings.HasPrefix(software, "Icecast 2.5") || strings.HasSuffix(software, " Allow")
	req := http.Request{Header: http.Header(header)}
	_, given, _ := req.BasicAuth()
	denied := password != "" && given != password

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
	case method == http.MethodOptions && newer:
		reply(http.StatusNoContent, "text/plain", "")
	case method == http.MethodOptions: // closed without a word
	case method == http.MethodGet && u.Path == "/status-json.xsl":
		reply(http.StatusOK, "application/json", fmt.Sprintf(`{"icestats":{"server_id":%q}}`, software))
	case method == http.MethodGet && u.Path == "/admin/metadata" && denied:
		page(http.StatusUnauthorized, "You need to authenticate")
	case method == http.MethodGet && u.Path == "/admin/metadata":
		s.mu.Lock()
		s.titles = append(s.titles, u.Query().Get("song"))
		s.mu.Unlock()
		reply(http.StatusOK, "text/xml", "<?xml version=\"1.0\"?>\n<iceresponse><message>Metadata update successful</message><return>1</return></iceresponse>\n")
	case method == http.MethodPut:
		s.mu.Lock()
		refuse, text, answer := s.Refuse, s.RefuseText, s.Answer
		s.mu.Unlock()
		if answer != nil {
			if !answer(c) {
				return
			}
			s.stream(c, br, u.Path, header)
			return
		}
		if strings.Contains(software, "-kh") {
			io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		switch {
		case denied:
			page(http.StatusUnauthorized, "You need to authenticate")
		case refuse != 0:
			page(refuse, text)
		case newer:
			fmt.Fprintf(c, "HTTP/1.1 100 Continue\r\nServer: %s\r\nAllow: GET, PUT, OPTIONS, SOURCE\r\nContent-Length: 0\r\n\r\n", software)
			s.stream(c, br, u.Path, header)
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		case strings.Contains(software, "-kh"):
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nServer: %s\r\nContent-Length: 0\r\n\r\n", software)
			s.stream(c, br, u.Path, header)
		default:
			io.WriteString(c, "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\nHTTP/1.0 200 OK\r\n\r\n")
			s.stream(c, br, u.Path, header)
		}
	default:
		page(http.StatusNotFound, "The file you requested could not be found")
	}
}

// stream records the body of a PUT.
func (s *Server) stream(c net.Conn, r io.Reader, path string, header textproto.MIMEHeader) {
	st := &Stream{Path: path, Header: header}
	s.mu.Lock()
	if s.open == nil {
		s.open = map[net.Conn]*Stream{}
	}
	s.open[c] = st
	s.streams = append(s.streams, st)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
	}()

	every, _ := strconv.Atoi(header.Get("Icy-Metaint"))
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
		s.mu.Unlock()
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

// Dial connects to the listener.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	down := n.down
	n.mu.Unlock()
	if down {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	here, there := net.Pipe()
	acked := &atomic.Int64{}
	select {
	case n.conns <- &counting{there, acked}:
		return &Conn{here, acked}, nil
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
	acked *atomic.Int64
}

// BytesAcked returns how many bytes the other side has read.
func (c *Conn) BytesAcked() (int64, bool) { return c.acked.Load(), true }

// CloseWrite ends the connection: a pipe has no half of it.
func (c *Conn) CloseWrite() error { return c.Conn.Close() }

// counting is the server's end.
type counting struct {
	net.Conn
	read *atomic.Int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
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
