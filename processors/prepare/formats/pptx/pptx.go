// Package pptx reads PowerPoint presentations: a slide is a page. Titles become headings, bullets lists with their levels; tables, grouped
// shapes, what is said of pictures, data of charts and the speaker's notes are kept. Shapes are read top to bottom, left to right.
package pptx

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/drawing"
	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/opc"
	"docstream/processors/prepare/formats/xmltree"
)

// MediaType is what the format claims.
const MediaType = "application/vnd.openxmlformats-officedocument.presentationml.presentation"

// Format is PowerPoint's format.
type Format struct{}

// New returns the format.
func New() Format { return Format{} }

// Claims reports whether the media type is PowerPoint's.
func (Format) Claims(media string) bool { return media == MediaType }

// Open lists the slides; each is read with its page.
func (Format) Open(f *os.File, size int64, _ string, l formats.Limits) (formats.Document, error) {
	p, err := opc.Open(f, size, l)
	if err != nil {
		return nil, err
	}
	main, err := p.Main()
	if err != nil {
		return nil, err
	}
	t, err := p.Tree(main)
	if err != nil {
		return nil, err
	}
	rels, err := p.Relations(main)
	if err != nil {
		return nil, err
	}
	d := &deck{pkg: p, limits: l, lists: map[string]*inherited{}}
	for _, n := range t.Child("sldIdLst").All("sldId") {
		rel := rels[n.In("relationships", "id")]
		if rel.External || !p.Has(rel.Target) {
			return nil, formats.Corrupt(fmt.Errorf("slide %q is missing", rel.Target))
		}
		d.slides = append(d.slides, rel.Target)
	}
	if len(d.slides) == 0 {
		return nil, l.CheckPages(0)
	}
	return d, l.CheckPages(len(d.slides))
}

// deck is an open presentation.
type deck struct {
	pkg    *opc.Package
	limits formats.Limits
	slides []string
	lists  map[string]*inherited // by layout
}

// Pages counts the slides.
func (d *deck) Pages() int { return len(d.slides) }

// Close has nothing to free.
func (d *deck) Close() {}

// Read reads a slide and its notes.
func (d *deck) Read(n int, w formats.Want) (formats.Page, error) {
	part := d.slides[n-1]
	t, err := d.pkg.Tree(part)
	if err != nil {
		return formats.Page{}, err
	}
	rels, err := d.pkg.Relations(part)
	if err != nil {
		return formats.Page{}, err
	}
	s := &slide{deck: d, rels: rels, from: d.inherited(d.pkg.Related(part, "slideLayout")), out: flow.New(formats.Limits{Pages: 1 << 30}), seen: map[string]bool{}}
	shapes := s.collect(t.Child("cSld", "spTree"), frame{scale: 1, scaleY: 1}, 0)
	order(shapes)
	title := ""
	for _, x := range shapes {
		if x.title() {
			title = strings.Join(strings.Fields(drawing.Text(x.node.Child("txBody"))), " ")
			break
		}
	}
	s.out.Part(title, t.Attr("show") == "0")
	for _, x := range shapes {
		s.shape(x)
	}
	if err := s.notes(d.pkg.Related(part, "notesSlide")); err != nil {
		return formats.Page{}, err
	}
	return flow.Single(s.out, n, w, d.limits)
}

// notes puts what the speaker noted.
func (s *slide) notes(part string) error {
	if part == "" {
		return nil
	}
	t, err := s.deck.pkg.Tree(part)
	if err != nil {
		return err
	}
	for _, sp := range t.Child("cSld", "spTree").All("sp") {
		if sp.Child("nvSpPr", "nvPr", "ph").Attr("type") != "body" {
			continue
		}
		for _, p := range sp.Child("txBody").All("p") {
			s.out.Note("", s.paragraph(p))
		}
	}
	return nil
}

// slide is a slide being read.
type slide struct {
	deck *deck
	rels map[string]opc.Relation
	from *inherited
	out  *flow.Builder
	seen map[string]bool // charts and diagrams that were read
}

// frame turns the places within a group into places on the slide.
type frame struct{ x, y, scale, scaleY float64 }

// shape is a shape with its place on the slide.
type shape struct {
	node       *xmltree.Node
	x, y, h    float64
	placed     bool
	kind, idx  string
	place, nth int
}

// title reports whether the shape is the title of the slide.
func (s shape) title() bool { return s.kind == "title" || s.kind == "ctrTitle" }

// maxShapes bounds the shapes of one slide.
const maxShapes = 20_000

// collect lists the shapes of a tree, those of groups among them.
func (s *slide) collect(tree *xmltree.Node, f frame, depth int) []shape {
	var out []shape
	if tree == nil || depth > 32 {
		return nil
	}
	for _, n := range tree.Children {
		switch n.Name {
		case "grpSp":
			out = append(out, s.collect(n, f.in(n.Child("grpSpPr", "xfrm")), depth+1)...)
		case "AlternateContent":
			c := n.Child("Choice")
			if fb := n.Child("Fallback"); fb != nil && (c == nil || !readable(c)) {
				c = fb
			}
			out = append(out, s.collect(c, f, depth+1)...)
		case "sp", "graphicFrame", "pic", "cxnSp":
			if len(out) < maxShapes && n.Find("cNvPr").Attr("hidden") != "1" {
				out = append(out, s.placed(n, f, len(out)))
			}
		}
	}
	return out
}

// readable reports whether a choice holds shapes that are read here.
func readable(n *xmltree.Node) bool {
	for _, c := range n.Children {
		if c.Name == "sp" || c.Name == "graphicFrame" || c.Name == "pic" || c.Name == "grpSp" {
			return true
		}
	}
	return false
}

// placed finds where a shape lies: as it says, else as its layout says.
func (s *slide) placed(n *xmltree.Node, f frame, nth int) shape {
	ph := n.Child("nvSpPr", "nvPr", "ph")
	out := shape{node: n, kind: ph.Attr("type"), idx: ph.Attr("idx"), nth: nth}
	x := n.Child("spPr", "xfrm")
	if x == nil {
		x = n.Child("xfrm")
	}
	if x == nil && ph != nil {
		x = s.from.frame(out.kind, out.idx)
	}
	if x != nil {
		out.placed = true
		out.x = f.x + number(x.Child("off").Attr("x"))*f.scale
		out.y = f.y + number(x.Child("off").Attr("y"))*f.scaleY
		out.h = number(x.Child("ext").Attr("cy")) * f.scaleY
	}
	return out
}

func (f frame) in(x *xmltree.Node) frame {
	if x == nil {
		return f
	}
	sx, sy := 1.0, 1.0
	if w := number(x.Child("chExt").Attr("cx")); w > 0 {
		sx = number(x.Child("ext").Attr("cx")) / w
	}
	if h := number(x.Child("chExt").Attr("cy")); h > 0 {
		sy = number(x.Child("ext").Attr("cy")) / h
	}
	in := frame{scale: f.scale * sx, scaleY: f.scaleY * sy}
	in.x = f.x + (number(x.Child("off").Attr("x"))-number(x.Child("chOff").Attr("x"))*sx)*f.scale
	in.y = f.y + (number(x.Child("off").Attr("y"))-number(x.Child("chOff").Attr("y"))*sy)*f.scaleY
	return in
}

func number(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v > 1e12 || v < -1e12 {
		return 0
	}
	return v
}

// order sorts shapes as they are read: the title first, then rows from top to bottom, within a row from left to right. Shapes whose
// middles lie within half the lower one's height are in one row; those without a place come last, as they stand in the file.
func order(shapes []shape) {
	slices.SortStableFunc(shapes, func(a, b shape) int {
		return cmp.Or(-compare(a.title(), b.title()), -compare(a.placed, b.placed), cmp.Compare(a.y, b.y), cmp.Compare(a.x, b.x))
	})
	row, bottom := 0, 0.0
	for i := range shapes {
		s := &shapes[i]
		if i == 0 || s.title() || !s.placed || s.y >= bottom {
			row++
			if bottom = s.y + s.h/2; s.title() {
				bottom = math.Inf(-1) // nothing stands beside a title, wherever it lies
			}
		}
		s.place = row
	}
	slices.SortStableFunc(shapes, func(a, b shape) int {
		if a.place == b.place && a.placed && b.placed {
			return cmp.Compare(a.x, b.x)
		}
		return cmp.Compare(a.place, b.place)
	})
}

func compare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
