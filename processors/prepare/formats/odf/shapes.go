package odf

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"docstream/processors/prepare/formats/xmltree"
)

// shape is a shape of a slide with its place, in centimetres.
type shape struct {
	node  *xmltree.Node
	x, y  float64
	title bool
}

// shapesOf lists the shapes of a slide, those of groups among them.
func shapesOf(n *xmltree.Node, depth int) []shape {
	var out []shape
	for _, c := range n.Children {
		switch c.Name {
		case "g":
			if depth < 32 {
				out = append(out, shapesOf(c, depth+1)...)
			}
		case "frame", "custom-shape", "rect", "ellipse", "text-box", "polygon", "path", "line", "connector", "caption":
			out = append(out, shape{c, length(c.Attr("x")), length(c.Attr("y")), c.In("presentation:1.0", "class") == "title"})
		}
	}
	return out
}

// order sorts shapes as they are read.
func order(shapes []shape) {
	slices.SortStableFunc(shapes, func(a, b shape) int {
		if a.title != b.title {
			if a.title {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.y, b.y), cmp.Compare(a.x, b.x))
	})
}

// length reads a length such as 2.5cm.
func length(s string) float64 {
	for unit, cm := range map[string]float64{"cm": 1, "mm": 0.1, "in": 2.54, "pt": 2.54 / 72} {
		if v, ok := strings.CutSuffix(s, unit); ok {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				return 0
			}
			return f * cm
		}
	}
	return 0
}
