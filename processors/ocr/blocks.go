package ocr

import (
	"slices"

	"docstream/internal/engine/reading"
	"docstream/schemas/document"
)

// kinds maps the layout model's classes to kinds of blocks.
var kinds = map[string]string{
	"text": document.Paragraph, "title": document.Heading, "figure": document.Figure, "figure_caption": document.Caption,
	"table": document.TableKind, "table_caption": document.Caption, "header": document.Header, "footer": document.Footer,
	"reference": document.Reference, "equation": document.Equation,
}

// draft is a block before its text is joined.
type draft struct {
	kind  string
	score float64
	box   reading.Box // pixels
	flat  reading.Box // without the slant: what the order goes by
	lines []placed
	grid  *document.Table
}

// Shares that decide.
const (
	insideShare = 0.5  // of a line in a region for it to belong there
	textShare   = 0.25 // of a figure that is lines: above it the region is none: a form is often taken for a figure
	runningRows = 2    // of a running header or footer, at most
	tallLine    = 1.15 // sizes of most text, from which a line is set larger
	sectionSize = 1.3  // likewise, of the headings of sections: between the 1.5 and 1.17 that browsers give the second and third level
	chapterSize = 1.7  // likewise, of a title: between 2 and 1.5
	sameSize    = 1.08 // of a size to the next smaller one, up to which headings are of one level: letters of print differ by a pixel
	marginShare = 0.15 // of the page's height in which headers and footers are believed
)

// blocks puts the lines into regions, makes paragraphs of the rest, and returns all in reading order.
func (a *assembly) blocks() []document.Block {
	tables, lines := a.ruled(a.torn(a.lines))
	kept := slices.Clone(tables)
	drafts := make([]draft, len(a.regions))
	for i, r := range a.regions {
		drafts[i] = draft{kind: a.kind(r), score: r.score, box: r.box, flat: r.box}
	}
	var loose []placed
	for _, l := range lines {
		if i := a.home(l); i >= 0 {
			drafts[i].lines = append(drafts[i].lines, l)
		} else {
			loose = append(loose, l)
		}
	}
	for _, d := range drafts {
		if (d.kind == document.TableKind || d.kind == document.Figure && isGrid(d.lines)) && !a.prose(d.lines) {
			body, around := a.trim(d.lines)
			if d.grid = a.table(body); d.grid != nil {
				d.lines, loose = body, append(loose, around...)
			}
		}
		if d.grid == nil && (d.kind == document.TableKind || d.kind == document.Figure && d.ink() > textShare) {
			loose = append(loose, d.lines...)
			continue
		}
		if a.settle(&d); len(d.lines) > 0 || d.kind == document.Figure && !slices.ContainsFunc(tables, d.within) {
			kept = append(kept, a.columns(d)...)
		}
	}
	forms, kept, loose := a.forms(kept, loose)
	kept = append(append(kept, forms...), a.paragraphs(loose)...)
	var parts []draft
	var out []document.Block
	for _, d := range whole(a.order(kept)) {
		for _, part := range a.titled(d) {
			parts = append(parts, a.items(part)...)
		}
	}
	levels := a.levels(parts)
	for i, d := range parts {
		b := a.block(d)
		if b.Kind == document.Heading {
			b.Level = levels[i]
		}
		out = append(out, b)
	}
	return out
}

// kind believes in headers and footers only where they can be.
func (a *assembly) kind(r region) string {
	k, ok := kinds[r.kind]
	middle := (r.box.Y0 + r.box.Y1) / 2
	switch {
	case !ok,
		k == document.Header && middle > marginShare*a.height,
		k == document.Footer && middle < (1-marginShare)*a.height:
		return document.Paragraph
	}
	return k
}

// home is the region that holds most of a line, or -1.
func (a *assembly) home(l placed) int {
	best, share := -1, insideShare
	for i, r := range a.regions {
		if s := r.box.Shared(l.box) / max(l.box.Area(), 1); s > share {
			best, share = i, s
		}
	}
	return best
}

// within reports whether most of a region lies in a table.
func (d *draft) within(table draft) bool { return d.box.Shared(table.box) > insideShare*d.box.Area() }

// ink is the share of the region that lines cover.
func (d *draft) ink() float64 {
	var sum float64
	for _, l := range d.lines {
		sum += l.box.Area()
	}
	return sum / max(d.box.Area(), 1)
}

// settle corrects a region's kind by the lines found in it, and gives text the box of its lines. The layout model takes a table without
// rules for a figure.
func (a *assembly) settle(d *draft) {
	if len(d.lines) == 0 {
		return
	}
	chars := 0
	for _, l := range d.lines {
		chars += len(l.str)
	}
	switch {
	case d.grid != nil:
		d.kind = document.TableKind
	case d.kind == document.Header && a.tall(d.lines): // what runs along all pages is not set larger than their text
		d.kind = document.Heading
	case (d.kind == document.Header || d.kind == document.Footer) && len(rows(d.lines)) > runningRows:
		d.kind = document.Paragraph // the head of a letter, the small print of an invoice
	case d.kind == document.Heading && (len(d.lines) > 5 || chars > 400):
		d.kind = document.Paragraph
	}
	box, flat := bounds(d.lines)
	d.flat = flat
	if d.kind != document.Figure && d.kind != document.TableKind {
		d.box = box
	}
}

// tall reports whether lines are larger than the usual one of the page.
func (a *assembly) tall(lines []placed) bool { return a.large(lines) >= tallLine }

// order puts running headers first and footers last, the rest by columns.
func (a *assembly) order(drafts []draft) []draft {
	var groups [3][]draft
	for _, d := range drafts {
		g := 1
		switch d.kind {
		case document.Header:
			g = 0
		case document.Footer:
			g = 2
		}
		groups[g] = append(groups[g], d)
	}
	var out []draft
	for _, g := range groups {
		boxes := make([]reading.Box, len(g))
		for i, d := range g {
			boxes[i] = d.flat
		}
		for _, i := range reading.Order(boxes, a.body/2) {
			out = append(out, g[i])
		}
	}
	return out
}

// block joins a draft.
func (a *assembly) block(d draft) document.Block {
	b := document.Block{Kind: d.kind, Box: a.box(d.box), Confidence: document.Round3(d.score)}
	if d.grid != nil {
		b.Table, b.Confidence = d.grid, document.Round3(mean(d.lines))
		return b
	}
	var ordered []placed
	for _, r := range rows(d.lines) {
		ordered = append(ordered, r...)
	}
	if len(ordered) > 0 {
		b.Confidence = document.Round3(mean(ordered))
	}
	for _, l := range ordered {
		b.Lines = append(b.Lines, a.line(l))
	}
	b.Text = join(b.Lines)
	if b.Kind == document.ListItem {
		b.Level = 1
	}
	return b
}

func mean(lines []placed) float64 {
	sum := 0.0
	for _, l := range lines {
		sum += l.score
	}
	return sum / float64(len(lines))
}

// large is how large lines are set, in that of most text of the page.
func (a *assembly) large(lines []placed) float64 {
	var sizes []float64
	for _, l := range lines {
		sizes = append(sizes, a.size(l))
	}
	return median(sizes) / max(a.print, 1)
}
