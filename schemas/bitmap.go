package schemas

import (
	"iter"
	"math/bits"
)

// Bitmap is a set of pages: page n is bit (n-1)%8 of byte (n-1)/8. The nil bitmap is empty and ready to use.
type Bitmap []byte

// Has reports whether page is in the set. Pages below 1 never are.
func (b Bitmap) Has(page int) bool {
	i := page - 1
	return i >= 0 && i/8 < len(b) && b[i/8]&(1<<(i%8)) != 0
}

// Set returns the set with page in it, grown where needed; like append it may write into b. Pages below 1 change nothing.
func (b Bitmap) Set(page int) Bitmap {
	i := page - 1
	if i < 0 {
		return b
	}
	for len(b) <= i/8 {
		b = append(b, 0)
	}
	b[i/8] |= 1 << (i % 8)
	return b
}

// Count returns how many pages are in the set.
func (b Bitmap) Count() int {
	n := 0
	for _, v := range b {
		n += bits.OnesCount8(v)
	}
	return n
}

// All yields the pages in ascending order.
func (b Bitmap) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, v := range b {
			for v != 0 {
				if !yield(i*8 + bits.TrailingZeros8(v) + 1) {
					return
				}
				v &= v - 1
			}
		}
	}
}

// Ranges returns the same set as ranges.
func (b Bitmap) Ranges() Ranges {
	var out Ranges
	for page := range b.All() {
		if n := len(out); n > 0 && out[n-1].Last == page-1 {
			out[n-1].Last = page
			continue
		}
		out = append(out, Range{First: page, Last: page})
	}
	return out
}

// Clear returns the bitmap without page n.
func (b Bitmap) Clear(n int) Bitmap {
	if b.Has(n) {
		b[(n-1)/8] &^= 1 << ((n - 1) % 8)
	}
	return b
}
