package ocr

import (
	"unicode/utf8"

	"docstream/schemas/document"
)

const (
	formRows  = 2   // rows that make a form
	formChars = 24  // usual length of a cell; longer ones are columns of prose
	formGap   = 1.5 // heights of a line between two rows of one form
)

// forms makes tables of loose lines that stand in rows, such as labels with their values, and returns the rest. Read as paragraphs they
// would be read column by column, all labels first. A row with a single cell ends a form: the next one may have other columns.
func (a *assembly) forms(loose []placed) (forms []draft, rest []placed) {
	var run [][]placed
	flush := func() {
		var lines []placed
		for _, r := range run {
			lines = append(lines, r...)
		}
		run = nil
		if d, ok := a.form(lines); ok {
			forms = append(forms, d)
			return
		}
		rest = append(rest, lines...)
	}
	for _, r := range rows(loose) {
		if len(r) < 2 && len(split(r[0])) < 2 {
			flush()
			rest = append(rest, r...)
			continue
		}
		if n := len(run); n > 0 && r[0].flat.Y0-run[n-1][0].flat.Y1 > formGap*r[0].flat.Height() {
			flush()
		}
		run = append(run, r)
	}
	flush()
	return forms, rest
}

// form makes one table, if the lines are one.
func (a *assembly) form(lines []placed) (draft, bool) {
	var lengths []float64
	for _, l := range lines {
		for _, p := range split(l) {
			n := len(p.words) - 1
			for _, w := range p.words {
				n += utf8.RuneCountInString(w.text)
			}
			lengths = append(lengths, float64(n))
		}
	}
	if len(rows(lines)) < formRows || median(lengths) > formChars {
		return draft{}, false
	}
	t := a.table(lines)
	if t == nil {
		return draft{}, false
	}
	for i := range t.Cells {
		t.Cells[i].Header = false // the first row of a form is a row like any other
	}
	d := draft{kind: document.TableKind, grid: t, lines: lines}
	d.box, d.flat = bounds(lines)
	return d, true
}
