package schemas_test

import (
	"slices"
	"testing"

	"docstream/schemas"
)

func TestBitmapHoldsThePagesSetInIt(t *testing.T) {
	for name, pages := range map[string][]int{
		"none":                nil,
		"the first":           {1},
		"around a byte":       {7, 8, 9},
		"far apart":           {1, 3000},
		"every page of bytes": {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
	} {
		t.Run(name, func(t *testing.T) {
			var b schemas.Bitmap
			for _, p := range slices.Backward(pages) {
				b = b.Set(p)
				b = b.Set(p) // twice is once
			}
			if got := slices.Collect(b.All()); !slices.Equal(got, pages) {
				t.Errorf("All yields %v, want %v", got, pages)
			}
			if b.Count() != len(pages) {
				t.Errorf("Count is %d, want %d", b.Count(), len(pages))
			}
			for _, p := range pages {
				if !b.Has(p) || b.Has(p+3001) {
					t.Errorf("Has is wrong around page %d", p)
				}
			}
		})
	}
}

func TestBitmapKeepsItsDocumentedLayout(t *testing.T) {
	b := schemas.Bitmap(nil).Set(1).Set(10)
	if !slices.Equal(b, []byte{0b1, 0b10}) {
		t.Errorf("pages 1 and 10 are %08b", []byte(b))
	}
}

func TestBitmapIgnoresPagesThatCannotBe(t *testing.T) {
	b := schemas.Bitmap(nil).Set(0).Set(-5)
	if len(b) != 0 || b.Has(0) || b.Has(-1) {
		t.Errorf("got %v", b)
	}
}

func TestBitmapAllStopsWhenAsked(t *testing.T) {
	n := 0
	for range (schemas.Bitmap{0xff}).All() {
		n++
		if n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("yielded %d", n)
	}
}

func TestABitmapAsRanges(t *testing.T) {
	for want, pages := range map[string][]int{"": nil, "1": {1}, "1-3,7,9-10": {10, 1, 2, 7, 3, 9}} {
		var b schemas.Bitmap
		for _, n := range pages {
			b = b.Set(n)
		}
		if got := b.Ranges().String(); got != want {
			t.Errorf("%v: %q, want %q", pages, got, want)
		}
	}
}
