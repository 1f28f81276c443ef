// Package reading puts the boxes of a page in the order a person reads them: whole-width blocks from top to bottom, columns between
// them from left to right.
package reading

import (
	"cmp"
	"slices"
)

// Box is a rectangle with its origin at the top left.
type Box struct{ X0, Y0, X1, Y1 float64 }

// Width of the box.
func (b Box) Width() float64 { return b.X1 - b.X0 }

// Height of the box.
func (b Box) Height() float64 { return b.Y1 - b.Y0 }

// Area of the box, 0 for an empty one.
func (b Box) Area() float64 { return max(0, b.Width()) * max(0, b.Height()) }

// Intersect returns what two boxes share.
func (b Box) Intersect(o Box) Box {
	return Box{max(b.X0, o.X0), max(b.Y0, o.Y0), min(b.X1, o.X1), min(b.Y1, o.Y1)}
}

// Shared is the area two boxes share.
func (b Box) Shared(o Box) float64 { return b.Intersect(o).Area() }

// Union returns the smallest box around both.
func (b Box) Union(o Box) Box {
	return Box{min(b.X0, o.X0), min(b.Y0, o.Y0), max(b.X1, o.X1), max(b.Y1, o.Y1)}
}

// Around returns the smallest box around all.
func Around(boxes []Box) Box {
	if len(boxes) == 0 {
		return Box{}
	}
	a := boxes[0]
	for _, b := range boxes[1:] {
		a = a.Union(b)
	}
	return a
}

// Order returns the indices of boxes in reading order. It cuts recursively: at a gutter that runs through all boxes into columns; else
// at the gaps between rows, where rows that share a gutter stay together, so that two columns whose paragraphs happen to end at the same
// height are not read across. What cannot be cut is read from top to bottom. slack is how far boxes may overlap and still be cut apart.
// Equal input gives equal output.
func Order(boxes []Box, slack float64) []int {
	all := make([]int, len(boxes))
	for i := range all {
		all[i] = i
	}
	o := orderer{boxes, slack}
	return o.cut(all, 0)
}

type orderer struct {
	boxes []Box
	slack float64
}

// maxDepth bounds the recursion; real pages need four or five.
const maxDepth = 40

func (o orderer) cut(set []int, depth int) []int {
	if len(set) < 2 || depth > maxDepth {
		return o.topDown(set)
	}
	if columns := o.split(set, vertical); len(columns) > 1 {
		return o.each(columns, depth)
	}
	rows := o.split(set, horizontal)
	if len(rows) < 2 {
		return o.topDown(set)
	}
	return o.each(o.bands(rows), depth)
}

func (o orderer) each(groups [][]int, depth int) (out []int) {
	for _, g := range groups {
		out = append(out, o.cut(g, depth+1)...)
	}
	return out
}

type axis bool

const (
	vertical   axis = true  // a cut from top to bottom: into columns
	horizontal axis = false // a cut from left to right: into rows
)

// split separates the set at every gap along an axis.
func (o orderer) split(set []int, a axis) [][]int {
	span := func(i int) (float64, float64) {
		b := o.boxes[i]
		lo, hi := b.Y0, b.Y1
		if a == vertical {
			lo, hi = b.X0, b.X1
		}
		if d := min(o.slack, (hi-lo)/4); d > 0 {
			return lo + d, hi - d
		}
		return lo, hi
	}
	sorted := slices.Clone(set)
	slices.SortStableFunc(sorted, func(i, j int) int {
		a, _ := span(i)
		b, _ := span(j)
		return cmp.Or(cmp.Compare(a, b), cmp.Compare(i, j))
	})
	var groups [][]int
	end := 0.0
	for k, i := range sorted {
		lo, hi := span(i)
		if k == 0 || lo > end {
			groups = append(groups, nil)
			end = hi
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], i)
		end = max(end, hi)
	}
	return groups
}

// bands joins consecutive rows as long as they still share a gutter.
func (o orderer) bands(rows [][]int) [][]int {
	var out [][]int
	for _, r := range rows {
		if n := len(out); n > 0 {
			joined := append(slices.Clone(out[n-1]), r...)
			if len(o.split(out[n-1], vertical)) > 1 && len(o.split(joined, vertical)) > 1 {
				out[n-1] = joined
				continue
			}
			// A single box above or below columns belongs to them if it lies within one of them.
			if len(out[n-1]) == 1 && len(o.split(r, vertical)) > 1 && len(o.split(joined, vertical)) == len(o.split(r, vertical)) &&
				o.narrow(out[n-1][0], joined) {
				out[n-1] = joined
				continue
			}
		}
		out = append(out, r)
	}
	return out
}

// narrow reports whether a box is much narrower than the set it would join.
func (o orderer) narrow(i int, set []int) bool {
	var boxes []Box
	for _, j := range set {
		boxes = append(boxes, o.boxes[j])
	}
	return o.boxes[i].Width() < 0.6*Around(boxes).Width()
}

func (o orderer) topDown(set []int) []int {
	out := slices.Clone(set)
	slices.SortStableFunc(out, func(i, j int) int {
		a, b := o.boxes[i], o.boxes[j]
		return cmp.Or(cmp.Compare(a.Y0, b.Y0), cmp.Compare(a.X0, b.X0), cmp.Compare(i, j))
	})
	return out
}
