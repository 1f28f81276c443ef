package telemetry

import (
	"context"
	"io"
	"log/slog"
)

// NewLogger returns a logger that writes one JSON object a line, with the attributes given here in every line, what the context carries
// (see [With]) at the top level, and no secret. A level it does not know means info; [Config.Validate] refuses one earlier.
func NewLogger(w io.Writer, lvl string, attrs ...slog.Attr) *slog.Logger {
	l, _ := level(lvl)
	to := &whole{w: w}
	var h slog.Handler = slog.NewJSONHandler(to, &slog.HandlerOptions{Level: l, ReplaceAttr: redact})
	if len(attrs) > 0 {
		h = h.WithAttrs(attrs)
	}
	return slog.New(&handler{root: h, lines: lines{w: to, plain: true}.with(attrs)})
}

// handler adds the context's attributes. Those belong to the top level, so what was said with an open group is kept aside and said again
// after them.
type handler struct {
	root    slog.Handler
	lines   lines // as the root writes them
	grouped []func(slog.Handler) slog.Handler
}

func (h *handler) Enabled(ctx context.Context, l slog.Level) bool { return h.root.Enabled(ctx, l) }

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if len(h.grouped) == 0 { // in one record, which costs less than a handler of its own
		if done, err := h.lines.write(ctx, r); done {
			return err
		}
		whole := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
		whole.AddAttrs(attrs(ctx)...)
		r.Attrs(func(a slog.Attr) bool { whole.AddAttrs(a); return true })
		return h.root.Handle(ctx, whole)
	}
	to := h.root
	if as := attrs(ctx); len(as) > 0 {
		to = to.WithAttrs(as)
	}
	for _, f := range h.grouped {
		to = f(to)
	}
	return to.Handle(ctx, r)
}

func (h *handler) WithAttrs(as []slog.Attr) slog.Handler {
	if len(as) == 0 {
		return h
	}
	if len(h.grouped) == 0 {
		return &handler{root: h.root.WithAttrs(as), lines: h.lines.with(as)}
	}
	return h.with(func(to slog.Handler) slog.Handler { return to.WithAttrs(as) })
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.with(func(to slog.Handler) slog.Handler { return to.WithGroup(name) })
}

func (h *handler) with(f func(slog.Handler) slog.Handler) slog.Handler {
	return &handler{root: h.root, lines: h.lines, grouped: append(h.grouped[:len(h.grouped):len(h.grouped)], f)}
}
