package s3_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/linkedin/goavro/v2"

	"docstream/internal/blob"
	"docstream/internal/testenv"
	"docstream/schemas"
	"docstream/sinks/s3"
)

// TestAFileOfAnotherVersionReadsTheSame: a version may write what this one does not know of, and leave out what it does not read.
func TestAFileOfAnotherVersionReadsTheSame(t *testing.T) {
	schema, err := os.ReadFile("envelope.avsc")
	if err != nil {
		t.Fatal(err)
	}
	o := objects(t, testenv.S3(t))
	for name, change := range map[string]func(fields []any) []any{
		"this one":       func(f []any) []any { return f },
		"of fewer words": func(f []any) []any { return f[:8] },
		"of more": func(f []any) []any {
			return append(f, map[string]any{"name": "colour", "type": "string", "default": "red"})
		},
		"in another order": func(f []any) []any {
			f[0], f[3], f[6] = f[6], f[0], f[3]
			return f
		},
	} {
		t.Run(name, func(t *testing.T) {
			topic := strings.ReplaceAll(name, " ", "-")
			log := written(rand.New(rand.NewPCG(40, 1)), topic, 0, 200)
			for i := range log {
				log[i].Timestamp, log[i].SchemaID = day, 7*(i%2)
			}
			s := sink(o, s3.DefaultConfig())
			open(t, s, schemas.Partition{Topic: topic, TopicID: "id"})
			appendAll(t, s, log)
			store(t, s)
			key := keys(t, o, "archive/"+topic+"/")[0]
			var like map[string]any
			if err := json.Unmarshal(schema, &like); err != nil {
				t.Fatal(err)
			}
			like["fields"] = change(like["fields"].([]any))
			put(t, o, key, rewritten(t, content(t, o, key), like))
			same(t, all(t, o, topic), log)
		})
	}
}

// rewritten is a file written by another library with another schema.
func rewritten(t *testing.T, b []byte, schema map[string]any) []byte {
	t.Helper()
	text, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	r, err := goavro.NewOCFReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	meta := map[string][]byte{}
	for k, v := range r.MetaData() {
		if !strings.HasPrefix(k, "avro.") {
			meta[k] = v
		}
	}
	var out bytes.Buffer
	w, err := goavro.NewOCFWriter(goavro.OCFConfig{W: &out, Schema: string(text), CompressionName: "deflate", MetaData: meta})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(contentOf(t, b)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestAFileThatLiesIsDamaged: what a file says of itself is not believed, whoever wrote it.
func TestAFileThatLiesIsDamaged(t *testing.T) {
	head := func(pairs ...string) string {
		b := "Obj\x01"
		for i := 0; i < len(pairs); i += 2 {
			b += "\x02" + long(len(pairs[i])) + pairs[i] + long(len(pairs[i+1])) + pairs[i+1]
		}
		return b + "\x00" + strings.Repeat("s", 16)
	}
	schema, err := os.ReadFile("envelope.avsc")
	if err != nil {
		t.Fatal(err)
	}
	good := []string{"avro.codec", "deflate", "avro.schema", string(schema), "docstream.span", `{"topic":"facts","first":0,"next":9,"records":9}`}
	o := objects(t, testenv.S3(t))
	for name, b := range map[string]string{
		"no schema":                  head("avro.codec", "deflate"),
		"another compression":        head(append([]string{"avro.codec", "zstandard"}, good[2:]...)...),
		"another record":             head("avro.codec", "deflate", "avro.schema", `{"type":"record","name":"Record","fields":[]}`, "docstream.span", good[5]),
		"a head without end":         "Obj\x01" + long(1<<40) + long(1<<40),
		"a head that is cut":         head(good...)[:40],
		"a key of a negative length": "Obj\x01\x02\x01",
		"too many records":           head(good...) + long(1<<40) + long(0) + strings.Repeat("s", 16),
		"a block of no end":          head(good...) + long(1) + long(1<<40),
		"a block that is cut":        head(good...) + long(1) + long(100) + "x",
		"another mark":               head(good...) + long(0) + long(0) + strings.Repeat("t", 16),
		"no records in a block":      head(good...) + long(1) + long(2) + "\x03\x00" + strings.Repeat("s", 16),
		"fewer records than it says": head(good...),
	} {
		t.Run(name, func(t *testing.T) {
			topic := strings.ReplaceAll(name, " ", "-")
			s := sink(o, s3.DefaultConfig())
			open(t, s, schemas.Partition{Topic: topic, TopicID: "id"})
			appendAll(t, s, written(rand.New(rand.NewPCG(41, 1)), topic, 0, 3)[:1])
			store(t, s)
			key := keys(t, o, "archive/"+topic+"/")[0]
			if err := o.Put(t.Context(), key, []byte(b), blob.Options{}); err != nil {
				t.Fatal(err)
			}
			var told []*s3.Damage
			r := s3.NewReader(o)
			r.Damaged = func(d *s3.Damage) error { told = append(told, d); return nil }
			err := r.Select(t.Context(), s3.Selection{Topics: []string{topic}, Next: 9}, func(schemas.Record) error { return nil })
			if err != nil || len(told) != 1 || told[0].File != key {
				t.Errorf("%v, told %v", err, told)
			}
		})
	}
}

// long is a number as Avro writes it.
func long(n int) string {
	var b []byte
	for u := uint64(n) << 1; ; u >>= 7 {
		if u < 0x80 {
			return string(append(b, byte(u)))
		}
		b = append(b, byte(u)|0x80)
	}
}
