package odf

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/sheet"
	"docstream/processors/prepare/formats/xmltree"
)

// The bounds of a spreadsheet.
const (
	maxSheets  = 1000
	maxRows    = 1 << 20
	maxColumns = 1 << 14
	maxCopies  = 10_000 // of a row that says something
)

// sheets lists the sheets of a spreadsheet.
func (r *reader) sheets() ([]sheet.Sheet, error) {
	var out []sheet.Sheet
	in, err := r.archive.Reader(content)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	s := xmltree.NewScanner(in, r.limits.Depth)
	for depth := 0; ; {
		t, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if t.Name.Local == "automatic-styles" {
				n, err := s.Tree(t)
				if err != nil {
					return nil, err
				}
				_ = r.learn(n)
				continue
			}
			if depth == 3 && t.Name.Local == "table" { // document, body, spreadsheet, table
				if len(out) == maxSheets {
					return nil, formats.TooLarge("more than %d sheets", maxSheets)
				}
				n := &xmltree.Node{Attrs: t.Attr}
				nth := len(out)
				open := func() (sheet.Rows, error) { return r.open(nth) }
				out = append(out, sheet.Sheet{Name: n.Attr("name"), Hidden: r.styles[n.Attr("style-name")].hidden, Count: open, Open: open})
			}
			depth++
		case xml.EndElement:
			depth--
		}
	}
	if len(out) == 0 {
		return nil, formats.Corrupt(errors.New("no sheets"))
	}
	return out, nil
}

// rows is a pass over the rows of one sheet.
type rows struct {
	reader *reader
	body   io.ReadCloser
	scan   *xmltree.Scanner
	depth  int
	row    int // of the next one
	copies int // of the last row, still to be given
	last   *sheet.Row
}

// open goes to the start of the nth sheet.
func (r *reader) open(nth int) (sheet.Rows, error) {
	in, err := r.archive.Reader(content)
	if err != nil {
		return nil, err
	}
	p := &rows{reader: r, body: in, scan: xmltree.NewScanner(in, r.limits.Depth)}
	for tables := 0; ; {
		t, err := p.scan.Next()
		if err != nil {
			p.Close()
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if p.depth == 3 && t.Name.Local == "table" {
				if tables == nth {
					p.depth = 0
					return p, nil
				}
				tables++
			}
			p.depth++
		case xml.EndElement:
			p.depth--
		}
	}
}

// Close ends the pass.
func (p *rows) Close() { _ = p.body.Close() }

// Next returns the next row with something in it.
func (p *rows) Next() (*sheet.Row, error) {
	if p.copies > 0 {
		p.copies--
		again := *p.last
		again.Cells = append([]sheet.Cell(nil), p.last.Cells...)
		again.Index, p.row = p.row, p.row+1
		return &again, nil
	}
	for {
		t, err := p.scan.Next()
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if t.Name.Local != "table-row" {
				p.depth++
				continue
			}
			n, err := p.scan.Tree(t)
			if err != nil {
				return nil, err
			}
			repeat := count(n.Attr("number-rows-repeated"), 1, maxRows)
			row := p.read(n)
			if row.Blank() {
				p.row = min(p.row+repeat, maxRows)
				continue
			}
			if p.row >= maxRows || repeat > maxCopies {
				return nil, formats.TooLarge("a row repeated %d times", repeat)
			}
			p.last, p.copies = row, repeat-1
			p.row++
			return row, nil
		case xml.EndElement:
			if p.depth--; p.depth < 0 {
				return nil, io.EOF
			}
		}
	}
}

// read reads one row. Cells show what they say, formatted.
func (p *rows) read(n *xmltree.Node) *sheet.Row {
	out := &sheet.Row{Index: p.row}
	column := 0
	for _, c := range n.Children {
		if c.Name != "table-cell" && c.Name != "covered-table-cell" {
			continue
		}
		repeat := count(c.Attr("number-columns-repeated"), 1, maxColumns)
		text := ""
		if c.Name == "table-cell" {
			if text = flow.Lines(p.reader.inCell(c)).String; text == "" {
				text = bare(c)
			}
		}
		if text == "" {
			column = min(column+repeat, maxColumns)
			continue
		}
		for range repeat {
			if column == maxColumns {
				break
			}
			kind := c.Attr("value-type")
			out.Cells = append(out.Cells, sheet.Cell{Column: column, Text: text, Link: c.Find("a").Attr("href"), Word: kind == "" || kind == "string",
				Rows: count(c.Attr("number-rows-spanned"), 0, maxRows), Columns: count(c.Attr("number-columns-spanned"), 0, maxColumns)})
			column++
		}
	}
	return out
}

// bare is the value of a cell whose writer did not say how it is shown.
func bare(c *xmltree.Node) string {
	if len(c.All("p")) > 0 {
		return ""
	}
	switch c.Attr("value-type") {
	case "percentage":
		if v, err := strconv.ParseFloat(c.Attr("value"), 64); err == nil {
			return strconv.FormatFloat(hundredfold(v), 'f', -1, 64) + "%"
		}
	case "currency":
		return strings.TrimSpace(c.Attr("value") + " " + c.Attr("currency"))
	case "boolean":
		return strings.ToUpper(c.Attr("boolean-value"))
	case "date":
		return strings.TrimSuffix(strings.Replace(c.Attr("date-value"), "T", " ", 1), " 00:00:00")
	case "time":
		return clock(c.Attr("time-value"))
	case "string":
		return c.Attr("string-value")
	}
	return c.Attr("value")
}

// hundredfold is a hundred times a number, without what floating point adds.
func hundredfold(v float64) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(v*100, 'g', 14, 64), 64)
	if err != nil {
		return v * 100
	}
	return r
}

var duration = regexp.MustCompile(`^PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:[.,]\d+)?S)?$`)

// clock writes a duration of ISO 8601 as a clock shows it.
func clock(s string) string {
	m := duration.FindStringSubmatch(s)
	if m == nil {
		return s
	}
	two := func(s string) string { return strings.Repeat("0", max(0, 2-len(s))) + s }
	return two(m[1]) + ":" + two(m[2]) + ":" + two(m[3])
}
