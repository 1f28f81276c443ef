// Package docx reads Word documents: headings by style and outline level, lists numbered as Word shows them, tables with their spans,
// notes, links, forms, text boxes, charts, diagrams and what is said of pictures. Tracked changes are accepted; hidden text and comments are
// left out.
//
// A page ends where Word ended it last or where its writer did; the body is read one paragraph or table at a time.
package docx

import (
	"os"
	"strings"

	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/opc"
	"docstream/processors/prepare/formats/xmltree"
	"docstream/schemas/document"
)

// MediaType is what the format claims.
const MediaType = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

// Format is Word's format.
type Format struct{}

// New returns the format.
func New() Format { return Format{} }

// Claims reports whether the media type is Word's.
func (Format) Claims(media string) bool { return media == MediaType }

// Open reads the document whole.
func (Format) Open(f *os.File, size int64, _ string, l formats.Limits) (formats.Document, error) {
	p, err := opc.Open(f, size, l)
	if err != nil {
		return nil, err
	}
	main, err := p.Main()
	if err != nil {
		return nil, err
	}
	if err := p.Begins(main, "document"); err != nil {
		return nil, err
	}
	r := &reader{pkg: p, part: main, out: flow.New(l), seen: map[string]bool{}, notes: map[string]note{}}
	if err := r.open(); err != nil {
		return nil, err
	}
	if err := p.Each(main, body, r.block); err != nil {
		return nil, err
	}
	r.flush()
	r.writeNotes()
	return r.out.Document()
}

// body are the elements that only hold blocks.
var body = map[string]bool{"document": true, "body": true, "sdt": true, "sdtContent": true, "customXml": true, "ins": true, "moveTo": true, "smartTag": true}

// reader is a document being read.
type reader struct {
	pkg       *opc.Package
	part      string // being read: its relations are looked up
	out       *flow.Builder
	styles    styles
	numbering numbering
	notes     map[string]note // by kind and id
	noted     []string        // labels in the order of their references
	footnotes int
	endnotes  int
	seen      map[string]bool // parts that were read: running headers and footers, charts, diagrams
	fields    []field
	font      string // of the run
	drawings  int
	chunks    int       // documents within the document that were read
	para      paragraph // being collected
	held      []string  // parts of the pictures in the cells of a table
	cell      int       // depth of tables; within one nothing breaks a page
}

// open reads the parts beside the body. Those that are missing say nothing.
func (r *reader) open() error {
	if name := r.pkg.Related(r.part, "styles"); name != "" {
		t, err := r.pkg.Tree(name)
		if err != nil {
			return err
		}
		r.styles = readStyles(t)
	}
	if name := r.pkg.Related(r.part, "numbering"); name != "" {
		t, err := r.pkg.Tree(name)
		if err != nil {
			return err
		}
		r.numbering = readNumbering(t)
	}
	for _, kind := range []string{"footnote", "endnote"} {
		if name := r.pkg.Related(r.part, kind+"s"); name != "" {
			if err := r.readNotes(name, kind); err != nil {
				return err
			}
		}
	}
	return nil
}

// block reads one element of the body.
func (r *reader) block(n *xmltree.Node) error {
	switch n.Name {
	case "p":
		r.paragraph(n)
	case "tbl":
		r.flush()
		r.held = nil
		r.out.Table(r.table(n))
		for _, part := range r.held { // what is said of them is in their cells
			r.out.Picture("", r.pkg.Picture(part))
		}
	case "sectPr":
		r.flush()
		return r.section(n)
	case "altChunk":
		r.flush()
		return r.chunk(n)
	case "AlternateContent":
		for _, c := range chosen(n) {
			if err := r.block(c); err != nil {
				return err
			}
		}
	default:
		if body[n.Name] {
			for _, c := range n.Children {
				if err := r.block(c); err != nil {
					return err
				}
			}
		}
	}
	if s := r.para.section; s != nil {
		r.para.section = nil
		if err := r.section(s); err != nil {
			return err
		}
		if kind := s.Child("type").Attr("val"); kind != "continuous" && kind != "nextColumn" {
			r.out.Break()
		}
	}
	return r.out.Err()
}

// section puts the running headers and footers of a section, each once.
func (r *reader) section(n *xmltree.Node) error {
	rels, err := r.pkg.Relations(r.part)
	if err != nil {
		return err
	}
	for _, c := range n.Children {
		header := c.Name == "headerReference"
		if !header && c.Name != "footerReference" {
			continue
		}
		rel := rels[c.In("relationships", "id")]
		if rel.Target == "" || rel.External || r.seen[rel.Target] || !r.pkg.Has(rel.Target) {
			continue
		}
		r.seen[rel.Target] = true
		text, err := r.aside(rel.Target)
		if err != nil {
			return err
		}
		if header {
			r.out.Header(text)
		} else {
			r.out.Footer(text)
		}
	}
	return nil
}

// aside reads a part that stands beside the body as one text.
func (r *reader) aside(part string) (flow.Text, error) {
	was := r.part
	r.part = part
	defer func() { r.part = was }()
	var parts []flow.Text
	err := r.pkg.Each(part, map[string]bool{"hdr": true, "ftr": true, "sdt": true, "sdtContent": true}, func(n *xmltree.Node) error {
		parts = append(parts, r.lines(n)...)
		return nil
	})
	return flow.Lines(parts), err
}

// note is a footnote or endnote.
type note struct {
	text  flow.Text
	label string // once it was referred to
}

func (r *reader) readNotes(part, kind string) error {
	was := r.part
	r.part = part
	defer func() { r.part = was }()
	return r.pkg.Each(part, map[string]bool{kind + "s": true}, func(n *xmltree.Node) error {
		if t := n.Attr("type"); n.Name != kind || t != "" && t != "normal" {
			return nil
		}
		var parts []flow.Text
		for _, c := range n.Children {
			parts = append(parts, r.lines(c)...)
		}
		r.notes[kind+n.Attr("id")] = note{text: flow.Lines(parts)}
		return nil
	})
}

// refer returns the label of a note, which it gets at its first reference.
func (r *reader) refer(kind, id string) string {
	n, ok := r.notes[kind+id]
	if !ok {
		return ""
	}
	if n.label == "" {
		if kind == "footnote" {
			r.footnotes++
			n.label = numeral("decimal", r.footnotes)
		} else {
			r.endnotes++
			n.label = numeral("lowerRoman", r.endnotes)
		}
		r.notes[kind+id] = n
		r.noted = append(r.noted, kind+id)
	}
	return n.label
}

// writeNotes puts the notes at the end of the document, in the order of their references.
func (r *reader) writeNotes() {
	for _, id := range r.noted {
		r.out.Note(r.notes[id].label, r.notes[id].text)
	}
}

// lines reads a block that stands in a cell, a note or a text box: a text for each line.
func (r *reader) lines(n *xmltree.Node) []flow.Text {
	switch n.Name {
	case "p":
		outer := r.para
		r.para = paragraph{}
		r.fill(n)
		text := r.para.words.Text()
		if m := r.marker(r.para.props); m != "" && text.String != "" {
			text = flow.Lines([]flow.Text{flow.Plain(m + " "), text})
			text.String = strings.Replace(text.String, "\n", " ", 1)
		}
		out := []flow.Text{text}
		for _, x := range r.para.pictures {
			if out = append(out, flow.Plain(x.alt)); x.part != "" {
				r.held = append(r.held, x.part)
			}
		}
		for _, words := range r.para.diagrams {
			out = append(out, flow.Plain(words))
		}
		boxes := r.para.boxes
		r.para = outer
		for _, b := range boxes {
			for _, c := range b.Children {
				out = append(out, r.lines(c)...)
			}
		}
		return out
	case "tbl":
		return rows(r.table(n))
	case "AlternateContent":
		var out []flow.Text
		for _, c := range chosen(n) {
			out = append(out, r.lines(c)...)
		}
		return out
	}
	var out []flow.Text
	if body[n.Name] {
		for _, c := range n.Children {
			out = append(out, r.lines(c)...)
		}
	}
	return out
}

// rows writes a table within a table as lines.
func rows(t *document.Table) []flow.Text {
	if t == nil {
		return nil
	}
	out := make([]flow.Text, 0, t.Rows)
	row, line := -1, []string(nil)
	for _, c := range t.Cells {
		if c.Row != row && row >= 0 {
			out = append(out, flow.Plain(strings.Join(line, " ")))
			line = nil
		}
		row = c.Row
		if c.Text != "" {
			line = append(line, c.Text)
		}
	}
	return append(out, flow.Plain(strings.Join(line, " ")))
}
