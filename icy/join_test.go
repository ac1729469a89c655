package icy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"icepush/icy"
)

// join joins a mount until the test ends.
func join(t *testing.T, url string, o icy.Options) (*icy.Stream, error) {
	t.Helper()
	s, err := icy.Join(t.Context(), url, o)
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

// TestJoin joins a mount behind two redirects, with a password that goes to its own host
// alone.
func TestJoin(t *testing.T) {
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" {
			t.Errorf("another host is told %v", r.Header)
		}
	}))
	defer stranger.Close()
	elsewhere := strings.Replace(stranger.URL, "127.0.0.1", "localhost", 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		switch r.URL.Path {
		case "/":
			http.Redirect(w, r, "/moved", http.StatusFound)
		case "/moved":
			http.Redirect(w, r, "/live", http.StatusMovedPermanently)
		case "/away":
			http.Redirect(w, r, elsewhere, http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/broken":
			w.Header().Set("Location", "http://user:s3cret@[/")
			w.WriteHeader(http.StatusFound)
		case "/live":
			if r.Header.Get("Icy-MetaData") != "1" || r.UserAgent() != "test/1" || password != "s3cret" {
				http.Error(w, "no", http.StatusUnauthorized)
				return
			}
			h := w.Header()
			h["icy-br"], h["icy-metaint"] = []string{"128, 320"}, []string{"8"}
			h["icy-name"], h["icy-genre"] = []string{"Caf\xe9"}, []string{"Ünï"}
			h.Set("Content-Type", "Audio/MPEG; charset=x")
			h.Set("Server", "Icecast 2.4.4")
			io.WriteString(w, "audio-01\x02StreamTitle='A title that is';\x00\x00audio-02")
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	secret := strings.Replace(server.URL, "http://", "http://user:s3cret@", 1)
	o := icy.Options{UserAgent: "test/1"}

	s, err := join(t, secret+"/", o)
	if err != nil {
		t.Fatal(err)
	}
	if s.URL != server.URL+"/live" || strings.Join(s.Via, " ") != server.URL+"/ "+server.URL+"/moved" {
		t.Errorf("%s by %v", s.URL, s.Via)
	}
	got := fmt.Sprintf("%s|%s|%s|%s|%s|%d|%d|%d", s.Proto, s.Server, s.ContentType, s.Name, s.Genre, s.Bitrate, s.Metaint, s.Length)
	if want := "HTTP/1.1|Icecast 2.4.4|audio/mpeg|Café|Ünï|128|8|49"; got != want || s.TLS != nil || s.Address != server.Listener.Addr().String() {
		t.Errorf("%s at %s, want %s", got, s.Address, want)
	}
	audio, err := io.ReadAll(s)
	if titles := s.Titles(math.MaxInt64); string(audio) != "audio-01audio-02" || err != nil || len(titles) != 1 || titles[0].Text != "A title that is" {
		t.Errorf("%q, %v, %v", audio, titles, err)
	}
	if _, err := join(t, secret+"/away", o); err != nil {
		t.Error(err)
	}

	for url, want := range map[string]string{
		secret + "/none":                   server.URL + "/none: 404 Not Found",
		secret + "/round":                  server.URL + "/round: it is redirected too often",
		secret + "/broken":                 server.URL + "/broken: it redirects to what is no URL",
		"http://user:s3cret@127.0.0.1:a/":  "this is no http or https URL",
		"ftp://user:s3cret@127.0.0.1/live": "this is no http or https URL",
		"live":                             "this is no http or https URL",
	} {
		if _, err := join(t, url, o); fmt.Sprint(err) != want {
			t.Errorf("%s: %v, want %s", url, err, want)
		}
	}
	_, err = join(t, server.URL+"/", o)
	var status *icy.StatusError
	if !errors.As(err, &status) || status.Code != http.StatusUnauthorized || status.URL != server.URL+"/live" || len(status.Via) != 2 || status.Page != "no" {
		t.Errorf("%v, %+v", err, status)
	}
}

// TestJoinTLS takes no certificate that is not trusted, and goes from https to http without
// the password.
func TestJoinTLS(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the password is told in the clear")
		}
	}))
	defer plain.Close()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down" {
			http.Redirect(w, r, plain.URL, http.StatusFound)
		}
		io.WriteString(w, "audio")
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	secret := strings.Replace(server.URL, "https://", "https://user:s3cret@", 1)
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	trusting := icy.Options{TLS: &tls.Config{RootCAs: pool}}

	s, err := join(t, secret+"/live", trusting)
	if err != nil {
		t.Fatal(err)
	}
	if audio, err := io.ReadAll(s); string(audio) != "audio" || err != nil || s.TLS == nil || s.TLS.Version != tls.VersionTLS13 {
		t.Errorf("%q, %v, %+v", audio, err, s.TLS)
	}
	if _, err := join(t, secret+"/down", trusting); err != nil {
		t.Error(err)
	}
	_, err = join(t, secret+"/live", icy.Options{})
	if !errors.As(err, new(*tls.CertificateVerificationError)) {
		t.Error(err)
	}
	if _, err := join(t, strings.Replace(plain.URL, "http:", "https:", 1), trusting); !errors.Is(err, http.ErrSchemeMismatch) {
		t.Error(err)
	}
}

// TestJoinOld joins servers that speak less than HTTP/1.1, and refuses what is none.
func TestJoinOld(t *testing.T) {
	for _, test := range []struct {
		name, answer, proto, server, want string
	}{
		{"SHOUTcast 1", "ICY 200 OK\r\nicy-notice1:<BR>This stream requires Winamp<BR>\r\nicy-notice2:SHOUTcast Distributed Network Audio Server/Linux v1.9.8<BR>\r\nicy-name:Old\r\ncontent-type:audio/mpeg\r\nicy-metaint:5\r\n\r\naudio\x00", "ICY", "SHOUTcast Distributed Network Audio Server/Linux v1.9.8", "audio"},
		{"SHOUTcast 1 refuses", "ICY 401 Service Unavailable\r\n\r\n", "", "", "401 Unauthorized"},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nServer: Icecast 2.4.4\r\nicy-name: Old\r\n\r\naudio", "HTTP/1.0", "Icecast 2.4.4", "audio"},
		{"metaint out of bounds", "HTTP/1.0 200 OK\r\nicy-metaint: 99999999\r\nicy-name: Old\r\n\r\naudio", "HTTP/1.0", "", "audio"},
		{"metaint below zero", "HTTP/1.0 200 OK\r\nicy-metaint: -5\r\nicy-name: Old\r\n\r\naudio", "HTTP/1.0", "", "audio"},
		{"no HTTP", "ICE 200 OK\r\n\r\n", "", "", "its answer is not HTTP: malformed HTTP"},
		{"nothing", "", "", "", icy.ErrClosed.Error()},
		{"half a word", "IC", "", "", `its answer is not HTTP: malformed HTTP response "IC"`},
		{"a header without an end", "HTTP/1.0 200 OK\r\nX: " + strings.Repeat("x", 1<<20), "", "", "its answer is not HTTP: server response headers exceeded 65536 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := join(t, "http://"+answering(t, test.answer)+"/live", icy.Options{})
			if err != nil {
				if !strings.Contains(err.Error(), test.want) || test.proto != "" {
					t.Error(err)
				}
				return
			}
			audio, err := io.ReadAll(s)
			if string(audio) != test.want || err != nil || s.Proto != test.proto || s.Server != test.server || s.Name != "Old" {
				t.Errorf("%q, %v, %+v", audio, err, s)
			}
		})
	}
}

// answering listens for one request, answers it byte by byte at first, and hangs up.
func answering(t *testing.T, answer string) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		http.ReadRequest(bufio.NewReader(c))
		for i := range min(len(answer), 6) {
			io.WriteString(c, answer[i:i+1])
		}
		io.WriteString(c, answer[min(len(answer), 6):])
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

// TestJoinStalled shows how long a server is waited for that says nothing: before its
// answer, and behind it.
func TestJoinStalled(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		url          string
		o            icy.Options
		cancel       time.Duration
		want         error
		after        time.Duration
	}{
		{name: "no answer", want: icy.ErrSilent, after: 10 * time.Second},
		{name: "half an answer", answer: "HTTP/1.1 200 OK\r\nServer: ", want: icy.ErrSilent, after: 10 * time.Second},
		{name: "no TLS", url: "https://radio.example/", want: icy.ErrHandshake, after: 10 * time.Second},
		{name: "no audio", answer: "HTTP/1.1 200 OK\r\n\r\n", o: icy.Options{Patience: 5 * time.Second}, want: os.ErrDeadlineExceeded, after: 5 * time.Second},
		{name: "no more audio", answer: "HTTP/1.1 200 OK\r\n\r\naudio", o: icy.Options{Patience: 5 * time.Second}, want: os.ErrDeadlineExceeded, after: 5 * time.Second},
		{name: "it is left before the answer", cancel: 3 * time.Second, want: context.Canceled, after: 3 * time.Second},
		{name: "it is left", answer: "HTTP/1.1 200 OK\r\n\r\naudio", cancel: time.Hour, want: context.Canceled, after: time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := net.Pipe()
				defer there.Close()
				test.o.Dial = func(context.Context, string, string) (net.Conn, error) { return here, nil }
				go func() {
					if test.url == "" {
						http.ReadRequest(bufio.NewReader(there))
						io.WriteString(there, test.answer)
					}
					io.Copy(io.Discard, there)
				}()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.cancel > 0 {
					time.AfterFunc(test.cancel, cancel)
				}
				url := "http://radio.example/"
				if test.url != "" {
					url = test.url
				}
				began := time.Now()
				s, err := icy.Join(ctx, url, test.o)
				if err == nil {
					_, err = io.Copy(io.Discard, s)
					s.Close()
				}
				if took := time.Since(began); !errors.Is(err, test.want) || took != test.after {
					t.Errorf("%v after %v, want %v after %v", err, took, test.want, test.after)
				}
			})
		})
	}
}

// TestJoinNobody asks where nobody listens.
func TestJoinNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := join(t, "http://"+l.Addr().String(), icy.Options{}); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
}
