package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"docstream/internal/telemetry"
)

// plainHandler writes warnings and errors as plain lines, for a person who watches.
type plainHandler struct {
	w     io.Writer
	attrs []slog.Attr
	mu    sync.Mutex
}

// Enabled lets warnings and what is worse pass.
func (h *plainHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle writes one line.
func (h *plainHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString("docstream: " + strings.ToLower(r.Level.String()) + ":")
	add := func(a slog.Attr) bool {
		if a.Key == "role" {
			b.WriteString(" " + a.Value.String() + ":")
		}
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	b.WriteString(" " + r.Message)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "role" {
			fmt.Fprintf(&b, " (%s: %v)", a.Key, a.Value)
		}
		return true
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := fmt.Fprintln(h.w, telemetry.Redact(b.String()))
	return err
}

// WithAttrs keeps what a part says of itself.
func (h *plainHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &plainHandler{w: h.w, attrs: append(append([]slog.Attr{}, h.attrs...), attrs...)}
}

// WithGroup is not used here.
func (h *plainHandler) WithGroup(string) slog.Handler { return h }
