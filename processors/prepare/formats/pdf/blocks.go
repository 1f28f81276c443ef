package pdf

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"docstream/processors/prepare/formats"
	"docstream/schemas/document"
)

// compose puts the words of a page into blocks in reading order.
func (p *page) compose(t *layer) *document.Page {
	out := formats.Empty(p.number, p.width, p.height)
	var level, turned []word
	for _, w := range t.words {
		if w.turned {
			turned = append(turned, w)
		} else {
			level = append(level, w)
		}
	}
	body := commonSize(t.words)
	for _, r := range order(rowsOf(level), max(body, 1), 0) {
		if r.table != nil {
			out.Blocks = append(out.Blocks, r.table.block(body))
			continue
		}
		for _, rows := range paragraphs(r.rows) {
			out.Blocks = append(out.Blocks, blockOf(rows, body))
		}
	}
	for _, w := range turned {
		r := rowOf([]word{w})
		out.Blocks = append(out.Blocks, document.Block{Kind: document.Paragraph, Box: w.box(), Confidence: 1, Text: w.text, Lines: []document.Line{r.line()}})
	}
	p.running(out.Blocks, body)
	levels(out.Blocks, body)
	return out
}

// paragraphs cuts the rows of a column where one paragraph ends and the next begins.
func paragraphs(rows []row) [][]row {
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
		if i == len(rows) || breaks(rows, start, i, column) {
			out = append(out, rows[start:i])
			start = i
		}
	}
	return out
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
	if marker(r.text()) != "" {
		return true
	}
	first := rows[start]
	listed := marker(first.text()) != ""
	switch indent := r.x0 - above.x0; {
	case indent > 0.8*em && !(listed && i-1 == start): // an indented first line
		return indent < 8*em || above.x1 < column.x1-0.25*column.width()
	case indent < -0.8*em && listed && r.x0 <= first.x0+0.3*em: // back from a list item
		return true
	}
	return above.x1 < column.x1-0.3*column.width() && ends(above.text()) // the line above stopped early
}

// ends reports whether a line closes a sentence.
func ends(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(strings.TrimRight(s, `"'”’)»`))
	return strings.ContainsRune(".!?:;。！？", r)
}

var (
	bullets = regexp.MustCompile(`^([•◦▪■●○‣⁃∙·*–—-]|[\x{F0B7}])\s+\S`)
	numbers = regexp.MustCompile(`^(\(?(\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)])\s+\S`)
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
	b.Text = join(b.Lines)
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

// join makes one text of lines; a word cut at the end of a line is put together again.
func join(lines []document.Line) string {
	var b strings.Builder
	for i, l := range lines {
		if i == 0 {
			b.WriteString(l.Text)
			continue
		}
		before := lines[i-1].Text
		first, _ := utf8.DecodeRuneInString(l.Text)
		last, _ := utf8.DecodeLastRuneInString(before)
		switch {
		case cut(before) && unicode.IsLower(first):
			s := b.String()
			b.Reset()
			b.WriteString(strings.TrimSuffix(s, "-"))
		case wide(last) && wide(first):
		default:
			b.WriteByte(' ')
		}
		b.WriteString(l.Text)
	}
	return b.String()
}

// cut reports whether a line ends in a letter and a hyphen.
func cut(s string) bool {
	t, ok := strings.CutSuffix(s, "-")
	r, _ := utf8.DecodeLastRuneInString(t)
	return ok && unicode.IsLetter(r)
}

// wide reports whether a script is written without spaces.
func wide(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) || r >= 0x3000 && r <= 0x303f || r >= 0xff00 && r <= 0xffef
}

// running marks the lines at the very top and bottom of a page that are repeated on others: page numbers, titles of the book.
func (p *page) running(blocks []document.Block, body float64) {
	for i := range blocks {
		b := &blocks[i]
		if len(b.Lines) != 1 || utf8.RuneCountInString(b.Text) > 120 || b.Kind == document.Heading && b.Level < 3 {
			continue
		}
		above, below := p.alone(blocks, i)
		switch {
		case b.Box[3] < 0.09*p.height && above && !p.closeTo(blocks, i, body):
			b.Kind, b.Level = document.Header, 0
		case b.Box[1] > 0.91*p.height && below && !p.closeTo(blocks, i, body):
			b.Kind, b.Level = document.Footer, 0
		}
	}
}

// alone reports whether nothing lies above and whether nothing lies below block i.
func (p *page) alone(blocks []document.Block, i int) (above, below bool) {
	above, below = true, true
	for j := range blocks {
		if j == i {
			continue
		}
		if blocks[j].Box[3] <= blocks[i].Box[1] {
			above = false
		}
		if blocks[j].Box[1] >= blocks[i].Box[3] {
			below = false
		}
	}
	return above, below
}

// closeTo reports whether another block lies within an em above or below block i.
func (p *page) closeTo(blocks []document.Block, i int, body float64) bool {
	for j := range blocks {
		if j == i {
			continue
		}
		gap := max(blocks[j].Box[1]-blocks[i].Box[3], blocks[i].Box[1]-blocks[j].Box[3])
		if gap >= 0 && gap < 0.5*body {
			return true
		}
	}
	return false
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
