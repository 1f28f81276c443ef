package track_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/linkedin/goavro/v2"

	"docstream/processors/track"
	"docstream/schemas"
)

// release is the log of a released build: facts it folded, in order, what it emitted for each, and the state that it wrote.
type release struct {
	t       *testing.T
	schemas map[uint32]string // text, by id
	kinds   map[string]bool   // those the build wrote
	read    schemas.Archived
	lines   []string
}

// released reads testdata/released/N.log, which the build wrote whose schemas lie in schemas/released/N. A line says what it is and, in
// base64, the record's value.
func released(t *testing.T, path string) *release {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := &release{t: t, schemas: map[uint32]string{}, kinds: map[string]bool{}}
	folder := strings.TrimSuffix(filepath.Base(path), ".log")
	for line := range strings.Lines(string(b)) {
		var id uint32
		var kind string
		if n, _ := fmt.Sscanf(line, "schema %d %s", &id, &kind); n < 2 {
			r.lines = append(r.lines, strings.TrimSpace(line))
			continue
		}
		text, err := os.ReadFile(filepath.Join("..", "..", "schemas", "released", folder, kind+".avsc"))
		if err != nil {
			t.Fatal(err)
		}
		r.schemas[id], r.kinds[kind] = string(text), true
	}
	return r
}

func (r *release) text(wire []byte) string { return r.schemas[binary.BigEndian.Uint32(wire[1:])] }

// decode reads with the schema that the build wrote with.
func (r *release) decode(_ context.Context, wire []byte) (schemas.Event, error) {
	return r.read.Decode(schemas.Record{Value: wire, Schema: r.text(wire)})
}

// native is what a value says, field by field, in the words of a schema.
func native(t *testing.T, text string, wire []byte) any {
	t.Helper()
	c, err := goavro.NewCodec(text)
	if err != nil {
		t.Fatal(err)
	}
	v, _, err := c.NativeFromBinary(wire[5:])
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// covers reports where what is said now does not say what was said then; what is said besides, in fields that came later, counts for nothing.
func covers(at string, now, then any) string {
	switch then := then.(type) {
	case map[string]any:
		now, _ := now.(map[string]any)
		for k, v := range then {
			if where := covers(at+"."+k, now[k], v); where != "" {
				return where
			}
		}
		return ""
	case []any:
		now, _ := now.([]any)
		if len(now) != len(then) {
			return fmt.Sprintf("%s: %v, was %v", at, now, then)
		}
		for i := range then {
			if where := covers(fmt.Sprintf("%s[%d]", at, i), now[i], then[i]); where != "" {
				return where
			}
		}
		return ""
	case []byte: // bitmaps may end in zeros
		now, _ := now.([]byte)
		if !bytes.Equal(bytes.TrimRight(now, "\x00"), bytes.TrimRight(then, "\x00")) {
			return fmt.Sprintf("%s: %x, was %x", at, now, then)
		}
		return ""
	}
	if !reflect.DeepEqual(now, then) {
		return fmt.Sprintf("%s: %v, was %v", at, now, then)
	}
	return ""
}

// says fails where an event of this build does not say what the released build wrote.
func (r *release) says(line int, e schemas.Event, was []byte) {
	r.t.Helper()
	wire, err := codec.Encode(e)
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := schemas.Schema(e.Kind())
	if err != nil {
		r.t.Fatal(err)
	}
	if where := covers(e.Kind(), native(r.t, text, wire), native(r.t, r.text(was), was)); where != "" {
		r.t.Errorf("line %d: %s", line, where)
	}
}

// emitted keeps the events of kinds that the build knew.
func (r *release) emitted(out []schemas.Event) []schemas.Event {
	return slices.DeleteFunc(out, func(e schemas.Event) bool { return !r.kinds[e.Kind()] })
}

// TestTheLogsOfReleasedBuildsMeanWhatTheyMeant: this build folds the facts that a released build wrote, emits what that build emitted and comes
// to the states that it came to; and it goes on to the same states from each of them as that build wrote it. So both run side by side.
func TestTheLogsOfReleasedBuildsMeanWhatTheyMeant(t *testing.T) {
	logs, err := filepath.Glob("testdata/released/*.log")
	if err != nil || len(logs) < 2 {
		t.Fatalf("%v %v", logs, err)
	}
	for _, path := range logs {
		for from, restored := range map[string]bool{"its own states": false, "the states of the released build": true} {
			t.Run(filepath.Base(path)+" from "+from, func(t *testing.T) {
				r := released(t, path)
				fold := track.New(track.DefaultConfig(), r.decode)
				states := map[string]*schemas.JobSnapshot{}
				var out []schemas.Event
				key, moved, facts := "", false, 0
				for i, line := range r.lines {
					what, text, _ := strings.Cut(line, " ")
					wire, err := base64.StdEncoding.DecodeString(text)
					if err != nil {
						t.Fatal(err)
					}
					e, err := r.decode(t.Context(), wire)
					if err != nil {
						t.Fatalf("line %d: %v", i, err)
					}
					switch what {
					case "fact":
						if moved || len(out) > 0 {
							t.Errorf("line %d: the fact before it moved the state (%t) and emitted %d events more", i, moved, len(out))
						}
						facts++
						key = fold.Key(e)
						states[key], moved, out, err = fold.Apply(t.Context(), states[key], e)
						if err != nil {
							t.Fatalf("line %d: %v", i, err)
						}
						if out = r.emitted(out); restored {
							out = nil // a state that rests was told of before
						}
					case "out":
						if restored {
							continue
						}
						if len(out) == 0 {
							t.Fatalf("line %d: %s is not emitted any more", i, e.Kind())
						}
						r.says(i, out[0], wire)
						out = out[1:]
					case "state":
						if !moved {
							t.Errorf("line %d: the fact changes nothing any more", i)
						}
						moved = false
						r.says(i, states[key], wire)
						if restored {
							states[key] = fold.Rest(e.(*schemas.JobSnapshot))
						}
					}
				}
				if facts < 30 || len(states) < 9 {
					t.Errorf("only %d facts of %d jobs", facts, len(states))
				}
			})
		}
	}
}
