package main

import (
	"os"
	"path/filepath"
	"testing"
)

func FuzzConfig(f *testing.F) {
	f.Add([]byte("kafka:\n  brokers: [a:1]\nprepare:\n  max_pages: 3\n"))
	f.Add([]byte("engine: {slots: -1}\nnobody: 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		name := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _ = load(layers{file: name}) // an error or a configuration, and it ends
	})
}
