package compose

import (
	"bufio"
	"fmt"
	"html"

	"docstream/schemas/document"
)

// htmlRenderer writes semantic HTML without scripts or styles: a section for each page, its running header and footer kept as such.
// Every text is escaped.
type htmlRenderer struct {
	w    *bufio.Writer
	open []string // tags of the open lists; each has an open item
}

func (r *htmlRenderer) printf(format string, a ...any) { _, _ = fmt.Fprintf(r.w, format, a...) }

func (r *htmlRenderer) begin(h document.Head) {
	r.printf("<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"generator\" content=\"%s\">\n<title>Document</title>\n</head>\n<body>\n",
		html.EscapeString(h.Format))
	for _, f := range h.Failures {
		r.printf("<p data-failed-page=\"%d\">Page %d: %s</p>\n", f.Page, f.Page, html.EscapeString(f.Message))
	}
}

func (r *htmlRenderer) page(p *document.Page) {
	r.printf("<section data-page=\"%d\">\n", p.Number)
	for i, b := range p.Blocks {
		switch {
		case b.Kind == document.Caption && i > 0 && p.Blocks[i-1].Kind == document.Figure: // stands in the figure
		case b.Kind == document.Figure && i+1 < len(p.Blocks) && p.Blocks[i+1].Kind == document.Caption:
			r.figure(b, &p.Blocks[i+1])
		default:
			r.block(b)
		}
	}
	r.lists(0, "")
	r.printf("</section>\n")
}

func (r *htmlRenderer) end() { r.printf("</body>\n</html>\n") }

// lists closes and opens lists until depth of them are open. An inner list stands in an item of the outer one.
func (r *htmlRenderer) lists(depth int, tag string) {
	for len(r.open) > depth || len(r.open) == depth && depth > 0 && r.open[depth-1] != tag {
		r.printf("</li>\n</%s>\n", r.open[len(r.open)-1])
		r.open = r.open[:len(r.open)-1]
	}
	if len(r.open) == depth && depth > 0 {
		r.printf("</li>\n")
	}
	for len(r.open) < depth {
		r.open = append(r.open, tag)
		r.printf("<%s>\n", tag)
		if len(r.open) < depth {
			r.printf("<li>")
		}
	}
}

func (r *htmlRenderer) block(b document.Block) {
	if b.Kind == document.ListItem {
		r.item(b, min(max(b.Level, 1), 8))
		return
	}
	text := tagged(b.Text, b.Spans)
	r.lists(0, "")
	switch b.Kind {
	case document.Heading:
		n := min(max(b.Level, 1), 6)
		r.printf("<h%d>%s</h%d>\n", n, text, n)
	case document.TableKind:
		if b.Table != nil {
			r.table(b.Table)
		}
	case document.Header:
		r.printf("<header>%s</header>\n", text)
	case document.Footer:
		r.printf("<footer>%s</footer>\n", text)
	case document.Code, document.Equation:
		r.printf("<pre>%s</pre>\n", html.EscapeString(b.Text))
	case document.Note:
		if b.Label != "" {
			text = "[" + html.EscapeString(b.Label) + "] " + text
		}
		r.printf("<aside>%s</aside>\n", text)
	case document.Figure:
		r.figure(b, nil)
	default:
		goesOn := ""
		if b.Continues {
			goesOn = ` data-continues="true"`
		}
		if text != "" {
			r.printf("<p%s>%s</p>\n", goesOn, text)
		}
	}
}

// figure writes a picture with what is said of it, what was read in it, and its caption.
func (r *htmlRenderer) figure(b document.Block, caption *document.Block) {
	r.lists(0, "")
	r.printf("<figure>")
	text := tagged(b.Text, b.Spans)
	if i := b.Image; i != nil {
		said := said(b)
		r.printf("<img src=\"%s\" alt=\"%s\" width=\"%d\" height=\"%d\">", html.EscapeString(i.Name), html.EscapeString(oneLine(said)), i.Width, i.Height)
		if said == b.Text {
			text = ""
		}
	}
	r.printf("%s", text)
	if caption != nil {
		r.printf("<figcaption>%s</figcaption>", tagged(caption.Text, caption.Spans))
	}
	r.printf("</figure>\n")
}

func (r *htmlRenderer) item(b document.Block, level int) {
	_, text, spans := listed(b)
	if m := number.FindStringSubmatch(oneLine(b.Text)); m != nil {
		r.lists(level, "ol")
		r.printf("<li value=\"%s\">%s", m[1], tagged(text, spans))
		return
	}
	r.lists(level, "ul")
	r.printf("<li>%s", tagged(text, spans))
}

func (r *htmlRenderer) table(t *document.Table) {
	rows := grid(t, false)
	covered := spanned(t, rows)
	goesOn := ""
	if t.Continues {
		goesOn = ` data-continues="true"`
	}
	r.printf("<table%s>\n", goesOn)
	for y, row := range rows {
		r.printf("<tr>")
		for x, c := range row {
			switch {
			case c != nil:
				r.cell(c)
			case !covered[[2]int{y, x}]:
				r.printf("<td></td>")
			}
		}
		r.printf("</tr>\n")
	}
	r.printf("</table>\n")
}

func (r *htmlRenderer) cell(c *document.Cell) {
	tag := "td"
	if c.Header {
		tag = "th"
	}
	r.printf("<%s", tag)
	if c.RowSpan > 1 {
		r.printf(" rowspan=\"%d\"", c.RowSpan)
	}
	if c.ColumnSpan > 1 {
		r.printf(" colspan=\"%d\"", c.ColumnSpan)
	}
	r.printf(">%s</%s>", tagged(c.Text, c.Spans), tag)
}

// spanned returns the places that a cell elsewhere reaches over; they have no cell of their own.
func spanned(t *document.Table, rows [][]*document.Cell) map[[2]int]bool {
	out := map[[2]int]bool{}
	if len(rows) == 0 {
		return out
	}
	for _, c := range t.Cells {
		for y := c.Row; y < min(c.Row+max(1, c.RowSpan), len(rows)); y++ {
			for x := c.Column; x < min(c.Column+max(1, c.ColumnSpan), len(rows[0])); x++ {
				out[[2]int{y, x}] = true
			}
		}
	}
	return out
}
