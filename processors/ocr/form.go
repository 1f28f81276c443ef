package ocr

import (
	"regexp"
	"slices"
	"strings"

	"docstream/schemas/document"
)

const (
	formRows  = 2   // rows that make a form
	formChars = 24  // usual length of a cell; longer ones are columns of prose
	formGap   = 1.5 // heights of a line between two rows of one form
)

// alongColumns are the kinds of blocks that the layout model draws around one column of a form: the values on their lines are a figure to it.
var alongColumns = []string{document.Paragraph, document.Reference, document.Figure}

// forms makes tables of lines that stand in rows, such as labels with their values: of loose ones, and of those in blocks of text that the
// layout model drew along the columns. It returns them with the blocks and the loose lines that are left. Read as paragraphs they would be
// read column by column, all labels first. A row with a single cell ends a form: the next one may have other columns.
func (a *assembly) forms(blocks []draft, loose []placed) (forms, kept []draft, rest []placed) {
	lines := slices.Clone(loose)
	owner := slices.Repeat([]int{-1}, len(loose)) // the block of each line
	for i, d := range blocks {
		if d.grid == nil && slices.Contains(alongColumns, d.kind) {
			lines, owner = append(lines, d.lines...), append(owner, slices.Repeat([]int{i}, len(d.lines))...)
		}
	}
	for i := range lines {
		lines[i].number = i
	}
	left := slices.Repeat([]bool{true}, len(lines))
	var run [][]placed
	flush := func() {
		var all []placed
		owned := false
		for _, r := range run {
			all = append(all, r...)
		}
		for _, l := range all {
			owned = owned || owner[l.number] >= 0
		}
		run = nil
		if d, ok := a.form(all); ok && (!owned || labelled(d.grid)) {
			forms = append(forms, d)
			for _, l := range all {
				left[l.number] = false
			}
		}
	}
	for _, r := range rows(lines) {
		if len(r) < 2 && len(split(r[0])) < 2 {
			flush()
			continue
		}
		if n := len(run); n > 0 && r[0].flat.Y0-run[n-1][0].flat.Y1 > formGap*r[0].flat.Height() {
			flush()
		}
		run = append(run, r)
	}
	flush()
	return forms, remaining(blocks, lines, owner, left), taken(lines, owner, left)
}

// remaining are the blocks without the lines that went into forms. A block with a form in its middle is two.
func remaining(blocks []draft, lines []placed, owner []int, left []bool) (kept []draft) {
	of := make(map[int][]placed)
	for k, l := range lines {
		of[owner[k]] = append(of[owner[k]], l)
	}
	for i, d := range blocks {
		if !slices.ContainsFunc(of[i], func(l placed) bool { return !left[l.number] }) {
			kept = append(kept, d)
			continue
		}
		part := draft{kind: d.kind, score: d.score}
		end := func() {
			if len(part.lines) > 0 {
				part.box, part.flat = bounds(part.lines)
				kept = append(kept, part)
			}
			part.lines = nil
		}
		for _, r := range rows(of[i]) {
			for _, l := range r {
				if !left[l.number] {
					end()
					continue
				}
				part.lines = append(part.lines, l)
			}
		}
		end()
	}
	return kept
}

// taken are the loose lines that went into no form.
func taken(lines []placed, owner []int, left []bool) (rest []placed) {
	for k, l := range lines {
		if owner[k] < 0 && left[k] {
			rest = append(rest, l)
		}
	}
	return rest
}

var (
	label   = regexp.MustCompile(`^\P{Nd}{1,40}[:：]\s*\S`) // with its value
	ordinal = regexp.MustCompile(`^(?:\(?\d{1,2}[.)]|[•▪◦‣●○■□►◆·*–—-])$`)
)

// labelled reports whether the first cells of rows are labels, or the last ones figures. Other text in columns, such as an index, is not
// read across.
func labelled(t *document.Table) bool {
	first, last := make([]string, t.Rows), make([]string, t.Rows)
	for _, c := range t.Cells {
		if c.Column == 0 {
			first[c.Row] = c.Text
		} else {
			last[c.Row] = c.Text
		}
	}
	labels, figures := 0, 0
	for i := range first {
		if strings.HasSuffix(first[i], ":") || strings.HasSuffix(first[i], "：") {
			labels++
		}
		if strings.ContainsAny(last[i], "0123456789") {
			figures++
		}
	}
	return 2*labels >= t.Rows || 5*figures >= 3*t.Rows
}

// apart reports whether the columns are no parts of rows: one beside the first has labels of its own, or the first is the numbers of a list.
func apart(t *document.Table) bool {
	whole, cells := make([]int, t.Columns), make([]int, t.Columns)
	counts, labels := 0, 0
	for _, c := range t.Cells {
		cells[c.Column]++
		if label.MatchString(c.Text) {
			whole[c.Column]++
		}
		if c.Column == 0 && strings.ContainsAny(c.Text, ":：") {
			labels++
		}
		if c.Column == 0 && ordinal.MatchString(c.Text) {
			counts++
		}
	}
	for k := 1; k < len(cells); k++ {
		if cells[k] > 1 && 5*whole[k] >= 3*cells[k] && 2*labels < cells[0] {
			return true
		}
	}
	return t.Columns == 2 && 5*counts >= 4*cells[0]
}

// form makes one table, if the lines are one.
func (a *assembly) form(lines []placed) (draft, bool) {
	var lengths []float64
	for _, l := range lines {
		for _, p := range split(l) {
			n := len(p.words) - 1
			for _, w := range p.words {
				n += extent(w.text)
			}
			lengths = append(lengths, float64(n))
		}
	}
	if len(lines) == 0 || len(rows(lines)) < formRows || median(lengths) > formChars {
		return draft{}, false
	}
	t := a.table(lines)
	if t == nil || apart(t) {
		return draft{}, false
	}
	for i := range t.Cells {
		t.Cells[i].Header = false // the first row of a form is a row like any other
	}
	d := draft{kind: document.TableKind, grid: t, lines: lines}
	d.box, d.flat = bounds(lines)
	return d, true
}

// extent is the length of a text in letters; signs of scripts that are written without spaces say as much as two.
func extent(s string) (n int) {
	for _, r := range s {
		if n++; spaceless(r) {
			n++
		}
	}
	return n
}
