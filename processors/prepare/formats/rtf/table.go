package rtf

import (
	"slices"
	"strings"

	"docstream/processors/prepare/formats/flow"
)

// cell is how the definition of a row describes one.
type cell struct {
	across, acrossMore, down, downMore bool
	right                              int // edge, in twips
}

// row is a row of a table as it was read. Its cells may be defined for several rows at once.
type row struct {
	cells []cell
	texts []flow.Text
	left  int // edge, in twips
	head  bool
}

// nest is a table within a cell, being read: it becomes lines of the cell.
type nest struct {
	lines []flow.Text
	texts []string
}

const (
	maxCells = 1000 // that one definition of a row may have
	maxNests = 16   // tables within tables
	near     = 15   // twips: edges closer than that are one
)

// endCell ends a cell of the outermost table.
func (r *reader) endCell() {
	in, depth := r.inTable, r.depthOfTable
	r.inTable, r.depthOfTable = true, 1
	r.paragraph()
	r.inTable, r.depthOfTable = in, depth
	for d := maxNests; d > 1; d-- {
		if n := r.nests[d]; n != nil && (len(n.lines) > 0 || len(n.texts) > 0) { // a table within that does not end
			n.texts = append(n.texts, flow.Lines(n.lines).String)
			n.lines = nil
			r.endNestedRow(d)
		}
	}
	r.texts = append(r.texts, flow.Lines(r.lines))
	r.lines = nil
}

// nested is how deep a table lies that a word about nested tables is about.
func (r *reader) nested() int { return min(max(r.depthOfTable, 2), maxNests) }

// nest is the table at a depth.
func (r *reader) nest(depth int) *nest {
	if r.nests[depth] == nil {
		r.nests[depth] = &nest{}
	}
	return r.nests[depth]
}

// line puts a line of a cell where the paragraph says it stands.
func (r *reader) line(t flow.Text) {
	if d := min(r.depthOfTable, maxNests); d > 1 {
		n := r.nest(d)
		n.lines = append(n.lines, t)
		return
	}
	r.lines = append(r.lines, t)
}

// endNestedCell ends a cell of a table within a cell.
func (r *reader) endNestedCell() {
	d := r.nested()
	in, depth := r.inTable, r.depthOfTable
	r.inTable, r.depthOfTable = true, d
	r.paragraph()
	r.inTable, r.depthOfTable = in, depth
	n := r.nest(d)
	n.texts = append(n.texts, flow.Lines(n.lines).String)
	n.lines = nil
}

// endNestedRow makes a row of a table within a cell a line of the cell.
func (r *reader) endNestedRow(depth int) {
	n := r.nest(depth)
	texts := slices.DeleteFunc(n.texts, func(s string) bool { return s == "" })
	n.texts = nil
	if len(texts) == 0 {
		return
	}
	t := flow.Text{String: strings.Join(texts, " ")}
	if depth > 2 {
		outer := r.nest(depth - 1)
		outer.lines = append(outer.lines, t)
		return
	}
	r.lines = append(r.lines, t)
}

// endRow keeps a row until the table is whole: only all rows together say where the columns are.
func (r *reader) endRow() {
	r.rows = append(r.rows, row{cells: r.row, texts: r.texts, left: r.edge, head: r.head})
	r.texts = nil
}

// endTable puts the table that was collected.
func (r *reader) endTable() {
	if len(r.texts) > 0 { // a row that does not end
		r.endRow()
	}
	if len(r.rows) == 0 {
		return
	}
	rows := r.rows
	r.rows = nil
	edges, slack := columns(rows)
	g := flow.NewGrid()
	for i, x := range rows {
		lay(g, i, x, edges, slack)
	}
	r.out.Table(g.Table())
}

// columns are the right edges of a table's columns, none where a row does not say where its cells lie, and how far apart two edges may be
// that are the same: writers round.
func columns(rows []row) (edges []int, slack int) {
	var all []int
	gap := near * 2
	for _, x := range rows {
		if len(x.cells) < len(x.texts) {
			return nil, 0
		}
		last := x.left
		for i := range x.texts {
			right := x.cells[i].right
			if right <= last && i > 0 {
				return nil, 0
			}
			if i > 0 {
				gap = min(gap, right-last)
			}
			last = right
			all = append(all, right)
		}
	}
	slices.Sort(all)
	edges, slack = all[:0], gap/2
	for _, e := range all {
		if n := len(edges); n == 0 || e-edges[n-1] > slack {
			edges = append(edges, e)
		}
	}
	return edges, slack
}

// ended is the number of columns that end before or at a place.
func ended(edges []int, at int) int {
	n, found := slices.BinarySearch(edges, at)
	if found {
		return n + 1
	}
	return n
}

// lay lays a row out by its definition: by the edges of its cells, else one after another.
func lay(g *flow.Grid, at int, x row, edges []int, slack int) {
	next, start := 0, -1
	if edges != nil {
		next = ended(edges, x.left+slack)
	}
	for i, t := range x.texts {
		var d cell
		if i < len(x.cells) {
			d = x.cells[i]
		}
		from, wide := next, 1
		if edges != nil {
			wide = max(1, ended(edges, d.right)-from)
		}
		next = from + wide
		switch {
		case d.acrossMore && start >= 0:
			for range wide {
				g.Widen(start)
			}
		case d.downMore && g.Last(from) != nil:
			g.Reach(at, from)
			start = -1
		default:
			g.At(at, from, t, 1, wide, x.head)
			start = from
		}
	}
}
