package telemetry

import (
	"context"
	"encoding/hex"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// lines writes the plain ones, which nearly all are, as [slog.JSONHandler] would, at a fraction of its cost: a gateway writes one for each
// request. It leaves to that handler whatever is not plain.
type lines struct {
	w      *whole
	late   bool   // they may come a little later, see Unhurried
	prefix []byte // attributes that stand in every line, each behind a comma
	plain  bool   // all of them could be written
}

var rooms = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}

// with is the same with more attributes in every line.
func (l lines) with(as []slog.Attr) lines {
	prefix, ok := append([]byte(nil), l.prefix...), l.plain
	for i := 0; ok && i < len(as); i++ {
		prefix, ok = appendAttr(prefix, as[i])
	}
	return lines{l.w, l.late, prefix, ok}
}

// write writes a record and what the context says of itself; false where the line is not plain, and nothing was written.
func (l lines) write(ctx context.Context, r slog.Record) (bool, error) {
	if !l.plain || r.Time.IsZero() {
		return false, nil
	}
	room := rooms.Get().(*[]byte)
	defer rooms.Put(room)
	b := append((*room)[:0], `{"time":"`...)
	b = r.Time.Round(0).AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","level":"`...)
	b = append(b, r.Level.String()...)
	b = append(b, `","msg":`...)
	b, ok := appendText(b, Redact(r.Message))
	if !ok {
		return false, nil
	}
	if b, ok = appendContext(ctx, append(b, l.prefix...)); !ok {
		return false, nil
	}
	r.Attrs(func(a slog.Attr) bool { b, ok = appendAttr(b, a); return ok })
	if !ok {
		return false, nil
	}
	b = append(b, "}\n"...)
	if cap(b) <= 16<<10 {
		*room = b
	}
	if l.late {
		return true, l.w.later(b)
	}
	_, err := l.w.Write(b)
	return true, err
}

// appendContext writes what attrs says of a context. Those names are our own, so none of them has to be judged.
func appendContext(ctx context.Context, b []byte) (_ []byte, ok bool) {
	j := JobOf(ctx)
	for _, t := range j.texts() {
		if t[1] == "" {
			continue
		}
		b = append(append(append(b, `,"`...), t[0]...), `":`...)
		if b, ok = appendText(b, Redact(t[1])); !ok {
			return b, false
		}
	}
	if j.Page != 0 {
		b = strconv.AppendInt(append(b, `,"page":`...), int64(j.Page), 10)
	}
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		traced, span := sc.TraceID(), sc.SpanID()
		b = append(hex.AppendEncode(append(b, `,"trace_id":"`...), traced[:]), '"')
		b = append(hex.AppendEncode(append(b, `,"span_id":"`...), span[:]), '"')
	}
	return b, true
}

// appendAttr writes an attribute behind a comma; false where it is not plain.
func appendAttr(b []byte, a slog.Attr) (_ []byte, ok bool) {
	if a.Key == "" {
		return b, false
	}
	if b, ok = appendText(append(b, ','), a.Key); !ok {
		return b, false
	}
	return appendValue(append(b, ':'), a)
}

func appendValue(b []byte, a slog.Attr) ([]byte, bool) {
	switch a.Value.Kind() {
	case slog.KindString:
		if secret(a.Key) {
			return appendText(b, hidden)
		}
		return appendText(b, Redact(a.Value.String()))
	case slog.KindInt64:
		return strconv.AppendInt(b, a.Value.Int64(), 10), true
	case slog.KindBool:
		return strconv.AppendBool(b, a.Value.Bool()), true
	case slog.KindFloat64:
		f := a.Value.Float64()
		if f != 0 && !(f >= 1e-6 && f < 1e21) { // with an exponent, below nothing, or no number
			return b, false
		}
		return strconv.AppendFloat(b, f, 'f', -1, 64), true
	}
	return b, false
}

// appendText writes text in quotes; false where JSON would write a character of it otherwise.
func appendText(b []byte, s string) ([]byte, bool) {
	for i := range len(s) {
		if !asIs[s[i]] {
			return b, false
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"'), true
}

// asIs are the bytes that JSON writes as they are.
var asIs = func() (t [256]bool) {
	for c := byte(' '); c <= '~'; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()
