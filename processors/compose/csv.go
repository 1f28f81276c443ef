package compose

import (
	"bufio"
	"encoding/csv"

	"docstream/schemas/document"
)

// csvRenderer writes every table, an empty line between two of them. A cell that spans several places stands in each of
// them, so that every row can be read by itself.
type csvRenderer struct {
	w   *bufio.Writer
	csv *csv.Writer
	any bool
}

func newCSV(w *bufio.Writer) *csvRenderer { return &csvRenderer{w: w, csv: csv.NewWriter(w)} }

func (r *csvRenderer) begin(document.Head) {}

func (r *csvRenderer) page(p *document.Page) {
	for _, b := range p.Blocks {
		if b.Table == nil {
			continue
		}
		rows := grid(b.Table, true)
		if len(rows) == 0 {
			continue
		}
		if r.any && !b.Table.Continues {
			_ = r.w.WriteByte('\n')
		}
		r.any = true
		writeRows(r.csv, rows)
		r.csv.Flush()
	}
}

// writeRows writes one record for each row.
func writeRows(w *csv.Writer, rows [][]*document.Cell) {
	for _, row := range rows {
		record := make([]string, len(row))
		for i, c := range row {
			if c != nil {
				record[i] = oneLine(c.Text)
			}
		}
		_ = w.Write(record)
	}
}

func (r *csvRenderer) end() {}
