package push

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"icepush/icy"
)

// StatusError is a server's refusal.
type StatusError struct {
	Code   int    // HTTP status
	Reason string // what the status line or the body says
	Server string // Server header, "" when there was none
}

func (e *StatusError) Error() string {
	text := e.Reason
	if text == "" || strings.EqualFold(text, http.StatusText(e.Code)) {
		text = http.StatusText(e.Code)
	}
	s := strings.TrimSpace(fmt.Sprintf("%d %s", e.Code, text))
	if e.Server != "" {
		s += " (" + e.Server + ")"
	}
	return s
}

// OutageError says that a Source was off the air for longer than it is to try.
type OutageError struct {
	Limit time.Duration
	Err   error // why the last attempt failed
}

func (e *OutageError) Error() string {
	return fmt.Sprintf("not on the air within %v: %v", e.Limit, e.Err)
}

func (e *OutageError) Unwrap() error { return e.Err }

// TLSError says why a connection could not be encrypted, or is not to be trusted.
type TLSError struct{ Err error }

func (e *TLSError) Error() string {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch err := e.Err; {
	case errors.As(err, &name):
		return "the server's certificate is not for " + name.Host + " but for " + certifiedNames(name.Certificate)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore):
		return "the server's certificate is valid only from " + invalid.Cert.NotBefore.UTC().Format(time.DateTime) + " UTC on"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the server's certificate expired at " + invalid.Cert.NotAfter.UTC().Format(time.DateTime) + " UTC"
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "the server's certificate is signed by nobody this machine trusts"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return "the server's certificate is not valid: " + strings.TrimPrefix(strings.TrimPrefix(err.Error(), "tls: failed to verify certificate: "), "x509: ")
	case errors.As(err, new(tls.RecordHeaderError)):
		return "the server does not speak TLS on this port"
	case strings.Contains(err.Error(), "certificate required"):
		return "the server wants a certificate from us"
	case strings.Contains(err.Error(), "certificate"): // an alert of RFC 8446, 6.2
		return "the server does not take our certificate: " + strings.TrimPrefix(err.Error(), "tls: ")
	}
	return "TLS: " + strings.TrimPrefix(e.Err.Error(), "tls: ")
}

func (e *TLSError) Unwrap() error { return e.Err }

// certifiedNames returns what a certificate is for.
func certifiedNames(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name at all"
	}
	return cut(icy.HeaderValue(strings.Join(names, ", ")), 200)
}

func (e *TLSError) hint() string {
	var invalid x509.CertificateInvalidError
	switch err := e.Err; {
	case errors.As(err, new(x509.HostnameError)):
		return "name the server as its certificate does"
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "--ca FILE names who signed it; --insecure takes any certificate"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the server's certificate is to be renewed, if the clock of this machine is right"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return ""
	case errors.As(err, new(tls.RecordHeaderError)):
		return "icecast:// in place of icecasts:// does not encrypt; or is TLS on another port?"
	case strings.Contains(err.Error(), "certificate"): // the server says so
		return "--cert FILE and --key FILE name one that the server knows"
	}
	return ""
}

// ProxyError is what went wrong between us and a proxy, or between it and the server.
type ProxyError struct {
	Name string // of the proxy's machine
	Err  error
}

func (e *ProxyError) Error() string { return "through the proxy " + e.Name + ": " + e.Err.Error() }
func (e *ProxyError) Unwrap() error { return e.Err }

// remedy is what can be done about an error.
type remedy int

const (
	retry          remedy = iota // it may pass by itself
	retryLater                   // it may pass, but asking often makes it worse
	waitInUse                    // the server still holds the mount, perhaps for our own last connection
	giveUpUnproved               // it cannot pass, unless the server has taken us before: then somebody is changing it
	giveUp                       // it cannot pass
)

// remedyFor sorts errors.
func remedyFor(err error) remedy {
	var status *StatusError
	switch {
	case errors.As(err, &status):
		return status.remedy()
	case errors.As(err, new(*TLSError)), errors.Is(err, errProxy), errors.Is(err, errPassword), errors.Is(err, errNotICY):
		return giveUpUnproved
	}
	return retry
}

// remedy sorts refusals. Servers use 403 for all sorts of things, so its text counts.
func (e *StatusError) remedy() remedy {
	reason := strings.ToLower(e.Reason)
	full := strings.Contains(reason, "too many") || strings.Contains(reason, "limit")
	switch {
	case e.Code == http.StatusUnauthorized:
		return giveUpUnproved
	case e.Code == http.StatusConflict, e.Code == http.StatusForbidden && strings.Contains(reason, "in use"):
		return waitInUse
	case full && (e.Code == http.StatusForbidden || e.Code == http.StatusServiceUnavailable):
		return retryLater
	case e.Code == http.StatusRequestTimeout, e.Code == http.StatusTooManyRequests,
		e.Code >= 500 && e.Code != http.StatusNotImplemented && e.Code != http.StatusHTTPVersionNotSupported:
		return retry
	}
	return giveUp
}

// InUse reports whether the refusal says that another source has the mount.
func (e *StatusError) InUse() bool { return e.remedy() == waitInUse }

// Denied reports whether an error of Run is that of a wrong password.
func Denied(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && status.Code == http.StatusUnauthorized || errors.Is(err, errPassword)
}

// Refused reports whether an error of Run is a refusal, or an answer that is none of
// Icecast's, as against a server that could not be reached.
func Refused(err error) bool {
	return errors.As(err, new(*StatusError)) || errors.As(err, new(*TLSError)) ||
		errors.Is(err, errProxy) || errors.Is(err, errClosed) || errors.Is(err, errNoOgg) || errors.Is(err, errNotICY)
}

// Hint returns what a person can do about an error of Run, "" when nothing comes to
// mind.
func Hint(err error) string {
	var status *StatusError
	var encryption *TLSError
	isStatus := errors.As(err, &status)
	switch {
	case errors.As(err, &encryption):
		return encryption.hint()
	case isStatus && status.Code == http.StatusUnauthorized:
		return "user or password is wrong for this mount: compare <source-password> or the <mount> section of the server's configuration"
	case isStatus && status.InUse():
		return "another source has this mount, or the server has not noticed yet that a connection broke: it does so after its source-timeout, 10 s as shipped; --kill-stale frees a mount that was ours"
	case isStatus && status.remedy() == retryLater:
		return "the server has no room for another source: see <limits> in its configuration"
	case isStatus && status.Code == http.StatusForbidden:
		return "the server does not want this stream: see its error.log"
	case isStatus && status.Code == http.StatusUpgradeRequired:
		return "this port speaks TLS only: use icecasts:// in place of icecast://"
	case isStatus && status.Code == http.StatusProxyAuthRequired:
		return "the proxy wants a user and a password: HTTP_PROXY=http://user:password@proxy:port"
	case isStatus && (status.Code == http.StatusBadRequest || status.Code == http.StatusNotFound || status.Code == http.StatusUnsupportedMediaType):
		return "the server does not take this mount or this format: is it an Icecast, and this its port?"
	case isStatus && status.Code >= 300 && status.Code < 400:
		return "something other than Icecast answers there: name the server's own address and port"
	case isStatus && (status.Code == http.StatusMethodNotAllowed || status.Code == http.StatusNotImplemented):
		return "neither PUT nor SOURCE is known there: is this an Icecast?"
	case isStatus && status.remedy() == retry:
		return "the server, or a proxy before it, is in trouble: it is asked again"
	case errors.Is(err, errPassword):
		return "the password is wrong, or this is not the listeners' port: the source's is the one after it"
	case errors.Is(err, errNotICY):
		return "--protocol icy is for SHOUTcast; with Icecast leave it out"
	case errors.Is(err, errClosed):
		return "is this the port of an Icecast server, and does it expect TLS?"
	case errors.Is(err, errSilent), errors.Is(err, errDead):
		return "the line or the server is stuck: it is tried again"
	case errors.Is(err, errEnded):
		return "the server was shut down, the source was killed, or the stream was not wanted: see its error.log"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: is the server running, and is this its port?"
	case errors.As(err, new(*net.DNSError)):
		return "is the name of the server right, and is there a network?"
	}
	return ""
}

var (
	// errClosed is a connection that the server closed without a word.
	errClosed = errors.New("the server closed the connection without an answer")

	// errProxy is a proxy in front of a server that does not decode chunks.
	errProxy = errors.New("a reverse proxy stands before the server and would swallow the audio: connect to the server's own port, or to a server that decodes chunks")

	// errSilent is a server that does not answer a request.
	errSilent = errors.New("the server does not answer")

	// errHandshake is one that does not answer before there is a request.
	errHandshake = errors.New("the server does not answer the TLS handshake: does this port speak TLS?")

	// errHalf is an answer that a proxy may have made up.
	errHalf = errors.New("the answer was 100 Continue and no more, as of a proxy")

	// errDead is a line on which nothing comes back.
	errDead = errors.New("what was sent is not acknowledged: the line is dead")

	// errStuck is a server that has stopped reading.
	errStuck = errors.New("the server has stopped reading")

	// errFreed is a mount that was in use, and is not any more.
	errFreed = errors.New("the mount was in use, and has been freed")

	// errUnheard is the end of a show that has not arrived.
	errUnheard = errors.New("the end of the stream has not arrived")

	// errEnded is a stream that the server ended in order, as when it shuts down or the
	// source is killed.
	errEnded = errors.New("the server ended the stream")
)

// isReset reports whether the other side broke the connection off.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
