package ocr

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"docstream/internal/engine/reading"
	"docstream/schemas/document"
)

// paragraphs makes blocks of lines that lie in no region: a line joins the block above it where it looks like its next line.
func (a *assembly) paragraphs(loose []placed) []draft {
	boxes := make([]reading.Box, len(loose))
	for i, l := range loose {
		boxes[i] = l.flat
	}
	var out []draft
	for _, i := range reading.Order(boxes, a.body/3) {
		l := loose[i]
		if n := len(out); n > 0 && continues(out[n-1], l) {
			d := &out[n-1]
			d.lines = append(d.lines, l)
			d.box, d.flat = d.box.Union(l.box), d.flat.Union(l.flat)
			continue
		}
		out = append(out, draft{kind: document.Paragraph, score: l.score, box: l.box, flat: l.flat, lines: []placed{l}})
	}
	return out
}

// continues reports whether a line goes on with a paragraph: directly below, of the same height, starting where it starts, and the line
// before it was full.
func continues(d draft, l placed) bool {
	last := d.lines[len(d.lines)-1]
	h := min(last.flat.Height(), l.flat.Height())
	gap := l.flat.Y0 - last.flat.Y1
	if label.MatchString(l.str) && label.MatchString(last.str) {
		return false // each line is a label with its value
	}
	return gap > -0.5*h && gap < 0.6*h &&
		max(last.flat.Height(), l.flat.Height()) < 1.4*h &&
		l.flat.X0 > d.flat.X0-2*h && l.flat.X0 < d.flat.X0+2*h &&
		last.flat.X1 > max(d.flat.X1, l.flat.X1)-0.2*d.flat.Union(l.flat).Width()
}

// whole puts paragraphs together that the regions have cut: in reading order, one that begins with a small letter and looks like the next
// line of the one before. Where the letter says nothing, as in scripts without small ones, the regions are believed.
func whole(drafts []draft) []draft {
	var out []draft
	for _, d := range drafts {
		if d.kind == document.Paragraph && len(d.lines) > 0 {
			d.lines = slices.Concat(rows(d.lines)...)
			if n := len(out); n > 0 && out[n-1].kind == document.Paragraph && len(out[n-1].lines) > 0 && unicode.IsLower(first(d.lines[0].str)) && continues(out[n-1], d.lines[0]) {
				before := &out[n-1]
				before.lines = append(before.lines, d.lines...)
				before.box, before.flat = before.box.Union(d.box), before.flat.Union(d.flat)
				continue
			}
		}
		out = append(out, d)
	}
	return out
}

// join makes one text of lines: a word cut by a hyphen at the end of a line is put together, scripts without spaces get none.
func join(lines []document.Line) string {
	var b strings.Builder
	last := ""
	for _, l := range lines {
		if last != "" {
			if cut(last, l.Text) {
				s := strings.TrimSuffix(b.String(), "-")
				b.Reset()
				b.WriteString(s)
			} else if end, _ := utf8.DecodeLastRuneInString(last); !spaceless(end) || !spaceless(first(l.Text)) {
				b.WriteByte(' ')
			}
		}
		b.WriteString(l.Text)
		last = l.Text
	}
	return b.String()
}

// cut reports whether a line ends inside a word that the next one goes on with.
func cut(last, next string) bool {
	if !strings.HasSuffix(last, "-") || !unicode.IsLower(first(next)) {
		return false
	}
	before, _ := utf8.DecodeLastRuneInString(strings.TrimSuffix(last, "-"))
	return unicode.IsLower(before)
}

func first(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

// spaceless reports whether a script writes without spaces between words.
func spaceless(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) || (r >= 0x3000 && r <= 0x303f) || (r >= 0xff00 && r <= 0xff65)
}
