package ocr

import (
	"cmp"
	"slices"
)

const (
	bandRows  = 2    // rows of a table that may be made of several lines of text each, at least
	bandMore  = 2    // of these that have a cell of several lines, at least: one may be a head of two rows
	bandOver  = 0.3  // heights of a line by which the boxes of two lines of a cell overlap: they are a little larger than letters
	bandStep  = 0.15 // heights of a line by which gaps between rows are wider where no column has a single line in each
	bandClear = 0.1  // heights of a line by which the gaps between such rows are wider than those within
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
	anchor := 0
	for k, anchors := range columns {
		if len(anchors) < bandRows || len(anchors) >= len(text) {
			continue
		}
		if cuts := a.cuts(all, anchors); len(cuts) > len(best) {
			best, anchor = cuts, k
		}
	}
	if len(best) < bandRows-1 {
		if best = a.steps(all); len(best) < bandRows-1 {
			return text
		}
		if out := banded(all, best, gutters); wrapped(out, gutters) {
			return out
		}
		return text
	}
	out := banded(all, best, gutters)
	more := 0
	for _, r := range out {
		if inColumn(r, anchor, gutters) > 1 {
			return text
		}
		for i := 1; i < len(r); i++ {
			if r[i].box.Y0 > (r[i-1].box.Y0+r[i-1].box.Y1)/2 && r[i].box.X0 < r[i-1].box.X1 {
				more++
				break
			}
		}
	}
	if more < bandMore {
		return text
	}
	return out
}

// inColumn counts the pieces of a row that begin in a column.
func inColumn(row []piece, column int, gutters []gutter) (n int) {
	for _, p := range row {
		if from, _ := columnsOf(p.box, gutters); from == column {
			n++
		}
	}
	return n
}

// banded puts pieces into the rows between cuts, column by column, in each from top to bottom.
func banded(all []piece, cuts []float64, gutters []gutter) [][]piece {
	out := make([][]piece, len(cuts)+1)
	for _, p := range all {
		i, _ := slices.BinarySearch(cuts, (p.box.Y0+p.box.Y1)/2)
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

// wrapped reports whether rows look like cells of running text: each has its first cell, and where there are several lines the columns have
// unlike numbers of them. Rows that only stand in groups have as many lines in all columns.
func wrapped(bands [][]piece, gutters []gutter) bool {
	more := 0
	for _, r := range bands {
		lines := make([]int, len(gutters)+1)
		for i, p := range r {
			from, _ := columnsOf(p.box, gutters)
			if lines[from] == 0 || p.box.Y0 > (r[i-1].box.Y0+r[i-1].box.Y1)/2 {
				lines[from]++
			}
		}
		most, least, full := slices.Max(lines), slices.Max(lines), 0
		for _, n := range lines {
			if n > 0 {
				least = min(least, n)
			}
			if n == most {
				full++
			}
		}
		if lines[0] == 0 || most > 1 && (2*least > most || 2*full > len(lines)+1) {
			return false
		}
		if most > 1 {
			more++
		}
	}
	return more >= bandMore
}

// between is a gap that runs through all columns.
type between struct{ at, height float64 }

// gaps are the stretches between lines of text that run through all columns, and those where these overlap by little.
func (a *assembly) gaps(all []piece) (out []between) {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(x, y piece) int { return cmp.Compare(x.box.Y0, y.box.Y0) })
	end := sorted[0].box.Y1
	for _, p := range sorted[1:] {
		if p.box.Y0 > end-bandOver*a.body {
			out = append(out, between{(end + p.box.Y0) / 2, p.box.Y0 - end})
		}
		end = max(end, p.box.Y1)
	}
	return out
}

// steps are the heights of the gaps that are clearly wider than the others.
func (a *assembly) steps(all []piece) (cuts []float64) {
	gaps := a.gaps(all)
	heights := []float64{-bandOver * a.body}
	for _, g := range gaps {
		heights = append(heights, g.height)
	}
	slices.Sort(heights)
	step, least := bandStep*a.body, 0.0
	found := false
	for i := 1; i < len(heights); i++ {
		if s := heights[i] - heights[i-1]; s > step {
			step, least, found = s, heights[i], true
		}
	}
	for _, g := range gaps {
		if found && g.height >= least {
			cuts = append(cuts, g.at)
		}
	}
	return cuts
}

// cuts are the heights between rows of which each has one of the anchors, or nil where the gaps there are not wider than all others.
func (a *assembly) cuts(all, anchors []piece) []float64 {
	gaps := a.gaps(all)
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
