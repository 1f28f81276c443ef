package ocr

import (
	"slices"
	"unicode"

	"docstream/internal/engine/ruling"
)

// Columns between which no rule is drawn.
const (
	undrawnLines = 3 // of text with a gap between two rules, at least
	undrawnTimes = 2 // as many as run across it, at least
)

// between adds borders where the lines between two rules keep a gap: many tables have rules around groups of columns only.
func (a *assembly) between(l *lattice, lines []placed) {
	columns := make([][][]piece, len(l.xs)-1) // by column the lines of text in it, in pieces
	text := rows(lines)
	for _, r := range text {
		of := make([][]piece, len(columns))
		for _, line := range r {
			for _, p := range split(line) {
				k := place(l.xs, middle(p.box))
				if p.box.X0 > l.xs[k]-l.reach && p.box.X1 < l.xs[k+1]+l.reach {
					of[k] = append(of[k], p)
				}
			}
		}
		for k, p := range of {
			if len(p) > 0 {
				columns[k] = append(columns[k], p)
			}
		}
	}
	for _, c := range columns {
		var several [][]piece
		for _, r := range c {
			if len(r) > 1 {
				several = append(several, r)
			}
		}
		if len(several) < undrawnLines {
			continue
		}
		for _, g := range a.gutters(several) {
			keep, cross := 0, 0
			for _, r := range c {
				switch {
				case slices.ContainsFunc(r, func(p piece) bool { return p.box.X0 < g.middle() && g.middle() < p.box.X1 }):
					cross++
				case r[0].box.X1 <= g.middle() && r[len(r)-1].box.X0 >= g.middle():
					keep++
				}
			}
			if keep >= undrawnLines && keep >= undrawnTimes*cross {
				l.divide(g.middle(), text)
			}
		}
	}
	slices.Sort(l.xs)
}

// divide adds a border beside all lines of text that do not run across it.
func (l *lattice) divide(x float64, text [][]placed) {
	l.xs = append(l.xs, x)
	for _, r := range text {
		if !slices.ContainsFunc(r, func(p placed) bool { return crosses(p, x) }) {
			_, flat := bounds(r)
			l.v = append(l.v, ruling.Rule{At: x, From: flat.Y0 - l.reach, To: flat.Y1 + l.reach})
		}
	}
}

// crosses reports whether text of a line stands at a place.
func crosses(line placed, x float64) bool {
	return slices.ContainsFunc(split(line), func(p piece) bool { return p.box.X0 < x && x < p.box.X1 })
}

// Rows between which no rule is drawn.
const (
	undrawnRows  = 3   // of text between two rules, at least, to be rows of their own: fewer are the lines of a cell
	pairColumns  = 4   // that both of two lines have text in, at least
	undrawnShare = 0.6 // of these that have text in several columns, at least
)

// undrawn are the borders of the rows, with those that are not drawn: many tables have rules between their columns, but below their head
// only one at the end.
func (l *lattice) undrawn(parts []placed) []float64 {
	bands := make([][]placed, len(l.ys)-1)
	for _, p := range parts {
		i := place(l.ys, p.middle())
		bands[i] = append(bands[i], p)
	}
	out := l.ys[:1:1]
	for i, band := range bands {
		if text := rows(band); l.parted(text) {
			for k := 1; k < len(text); k++ {
				_, foot := edges(text[k-1])
				head, _ := edges(text[k])
				y := (foot + head) / 2
				l.h = append(l.h, ruling.Rule{At: y, From: l.xs[0], To: l.xs[len(l.xs)-1]})
				out = append(out, y)
			}
		}
		out = append(out, l.ys[i+1])
	}
	return out
}

// edges are where the usual text of a row begins and ends from top to bottom: a piece that stands in several rows says nothing of one.
func edges(row []placed) (head, foot float64) {
	heads, feet := make([]float64, len(row)), make([]float64, len(row))
	for i, p := range row {
		heads[i], feet[i] = p.flat.Y0, p.flat.Y1
	}
	return median(heads), median(feet)
}

const stackedInto = 0.3 // heights of a line that a stack of figures reaches into its first and last row, at least

// unstack deals figures that stand above one another, and that the detector took for one line, to the rows they stand in.
func (a *assembly) unstack(l *lattice, parts []placed) (out []placed) {
	for _, p := range parts {
		var figures []rune
		for _, w := range p.words {
			figures = append(figures, []rune(w.text)...)
		}
		first := place(l.ys, p.flat.Y0+stackedInto*a.body)
		n := place(l.ys, p.flat.Y1-stackedInto*a.body) - first + 1
		if n < 2 || len(figures) != n || slices.ContainsFunc(figures, func(r rune) bool { return !unicode.IsDigit(r) }) {
			out = append(out, p)
			continue
		}
		for i, r := range figures {
			q := p
			q.words = []word{{text: string(r), score: p.words[0].score, quad: p.words[0].quad}}
			q.flat.Y0, q.flat.Y1 = max(p.flat.Y0, l.ys[first+i]), min(p.flat.Y1, l.ys[first+i+1])
			out = append(out, q)
		}
	}
	return out
}

// parted reports whether the lines of text between two rules are rows of their own: several of them, or two with text in nearly all of many
// columns, where a rule was not found.
func (l *lattice) parted(text [][]placed) bool {
	if len(text) == undrawnRows-1 {
		return !slices.ContainsFunc(text, func(r []placed) bool { return l.columns(r) < max(pairColumns, (len(l.xs)-1)*3/5) })
	}
	if len(text) < undrawnRows {
		return false
	}
	several := 0
	for _, r := range text {
		if n := l.columns(r); n > 1 && 2*n >= len(l.xs)-1 {
			several++
		}
	}
	return float64(several) >= undrawnShare*float64(len(text))
}

// columns is the number of columns that a line of text has something in.
func (l *lattice) columns(row []placed) int {
	in := map[int]bool{}
	for _, p := range row {
		in[place(l.xs, middle(p.flat))] = true
	}
	return len(in)
}
