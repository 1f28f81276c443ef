package odf

import (
	"slices"
	"strings"

	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/xmltree"
	"docstream/schemas/document"
)

// block reads one block of a text.
func (r *reader) block(n *xmltree.Node) {
	switch n.Name {
	case "h":
		r.flush()
		r.inline(n, flow.Look{})
		r.put(func(t flow.Text) { r.heading(n, t) })
	case "p":
		r.flush()
		st := r.styles[n.Attr("style-name")]
		if st.breaks && !r.cell {
			r.out.Break()
		}
		name := n.Attr("style-name")
		r.exact = r.styles.is(name, "Preformatted_20_Text")
		r.inline(n, flow.Look{})
		r.exact = false
		switch {
		case r.styles.is(name, "Title"):
			r.put(func(t flow.Text) { r.out.Heading(1, t) })
		case r.styles.is(name, "Caption"):
			r.put(r.out.Caption)
		case r.styles.is(name, "Preformatted_20_Text"):
			r.put(func(t flow.Text) { r.out.Code(t.String) })
		default:
			r.put(r.out.Paragraph)
		}
	case "list":
		r.flush()
		r.list(n, "", 1)
	case "numbered-paragraph": // an item that stands without its list
		r.flush()
		r.items(&xmltree.Node{Children: []*xmltree.Node{{Name: "list-item", Attrs: n.Attrs, Children: n.Children}}}, n.Attr("style-name"), count(n.Attr("level"), 1, 9))
	case "table":
		r.flush()
		r.table(n)
	case "section", "index-body", "table-of-content", "index-title", "illustration-index", "table-index", "alphabetical-index", "user-index", "object-index",
		"bibliography", "text-box", "text", "a":
		for _, c := range n.Children {
			r.block(c)
		}
	case "control":
		r.control(n, flow.Look{})
		r.flush()
	case "frame", "custom-shape", "rect", "ellipse", "circle", "line", "polyline", "polygon", "path", "connector", "caption", "g":
		r.frame(n)
		r.flush()
	case "soft-page-break":
		if !r.cell {
			r.out.Break()
		}
	}
}

// put ends a text: in a cell it is a line, elsewhere what it is said to be.
func (r *reader) put(as func(flow.Text)) {
	t := r.words.Text()
	if r.cell {
		r.lines = append(r.lines, t)
	} else {
		as(t)
	}
	r.flush()
}

// flush puts what hangs on the text before.
func (r *reader) flush() {
	if t := r.words.Text(); t.String != "" {
		if r.cell {
			r.lines = append(r.lines, t)
		} else {
			r.out.Paragraph(t)
		}
	}
	for _, p := range r.pictures {
		if r.cell {
			r.lines = append(r.lines, flow.Plain(p.alt))
		} else {
			r.out.Picture(p.alt, p.load)
		}
	}
	boxes := r.boxes
	r.pictures, r.boxes = nil, nil
	for _, b := range boxes {
		for _, c := range b.Children {
			r.block(c)
		}
	}
	if r.broken && !r.cell {
		r.out.Break()
	}
	r.broken = false
}

// inline reads what stands within a text. White space is one space, unless it is said to be more.
func (r *reader) inline(n *xmltree.Node, look flow.Look) {
	r.words.Collapse = !r.exact
	for _, c := range n.Children {
		switch c.Name {
		case "":
			r.words.Add(c.Text, look)
		case "span":
			r.inline(c, r.styles.look(c.Attr("style-name"), look))
		case "a":
			inner := look
			if h := c.Attr("href"); !strings.HasPrefix(h, "#") {
				inner.Link = h
			}
			r.inline(c, inner)
		case "line-break":
			r.words.Break()
		case "tab":
			r.words.Add(map[bool]string{true: "\t", false: " "}[r.exact], look)
		case "s":
			if n := count(c.Attr("c"), 1, 1000); r.exact && r.words.Size() < maxExact {
				r.words.Add(strings.Repeat(" ", n), look)
			} else {
				r.words.Add(" ", look)
			}
		case "note":
			label := strings.TrimSpace(c.Child("note-citation").Content())
			r.notes = append(r.notes, note{label, flow.Lines(r.inCell(c.Child("note-body")))})
			r.words.Add("["+label+"]", flow.Look{Note: label})
		case "frame", "custom-shape", "text-box", "g", "rect", "ellipse", "circle", "line", "polyline", "polygon", "path", "connector", "caption":
			r.frame(c)
		case "control":
			r.control(c, look)
		case "soft-page-break":
			r.broken = r.words.Size() > 0
			if !r.broken && !r.cell {
				r.out.Break()
			}
		case "annotation", "tracked-changes", "change", "change-start", "change-end", "bookmark", "script", "number":
		case "ruby":
			r.inline(&xmltree.Node{Children: c.Child("ruby-base").All("")}, look)
		default:
			r.inline(c, look)
		}
	}
}

// frame keeps what is said of a picture and what a box holds.
func (r *reader) frame(n *xmltree.Node) {
	if n.Name != "frame" {
		r.boxes = append(r.boxes, n)
		return
	}
	alt := strings.TrimSpace(n.Child("desc").Content())
	if alt == "" {
		alt = strings.TrimSpace(n.Child("title").Content())
	}
	if p := (picture{alt, r.held(n.Child("image").Attr("href"))}); alt != "" || p.load != nil {
		r.pictures = append(r.pictures, p)
	}
	for _, c := range n.Children {
		if c.Name == "object" && r.embedded(c.Attr("href")) {
			if k := len(r.pictures); k > 0 && alt == "" {
				r.pictures = r.pictures[:k-1] // it shows what is said here
			}
		}
		if c.Name == "text-box" {
			r.boxes = append(r.boxes, c)
		}
		if c.Name == "table" {
			r.boxes = append(r.boxes, &xmltree.Node{Name: "text-box", Children: []*xmltree.Node{c}})
		}
	}
}

// picture is what is said of a picture, and where it comes from.
type picture struct {
	alt  string
	load flow.Load
}

// held finds a picture in the container.
func (r *reader) held(name string) flow.Load {
	name = strings.TrimPrefix(name, "./")
	if name == "" || strings.Contains(name, ":") || !r.archive.Has(name) {
		return nil
	}
	return func() ([]byte, error) { return r.archive.Read(name, formats.MostPictureMB<<20) }
}

// list reads a list; a style that none names is that of the list around it.
func (r *reader) list(n *xmltree.Node, style string, level int) {
	if s := n.Attr("style-name"); s != "" {
		style = s
	}
	if level == 1 && n.Attr("continue-numbering") != "true" && n.Attr("continue-list") == "" {
		delete(r.counts, style)
	}
	r.items(n, style, level)
}

// items reads the items of a list.
func (r *reader) items(n *xmltree.Node, style string, level int) {
	for _, item := range n.Children {
		if item.Name != "list-item" && item.Name != "list-header" {
			continue
		}
		first := item.Name == "list-item"
		for _, c := range item.Children {
			if c.Name != "p" && c.Name != "h" || !first {
				if c.Name == "list" {
					r.flush()
					r.list(c, style, level+1)
				} else {
					r.block(c)
				}
				continue
			}
			r.inline(c, flow.Look{})
			if r.words.Size() == 0 {
				continue
			}
			first = false
			marker := r.marker(style, level, count(item.Attr("start-value"), 0, 1_000_000))
			if c.Name == "h" {
				r.put(func(t flow.Text) { r.out.Heading(count(c.Attr("outline-level"), 1, 9), flow.Prefixed(marker, t)) })
				continue
			}
			if r.cell {
				t := r.words.Text()
				r.lines = append(r.lines, flow.Text{String: marker + " " + t.String})
				continue
			}
			r.put(func(t flow.Text) { r.out.Item(level, marker, t) })
		}
	}
}

// inCell reads a node as the lines of a cell.
func (r *reader) inCell(n *xmltree.Node) []flow.Text {
	if n == nil {
		return nil
	}
	in := &reader{archive: r.archive, limits: r.limits, out: r.out, styles: r.styles, lists: r.lists, counts: r.counts, controls: r.controls, objects: r.objects, spent: r.spent, cell: true}
	for _, c := range n.Children {
		in.block(c)
	}
	in.flush()
	r.notes = append(r.notes, in.notes...)
	return in.lines
}

// The bounds of what repeats in a text.
const (
	maxRepeat   = 1000    // how often a row or a cell does that says something
	maxRepeated = 500_000 // cells of all tables that repeat others
	maxExact    = 1 << 20 // bytes of a text from which on blanks do not
)

// table reads a table of a text or a slide.
func (r *reader) table(n *xmltree.Node) {
	g := flow.NewGrid()
	row := 0
	r.rows(g, n, &row, false)
	t := g.Table()
	if t == nil {
		return
	}
	if r.cell {
		r.lines = append(r.lines, flow.Nested(t)...)
		return
	}
	r.out.Table(t)
}

func (r *reader) rows(g *flow.Grid, n *xmltree.Node, row *int, head bool) {
	for _, c := range n.Children {
		switch c.Name {
		case "table-header-rows":
			r.rows(g, c, row, true)
		case "table-rows", "table-row-group":
			r.rows(g, c, row, head)
		case "table-row":
			column := 0
			for _, cell := range c.Children {
				repeat := count(cell.Attr("number-columns-repeated"), 1, maxRepeat)
				if cell.Name == "covered-table-cell" {
					column += repeat
					continue
				}
				if cell.Name != "table-cell" {
					continue
				}
				text := flow.Lines(r.inCell(cell))
				for i := range repeat {
					if i > 0 && !r.spend(1) {
						break
					}
					g.At(*row, column, text, count(cell.Attr("number-rows-spanned"), 1, 1<<20), count(cell.Attr("number-columns-spanned"), 1, 1<<14), head)
					column++
				}
			}
			*row++
			r.again(g, row, count(c.Attr("number-rows-repeated"), 1, maxRepeat)-1)
		}
	}
}

// spend counts cells that repeat others. A document with too many is refused.
func (r *reader) spend(cells int) bool {
	if *r.spent += cells; *r.spent > maxRepeated {
		r.out.Refuse(formats.TooLarge("more than %d cells that repeat others", maxRepeated))
		return false
	}
	return true
}

// again repeats the row above so many times.
func (r *reader) again(g *flow.Grid, row *int, times int) {
	if times == 0 {
		return
	}
	cells := g.Above(*row)
	if !slices.ContainsFunc(cells, func(c document.Cell) bool { return strings.TrimSpace(c.Text) != "" }) {
		*row += times
		return
	}
	for range times {
		if !r.spend(len(cells)) {
			return
		}
		for _, c := range cells {
			g.At(*row, c.Column, flow.Text{String: c.Text, Spans: c.Spans}, 1, max(1, c.ColumnSpan), c.Header)
		}
		*row++
	}
}

// heading puts a heading, with its number where headings are numbered.
func (r *reader) heading(n *xmltree.Node, t flow.Text) {
	level := count(n.Attr("outline-level"), 1, 9)
	if shown := n.Child("number").Content(); shown != "" {
		t = flow.Prefixed(shown, t)
	} else if st := r.lists[outline]; st != nil && st.levels[level-1].format != "" && n.Attr("is-list-header") != "true" && t.String != "" {
		t = flow.Prefixed(r.marker(outline, level, count(n.Attr("start-value"), 0, 1_000_000)), t)
	}
	r.out.Heading(level, t)
}
