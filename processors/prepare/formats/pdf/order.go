package pdf

import (
	"cmp"
	"regexp"
	"slices"
)

// A region is either a grid of cells or a run of rows that are read one after another.
type region struct {
	rows  []row
	table *grid
}

// A page that needs more than these is noise, and is read line by line.
const (
	maxCuts  = 12     // of regions inside regions
	maxWords = 10_000 // in a region that is cut
)

// order cuts the words of a region at its gutters, so that columns are read one after another and tables stay together. A gutter is a
// band without text that runs through several rows with text on both sides.
func order(words []word, em float64, depth int) []region {
	if len(words) == 0 {
		return nil
	}
	rows := rowsOf(words)
	if depth == maxCuts || len(words) > maxWords {
		return []region{{rows: rows}}
	}
	if g, ok := findGrid(rows, em); ok {
		out := order(wordsOf(rows[:g.from]), em, depth+1)
		for _, part := range g.split(em) {
			out = append(out, region{table: &part})
		}
		return append(out, order(wordsOf(rows[g.to:]), em, depth+1)...)
	}
	if g, ok := widestGutter(rows, em); ok {
		left, right := split(wordsOf(rows[g.from:g.to]), (g.x0+g.x1)/2)
		out := order(wordsOf(rows[:g.from]), em, depth+1)
		out = append(out, order(left, em, depth+1)...)
		out = append(out, order(right, em, depth+1)...)
		return append(out, order(wordsOf(rows[g.to:]), em, depth+1)...)
	}
	return []region{{rows: rows}}
}

func wordsOf(rows []row) []word {
	var out []word
	for _, r := range rows {
		out = append(out, r.words...)
	}
	return out
}

// split deals words to the two sides of a gutter.
func split(words []word, x float64) (left, right []word) {
	for _, w := range words {
		if w.x0 < x {
			left = append(left, w)
		} else {
			right = append(right, w)
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
type gap struct {
	x0, x1 float64
	label  bool // to its left stands no more than the number or bullet of what is to its right
}

func gapsOf(r row, least float64) []gap {
	const far = 1e9
	out := []gap{{x0: -far, x1: r.words[0].x0}}
	end := r.words[0].x1
	for i, w := range r.words[1:] {
		if w.x0-end >= least {
			out = append(out, gap{end, w.x0, label.MatchString(r.words[i].text)})
		}
		end = max(end, w.x1)
	}
	return append(out, gap{x0: end, x1: far})
}

// label is a word that only numbers or marks what follows it.
var label = regexp.MustCompile(`^(\(?(\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]|[•◦▪■●○‣⁃∙·*–—-])$`)

const (
	gutterWidth = 0.7 // least width, in ems
	maxGutters  = 200 // followed at a time; a page with more has no columns
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
				if s.x0 > -1e8 && s.x1 < 1e8 && !s.label {
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
			if !s.label && !slices.ContainsFunc(next, func(g gutter) bool { return g.x0 <= s.x0+0.01 && g.x1 >= s.x1-0.01 }) {
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
	// A column may begin higher and end lower than its neighbour: rows on one side only belong to it too, up to a wide gap.
	for best.from > 0 && beside(rows, best, best.from-1, best.from, em) {
		best.from--
	}
	for best.to < len(rows) && beside(rows, best, best.to, best.to-1, em) {
		best.to++
	}
	return best, true
}

// beside reports whether row i keeps clear of the gutter and lies close to row j.
func beside(rows []row, g gutter, i, j int, em float64) bool {
	gap := max(rows[i].y0-rows[j].y1, rows[j].y0-rows[i].y1)
	return gap < em && !slices.ContainsFunc(rows[i].words, func(w word) bool { return w.x0 < g.x1 && w.x1 > g.x0 })
}
