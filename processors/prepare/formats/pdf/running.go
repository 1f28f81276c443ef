package pdf

import (
	"math"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/klippa-app/go-pdfium/requests"

	"docstream/schemas/document"
)

// mark is a piece of text near the upper or lower edge of a page, with its figures made alike.
type mark struct {
	y    float64
	text string
}

const (
	margin   = 0.12 // of the height of the page: where lines that run from page to page stand
	sameEdge = 4.0  // points that such a line may move
)

// pageNumber is a line that is no more than the number of its page.
var pageNumber = regexp.MustCompile(`^\W*(?i:(page|seite|p|pg)[.:]?\s*)?(\d{1,5}|[ivxlc]{1,7})(\s*(/|(?i:of|von|de|sur|di))\s*\d{1,5})?\W*$`)

// atEdge reports whether a row lies near the upper or lower edge.
func (p *page) atEdge(r rect) bool { return r.y1 < margin*p.height || r.y0 > (1-margin)*p.height }

// marks returns what stands near the edges of the page.
func (p *page) marks(words []word) []mark {
	var out []mark
	var near []word
	for _, w := range words {
		if !w.turned && p.atEdge(w.rect) {
			near = append(near, w)
		}
	}
	for _, r := range rowsOf(near) {
		for _, m := range r.marks() {
			out = append(out, mark{r.y0, m})
		}
	}
	return out
}

// marks cuts a row at wide gaps.
func (r row) marks() []string {
	var out []string
	from := 0
	for i := 1; i <= len(r.words); i++ {
		if i < len(r.words) && r.words[i].x0-r.words[i-1].x1 < 1.5*r.height() {
			continue
		}
		out = append(out, alike(row{words: r.words[from:i]}.text()))
		from = i
	}
	return out
}

// alike makes figures and spaces of a text play no part.
func alike(s string) string {
	var b strings.Builder
	figure := false
	for _, r := range s {
		switch {
		case unicode.IsDigit(r):
			if !figure {
				b.WriteByte('#')
			}
		case !unicode.IsSpace(r):
			b.WriteRune(unicode.ToLower(r))
		}
		figure = unicode.IsDigit(r)
	}
	return b.String()
}

// running takes the lines at the edges of a page that also stand on its neighbours, or only number it, out of its words.
func (p *page) running(words []word, near [][]mark) (head, body, foot []word) {
	rows := rowsOf(words)
	from, to := 0, len(rows)
	for from < to && rows[from].y1 < margin*p.height && rows[from].repeated(near) {
		from++
	}
	for from > 0 && from < to && rows[from].y0-rows[from-1].y1 < 0.5*rows[from-1].height() {
		from-- // belongs to what follows
	}
	for to > from && rows[to-1].y0 > (1-margin)*p.height && rows[to-1].repeated(near) {
		to--
	}
	for to < len(rows) && to > from && rows[to].y0-rows[to-1].y1 < 0.5*rows[to].height() {
		to++
	}
	return wordsOf(rows[:from]), wordsOf(rows[from:to]), wordsOf(rows[to:])
}

// repeated reports whether most of a row stands at its place on a neighbour.
func (r row) repeated(near [][]mark) bool {
	if pageNumber.MatchString(r.text()) {
		return true
	}
	all, same := 0, 0
	for _, m := range r.marks() {
		n := utf8.RuneCountInString(m)
		all += n
	search:
		for _, marks := range near {
			for _, o := range marks {
				if o.text == m && math.Abs(o.y-r.y0) <= sameEdge {
					same += n
					break search
				}
			}
		}
	}
	return 10*same >= 6*all
}

// aside makes blocks of a kind of running lines.
func aside(words []word, kind string, body float64) []document.Block {
	var out []document.Block
	for _, rows := range paragraphs(rowsOf(words)) {
		b := blockOf(rows, body)
		b.Kind, b.Level = kind, 0
		out = append(out, b)
	}
	return out
}

// near returns what stands at the edges of the pages beside page n: the two before it, which may be of another side, or those behind the first.
// It breaks nothing: where a page cannot be read nothing stands on it.
func (d *doc) near(n int) [][]mark {
	beside := []int{n - 2, n - 1}
	switch n {
	case 1:
		beside = []int{2}
	case 2:
		beside = []int{1, 3}
	}
	var out [][]mark
	for _, i := range beside {
		if i > d.pages {
			continue
		}
		if _, ok := d.edges[i]; !ok {
			d.remember(i, d.look(i))
		}
		out = append(out, d.edges[i])
	}
	return out
}

// look reads the edges of a page.
func (d *doc) look(n int) []mark {
	if d.pdf == nil {
		return nil
	}
	p := page{pdf: d.pdf, native: &d.format.native, number: n, page: requests.Page{ByIndex: &requests.PageByIndex{Document: d.ref, Index: n - 1}}}
	if p.measure() != nil {
		return nil
	}
	t := &layer{}
	if p.text(t) != nil {
		d.Close() // a trap leaves the sandbox in any state
		return nil
	}
	return p.marks(t.words)
}

// remember keeps the edges of the latest pages.
func (d *doc) remember(n int, marks []mark) {
	if d.edges == nil {
		d.edges = map[int][]mark{}
	}
	for i := range d.edges {
		if i < n-3 || i > n+3 {
			delete(d.edges, i)
		}
	}
	d.edges[n] = marks
}
