package docx

import (
	"strconv"

	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/xmltree"
	"docstream/schemas/document"
)

// table reads a table. Rows that were deleted are left out.
func (r *reader) table(n *xmltree.Node) *document.Table {
	r.cell++
	defer func() { r.cell-- }()
	g := flow.NewGrid()
	head := headed(n.Child("tblPr", "tblLook"))
	rows := within(n, "tr")
	row := 0
	for _, tr := range rows {
		trPr := tr.Child("trPr")
		if trPr.Child("del") != nil {
			continue
		}
		header := head && row == 0
		if h := trPr.Child("tblHeader"); h != nil {
			header = on(h.Attr("val"))
		}
		column := number(trPr.Child("gridBefore").Attr("val"), 0)
		var last *document.Cell
		for _, tc := range within(tr, "tc") {
			last, column = r.place(g, last, tc, row, column, header)
		}
		row++
	}
	return g.Table()
}

// place puts one cell and returns where the next one stands. A cell that goes on from above or from the left is none of its own.
func (r *reader) place(g *flow.Grid, last *document.Cell, tc *xmltree.Node, row, column int, header bool) (*document.Cell, int) {
	pr := tc.Child("tcPr")
	wide := max(1, number(pr.Child("gridSpan").Attr("val"), 1))
	if m := pr.Child("vMerge"); m != nil && m.Attr("val") != "restart" && g.Last(column) != nil {
		g.Reach(row, column)
		return nil, column + wide
	}
	if m := pr.Child("hMerge"); m != nil && m.Attr("val") != "restart" && last != nil {
		last.ColumnSpan = max(1, last.ColumnSpan) + wide
		return last, column + wide
	}
	var lines []flow.Text
	for _, c := range tc.Children {
		lines = append(lines, r.lines(c)...)
	}
	return g.At(row, column, flow.Lines(lines), 1, wide, header), column + wide
}

// headed reports whether the first row of a table is set apart by its style.
func headed(look *xmltree.Node) bool {
	if v, ok := look.Has("firstRow"); ok {
		return on(v)
	}
	v, err := strconv.ParseUint(look.Attr("val"), 16, 32)
	return err == nil && v&0x20 != 0
}

// within returns the elements of a name in a node and in whatever only holds them.
func within(n *xmltree.Node, name string) []*xmltree.Node {
	var out []*xmltree.Node
	for _, c := range n.Children {
		switch {
		case c.Name == name:
			out = append(out, c)
		case body[c.Name]:
			out = append(out, within(c, name)...)
		}
	}
	return out
}
