package pdf

import (
	"cmp"
	"slices"
)

// A region is either a grid of cells or a run of rows that are read one after another.
type region struct {
	rows  []row
	table *grid
}

// maxCuts bounds how deep regions are cut; a page that needs more is noise.
const maxCuts = 12

// order cuts the rows of a region at its gutters, so that columns are read one after another and tables stay together. A gutter is a
// band without text that runs through several rows with text on both sides.
func order(rows []row, em float64, depth int) []region {
	if len(rows) == 0 {
		return nil
	}
	if depth < maxCuts {
		if g, ok := findGrid(rows, em); ok {
			out := order(rows[:g.from], em, depth+1)
			out = append(out, region{table: &g})
			return append(out, order(rows[g.to:], em, depth+1)...)
		}
		if g, ok := widestGutter(rows, em); ok {
			left, right := split(rows[g.from:g.to], (g.x0+g.x1)/2)
			out := order(rows[:g.from], em, depth+1)
			out = append(out, order(left, em, depth+1)...)
			out = append(out, order(right, em, depth+1)...)
			return append(out, order(rows[g.to:], em, depth+1)...)
		}
	}
	return []region{{rows: rows}}
}

// split deals the words of rows to the two sides of a gutter.
func split(rows []row, x float64) (left, right []row) {
	for _, r := range rows {
		i := 0
		for i < len(r.words) && r.words[i].x0 < x {
			i++
		}
		if i > 0 {
			left = append(left, rowOf(r.words[:i]))
		}
		if i < len(r.words) {
			right = append(right, rowOf(r.words[i:]))
		}
	}
	return left, right
}

// gutter is a band from row from up to, not including, row to.
type gutter struct {
	x0, x1   float64
	from, to int
	both     int // rows with text on both sides
	last     int // the last of them
}

// gap is a stretch of a row without text; the outermost ones have no end.
type gap struct{ x0, x1 float64 }

func gapsOf(r row, least float64) []gap {
	const far = 1e9
	out := []gap{{-far, r.words[0].x0}}
	end := r.words[0].x1
	for _, w := range r.words[1:] {
		if w.x0-end >= least {
			out = append(out, gap{end, w.x0})
		}
		end = max(end, w.x1)
	}
	return append(out, gap{end, far})
}

const (
	gutterWidth = 0.7 // least width, in ems
	maxGutters  = 400 // followed at a time; a page with more has no columns
	farRow      = 3.0 // ems without text that end a column
)

// gutters follows bands without text down the rows and returns those that at least rowsBoth rows have text on both sides of.
func gutters(rows []row, em float64, rowsBoth int) []gutter {
	var open, done []gutter
	end := func(g gutter, at int) {
		g.to = at
		if g.both >= rowsBoth {
			done = append(done, g)
		}
	}
	for i, r := range rows {
		gaps := gapsOf(r, gutterWidth*em)
		torn := i > 0 && r.y0-rows[i-1].y1 > farRow*em
		var next []gutter
		for _, g := range open {
			kept := false
			for _, s := range gaps {
				x0, x1 := max(g.x0, s.x0), min(g.x1, s.x1)
				if torn || x1-x0 < gutterWidth*em {
					continue
				}
				n := g
				n.x0, n.x1 = x0, x1
				if s.x0 > -1e8 && s.x1 < 1e8 {
					n.both, n.last = n.both+1, i
				}
				kept = true
				next = append(next, n)
			}
			if !kept {
				end(g, i)
			}
		}
		for _, s := range gaps[1 : len(gaps)-1] {
			if !slices.ContainsFunc(next, func(g gutter) bool { return g.x0 <= s.x0+0.01 && g.x1 >= s.x1-0.01 }) {
				next = append(next, gutter{x0: s.x0, x1: s.x1, from: i, both: 1, last: i})
			}
		}
		if len(next) > maxGutters {
			next = next[:maxGutters]
		}
		open = next
	}
	for _, g := range open {
		end(g, len(rows))
	}
	return done
}

// widestGutter finds the gutter that separates columns of running text best: the one with the most rows on both sides.
func widestGutter(rows []row, em float64) (gutter, bool) {
	const least = 4
	all := gutters(rows, em, least)
	if len(all) == 0 {
		return gutter{}, false
	}
	best := slices.MaxFunc(all, func(a, b gutter) int {
		if c := cmp.Compare(a.both, b.both); c != 0 {
			return c
		}
		if c := cmp.Compare(a.x1-a.x0, b.x1-b.x0); c != 0 {
			return c
		}
		return cmp.Compare(b.x0, a.x0)
	})
	return best, true
}
