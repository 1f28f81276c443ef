package s3_test

import (
	"bytes"
	"testing"

	"github.com/linkedin/goavro/v2"
)

// contentOf reads a file with another Avro library than the one that wrote it.
func contentOf(t testing.TB, b []byte) []map[string]any {
	t.Helper()
	r, err := goavro.NewOCFReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]any
	for r.Scan() {
		v, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v.(map[string]any))
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
