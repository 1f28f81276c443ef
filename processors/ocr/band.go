package ocr

import (
	"cmp"
	"slices"
)

const (
	bandRows  = 2   // rows of a table that may be made of several lines of text each, at least
	bandMore  = 2   // lines of text more than rows, at least: one more may be a head of two rows
	bandClear = 0.1 // heights of a line by which the gaps between such rows are wider than those within
)

// bands puts the lines of text of a table together that make one row: the lines of a cell stand closer than rows do, and one column has
// a single line in each row. Where there is no such column every line of text is a row, as it is given.
func (a *assembly) bands(text [][]piece, gutters []gutter) [][]piece {
	var all []piece
	columns := make([][]piece, len(gutters)+1)
	for _, r := range text {
		for _, p := range r {
			all = append(all, p)
			if from, to := columnsOf(p.box, gutters); from == to {
				columns[from] = append(columns[from], p)
			}
		}
	}
	var best []float64
	for _, anchors := range columns {
		if len(anchors) < bandRows || len(anchors) >= len(text) {
			continue
		}
		if cuts := a.cuts(all, anchors); len(cuts) > len(best) {
			best = cuts
		}
	}
	if len(best) < bandRows-1 || len(text)-len(best)-1 < bandMore {
		return text
	}
	out := make([][]piece, len(best)+1)
	for _, p := range all {
		i, _ := slices.BinarySearch(best, (p.box.Y0+p.box.Y1)/2)
		out[i] = append(out[i], p)
	}
	for _, r := range out {
		slices.SortStableFunc(r, func(x, y piece) int {
			i, _ := columnsOf(x.box, gutters)
			k, _ := columnsOf(y.box, gutters)
			return cmp.Or(cmp.Compare(i, k), cmp.Compare(x.box.Y0+x.box.Y1, y.box.Y0+y.box.Y1))
		})
	}
	return out
}

// cuts are the heights between rows of which each has one of the anchors, or nil where the gaps there are not wider than all others.
func (a *assembly) cuts(all, anchors []piece) []float64 {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(x, y piece) int { return cmp.Compare(x.box.Y0, y.box.Y0) })
	type gap struct{ at, height float64 }
	var gaps []gap
	end := sorted[0].box.Y1
	for _, p := range sorted[1:] {
		if p.box.Y0 > end-bandClear*a.body*3 { // boxes are a little larger than letters
			gaps = append(gaps, gap{(end + p.box.Y0) / 2, p.box.Y0 - end})
		}
		end = max(end, p.box.Y1)
	}
	middles := make([]float64, len(anchors))
	for i, p := range anchors {
		middles[i] = (p.box.Y0 + p.box.Y1) / 2
	}
	slices.Sort(middles)
	var cuts []float64
	narrowest, widest := 0.0, -a.body // of the gaps between rows, and within
	for i := 1; i < len(middles); i++ {
		best := -1
		for k, g := range gaps {
			if g.at > middles[i-1] && g.at < middles[i] && (best < 0 || g.height > gaps[best].height) {
				best = k
			}
		}
		if best < 0 {
			return nil
		}
		if len(cuts) == 0 || gaps[best].height < narrowest {
			narrowest = gaps[best].height
		}
		cuts = append(cuts, gaps[best].at)
	}
	for _, g := range gaps {
		if !slices.Contains(cuts, g.at) {
			widest = max(widest, g.height)
		}
	}
	if narrowest < widest+bandClear*a.body {
		return nil
	}
	return cuts
}
