package ocr

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"docstream/schemas/document"
)

// Lines of a paragraph that are a heading, which the layout model joined with the text below.
const (
	titleRows    = 2   // at most
	titleChars   = 120 // at most
	titleLetters = 3   // at least
)

// titled takes headings out of a paragraph: rows of one line each that are set larger than the text around them.
func (a *assembly) titled(d draft) []draft {
	if d.grid != nil || d.kind != document.Paragraph || len(d.lines) == 0 {
		return []draft{d}
	}
	grid := rows(d.lines)
	var out []draft
	add := func(kind string, from, to int) {
		part := draft{kind: kind, score: d.score}
		for _, r := range grid[from:to] {
			part.lines = append(part.lines, r...)
		}
		if n := len(out); n > 0 && kind != document.Heading && out[n-1].kind == kind {
			part.lines = append(out[n-1].lines, part.lines...)
			out = out[:n-1]
		}
		part.box, part.flat = bounds(part.lines)
		out = append(out, part)
	}
	found := false
	for from := 0; from < len(grid); {
		large := a.tall(grid[from])
		to := from + 1
		for to < len(grid) && a.tall(grid[to]) == large {
			to++
		}
		if large && title(grid[from:to]) {
			found = true
			add(document.Heading, from, to)
		} else {
			add(d.kind, from, to)
		}
		from = to
	}
	if !found {
		return []draft{d}
	}
	return out
}

// title reports whether rows read like a heading: few, of words, beginning with a capital where there are such, and no sentence.
func title(grid [][]placed) bool {
	if len(grid) > titleRows {
		return false
	}
	var all strings.Builder
	for _, r := range grid {
		if len(r) > 1 {
			return false
		}
		all.WriteString(r[0].str)
	}
	s := all.String()
	letters, digits := 0, 0
	for _, r := range s {
		switch {
		case unicode.IsLetter(r):
			letters++
		case unicode.IsDigit(r):
			digits++
		}
	}
	if letters < titleLetters || 2*digits > letters || len(s) > titleChars || strings.ContainsAny(s[len(s)-1:], ".,;:") {
		return false
	}
	begin := strings.IndexFunc(s, unicode.IsLetter)
	return !unicode.IsLower(first(s[begin:]))
}

// levels are those of the headings among blocks, by how large they are set beside the text of the page. Headings of nearly one size are of one
// level.
func (a *assembly) levels(blocks []draft) map[int]int {
	var headings []int
	size := map[int]float64{}
	for i, d := range blocks {
		if d.kind == document.Heading && len(d.lines) > 0 {
			headings, size[i] = append(headings, i), a.large(d.lines)
		}
	}
	slices.SortStableFunc(headings, func(x, y int) int { return cmp.Compare(size[x], size[y]) })
	out := map[int]int{}
	for from, k := 0, 1; k <= len(headings); k++ {
		if k < len(headings) && size[headings[k]] <= sameSize*size[headings[k-1]] {
			continue
		}
		level := 3
		switch usual := size[headings[(from+k)/2]]; {
		case usual >= chapterSize:
			level = 1
		case usual >= sectionSize:
			level = 2
		}
		for _, i := range headings[from:k] {
			out[i] = level
		}
		from = k
	}
	return out
}
