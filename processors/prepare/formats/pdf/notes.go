package pdf

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"docstream/schemas/document"
)

// part is a block with the rows it was made of; a table has none.
type part struct {
	block document.Block
	rows  []row
}

var (
	reference = regexp.MustCompile(`^(\d{1,3}|[*†‡§¶]{1,3})$`)
	footnote  = regexp.MustCompile(`^(\d{1,3}|[*†‡§¶]{1,3})[.)]?\s*`)
)

// lifted reports whether of two neighbouring glyphs or words one is small and raised beside the other.
func lifted(small, beside rect) bool {
	return small.height() < 0.85*beside.height() && beside.y1-small.y1 > 0.15*beside.height()
}

// raised reports whether word i of a row is the number of a note: small, and higher than a neighbour.
func (r row) raised(i int) bool {
	w := r.words[i]
	return w.height() < 0.85*r.height() && reference.MatchString(w.text) &&
		(i > 0 && lifted(w.rect, r.words[i-1].rect) || i == 0 && len(r.words) > 1 && lifted(w.rect, r.words[1].rect))
}

// notes tells footnotes from other text: what begins with the number that a raised one in the text above names, in smaller letters or
// with its number raised. The references become spans.
func notes(parts []part, body float64) {
	type place struct{ part, row, word int }
	refs := map[string][]place{}
	for i, p := range parts {
		for y, r := range p.rows {
			for x := range r.words {
				if r.raised(x) && (y > 0 || x > 0) {
					refs[r.words[x].text] = append(refs[r.words[x].text], place{i, y, x})
				}
			}
		}
	}
	if len(refs) == 0 {
		return
	}
	for i := range parts {
		b := &parts[i].block
		if b.Kind != document.Paragraph && b.Kind != document.ListItem || len(parts[i].rows) == 0 {
			continue
		}
		m := footnote.FindStringSubmatch(b.Text)
		if m == nil || len(m[0]) == len(b.Text) || !parts[i].rows[0].raised(0) && parts[i].rows[0].size() > 0.93*body {
			continue
		}
		named := slices.DeleteFunc(slices.Clone(refs[m[1]]), func(p place) bool { return parts[p.part].block.Box[1] >= b.Box[1] })
		if len(named) == 0 {
			continue
		}
		delete(refs, m[1])
		b.Kind, b.Level, b.Label = document.Note, 0, m[1]
		b.Text, b.Spans = behind(b.Text, b.Spans, utf8.RuneCountInString(m[0]))
		for _, p := range named {
			parts[p.part].refer(p.row, p.word, m[1])
		}
	}
}

// behind takes the first n characters off a text.
func behind(text string, spans []document.Span, n int) (string, []document.Span) {
	var out []document.Span
	for _, s := range spans {
		if s.Start, s.End = max(0, s.Start-n), s.End-n; s.End > s.Start {
			out = append(out, s)
		}
	}
	return string([]rune(text)[n:]), out
}

// refer says of a word that it names a note.
func (p *part) refer(y, x int, label string) {
	r := p.rows[y]
	_, begins := join(p.rows, p.block.Lines)
	at := begins[y]
	for j := range x {
		at += utf8.RuneCountInString(r.words[j].text)
		if r.spaced(j + 1) {
			at++
		}
	}
	end := at + utf8.RuneCountInString(r.words[x].text)
	if p.block.Kind == document.Note { // its own number is gone from the text
		return
	}
	p.block.Spans = append(p.block.Spans, document.Span{Start: at, End: end, Kind: document.NoteRef, Target: label})
	slices.SortStableFunc(p.block.Spans, func(a, b document.Span) int { return a.Start - b.Start })
}

// rejoin makes one paragraph of two that a column break parts.
func rejoin(parts []part, body float64) []part {
	var out []part
	last := -1 // of out, behind which no more than notes came
	for _, p := range parts {
		if last >= 0 && p.block.Kind == document.Paragraph && goesOn(out[last], p) {
			rows := slices.Concat(out[last].rows, p.rows)
			kind, level := out[last].block.Kind, out[last].block.Level
			out[last] = part{blockOf(rows, body), rows}
			out[last].block.Kind, out[last].block.Level = kind, level
			continue
		}
		out = append(out, p)
		switch p.block.Kind {
		case document.Paragraph, document.ListItem:
			last = len(out) - 1
		case document.Header, document.Footer, document.Note:
		default:
			last = -1
		}
	}
	return out
}

// goesOn reports whether b, at the head of the next column, continues a sentence of a.
func goesOn(a, b part) bool {
	if len(a.rows) == 0 || len(b.rows) == 0 || b.block.Box[1] >= a.block.Box[3] || b.block.Box[0] < a.block.Box[2] {
		return false
	}
	first, _ := utf8.DecodeRuneInString(b.block.Text)
	x, y := commonSize(a.rows[len(a.rows)-1].words), commonSize(b.rows[0].words)
	return (unicode.IsLower(first) || tied(a.block.Text, b.block.Text)) && !ends(a.block.Text) && max(x, y) <= 1.05*min(x, y)
}

// tied reports whether a hyphen at the end of a text ties it to the next.
func tied(before, after string) bool {
	_, between := document.Seam(before, after)
	return between == "" && strings.HasSuffix(before, "-")
}
