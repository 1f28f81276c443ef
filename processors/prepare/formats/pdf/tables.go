package pdf

import (
	"cmp"
	"slices"
	"strings"

	"docstream/schemas/document"
)

// grid is a table found by its gutters alone: rows from up to, not including, to, cut at the edges.
type grid struct {
	rows     []row
	from, to int
	edges    []float64  // between the columns
	cells    [][][]word // by row and column, dealt by deal
}

// findGrid looks for rows that are cut at the same places into short cells. Columns of running text look alike, but their pieces are
// long and fill the column.
func findGrid(rows []row, em float64) (grid, bool) {
	const leastRows = 3
	all := gutters(rows, em, leastRows)
	slices.SortStableFunc(all, func(a, b gutter) int { return cmp.Compare(b.both, a.both) })
	var prose []gutter
	for _, seed := range all {
		if slices.ContainsFunc(prose, seed.within) {
			continue // a part of columns of running text, however short its lines
		}
		g := grid{from: seed.from, to: seed.last + 1}
		g.rows = rows[g.from:g.to]
		g.edges = edgesOf(g.rows, em)
		for _, o := range all { // a column that is nearly empty shows only by the bands beside it
			inside := min(o.last+1, g.to) - max(o.from, g.from)
			if 10*inside >= 8*(g.to-g.from) && !g.crosses(o) {
				at, _ := slices.BinarySearch(g.edges, (o.x0+o.x1)/2)
				g.edges = slices.Insert(g.edges, at, (o.x0+o.x1)/2)
			}
		}
		g.dropThin()
		if len(g.edges) > 0 && g.isTable(em) {
			return g, true
		}
		if prose = append(prose, seed); len(prose) > maxSeeds {
			break
		}
	}
	return grid{}, false
}

// split cuts a grid where a wide gap lies before names of other columns: two tables that happen to be aligned.
func (g grid) split(em float64) []grid {
	gaps := g.gaps()
	if len(gaps) == 0 {
		return []grid{g}
	}
	usual := slices.Sorted(slices.Values(gaps))[len(gaps)/2]
	var out []grid
	start := 0
	for i := 1; i <= len(g.rows); i++ {
		if i < len(g.rows) {
			if gap := gaps[i-1]; gap < 1.5*em || gap < 2*usual || i-start < 2 || len(g.rows)-i < 2 || !g.part(i, len(g.rows)).named() {
				continue
			}
		}
		out = append(out, g.part(start, i))
		start = i
	}
	return out
}

// gaps returns the space above each row but the first.
func (g grid) gaps() []float64 {
	var out []float64
	for i := 1; i < len(g.rows); i++ {
		out = append(out, max(0, g.rows[i].y0-g.rows[i-1].y1))
	}
	return out
}

// part is a grid of some of the rows.
func (g grid) part(from, to int) grid {
	p := grid{rows: g.rows[from:to], from: g.from + from, to: g.from + to, edges: slices.Clone(g.edges)}
	p.dropThin()
	return p
}

// named reports whether the first row names columns: it has no figures, while most of the later ones do.
func (g grid) named() bool {
	figures := 0
	for i, r := range g.rows {
		if strings.ContainsAny(r.text(), "0123456789") {
			if i == 0 {
				return false
			}
			figures++
		}
	}
	return filled(g.cells[0]) > 1 && 2*figures >= len(g.rows)-1
}

// maxSeeds bounds how many bands are tried as tables in one region.
const maxSeeds = 40

// edgesOf finds where columns part: between two stretches that pieces of several rows cover. Rows in one piece may lie across, and a few
// of the others.
func edgesOf(rows []row, em float64) []float64 {
	type step struct {
		x     float64
		cover int
	}
	var steps []step
	several := 0
	for _, r := range rows {
		gaps := gapsOf(r, gutterWidth*em)
		if len(gaps) < 3 {
			continue
		}
		several++
		for i := range len(gaps) - 1 {
			steps = append(steps, step{gaps[i].x1, 1}, step{gaps[i+1].x0, -1})
		}
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Or(cmp.Compare(a.x, b.x), cmp.Compare(b.cover, a.cover)) })
	few := several / 12
	var edges []float64
	cover, since, begun := 0, 0.0, false
	for _, s := range steps {
		before := cover
		cover += s.cover
		switch {
		case before > few && cover <= few:
			since = s.x
		case before <= few && cover > few:
			if begun && s.x-since >= 0.25*em {
				edges = append(edges, (since+s.x)/2)
			}
			begun = true
		}
	}
	return edges
}

// within reports whether the gutter is a part of a longer one.
func (g gutter) within(o gutter) bool {
	return g.from >= o.from && g.to <= o.to && g.x0 < o.x1 && o.x0 < g.x1
}

// deal deals the words of every row to the columns.
func (g *grid) deal() {
	g.cells = make([][][]word, len(g.rows))
	for i, r := range g.rows {
		cells := make([][]word, len(g.edges)+1)
		for _, w := range r.words {
			at, _ := slices.BinarySearch(g.edges, (w.x0+w.x1)/2)
			cells[at] = append(cells[at], w)
		}
		g.cells[i] = cells
	}
}

// dropThin takes away edges until every column has a cell in two rows, and deals the words to what is left. A thin column goes to its left
// neighbour, the first to its right one.
func (g *grid) dropThin() {
	g.deal()
	var kept []float64
	n := g.filledRows(0)
	for i, edge := range g.edges {
		next := g.filledRows(i + 1)
		if n >= 2 && next >= 2 {
			kept = append(kept, edge)
			n = next
		} else {
			n = max(n, next)
		}
	}
	if len(kept) < len(g.edges) {
		g.edges = kept
		g.deal()
	}
}

// filledRows counts the rows that have a cell in the column.
func (g *grid) filledRows(column int) int {
	n := 0
	for _, cells := range g.cells {
		if len(cells[column]) > 0 {
			n++
		}
	}
	return n
}

// crosses reports whether the grid has an edge in the gutter already.
func (g grid) crosses(o gutter) bool {
	at, _ := slices.BinarySearch(g.edges, o.x0)
	return at < len(g.edges) && g.edges[at] < o.x1
}

// isTable tells a table from columns of text by its cells: few words each, and mostly not filling the column.
func (g grid) isTable(em float64) bool {
	widths := g.widths()
	cells, words, full := 0, 0, 0
	for y, r := range g.rows {
		if r.height() > 3*em || slices.ContainsFunc(r.words, func(w word) bool { return w.table != nil }) {
			return false
		}
		for i, c := range g.cells[y] {
			if len(c) == 0 {
				continue
			}
			cells++
			words += len(c)
			if c[len(c)-1].x1-c[0].x0 > 0.85*widths[i] {
				full++
			}
		}
	}
	if cells < 2*len(g.rows)-len(g.rows)/2 {
		return false
	}
	perCell, fill := float64(words)/float64(cells), float64(full)/float64(cells)
	if len(g.edges) == 1 {
		return perCell <= 3.5 && fill < 0.5 || perCell <= 2 || g.labels(widths)
	}
	return perCell <= 4 && fill < 0.7 || perCell <= 2.5
}

// labels reports whether the first of two columns has a word or two in nearly every row, such as numbers of chapters: what stands beside
// belongs to it.
func (g grid) labels(widths []float64) bool {
	both, words := 0, 0
	for _, c := range g.cells {
		if filled(c) == 2 {
			both++
			words += len(c[0])
		}
	}
	return 10*both >= 8*len(g.rows) && words <= 2*both && 2*widths[0] < widths[1]
}

// widths returns how far the pieces of each column reach together.
func (g grid) widths() []float64 {
	spans := make([]gap, len(g.edges)+1)
	for i := range spans {
		spans[i] = gap{x0: 1e9, x1: -1e9}
	}
	for _, cells := range g.cells {
		for i, c := range cells {
			if len(c) > 0 {
				spans[i].x0, spans[i].x1 = min(spans[i].x0, c[0].x0), max(spans[i].x1, c[len(c)-1].x1)
			}
		}
	}
	out := make([]float64, len(spans))
	for i, s := range spans {
		out[i] = s.x1 - s.x0
	}
	return out
}

func filled(cells [][]word) int {
	n := 0
	for _, c := range cells {
		if len(c) > 0 {
			n++
		}
	}
	return n
}

// spans returns the columns that a row in one piece lies across, or false for any other row.
func (g grid) spans(r row, em float64) (first, last int, ok bool) {
	if len(gapsOf(r, gutterWidth*em)) > 2 {
		return 0, 0, false
	}
	first, _ = slices.BinarySearch(g.edges, r.x0+0.1*em)
	last, _ = slices.BinarySearch(g.edges, r.x1-0.1*em)
	return first, last, last > first && !g.keeps(r, em)
}

// keeps reports whether the words of a row keep to the columns, with more than a space between two of them.
func (g grid) keeps(r row, em float64) bool {
	last := -1
	for i, w := range r.words {
		n, _ := slices.BinarySearch(g.edges, (w.x0+w.x1)/2)
		if n > 0 && w.x0 < g.edges[n-1]-0.1*em || n < len(g.edges) && w.x1 > g.edges[n]+0.1*em {
			return false
		}
		if i > 0 && n != last && w.x0-r.words[i-1].x1 < 0.4*em {
			return false
		}
		last = n
	}
	return true
}

// block turns the grid into a table. A row of one cell, not the first, that lies close below another continues it: a cell of several
// lines.
func (g grid) block(em float64) document.Block {
	t := &document.Table{Columns: len(g.edges) + 1}
	box := g.rows[0].rect
	tight := g.tight(em)
	var at [][]*slot
	for n, r := range g.rows {
		box = box.union(r.rect)
		cells := g.cells[n]
		joined := n > 0 && (len(cells[0]) == 0 && filled(cells) == 1 && r.y0-g.rows[n-1].y1 < 0.35*em || g.continues(n, tight))
		if !joined {
			at = append(at, make([]*slot, t.Columns))
		}
		line := at[len(at)-1]
		if first, last, ok := g.spans(r, em); ok && !joined {
			line[first] = &slot{column: first, toColumn: last + 1, rect: r.rect, words: r.words}
			continue
		}
		for i, c := range cells {
			if len(c) == 0 {
				continue
			}
			if line[i] == nil {
				line[i] = &slot{column: i, toColumn: i + 1, rect: rowOf(c).rect}
			}
			line[i].words = append(line[i].words, c...)
			line[i].rect = line[i].union(rowOf(c).rect)
		}
	}
	t.Rows = len(at)
	texts := make([][]string, len(at))
	for i, line := range at {
		for _, s := range line {
			if s == nil {
				continue
			}
			c := document.Cell{Row: i, Column: s.column, Box: s.box(), Confidence: 1}
			if n := s.toColumn - s.column; n > 1 {
				c.ColumnSpan = n
			}
			c.Text, c.Spans = textOf(s.words)
			texts[i] = append(texts[i], c.Text)
			t.Cells = append(t.Cells, c)
		}
	}
	if t.Rows > 1 && headerRow(g, texts) {
		for i := range t.Cells {
			t.Cells[i].Header = t.Cells[i].Row == 0
		}
	}
	return document.Block{Kind: document.TableKind, Box: box.box(), Confidence: 1, Table: t}
}

// tight is how close a row must be to the one above to go on with its cells: clearly closer than rows are as a rule.
func (g grid) tight(em float64) float64 {
	gaps := slices.Sorted(slices.Values(g.gaps()))
	if len(gaps) < 3 {
		return 0
	}
	return min(0.6*gaps[7*len(gaps)/10], 0.6*em)
}

// continues reports whether row n goes on with cells of the row above: it is close, and has words only below words, in fewer cells.
func (g grid) continues(n int, tight float64) bool {
	if g.rows[n].y0-g.rows[n-1].y1 >= tight || filled(g.cells[n]) >= filled(g.cells[n-1]) {
		return false
	}
	for i, c := range g.cells[n] {
		if len(c) > 0 && len(g.cells[n-1][i]) == 0 {
			return false
		}
	}
	return true
}

// headerRow reports whether the first row names the columns: it has no digits while a later one has, or it alone is bold.
func headerRow(g grid, texts [][]string) bool {
	digits := func(line []string) bool {
		return slices.ContainsFunc(line, func(s string) bool { return strings.ContainsAny(s, "0123456789") })
	}
	bold := func(w word) bool { return w.bold }
	if g.rows[0].all(bold) && !g.rows[len(g.rows)-1].all(bold) {
		return true
	}
	return !digits(texts[0]) && slices.ContainsFunc(texts[1:], digits)
}
