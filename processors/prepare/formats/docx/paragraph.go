package docx

import (
	"strconv"
	"strings"

	"docstream/processors/prepare/formats/drawing"
	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/signs"
	"docstream/processors/prepare/formats/xmltree"
)

// paragraph is a paragraph being collected. One whose mark was deleted goes on with the next.
type paragraph struct {
	words    flow.Words
	props    *xmltree.Node
	open     bool
	deleted  bool // its mark was: the next one goes on with it
	broken   bool // a page ends within it
	pictures []picture
	boxes    []*xmltree.Node
	charts   []*xmltree.Node
	diagrams []string
	formulas int
	section  *xmltree.Node // the section that ends with it
}

// picture is what is said of a picture and the part that it lies in; one of them may be missing.
type picture struct{ alt, part string }

// paragraph reads a paragraph of the body.
func (r *reader) paragraph(n *xmltree.Node) {
	joined := r.para.open && r.para.deleted
	if !joined {
		r.flush()
	}
	pPr := n.Child("pPr")
	if b := pPr.Child("pageBreakBefore"); b != nil && on(b.Attr("val")) && !joined {
		r.out.Break()
	}
	if !joined {
		r.para.props = pPr
	}
	r.para.open = true
	r.para.deleted = pPr.Child("rPr", "del") != nil || pPr.Child("rPr", "moveFrom") != nil
	section := pPr.Child("sectPr")
	r.fill(n)
	if !r.para.deleted {
		r.flush()
	}
	r.para.section = section
}

// fill collects the runs of a paragraph.
func (r *reader) fill(n *xmltree.Node) {
	if r.para.props == nil {
		r.para.props = n.Child("pPr")
	}
	for _, c := range n.Children {
		if c.Name != "pPr" {
			r.inline(c, flow.Look{})
		}
	}
}

// flush puts what was collected.
func (r *reader) flush() {
	p := r.para
	if !p.open {
		return
	}
	r.para = paragraph{}
	text := p.words.Text()
	style := p.props.Child("pStyle").Attr("val")
	if style == "" {
		style = r.styles.paragraph
	}
	level := outline(p.props)
	if h := r.styles.heading(style); level == 0 && p.props.Child("outlineLvl") == nil {
		level = h
	}
	switch {
	case text.String == "":
	case level > 0:
		if m := r.marker(p.props); m != "" {
			text = flow.Prefixed(m, text)
		}
		r.out.Heading(level, text)
	case r.styles.is(style, "caption"):
		r.out.Caption(text)
	case p.formulas == 1 && !strings.Contains(text.String, " ") || p.formulas == -1:
		r.out.Equation(text.String)
	default:
		if numID, at := r.list(p.props); r.numbering.known(numID) {
			if m := r.numbering.next(numID, at); m != "" {
				r.out.Item(at+1, m, text)
				break
			}
		}
		r.out.Paragraph(text)
	}
	for _, x := range p.pictures {
		r.out.Picture(x.alt, r.pkg.Picture(x.part))
	}
	for _, c := range p.charts {
		drawing.Chart(r.out, c)
	}
	for _, words := range p.diagrams {
		r.out.Item(1, "•", flow.Plain(words))
	}
	for _, b := range p.boxes {
		for _, c := range b.Children {
			_ = r.block(c) // a bound that breaks is kept by the builder
		}
	}
	if p.broken {
		r.out.Break()
	}
}

// list is the numbering that a paragraph belongs to: its own, or its style's.
func (r *reader) list(pPr *xmltree.Node) (numID string, at int) {
	style := pPr.Child("pStyle").Attr("val")
	if style == "" {
		style = r.styles.paragraph
	}
	own := pPr.Child("numPr")
	numID, at = r.styles.list(style)
	if v, ok := own.Child("numId").Has("val"); ok {
		numID = v
	} else if l, ok := r.numbering.levelOf(numID, style); ok {
		at = l
	}
	if v, ok := own.Child("ilvl").Has("val"); ok {
		at, _ = strconv.Atoi(v)
	}
	return numID, min(max(at, 0), levels-1)
}

// marker counts an item, if the paragraph is one, and returns its marker.
func (r *reader) marker(pPr *xmltree.Node) string {
	numID, at := r.list(pPr)
	if !r.numbering.known(numID) {
		return ""
	}
	return r.numbering.next(numID, at)
}

// inline reads what stands within a paragraph.
func (r *reader) inline(n *xmltree.Node, look flow.Look) {
	switch n.Name {
	case "r":
		r.run(n, look)
	case "hyperlink":
		if address := r.address(n); address != "" {
			look.Link = address
		}
		r.each(n, look)
	case "ins", "moveTo", "smartTag", "sdt", "sdtContent", "customXml", "fldSimple", "dir", "bdo", "subDoc":
		if n.Name == "fldSimple" {
			if l := hyperlink(n.Attr("instr")); l != "" {
				look.Link = l
			}
		}
		r.each(n, look)
	case "AlternateContent":
		r.alternate(n, look)
	case "oMathPara":
		r.para.formulas = -1
		for _, m := range n.All("oMath") {
			r.para.words.Add(formula(m), look)
		}
	case "oMath":
		if r.para.formulas++; r.para.words.Size() > 0 {
			r.para.formulas = 2
		}
		r.para.words.Add(formula(n), look)
	}
}

func (r *reader) each(n *xmltree.Node, look flow.Look) {
	for _, c := range n.Children {
		r.inline(c, look)
	}
}

// alternate reads the first choice of several that say the same.
func (r *reader) alternate(n *xmltree.Node, look flow.Look) {
	for _, x := range chosen(n) {
		if x.Name == "r" {
			r.inline(x, look)
		} else {
			r.piece(x, look)
		}
	}
}

// chosen is what the first choice of several holds that say the same.
func chosen(n *xmltree.Node) []*xmltree.Node {
	for _, name := range []string{"Choice", "Fallback"} {
		if c := n.Child(name); c != nil {
			return c.Children
		}
	}
	return nil
}

// address is where a link leads: out of the document, or nowhere.
func (r *reader) address(n *xmltree.Node) string {
	rels, err := r.pkg.Relations(r.part)
	if err != nil {
		return ""
	}
	rel := rels[n.In("relationships", "id")]
	if !rel.External {
		return ""
	}
	if a := n.Attr("anchor"); a != "" && !strings.Contains(rel.Target, "#") {
		return rel.Target + "#" + a
	}
	return rel.Target
}

// run reads a run: pieces that look the same.
func (r *reader) run(n *xmltree.Node, look flow.Look) {
	rPr := n.Child("rPr")
	strong, slanted, hidden := r.styles.look(rPr.Child("rStyle").Attr("val"))
	if b := toggle(rPr, "b"); b != nil {
		strong = *b
	}
	if i := toggle(rPr, "i"); i != nil {
		slanted = *i
	}
	if v := toggle(rPr, "vanish"); v != nil {
		hidden = *v
	}
	look.Strong, look.Emphasis = strong, slanted
	for _, f := range r.fields {
		if f.result && f.link != "" {
			look.Link = f.link
		}
	}
	fonts := rPr.Child("rFonts")
	r.font = firstOf(fonts.Attr("ascii"), fonts.Attr("hAnsi"), fonts.Attr("cs"))
	for _, c := range n.Children {
		if !hidden || c.Name == "fldChar" || c.Name == "instrText" {
			r.piece(c, look)
		}
	}
}

// piece reads one thing within a run.
func (r *reader) piece(n *xmltree.Node, look flow.Look) {
	if n.Name == "fldChar" || n.Name == "instrText" {
		r.field(n, look)
		return
	}
	if len(r.fields) > 0 && !r.fields[len(r.fields)-1].result {
		return // between a field's begin and its result nothing is shown
	}
	w := &r.para.words
	switch n.Name {
	case "t":
		w.Add(signs.Text(r.font, n.Content()), look)
	case "tab", "ptab":
		w.Add("\t", look)
	case "br", "cr":
		r.lineBreak(n)
	case "lastRenderedPageBreak":
		r.pageBreak()
	case "noBreakHyphen":
		w.Add("-", look)
	case "sym":
		w.Add(symbol(n.Attr("font"), n.Attr("char")), look)
	case "footnoteReference", "endnoteReference":
		kind := strings.TrimSuffix(n.Name, "Reference")
		if label := r.refer(kind, n.Attr("id")); label != "" {
			w.Add("["+label+"]", flow.Look{Note: label})
		}
	case "drawing", "pict", "object":
		r.drawing(n)
	case "ruby":
		for _, c := range n.Child("rubyBase").All("r") {
			r.run(c, look)
		}
	case "AlternateContent":
		r.alternate(n, look)
	}
}

func (r *reader) lineBreak(n *xmltree.Node) {
	if n.Attr("type") == "page" {
		r.pageBreak()
		return
	}
	r.para.words.Break()
}

// pageBreak ends the page before the paragraph where nothing of it was read yet, else behind it. Within a table nothing does.
func (r *reader) pageBreak() {
	switch {
	case r.cell > 0 || !r.para.open:
	case r.para.words.Size() == 0:
		r.out.Break()
	default:
		r.para.broken = true
	}
}

func firstOf(s ...string) string {
	for _, x := range s {
		if strings.TrimSpace(x) != "" {
			return x
		}
	}
	return ""
}
