package ocr

import (
	"math"
	"strings"

	"docstream/internal/engine/reading"
)

// Where a line is cut because the detector ran on over the gap between two columns.
const (
	tearGap    = 0.35 // of the gap, in heights of the line: a space is about 0.2
	tearReach  = 8    // heights of a line above and below in which the columns must be seen
	tearBegins = 3    // lines that begin where the gap ends
	tearEnds   = 2    // lines that end where it begins
	tearOff    = 0.6  // heights of a line that beginnings and ends may be off; text that is not justified ends earlier
	tearShort  = 8    // heights of a line by which a line may be shorter than its column
)

// torn cuts lines that run on from one column into the next.
func (a *assembly) torn(lines []placed) []placed {
	var out []placed
	for i, l := range lines {
		var words []word
		var spans []reading.Box
		for _, p := range split(l) {
			words, spans = append(words, p.words...), append(spans, p.spans...)
		}
		from := 0
		for k := 1; k <= len(words); k++ {
			if k < len(words) && !a.tears(lines, i, spans[k-1].X1, spans[k].X0) {
				continue
			}
			if from == 0 && k == len(words) {
				out = append(out, l)
			} else {
				out = append(out, l.cut(words[from:k], spans[from].X0, spans[k-1].X1))
			}
			from = k
		}
	}
	return out
}

// tears reports whether a gap in a line is one between columns.
func (a *assembly) tears(lines []placed, i int, from, to float64) bool {
	l := lines[i]
	if to-from < tearGap*l.flat.Height() {
		return false
	}
	begins, ends := 0, 0
	for k, n := range lines {
		if k == i || math.Abs(n.middle()-l.middle()) > tearReach*a.body {
			continue
		}
		if math.Abs(n.flat.X0-to) < tearOff*a.body {
			begins++
		}
		if n.flat.X1 < from+tearOff*a.body && n.flat.X1 > from-tearShort*a.body {
			ends++
		}
	}
	return begins >= tearBegins && ends >= tearEnds
}

// cut is the part of a line that some of its words make up; from and to are its ends without the slant.
func (p placed) cut(words []word, from, to float64) placed {
	width := max(p.flat.Width(), 1)
	q := placed{line: p.line, words: words, flat: reading.Box{X0: from, Y0: p.flat.Y0, X1: to, Y1: p.flat.Y1}}
	q.quad = p.quad.part((from-p.flat.X0)/width, (to-p.flat.X0)/width)
	q.box = q.quad.around()
	texts := make([]string, len(words))
	q.score = 0
	for i, w := range words {
		texts[i] = w.text
		q.score += w.score / float64(len(words))
	}
	q.str = strings.Join(texts, " ")
	return q
}
