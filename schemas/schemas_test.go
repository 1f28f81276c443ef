package schemas_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"pgregory.net/rapid"

	"docstream/schemas"
)

func newCodec(t testing.TB) (*schemas.Codec, *sr.Client) {
	t.Helper()
	registry := srfake.New()
	t.Cleanup(registry.Close)
	cl, err := sr.NewClient(sr.URLs(registry.URL()))
	if err != nil {
		t.Fatal(err)
	}
	return schemas.NewCodec(cl), cl
}

// fill sets every field below v to a drawn value.
func fill(rt *rapid.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.UnixMicro(rapid.Int64Range(1, 4e15).Draw(rt, "micros")).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(rt, v.Field(i))
		}
	case reflect.String:
		v.SetString(rapid.String().Draw(rt, "string"))
	case reflect.Int:
		v.SetInt(int64(rapid.Int32().Draw(rt, "int")))
	case reflect.Int64:
		v.SetInt(rapid.Int64().Draw(rt, "long"))
	case reflect.Float64:
		v.SetFloat(rapid.Float64().Draw(rt, "double"))
	case reflect.Map:
		m := rapid.MapOf(rapid.String(), rapid.String()).Draw(rt, "map")
		if len(m) > 0 {
			v.Set(reflect.ValueOf(m))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if b := rapid.SliceOf(rapid.Byte()).Draw(rt, "bytes"); len(b) > 0 {
				v.SetBytes(b)
			}
			return
		}
		if n := rapid.IntRange(0, 3).Draw(rt, "items"); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(rt, v.Index(i))
			}
		}
	default:
		rt.Fatalf("no way to fill a %s", v.Type())
	}
}

func TestEveryEventSurvivesTheWireUnchanged(t *testing.T) {
	c, _ := newCodec(t)
	for _, kind := range schemas.Kinds {
		if err := c.Register(t.Context(), kind+"-value", kind); err != nil {
			t.Fatal(err)
		}
		text, err := schemas.Schema(kind)
		if err != nil {
			t.Fatal(err)
		}
		oracle, err := goavro.NewCodec(text)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(kind, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				in := schemas.New(kind)
				fill(rt, reflect.ValueOf(in).Elem())
				wire, err := c.Encode(in)
				if err != nil {
					rt.Fatal(err)
				}
				out, err := c.Decode(context.Background(), wire)
				if err != nil {
					rt.Fatal(err)
				}
				if !reflect.DeepEqual(in, out) {
					rt.Fatalf("went in %+v, came out %+v", in, out)
				}
				native, rest, err := oracle.NativeFromBinary(wire[5:])
				if err != nil || len(rest) > 0 {
					rt.Fatalf("goavro alone cannot read it: %v, %d bytes left", err, len(rest))
				}
				if got := native.(map[string]any)["job_id"]; got != in.Envelope().JobID {
					rt.Fatalf("goavro reads job_id %v", got)
				}
			})
		})
	}
}

func TestOlderAndNewerWritersAreReadByNameWithDefaults(t *testing.T) {
	c, registry := newCodec(t)
	for _, w := range []struct {
		name, schema string
		value        map[string]any
		want         schemas.DocumentSubmitted
	}{
		{"an older writer lacks fields",
			`{"type":"record","name":"DocumentSubmitted","namespace":"docstream","fields":[{"name":"job_id","type":"string"}]}`,
			map[string]any{"job_id": "job_x"},
			schemas.DocumentSubmitted{Head: schemas.Head{JobID: "job_x"}, FromPage: 1, Class: "cpu", Priority: "normal", Options: schemas.Options{OCR: "auto"}}},
		{"a newer writer has more, in another order",
			`{"type":"record","name":"DocumentSubmitted","namespace":"docstream","fields":[{"name":"colour","type":"string"},{"name":"priority","type":"string"},{"name":"from_page","type":"int"},{"name":"job_id","type":"string"}]}`,
			map[string]any{"colour": "red", "priority": "high", "from_page": int32(33), "job_id": "job_y"},
			schemas.DocumentSubmitted{Head: schemas.Head{JobID: "job_y"}, FromPage: 33, Class: "cpu", Priority: "high", Options: schemas.Options{OCR: "auto"}}},
	} {
		t.Run(w.name, func(t *testing.T) {
			s, err := registry.CreateSchema(t.Context(), strings.ReplaceAll(w.name, " ", "-"), sr.Schema{Schema: w.schema})
			if err != nil {
				t.Fatal(err)
			}
			codec, err := goavro.NewCodec(w.schema)
			if err != nil {
				t.Fatal(err)
			}
			body, err := codec.BinaryFromNative(nil, w.value)
			if err != nil {
				t.Fatal(err)
			}
			var header sr.ConfluentHeader
			wire, _ := header.AppendEncode(nil, s.ID, nil)
			got, err := c.Decode(t.Context(), append(wire, body...))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, &w.want) {
				t.Errorf("got %+v, want %+v", got, &w.want)
			}
		})
	}
}

func TestBytesThatAreNoEventAreUndecodable(t *testing.T) {
	c, registry := newCodec(t)
	if err := c.Register(t.Context(), "p-value", "PageFinished"); err != nil {
		t.Fatal(err)
	}
	good, err := c.Encode(&schemas.PageFinished{Page: 1})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := registry.CreateSchema(t.Context(), "f", sr.Schema{Schema: `{"type":"record","name":"Foreign","fields":[{"name":"f","type":"Foreign"}]}`})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "plain JSON": []byte(`{"a":1}`), "an unknown schema id": {0, 0, 0, 9, 9, 1}, "cut short": good[:len(good)-1],
		"with bytes behind": append(append([]byte{}, good...), 0), "a record of somebody else": {0, 0, 0, 0, byte(foreign.ID)},
	} {
		if _, err := c.Decode(t.Context(), b); !errors.Is(err, schemas.ErrUndecodable) {
			t.Errorf("%s: %v, want undecodable", name, err)
		}
	}
}

// A record says how many items it has before it has them: what is believed of it must not end the process.
func TestTheCountInARecordIsNotTrustedWithMemory(t *testing.T) {
	c, registry := newCodec(t)
	for name, kind := range map[string]string{"array": `{"type":"array","items":"string"}`, "map": `{"type":"map","values":"string"}`} {
		s, err := registry.CreateSchema(t.Context(), name, sr.Schema{Schema: `{"type":"record","name":"PageFinished","fields":[{"name":"f","type":` + kind + `}]}`})
		if err != nil {
			t.Fatal(err)
		}
		for _, count := range []int64{1 << 18, 1<<31 - 1, 1<<62 - 1, -1 << 62} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err = c.Decode(t.Context(), binary.AppendVarint([]byte{0, 0, 0, 0, byte(s.ID)}, count))
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, schemas.ErrUndecodable) || used > 64<<20 {
				t.Errorf("%s of %d items: %v after %d bytes, want undecodable within 64 MiB", name, count, err, used)
			}
		}
	}
}

func TestARegistryThatIsAwayIsNotTheRecordsFault(t *testing.T) {
	registry := srfake.New()
	cl, err := sr.NewClient(sr.URLs(registry.URL()))
	if err != nil {
		t.Fatal(err)
	}
	registry.Close()
	if _, err := schemas.NewCodec(cl).Decode(t.Context(), []byte{0, 0, 0, 0, 1, 0}); err == nil || errors.Is(err, schemas.ErrUndecodable) {
		t.Errorf("got %v, want an error that can be waited out", err)
	}
}

func TestARegistryThatBreaksOffIsAskedAgain(t *testing.T) {
	registry := srfake.New()
	t.Cleanup(registry.Close)
	target, err := url.Parse(registry.URL())
	if err != nil {
		t.Fatal(err)
	}
	onward := httputil.NewSingleHostReverseProxy(target)
	for name, c := range map[string]struct {
		broken  int // calls of each way that are broken off
		answers bool
	}{"not at all": {0, true}, "once": {1, true}, "always": {1 << 30, false}} {
		t.Run(name, func(t *testing.T) {
			var looked, made atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls := &looked
				if strings.HasSuffix(r.URL.Path, "/versions") {
					calls = &made
				}
				switch n := int(calls.Add(1)); {
				case n > c.broken:
					onward.ServeHTTP(w, r)
				case calls == &made:
					w.WriteHeader(http.StatusBadGateway)
				default:
					panic(http.ErrAbortHandler)
				}
			}))
			defer server.Close()
			cl, err := sr.NewClient(sr.URLs(server.URL))
			if err != nil {
				t.Fatal(err)
			}
			err = schemas.NewCodec(cl).Register(t.Context(), strings.ReplaceAll(name, " ", "-")+"-value", "Tick")
			if answers := err == nil; answers != c.answers {
				t.Errorf("after %d look-ups and %d registrations: %v", looked.Load(), made.Load(), err)
			}
		})
	}
}

// compatible reports why two schemas of a kind cannot run side by side, in either direction.
func compatible(old, now string) error {
	a, err := avro.Parse(old)
	if err != nil {
		return err
	}
	b, err := avro.Parse(now)
	if err != nil {
		return err
	}
	return errors.Join(avro.CheckCompatibility(a, b), avro.CheckCompatibility(b, a))
}

func TestEveryReleasedSchemaIsReadableBothWays(t *testing.T) {
	files, err := filepath.Glob("released/*/*.avsc")
	if err != nil || len(files) < len(schemas.Kinds) {
		t.Fatalf("%d released schemas: %v", len(files), err)
	}
	for _, f := range files {
		old, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		now, err := schemas.Schema(strings.TrimSuffix(filepath.Base(f), ".avsc"))
		if err != nil {
			t.Errorf("%s was released and is gone", f)
			continue
		}
		if err := compatible(string(old), now); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestIncompatibleChangesAreRefused(t *testing.T) {
	base, err := schemas.Schema("PageFailed")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, from, to string
		fine           bool
	}{
		{"a new field with a default", `"fields": [`, `"fields": [{"name":"colour","type":"string","default":""},`, true},
		{"a new field without a default", `"fields": [`, `"fields": [{"name":"colour","type":"string"},`, false},
		{"a field renamed without a default", `{"name": "code", "type": "string", "default": ""`, `{"name": "kode", "type": "string"`, false},
		{"a field of another type", `{"name": "page", "type": "int", "default": 0`, `{"name": "page", "type": "string", "default": ""`, false},
		{"a field widened one way only", `{"name": "page", "type": "int"`, `{"name": "page", "type": "long"`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := strings.Replace(base, c.from, c.to, 1)
			if now == base {
				t.Fatal("the change did not apply")
			}
			if err := compatible(base, now); (err == nil) != c.fine {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestEveryFieldHasADocStringAndADefault(t *testing.T) {
	var walk func(t *testing.T, v any)
	walk = func(t *testing.T, v any) {
		switch v := v.(type) {
		case map[string]any:
			if v["type"] == "record" && v["doc"] == "" {
				t.Errorf("%v has no doc", v["name"])
			}
			fields, _ := v["fields"].([]any)
			for _, f := range fields {
				m := f.(map[string]any)
				if m["doc"] == nil || m["default"] == nil {
					t.Errorf("field %v lacks a doc string or a default", m["name"])
				}
				walk(t, m["type"])
			}
			walk(t, v["items"])
		}
	}
	for _, kind := range schemas.Kinds {
		text, err := schemas.Schema(kind)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		walk(t, v)
	}
}

func TestTheTableOfCodesIsClosed(t *testing.T) {
	src, err := os.ReadFile("codes.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`Code = "([A-Z_]+)"`).FindAllStringSubmatch(string(src), -1)
	if len(declared) != len(schemas.Codes) {
		t.Errorf("%d codes are declared, %d are in the table", len(declared), len(schemas.Codes))
	}
	for _, d := range declared {
		info, ok := schemas.Codes[schemas.Code(d[1])]
		if !ok || info.HTTP < 200 || info.HTTP > 599 || info.Meaning == "" || strings.HasSuffix(info.Meaning, "..") {
			t.Errorf("%s is missing from the table, or lacks a status or a meaning", d[1])
		}
	}
}

func TestIdentities(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	a, b := schemas.NewJobID(now), schemas.NewJobID(now.Add(time.Second))
	if !schemas.ValidJobID(a) || !schemas.ValidJobID(b) || a >= b {
		t.Errorf("%s and %s are not valid ids in the order of time", a, b)
	}
	if schemas.JobIDFor("d", "ab", "c") == schemas.JobIDFor("d", "a", "bc") {
		t.Error("different parts give the same id")
	}
	if got, want := schemas.EventIDFor(a, 0, "ocr", 1, "PageFinished", 0), schemas.EventIDFor(a, 0, "ocr", 1, "PageFinished", 0); got != want {
		t.Error("the same work has two event ids")
	}
	for id, want := range map[string]bool{"job_": false, "job_0123456789abcdefghjkmnpqrs": true, "job_0123456789abcdefghjkmnpqri": false, "job_0123456789ABCDEFGHJKMNPQRS": false, "../x": false} {
		if schemas.ValidJobID(id) != want {
			t.Errorf("ValidJobID(%q) is %v", id, !want)
		}
	}
	for name, want := range map[string]bool{"acme": true, "a-1": true, "": false, "A": false, "a/b": false, strings.Repeat("a", 41): false} {
		if schemas.ValidTenant(name) != want {
			t.Errorf("ValidTenant(%q) is %v", name, !want)
		}
	}
}

func TestSignatures(t *testing.T) {
	k := schemas.SigningKey{ID: "k1", Secret: []byte("secret")}
	checker := k.Checker()
	good := k.Sign("topic", []byte("value"))
	for _, c := range []struct {
		name, signature, topic, value string
		want                          bool
	}{
		{"the record it was made for", good, "topic", "value", true},
		{"another topic", good, "topi", "cvalue", false},
		{"another value", good, "topic", "valuf", false},
		{"another key's name", "k2" + good[2:], "topic", "value", false},
		{"nothing", "", "topic", "value", false},
		{"no base64", "k1:%%", "topic", "value", false},
	} {
		if got := k.Verify(c.signature, c.topic, []byte(c.value)); got != c.want || checker.Verify(c.signature, c.topic, []byte(c.value)) != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		text, want string
		total      int
		ok         bool
	}{
		{"", "", 9, true}, {"1-3,7", "1-3,7", 9, true}, {" 7 , 1-3", "1-3,7", 9, true}, {"1-3,2-5,6", "1-6", 9, true}, {"5-", "5-9", 9, true}, {"8-20", "8-9", 9, true},
		{"20", "", 9, true}, {"0", "", 9, false}, {"3-1", "", 9, false}, {"a", "", 9, false}, {"1,,2", "", 9, false}, {"-3", "", 9, false}, {"99999999999999999999", "", 9, false},
		{strings.Repeat("1,", 1000) + "1", "", 9, false},
	} {
		r, err := schemas.ParseRanges(c.text)
		if (err == nil) != c.ok {
			t.Errorf("%.20q: %v", c.text, err)
			continue
		}
		if got := r.Clip(1, c.total).String(); got != c.want {
			t.Errorf("%.20q: got %q, want %q", c.text, got, c.want)
		}
		n := 0
		for range r.Clip(1, c.total).All() {
			n++
		}
		if n != r.Clip(1, c.total).Count() {
			t.Errorf("%.20q: All yields %d pages, Count says %d", c.text, n, r.Clip(1, c.total).Count())
		}
	}
}

func FuzzRanges(f *testing.F) {
	for _, s := range []string{"", "1-3,7", "5-", "7,1-3,2", "1,,2", "0", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := schemas.ParseRanges(text)
		if err != nil {
			return
		}
		last := 0
		for _, x := range r {
			if x.First <= last+1 && last > 0 || x.First < 1 || x.Last < x.First {
				t.Fatalf("%q gives %v", text, r)
			}
			last = x.Last
		}
		if again, err := schemas.ParseRanges(r.String()); err != nil || again.String() != r.String() {
			t.Fatalf("%q is written as %q, which reads as %q: %v", text, r, again, err)
		}
	})
}

func BenchmarkEncodeAndDecode(b *testing.B) {
	c, _ := newCodec(b)
	if err := c.Register(b.Context(), "p", "PageFinished"); err != nil {
		b.Fatal(err)
	}
	e := &schemas.PageFinished{Page: 7, Head: schemas.Head{JobID: schemas.NewJobID(time.Now())}, Costs: []schemas.StageCost{{Stage: "ocr"}, {Stage: "layout"}}}
	for b.Loop() {
		w, err := c.Encode(e)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Decode(b.Context(), w); err != nil {
			b.Fatal(err)
		}
	}
}
