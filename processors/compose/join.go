package compose

import (
	"slices"

	"docstream/schemas/document"
)

// joiner finds tables and paragraphs that go on across a page boundary. Stages read one page at a time and cannot know; compose sees the pages in order.
// It changes the page before any renderer gets it, so that all formats agree. Of the pages before it keeps the shape of one table.
type joiner struct {
	number  int      // of the page on which the table ended
	columns []extent // of the table's columns
	header  [][]string

	open int // page whose last block ends in the middle of a sentence
}

// extent is where the cells of a column lie from left to right; one without cells is empty.
type extent struct{ from, to float64 }

// page marks the first paragraph of a page that goes on with the last sentence of the page before, and its first table where nothing lies between it and a table of the page before whose columns stand in
// the same places. A header that is repeated is dropped.
func (j *joiner) page(p *document.Page) {
	first, last := -1, -1
	for i, b := range p.Blocks {
		if !shown(b) || b.Kind == document.Note || b.Kind == document.Figure && b.Text == "" {
			continue
		}
		if first < 0 {
			first = i
		}
		last = i
	}
	before := *j
	*j = joiner{}
	if first < 0 || p.Title != "" { // a sheet or a slide stands for itself
		return
	}
	if b := &p.Blocks[first]; before.open > 0 && p.Number == before.open+1 && continues(*b) {
		b.Continues = true
	}
	if unended(p.Blocks[last]) {
		j.open = p.Number
	}
	if t := p.Blocks[first].Table; t != nil && !t.Continues && p.Number == before.number+1 && before.goesOn(t, p.Source) {
		t.Continues = true
		if first == last {
			j.number, j.columns, j.header = p.Number, before.columns, before.header
			return
		}
	}
	if t := p.Blocks[last].Table; t != nil {
		j.number, j.columns, j.header = p.Number, columnsOf(t), headerOf(t)
	}
}

// goesOn reports whether the table continues the one before, and if so takes away the header that it repeats.
func (j joiner) goesOn(t *document.Table, source string) bool {
	if !aligned(j.columns, columnsOf(t)) {
		return false
	}
	header := headerOf(t)
	switch {
	case len(header) == 0:
	case len(header) < t.Rows && slices.EqualFunc(header, j.header, slices.Equal[[]string]):
		drop(t, len(header))
	case source != "ocr" || !digits(header):
		return false // names of its own
	default: // recognition takes the first row of every table for a header
		for i := range t.Cells {
			t.Cells[i].Header = false
		}
	}
	return true
}

// columnsOf returns where the cells of each column lie, those that span columns aside. Cells without a place have none.
func columnsOf(t *document.Table) []extent {
	if t.Columns < 1 || t.Columns > len(t.Cells) {
		return nil
	}
	out := make([]extent, t.Columns)
	for _, c := range t.Cells {
		if c.Column < 0 || c.Column >= len(out) || c.ColumnSpan > 1 || c.Box[2] <= c.Box[0] {
			continue
		}
		e := &out[c.Column]
		if e.to <= e.from {
			*e = extent{c.Box[0], c.Box[2]}
			continue
		}
		e.from, e.to = min(e.from, c.Box[0]), max(e.to, c.Box[2])
	}
	return out
}

// aligned reports whether two tables have the same columns: as many, at least two with cells in both, and each over its own alone.
func aligned(a, b []extent) bool {
	if len(a) != len(b) {
		return false
	}
	both := 0
	for i := range a {
		if a[i].to <= a[i].from || b[i].to <= b[i].from {
			continue
		}
		if a[i].to <= b[i].from || b[i].to <= a[i].from {
			return false
		}
		for k := range b {
			if k != i && min(a[i].to, b[k].to)-max(a[i].from, b[k].from) > 0.5*(b[k].to-b[k].from) && b[k].to > b[k].from {
				return false
			}
		}
		both++
	}
	return both >= 2
}

// headerOf returns the texts of the leading rows that are headers throughout.
func headerOf(t *document.Table) [][]string {
	rows := 0
	for rows < t.Rows {
		n := 0
		for _, c := range t.Cells {
			if c.Row != rows {
				continue
			}
			if !c.Header || c.RowSpan > 1 {
				n = 0
				break
			}
			n++
		}
		if n == 0 {
			break
		}
		rows++
	}
	if rows == 0 || t.Columns < 1 || rows > most/t.Columns {
		return nil
	}
	out := make([][]string, rows)
	for i := range out {
		out[i] = make([]string, t.Columns)
	}
	for _, c := range t.Cells {
		if c.Row >= 0 && c.Row < rows && c.Column >= 0 && c.Column < t.Columns {
			out[c.Row][c.Column] = oneLine(c.Text)
		}
	}
	return out
}

// digits reports whether a row has a figure in it, as names of columns rarely have.
func digits(rows [][]string) bool {
	for _, row := range rows {
		for _, s := range row {
			for _, r := range s {
				if r >= '0' && r <= '9' {
					return true
				}
			}
		}
	}
	return false
}

// drop takes the first rows away.
func drop(t *document.Table, rows int) {
	t.Cells = slices.DeleteFunc(t.Cells, func(c document.Cell) bool { return c.Row < rows })
	for i := range t.Cells {
		t.Cells[i].Row -= rows
	}
	t.Rows -= rows
}
