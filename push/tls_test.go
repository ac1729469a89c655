package push_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"icepush/push"
	"icepush/push/pushtest"
	"icepush/track"
)

// listener opens a port on this machine.
func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// realRig is a Source and a fake server on real sockets.
func realRig(t *testing.T, l net.Listener) *rig {
	r := &rig{T: t, server: &pushtest.Server{Password: password}, result: make(chan error, 1)}
	r.net, r.icy = pushtest.NewNetwork(), pushtest.NewNetwork()
	r.source = &push.Source{
		Mount:     push.Mount{Host: l.Addr().String(), Path: "/live", TLS: true, Password: password},
		MaxOutage: 20 * time.Second,
		Log:       slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	r.serve.Go(func() { r.server.Serve(l) })
	t.Cleanup(func() { l.Close(); r.server.Break(false); r.serve.Wait() })
	return r
}

// TestTLS shows whom a Source trusts, and what it says of those it does not. A server
// that is not to be trusted is not asked again.
func TestTLS(t *testing.T) {
	ca, other := pushtest.NewAuthority(), pushtest.NewAuthority()
	now := time.Now()
	pair := func(cert, key []byte) tls.Certificate {
		c, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	good := ca.Certificate("127.0.0.1")
	trusting := &tls.Config{RootCAs: ca.Pool()}
	for _, test := range []struct {
		name   string
		server *tls.Config // nil speaks no TLS
		source *tls.Config
		host   string // in place of 127.0.0.1
		said   string // in the error, or the log when there is none
		hint   string
		ok     bool
	}{
		{name: "trusted", server: &tls.Config{Certificates: []tls.Certificate{good}}, source: trusting, said: "on the air", ok: true},
		{name: "TLS 1.2", server: &tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12}, source: trusting, said: "on the air", ok: true},
		{
			name: "unknown authority", server: &tls.Config{Certificates: []tls.Certificate{good}}, source: &tls.Config{RootCAs: other.Pool()},
			said: "the server's certificate is signed by nobody this machine trusts", hint: "--ca FILE",
		},
		{
			name: "nobody is asked", server: &tls.Config{Certificates: []tls.Certificate{good}}, source: &tls.Config{InsecureSkipVerify: true},
			said: "certificate is not verified", ok: true,
		},
		{
			name: "other name", server: &tls.Config{Certificates: []tls.Certificate{ca.Certificate("radio.example", "10.0.0.1")}}, source: trusting,
			said: "the server's certificate is not for 127.0.0.1 but for radio.example, 10.0.0.1", hint: "name the server as its certificate does",
		},
		{name: "named", server: &tls.Config{Certificates: []tls.Certificate{ca.Certificate("localhost")}}, source: trusting, host: "localhost", said: "on the air", ok: true},
		{
			name: "expired", server: &tls.Config{Certificates: []tls.Certificate{pair(ca.Issue(now.Add(-2*time.Hour), now.Add(-time.Hour), "127.0.0.1"))}}, source: trusting,
			said: "the server's certificate expired at " + now.Add(-time.Hour).UTC().Format(time.DateTime), hint: "renewed",
		},
		{
			name: "not yet valid", server: &tls.Config{Certificates: []tls.Certificate{pair(ca.Issue(now.Add(time.Hour), now.Add(2*time.Hour), "127.0.0.1"))}}, source: trusting,
			said: "the server's certificate is valid only from " + now.Add(time.Hour).UTC().Format(time.DateTime), hint: "clock",
		},
		{
			name: "our own certificate", server: &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()},
			source: &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{ca.Certificate("us")}}, said: "on the air", ok: true,
		},
		{
			name: "no certificate of ours", server: &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()},
			source: trusting, said: "the server wants a certificate from us", hint: "--cert FILE and --key FILE",
		},
		{
			name: "another's certificate", server: &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: other.Pool()},
			source: &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{ca.Certificate("us")}},
			said:   "the server does not take our certificate: unknown certificate authority", hint: "--cert FILE and --key FILE",
		},
		{name: "no TLS", source: trusting, said: "does not speak TLS on this port", hint: "icecast:// in place of icecasts://"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := listener(t)
			serving := l
			if test.server != nil {
				serving = tls.NewListener(l, test.server)
			} else {
				serving = greeter{l}
			}
			r := realRig(t, serving)
			r.source.TLS = test.source
			if test.host != "" {
				_, port, _ := net.SplitHostPort(l.Addr().String())
				r.source.Mount.Host = net.JoinHostPort(test.host, port)
			}
			frames := noise(1, 60)
			r.source.Play(track.Info{StreamTitle: "x", Header: frames[0].Header})
			r.source.Send(frames)
			r.source.Close()
			err := r.source.Run(t.Context())
			if (err == nil) != test.ok || !strings.Contains(fmt.Sprint(err, r.log.String()), test.said) || !strings.Contains(push.Hint(err), test.hint) {
				t.Errorf("%v; %s\n%s", err, push.Hint(err), r.log.String())
			}
			var outage *push.OutageError
			if errors.As(err, &outage) {
				t.Error("it was asked again")
			}
			if test.ok {
				if st := r.server.Streams(); len(st) != 1 || !bytes.HasPrefix(st[0].Audio, data(frames)) || !st[0].Ended {
					t.Errorf("%d streams, not what was sent", len(st))
				}
			}
			if strings.Contains(r.log.String(), password) {
				t.Error("the password is told")
			}
		})
	}
}

// greeter is a listener whose clients are told in words that they are wrong.
type greeter struct{ net.Listener }

func (g greeter) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err == nil {
		io.WriteString(c, "HTTP/1.0 400 Bad Request\r\n\r\n")
	}
	return c, err
}

// TestHTTPProxy goes through a proxy of the environment, by CONNECT, with a password for
// it. What the proxy says no to is told as the proxy's.
func TestHTTPProxy(t *testing.T) {
	proxied := listener(t)
	var mu sync.Mutex
	var target net.Listener
	var asked []string
	refuse := 0
	go func() {
		for {
			c, err := proxied.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				br := bufio.NewReader(c)
				req, err := http.ReadRequest(br)
				if err != nil {
					return
				}
				mu.Lock()
				asked = append(asked, req.Method+" "+req.Host+" "+req.Header.Get("Proxy-Authorization"))
				code, there := refuse, target.Addr().String()
				mu.Unlock()
				if code != 0 {
					fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nServer: squid\r\nContent-Length: 0\r\n\r\n", code, http.StatusText(code))
					return
				}
				up, err := net.Dial("tcp", there)
				if err != nil {
					return
				}
				defer up.Close()
				io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
				go func() { io.Copy(up, br); up.(*net.TCPConn).CloseWrite() }()
				io.Copy(c, up)
			}()
		}
	}()
	play := func(encrypted bool, set func(*rig)) (*rig, error) {
		mu.Lock()
		target = listener(t)
		serving := target
		mu.Unlock()
		ca := pushtest.NewAuthority()
		if encrypted {
			serving = tls.NewListener(serving, &tls.Config{Certificates: []tls.Certificate{ca.Certificate("radio.example")}})
		}
		r := &rig{T: t, server: &pushtest.Server{Password: password}}
		r.source = &push.Source{
			Mount: push.Mount{Host: "radio.example:8000", Path: "/live", TLS: encrypted, Password: password},
			TLS:   &tls.Config{RootCAs: ca.Pool()}, MaxOutage: 3 * time.Second,
			Proxy: http.ProxyURL(&url.URL{Scheme: "http", User: url.UserPassword("me", "secret2"), Host: proxied.Addr().String()}),
			Log:   slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		}
		set(r)
		go r.server.Serve(serving)
		frames := noise(1, 60)
		r.source.Play(track.Info{StreamTitle: "x", Header: frames[0].Header})
		r.source.Send(frames)
		r.source.Close()
		err := r.source.Run(t.Context())
		if st := r.server.Streams(); err == nil && (len(st) != 1 || !bytes.HasPrefix(st[0].Audio, data(frames)) || !st[0].Ended) {
			t.Errorf("%d streams, not what was sent", len(st))
		}
		if s := r.log.String() + fmt.Sprint(err); strings.Contains(s, "secret2") || strings.Contains(s, password) {
			t.Errorf("a password is told: %s", s)
		}
		return r, err
	}
	if _, err := play(false, func(*rig) {}); err != nil {
		t.Error(err)
	}
	if got, want := strings.Join(asked, ", "), "CONNECT radio.example:8000 Basic bWU6c2VjcmV0Mg=="; !strings.HasPrefix(got, want) {
		t.Errorf("asked for %s, want %s", got, want)
	}
	if _, err := play(true, func(*rig) {}); err != nil {
		t.Error(err)
	}
	for code, said := range map[int]string{
		407: "through the proxy 127.0.0.1: 407 Proxy Authentication Required (squid)",
		403: "through the proxy 127.0.0.1: 403 Forbidden (squid)",
		502: "not on the air within 3s: through the proxy 127.0.0.1: 502 Bad Gateway (squid)",
	} {
		mu.Lock()
		refuse = code
		mu.Unlock()
		if _, err := play(false, func(*rig) {}); err == nil || !strings.HasSuffix(err.Error(), said) {
			t.Errorf("%v, want %s", err, said)
		}
	}
	proxied.Close()
	if _, err := play(false, func(*rig) {}); err == nil || !strings.Contains(err.Error(), "through the proxy 127.0.0.1: dial tcp") {
		t.Error(err)
	}
	if _, err := play(false, func(r *rig) { r.source.Proxy = http.ProxyURL(&url.URL{Scheme: "gopher", Host: "h"}) }); err == nil || !strings.Contains(err.Error(), "does not know gopher:// proxies") {
		t.Error(err)
	}
}
