package flow

import (
	"slices"
	"strings"
	"unicode/utf8"

	"docstream/schemas/document"
)

// The bounds of a table's shape: as wide and as high as a spreadsheet can be.
const (
	maxColumns = 16_384
	maxRows    = 1 << 20
)

// Grid lays cells out row by row, the way HTML does: a cell takes the next place that no cell above reaches into.
type Grid struct {
	table document.Table
	row   int         // the open one, -1 before the first
	col   int         // next place
	until []int       // by column: first row that no cell above reaches into
	last  map[int]int // by column: the newest cell
}

// NewGrid returns an empty grid.
func NewGrid() *Grid { return &Grid{row: -1, last: map[int]int{}} }

// Row begins the next row.
func (g *Grid) Row() {
	g.row++
	g.col = 0
	g.table.Rows = g.row + 1
}

// Skip leaves places of the row without a cell.
func (g *Grid) Skip(n int) { g.col = min(maxColumns, g.col+max(0, n)) }

// Place is where the next cell will stand.
func (g *Grid) Place() (row, column int) {
	for g.col < len(g.until) && g.until[g.col] > g.row {
		g.col++
	}
	return max(0, g.row), g.col
}

// Cell puts the next cell and returns it; its text may be set later. Past the last column there is none.
func (g *Grid) Cell(t Text, rows, columns int, header bool) *document.Cell {
	if g.row < 0 {
		g.Row()
	}
	g.Place()
	if g.col >= maxColumns || g.row >= maxRows {
		return nil
	}
	rows, columns = min(max(rows, 1), maxRows-g.row), min(max(columns, 1), maxColumns-g.col)
	for len(g.until) < g.col+columns {
		g.until = append(g.until, 0)
	}
	for x := g.col; x < g.col+columns; x++ {
		g.until[x] = max(g.until[x], g.row+rows)
	}
	g.table.Columns = max(g.table.Columns, g.col+columns)
	g.table.Cells = append(g.table.Cells, document.Cell{Row: g.row, Column: g.col, RowSpan: span(rows), ColumnSpan: span(columns), Header: header, Text: t.String, Spans: t.Spans})
	g.col += columns
	return &g.table.Cells[len(g.table.Cells)-1]
}

// At puts a cell at a place that the document names itself, and returns it; outside the bounds there is none. Rows are put in order.
func (g *Grid) At(row, column int, t Text, rows, columns int, header bool) *document.Cell {
	if row < 0 || column < 0 || row >= maxRows || column >= maxColumns {
		return nil
	}
	rows, columns = min(max(rows, 1), maxRows-row), min(max(columns, 1), maxColumns-column)
	g.row = row
	g.table.Rows, g.table.Columns = max(g.table.Rows, row+rows), max(g.table.Columns, column+columns)
	g.last[column] = len(g.table.Cells)
	g.table.Cells = append(g.table.Cells, document.Cell{Row: row, Column: column, RowSpan: span(rows), ColumnSpan: span(columns), Header: header, Text: t.String, Spans: t.Spans})
	return &g.table.Cells[len(g.table.Cells)-1]
}

// Above returns the cells that begin in the row above one.
func (g *Grid) Above(row int) []document.Cell {
	end := len(g.table.Cells)
	from := end
	for from > 0 && g.table.Cells[from-1].Row == row-1 {
		from--
	}
	return slices.Clone(g.table.Cells[from:end])
}

// Widen makes the newest cell that begins at a column reach one place further to the right.
func (g *Grid) Widen(column int) {
	if c := g.Last(column); c != nil && c.Column+max(1, c.ColumnSpan) < maxColumns {
		c.ColumnSpan = max(1, c.ColumnSpan) + 1
		g.table.Columns = max(g.table.Columns, c.Column+c.ColumnSpan)
	}
}

// Reach makes the cell of rows above that begins at a column reach down to a row, as formats say that have a cell in every place.
func (g *Grid) Reach(row, column int) {
	if c := g.Last(column); c != nil && row < maxRows {
		c.RowSpan = span(row - c.Row + 1)
		g.table.Rows = max(g.table.Rows, row+1)
	}
}

func span(n int) int {
	if n <= 1 {
		return 0
	}
	return n
}

// Last returns the newest cell that begins at a column and was put by [Grid.At].
func (g *Grid) Last(column int) *document.Cell {
	if i, ok := g.last[column]; ok {
		return &g.table.Cells[i]
	}
	return nil
}

// Table returns the table, without rows and columns at its end that hold nothing, or nil where nothing is left.
func (g *Grid) Table() *document.Table {
	t := g.table
	rows, columns := 0, 0
	for _, c := range t.Cells {
		if strings.TrimSpace(c.Text) != "" {
			rows, columns = max(rows, c.Row+max(1, c.RowSpan)), max(columns, c.Column+max(1, c.ColumnSpan))
		}
	}
	rows, columns = min(rows, t.Rows), min(columns, t.Columns)
	cells := t.Cells[:0]
	for _, c := range t.Cells {
		if c.Row < rows && c.Column < columns {
			c.RowSpan, c.ColumnSpan = clip(c.RowSpan, rows-c.Row), clip(c.ColumnSpan, columns-c.Column)
			cells = append(cells, c)
		}
	}
	if t.Rows, t.Columns, t.Cells = rows, columns, cells; len(cells) == 0 {
		return nil
	}
	return &t
}

// Lines joins the lines of a cell that has several paragraphs.
func Lines(parts []Text) Text {
	var b strings.Builder
	var out Text
	at := 0
	for _, p := range parts {
		if p.String == "" {
			continue
		}
		if at > 0 {
			b.WriteByte('\n')
			at++
		}
		b.WriteString(p.String)
		for _, s := range p.Spans {
			s.Start, s.End = s.Start+at, s.End+at
			out.Spans = append(out.Spans, s)
		}
		at += utf8.RuneCountInString(p.String)
	}
	out.String = b.String()
	return out
}

// Nested writes a table within a table as lines, one a row.
func Nested(t *document.Table) []Text {
	var out []Text
	row, line := 0, []string(nil)
	for _, c := range t.Cells {
		if c.Row != row {
			out = append(out, Plain(strings.Join(line, " ")))
			row, line = c.Row, nil
		}
		if c.Text != "" {
			line = append(line, c.Text)
		}
	}
	return append(out, Plain(strings.Join(line, " ")))
}
