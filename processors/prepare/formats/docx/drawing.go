package docx

import (
	"docstream/processors/prepare/formats/drawing"
	"docstream/processors/prepare/formats/xmltree"
)

// maxDrawings bounds the charts and diagrams of a document.
const maxDrawings = 1000

// drawing collects what is said of pictures and the text boxes among them.
func (r *reader) drawing(n *xmltree.Node) {
	switch n.Name {
	case "docPr":
		if alt := firstOf(n.Attr("descr"), n.Attr("title")); alt != "" {
			r.para.pictures = append(r.para.pictures, picture{alt: alt})
		}
	case "shape", "rect":
		if alt := n.Attr("alt"); alt != "" {
			r.para.pictures = append(r.para.pictures, picture{alt: alt})
		}
	case "blip", "imagedata":
		r.show(firstOf(n.In("relationships", "embed"), n.In("relationships", "id")))
	case "chart":
		if t := r.tree(n.In("relationships", "id")); t != nil {
			r.para.charts = append(r.para.charts, t)
		}
	case "relIds":
		if t := r.tree(n.In("relationships", "dm")); t != nil {
			r.para.diagrams = append(r.para.diagrams, drawing.Diagram(t)...)
		}
	case "txbxContent":
		r.para.boxes = append(r.para.boxes, n)
		return
	case "AlternateContent":
		if c := n.Child("Choice"); c != nil {
			n = c
		}
	}
	for _, c := range n.Children {
		r.drawing(c)
	}
}

// show notes the part that a picture lies in: the picture of which something was said last, or one of which nothing is.
func (r *reader) show(id string) {
	rels, err := r.pkg.Relations(r.part)
	if err != nil {
		return
	}
	rel := rels[id]
	if rel.External || rel.Target == "" || !r.pkg.Has(rel.Target) {
		return
	}
	if n := len(r.para.pictures); n > 0 && r.para.pictures[n-1].part == "" {
		r.para.pictures[n-1].part = rel.Target
		return
	}
	r.para.pictures = append(r.para.pictures, picture{part: rel.Target})
}

// tree reads the part that a chart or a diagram lies in, once. The document is whole without one that cannot be read.
func (r *reader) tree(id string) *xmltree.Node {
	rels, err := r.pkg.Relations(r.part)
	if err != nil {
		return nil
	}
	rel := rels[id]
	if r.drawings++; rel.External || rel.Target == "" || !r.pkg.Has(rel.Target) || r.drawings > maxDrawings || r.seen[rel.Target] {
		return nil
	}
	r.seen[rel.Target] = true
	t, err := r.pkg.Tree(rel.Target)
	if err != nil {
		return nil
	}
	return t
}
