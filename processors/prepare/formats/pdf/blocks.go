package pdf

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"docstream/processors/prepare/formats"
	"docstream/schemas/document"
)

// compose puts the words of a page into blocks in reading order. near is what stands at the edges of the pages beside it.
func (p *page) compose(t *layer, near [][]mark) *document.Page {
	out := formats.Empty(p.number, p.width, p.height)
	size := bodySize(t.words)
	em := max(size, 1)
	level, turned := apartTurned(t.words)
	head, level, foot := p.running(level, near)
	tables, words := ruledTables(append(level, turned...), t.rules.lattices(), em)
	level, turned = apartTurned(words)
	for _, r := range tables {
		level = append(level, r.stand(em)...)
	}
	var parts []part
	shown := map[*ruled]bool{}
	for _, r := range order(level, em, 0) {
		if r.table != nil {
			parts = append(parts, part{block: r.table.block(size)})
			continue
		}
		for _, run := range apart(r.rows) {
			for _, rows := range paragraphs(run.rows) {
				parts = append(parts, part{blockOf(rows, size), rows})
			}
			if t := run.ruled; t != nil && !shown[t] {
				shown[t] = true
				parts = append(parts, part{block: t.block})
			}
		}
	}
	for _, b := range p.turned(turned) {
		parts = append(parts, part{block: b})
	}
	notes(parts, size)
	out.Blocks = append(out.Blocks, aside(head, document.Header, size)...)
	for _, b := range rejoin(parts, size) {
		out.Blocks = append(out.Blocks, b.block)
	}
	out.Blocks = placeFigures(out.Blocks, t.figures(), em)
	out.Blocks = append(out.Blocks, aside(foot, document.Footer, size)...)
	levels(out.Blocks, size)
	return out
}

// apartTurned parts words that run from left to right from those that do not.
func apartTurned(words []word) (level, turned []word) {
	for _, w := range words {
		if w.turned {
			turned = append(turned, w)
		} else {
			level = append(level, w)
		}
	}
	return level, turned
}

// run is rows of words, and the table that comes behind them.
type run struct {
	rows  []row
	ruled *ruled
}

// apart takes the bands that stand for tables out of rows.
func apart(rows []row) []run {
	var out []run
	now := run{}
	for _, r := range rows {
		var words []word
		var tables []*ruled
		for _, w := range r.words {
			if w.table == nil {
				words = append(words, w)
			} else if !slices.Contains(tables, w.table) {
				tables = append(tables, w.table)
			}
		}
		if len(tables) == 0 {
			now.rows = append(now.rows, r)
			continue
		}
		for _, t := range tables {
			now.ruled = t
			out, now = append(out, now), run{}
		}
		if len(words) > 0 {
			now.rows = append(now.rows, rowOf(words))
		}
	}
	return append(out, now)
}

// turned puts words that do not run from left to right into blocks behind the others, in the order of the file. At the edge of the page
// they are marks of the printer.
func (p *page) turned(words []word) []document.Block {
	var out []document.Block
	for from, i := 0, 1; i <= len(words); i++ {
		if i < len(words) {
			if a, b := words[i-1], words[i]; min(a.x1, b.x1)-max(a.x0, b.x0) > 0.5*min(a.width(), b.width()) {
				continue
			}
		}
		r := rowOf(words[from:i])
		l := r.line()
		texts := make([]string, len(l.Words))
		for j, w := range l.Words {
			texts[j] = w.Text
		}
		l.Text = strings.Join(texts, " ")
		b := document.Block{Kind: document.Paragraph, Box: r.box(), Confidence: 1, Text: l.Text, Lines: []document.Line{l}}
		if r.x1 < 0.07*p.width || r.x0 > 0.93*p.width {
			b.Kind = document.Footer
		}
		out = append(out, b)
		from = i
	}
	return out
}

// paragraphs cuts the rows of a column where one paragraph ends and the next begins: where the page shows it, and then where a line
// ends although the next word would have fitted.
func paragraphs(rows []row) [][]row {
	var out [][]row
	for _, group := range cutRows(rows, breaks) {
		out = append(out, cutRows(group, stopped)...)
	}
	return out
}

const receipt = 26 // ems: some 44 letters of one width

// cutRows cuts rows wherever at reports that row i begins something new. at also gets the row at which the part before it began and the
// extent of all rows.
func cutRows(rows []row, at func(rows []row, start, i int, column rect) bool) [][]row {
	if len(rows) == 0 {
		return nil
	}
	column := rows[0].rect
	for _, r := range rows {
		column = column.union(r.rect)
	}
	var out [][]row
	start := 0
	for i := 1; i <= len(rows); i++ {
		if i == len(rows) || at(rows, start, i, column) {
			out = append(out, rows[start:i])
			start = i
		}
	}
	return out
}

// stopped reports whether the line above row i ends early enough for the next word. Centred lines do that anyway. On a strip as narrow as a
// receipt, in letters of one width, every line stands for itself.
func stopped(rows []row, _, i int, column rect) bool {
	above, r := rows[i-1], rows[i]
	em := max(above.size(), r.size(), 1)
	if mono := func(w word) bool { return w.mono }; column.width() < receipt*em && above.all(mono) && r.all(mono) {
		return true
	}
	centred := math.Abs(above.x0+above.x1-r.x0-r.x1) < em && math.Abs(above.x0-r.x0) > 0.5*em
	return !centred && above.x1+0.3*em+r.words[0].width() < column.x1-1.5*em
}

// breaks reports whether row i begins a new paragraph after the one that began at row start.
func breaks(rows []row, start, i int, column rect) bool {
	above, r := rows[i-1], rows[i]
	a, b := above.size(), r.size()
	em := max(a, b, 1)
	if r.y0-above.y1 > 0.6*em || r.y1 < above.y0 {
		return true
	}
	if i-1 > start { // the leading so far says how close lines of this paragraph are
		if lead := above.y0 - rows[i-2].y0; r.y0-above.y0 > 1.25*lead+0.1*em {
			return true
		}
	}
	if a > 1.1*b || b > 1.1*a {
		return true
	}
	bold := func(w word) bool { return w.bold }
	if above.all(bold) != r.all(bold) && (above.all(bold) || r.all(bold)) {
		return true
	}
	if marker(r.text()) != "" || r.raised(0) {
		return true
	}
	first := rows[start]
	listed := marker(first.text()) != ""
	switch indent := r.x0 - above.x0; {
	case indent > 0.8*em && !(listed && i-1 == start): // an indented first line
		return indent < 8*em || above.x1 < column.x1-0.25*column.width()
	case indent < -0.8*em && listed && r.x0 <= first.x0+0.3*em && ends(above.text()): // back from a list item
		return true
	}
	return false
}

// ends reports whether a line closes a sentence.
func ends(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(strings.TrimRight(s, `"'”’)»`))
	return strings.ContainsRune(".!?:;。！？", r)
}

var (
	bullets = regexp.MustCompile(`^([•◦▪■●○‣⁃∙·*–—-]|[\x{F0B7}])\s+\S`)
	numbers = regexp.MustCompile(`^(\d{1,3}[.)]|\(\d{1,2}\)|\(?([a-zA-Z]|[ivxIVX]{1,5})[.)])\s+\S`)
)

// marker returns the bullet or number that a list item begins with, or nothing.
func marker(s string) string {
	if m := bullets.FindStringSubmatch(s); m != nil {
		return m[1]
	}
	if m := numbers.FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return ""
}

func blockOf(rows []row, body float64) document.Block {
	b := document.Block{Kind: document.Paragraph, Confidence: 1, Lines: make([]document.Line, len(rows))}
	box := rows[0].rect
	var words []word
	for i, r := range rows {
		box = box.union(r.rect)
		b.Lines[i] = r.line()
		words = append(words, r.words...)
	}
	b.Box = box.box()
	var begins []int
	b.Text, begins = join(rows, b.Lines)
	b.Spans = spansOf(rows, begins)
	if n := heading(words, len(rows), b.Text, body); n > 0 {
		b.Kind, b.Level = document.Heading, n
	} else if marker(b.Text) != "" {
		b.Kind, b.Level = document.ListItem, 1
	}
	return b
}

// heading returns the level of a heading, or 0 for a block that is none: headings are short and larger or bolder than the text.
func heading(words []word, rows int, text string, body float64) int {
	letters := strings.IndexFunc(text, unicode.IsLetter) >= 0
	if rows > 3 || utf8.RuneCountInString(text) > 200 || !letters {
		return 0
	}
	ratio := commonSize(words) / max(body, 1)
	switch {
	case ratio >= 1.7:
		return 1
	case ratio >= 1.3:
		return 2
	case ratio >= 1.12:
		return 3
	}
	bold := rowOf(words).all(func(w word) bool { return w.bold })
	if bold && ratio > 0.95 && rows <= 2 && !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, ",") && utf8.RuneCountInString(text) > 2 {
		return 4
	}
	return 0
}

// join makes one text of lines; a word cut at the end of a line is put together again. It also returns where each line begins, in
// characters.
func join(rows []row, lines []document.Line) (string, []int) {
	var b strings.Builder
	begins := make([]int, len(lines))
	at := 0
	for i, l := range lines {
		if i > 0 {
			drop, between := document.Seam(lines[i-1].Text, l.Text)
			if rows[i-1].leadsInto(rows[i]) {
				drop, between = 0, ""
			}
			if drop > 0 {
				s := b.String()
				b.Reset()
				b.WriteString(s[:len(s)-drop])
				at--
			}
			b.WriteString(between)
			at += len(between)
		}
		begins[i] = at
		b.WriteString(l.Text)
		at += utf8.RuneCountInString(l.Text)
	}
	return b.String(), begins
}

// leadsInto reports whether an address is cut at the end of the row and goes on in the next.
func (r row) leadsInto(next row) bool {
	a, b := r.words[len(r.words)-1], next.words[0]
	return a.target != "" && a.target == b.target && strings.Contains(a.target, a.text+strings.TrimRight(b.text, ".,;:)]>"))
}

// levels numbers list items by how far they are indented within their list.
func levels(blocks []document.Block, body float64) {
	var lefts []float64
	for i := range blocks {
		b := &blocks[i]
		if b.Kind != document.ListItem {
			lefts = nil
			continue
		}
		x := b.Box[0]
		for len(lefts) > 0 && lefts[len(lefts)-1] > x+0.5*body {
			lefts = lefts[:len(lefts)-1]
		}
		if len(lefts) == 0 || x > lefts[len(lefts)-1]+0.5*body {
			lefts = append(lefts, x)
		}
		b.Level = len(lefts)
	}
}
