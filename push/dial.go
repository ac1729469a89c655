package push

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sort"
	"sync/atomic"
	"time"

	socks "golang.org/x/net/proxy"

	"icepush/icy"
)

const (
	// dialTimeout bounds each step of a connection: finding the name and connecting, the
	// proxy's answer, the TLS handshake.
	dialTimeout = 10 * time.Second

	// dialAgain is how long to wait for an answer before another connection is begun.
	dialAgain = 800 * time.Millisecond
)

// dial connects to a port of the mount's server, from a local address if given:
// through a proxy where one is set, and encrypted where the mount says so.
func (s *Source) dial(ctx context.Context, address string, local net.Addr) (net.Conn, error) {
	via, err := s.proxy()
	if err != nil {
		return nil, err
	}
	var c net.Conn
	if via == nil {
		c, err = s.dialTCP(ctx, address, local)
	} else {
		c, err = s.dialProxy(ctx, via, address)
	}
	if err != nil || !s.Mount.TLS {
		return c, err
	}
	return s.encrypt(ctx, c)
}

// proxy returns the proxy that stands between us and the server, nil for none.
func (s *Source) proxy() (*url.URL, error) {
	if s.Proxy == nil {
		return nil, nil
	}
	scheme := "http"
	if s.Mount.TLS {
		scheme = "https"
	}
	u, err := s.Proxy(&http.Request{URL: &url.URL{Scheme: scheme, Host: s.Mount.Host}})
	if err != nil {
		return nil, &ProxyError{"", fmt.Errorf("this is not a proxy's URL")} // the error holds the URL, and that a password
	}
	return u, nil
}

// dialTCP connects to an address. A system that gets no answer asks again after 1, 3, 7
// seconds; on a line that is good again only now that is late. So another connection is
// begun every so often, and the first that comes about is taken.
func (s *Source) dialTCP(ctx context.Context, address string, local net.Addr) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	type result struct {
		net.Conn
		error
	}
	results := make(chan result)
	again := time.NewTicker(dialAgain)
	defer again.Stop()
	begin := func() {
		go func() {
			c, err := s.dialOnce(ctx, address, local)
			results <- result{c, err}
		}()
	}
	begin()
	var won result
	for running, over := 1, false; running > 0; {
		select {
		case r := <-results:
			running--
			switch {
			case !over: // an error is an answer, too
				won, over = r, true
				cancel()
			case r.error == nil:
				r.Close()
			}
		case <-again.C:
			if !over {
				running++
				begin()
			}
		}
	}
	return won.Conn, won.error
}

func (s *Source) dialOnce(ctx context.Context, address string, local net.Addr) (net.Conn, error) {
	if s.Dial != nil {
		return s.Dial(ctx, "tcp", address)
	}
	d := net.Dialer{Control: limitUnacked}
	if a, ok := local.(*net.TCPAddr); ok {
		d.LocalAddr = &net.TCPAddr{IP: a.IP, Zone: a.Zone}
	}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return newTCPConn(c.(*net.TCPConn)), nil
}

// dialProxy has a proxy connect us to the server: by CONNECT (RFC 9110, 9.3.6), or as
// SOCKS 5 (RFC 1928) does it.
func (s *Source) dialProxy(ctx context.Context, via *url.URL, address string) (net.Conn, error) {
	name := via.Hostname()
	wrong := func(err error) error { return &ProxyError{name, err} }
	port := map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[via.Scheme]
	if port == "" {
		return nil, wrong(fmt.Errorf("icepush does not know %s:// proxies", via.Scheme))
	}
	if p := via.Port(); p != "" {
		port = p
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if via.Scheme == "socks5" || via.Scheme == "socks5h" {
		var auth *socks.Auth
		if u := via.User; u != nil {
			password, _ := u.Password()
			auth = &socks.Auth{User: u.Username(), Password: password}
		}
		d, err := socks.SOCKS5("tcp", net.JoinHostPort(name, port), auth, dialer{s})
		if err != nil {
			return nil, wrong(err)
		}
		c, err := d.(socks.ContextDialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, wrong(err)
		}
		return newRelayed(c, nil), nil
	}

	c, err := s.dialTCP(ctx, net.JoinHostPort(name, port), nil)
	if err != nil {
		return nil, wrong(err)
	}
	under := c
	stop := context.AfterFunc(ctx, func() { under.Close() })
	defer stop()
	if via.Scheme == "https" {
		c = tls.Client(c, &tls.Config{ServerName: name})
	}
	req := &http.Request{
		Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address,
		Header: http.Header{"User-Agent": {UserAgent}},
	}
	if u := via.User; u != nil {
		password, _ := u.Password()
		req.Header.Set("Proxy-Authorization", basic(u.Username(), password))
	}
	r := bufio.NewReader(c)
	err = req.Write(c)
	var resp *http.Response
	if err == nil {
		resp, err = http.ReadResponse(r, req)
	}
	switch {
	case ctx.Err() != nil:
		err = errors.New("it does not answer")
	case err == nil && resp.StatusCode != http.StatusOK:
		err = &StatusError{Code: resp.StatusCode, Reason: http.StatusText(resp.StatusCode), Server: icy.HeaderValue(resp.Header.Get("Server"))}
	}
	if err != nil {
		c.Close()
		return nil, wrong(plain(err))
	}
	return newRelayed(c, r), nil
}

// dialer is how a Source reaches a SOCKS proxy.
type dialer struct{ *Source }

func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

func (d dialer) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	return d.dialTCP(ctx, address, nil)
}

// relayed is a connection through a proxy.
type relayed struct {
	net.Conn
	r      *bufio.Reader // nil where the proxy's answer was read to its last byte
	before int64         // bytes written before
}

// newRelayed takes over a connection on which the proxy has answered: it has
// acknowledged what it was asked then.
func newRelayed(c net.Conn, r *bufio.Reader) *relayed {
	relayed := &relayed{Conn: c, r: r}
	if under, ok := c.(ackCounter); ok {
		relayed.before, _ = under.BytesAcked()
	}
	return relayed
}

// NetConn returns the connection to the proxy.
func (c *relayed) NetConn() net.Conn { return c.Conn }

func (c *relayed) Read(p []byte) (int, error) {
	if c.r != nil {
		return c.r.Read(p)
	}
	return c.Conn.Read(p)
}

// BytesAcked returns how many bytes the proxy's machine has: the server's has no more.
func (c *relayed) BytesAcked() (int64, bool) {
	if under, ok := c.Conn.(ackCounter); ok {
		n, ok := under.BytesAcked()
		return max(0, n-c.before), ok
	}
	return 0, false
}

func (c *relayed) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// encrypt makes a TLS handshake on a connection and takes it over.
func (s *Source) encrypt(ctx context.Context, c net.Conn) (net.Conn, error) {
	config := &tls.Config{}
	if s.TLS != nil {
		config = s.TLS.Clone()
	}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(s.Mount.Host)
	}
	config.DynamicRecordSizingDisabled = true // one record for each Write
	counted := &countedConn{Conn: c}
	t := &tlsConn{Conn: tls.Client(counted, config), under: counted}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		switch err = plain(err); {
		case ctx.Err() != nil:
			return nil, errHandshake
		case errors.Is(err, io.EOF) || isReset(err):
			return nil, errClosed
		case errors.As(err, new(*TLSError)):
			return nil, err
		}
		return nil, &TLSError{err}
	}
	return t, nil
}

// tlsConn is an encrypted connection. It writes records of at most one block: of a
// longer one Icecast leaves the rest in its TLS library until the next comes.
type tlsConn struct {
	*tls.Conn
	under *countedConn

	written int64  // bytes before encryption
	records []mark // the last ones
}

// maxRecords is how many records are remembered that have arrived: more than fit into
// the room of a server that does not read.
const maxRecords = 1024

// watcher is a connection that can tell whether the program at the other end reads.
type watcher interface {
	Doubt() time.Duration
	Settle(reads bool)
	Stopped() bool
}

// watched returns the connection under c that can, or nil.
func watched(c net.Conn) watcher {
	for {
		if w, ok := c.(watcher); ok {
			return w
		}
		over, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = over.NetConn()
	}
}

// mark is where a record ends, before and after encryption.
type mark struct{ plain, wire int64 }

// countedConn counts what is written to a connection.
type countedConn struct {
	net.Conn
	written atomic.Int64
}

// NetConn returns the connection under this one, as tls.Conn has it.
func (c *countedConn) NetConn() net.Conn { return c.Conn }

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	return n, err
}

func (c *tlsConn) Write(b []byte) (n int, err error) {
	_, counts := c.under.Conn.(ackCounter)
	for len(b) > 0 && err == nil {
		var written int
		written, err = c.Conn.Write(b[:min(len(b), block)])
		n += written
		b = b[written:]
		c.written += int64(written)
		if counts {
			c.records = append(c.records, mark{c.written, c.under.written.Load()})
		}
	}
	return n, err
}

// ackCounter is a connection that knows how much of what was written has arrived.
type ackCounter interface{ BytesAcked() (int64, bool) }

// BytesAcked returns how many bytes have arrived, in whole records.
func (c *tlsConn) BytesAcked() (int64, bool) {
	under, ok := c.under.Conn.(ackCounter)
	if !ok {
		return 0, false
	}
	wire, ok := under.BytesAcked()
	if !ok {
		c.records = nil
		return 0, false
	}
	n := sort.Search(len(c.records), func(i int) bool { return c.records[i].wire > wire })
	if n == 0 {
		return 0, ok
	}
	acked := c.records[n-1].plain
	if keep := n - maxRecords; keep > 0 { // what has arrived may turn out not to have been read
		c.records = c.records[keep:]
	}
	return acked, ok
}

// CloseWrite ends the stream by FIN alone. Icecast 2.4 reads nothing again and again from
// a connection that TLS has ended (RFC 8446, 6.1), and never frees its mount.
func (c *tlsConn) CloseWrite() error {
	if half, ok := c.under.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close closes the connection, as CloseWrite without a word.
func (c *tlsConn) Close() error { return c.under.Close() }
