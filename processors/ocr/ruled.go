package ocr

import (
	"math"
	"slices"

	"docstream/internal/engine/raster"
	"docstream/internal/engine/reading"
	"docstream/internal/engine/ruling"
	"docstream/schemas/document"
)

// Shares that decide where rules make a table.
const (
	crossReach  = 0.5  // heights of a line that two rules may fall short of each other and still meet
	sameRule    = 0.35 // heights of a line two rules may lie apart and be one border
	drawnShare  = 0.6  // of a cell's side that must be drawn to part it from its neighbour
	ruledPlaces = 4    // places in a grid, at least: less is a frame around text
	mostPlaces  = 1 << 14
	proseNote   = 20 // words of a row from side to side below a table, from which they are a note to it
	loneRows    = 4  // times as many cells in the column before, at least, where those that begin alone belong to that
)

// rules finds what is drawn on a page, without its slant.
func (r *Reader) rules(im *raster.Image, a *assembly) (across, down []ruling.Rule) {
	if a.slant != 0 {
		sin, cos := math.Sincos(a.slant)
		x, y := a.width/2, a.height/2
		raster.Warp(&r.level, im, im.W, im.H, raster.Affine{X0: x - x*cos + y*sin, XX: cos, XY: -sin, Y0: y - x*sin - y*cos, YX: sin, YY: cos})
		im = &r.level
	}
	return r.ruler.Find(im, a.body)
}

// lattice is the grid that rules draw, without the page's slant.
type lattice struct {
	xs, ys []float64 // of the borders
	h, v   []ruling.Rule
	reach  float64
}

// lattices groups rules that meet and makes a grid of each group.
func (a *assembly) lattices(h, v []ruling.Rule) (out []lattice) {
	reach := crossReach * a.body
	group := make([]int, len(h)+len(v)) // of each rule the one that stands for its group
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
	for i, x := range h {
		for k, y := range v {
			if y.At > x.From-reach && y.At < x.To+reach && x.At > y.From-reach && x.At < y.To+reach {
				group[root(len(h)+k)] = root(i)
			}
		}
	}
	for i := range group {
		if root(i) != i {
			continue
		}
		l := lattice{reach: reach}
		for k := range group {
			switch {
			case root(k) != i:
			case k < len(h):
				l.h = append(l.h, h[k])
			default:
				l.v = append(l.v, v[k-len(h)])
			}
		}
		l.h, l.v = l.met(l.h, l.v), l.met(l.v, l.h)
		l.ys, l.xs = borders(l.h, l.v, sameRule*a.body, reach), borders(l.v, l.h, sameRule*a.body, reach)
		if rows, columns := len(l.ys)-1, len(l.xs)-1; rows > 0 && columns > 0 && rows*columns >= ruledPlaces && rows*columns <= mostPlaces {
			out = append(out, l)
		}
	}
	return out
}

// met are the rules that end at others, or beyond all of them. What ends between two is no border: the feet of letters in a row, say.
func (l *lattice) met(rules, crossing []ruling.Rule) []ruling.Rule {
	if len(crossing) == 0 {
		return nil
	}
	first, last := crossing[0].At, crossing[0].At
	for _, c := range crossing {
		first, last = min(first, c.At), max(last, c.At)
	}
	return slices.DeleteFunc(slices.Clone(rules), func(r ruling.Rule) bool {
		near := func(end float64) bool {
			return slices.ContainsFunc(crossing, func(c ruling.Rule) bool { return math.Abs(c.At-end) <= l.reach })
		}
		return !(r.From < first || near(r.From)) || !(r.To > last || near(r.To))
	})
}

// borders are the places of rules, those that lie together once, and the ends of the rules that cross them where no border is drawn there:
// many tables are open at their sides.
func borders(rules, crossing []ruling.Rule, same, reach float64) []float64 {
	var at []float64
	for _, r := range rules {
		at = append(at, r.At)
	}
	slices.Sort(at)
	var out []float64
	n := 0.0
	for _, x := range at {
		if k := len(out); k > 0 && x-out[k-1] <= same {
			out[k-1] += (x - out[k-1]) / (n + 1)
			n++
			continue
		}
		out, n = append(out, x), 1
	}
	if len(out) == 0 || len(crossing) == 0 {
		return out
	}
	from, to := crossing[0].From, crossing[0].To
	for _, c := range crossing {
		from, to = min(from, c.From), max(to, c.To)
	}
	if from < out[0]-2*reach {
		out = slices.Insert(out, 0, from)
	}
	if to > out[len(out)-1]+2*reach {
		out = append(out, to)
	}
	return out
}

func (l *lattice) box() reading.Box {
	return reading.Box{X0: l.xs[0], Y0: l.ys[0], X1: l.xs[len(l.xs)-1], Y1: l.ys[len(l.ys)-1]}
}

// drawn reports whether rules at a place cover most of a side.
func drawn(rules []ruling.Rule, at, from, to, reach float64) bool {
	covered := 0.0
	for _, r := range rules {
		if r.At > at-reach && r.At < at+reach {
			covered += max(0, min(r.To, to)-max(r.From, from))
		}
	}
	return covered >= drawnShare*(to-from)
}

// area is a cell of the grid: places that no rule parts.
type area struct{ row, column, rows, columns int }

// areas are the cells of the grid, and of each place the cell it belongs to.
func (l *lattice) areas() (cells []area, of [][]int) {
	rows, columns := len(l.ys)-1, len(l.xs)-1
	of = make([][]int, rows)
	for i := range of {
		of[i] = slices.Repeat([]int{-1}, columns)
	}
	right := func(i, k int) bool { return drawn(l.v, l.xs[k+1], l.ys[i], l.ys[i+1], l.reach) }
	below := func(i, k int) bool { return drawn(l.h, l.ys[i+1], l.xs[k], l.xs[k+1], l.reach) }
	for i := range rows {
		for k := range columns {
			if of[i][k] >= 0 {
				continue
			}
			c := area{i, k, 1, 1}
			for k+c.columns < columns && of[i][k+c.columns] < 0 && !right(i, k+c.columns-1) {
				c.columns++
			}
			for i+c.rows < rows && l.open(c, of, right, below) {
				c.rows++
			}
			for y := i; y < i+c.rows; y++ {
				for x := k; x < k+c.columns; x++ {
					of[y][x] = len(cells)
				}
			}
			cells = append(cells, c)
		}
	}
	return cells, of
}

// open reports whether nothing parts a cell from the places below it, and nothing those from each other.
func (l *lattice) open(c area, of [][]int, right, below func(i, k int) bool) bool {
	next := c.row + c.rows
	for k := c.column; k < c.column+c.columns; k++ {
		if of[next][k] >= 0 || below(next-1, k) || k+1 < c.column+c.columns && right(next, k) {
			return false
		}
	}
	return true
}

// ruled makes tables of the lines that lie in grids of rules, and returns the rest.
func (a *assembly) ruled(lines []placed) (tables []draft, rest []placed) {
	grids := a.lattices(a.across, a.down)
	if len(grids) == 0 {
		return nil, lines
	}
	inside := make([][]placed, len(grids))
	for _, l := range lines {
		best := -1
		for i := range grids { // of grids within each other the smaller one
			b := grids[i].box()
			if s := b.Shared(l.flat) / max(l.flat.Area(), 1); s > insideShare && (best < 0 || b.Area() < grids[best].box().Area()) {
				best = i
			}
		}
		if best < 0 {
			rest = append(rest, l)
			continue
		}
		inside[best] = append(inside[best], l)
	}
	for i := range grids {
		t, beside := a.fill(&grids[i], inside[i])
		if t == nil {
			rest = append(rest, inside[i]...)
			continue
		}
		var body []placed
		for k, l := range inside[i] {
			if beside[k] {
				rest = append(rest, l)
			} else {
				body = append(body, l)
			}
		}
		d := draft{kind: document.TableKind, grid: t, lines: body}
		d.box, d.flat = bounds(body)
		tables = append(tables, d)
	}
	return tables, rest
}

// bare takes the words of rows at the edges of a grid that are no part of the table, although its frame runs around them: a title above, which
// has the row for itself from side to side, and running text below. It returns the numbers of their lines.
func bare(cells []area, texts [][]placed, rows, columns int) map[int]bool {
	out := map[int]bool{}
	for _, top := range []bool{true, false} {
		for i := range rows {
			if !top {
				i = rows - 1 - i
			}
			only, more := -1, false
			for k, c := range cells {
				if len(texts[k]) > 0 && c.row <= i && i < c.row+c.rows {
					more = only >= 0
					only = k
				}
			}
			if only < 0 {
				continue
			}
			words := 0
			for _, p := range texts[only] {
				words += len(p.words)
			}
			if more || cells[only].columns < columns || cells[only].rows > 1 || !top && words < proseNote {
				break
			}
			for _, p := range texts[only] {
				out[p.number] = true
			}
			texts[only] = nil
		}
	}
	return out
}

// fill puts words into the cells they lie in, or returns nil where these make no table. It also returns which lines stand beside the table.
func (a *assembly) fill(l *lattice, lines []placed) (*document.Table, map[int]bool) {
	if len(lines) < 2 {
		return nil, nil
	}
	a.between(l, lines)
	var parts []placed // runs of words of one line in one column
	for n, line := range lines {
		for _, p := range split(line) {
			from := 0
			for i := 1; i <= len(p.words); i++ {
				if i < len(p.words) && !l.parts(p.spans[i-1], p.spans[i]) {
					continue
				}
				q := p.part(from, i)
				parts = append(parts, placed{line: line.line, words: q.words, flat: q.box, box: q.place, number: n})
				from = i
			}
		}
	}
	l.ys = l.undrawn(parts)
	parts = a.unstack(l, parts)
	cells, of := l.areas()
	texts := make([][]placed, len(cells))
	for _, p := range parts {
		c := of[place(l.ys, p.middle())][place(l.xs, middle(p.flat))]
		texts[c] = append(texts[c], p)
	}
	t := &document.Table{}
	beside := bare(cells, texts, len(l.ys)-1, len(l.xs)-1)
	lone(cells, texts)
	t.Rows, t.Columns = thin(cells, texts)
	head := 1 // rows that the first one reaches down to
	for i, c := range cells {
		if c.row == 0 && c.rows < t.Rows {
			head = max(head, c.rows)
		}
		if len(texts[i]) > 0 {
			t.Cells = append(t.Cells, a.cell(c, texts[i]))
		}
	}
	if len(t.Cells) < 2 {
		return nil, nil
	}
	for i := range t.Cells {
		t.Cells[i].Header = t.Rows > 1 && t.Cells[i].Row < head
	}
	return t, beside
}

// parts reports whether a border that is drawn there stands between two words.
func (l *lattice) parts(left, right reading.Box) bool {
	from, to := place(l.xs, middle(left)), place(l.xs, middle(right))
	for k := from + 1; k <= to; k++ {
		if drawn(l.v, l.xs[k], left.Y0, left.Y1, l.reach) {
			return true
		}
	}
	return false
}

func middle(b reading.Box) float64 { return (b.X0 + b.X1) / 2 }

// place is the number of the stretch between borders that a place lies in; what lies outside belongs to the nearest.
func place(borders []float64, x float64) int {
	n, _ := slices.BinarySearch(borders, x)
	return min(max(n-1, 0), len(borders)-2)
}

// lone moves cells that begin where few others do over the empty place before them: what was found between two letters is no border.
func lone(cells []area, texts [][]placed) {
	begin := map[int][]int{} // cells with text by column
	for i, c := range cells {
		if len(texts[i]) > 0 {
			begin[c.column] = append(begin[c.column], i)
		}
	}
	for i := range cells {
		c := &cells[i]
		if len(texts[i]) == 0 || len(begin[c.column-1]) < loneRows*len(begin[c.column]) {
			continue
		}
		for k := range cells {
			if e := &cells[k]; len(texts[k]) == 0 && e.row == c.row && e.rows == c.rows && e.columns == 1 && e.column+1 == c.column {
				c.column, c.columns = c.column-1, c.columns+1
				e.columns = 0
				break
			}
		}
	}
}

// thin takes rows and columns away in which no cell with text begins: borders that are drawn for the eye, or found where there are none. It
// returns how many are left.
func thin(cells []area, texts [][]placed) (rows, columns int) {
	number := func(begins func(*area) (at, extent *int)) int {
		used := map[int]bool{}
		last := 0
		for i := range cells {
			at, extent := begins(&cells[i])
			if last = max(last, *at+*extent); len(texts[i]) > 0 {
				used[*at] = true
			}
		}
		before := make([]int, last+1) // used ones before each
		for i := range last {
			before[i+1] = before[i]
			if used[i] {
				before[i+1]++
			}
		}
		for i := range cells {
			at, extent := begins(&cells[i])
			*at, *extent = before[*at], before[*at+*extent]-before[*at]
		}
		return before[last]
	}
	return number(func(c *area) (*int, *int) { return &c.row, &c.rows }), number(func(c *area) (*int, *int) { return &c.column, &c.columns })
}

// cell joins the parts of one cell, line by line.
func (a *assembly) cell(c area, parts []placed) document.Cell {
	out := document.Cell{Row: c.row, Column: c.column}
	if c.rows > 1 {
		out.RowSpan = c.rows
	}
	if c.columns > 1 {
		out.ColumnSpan = c.columns
	}
	var lines []document.Line
	n := 0
	box := parts[0].box
	for _, r := range rows(parts) {
		text := ""
		for _, p := range r {
			for _, w := range p.words {
				if text != "" {
					text += " "
				}
				text += w.text
				out.Confidence += w.score
				n++
			}
			box = box.Union(p.box)
		}
		lines = append(lines, document.Line{Text: text})
	}
	out.Text, out.Box, out.Confidence = join(lines), a.box(box), document.Round3(out.Confidence/float64(n))
	return out
}
