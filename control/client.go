package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"time"
)

// maxAnswer is how long an answer may be, in bytes.
const maxAnswer = 4 << 20

// Client asks an icepush. Errors that it answers with are a [Refusal].
type Client struct {
	Where string // the path of a socket, or an address and port
	Token string // "" for none
}

// Status asks what it is doing.
func (c *Client) Status(ctx context.Context) (st Status, err error) {
	return st, c.ask(ctx, http.MethodGet, "/status", nil, &st)
}

// Next asks what plays next.
func (c *Client) Next(ctx context.Context, mount string) (next Upcoming, err error) {
	return next, c.ask(ctx, http.MethodGet, "/next?mount="+url.QueryEscape(mount), nil, &next)
}

// Skip ends the track.
func (c *Client) Skip(ctx context.Context, mount string) error {
	return c.ask(ctx, http.MethodPost, "/skip", request{Mount: mount}, nil)
}

// Queue has files played behind the track. It returns how many wait then.
func (c *Client) Queue(ctx context.Context, mount string, files []string) (waiting int, err error) {
	var r reply
	err = c.ask(ctx, http.MethodPost, "/queue", request{Mount: mount, Files: files}, &r)
	if r.Waiting != nil {
		waiting = *r.Waiting
	}
	return waiting, err
}

// Title shows a text; "" gives the track's own title back.
func (c *Client) Title(ctx context.Context, mount, text string) error {
	return c.ask(ctx, http.MethodPost, "/title", request{Mount: mount, Text: &text}, nil)
}

// Reload has the list read again; now has the track end, too.
func (c *Client) Reload(ctx context.Context, mount string, now bool) error {
	return c.ask(ctx, http.MethodPost, "/reload", request{Mount: mount, Now: now}, nil)
}

// Stop ends the show, at once or behind the track.
func (c *Client) Stop(ctx context.Context, afterTrack bool) error {
	return c.ask(ctx, http.MethodPost, "/stop", request{After: afterTrack}, nil)
}

// SetLevel changes what is logged.
func (c *Client) SetLevel(ctx context.Context, level string) error {
	return c.ask(ctx, http.MethodPost, "/log", request{Level: level}, nil)
}

// ask sends a request, with the JSON of in, and reads that of the answer into out.
func (c *Client) ask(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	network, host := "tcp", c.Where
	if IsPath(c.Where) {
		network, host = "unix", "localhost"
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, c.Where)
		},
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+host+path, body)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Where, err)
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return fmt.Errorf("%s: %w", c.Where, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: %w", c.Where, err)
	}
	if resp.StatusCode != http.StatusOK {
		var said struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(b, &said) != nil || said.Error == "" {
			return fmt.Errorf("%s: this is no icepush: it answers %s", c.Where, resp.Status)
		}
		return &Refusal{resp.StatusCode, errors.New(said.Error)}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s: this is no icepush: %w", c.Where, err)
	}
	return nil
}

// Found is an icepush that runs.
type Found struct {
	Where  string
	Status Status
}

// maxFound is how many sockets are tried.
const maxFound = 256

// Find looks for all that run for this user and can be reached by their socket.
func Find(ctx context.Context) (found []Found) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var names []string
	for _, dir := range Folders() {
		in, _ := filepath.Glob(filepath.Join(dir, "*"+ending))
		names = append(names, in...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, name := range names[:min(len(names), maxFound)] {
		c := Client{Where: name}
		if st, err := c.Status(ctx); err == nil {
			found = append(found, Found{name, st})
		}
	}
	return found
}
