package xlsx

import (
	"cmp"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/sheet"
	"docstream/processors/prepare/formats/xmltree"
)

// The size of a sheet in Excel, and bounds of what stands beside its cells.
const (
	maxRows    = 1 << 20
	maxColumns = 1 << 14
	maxBeside  = 200_000 // merged ranges, links
)

// worksheet is one sheet. The first pass over it learns what is written behind its cells.
type worksheet struct {
	book   *book
	part   string
	merged []area
	links  map[[2]int]string
}

// area is a range of merged cells.
type area struct{ top, left, bottom, right int }

func (s *worksheet) count() (sheet.Rows, error) {
	r, err := s.book.pkg.Reader(s.part)
	if err != nil {
		return nil, err
	}
	s.links = map[[2]int]string{}
	return &rows{sheet: s, body: r, scan: xmltree.NewScanner(r, s.book.pkg.Depth()), counting: true}, nil
}

func (s *worksheet) open() (sheet.Rows, error) {
	r, err := s.book.pkg.Reader(s.part)
	if err != nil {
		return nil, err
	}
	return &rows{sheet: s, body: r, scan: xmltree.NewScanner(r, s.book.pkg.Depth()), rest: s.merged, until: make([]int, maxColumns)}, nil
}

// rows is a pass over the rows of a sheet.
type rows struct {
	sheet    *worksheet
	body     io.ReadCloser
	scan     *xmltree.Scanner
	counting bool
	row      int    // number of rows so far, from 0
	rest     []area // merged ranges that begin further down
	until    []int  // by column: first row that no merged range reaches into
	said     bool   // a row was not empty
	lost     bool   // a cell names a string, and there are none
}

// Close ends the pass.
func (r *rows) Close() { _ = r.body.Close() }

// Next returns the next row with something in it.
func (r *rows) Next() (*sheet.Row, error) {
	for {
		t, err := r.scan.Next()
		if err != nil {
			if errors.Is(err, io.EOF) && r.counting {
				slices.SortFunc(r.sheet.merged, func(a, b area) int {
					return cmp.Or(a.top-b.top, a.left-b.left, a.bottom-b.bottom, a.right-b.right)
				})
				r.sheet.merged = slices.Compact(r.sheet.merged)
				if r.lost && !r.said {
					return nil, formats.Corrupt(errors.New("the strings are missing, and there is nothing else"))
				}
			}
			return nil, err
		}
		start, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "row":
			n, err := r.scan.Tree(start)
			if err != nil {
				return nil, err
			}
			row, err := r.read(n)
			if err != nil {
				return nil, err
			}
			if row != nil {
				r.said = true
				return row, nil
			}
		case "mergeCell", "hyperlink":
			if r.counting {
				if err := r.beside(start); err != nil {
					return nil, err
				}
			}
		}
	}
}

// beside notes a merged range or a link.
func (r *rows) beside(start xml.StartElement) error {
	s := r.sheet
	if len(s.merged) >= maxBeside || len(s.links) >= maxBeside {
		return formats.TooLarge("more than %d merged ranges or links", maxBeside)
	}
	ref, id, location := "", "", ""
	for _, a := range start.Attr {
		switch a.Name.Local {
		case "ref":
			ref = a.Value
		case "id":
			id = a.Value
		case "location":
			location = a.Value
		}
	}
	from, to, _ := strings.Cut(ref, ":")
	a := area{}
	var ok bool
	if a.top, a.left, ok = place(from); !ok {
		return nil
	}
	if a.bottom, a.right, ok = place(to); !ok {
		a.bottom, a.right = a.top, a.left
	}
	if start.Name.Local == "hyperlink" {
		rels, err := s.book.pkg.Relations(s.part)
		if err != nil {
			return err
		}
		if rel := rels[id]; rel.External && location == "" {
			s.links[[2]int{a.top, a.left}] = rel.Target
		}
		return nil
	}
	if a.bottom >= a.top && a.right >= a.left && (a.bottom > a.top || a.right > a.left) {
		s.merged = append(s.merged, a)
	}
	return nil
}

// read reads one row; nil where it holds nothing.
func (r *rows) read(n *xmltree.Node) (*sheet.Row, error) {
	if v, ok := n.Has("r"); ok {
		i, err := strconv.Atoi(v)
		if err != nil || i < 1 || i > maxRows || i-1 < r.row {
			return nil, formats.Corrupt(errors.New("a row out of place"))
		}
		r.row = i - 1
	}
	if r.row >= maxRows {
		return nil, formats.Corrupt(errors.New("more rows than a sheet has"))
	}
	out := &sheet.Row{Index: r.row}
	r.row++
	column := 0
	for _, c := range n.All("c") {
		if v, ok := c.Has("r"); ok {
			if _, col, ok := place(v); ok {
				column = col
			}
		}
		if column >= maxColumns {
			return nil, formats.Corrupt(errors.New("more columns than a sheet has"))
		}
		if c.Attr("t") == "s" && len(r.sheet.book.strings) == 0 && strings.TrimSpace(c.Child("v").Content()) != "" {
			r.lost = true
		}
		cell := sheet.Cell{Column: column}
		cell.Text, cell.Word = r.value(c)
		cell.Link = r.sheet.links[[2]int{out.Index, column}]
		out.Cells = append(out.Cells, cell)
		column++
	}
	if out.Blank() {
		return nil, nil
	}
	slices.SortStableFunc(out.Cells, func(a, b sheet.Cell) int { return a.Column - b.Column })
	if !r.counting {
		r.merge(out)
	}
	return out, nil
}

// merge gives the cells of a row their spans and drops those that lie under another.
func (r *rows) merge(row *sheet.Row) {
	begins := map[int]area{}
	for len(r.rest) > 0 && r.rest[0].top <= row.Index {
		a := r.rest[0]
		r.rest = r.rest[1:]
		if a.bottom < row.Index {
			continue
		}
		if a.top == row.Index {
			begins[a.left] = a
		}
		for c := a.left; c <= a.right; c++ {
			r.until[c] = max(r.until[c], a.bottom+1)
		}
	}
	kept := row.Cells[:0]
	for _, c := range row.Cells {
		a, first := begins[c.Column]
		if !first && r.until[c.Column] > row.Index {
			continue
		}
		if first {
			c.Rows, c.Columns = a.bottom-a.top+1, a.right-a.left+1
		}
		kept = append(kept, c)
	}
	row.Cells = kept
}

// value is what a cell shows and whether it is words.
func (r *rows) value(c *xmltree.Node) (string, bool) {
	v := c.Child("v").Content()
	if f := strings.TrimSpace(c.Child("f").Content()); v == "" && f != "" && c.Child("is") == nil && c.Attr("t") != "str" {
		return "=" + f, false // nobody has worked it out yet
	}
	switch c.Attr("t") {
	case "s":
		i, err := strconv.Atoi(strings.TrimSpace(v))
		if err != nil || i < 0 || i >= len(r.sheet.book.strings) {
			return "", true
		}
		return r.sheet.book.strings[i], true
	case "inlineStr":
		if is := c.Child("is"); is != nil {
			return rich(is), true
		}
		return v, true
	case "str":
		return unescaped(v), true
	case "b":
		if strings.TrimSpace(v) == "1" {
			return "TRUE", false
		}
		return "FALSE", false
	case "e":
		return v, false
	}
	if v == "" || r.counting {
		return v, false
	}
	style, _ := strconv.Atoi(c.Attr("s"))
	return r.sheet.book.shown.format(v, style, c.Attr("t") == "d"), false
}

// place reads a reference such as B4; rows and columns count from 0.
func place(ref string) (row, column int, ok bool) {
	i := 0
	for ref = strings.ReplaceAll(ref, "$", ""); i < len(ref) && i < 4; i++ {
		c := ref[i] &^ 0x20
		if c < 'A' || c > 'Z' {
			break
		}
		column = column*26 + int(c-'A') + 1
	}
	row, err := strconv.Atoi(ref[i:])
	if err != nil || i == 0 || row < 1 || row > maxRows || column > maxColumns {
		return 0, 0, false
	}
	return row - 1, column - 1, true
}
