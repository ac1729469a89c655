package push

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"icepush/frame"
)

// Answer is what a server lets be known.
type Answer int

const (
	Untold Answer = iota // the server does not say
	Yes
	No
)

func (a Answer) String() string { return [...]string{"unknown", "yes", "no"}[a] }

// Findings is what there is to know of a mount without going on the air there.
type Findings struct {
	Address  string // the server's, "" when none was reached
	TLS      string // version and certificate, "" when the line is not encrypted
	Server   string // what it calls itself, "" when unknown
	Framing  string // how the stream would go: identity or chunked
	Titles   string // how titles would: inband, admin, or comments (of Ogg)
	Password Answer // whether user and password are right for this mount
	Admin    bool   // they are the administrator's, which need not do for a source
	InUse    Answer // whether a source has the mount
}

// Check asks whether the server would take us, with a stream of a format. It does not go
// on the air, and leaves a stream that is there, and its title, alone. The error is why
// Run would fail: one of a server that cannot be reached, of a wrong password, or of a
// proxy that would swallow the stream. A mount in use is none.
func (s *Source) Check(ctx context.Context, format frame.Format) (Findings, error) {
	f, err := s.check(ctx, format)
	if err != nil {
		err = fmt.Errorf("%s: %w", s.Mount, err)
	}
	return f, err
}

func (s *Source) check(ctx context.Context, format frame.Format) (f Findings, err error) {
	if s.Mount.Protocol == ICY && format.Ogg() {
		return f, errNoOgg
	}
	address, err := s.sourceAddress()
	if err != nil {
		return f, err
	}
	c, err := s.dial(ctx, address, nil)
	if err != nil {
		return f, err
	}
	f.Address, f.TLS = fmt.Sprint(c.RemoteAddr()), s.encryption(c)
	c.Close()

	srv, err := s.know(ctx, server{})
	f.Server = srv.software
	if err != nil {
		return f, plain(err)
	}
	stream := &conn{server: srv}
	if how := (&method{fixed: s.Mount.Protocol}).next(); how != ICY {
		s.shape(stream, how, format)
	}
	f.Framing, f.Titles = stream.framed(), stream.titles()
	if err = s.knock(ctx, srv, &f); f.InUse == Untold && srv.icecast {
		f.InUse = s.taken(ctx)
	}
	return f, err
}

// encryption says how a connection is encrypted, "" when it is not.
func (s *Source) encryption(c net.Conn) string {
	t, ok := c.(*tlsConn)
	if !ok {
		return ""
	}
	state := t.ConnectionState()
	text := tls.VersionName(state.Version)
	if certs := state.PeerCertificates; len(certs) > 0 {
		text += ", a certificate for " + certifiedNames(certs[0]) + " until " + certs[0].NotAfter.UTC().Format(time.DateOnly)
	}
	if s.TLS != nil && s.TLS.InsecureSkipVerify {
		text += ", not verified"
	}
	return text
}

// knock asks something that only a source of the mount may ask, and that changes
// nothing. Icecast 2.4 and 2.5 look at the password, then whether there is such a mount,
// and only then at what is asked: a metadata request without a mode is refused for that.
// Icecast-KH does without the mode, so it is asked for the page that shows a form.
func (s *Source) knock(ctx context.Context, srv server, f *Findings) error {
	m := s.Mount
	if m.Protocol == ICY && !srv.icecast {
		return nil // SHOUTcast's way would set the title
	}
	command := "metadata"
	if strings.Contains(srv.software, "-kh") {
		command = "updatemetadata"
	}
	path := "/admin/" + command + "?mount=" + url.QueryEscape(cmp.Or(m.Path, defaultICYMount))
	resp, err := s.request(ctx, http.MethodGet, path, m.authorization(), nil)
	switch {
	case err == nil:
	case isTimeout(err):
		return errSilent
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isReset(err):
		return errClosed
	default:
		return plain(err)
	}
	said := message(string(resp.body))
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		f.Password = No
		return answer{code: resp.StatusCode, reason: said, header: map[string][]string(resp.Header)}.refused(srv)
	case strings.Contains(said, "does not exist"):
		f.Password, f.InUse = Yes, No
	case srv.icecast && (resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusBadRequest):
		f.Password, f.InUse = Yes, Yes
	default:
		return nil // it is no Icecast
	}
	// The administrator may ask that as well.
	if m.User != "" && m.User != "source" {
		resp, err := s.request(ctx, http.MethodGet, "/admin/listmounts", m.authorization(), nil)
		if err == nil && resp.StatusCode == http.StatusOK {
			f.Password, f.Admin = Untold, true
		}
	}
	return nil
}

// taken looks at the server's status whether there is a source on the mount. It needs no
// password.
func (s *Source) taken(ctx context.Context) Answer {
	path := cmp.Or(s.Mount.Path, defaultICYMount)
	resp, err := s.request(ctx, http.MethodGet, "/status-json.xsl?mount="+url.QueryEscape(path), "", nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		return Untold
	}
	var status struct {
		Icestats *struct {
			Source json.RawMessage `json:"source"` // of one an object, of several an array
		} `json:"icestats"`
	}
	if json.Unmarshal(resp.body, &status) != nil || status.Icestats == nil {
		return Untold
	}
	type source struct {
		URL string `json:"listenurl"`
	}
	var sources []source
	if json.Unmarshal(status.Icestats.Source, &sources) != nil {
		var one source
		if json.Unmarshal(status.Icestats.Source, &one) == nil {
			sources = []source{one}
		}
	}
	for _, src := range sources {
		if u, err := url.Parse(src.URL); err == nil && u.Path == path {
			return Yes
		}
	}
	return No
}
