package html

import (
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"docstream/processors/prepare/formats/flow"
	"docstream/schemas/document"
)

// table reads a table, or what is laid out by one.
func (w *writer) table(n *html.Node, look flow.Look) {
	rows := rowsOf(n)
	if w.layout(n, rows) {
		w.children(n, look)
		return
	}
	if c := child(n, atom.Caption); c != nil {
		w.node(c, look)
	}
	t := w.grid(rows, look)
	switch {
	case t == nil:
	case w.cell:
		w.lines = append(w.lines, flow.Nested(t)...)
	case w.aside == within:
		w.out.Table(t)
	default:
		for _, l := range flow.Nested(t) {
			w.words.Add(l.String, look)
			w.flush()
		}
	}
}

// row is a row of a table, whether it belongs to the head, and how many rows of its group are left with it: no cell reaches further down.
type row struct {
	node *html.Node
	head bool
	left int
}

// rowsOf returns the rows of a table in the order they are shown: the head first, the foot last.
func rowsOf(n *html.Node) []row {
	var head, body, foot []row
	loose := 0 // rows at the end of the body that stand in no group
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		switch c.DataAtom {
		case atom.Tr:
			if !hidden(c) {
				body, loose = append(body, row{node: c}), loose+1
				count(body[len(body)-loose:])
			}
			continue
		case atom.Thead:
			head = append(head, group(c, true)...)
		case atom.Tbody:
			body = append(body, group(c, false)...)
		case atom.Tfoot:
			foot = append(foot, group(c, false)...)
		default:
			continue
		}
		loose = 0
	}
	return append(append(head, body...), foot...)
}

// group returns the rows of a part of a table.
func group(n *html.Node, head bool) (out []row) {
	for r := n.FirstChild; r != nil; r = r.NextSibling {
		if r.DataAtom == atom.Tr && !hidden(r) {
			out = append(out, row{node: r, head: head})
		}
	}
	count(out)
	return out
}

func count(rows []row) {
	for i := range rows {
		rows[i].left = len(rows) - i
	}
}

func child(n *html.Node, a atom.Atom) *html.Node {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.DataAtom == a {
			return c
		}
	}
	return nil
}

// layout reports whether a table only puts blocks beside one another: it says so, it has one cell, or there are tables or headings in its
// cells and nothing says that it is a table of data.
func (w *writer) layout(n *html.Node, rows []row) bool {
	if r := attr(n, "role"); r == "presentation" || r == "none" {
		return true
	}
	cells := 0
	for _, r := range rows {
		for c := r.node.FirstChild; c != nil; c = c.NextSibling {
			switch c.DataAtom {
			case atom.Th:
				return false
			case atom.Td:
				cells++
			}
		}
	}
	if cells <= 1 {
		return true
	}
	if child(n, atom.Caption) != nil || child(n, atom.Thead) != nil || has(n, "border") && attr(n, "border") != "0" {
		return false
	}
	for _, r := range rows {
		for c := r.node.FirstChild; c != nil; c = c.NextSibling {
			for _, a := range []atom.Atom{atom.Table, atom.H1, atom.H2, atom.H3, atom.H4} {
				if find(c, a) != nil {
					return true
				}
			}
		}
	}
	return false
}

// grid lays the cells out. A row of nothing but header cells belongs to the head.
func (w *writer) grid(rows []row, look flow.Look) *document.Table {
	g := flow.NewGrid()
	for _, r := range rows {
		g.Row()
		for c := r.node.FirstChild; c != nil; c = c.NextSibling {
			if c.DataAtom != atom.Td && c.DataAtom != atom.Th || hidden(c) {
				continue
			}
			high := number(attr(c, "rowspan"), 65_534)
			if attr(c, "rowspan") == "0" {
				high = r.left
			}
			g.Cell(w.inCell(c, look), min(high, r.left), number(attr(c, "colspan"), 1000), r.head || c.DataAtom == atom.Th)
		}
	}
	return g.Table()
}

// number reads a span; what is no number is 1.
func number(s string, most int) int {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 1 {
		return 1
	}
	return min(n, most)
}

// inCell reads the content of a cell: a line for each of its blocks.
func (w *writer) inCell(n *html.Node, look flow.Look) flow.Text {
	in := &writer{out: w.out, cell: true}
	in.words.Collapse = true
	in.children(n, look)
	in.flush()
	return flow.Lines(in.lines)
}
