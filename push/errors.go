package push

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
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

// remedy is what can be done about an error.
type remedy int

const (
	retry      remedy = iota // it may pass by itself
	retryLater               // it may pass, but asking often makes it worse
	waitInUse                // the server still holds the mount, perhaps for our own last connection
	giveUp                   // it cannot pass
)

// remedy sorts refusals. Servers use 403 for all sorts of things, so its text counts.
func (e *StatusError) remedy() remedy {
	reason := strings.ToLower(e.Reason)
	full := strings.Contains(reason, "too many") || strings.Contains(reason, "limit")
	switch {
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

// Refused reports whether an error of Run is a refusal, or an answer that is none of
// Icecast's, as against a server that could not be reached.
func Refused(err error) bool {
	return errors.As(err, new(*StatusError)) || errors.Is(err, errProxy) || errors.Is(err, errClosed)
}

// Hint returns what a person can do about an error of Run, "" when nothing comes to
// mind.
func Hint(err error) string {
	var status *StatusError
	switch {
	case errors.As(err, &status) && status.Code == http.StatusUnauthorized:
		return "user or password is wrong for this mount: compare <source-password> or the <mount> section of the server's configuration"
	case errors.As(err, &status) && status.InUse():
		return "another source has this mount"
	case errors.As(err, &status) && status.remedy() == retryLater:
		return "the server has no room for another source: see <limits> in its configuration"
	case errors.As(err, &status) && status.Code == http.StatusForbidden:
		return "the server does not want this stream: see its error.log"
	case errors.As(err, &status) && status.Code == http.StatusUpgradeRequired:
		return "this port speaks TLS only"
	case errors.Is(err, errClosed):
		return "is this the port of an Icecast server, and does it expect TLS?"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: is the server running, and is this its port?"
	case errors.As(err, new(*net.DNSError)):
		return "is the name of the server right?"
	}
	return ""
}

var (
	// errClosed is a connection that the server closed without a word.
	errClosed = errors.New("the server closed the connection without an answer")

	// errProxy is a proxy in front of a server that does not decode chunks.
	errProxy = errors.New("a reverse proxy stands before the server and would swallow the audio: connect to the server's own port")

	// errSilent is a server that does not answer a request.
	errSilent = errors.New("the server does not answer")

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
