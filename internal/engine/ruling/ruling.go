// Package ruling finds the straight lines that are drawn on a page: the rules of tables and forms, across and down.
package ruling

import (
	"cmp"
	"slices"

	"docstream/internal/engine/raster"
)

// Rule is one drawn line, in pixels of the image. Across: from X From to To at the height At. Down: from Y From to To at the place At.
type Rule struct{ At, From, To float64 }

// Length of the rule.
func (r Rule) Length() float64 { return r.To - r.From }

// Settings of the search.
const (
	contrast   = 36   // levels a rule is darker than the paper on both sides of it; grey noise with a deviation of 28 stays below once smoothed
	smoothing  = 5    // pixels along the rule that are taken together, against noise; more would close the gaps in letters
	shortRun   = 24   // pixels in one row that count as part of a rule: a slant of half a degree leaves runs of 115
	closedGap  = 4    // pixels a run may be interrupted
	filled     = 0.8  // share of a run that is dark, at least: the foot of a line of letters is not
	across     = 2.2  // length of a rule across the page in heights of a line, at least: no letter is so wide
	down       = 1.25 // of one down the page: no letter is so high
	thickest   = 0.2  // of a rule, in heights of a line
	joined     = 1.0  // gap between two pieces of one rule, in heights of a line: dashes, dots, and places that a letter touches
	sameLine   = 4    // pixels two pieces of one rule may lie beside each other
	mostRuns   = 1 << 17
	mostPieces = 1 << 11 // that are put together; of more the longest: a screened picture has many
)

// Finder finds rules. It keeps its buffers and is for one goroutine at a time. The zero value is ready.
type Finder struct {
	turned []uint8
	sums   []int32
	smooth []uint8
}

// Find returns the rules across and down an image whose usual line of text is so many pixels high. Nothing but the arguments decides.
func (f *Finder) Find(im *raster.Image, line float64) (h, v []Rule) {
	if im.W < shortRun || im.H < shortRun || line <= 0 {
		return nil, nil
	}
	grey := im.Planes[1] // of a coloured page the green: what is printed in red or blue is dark in it
	h = f.along(grey, im.W, im.H, line, across*line)
	f.turned = grow(f.turned, len(grey))
	transpose(f.turned, grey, im.W, im.H)
	v = f.along(f.turned, im.H, im.W, line, down*line)
	return h, v
}

// transpose mirrors an image at its diagonal, in squares so that the memory near a pixel is used while it is near.
func transpose(dst, src []uint8, w, h int) {
	const square = 32
	for y0 := 0; y0 < h; y0 += square {
		for x0 := 0; x0 < w; x0 += square {
			for y := y0; y < min(y0+square, h); y++ {
				for x := x0; x < min(x0+square, w); x++ {
					dst[x*h+y] = src[y*w+x]
				}
			}
		}
	}
}

// run is a stretch of one row that is darker than what lies above and below.
type run struct{ y, from, to int }

// along finds the rules that run along the rows.
func (f *Finder) along(grey []uint8, w, h int, line, least float64) []Rule {
	f.blur(grey, w, h)
	reach := max(3, int(thickest*line)+1)
	var runs []run
	for y := reach; y < h-reach && len(runs) < mostRuns; y++ {
		here, above, below := f.smooth[y*w:(y+1)*w], f.smooth[(y-reach)*w:(y-reach+1)*w], f.smooth[(y+reach)*w:(y+reach+1)*w]
		from, last, dark := -1, 0, 0
		end := func() {
			if n := last + 1 - from; from >= 0 && n >= shortRun && float64(dark) >= filled*float64(n) {
				runs = append(runs, run{y, from, last + 1})
			}
			from, dark = -1, 0
		}
		for x := range w {
			if int(here[x])+contrast > int(min(above[x], below[x])) {
				continue
			}
			if from >= 0 && x-last > closedGap {
				end()
			}
			if from < 0 {
				from = x
			}
			last = x
			dark++
		}
		end()
	}
	return join(strokes(runs, float64(reach)), joined*line, least)
}

// blur takes the mean of the neighbours along the row.
func (f *Finder) blur(grey []uint8, w, h int) {
	f.smooth, f.sums = grow(f.smooth, w*h), grow(f.sums, w+1)
	for y := range h {
		row, out := grey[y*w:(y+1)*w], f.smooth[y*w:(y+1)*w]
		sum := int32(0)
		for x, v := range row {
			f.sums[x] = sum
			sum += int32(v)
		}
		f.sums[w] = sum
		for x := range out {
			lo, hi := max(x-smoothing/2, 0), min(x+smoothing/2+1, w)
			out[x] = uint8((f.sums[hi] - f.sums[lo]) / int32(hi-lo))
		}
	}
}

// stroke is what touching runs make up.
type stroke struct {
	Rule
	weight float64
	y      int // of the last run
	lo, hi int // of the last row
	thick  int // rows that any place of it has taken: a filled area has many
}

// strokes joins runs of neighbouring rows. What is thicker than a rule is left out: it is a bar, a picture or a letter.
func strokes(runs []run, thickest float64) []Rule {
	var open, done []*stroke
	for _, r := range runs { // by row
		kept := open[:0]
		var into *stroke
		for _, s := range open {
			if s.y < r.y-1 {
				done = append(done, s)
				continue
			}
			kept = append(kept, s)
			if s.y == r.y-1 && r.from <= s.hi+2 && s.lo <= r.to+2 && (into == nil || overlap(r, s) > overlap(r, into)) {
				into = s
			}
		}
		open = kept
		n := float64(r.to - r.from)
		if into == nil {
			open = append(open, &stroke{Rule{float64(r.y), float64(r.from), float64(r.to)}, n, r.y, r.from, r.to, 1})
			continue
		}
		if 2*overlap(r, into) > r.to-r.from {
			into.thick++
		} else {
			into.thick = 1 // a slant goes on to the side
		}
		into.At = (into.At*into.weight + float64(r.y)*n) / (into.weight + n)
		into.weight += n
		into.From, into.To = min(into.From, float64(r.from)), max(into.To, float64(r.to))
		into.y, into.lo, into.hi = r.y, r.from, r.to
	}
	var out []Rule
	for _, s := range append(done, open...) {
		if float64(s.thick) <= thickest {
			s.At += 0.5
			out = append(out, s.Rule)
		}
	}
	return out
}

func overlap(r run, s *stroke) int { return min(r.to, s.hi) - max(r.from, s.lo) }

// join puts pieces of one rule together and leaves out what stays short.
func join(pieces []Rule, gap, least float64) []Rule {
	if len(pieces) > mostPieces {
		slices.SortStableFunc(pieces, func(a, b Rule) int { return cmp.Compare(b.Length(), a.Length()) })
		pieces = pieces[:mostPieces]
	}
	slices.SortFunc(pieces, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.At, b.At), cmp.Compare(a.To, b.To))
	})
	var out []Rule
	for _, p := range pieces {
		best := -1
		for i := range out {
			o := out[i]
			if p.From-o.To <= gap && max(p.At, o.At)-min(p.At, o.At) <= sameLine && (best < 0 || o.To > out[best].To) {
				best = i
			}
		}
		if best < 0 {
			out = append(out, p)
			continue
		}
		o := &out[best]
		o.At = (o.At*o.Length() + p.At*p.Length()) / (o.Length() + p.Length())
		o.To = max(o.To, p.To)
	}
	out = slices.DeleteFunc(out, func(r Rule) bool { return r.Length() < least })
	slices.SortFunc(out, func(a, b Rule) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.From, b.From)) })
	return out
}

// grow returns a slice of n elements, the same memory where it suffices. The content is undefined.
func grow[T any](s []T, n int) []T {
	if cap(s) >= n {
		return s[:n]
	}
	return make([]T, n)
}
