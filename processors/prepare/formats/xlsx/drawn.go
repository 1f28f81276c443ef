package xlsx

import (
	"strings"

	"docstream/processors/prepare/formats/drawing"
	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/opc"
	"docstream/processors/prepare/formats/xmltree"
)

// The bounds of what is drawn on one sheet.
const (
	maxShapes = 20_000
	maxGroups = 32 // within groups
)

// anchors are the elements that only say where a shape lies.
var anchors = map[string]bool{"wsDr": true, "twoCellAnchor": true, "oneCellAnchor": true, "absoluteAnchor": true, "AlternateContent": true, "Choice": true}

// drawn puts what is drawn on a sheet, in the order of the file. The sheet is whole without a drawing that cannot be read.
func (s *worksheet) drawn(out *flow.Builder) {
	part := s.book.pkg.Related(s.part, "drawing")
	if part == "" {
		return
	}
	rels, err := s.book.pkg.Relations(part)
	if err != nil {
		return
	}
	d := &drawn{pkg: s.book.pkg, rels: rels, out: out, seen: map[string]bool{}}
	_ = s.book.pkg.Each(part, anchors, func(n *xmltree.Node) error {
		d.shape(n, 0)
		return out.Err()
	})
}

// drawn is a drawing being read.
type drawn struct {
	pkg    *opc.Package
	rels   map[string]opc.Relation
	out    *flow.Builder
	shapes int
	seen   map[string]bool // parts that were read
}

func (d *drawn) shape(n *xmltree.Node, depth int) {
	if d.shapes++; d.shapes > maxShapes || depth > maxGroups || n.Find("cNvPr").Attr("hidden") == "1" {
		return
	}
	switch n.Name {
	case "grpSp":
		for _, c := range n.Children {
			d.shape(c, depth+1)
		}
	case "pic":
		rel := d.rels[n.Child("blipFill", "blip").In("relationships", "embed")]
		if rel.External || !d.pkg.Has(rel.Target) {
			rel.Target = ""
		}
		d.out.Picture(strings.Join(strings.Fields(n.Child("nvPicPr", "cNvPr").Attr("descr")), " "), d.pkg.Picture(rel.Target))
	case "sp":
		for _, p := range n.Child("txBody").All("p") {
			d.out.Paragraph(flow.Plain(drawing.Text(p)))
		}
	case "graphicFrame":
		data := n.Child("graphic", "graphicData")
		if t := d.tree(data.Child("chart").In("relationships", "id")); t != nil {
			drawing.Chart(d.out, t)
		}
		if t := d.tree(data.Child("relIds").In("relationships", "dm")); t != nil {
			for _, words := range drawing.Diagram(t) {
				d.out.Item(1, "•", flow.Plain(words))
			}
		}
	}
}

// tree reads the part that a chart or a diagram lies in, once.
func (d *drawn) tree(id string) *xmltree.Node {
	rel := d.rels[id]
	if id == "" || rel.External || !d.pkg.Has(rel.Target) || d.seen[rel.Target] {
		return nil
	}
	d.seen[rel.Target] = true
	t, err := d.pkg.Tree(rel.Target)
	if err != nil {
		return nil
	}
	return t
}
