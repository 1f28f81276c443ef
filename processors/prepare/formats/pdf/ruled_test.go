package pdf_test

import (
	"fmt"
	"strings"
	"testing"

	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/pdf/pdftest"
	"docstream/schemas/document"
)

// strokes draws lines; each is x, y, x, y from the lower left corner.
func strokes(lines ...[4]float64) string {
	var b strings.Builder
	b.WriteString("0.5 w\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "%g %g m %g %g l S\n", l[0], l[1], l[2], l[3])
	}
	return b.String()
}

// mesh draws every line of a grid.
func mesh(xs, ys []float64) string {
	var lines [][4]float64
	for _, x := range xs {
		lines = append(lines, [4]float64{x, ys[0], x, ys[len(ys)-1]})
	}
	for _, y := range ys {
		lines = append(lines, [4]float64{xs[0], y, xs[len(xs)-1], y})
	}
	return strokes(lines...)
}

// boxes draws every cell of a grid as a path of its own, or all of them as one.
func boxes(xs, ys []float64, one bool, paint string) string {
	var b strings.Builder
	for i := range len(xs) - 1 {
		for j := range len(ys) - 1 {
			fmt.Fprintf(&b, "%g %g %g %g re", xs[i], ys[j], xs[i+1]-xs[i], ys[j+1]-ys[j])
			if !one {
				b.WriteString(" " + paint)
			}
			b.WriteString("\n")
		}
	}
	if one {
		b.WriteString(paint + "\n")
	}
	return b.String()
}

// put writes lines of text, each at x and y.
func put(font string, x, y float64, lines ...string) string {
	return pdftest.Lines(font, 10, 11, x, y, lines...)
}

func TestRulesPartCells(t *testing.T) {
	xs, ys := []float64{72, 200, 300, 400}, []float64{700, 660, 640, 620}
	cells := put("F1", 76, 688, "What was caught", "by the old boats") + put("F1", 204, 688, "Baskets") + put("F1", 304, 688, "Price") +
		put("F1", 76, 647, "Herring of the north") + put("F1", 204, 647, "12") + put("F1", 304, 647, "84.00") +
		put("F1", 76, 627, "Cod") + put("F1", 204, 627, "7")
	plain := "table 3x3\n 0: |0 *What was caught by the old boats |1 *Baskets |2 *Price\n 1: |0 Herring of the north |1 12 |2 84.00\n 2: |0 Cod |1 7\n"
	spanning := mesh([]float64{72, 400}, []float64{700, 620}) +
		strokes([4]float64{200, 620, 200, 700}, [4]float64{300, 620, 300, 680}, [4]float64{200, 680, 400, 680}, [4]float64{72, 660, 400, 660}, [4]float64{200, 640, 400, 640}) +
		put("F1", 76, 678, "Sort") + put("F1", 204, 687, "Counted at") + put("F1", 204, 667, "Sea") + put("F1", 304, 667, "Land") +
		put("F1", 76, 637, "Herring") + put("F1", 204, 647, "12") + put("F1", 304, 647, "84") + put("F1", 204, 627, "13") + put("F1", 304, 627, "85")
	for name, c := range map[string]struct{ content, want string }{
		"lines":                       {mesh(xs, ys) + cells, plain},
		"boxes":                       {boxes(xs, ys, false, "S") + cells, plain},
		"boxes that are one path":     {boxes(xs, ys, true, "S") + cells, plain},
		"grounds of cells":            {"0.9 g\n" + boxes(xs, ys, true, "f") + "0 g\n" + cells, plain},
		"no rules at the sides":       {mesh([]float64{200, 300}, outer(ys)) + strokes(levels(72, 400, ys)...) + cells, plain},
		"level rules, cells of lines": {strokes(levels(72, 400, ys)...) + cells, plain},
		"cells that reach over others": {spanning,
			"table 4x3\n 0: |0 *Sort (2x1) |1 *Counted at (1x2)\n 1: |1 *Sea |2 *Land\n 2: |0 Herring (2x1) |1 12 |2 84\n 3: |1 13 |2 85\n"},
		"no rules between rows": {mesh(xs, []float64{700, 680, 620}) + put("F1", 76, 686, "Sort") + put("F1", 204, 686, "Baskets") + put("F1", 304, 686, "Price") +
			put("F1", 76, 666, "Herring", "Cod", "Sole", "Ling") + put("F1", 204, 666, "12", "7", "3", "4") + put("F1", 304, 666, "84", "", "11", "10"),
			"table 5x3\n 0: |0 *Sort |1 *Baskets |2 *Price\n 1: |0 Herring |1 12 |2 84\n 2: |0 Cod |1 7\n 3: |0 Sole |1 3 |2 11\n 4: |0 Ling |1 4 |2 10\n"},
		"names of columns without rules between": {mesh([]float64{72, 400}, []float64{700, 670, 650, 630}) +
			strokes([4]float64{130, 630, 130, 700}, [4]float64{220, 630, 220, 670}, [4]float64{310, 630, 310, 670}) +
			put("F1", 76, 686, "Sort") + put("F1", 240, 688, "Baskets counted") + put("F1", 150, 675, "North") + put("F1", 240, 675, "South") + put("F1", 330, 675, "West") +
			put("F1", 76, 656, "Herring") + put("F1", 150, 656, "12") + put("F1", 240, 656, "84") + put("F1", 330, 656, "3") +
			put("F1", 76, 636, "Cod") + put("F1", 150, 636, "7") + put("F1", 240, 636, "1") + put("F1", 330, 636, "2"),
			"table 4x4\n 0: |0 *Sort (2x1) |1 *Baskets counted (1x3)\n 1: |1 *North |2 *South |3 *West\n 2: |0 Herring |1 12 |2 84 |3 3\n 3: |0 Cod |1 7 |2 1 |3 2\n"},
		"a title and a note in the frame": {mesh([]float64{72, 400}, []float64{700, 680, 660, 640, 600}) + strokes([4]float64{200, 640, 200, 680}) +
			put("F1", 76, 686, "The catch of the year") + put("F1", 76, 666, "Sort") + put("F1", 204, 666, "Baskets") + put("F1", 76, 646, "Cod") + put("F1", 204, 646, "7") +
			pdftest.Lines("F1", 10, 12, 76, 628, prose[0]+" "+prose[1], prose[2]+" "+prose[3]),
			"paragraph: The catch of the year\ntable 2x2\n 0: |0 *Sort |1 *Baskets\n 1: |0 Cod |1 7\nparagraph: " + strings.Join(prose[:4], " ") + "\n"},
		"rules around groups of cells": {mesh([]float64{72, 250, 430}, []float64{700, 660, 620}) +
			put("F1", 76, 688, "Sort", "Ship") + put("F1", 160, 688, "Cod", "Heron") + put("F1", 254, 688, "Crew", "Port") + put("F1", 350, 688, "4", "Hull") +
			put("F1", 76, 648, "Price", "Pier") + put("F1", 160, 648, "84", "17") + put("F1", 254, 648, "Mate", "Cook") + put("F1", 350, 648, "Sam", "Joe"),
			"table 4x4\n 0: |0 Sort |1 Cod |2 Crew |3 4\n 1: |0 Ship |1 Heron |2 Port |3 Hull\n 2: |0 Price |1 84 |2 Mate |3 Sam\n 3: |0 Pier |1 17 |2 Cook |3 Joe\n"},
		"a frame around running text": {mesh([]float64{60, 400}, []float64{720, 600}) + put("F1", 72, 700, prose[:4]...),
			"paragraph: " + strings.Join(prose[:4], " ") + "\n"},
		"a drawing without words": {mesh(xs, ys) + put("F1", 72, 560, prose[:2]...), "paragraph: " + strings.Join(prose[:2], " ") + "\n"},
		"text around it": {put("F1", 72, 730, prose[:2]...) + mesh(xs, ys) + cells + put("F1", 72, 590, prose[2:4]...),
			"paragraph: " + strings.Join(prose[:2], " ") + "\n" + plain + "paragraph: " + strings.Join(prose[2:4], " ") + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			p := read(t, auto, pdftest.Page{Content: c.content})
			if got := formatstest.Outline([]*document.Page{p.Text}); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

func outer(ys []float64) []float64 { return []float64{ys[0], ys[len(ys)-1]} }

func levels(x0, x1 float64, ys []float64) [][4]float64 {
	var out [][4]float64
	for _, y := range ys {
		out = append(out, [4]float64{x0, y, x1, y})
	}
	return out
}

// TestATableStandsInItsColumn has a table in the left of two columns of text.
func TestATableStandsInItsColumn(t *testing.T) {
	left := put("F1", 72, 740, prose...) + mesh([]float64{72, 130, 200}, []float64{630, 610, 590}) +
		put("F1", 76, 617, "Sort") + put("F1", 134, 617, "Baskets") + put("F1", 76, 597, "Cod") + put("F1", 134, 597, "7") + put("F1", 72, 570, prose[:3]...)
	p := read(t, auto, pdftest.Page{Content: left + put("F1", 320, 740, append(append(prose, prose...), prose[:3]...)...)})
	got := formatstest.Outline([]*document.Page{p.Text})
	want := "paragraph: " + strings.Join(prose, " ") + "\ntable 2x2\n 0: |0 *Sort |1 *Baskets\n 1: |0 Cod |1 7\nparagraph: " + strings.Join(prose[:3], " ") + "\nparagraph: "
	if !strings.HasPrefix(got, want) {
		t.Errorf("got\n%swant first\n%s", got, want)
	}
}
