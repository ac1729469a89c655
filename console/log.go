package console

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Logger returns a logger that writes lines to the console: for people, or as JSON. The
// level may change.
func (c *Console) Logger(level slog.Leveler, json bool) *slog.Logger {
	if json {
		return slog.New(slog.NewJSONHandler(lines{c}, &slog.HandlerOptions{Level: level}))
	}
	return slog.New(&handler{c: c, level: level})
}

// lines writes whole lines above the bar.
type lines struct{ c *Console }

func (l lines) Write(p []byte) (int, error) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.c.clear()
	n, err := l.c.w.Write(p)
	l.c.draw()
	return n, err
}

// handler writes records as "20:00:00 message: key value, key value". What is no plain
// text is quoted, so that a title or the answer of a server cannot forge a line.
type handler struct {
	c     *Console
	level slog.Leveler
	attrs []slog.Attr
	group string
}

func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		with.attrs = append(with.attrs, slog.Attr{Key: h.group + a.Key, Value: a.Value})
	}
	return &with
}

func (h *handler) WithGroup(name string) slog.Handler {
	with := *h
	with.group = h.group + name + "."
	return &with
}

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	var b bytes.Buffer
	b.WriteString(r.Time.Format(time.TimeOnly))
	b.WriteByte(' ')
	switch {
	case r.Level >= slog.LevelError:
		b.WriteString("error: ")
	case r.Level >= slog.LevelWarn:
		b.WriteString("warning: ")
	}
	b.WriteString(r.Message)
	sep := ": "
	attr := func(a slog.Attr) bool {
		value := text(a.Value.Resolve())
		if value == "" {
			return true
		}
		b.WriteString(sep)
		if a.Key != "err" && a.Key != "hint" {
			b.WriteString(a.Key + " ")
		}
		b.WriteString(value)
		sep = ", "
		if a.Key == "err" {
			sep = "; "
		}
		return true
	}
	for _, a := range h.attrs {
		attr(a)
	}
	r.Attrs(func(a slog.Attr) bool { return attr(slog.Attr{Key: h.group + a.Key, Value: a.Value}) })
	b.WriteByte('\n')
	_, err := lines{h.c}.Write(b.Bytes())
	return err
}

// text returns a value for people.
func text(v slog.Value) string {
	s := fmt.Sprint(v.Any())
	if v.Kind() == slog.KindString {
		s = v.String()
	}
	if strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return strconv.Quote(s)
	}
	return s
}
