package pdf

import (
	"slices"
	"strings"

	"docstream/schemas/document"
)

// ruled is a table whose cells are parted by rules.
type ruled struct {
	rect
	block document.Block
}

// slot is a cell before it is read: where it lies in the table and what stands in it.
type slot struct {
	row, column, toRow, toColumn int
	rect
	words []word
}

// ruledTables makes tables of lattices with words in their cells. It returns the tables and the words outside them.
func ruledTables(words []word, ls []lattice, em float64) (tables []*ruled, rest []word) {
	rest = words
	for _, l := range ls {
		box := l.rect()
		if slices.ContainsFunc(tables, func(t *ruled) bool { return t.intersect(box).area() > 0.5*box.area() }) {
			continue // the cell of another has rules of its own
		}
		parts := l.parts()
		for _, part := range parts {
			area := rect{box.x0, l.ys[part[0]], box.x1, l.ys[part[1]]}
			var in, out []word
			for _, w := range rest {
				if area.holds(w.rect) {
					in = append(in, w)
				} else {
					out = append(out, w)
				}
			}
			t := l.table(part[0], part[1], in, em, len(parts) > 1)
			if t == nil {
				continue
			}
			rest = append(out, t.trim()...)
			area = t.slots[0].rect
			for _, c := range t.slots[1:] {
				area = area.union(c.rect)
			}
			tables = append(tables, &ruled{area, t.block(area)})
		}
	}
	return tables, rest
}

// holds reports whether the middle of o lies in r.
func (r rect) holds(o rect) bool {
	x, y := (o.x0+o.x1)/2, (o.y0+o.y1)/2
	return x >= r.x0 && x <= r.x1 && y >= r.y0 && y <= r.y1
}

// table deals words to the cells of rows from up to to. It returns nil where that makes no table: a frame, a drawing, a form field.
func (l *lattice) table(from, to int, words []word, em float64, apart bool) *sheet {
	s := l.sheet(from, to, words, em)
	if s.columns == 1 {
		return s.aligned(em)
	}
	s.part(em)
	s.open(em)
	filled, most, gapped := 0, 0, 0
	columns := map[int]bool{}
	for _, c := range s.slots {
		if len(c.words) > 0 {
			filled++
			columns[c.column] = true
		}
		if c.gapped(em) {
			gapped += len(c.words)
		}
		most = max(most, len(c.words))
	}
	switch {
	case len(columns) < 2, s.rows < 2 && !apart, 5*filled < len(s.slots):
		return nil
	case 6*gapped > len(words): // the rules part no more than groups of cells
		return nil
	case most > 80 && 5*most > 3*len(words): // a page in a frame
		return nil
	}
	return s
}

// sheet has the cells of rows from up to to. Columns and rows without words that are thinner than a letter are no more than double rules.
func (l *lattice) sheet(from, to int, words []word, em float64) *sheet {
	rooms := l.rooms(from, to)
	columns, rows := len(l.xs)-1, to-from
	at := make([]int, rows*columns)
	slots := make([]slot, len(rooms))
	for i, m := range rooms {
		slots[i] = slot{row: m.row - from, column: m.column, toRow: m.toRow - from, toColumn: m.toColumn,
			rect: rect{l.xs[m.column], l.ys[m.row], l.xs[m.toColumn], l.ys[m.toRow]}}
		for y := m.row; y < m.toRow; y++ {
			for x := m.column; x < m.toColumn; x++ {
				at[(y-from)*columns+x] = i
			}
		}
	}
	for _, w := range words {
		x, _ := slices.BinarySearch(l.xs, (w.x0+w.x1)/2)
		y, _ := slices.BinarySearch(l.ys, (w.y0+w.y1)/2)
		s := &slots[at[(min(max(y-1, from), to-1)-from)*columns+min(max(x-1, 0), columns-1)]]
		s.words = append(s.words, w)
	}
	keepColumns := make([]bool, columns+1)
	keepRows := make([]bool, rows+1)
	for _, s := range slots {
		if len(s.words) > 0 || s.width() > 0.8*em && s.height() > 0.5*em {
			keepColumns[s.column], keepColumns[s.toColumn], keepRows[s.row], keepRows[s.toRow] = true, true, true, true
		}
	}
	newColumn, newRow := ranks(keepColumns), ranks(keepRows)
	out := &sheet{rows: newRow[rows], columns: newColumn[columns]}
	for _, s := range slots {
		s.row, s.toRow, s.column, s.toColumn = newRow[s.row], newRow[s.toRow], newColumn[s.column], newColumn[s.toColumn]
		if s.toRow > s.row && s.toColumn > s.column {
			out.slots = append(out.slots, s)
		}
	}
	return out
}

// ranks numbers the lines that are kept; one that is not becomes the next that is, or the last.
func ranks(keep []bool) []int {
	out := make([]int, len(keep))
	n := 0
	for i, k := range keep {
		out[i] = n
		if k {
			n++
		}
	}
	for i := range out {
		out[i] = min(out[i], max(n-1, 0))
	}
	return out
}

// gapped reports whether the words of a cell stand in columns of their own.
func (c slot) gapped(em float64) bool {
	for _, r := range rowsOf(c.level()) {
		for _, g := range gapsOf(r, 1.5*em)[1:] {
			if g.x1 < 1e8 && !g.label {
				return true
			}
		}
	}
	return false
}

// level returns the words that run from left to right.
func (c slot) level() []word {
	return slices.DeleteFunc(slices.Clone(c.words), func(w word) bool { return w.turned })
}

// open cuts rows that hold several rows of a table without a rule between them: lines that each have words in most of the cells.
func (s *sheet) open(em float64) {
	var out []slot
	shift := 0
	for y := range s.rows {
		var row []slot
		whole := true
		for _, c := range s.slots {
			if c.row <= y && y < c.toRow {
				whole = whole && c.row == y && c.toRow == y+1
				if c.row == y {
					row = append(row, c)
				}
			}
		}
		var lines [][]slot
		if whole {
			lines = cutOpen(row, s.rows, em)
		}
		for n, line := range lines {
			for _, c := range line {
				c.row, c.toRow = y+shift+n, y+shift+n+1
				out = append(out, c)
			}
		}
		if lines == nil {
			for _, c := range row {
				c.row, c.toRow = c.row+shift, c.toRow+shift
				out = append(out, c)
			}
			continue
		}
		shift += len(lines) - 1
	}
	s.slots, s.rows = out, s.rows+shift
}

// cutOpen deals the lines of a row of cells to rows of their own, or returns nil where they belong together. A line with words in few
// cells, the first not among them, goes on with the one above.
func cutOpen(row []slot, all int, em float64) [][]slot {
	var words []word
	filled := 0
	for _, c := range row {
		words = append(words, c.words...)
		if len(c.words) > 0 {
			filled++
		}
	}
	lines := rowsOf(words)
	if least := 4; len(lines) < least && (all > 2 || len(lines) < least-1) || filled < 2 {
		return nil
	}
	var out [][]slot
	full := 0
	for i, l := range lines {
		cells := make([]slot, len(row))
		n := 0
		for j, c := range row {
			cells[j] = slot{column: c.column, toColumn: c.toColumn, rect: rect{c.x0, l.y0, c.x1, l.y1}}
			for _, w := range l.words {
				if x := (w.x0 + w.x1) / 2; x >= c.x0 && x < c.x1 {
					cells[j].words = append(cells[j].words, w)
				}
			}
			if len(cells[j].words) > 0 {
				n++
			}
		}
		if 2*n >= filled && n >= 2 {
			full++
		}
		if i > 0 && 2*n < filled && len(cells[0].words) == 0 && l.y0-lines[i-1].y1 < 0.35*em {
			last := out[len(out)-1]
			for j := range cells {
				last[j].words = append(last[j].words, cells[j].words...)
				last[j].rect = last[j].union(cells[j].rect)
			}
			continue
		}
		out = append(out, cells)
	}
	if 5*full < 4*len(lines) {
		return nil
	}
	return out
}

// aligned finds the columns of rows that only level rules part: by where their words stand. It returns nil where there are none.
func (s *sheet) aligned(em float64) *sheet {
	var words []word
	bands := 0
	for _, c := range s.slots {
		words = append(words, c.words...)
		if len(c.words) > 0 {
			bands++
		}
	}
	lines := rowsOf(words)
	if len(lines) < 3 || bands < 2 {
		return nil
	}
	g := grid{rows: lines, edges: edgesOf(lines, em)}
	g.dropThin()
	if len(g.edges) == 0 {
		return nil
	}
	out := &sheet{columns: len(g.edges) + 1}
	several := 0
	for _, band := range s.slots {
		if len(band.words) == 0 {
			continue
		}
		row := g.cut(band)
		rows := cutOpen(row, 2, em)
		if rows == nil {
			rows = [][]slot{row}
		}
		for _, r := range rows {
			n := 0
			for _, c := range r {
				c.row, c.toRow = out.rows, out.rows+1
				out.slots = append(out.slots, c)
				if len(c.words) > 0 {
					n++
				}
			}
			if n > 1 {
				several++
			}
			out.rows++
		}
	}
	if 5*several < 3*out.rows || out.rows < 3 || len(lines) > 3*out.rows || len(words) > 6*len(out.slots) {
		return nil
	}
	if out.rows > bands && !g.isTable(em) {
		return nil // lines of running text in columns
	}
	return out
}

// cut deals a band to the columns of the grid. One piece of text that lies across columns is a cell that spans them.
func (g *grid) cut(band slot) []slot {
	lines := rowsOf(band.words)
	if len(lines) == 1 {
		if first, last, ok := g.spans(lines[0], commonSize(band.words)); ok {
			return []slot{{column: first, toColumn: last + 1, rect: band.rect, words: band.words}}
		}
	}
	out := make([]slot, len(g.edges)+1)
	left := band.x0
	for i := range out {
		right := band.x1
		if i < len(g.edges) {
			right = g.edges[i]
		}
		out[i] = slot{column: i, toColumn: i + 1, rect: rect{left, band.y0, right, band.y1}}
		left = right
	}
	for _, w := range band.words {
		at, _ := slices.BinarySearch(g.edges, (w.x0+w.x1)/2)
		out[at].words = append(out[at].words, w)
	}
	return out
}

// block reads the cells. The first row is a header where it looks like one, with the rows that its cells reach over or that part what
// they span.
func (s *sheet) block(box rect) document.Block {
	t := &document.Table{Rows: s.rows, Columns: s.columns}
	var first, last []word
	digits := make([]bool, s.rows)
	header := 1
	for _, c := range s.slots {
		if len(c.words) == 0 {
			continue
		}
		cell := document.Cell{Row: c.row, Column: c.column, Box: c.box(), Confidence: 1}
		cell.Text, cell.Spans = textOf(c.words)
		if n := c.toRow - c.row; n > 1 {
			cell.RowSpan = n
		}
		if n := c.toColumn - c.column; n > 1 {
			cell.ColumnSpan = n
		}
		digits[c.row] = digits[c.row] || strings.ContainsAny(cell.Text, "0123456789")
		if c.row == 0 {
			first = append(first, c.words...)
			header = max(header, c.toRow)
			if n := c.toColumn - c.column; n > 1 && n < s.columns {
				header = max(header, 2)
			}
		}
		if c.toRow == s.rows {
			last = append(last, c.words...)
		}
		t.Cells = append(t.Cells, cell)
	}
	bold := func(w word) bool { return !w.bold }
	strong := len(first) > 0 && !slices.ContainsFunc(first, bold) && slices.ContainsFunc(last, bold)
	if strong || !digits[0] && slices.Contains(digits[1:], true) {
		for i := range t.Cells {
			t.Cells[i].Header = header < s.rows && t.Cells[i].Row < header
		}
	}
	return document.Block{Kind: document.TableKind, Box: box.box(), Confidence: 1, Table: t}
}

// textOf reads the words of a cell, those that do not run from left to right behind the others.
func textOf(words []word) (string, []document.Span) {
	level, turned := apartTurned(words)
	text, spans := said(rowsOf(level))
	for _, w := range turned {
		text += " " + w.text
	}
	return strings.TrimLeft(text, " "), spans
}

// stand returns words that stand for a table while the page is cut: bands as high as a line.
func (t *ruled) stand(em float64) []word {
	n := max(1, int(t.height()/(1.2*em)))
	h := t.height() / float64(n)
	out := make([]word, n)
	for i := range out {
		y := t.y0 + h*float64(i)
		out[i] = word{rect: rect{t.x0, y + 0.1*h, t.x1, y + 0.9*h}, size: em, table: t}
	}
	return out
}
