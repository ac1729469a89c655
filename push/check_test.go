package push_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"icepush/frame"
	"icepush/push"
	"icepush/push/pushtest"
	"icepush/track"
)

// TestCheck asks servers whether they would take a stream, before there is one and while
// another has the mount, and looks that nothing has changed there.
func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name, software string
		password       push.Secret
		inUse          bool
		format         frame.Format
		change         func(*push.Source)
		want           string // server, framing, titles, password, in use
		err            string
	}{
		{name: "2.4.4", want: "Icecast 2.4.4, identity, inband, yes, no"},
		{name: "2.4.4 in use", inUse: true, want: "Icecast 2.4.4, identity, inband, yes, yes"},
		{
			name: "2.4.4 wrong password", password: "other", want: "Icecast 2.4.4, identity, inband, no, no",
			err: "401 You need to authenticate (Icecast 2.4.4)",
		},
		{
			name: "2.4.4 wrong password, in use", password: "other", inUse: true, want: "Icecast 2.4.4, identity, inband, no, yes",
			err: "401 You need to authenticate (Icecast 2.4.4)",
		},
		{name: "2.5", software: "Icecast 2.5.0", want: "Icecast 2.5.0, chunked, inband, yes, no"},
		{name: "2.5 in use", software: "Icecast 2.5.0", inUse: true, want: "Icecast 2.5.0, chunked, inband, yes, yes"},
		{
			name: "2.5 wrong password", software: "Icecast 2.5.0", password: "other", want: "Icecast 2.5.0, chunked, inband, no, no",
			err: "401 You need to authenticate (Icecast 2.5.0)",
		},
		{name: "KH", software: "Icecast 2.4.0-kh22", want: "Icecast 2.4.0-kh22, identity, inband, yes, no"},
		{name: "KH in use", software: "Icecast 2.4.0-kh22", inUse: true, want: "Icecast 2.4.0-kh22, identity, inband, yes, yes"},
		{
			name: "KH wrong password", software: "Icecast 2.4.0-kh22", password: "other", want: "Icecast 2.4.0-kh22, identity, inband, no, no",
			err: "401 You need to authenticate (Icecast 2.4.0-kh22)",
		},
		{name: "2.5 behind nginx", software: "nginx Allow", want: "nginx Allow, chunked, inband, yes, no"},
		{name: "Ogg", format: frame.Vorbis, want: "Icecast 2.4.4, identity, comments, yes, no"},
		{
			name: "as it is told to", software: "Icecast 2.5.0", want: "Icecast 2.5.0, identity, admin, yes, no",
			change: func(s *push.Source) { s.Titles, s.Framing = push.Admin, push.Identity },
		},
		{
			name: "SOURCE is not in chunks", software: "Icecast 2.5.0", want: "Icecast 2.5.0, identity, inband, yes, no",
			change: func(s *push.Source) { s.Mount.Protocol = push.SOURCE },
		},
		{
			name: "another server", software: "Harbor", want: "Harbor, identity, admin, yes, no",
		},
		{
			name: "before a 2.4", software: "nginx", want: "nginx, , , unknown, unknown",
			err: "a reverse proxy stands before the server",
		},
		{
			name: "nobody there", want: ", , , unknown, unknown", err: "connection refused",
			change: func(s *push.Source) { s.Dial = refuse },
		},
		{
			name: "no HTTP", want: "", err: "the server closed the connection without an answer",
			change: func(s *push.Source) { s.Dial = hangUp },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.server.Software = test.software
				ctx, cancel := context.WithCancel(t.Context())
				if test.inUse {
					r.run(ctx)
					frames := noise(1, 50)
					r.source.Play(track.Info{Title: "A - Title", StreamTitle: "A - Title", Header: frames[0].Header})
					r.source.Send(frames)
					synctest.Wait()
					if r.source.Status().State != push.OnAir {
						t.Fatal("not on the air")
					}
				}
				asker := &push.Source{Mount: r.source.Mount, Dial: r.source.Dial}
				if test.password != "" {
					asker.Mount.Password = test.password
				}
				if test.change != nil {
					test.change(asker)
				}
				format := test.format
				if format == frame.Unknown {
					format = frame.MPEG
				}
				f, err := asker.Check(t.Context(), format)
				got := fmt.Sprintf("%s, %s, %s, %v, %v", f.Server, f.Framing, f.Titles, f.Password, f.InUse)
				if test.want != "" && got != test.want {
					t.Errorf("%s, want %s", got, test.want)
				}
				if said := fmt.Sprint(err); (test.err == "") != (err == nil) || err != nil && !strings.HasPrefix(said, "http://radio.example:8000/live: ") || !strings.Contains(said, test.err) {
					t.Errorf("%v, want %s", err, test.err)
				}
				if want := strings.Contains(test.err, "401"); push.Denied(err) != want {
					t.Errorf("denied: %v", push.Denied(err))
				}
				if strings.Contains(fmt.Sprintf("%v %+v", err, f), password) {
					t.Error("the password is told")
				}

				// Nothing has changed: no source came, none went, and no title was set.
				streams := r.server.Streams()
				if len(r.server.AdminTitles()) > 0 || len(streams) > 1 || len(streams) > 0 != test.inUse {
					t.Errorf("titles %q, streams %d", r.server.AdminTitles(), len(streams))
				}
				if slices.ContainsFunc(r.server.Requests(), func(s string) bool { return strings.Contains(s, "kill") }) {
					t.Error(r.server.Requests())
				}
				if test.inUse {
					if r.source.Status().State != push.OnAir {
						t.Error("the stream that was there is gone")
					}
				} else {
					r.run(ctx)
				}
				cancel()
				r.end()
			})
		})
	}
}

func refuse(context.Context, string, string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

// hangUp is a server that closes each connection when it is asked something.
func hangUp(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	go func() {
		there.Read(make([]byte, 4096))
		there.Close()
	}()
	return here, nil
}

// TestCheckTLS shows what is said of an encrypted line, and of one that is not trusted, or
// does not trust us.
func TestCheckTLS(t *testing.T) {
	ca := pushtest.NewAuthority()
	config := &tls.Config{Certificates: []tls.Certificate{ca.Certificate("127.0.0.1")}}
	r := realRig(t, tls.NewListener(listener(t), config))
	r.source.TLS = &tls.Config{RootCAs: ca.Pool()}
	f, err := r.source.Check(t.Context(), frame.MPEG)
	if err != nil || !strings.HasPrefix(f.TLS, "TLS 1.3, a certificate for 127.0.0.1 until ") || f.Password != push.Yes || f.Address != r.source.Mount.Host {
		t.Errorf("%+v: %v", f, err)
	}
	r.source.TLS = &tls.Config{InsecureSkipVerify: true}
	if f, err := r.source.Check(t.Context(), frame.MPEG); err != nil || !strings.HasSuffix(f.TLS, ", not verified") {
		t.Errorf("%+v: %v", f, err)
	}
	r.source.TLS = nil
	var encryption *push.TLSError
	if _, err := r.source.Check(t.Context(), frame.MPEG); !errors.As(err, &encryption) || !push.Refused(err) {
		t.Errorf("%v, want a certificate nobody trusts", err)
	}

	picky := &tls.Config{Certificates: config.Certificates, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()}
	r = realRig(t, tls.NewListener(listener(t), picky))
	r.source.TLS = &tls.Config{RootCAs: ca.Pool()}
	if _, err := r.source.Check(t.Context(), frame.MPEG); err == nil || !strings.Contains(err.Error(), "wants a certificate from us") {
		t.Errorf("%v, want it to ask for our certificate", err)
	}
}

// TestCheckAdmin shows that the administrator's password is not taken for a source's.
func TestCheckAdmin(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "Icecast 2.4.4")
		if r.URL.Path == "/admin/metadata" {
			http.Error(w, "Source does not exist", http.StatusBadRequest)
			return
		}
		io.WriteString(w, "<icestats></icestats>")
	})}
	go server.Serve(l)
	defer server.Close()
	s := &push.Source{Mount: push.Mount{Host: l.Addr().String(), Path: "/live", User: "admin", Password: password}}
	if f, err := s.Check(t.Context(), frame.MPEG); err != nil || !f.Admin || f.Password != push.Untold || f.InUse != push.No {
		t.Errorf("%+v: %v", f, err)
	}
}

// TestCheckICY asks before a stream that goes as SHOUTcast has it.
func TestCheckICY(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		r.source.Mount.Protocol, r.source.Mount.Path = push.ICY, ""
		f, err := r.source.Check(t.Context(), frame.MPEG)
		if err != nil || f.Titles != "admin" || f.Password != push.Yes || f.InUse != push.No {
			t.Errorf("%+v: %v", f, err)
		}
		if _, err := r.source.Check(t.Context(), frame.Opus); err == nil {
			t.Error("Ogg does not go there")
		}
		if got := r.server.Requests(); slices.Contains(got, "ICY") {
			t.Error(got)
		}
		r.run(ctx)
		cancel()
		r.end()
	})
}
