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
	edges    []float64 // between the columns
}

// findGrid looks for rows that are cut at the same places into short cells. Columns of running text look alike, but their pieces are
// long and fill the column.
func findGrid(rows []row, em float64) (grid, bool) {
	const leastRows = 3
	all := gutters(rows, em, leastRows)
	slices.SortStableFunc(all, func(a, b gutter) int { return cmp.Compare(b.both, a.both) })
	for _, seed := range all {
		g := grid{from: seed.from, to: seed.last + 1}
		for _, o := range all {
			// A gutter belongs to the table where it runs through most of the rows that the seed runs through.
			inside := min(o.last+1, g.to) - max(o.from, g.from)
			if 10*inside >= 8*(g.to-g.from) && !g.crosses(o) {
				g.edges = append(g.edges, (o.x0+o.x1)/2)
			}
		}
		slices.Sort(g.edges)
		g.rows = rows[g.from:g.to]
		if g.isTable(em) {
			return g, true
		}
	}
	return grid{}, false
}

// crosses reports whether the grid has an edge in the gutter already.
func (g grid) crosses(o gutter) bool {
	return slices.ContainsFunc(g.edges, func(x float64) bool { return x > o.x0 && x < o.x1 })
}

// isTable tells a table from columns of text by its cells: few words each, and mostly not filling the column.
func (g grid) isTable(em float64) bool {
	cells, words, full := 0, 0, 0
	for _, r := range g.rows {
		if r.height() > 3*em {
			return false
		}
		for i, c := range g.cells(r) {
			if len(c) == 0 {
				continue
			}
			cells++
			words += len(c)
			piece := rowOf(c)
			if w := g.columnWidth(i); w > 0 && piece.width() > 0.85*w {
				full++
			}
		}
	}
	if cells < 2*len(g.rows)-len(g.rows)/2 {
		return false
	}
	perCell, fill := float64(words)/float64(cells), float64(full)/float64(cells)
	if len(g.edges) == 1 {
		return perCell <= 3.5 && fill < 0.5
	}
	return perCell <= 5 && fill < 0.8 || perCell <= 2.5
}

// columnWidth is the width of the widest piece in a column.
func (g grid) columnWidth(i int) float64 {
	x0, x1 := 1e9, -1e9
	for _, r := range g.rows {
		if c := g.cells(r)[i]; len(c) > 0 {
			x0, x1 = min(x0, c[0].x0), max(x1, c[len(c)-1].x1)
		}
	}
	return x1 - x0
}

// cells deals the words of a row to the columns.
func (g grid) cells(r row) [][]word {
	out := make([][]word, len(g.edges)+1)
	for _, w := range r.words {
		i, _ := slices.BinarySearch(g.edges, (w.x0+w.x1)/2)
		out[i] = append(out[i], w)
	}
	return out
}

// block turns the grid into a table. A row without a first cell that lies close below another continues it: a cell of several lines.
func (g grid) block(em float64) document.Block {
	t := &document.Table{Columns: len(g.edges) + 1}
	box := g.rows[0].rect
	var at [][]*document.Cell
	for n, r := range g.rows {
		box = box.union(r.rect)
		cells := g.cells(r)
		joined := n > 0 && len(cells[0]) == 0 && r.y0-g.rows[n-1].y1 < 0.35*em
		if !joined {
			at = append(at, make([]*document.Cell, t.Columns))
		}
		line := at[len(at)-1]
		for i, c := range cells {
			if len(c) == 0 {
				continue
			}
			piece := rowOf(c)
			if line[i] == nil {
				line[i] = &document.Cell{Row: len(at) - 1, Column: i, Text: piece.text(), Box: piece.box(), Confidence: 1}
				continue
			}
			b := line[i].Box
			line[i].Text = strings.TrimSpace(line[i].Text + " " + piece.text())
			line[i].Box = rect{b[0], b[1], b[2], b[3]}.union(piece.rect).box()
		}
	}
	t.Rows = len(at)
	header := t.Rows > 1 && headerRow(g, at)
	for i, line := range at {
		for _, c := range line {
			if c != nil {
				c.Header = i == 0 && header
				t.Cells = append(t.Cells, *c)
			}
		}
	}
	return document.Block{Kind: document.TableKind, Box: box.box(), Confidence: 1, Table: t}
}

// headerRow reports whether the first row names the columns: it has no digits while a later one has, or it alone is bold.
func headerRow(g grid, at [][]*document.Cell) bool {
	digits := func(line []*document.Cell) bool {
		return slices.ContainsFunc(line, func(c *document.Cell) bool { return c != nil && strings.ContainsAny(c.Text, "0123456789") })
	}
	bold := func(w word) bool { return w.bold }
	if g.rows[0].all(bold) && !g.rows[len(g.rows)-1].all(bold) {
		return true
	}
	return !digits(at[0]) && slices.ContainsFunc(at[1:], digits)
}
