package text_test

import (
	"testing"
	"unicode/utf8"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/text"
)

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"\xff\xfeO\x00", "\xd6l f\xfcr alle", "\x82\xb1\x82\xf1", "\xef\xbb\xbfx"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if out := text.Decode(in); !utf8.ValidString(out) {
			t.Fatalf("%q became %q", in, out)
		}
	})
}

func FuzzStructured(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`))
	f.Add([]byte(`{"a": [1, "b"]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := formatstest.Read(t, text.NewStructured(), text.XML, in); err != nil && fault.KindOf(err) != fault.Permanent {
			t.Fatal(err)
		}
		if _, err := formatstest.Read(t, text.New(), text.Plain, in); err != nil && fault.KindOf(err) != fault.Permanent {
			t.Fatal(err)
		}
	})
}
