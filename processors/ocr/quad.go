package ocr

import (
	"cmp"
	"math"
	"slices"

	"docstream/internal/engine/convex"
	"docstream/internal/engine/raster"
	"docstream/internal/engine/reading"
)

// point is a place on an image, in pixels.
type point = convex.Point

func at(x, y float64) point { return point{X: x, Y: y} }

func distance(a, b point) float64 { return convex.Distance(a, b) }

// quad is a rectangle that may be turned: top left, top right, bottom right, bottom left of the text in it.
type quad [4]point

func (q quad) width() float64  { return max(distance(q[0], q[1]), distance(q[3], q[2])) }
func (q quad) height() float64 { return max(distance(q[0], q[3]), distance(q[1], q[2])) }

// angle is the direction of the text, in radians clockwise from the right.
func (q quad) angle() float64 { return math.Atan2(q[1].Y-q[0].Y, q[1].X-q[0].X) }

// around is the upright box around the corners.
func (q quad) around() reading.Box {
	b := reading.Box{X0: q[0].X, Y0: q[0].Y, X1: q[0].X, Y1: q[0].Y}
	for _, p := range q[1:] {
		b = b.Union(reading.Box{X0: p.X, Y0: p.Y, X1: p.X, Y1: p.Y})
	}
	return b
}

// part is the quad between two fractions of the width.
func (q quad) part(from, to float64) quad {
	on := func(a, b point, f float64) point { return at(a.X+(b.X-a.X)*f, a.Y+(b.Y-a.Y)*f) }
	return quad{on(q[0], q[1], from), on(q[0], q[1], to), on(q[3], q[2], to), on(q[3], q[2], from)}
}

// upright turns a quad that is at least 1.5 times as high as wide by a quarter: what was its right side becomes the top, as PP-OCR reads
// vertical text.
func (q quad) upright() quad {
	if q.height() >= 1.5*q.width() {
		return quad{q[1], q[2], q[3], q[0]}
	}
	return q
}

// uprights makes each quad upright.
func uprights(quads []quad) []quad {
	out := make([]quad, len(quads))
	for i, q := range quads {
		out[i] = q.upright()
	}
	return out
}

// onto maps a w by h image onto the quad. The detector's boxes are rectangles, so three corners say it all.
func (q quad) onto(w, h int) raster.Affine {
	fw, fh := float64(w), float64(h)
	return raster.Affine{
		X0: q[0].X, XX: (q[1].X - q[0].X) / fw, XY: (q[3].X - q[0].X) / fh,
		Y0: q[0].Y, YX: (q[1].Y - q[0].Y) / fw, YY: (q[3].Y - q[0].Y) / fh,
	}
}

// rectangle is a turned rectangle as centre, unit direction, and extents along it and across.
type rectangle struct {
	centre point
	ux, uy float64
	w, h   float64
}

// corners orders the corners by PP-OCR's rule (get_mini_boxes): of the two left ones the upper is first, then clockwise.
func (r rectangle) corners() quad {
	hx, hy := r.ux*r.w/2, r.uy*r.w/2
	nx, ny := -r.uy*r.h/2, r.ux*r.h/2
	p := []point{
		at(r.centre.X-hx-nx, r.centre.Y-hy-ny), at(r.centre.X+hx-nx, r.centre.Y+hy-ny),
		at(r.centre.X+hx+nx, r.centre.Y+hy+ny), at(r.centre.X-hx+nx, r.centre.Y-hy+ny),
	}
	slices.SortStableFunc(p, func(a, b point) int { return cmp.Compare(a.X, b.X) })
	if p[1].Y <= p[0].Y {
		p[0], p[1] = p[1], p[0]
	}
	if p[3].Y <= p[2].Y {
		p[2], p[3] = p[3], p[2]
	}
	return quad{p[0], p[2], p[3], p[1]}
}

// smallestRectangle is the rectangle of least area around the points: one of its sides lies on a side of their hull (Freeman and
// Shapira 1975).
func smallestRectangle(p []point) rectangle {
	h := convex.Hull(p)
	if len(h) == 0 {
		return rectangle{ux: 1}
	}
	best, area := rectangle{centre: h[0], ux: 1}, math.Inf(1)
	for i := range h {
		a, b := h[i], h[(i+1)%len(h)]
		l := distance(a, b)
		if l == 0 {
			continue
		}
		ux, uy := (b.X-a.X)/l, (b.Y-a.Y)/l
		u0, u1, v0, v1 := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
		for _, q := range h {
			u, v := q.X*ux+q.Y*uy, -q.X*uy+q.Y*ux
			u0, u1, v0, v1 = min(u0, u), max(u1, u), min(v0, v), max(v1, v)
		}
		if s := (u1 - u0) * (v1 - v0); s < area {
			u, v := (u0+u1)/2, (v0+v1)/2
			best, area = rectangle{at(u*ux-v*uy, u*uy+v*ux), ux, uy, u1 - u0, v1 - v0}, s
		}
	}
	return best
}
