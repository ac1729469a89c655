package push

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"icepush/icy"
)

// preflightTimeout bounds each question asked before the first connection.
const preflightTimeout = 3 * time.Second

// server is what is known of a server from asking it before the stream.
type server struct {
	software string // its Server header, or what it calls itself
	icecast  bool   // it takes ICY blocks out of a source's body
	newer    bool   // Icecast 2.5 or like it: 100 means accepted, 200 the end
	chunked  bool   // it decodes chunks, whatever stands before it
	proxy    bool   // something stands before it
	unknown  bool   // it did not answer
}

// proxies are what reverse proxies call themselves in the Server header.
var proxies = []string{"nginx", "openresty", "cloudflare", "apache", "caddy", "envoy", "varnish", "haproxy", "traefik", "litespeed", "awselb"}

// ask finds out what the server is. It sends no password: Icecast 2.5 answers an
// OPTIONS with one by 401. Only a server that cannot be reached is an error.
func (s *Source) ask(ctx context.Context) (server, error) {
	resp, err := s.request(ctx, http.MethodOptions, s.Mount.Path, "", nil)
	var v server
	switch {
	case err == nil:
		v = recognise(resp.Header)
	case !reached(err):
		return v, err
	case isTimeout(err):
		v.unknown = true
		return v, nil
	}
	// A proxy has no answer from Icecast 2.4, which closes the connection, or from nothing.
	down := err == nil && v.proxy && resp.StatusCode >= 500
	if v.icecast || v.proxy && !down || v.software != "" && err == nil && resp.Header.Get("Allow") != "" {
		return v, nil
	}
	// Icecast 2.4 closes the connection at an OPTIONS without a word; its status says
	// who it is.
	resp, err = s.request(ctx, http.MethodGet, "/status-json.xsl", "", nil)
	if err != nil {
		if !reached(err) {
			return v, err
		}
		v.unknown = isTimeout(err)
		return v, nil
	}
	if down && resp.StatusCode >= 500 {
		return v, answer{code: resp.StatusCode, header: textproto.MIMEHeader(resp.Header)}.refused(v)
	}
	if named := recognise(resp.Header); named.software != "" {
		v = named
	}
	var status struct {
		Icestats struct {
			ID string `json:"server_id"`
		} `json:"icestats"`
	}
	if json.Unmarshal(resp.body, &status) == nil && strings.HasPrefix(status.Icestats.ID, "Icecast") {
		v.icecast = true
		if v.software == "" {
			v.software = status.Icestats.ID
		}
	}
	return v, nil
}

// recognise reads what the headers of an answer tell of the server. An Allow with
// both PUT and SOURCE is Icecast 2.5, whatever it or a proxy before it is called.
func recognise(h http.Header) server {
	v := server{software: icy.HeaderValue(h.Get("Server"))}
	v.icecast = strings.HasPrefix(v.software, "Icecast") || strings.HasPrefix(v.software, "icepush")
	allow := h.Get("Allow")
	both := strings.Contains(allow, "PUT") && strings.Contains(allow, "SOURCE")
	v.newer, v.chunked = both, both
	for _, p := range []string{"Icecast 2.5", "Icecast 2.4.99"} { // 2.4.99.x and 2.4.999.x led to 2.5
		v.newer = v.newer || strings.HasPrefix(v.software, p)
	}
	if !v.icecast {
		name := strings.ToLower(v.software)
		for _, p := range proxies {
			v.proxy = v.proxy || strings.HasPrefix(name, p)
		}
		v.proxy = v.proxy || h.Get("Via") != ""
	}
	v.icecast = v.icecast || both
	return v
}

// isDial reports whether an error says that there was no connection at all.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, new(*net.DNSError))
}

// reached reports whether an error came from the server, and not from what is before it.
func reached(err error) bool {
	return !isDial(err) && !errors.As(err, new(*ProxyError)) && !errors.As(err, new(*TLSError))
}

// response is an answer that has been read, its body bounded.
type response struct {
	*http.Response
	body []byte
}

// request makes one short request to the server, on a connection of its own, and reads
// up to 256 kB of the answer. Beside a stream it goes to the stream's address, from the
// stream's: Icecast 2.4 takes titles only from there. The error does not hold the path,
// whose query would be in it.
func (s *Source) request(ctx context.Context, method, path, authorization string, beside *conn) (response, error) {
	address, local := s.Mount.Host, net.Addr(nil)
	if beside != nil {
		local = beside.LocalAddr()
		if there, ok := beside.RemoteAddr().(*net.TCPAddr); ok && !beside.relayed {
			_, port, _ := net.SplitHostPort(address)
			address = net.JoinHostPort(there.AddrPort().Addr().String(), port)
		}
	}
	// The transport would go on dialling when the question is over.
	ctx, cancel := context.WithTimeout(ctx, preflightTimeout)
	defer cancel()
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext:       func(context.Context, string, string) (net.Conn, error) { return s.dial(ctx, address, local) },
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	// What is encrypted is so below HTTP: dial does it.
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.Mount.Host+cmp.Or(path, "/"), nil)
	if err != nil { // it holds the path
		return response{}, errors.New("there is no asking at this address")
	}
	req.Header.Set("User-Agent", UserAgent)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := client.Do(req)
	if err != nil {
		return response{}, errors.Unwrap(err) // of *url.Error
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 256<<10))
	if err != nil && len(body) == 0 {
		return response{}, err
	}
	return response{resp, body}, nil
}
