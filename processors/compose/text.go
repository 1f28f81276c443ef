package compose

import (
	"bufio"
	"regexp"
	"strings"

	"docstream/schemas/document"
)

// textRenderer writes the bare text: a line a paragraph, cells separated by tabs, an empty line between blocks. Running headers and footers are left out.
type textRenderer struct {
	w    *bufio.Writer
	last string // kind of the block before
	any  bool
	flow flow
}

func newText(w *bufio.Writer) *textRenderer {
	r := &textRenderer{w: w}
	r.flow.write = r.block
	return r
}

func (r *textRenderer) begin(document.Head) {}

func (r *textRenderer) page(p *document.Page) {
	for _, b := range p.Blocks {
		if shown(b) && (b.Text != "" || b.Table != nil) {
			r.flow.block(b)
		}
	}
}

func (r *textRenderer) block(b document.Block) {
	goesOn := b.Kind == document.ListItem && r.last == document.ListItem || b.Table != nil && b.Table.Continues && r.last == document.TableKind
	if r.any && !goesOn {
		_ = r.w.WriteByte('\n')
	}
	r.any, r.last = true, b.Kind
	if b.Table != nil {
		for _, row := range grid(b.Table, false) {
			cells := make([]string, len(row))
			for j, c := range row {
				if c != nil {
					cells[j] = oneLine(c.Text)
				}
			}
			_, _ = r.w.WriteString(strings.TrimRight(strings.Join(cells, "\t"), "\t") + "\n")
		}
		return
	}
	if b.Label != "" {
		_, _ = r.w.WriteString("[" + b.Label + "] ")
	}
	_, _ = r.w.WriteString(strings.TrimRight(b.Text, " \n") + "\n")
}

func (r *textRenderer) end() { r.flow.flush() }

// shown reports whether a block is part of the text that flows from page to page.
func shown(b document.Block) bool {
	switch b.Kind {
	case document.Header, document.Footer:
		return false
	case document.TableKind:
		return b.Table != nil && len(b.Table.Cells) > 0
	}
	return strings.TrimSpace(b.Text) != "" || b.Table != nil || b.Image != nil
}

// folio is the number of a page, with what usually stands beside it.
var folio = regexp.MustCompile(`^\W*(\pL+\W*)?\d{1,4}(\W*(\pL+|[/|–-])\W*\d{1,4})?\W*$`)

// alone makes text of headers and footers where a document has a single page: nothing runs along there, and the head of an invoice is what
// it is about. The number of the page stays what it is.
func alone(p *document.Page) {
	for i, b := range p.Blocks {
		if (b.Kind == document.Header || b.Kind == document.Footer) && !folio.MatchString(b.Text) {
			p.Blocks[i].Kind = document.Paragraph
		}
	}
}

// oneLine puts a text on one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// most bounds the places of a table that are drawn: a result that claims more is drawn as far as its cells reach.
const most = 1 << 20

// mostRepeated bounds the bytes that the cells of one table may take by standing in all the places they span.
const mostRepeated = 1 << 20

// grid lays the cells of a table out in rows and columns; places without a cell are nil. Cells outside the table are left out. Where
// repeat is set, a cell stands in every place it spans, unless the table would grow out of proportion.
func grid(t *document.Table, repeat bool) [][]*document.Cell {
	rows, columns := 0, 0
	for _, c := range t.Cells {
		if c.Row >= 0 && c.Column >= 0 && c.Row < t.Rows && c.Column < t.Columns {
			rows = max(rows, min(c.Row+max(1, c.RowSpan), t.Rows, c.Row+most))
			columns = max(columns, min(c.Column+max(1, c.ColumnSpan), t.Columns, c.Column+most))
		}
	}
	if rows > 0 && columns > most/rows { // as far as the cells themselves reach, then
		rows, columns = 0, 0
		for _, c := range t.Cells {
			if c.Row >= 0 && c.Column >= 0 && c.Row < t.Rows && c.Column < t.Columns {
				rows, columns = max(rows, c.Row+1), max(columns, c.Column+1)
			}
		}
	}
	if rows == 0 || columns > most/rows {
		return nil
	}
	out := make([][]*document.Cell, rows)
	for i := range out {
		out[i] = make([]*document.Cell, columns)
	}
	for i, c := range t.Cells {
		if c.Row >= 0 && c.Column >= 0 && c.Row < rows && c.Column < columns {
			out[c.Row][c.Column] = &t.Cells[i]
		}
	}
	if repeat {
		spread(t, out)
	}
	return out
}

// spread puts cells into the places they span and no other cell has.
func spread(t *document.Table, rows [][]*document.Cell) {
	left := mostRepeated
	for i := range t.Cells {
		c := &t.Cells[i]
		if c.RowSpan <= 1 && c.ColumnSpan <= 1 || c.Row < 0 || c.Column < 0 || c.Row >= len(rows) || c.Column >= len(rows[0]) {
			continue
		}
		high, wide := min(max(1, c.RowSpan), len(rows)-c.Row), min(max(1, c.ColumnSpan), len(rows[0])-c.Column)
		if left -= high * wide * (len(c.Text) + 1); left < 0 {
			return
		}
		for y := c.Row; y < c.Row+high; y++ {
			for x := c.Column; x < c.Column+wide; x++ {
				if rows[y][x] == nil {
					rows[y][x] = c
				}
			}
		}
	}
}
