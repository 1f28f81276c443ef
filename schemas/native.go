package schemas

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"time"
)

// The functions here carry single values between the Go types and goavro's native form, or what JSON makes of it. A value that is missing or of another type
// than expected reads as the default: an older or newer writer is read by name.

func (h *Head) native(m map[string]any) {
	m["event_id"], m["tenant"], m["job_id"] = h.EventID, h.Tenant, h.JobID
	m["run"], m["at"], m["submitted_at"] = int32(h.Run), timeOut(h.At), timeOut(h.SubmittedAt)
}

func (h *Head) load(m map[string]any) {
	h.EventID, h.Tenant, h.JobID = stringIn(m, "event_id", ""), stringIn(m, "tenant", ""), stringIn(m, "job_id", "")
	h.Run, h.At, h.SubmittedAt = int(intIn(m, "run", 0)), timeIn(m, "at"), timeIn(m, "submitted_at")
}

// timeOut writes the zero time as 0, so that "never" survives the journey.
func timeOut(t time.Time) time.Time {
	if t.IsZero() {
		return time.UnixMicro(0).UTC()
	}
	return t.UTC().Truncate(time.Microsecond)
}

func bytesOut(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func mapOut(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

func stringsOut(s []string) []any {
	out := make([]any, len(s))
	for i, v := range s {
		out[i] = v
	}
	return out
}

func recordsOut[T any](s []T, native func(*T) map[string]any) []any {
	out := make([]any, len(s))
	for i := range s {
		out[i] = native(&s[i])
	}
	return out
}

func stringIn(m map[string]any, name, def string) string {
	if s, ok := m[name].(string); ok {
		return s
	}
	return def
}

func intIn(m map[string]any, name string, def int64) int64 {
	switch v := m[name].(type) {
	case int32:
		return int64(v)
	case int64:
		return v
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
	}
	return def
}

func doubleIn(m map[string]any, name string) float64 {
	switch v := m[name].(type) {
	case float64:
		return v
	case float32:
		return float64(v)
	case json.Number:
		f, _ := v.Float64()
		return f
	}
	return 0
}

func bytesIn(m map[string]any, name string) []byte {
	switch b := m[name].(type) {
	case []byte:
		if len(b) > 0 {
			return bytes.Clone(b) // goavro's slice lies inside the record: growing it would write over the next field
		}
	case string:
		if d, err := base64.StdEncoding.DecodeString(b); err == nil && len(d) > 0 {
			return d
		}
	}
	return nil
}

func timeIn(m map[string]any, name string) time.Time {
	t, ok := m[name].(time.Time)
	if s, is := m[name].(string); is {
		var err error
		t, err = time.Parse(time.RFC3339Nano, s)
		ok = err == nil
	}
	if ok && t.UnixMicro() != 0 {
		return t.UTC()
	}
	return time.Time{}
}

func mapIn(m map[string]any, name string) map[string]string {
	in, _ := m[name].(map[string]any)
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]string, len(in))
	for k, v := range in {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}

func stringsIn(m map[string]any, name string) []string {
	in, _ := m[name].([]any)
	if len(in) == 0 {
		return nil
	}
	out := make([]string, 0, len(in))
	for _, v := range in {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func recordIn(m map[string]any, name string) map[string]any {
	r, _ := m[name].(map[string]any)
	return r
}

func recordsIn[T any](m map[string]any, name string, load func(*T, map[string]any)) []T {
	in, _ := m[name].([]any)
	if len(in) == 0 {
		return nil
	}
	out := make([]T, len(in))
	for i, v := range in {
		r, _ := v.(map[string]any)
		load(&out[i], r)
	}
	return out
}
