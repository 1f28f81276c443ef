package ocr

import (
	"regexp"
	"strconv"

	"docstream/internal/engine/reading"
	"docstream/schemas/document"
)

var (
	bullet  = regexp.MustCompile(`^(?:[•▪◦‣●○■□►◆·]\s*\S|[-–—*]\s+\S)`)
	counted = regexp.MustCompile(`^\(?(\d{1,2})[.)]\s*[^\d\s]`)
)

// items takes a block of text apart where its lines begin with bullets or with numbers that count up. What precedes the first item stays
// a block of its own kind.
func (a *assembly) items(d draft) []draft {
	if d.grid != nil || (d.kind != document.Paragraph && d.kind != document.Reference) {
		return []draft{d}
	}
	grid := rows(d.lines)
	starts := itemRows(grid)
	if len(starts) == 0 {
		return []draft{d}
	}
	var out []draft
	for i, r := range grid {
		switch {
		case starts[i]:
			out = append(out, draft{kind: document.ListItem, score: d.score})
		case i == 0:
			out = append(out, draft{kind: d.kind, score: d.score})
		}
		last := &out[len(out)-1]
		last.lines = append(last.lines, r...)
	}
	for i := range out {
		out[i].box, out[i].flat = bounds(out[i].lines)
	}
	return out
}

// itemRows says which rows begin an item. A single numbered row is no list: it is a heading, or a sentence that begins with a number.
func itemRows(grid [][]placed) map[int]bool {
	starts := map[int]bool{}
	var numbers []int
	next := 0
	for i, r := range grid {
		s := r[0].str
		if bullet.MatchString(s) {
			starts[i] = true
		}
		if m := counted.FindStringSubmatch(s); m != nil {
			n, err := strconv.Atoi(m[1])
			if err == nil && (len(numbers) == 0 || n == next) {
				numbers = append(numbers, i)
				next = n + 1
			}
		}
	}
	if len(numbers) > 1 {
		for _, i := range numbers {
			starts[i] = true
		}
	}
	return starts
}

// bounds are the boxes around lines, on the image and without the slant.
func bounds(lines []placed) (box, flat reading.Box) {
	box, flat = lines[0].box, lines[0].flat
	for _, l := range lines[1:] {
		box, flat = box.Union(l.box), flat.Union(l.flat)
	}
	return box, flat
}
