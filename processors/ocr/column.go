package ocr

import (
	"cmp"
	"slices"

	"docstream/schemas/document"
)

// columnLines is how many lines a column must have, so that a torn line is not taken for two columns.
const columnLines = 3

// columns cuts a text region that the layout model drew over several columns, as it does on noisy and blurred pages: read row by row it
// would mix them.
func (a *assembly) columns(d draft) []draft {
	if d.grid != nil || d.kind != document.Paragraph && d.kind != document.Reference || len(d.lines) < 2*columnLines {
		return []draft{d}
	}
	groups := a.beside(d.lines)
	if len(groups) < 2 || slices.ContainsFunc(groups, func(g []placed) bool { return len(g) < columnLines }) {
		return []draft{d}
	}
	var out []draft
	for _, g := range groups {
		box, flat := bounds(g)
		out = append(out, draft{kind: d.kind, score: d.score, box: box, flat: flat, lines: g})
	}
	return out
}

// beside groups lines at every gap that runs through all of them from top to bottom.
func (a *assembly) beside(lines []placed) [][]placed {
	sorted := slices.Clone(lines)
	slices.SortStableFunc(sorted, func(x, y placed) int { return cmp.Compare(x.flat.X0, y.flat.X0) })
	var groups [][]placed
	end := 0.0
	for i, l := range sorted {
		trim := min(a.body/3, l.flat.Width()/4)
		if i == 0 || l.flat.X0+trim > end {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], l)
		end = max(end, l.flat.X1-trim)
	}
	return groups
}

// Columns of prose, which the layout model takes for a table where a page is noisy or blurred.
const (
	proseLines   = 8 // of a column
	proseColumns = 4 // at most
	proseWords   = 4 // of the usual line; a cell has fewer
)

// prose reports whether lines are columns of running text: few, long, and of long lines.
func (a *assembly) prose(lines []placed) bool {
	groups := a.beside(lines)
	if len(groups) < 2 || len(groups) > proseColumns {
		return false
	}
	for _, g := range groups {
		words := make([]float64, len(g))
		for i, l := range g {
			words[i] = float64(len(l.words))
		}
		if len(g) < proseLines || median(words) < proseWords {
			return false
		}
	}
	return true
}
