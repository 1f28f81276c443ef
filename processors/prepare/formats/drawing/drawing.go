// Package drawing reads what Office documents draw and that has words: charts, diagrams and the shapes on a sheet.
package drawing

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/xmltree"
	"docstream/schemas/document"
)

// The bounds of one chart.
const (
	maxPoints = 10_000 // values of one row
	maxSeries = 256
	maxLevels = 16 // of categories
	maxCells  = 500_000
)

// Chart puts a chart: its title, and its data as a table with a column for each series and a row for each category. What its axes are
// called stands at the head of the table, or below it where there is none.
func Chart(out *flow.Builder, t *xmltree.Node) {
	if title := flow.Plain(Text(t.Child("chart", "title"))); title.String != "" {
		out.Caption(title)
	}
	var series []*xmltree.Node
	var axes []string
	if area := t.Child("chart", "plotArea"); area != nil {
		for _, c := range area.Children {
			series = append(series, c.All("ser")...)
			if strings.HasSuffix(c.Name, "Ax") {
				if s := flow.Plain(Text(c.Child("title"))).String; s != "" {
					axes = append(axes, s)
				}
			}
		}
	}
	if len(series) > 0 && len(series) <= maxSeries {
		out.Table(data(series))
	}
	for _, s := range axes {
		out.Paragraph(flow.Plain(s))
	}
}

// data lays the values of a chart out; nothing where there are too many.
func data(series []*xmltree.Node) *document.Table {
	categories := points(first(series[0], "cat", "xVal"))
	columns := make([]map[int]string, len(series))
	rows := map[int]bool{}
	for k := range categories {
		rows[k] = true
	}
	for i, c := range series {
		columns[i] = points(first(c, "val", "yVal"))
		for k := range columns[i] {
			rows[k] = true
		}
	}
	if len(rows)*len(series) > maxCells {
		return nil
	}
	g := flow.NewGrid()
	g.At(0, 0, flow.Text{}, 1, 1, true)
	for i, c := range series {
		g.At(0, i+1, flow.Plain(name(c.Child("tx"))), 1, 1, true)
	}
	for n, k := range slices.Sorted(maps.Keys(rows)) {
		g.At(n+1, 0, flow.Plain(categories[k]), 1, 1, true)
		for i := range series {
			g.At(n+1, i+1, flow.Plain(columns[i][k]), 1, 1, false)
		}
	}
	return g.Table()
}

// name is what a series is called: by a cell, or by itself.
func name(tx *xmltree.Node) string {
	if s := points(tx)[0]; s != "" {
		return s
	}
	return tx.Child("v").Content()
}

func first(n *xmltree.Node, names ...string) *xmltree.Node {
	for _, name := range names {
		if c := n.Child(name); c != nil {
			return c
		}
	}
	return nil
}

// points are the values of a row of a chart, by their place. Of categories in several levels the outer ones come first.
func points(n *xmltree.Node) map[int]string {
	out := map[int]string{}
	if n == nil {
		return out
	}
	if levels := n.Find("multiLvlStrCache").All("lvl"); len(levels) > 1 && len(levels) <= maxLevels {
		last := 0
		for i := range points(levels[0]) {
			last = max(last, i)
		}
		for i := len(levels) - 1; i >= 0; i-- {
			shown, own := "", points(levels[i])
			for k := range last + 1 {
				if own[k] != "" {
					shown = own[k]
				}
				out[k] = strings.TrimSpace(out[k] + " " + shown)
			}
		}
		return out
	}
	var add func(*xmltree.Node)
	add = func(n *xmltree.Node) {
		if n.Name == "pt" {
			if i, err := strconv.Atoi(n.Attr("idx")); err == nil && i >= 0 && i < maxPoints {
				out[i] = n.Child("v").Content()
			}
			return
		}
		for _, c := range n.Children {
			add(c)
		}
	}
	add(n)
	return out
}

// Diagram returns the words of a diagram, one text for each of its shapes, in the order of its data.
func Diagram(t *xmltree.Node) []string {
	var out []string
	for _, pt := range t.Child("ptLst").All("pt") {
		if kind := pt.Attr("type"); kind != "" && kind != "node" && kind != "asst" {
			continue
		}
		if words := strings.TrimSpace(Text(pt.Child("t"))); words != "" {
			out = append(out, words)
		}
	}
	return out
}

// Text is all text below a node, a space between paragraphs.
func Text(n *xmltree.Node) string {
	if n == nil {
		return ""
	}
	var b strings.Builder
	var add func(*xmltree.Node)
	add = func(n *xmltree.Node) {
		switch n.Name {
		case "t":
			b.WriteString(n.Content())
			return
		case "br":
			b.WriteByte(' ')
		case "Fallback":
			return
		}
		for _, c := range n.Children {
			add(c)
		}
		if n.Name == "p" {
			b.WriteByte(' ')
		}
	}
	add(n)
	return b.String()
}
