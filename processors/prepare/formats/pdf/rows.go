package pdf

import (
	"cmp"
	"slices"
	"strings"

	"docstream/schemas/document"
)

// row is words side by side on one baseline, from left to right.
type row struct {
	rect
	words []word
}

// rowsOf puts words on baselines. The words must not be turned. Small ones, such as raised numbers, come last and join the row they
// touch most, so that none of them makes a row of its own between two lines.
func rowsOf(words []word) []row {
	sorted := slices.Clone(words)
	slices.SortStableFunc(sorted, func(a, b word) int { return cmp.Compare(a.y0+a.y1, b.y0+b.y1) })
	usual := commonHeight(sorted)
	var rows []row
	var small []word
	for _, w := range sorted {
		if w.height() < 0.75*usual {
			small = append(small, w)
			continue
		}
		if at := nearest(rows, w, 0.55); at >= 0 {
			rows[at].words = append(rows[at].words, w)
		} else {
			rows = append(rows, row{rect: w.rect, words: []word{w}})
		}
	}
	var late []row
	for _, w := range small {
		if at := touched(rows, w); at >= 0 {
			rows[at].words = append(rows[at].words, w)
		} else if at := nearest(late, w, 0.55); at >= 0 {
			late[at].words = append(late[at].words, w)
		} else {
			late = append(late, row{rect: w.rect, words: []word{w}})
		}
	}
	rows = append(rows, late...)
	for i, r := range rows {
		slices.SortStableFunc(r.words, func(a, b word) int { return cmp.Compare(a.x0, b.x0) })
		rows[i] = rowOf(r.words)
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.y0+a.y1, b.y0+b.y1) })
	return rows
}

// nearest returns the last of the latest rows whose first word w overlaps by the share, or -1.
func nearest(rows []row, w word, share float64) int {
	for i := len(rows) - 1; i >= 0 && i >= len(rows)-4; i-- {
		anchor := rows[i].words[0].rect
		if overlap := min(anchor.y1, w.y1) - max(anchor.y0, w.y0); overlap > share*min(anchor.height(), w.height()) {
			return i
		}
	}
	return -1
}

// touched returns the row that has a neighbour of the small word w and overlaps it most, or -1.
func touched(rows []row, w word) int {
	from, _ := slices.BinarySearchFunc(rows, w, func(r row, w word) int { return cmp.Compare(r.words[0].y1, w.y0) })
	best, most := -1, 0.25*w.height()
	for i := from; i < len(rows) && i < from+6; i++ {
		for _, v := range rows[i].words {
			overlap := min(v.y1, w.y1) - max(v.y0, w.y0)
			if near := w.x0-v.x1 < v.height() && v.x0-w.x1 < v.height(); near && overlap > most {
				best, most = i, overlap
			}
		}
	}
	return best
}

// commonHeight returns the middle height of the words.
func commonHeight(words []word) float64 {
	heights := make([]float64, len(words))
	for i, w := range words {
		heights[i] = w.height()
	}
	slices.Sort(heights)
	if len(heights) == 0 {
		return 0
	}
	return heights[len(heights)/2]
}

func rowOf(words []word) row {
	r := row{rect: words[0].rect, words: words}
	for _, w := range words[1:] {
		r.rect = r.union(w.rect)
	}
	return r
}

// text joins the words of a row with one space, or none where they touch.
func (r row) text() string {
	var b strings.Builder
	for i, w := range r.words {
		if i > 0 && r.spaced(i) {
			b.WriteByte(' ')
		}
		b.WriteString(w.text)
	}
	return b.String()
}

// spaced reports whether word i, not the first, stands apart from the one before.
func (r row) spaced(i int) bool {
	a, b := r.words[i-1], r.words[i]
	return b.x0-a.x1 > 0.1*min(a.size, b.size)
}

// size is the font size most letters of the row have.
func (r row) size() float64 { return commonSize(r.words) }

func (r row) all(f func(word) bool) bool {
	return !slices.ContainsFunc(r.words, func(w word) bool { return !f(w) })
}

func (r row) line() document.Line {
	l := document.Line{Text: r.text(), Box: r.box(), Confidence: 1, Words: make([]document.Word, len(r.words))}
	for i, w := range r.words {
		l.Words[i] = document.Word{Text: w.text, Box: w.box(), Confidence: 1}
	}
	return l
}

func (r rect) box() document.Box { return document.NewBox(r.x0, r.y0, r.x1, r.y1) }

// commonSize returns the size that most letters have, rounded to half a point; of two equally common ones the smaller.
func commonSize(words []word) float64 {
	best, n := 0.0, -1
	for size, c := range sizes(words) {
		if c > n || c == n && size < best {
			best, n = size, c
		}
	}
	return best
}

// bodySize returns the size of the running text: the largest that at least a quarter of the letters have, because notes can outweigh it.
func bodySize(words []word) float64 {
	count := sizes(words)
	total := 0
	for _, c := range count {
		total += c
	}
	best := commonSize(words)
	for size, c := range count {
		if 4*c >= total && size > best {
			best = size
		}
	}
	return best
}

// sizes counts the letters of each size.
func sizes(words []word) map[float64]int {
	count := map[float64]int{}
	for _, w := range words {
		count[float64(int(w.size*2+0.5))/2] += len(w.text)
	}
	return count
}
