package pdf

import (
	"cmp"
	"slices"
)

// lattice is a set of rules that meet: lines at xs and ys, and where between two places a rule runs.
type lattice struct {
	xs, ys []float64
	right  [][]bool // by row and column: a rule stands at the right of the place
	below  [][]bool // and below it
}

const (
	maxMeeting = 1000    // rules of one direction that are held against one another
	maxPlaces  = 100_000 // of one lattice
)

func (l *lattice) rect() rect { return rect{l.xs[0], l.ys[0], l.xs[len(l.xs)-1], l.ys[len(l.ys)-1]} }

// lattices finds the rules that meet, and level ones that lie below one another with equal ends. The largest comes first.
func (r *rules) lattices() []lattice {
	level, upright := merged(r.level), merged(r.upright)
	if len(level) > maxMeeting || len(upright) > maxMeeting || len(level) < 2 {
		return nil
	}
	group := make([]int, len(level)+len(upright)) // a forest: the parent of each rule
	for i := range group {
		group[i] = i
	}
	root := func(i int) int {
		for group[i] != i {
			group[i] = group[group[i]]
			i = group[i]
		}
		return i
	}
	for i, h := range level {
		for j, v := range upright {
			if v.at >= h.from-touching && v.at <= h.to+touching && h.at >= v.from-touching && h.at <= v.to+touching {
				group[root(i)] = root(len(level) + j)
			}
		}
	}
	levels, uprights := map[int][]rule{}, map[int][]rule{}
	var lone []rule
	for j, v := range upright {
		uprights[root(len(level)+j)] = append(uprights[root(len(level)+j)], v)
	}
	for i, h := range level {
		if k := root(i); len(uprights[k]) > 0 {
			levels[k] = append(levels[k], h)
		} else {
			lone = append(lone, h)
		}
	}
	var out []lattice
	for k, hs := range levels {
		if l, ok := newLattice(hs, uprights[k]); ok {
			out = append(out, l)
		}
	}
	out = append(out, ladders(lone)...)
	slices.SortFunc(out, func(a, b lattice) int {
		return cmp.Or(cmp.Compare(b.rect().area(), a.rect().area()), cmp.Compare(a.ys[0], b.ys[0]), cmp.Compare(a.xs[0], b.xs[0]))
	})
	return out
}

// ladders are level rules with equal ends, at least three.
func ladders(lone []rule) []lattice {
	var out []lattice
	used := make([]bool, len(lone))
	for i, a := range lone {
		if used[i] {
			continue
		}
		l := lattice{xs: []float64{a.from, a.to}}
		for j := i; j < len(lone); j++ {
			if b := lone[j]; !used[j] && max(b.from-a.from, a.from-b.from) <= touching && max(b.to-a.to, a.to-b.to) <= touching {
				used[j] = true
				l.ys = append(l.ys, b.at)
			}
		}
		if len(l.ys) >= 3 {
			l.wall(nil, nil)
			out = append(out, l)
		}
	}
	return out
}

// newLattice makes a lattice of rules that meet. A side that no rule closes is closed where most of the others end.
func newLattice(level, upright []rule) (lattice, bool) {
	var l lattice
	l.ys = openEnds(places(level), upright)
	l.xs = openEnds(places(upright), level)
	if len(l.xs) < 2 || len(l.ys) < 2 || len(l.xs)*len(l.ys) > maxPlaces {
		return l, false
	}
	l.wall(level, upright)
	return l, true
}

func places(rs []rule) []float64 {
	var out []float64
	for _, r := range rs {
		out = append(out, r.at)
	}
	slices.Sort(out)
	return slices.CompactFunc(out, func(a, b float64) bool { return max(a-b, b-a) <= touching })
}

// openEnds adds the ends that most of the crossing rules have beyond the outermost lines.
func openEnds(at []float64, crossing []rule) []float64 {
	const beyond = 6
	froms, tos := make([]float64, len(crossing)), make([]float64, len(crossing))
	for i, c := range crossing {
		froms[i], tos[i] = c.from, c.to
	}
	slices.Sort(froms)
	slices.Sort(tos)
	if low := froms[len(froms)/2]; low < at[0]-beyond {
		at = slices.Insert(at, 0, froms[0])
	}
	if high := tos[(len(tos)-1)/2]; high > at[len(at)-1]+beyond {
		at = append(at, tos[len(tos)-1])
	}
	return at
}

// wall notes where rules run between neighbouring places. The outermost sides are always closed.
func (l *lattice) wall(level, upright []rule) {
	rows, columns := len(l.ys)-1, len(l.xs)-1
	l.right, l.below = make([][]bool, rows), make([][]bool, rows)
	for y := range rows {
		l.right[y], l.below[y] = make([]bool, columns), make([]bool, columns)
		l.right[y][columns-1] = true
	}
	for x := range columns {
		l.below[rows-1][x] = true
	}
	if level == nil { // rungs without anything upright
		for y := range rows {
			l.below[y][0] = true
		}
		return
	}
	for _, v := range upright {
		x := index(l.xs, v.at)
		for y := range rows {
			if x > 0 && covers(v, l.ys[y], l.ys[y+1]) {
				l.right[y][x-1] = true
			}
		}
	}
	for _, h := range level {
		y := index(l.ys, h.at)
		for x := range columns {
			if y > 0 && covers(h, l.xs[x], l.xs[x+1]) {
				l.below[y-1][x] = true
			}
		}
	}
}

// index returns the place of a line, or -1.
func index(at []float64, v float64) int {
	return slices.IndexFunc(at, func(a float64) bool { return max(a-v, v-a) <= touching })
}

// covers reports whether a rule runs along most of a stretch.
func covers(r rule, from, to float64) bool {
	return min(r.to, to)-max(r.from, from) >= 0.7*(to-from)
}

// room is a cell of a lattice: places from row, column up to, not including, the others.
type room struct{ row, column, toRow, toColumn int }

// rooms returns the cells of rows from up to to, from top to bottom and left to right: places that no rule parts are one.
func (l *lattice) rooms(from, to int) []room {
	columns := len(l.xs) - 1
	taken := make([]bool, (to-from)*columns)
	var out []room
	for y := from; y < to; y++ {
		for x := range columns {
			if taken[(y-from)*columns+x] {
				continue
			}
			m := room{y, x, y + 1, x + 1}
			for m.toColumn < columns && !l.right[y][m.toColumn-1] && !taken[(y-from)*columns+m.toColumn] {
				m.toColumn++
			}
			for m.toRow < to && !slices.Contains(l.below[m.toRow-1][x:m.toColumn], true) {
				m.toRow++
			}
			for a := m.row; a < m.toRow; a++ {
				for b := m.column; b < m.toColumn; b++ {
					taken[(a-from)*columns+b] = true
				}
			}
			out = append(out, m)
		}
	}
	return out
}

// parts cuts a lattice into runs of rows that have columns in common, so that a form of many boxes is no table of many columns. A rule
// that runs from side to side must lie between two of them.
func (l *lattice) parts() [][2]int {
	rows, columns := len(l.ys)-1, len(l.xs)-1
	var out [][2]int
	start := 0
	so := map[int]bool{} // the columns of the run at hand
	for y := range rows {
		now := map[int]bool{}
		for x := range columns - 1 {
			if l.right[y][x] {
				now[x] = true
			}
		}
		common := 0
		for x := range now {
			if so[x] {
				common++
			}
		}
		least := min(len(now), len(so))
		if y > start && least > 0 && 2*common < least && !slices.Contains(l.below[y-1], false) {
			out = append(out, [2]int{start, y})
			start, so = y, map[int]bool{}
		}
		for x := range now {
			so[x] = true
		}
	}
	return append(out, [2]int{start, rows})
}
