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

// rowsOf puts words on baselines. The words must not be turned.
func rowsOf(words []word) []row {
	sorted := slices.Clone(words)
	slices.SortStableFunc(sorted, func(a, b word) int { return cmp.Compare(a.y0+a.y1, b.y0+b.y1) })
	var rows []row
	for _, w := range sorted {
		at := -1
		for i := len(rows) - 1; i >= 0 && i >= len(rows)-4; i-- {
			anchor := rows[i].words[0].rect
			overlap := min(anchor.y1, w.y1) - max(anchor.y0, w.y0)
			if overlap > 0.55*min(anchor.height(), w.height()) {
				at = i
				break
			}
		}
		if at < 0 {
			rows = append(rows, row{rect: w.rect, words: []word{w}})
			continue
		}
		rows[at].words = append(rows[at].words, w)
		rows[at].rect = rows[at].union(w.rect)
	}
	for i := range rows {
		slices.SortStableFunc(rows[i].words, func(a, b word) int { return cmp.Compare(a.x0, b.x0) })
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.y0+a.y1, b.y0+b.y1) })
	return rows
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
		if i > 0 && w.x0-r.words[i-1].x1 > 0.1*min(w.size, r.words[i-1].size) {
			b.WriteByte(' ')
		}
		b.WriteString(w.text)
	}
	return b.String()
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
	count := map[float64]int{}
	for _, w := range words {
		count[float64(int(w.size*2+0.5))/2] += len(w.text)
	}
	best, n := 0.0, -1
	for size, c := range count {
		if c > n || c == n && size < best {
			best, n = size, c
		}
	}
	return best
}
