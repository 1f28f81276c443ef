package sample

import (
	"bytes"
	"crypto/sha256"
	"io"
	"strings"
	"testing"
)

func TestSameOptionsSameBytes(t *testing.T) {
	for _, o := range []Options{Default(), {Pages: 5, Text: true, Seed: 3}, {Pages: 4, DPI: 72, Brief: true}} {
		var a, b bytes.Buffer
		if err := Write(&a, o); err != nil {
			t.Fatal(err)
		}
		if err := Write(&b, o); err != nil {
			t.Fatal(err)
		}
		if sha256.Sum256(a.Bytes()) != sha256.Sum256(b.Bytes()) {
			t.Errorf("%+v: two documents differ", o)
		}
		if !bytes.HasPrefix(a.Bytes(), []byte("%PDF-1.4")) || !bytes.HasSuffix(a.Bytes(), []byte("%%EOF\n")) {
			t.Errorf("%+v: not a whole PDF", o)
		}
		if n := bytes.Count(a.Bytes(), []byte("/Type /Page ")); n != o.Pages {
			t.Errorf("%+v: %d pages", o, n)
		}
	}
}

func TestSeedChangesLaterPages(t *testing.T) {
	a, err := Truth(Options{Pages: 4, DPI: 150, Seed: 1}, 4)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Truth(Options{Pages: 4, DPI: 150, Seed: 2}, 4)
	if err != nil {
		t.Fatal(err)
	}
	if a == b {
		t.Error("another seed gave the same page")
	}
}

func TestTruthHoldsEveryWord(t *testing.T) {
	for page := 1; page <= 6; page++ {
		text, err := Truth(Default(), page)
		if err != nil {
			t.Fatal(err)
		}
		c := words(page, Default().Seed)
		want := append([]string{c.heading}, c.paragraphs...)
		want = append(want, c.list...)
		for _, row := range c.table {
			want = append(want, strings.Join(row, " "))
		}
		if got, all := strings.Fields(text), strings.Fields(strings.Join(want, " ")); strings.Join(got, " ") != strings.Join(all, " ") {
			t.Errorf("page %d: truth is\n%s\nwant the words of\n%s", page, got, all)
		}
	}
}

func TestNothingLeavesThePage(t *testing.T) {
	ts, err := newTypesetter()
	if err != nil {
		t.Fatal(err)
	}
	for page := 1; page <= 200; page++ {
		if s := ts.set(words(page, 7)); s.y > pageHeight-margin/2 {
			t.Errorf("page %d ends at %.0f of %d points", page, s.y, pageHeight)
		}
	}
}

func TestTruthOfAllPages(t *testing.T) {
	var b bytes.Buffer
	if err := WriteTruth(&b, Options{Pages: 3, Text: true}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\f"); n != 2 {
		t.Errorf("%d form feeds between 3 pages", n)
	}
}

func TestRefusals(t *testing.T) {
	for _, o := range []Options{{Pages: 0, DPI: 150}, {Pages: 5001, DPI: 150}, {Pages: 1, DPI: 30}} {
		if Write(io.Discard, o) == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestAWriterThatFails(t *testing.T) {
	if err := Write(full{}, Options{Pages: 1, Text: true}); err == nil {
		t.Error("a failed write was not reported")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func BenchmarkScannedPage(b *testing.B) {
	for b.Loop() {
		if err := Write(io.Discard, Options{Pages: 1, DPI: 150, Seed: 1}); err != nil {
			b.Fatal(err)
		}
	}
}
