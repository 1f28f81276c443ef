// Package sheet turns rows of cells into pages: a sheet is a page, and one that is longer than a page takes goes on over the next ones.
//
// A sheet is read twice, row by row: once to know where its pages begin, once to write them. Only one page of it is in memory, whatever
// its size (P6). Rows without a word are left out; two of them in a row end a table.
package sheet

import (
	"errors"
	"io"
	"strings"

	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/flow"
	"docstream/schemas/document"
)

// The bounds of a page.
const (
	pageCells  = 20_000
	pageText   = 1 << 20 // bytes
	maxCell    = 4 << 20 // bytes
	endOfTable = 2       // empty rows
)

// Cell is one cell of a row.
type Cell struct {
	Column        int // from 0
	Text          string
	Link          string
	Word          bool // it is no number, date or truth value
	Rows, Columns int  // that it spans; 0 means 1
}

// Row is a row with something in it; its cells are ordered by column.
type Row struct {
	Index int // from 0, growing
	Cells []Cell
}

// Rows yields the rows of a sheet until io.EOF.
type Rows interface {
	Next() (*Row, error)
	Close()
}

// Sheet is one sheet of a document.
type Sheet struct {
	Name   string
	Hidden bool
	Count  func() (Rows, error) // once, to count: the cells need only be about as long as they will be
	Open   func() (Rows, error)
	Beside func(*flow.Builder) // puts what stands on the sheet beside its cells, behind them; nil: nothing does
}

// start is where a page begins.
type start struct {
	sheet, row int // number of rows of the sheet before it
	goesOn     bool
}

// doc is an open document. It remembers where it stopped reading, so that pages read in order cost one pass.
type doc struct {
	sheets []Sheet
	left   []int // by sheet: first column with something in it
	starts []start
	named  bool // the sheets' names stand on their pages
	limits formats.Limits

	sheet int
	rows  Rows
	read  int // rows taken from it
	next  *Row
}

// New counts the pages.
func New(sheets []Sheet, l formats.Limits) (formats.Document, error) {
	d := &doc{sheets: sheets, sheet: -1, named: len(sheets) > 1, limits: l}
	for i := range sheets {
		if err := d.count(i, l); err != nil {
			return nil, err
		}
	}
	return d, l.CheckPages(len(d.starts))
}

// count finds where the pages of a sheet begin. An empty sheet is an empty page.
func (d *doc) count(i int, l formats.Limits) error {
	d.starts = append(d.starts, start{sheet: i})
	rows, err := d.sheets[i].Count()
	if err != nil {
		return err
	}
	defer rows.Close()
	left, cells, text, last := -1, 0, 0, 0
	for n := 0; ; n++ {
		r, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		size := 0
		for _, c := range r.Cells {
			if len(c.Text) > maxCell {
				return formats.TooLarge("a cell of %d bytes", len(c.Text))
			}
			size += len(c.Text)
		}
		if len(r.Cells) > 0 && (left < 0 || r.Cells[0].Column < left) {
			left = r.Cells[0].Column
		}
		if cells > 0 && (cells+len(r.Cells) > pageCells || text+size > pageText) {
			d.starts = append(d.starts, start{sheet: i, row: n, goesOn: r.Index-last <= endOfTable})
			if cells, text = 0, 0; len(d.starts) > l.Pages {
				return l.CheckPages(len(d.starts))
			}
		}
		cells, text, last = cells+len(r.Cells), text+size, r.Index
	}
	d.left = append(d.left, max(left, 0))
	return nil
}

// Pages counts them.
func (d *doc) Pages() int { return len(d.starts) }

// Close ends the pass that is open.
func (d *doc) Close() {
	if d.rows != nil {
		d.rows.Close()
	}
	d.rows, d.sheet, d.next = nil, -1, nil
}

// Read returns a page whatever the OCR option says: there is no picture to recognise.
func (d *doc) Read(n int, w formats.Want) (formats.Page, error) {
	at := d.starts[n-1]
	if err := d.seek(at); err != nil {
		d.Close()
		return formats.Page{}, err
	}
	end := -1
	if n < len(d.starts) && d.starts[n].sheet == at.sheet {
		end = d.starts[n].row
	}
	p, err := d.page(n, w, at, end)
	if err != nil {
		d.Close()
		return formats.Page{}, err
	}
	return p, nil
}

// seek makes the row where a page begins the next one.
func (d *doc) seek(at start) error {
	if d.rows == nil || d.sheet != at.sheet || d.read > at.row {
		d.Close()
		rows, err := d.sheets[at.sheet].Open()
		if err != nil {
			return err
		}
		d.sheet, d.rows, d.read = at.sheet, rows, 0
	}
	for d.read < at.row {
		if _, err := d.take(); err != nil {
			return err
		}
	}
	return nil
}

func (d *doc) take() (*Row, error) {
	r, err := d.rows.Next()
	if err == nil {
		d.read++
	}
	return r, err
}

// page reads rows until a page's end and writes its tables.
func (d *doc) page(n int, w formats.Want, at start, end int) (formats.Page, error) {
	s := d.sheets[at.sheet]
	b := flow.New(formats.Limits{Pages: 1 << 30})
	b.Part(s.Name, s.Hidden)
	if d.named && at.row == 0 && s.Name != "" {
		b.Heading(2, flow.Plain(s.Name))
	}
	t := &table{left: d.left[at.sheet], goesOn: at.goesOn}
	for end < 0 || d.read < end {
		r, err := d.take()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return formats.Page{}, err
		}
		if len(t.rows) > 0 && r.Index-t.rows[len(t.rows)-1] > endOfTable {
			t.put(b)
			t = &table{left: t.left}
		}
		t.add(r)
	}
	t.put(b)
	if end < 0 && s.Beside != nil {
		s.Beside(b)
	}
	return flow.Single(b, n, w, d.limits)
}

// table is the table being collected.
type table struct {
	left   int
	goesOn bool
	rows   []int // their indices in the sheet
	cells  []document.Cell
	words  int // cells of the first row that are no numbers
	first  int // cells of the first row
}

func (t *table) add(r *Row) {
	row := len(t.rows)
	t.rows = append(t.rows, r.Index)
	for _, c := range r.Cells {
		text := flow.Plain(c.Text)
		if row == 0 && text.String != "" {
			t.first++
			if c.Word {
				t.words++
			}
		}
		if c.Link != "" && document.Linkable(c.Link) && text.String != "" {
			text.Spans = []document.Span{{Start: 0, End: len([]rune(text.String)), Kind: document.Link, Target: c.Link}}
		}
		t.cells = append(t.cells, document.Cell{Row: row, Column: max(0, c.Column-t.left), RowSpan: max(1, c.Rows), ColumnSpan: max(1, c.Columns),
			Text: text.String, Spans: text.Spans})
	}
}

// put writes the table: one that is a single cell is a paragraph. The first row is its head where it holds nothing but words.
func (t *table) put(b *flow.Builder) {
	if len(t.cells) == 1 && !t.goesOn {
		b.Paragraph(flow.Text{String: t.cells[0].Text, Spans: t.cells[0].Spans})
		return
	}
	out := &document.Table{Rows: len(t.rows), Continues: t.goesOn, Cells: t.cells}
	head := !t.goesOn && len(t.rows) > 1 && t.first > 1 && t.words == t.first
	for i := range out.Cells {
		c := &out.Cells[i]
		c.Header = head && c.Row == 0
		c.RowSpan = t.reach(c.Row, c.RowSpan)
		if c.ColumnSpan <= 1 {
			c.ColumnSpan = 0
		}
		out.Columns = max(out.Columns, c.Column+max(1, c.ColumnSpan))
	}
	b.Table(out)
}

// reach counts the rows of the table that a span over rows of the sheet covers.
func (t *table) reach(row, span int) int {
	if span <= 1 {
		return 0
	}
	n := 1
	for n < len(t.rows)-row && t.rows[row+n] < t.rows[row]+span {
		n++
	}
	if n == 1 {
		return 0
	}
	return n
}

// Blank reports whether a row holds nothing to read.
func (r *Row) Blank() bool {
	for _, c := range r.Cells {
		if strings.TrimSpace(c.Text) != "" {
			return false
		}
	}
	return true
}
