package compose

import (
	"bufio"
	"strings"

	"docstream/schemas/document"
)

// textRenderer writes the bare text: a line a paragraph, cells separated by tabs, an empty line between blocks, a form feed between
// pages. Running headers and footers are left out.
type textRenderer struct {
	w    *bufio.Writer
	last string // kind of the block before
	any  bool
}

func (r *textRenderer) begin(document.Head) {}

func (r *textRenderer) page(p *document.Page) {
	for i, b := range p.Blocks {
		if !shown(b) {
			continue
		}
		if r.any && !(b.Kind == document.ListItem && r.last == document.ListItem && i > 0) {
			_ = r.w.WriteByte('\n')
		}
		r.any, r.last = true, b.Kind
		if b.Table != nil {
			for _, row := range grid(b.Table) {
				cells := make([]string, len(row))
				for j, c := range row {
					if c != nil {
						cells[j] = oneLine(c.Text)
					}
				}
				_, _ = r.w.WriteString(strings.TrimRight(strings.Join(cells, "\t"), "\t") + "\n")
			}
			continue
		}
		_, _ = r.w.WriteString(strings.TrimRight(b.Text, " \n") + "\n")
	}
}

func (r *textRenderer) end() {}

// shown reports whether a block is part of the text that flows from page to page.
func shown(b document.Block) bool {
	switch b.Kind {
	case document.Header, document.Footer:
		return false
	case document.TableKind:
		return b.Table != nil && len(b.Table.Cells) > 0
	}
	return strings.TrimSpace(b.Text) != "" || b.Table != nil
}

// oneLine puts a text on one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// most bounds the places of a table that are drawn: a result that claims more is drawn as far as its cells reach.
const most = 1 << 20

// grid lays the cells of a table out in rows and columns; places without a cell are nil. Cells outside the table are left out.
func grid(t *document.Table) [][]*document.Cell {
	rows, columns := 0, 0
	for _, c := range t.Cells {
		if c.Row >= 0 && c.Column >= 0 && c.Row < t.Rows && c.Column < t.Columns {
			rows, columns = max(rows, c.Row+1), max(columns, c.Column+1)
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
	return out
}
