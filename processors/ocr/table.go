package ocr

import (
	"cmp"
	"slices"
	"strings"

	"docstream/internal/engine/reading"
	"docstream/schemas/document"
)

// piece is a run of words that no wide gap interrupts: what can lie in one cell.
type piece struct {
	words []word
	spans []reading.Box // of the words, without the slant
	box   reading.Box   // around them
	place reading.Box   // on the image
}

// table makes a grid of the lines in a table region: rows are lines beside each other, columns are separated by gutters that few
// rows cross. It returns nil where there is no grid.
func (a *assembly) table(lines []placed) *document.Table {
	grid := rows(lines)
	pieces := make([][]piece, len(grid))
	for i, r := range grid {
		for _, l := range r {
			pieces[i] = append(pieces[i], split(l)...)
		}
	}
	gutters := a.gutters(pieces)
	if len(grid) < 2 || len(gutters) == 0 {
		return nil
	}
	for i, r := range pieces {
		pieces[i] = divide(r, gutters)
	}
	pieces = a.bands(pieces, gutters)
	t := &document.Table{Rows: len(pieces), Columns: len(gutters) + 1}
	for i, r := range pieces {
		t.Cells = append(t.Cells, a.cells(i, r, gutters)...)
	}
	return t
}

// trim takes from the lines of a table those above and below that stand across its columns, each alone in its row: titles and remarks, and
// what a receipt has around its items.
func (a *assembly) trim(lines []placed) (body, around []placed) {
	grid := rows(lines)
	pieces := make([][]piece, len(grid))
	var several [][]piece
	for i, r := range grid {
		for _, l := range r {
			pieces[i] = append(pieces[i], split(l)...)
		}
		if len(pieces[i]) > 1 {
			several = append(several, pieces[i])
		}
	}
	gutters := a.gutters(several)
	alone := func(i int) bool {
		return len(pieces[i]) == 1 && slices.ContainsFunc(gutters, func(g gutter) bool {
			return pieces[i][0].box.X0 < g.middle() && g.middle() < pieces[i][0].box.X1
		})
	}
	from, to := 0, len(grid)
	for from < to && alone(from) {
		from++
	}
	for to > from && alone(to-1) {
		to--
	}
	for i, r := range grid {
		if i < from || i >= to {
			around = append(around, r...)
		} else {
			body = append(body, r...)
		}
	}
	return body, around
}

// divide takes pieces apart that cross several gutters, nearly all of them between two words: a row of short headings set so close that
// they were found as one line. A sentence that spans columns has its spaces elsewhere.
func divide(pieces []piece, gutters []gutter) (out []piece) {
	for _, p := range pieces {
		crossed, between := 0, map[int]bool{} // words that begin behind a gutter
		for _, g := range gutters {
			if g.middle() <= p.box.X0 || g.middle() >= p.box.X1 {
				continue
			}
			crossed++
			for i := 1; i < len(p.words); i++ {
				if p.spans[i-1].X1-p.slack() <= g.to && g.from <= p.spans[i].X0+p.slack() && !between[i] {
					between[i] = true
					break
				}
			}
		}
		if crossed < 2 || 10*len(between) < 7*crossed {
			out = append(out, p)
			continue
		}
		from := 0
		for i := 1; i <= len(p.words); i++ {
			if i == len(p.words) || between[i] {
				out = append(out, p.part(from, i))
				from = i
			}
		}
	}
	return out
}

// slack is how far a word may reach over a gutter: its ends are known by a character's width only.
func (p piece) slack() float64 { return 0.25 * p.box.Height() }

// part is a piece of some of the words.
func (p piece) part(from, to int) piece {
	q := piece{words: p.words[from:to], spans: p.spans[from:to], box: p.spans[from], place: p.words[from].quad.around()}
	for i := from + 1; i < to; i++ {
		q.box, q.place = q.box.Union(p.spans[i]), q.place.Union(p.words[i].quad.around())
	}
	return q
}

// isGrid reports whether lines look like a table: at least three rows, and most of them have several cells.
func isGrid(lines []placed) bool {
	grid := rows(lines)
	several := 0
	for _, r := range grid {
		n := 0
		for _, l := range r {
			n += len(split(l))
		}
		if n > 1 {
			several++
		}
	}
	return len(grid) >= 3 && 5*several >= 3*len(grid)
}

// cellGap is the gap between two words that separates cells, in heights of the line: a space is about 0.2.
const cellGap = 0.6

// split cuts a line at wide gaps: the detector joins neighbouring cells that stand close.
func split(l placed) []piece {
	var out []piece
	h := l.flat.Height()
	span := l.flat.Width() / max(l.quad.width(), 1)
	for _, w := range l.words {
		from := distance(l.quad[0], w.quad[0]) * span
		to := distance(l.quad[0], w.quad[1]) * span
		b := reading.Box{X0: l.flat.X0 + from, Y0: l.flat.Y0, X1: l.flat.X0 + to, Y1: l.flat.Y1}
		if n := len(out); n > 0 && b.X0-out[n-1].box.X1 < cellGap*h {
			out[n-1].words = append(out[n-1].words, w)
			out[n-1].spans = append(out[n-1].spans, b)
			out[n-1].box = out[n-1].box.Union(b)
			out[n-1].place = out[n-1].place.Union(w.quad.around())
			continue
		}
		out = append(out, piece{[]word{w}, []reading.Box{b}, b, w.quad.around()})
	}
	return out
}

// gutter is a vertical strip between two columns.
type gutter struct{ from, to float64 }

func (g gutter) middle() float64 { return (g.from + g.to) / 2 }

// gutters returns the vertical strips that at most every fourth row crosses.
func (a *assembly) gutters(rows [][]piece) []gutter {
	type edge struct {
		x     float64
		delta int
	}
	var edges []edge
	for _, r := range rows {
		for _, p := range r {
			edges = append(edges, edge{p.box.X0, 1}, edge{p.box.X1, -1})
		}
	}
	slices.SortStableFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.x, b.x), cmp.Compare(a.delta, b.delta)) })
	limit := len(rows) / 4
	var out []gutter
	crossing, opened, started := 0, 0.0, false
	for _, e := range edges {
		was := crossing
		crossing += e.delta
		if was > limit && crossing <= limit {
			opened, started = e.x, true
		}
		if was <= limit && crossing > limit && started && e.x-opened > 0.5*a.body {
			out = append(out, gutter{opened, e.x})
		}
	}
	return out
}

// cells fills one row. A piece that crosses a gutter spans columns.
func (a *assembly) cells(row int, pieces []piece, gutters []gutter) []document.Cell {
	var out []document.Cell
	var boxes []reading.Box
	var counts []int
	for _, p := range pieces {
		from, to := columnsOf(p.box, gutters)
		var text []string
		sum := 0.0
		for _, w := range p.words {
			text = append(text, w.text)
			sum += w.score
		}
		if n := len(out); n > 0 && from < out[n-1].Column+max(1, out[n-1].ColumnSpan) {
			c := &out[n-1]
			c.Text += " " + strings.Join(text, " ")
			c.Confidence += sum
			counts[n-1] += len(p.words)
			boxes[n-1] = boxes[n-1].Union(p.place)
			if span := to - c.Column + 1; span > max(1, c.ColumnSpan) {
				c.ColumnSpan = span
			}
			continue
		}
		c := document.Cell{Row: row, Column: from, Header: row == 0, Text: strings.Join(text, " "), Confidence: sum}
		if to > from {
			c.ColumnSpan = to - from + 1
		}
		out, boxes, counts = append(out, c), append(boxes, p.place), append(counts, len(p.words))
	}
	for i := range out {
		out[i].Box = a.box(boxes[i])
		out[i].Confidence = document.Round3(out[i].Confidence / float64(counts[i]))
	}
	return out
}

// columnsOf are the first and the last column a box lies in: those whose ink it covers by half, else the one its middle is in. What
// reaches into a gutter counts for nothing, so that a heading may be wider than the figures under it.
func columnsOf(b reading.Box, gutters []gutter) (from, to int) {
	from = -1
	for c := range len(gutters) + 1 {
		lo, hi := b.X0, b.X1 // the outer columns reach as far as the box
		if c > 0 {
			lo = gutters[c-1].to
		}
		if c < len(gutters) {
			hi = gutters[c].from
		}
		covered := min(hi, b.X1) - max(lo, b.X0)
		if covered <= 0 || covered < 0.5*min(hi-lo, b.Width()) {
			continue
		}
		if from < 0 {
			from = c
		}
		to = c
	}
	if from < 0 {
		from, _ = slices.BinarySearchFunc(gutters, (b.X0+b.X1)/2, func(g gutter, x float64) int { return cmp.Compare(g.middle(), x) })
		to = from
	}
	return from, to
}
