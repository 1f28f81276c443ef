package engine_test

import (
	"testing"

	"docstream/internal/engine"
)

// FuzzMessage reads what a child, whose memory a document may have written over, could send.
func FuzzMessage(f *testing.F) {
	f.Add(engine.EncodeCall("m"))
	f.Add([]byte("\x01\x00\x00\x00\xff\xff\xff\x00x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := engine.ReadMessage(b, 1<<16); n > 1<<16 {
			t.Fatalf("a body of %d bytes", n)
		}
	})
}
