package odf

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"docstream/processors/prepare/formats/xmltree"
)

// shape is a shape of a slide with its place, in centimetres.
type shape struct {
	node  *xmltree.Node
	x, y  float64
	high  float64
	title bool
	row   int
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
		case "a":
			out = append(out, shapesOf(c, depth+1)...)
		case "frame", "custom-shape", "rect", "ellipse", "circle", "text-box", "polygon", "polyline", "path", "line", "connector", "caption", "control":
			x, y := length(c.Attr("x")), length(c.Attr("y"))
			if m := moved.FindStringSubmatch(c.Attr("transform")); m != nil { // what is turned says so instead
				x, y = length(m[1]), length(m[2])
			}
			out = append(out, shape{node: c, x: x, y: y, high: length(c.Attr("height")), title: c.In("presentation:1.0", "class") == "title"})
		}
	}
	return out
}

// moved is where a transformation puts a shape.
var moved = regexp.MustCompile(`translate\s*\(\s*(\S+?)[\s,]+(\S+?)\s*\)`)

// order sorts shapes as they are read: the title first, then rows from top to bottom, within a row from left to right. Shapes whose tops lie
// above the middle of the highest one of a row are in that row.
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
	row, middle := 0, 0.0
	for i := range shapes {
		s := &shapes[i]
		if i == 0 || s.title || shapes[i-1].title || s.y >= middle {
			row, middle = row+1, s.y+s.high/2
		}
		s.row = row
	}
	slices.SortStableFunc(shapes, func(a, b shape) int { return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.x, b.x)) })
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
