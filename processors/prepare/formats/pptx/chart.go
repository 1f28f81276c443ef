package pptx

import (
	"strconv"

	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/xmltree"
)

// maxPoints bounds the values of one row of a chart.
const maxPoints = 10_000

// chart puts the data of a chart as a table: a column for each series, a row for each category.
func (s *slide) chart(id string) {
	rel := s.rels[id]
	if rel.External || !s.deck.pkg.Has(rel.Target) {
		return
	}
	t, err := s.deck.pkg.Tree(rel.Target)
	if err != nil {
		return // the slide is whole without it
	}
	if title := flow.Plain(texts(t.Child("chart", "title"))); title.String != "" {
		s.out.Caption(title)
	}
	var series []*xmltree.Node
	if area := t.Child("chart", "plotArea"); area != nil {
		for _, c := range area.Children {
			series = append(series, c.All("ser")...)
		}
	}
	if len(series) == 0 || len(series) > 256 {
		return
	}
	categories := points(series[0].Child("cat"))
	columns := make([]map[int]string, len(series))
	last := -1
	for i := range categories {
		last = max(last, i)
	}
	for i, c := range series {
		columns[i] = points(c.Child("val"))
		for k := range columns[i] {
			last = max(last, k)
		}
	}
	g := flow.NewGrid()
	g.At(0, 0, flow.Text{}, 1, 1, true)
	for i, c := range series {
		g.At(0, i+1, flow.Plain(points(c.Child("tx"))[0]), 1, 1, true)
	}
	for k := range last + 1 {
		g.At(k+1, 0, flow.Plain(categories[k]), 1, 1, true)
		for i := range series {
			g.At(k+1, i+1, flow.Plain(columns[i][k]), 1, 1, false)
		}
	}
	s.out.Table(g.Table())
}

// points are the values of a row of a chart, by their place.
func points(n *xmltree.Node) map[int]string {
	out := map[int]string{}
	if n == nil {
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
