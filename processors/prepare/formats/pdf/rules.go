package pdf

import (
	"cmp"
	"slices"

	"github.com/klippa-app/go-pdfium/enums"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
)

// rule is a straight line drawn on the page, or an edge of a box: at is the y of a level rule and the x of an upright one, from and to are
// its ends.
type rule struct{ at, from, to float64 }

// rules are the lines that can part the cells of a table.
type rules struct {
	level, upright []rule
	segments       int // of paths looked at
	entered        int // objects of forms looked at
}

const (
	maxRules    = 4000 // of one direction; a page with more is a drawing
	maxSegments = 8000 // of the paths of one page
	thin        = 4.0  // points across that a rule may have
	leastRule   = 4.0  // points along
	touching    = 3.0  // points within which two rules meet, or are one
)

// affine carries points of a form to the page: x' = ax + cy + e, y' = bx + dy + f.
type affine struct{ a, b, c, d, e, f float64 }

var unmoved = affine{a: 1, d: 1}

func (m affine) point(x, y float64) (float64, float64) {
	return m.a*x + m.c*y + m.e, m.b*x + m.d*y + m.f
}

// after is the map that first does n, then m.
func (m affine) after(n affine) affine {
	e, f := m.point(n.e, n.f)
	return affine{m.a*n.a + m.c*n.b, m.b*n.a + m.d*n.b, m.a*n.c + m.c*n.d, m.b*n.c + m.d*n.d, e, f}
}

// matrix returns how an object lies in what holds it.
func (p *page) matrix(o references.FPDF_PAGEOBJECT) affine {
	r, err := p.pdf.FPDFPageObj_GetMatrix(&requests.FPDFPageObj_GetMatrix{PageObject: o})
	if err != nil {
		return unmoved
	}
	m := r.Matrix
	return affine{float64(m.A), float64(m.B), float64(m.C), float64(m.D), float64(m.E), float64(m.F)}
}

// trace collects the rules of a path that is drawn.
func (r *rules) trace(p *page, o references.FPDF_PAGEOBJECT, m affine) {
	if r.segments > maxSegments || len(r.level) > maxRules || len(r.upright) > maxRules {
		return
	}
	mode, err := p.pdf.FPDFPath_GetDrawMode(&requests.FPDFPath_GetDrawMode{PageObject: o})
	if err != nil || !mode.Stroke && mode.FillMode == enums.FPDF_FILLMODE_NONE {
		return
	}
	n, err := p.pdf.FPDFPath_CountSegments(&requests.FPDFPath_CountSegments{PageObject: o})
	if err != nil {
		return
	}
	r.segments += n.Count
	if n.Count > 5 {
		if r.segments <= maxSegments {
			r.follow(p, o, n.Count, m.after(p.matrix(o)))
		}
		return
	}
	b, err := p.pdf.FPDFPageObj_GetBounds(&requests.FPDFPageObj_GetBounds{PageObject: o})
	if err != nil {
		return
	}
	x0, y0 := m.point(float64(b.Left), float64(b.Bottom))
	x1, y1 := m.point(float64(b.Right), float64(b.Top))
	r.box(p, p.place(x0, y0, x1, y1), n.Count > 2)
}

// enter collects the rules of the paths that a form holds.
func (r *rules) enter(p *page, o references.FPDF_PAGEOBJECT, m affine, depth int) {
	c, err := p.pdf.FPDFFormObj_CountObjects(&requests.FPDFFormObj_CountObjects{PageObject: o})
	if err != nil || depth == 0 {
		return
	}
	m = m.after(p.matrix(o))
	for i := range c.Count {
		if r.entered++; r.entered > maxTraced {
			return
		}
		in, err := p.pdf.FPDFFormObj_GetObject(&requests.FPDFFormObj_GetObject{PageObject: o, Index: uint64(i)})
		if err != nil {
			continue
		}
		t, err := p.pdf.FPDFPageObj_GetType(&requests.FPDFPageObj_GetType{PageObject: in.PageObject})
		if err != nil {
			continue
		}
		switch t.Type {
		case enums.FPDF_PAGEOBJ_PATH:
			r.trace(p, in.PageObject, m)
		case enums.FPDF_PAGEOBJ_FORM:
			r.enter(p, in.PageObject, m, depth-1)
		}
	}
}

// box adds a thin box as one rule and any other by its edges, where it has some.
func (r *rules) box(p *page, b rect, edges bool) {
	switch w, h := b.width(), b.height(); {
	case h <= thin && w >= leastRule && w > h:
		r.level = append(r.level, rule{(b.y0 + b.y1) / 2, b.x0, b.x1})
	case w <= thin && h >= leastRule && h > w:
		r.upright = append(r.upright, rule{(b.x0 + b.x1) / 2, b.y0, b.y1})
	case edges && w > thin && h > thin && (w < 0.85*p.width || h < 0.85*p.height): // not the page's own ground
		r.level = append(r.level, rule{b.y0, b.x0, b.x1}, rule{b.y1, b.x0, b.x1})
		r.upright = append(r.upright, rule{b.x0, b.y0, b.y1}, rule{b.x1, b.y0, b.y1})
	}
}

// follow goes along a path of many segments. Its straight parts are rules; four of them in a row that close are a box.
func (r *rules) follow(p *page, o references.FPDF_PAGEOBJECT, count int, m affine) {
	var at, low, high [2]float64
	straight := 0 // segments since the path was last begun; below 0 where one was none
	end := func() {
		if straight >= 2 {
			r.box(p, p.place(low[0], low[1], high[0], high[1]), straight == 3 || straight == 4)
		}
		straight = 0
	}
	for i := range count {
		s, err := p.pdf.FPDFPath_GetPathSegment(&requests.FPDFPath_GetPathSegment{PageObject: o, Index: i})
		if err != nil {
			return
		}
		kind, err := p.pdf.FPDFPathSegment_GetType(&requests.FPDFPathSegment_GetType{PathSegment: s.PathSegment})
		if err != nil {
			return
		}
		pt, err := p.pdf.FPDFPathSegment_GetPoint(&requests.FPDFPathSegment_GetPoint{PathSegment: s.PathSegment})
		if err != nil {
			return
		}
		x, y := m.point(float64(pt.X), float64(pt.Y))
		switch kind.Type {
		case enums.FPDF_SEGMENT_MOVETO:
			end()
			low, high = [2]float64{x, y}, [2]float64{x, y}
		case enums.FPDF_SEGMENT_LINETO:
			straight++
			if straight == 1 { // a lone line; a box is told by its bounds
				r.line(p, at, [2]float64{x, y})
			}
			low, high = [2]float64{min(low[0], x), min(low[1], y)}, [2]float64{max(high[0], x), max(high[1], y)}
		default:
			straight = -count
		}
		at = [2]float64{x, y}
	}
	end()
}

// line adds a segment that runs level or upright.
func (r *rules) line(p *page, a, b [2]float64) {
	if at := p.place(a[0], a[1], b[0], b[1]); min(at.width(), at.height()) < 0.5 {
		r.box(p, at, false)
	}
}

// merged returns rules with those of one line made one.
func merged(all []rule) []rule {
	slices.SortFunc(all, func(a, b rule) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.from, b.from)) })
	var out []rule
	for i := 0; i < len(all); {
		n := i
		sum := 0.0
		for ; n < len(all) && all[n].at-all[i].at <= touching; n++ {
			sum += all[n].at
		}
		line := slices.Clone(all[i:n])
		slices.SortFunc(line, func(a, b rule) int { return cmp.Compare(a.from, b.from) })
		at := sum / float64(n-i)
		now := rule{at, line[0].from, line[0].to}
		for _, l := range line[1:] {
			if l.from <= now.to+touching {
				now.to = max(now.to, l.to)
				continue
			}
			out = append(out, now)
			now = rule{at, l.from, l.to}
		}
		out = append(out, now)
		i = n
	}
	return slices.DeleteFunc(out, func(r rule) bool { return r.to-r.from < 2*leastRule })
}
