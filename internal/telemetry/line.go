package telemetry

import (
	"log/slog"
	"strconv"
	"sync"
	"time"
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
	prefix, ok := appendAttrs(append([]byte(nil), l.prefix...), as)
	return lines{l.w, l.late, prefix, l.plain && ok}
}

// write writes a line of a record's own and the attributes given; false where it is not plain, and nothing was written.
func (l lines) write(r slog.Record, as []slog.Attr) (bool, error) {
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
	b = append(b, l.prefix...)
	if b, ok = appendAttrs(b, as); !ok {
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

// appendAttrs writes attributes, each behind a comma; false where one is not plain.
func appendAttrs(b []byte, as []slog.Attr) (_ []byte, ok bool) {
	for _, a := range as {
		if a.Key == "" {
			return b, false
		}
		b = append(b, ',')
		if b, ok = appendText(b, a.Key); !ok {
			return b, false
		}
		b = append(b, ':')
		if b, ok = appendValue(b, a); !ok {
			return b, false
		}
	}
	return b, true
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
