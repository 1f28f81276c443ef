// Package photo takes the perspective out of a photographed sheet of paper.
//
// [Sheet] finds the four corners of a bright sheet before a darker ground, and says so only where it is clear: what it does not find is read
// as it is. [Flatten] makes a rectangle of what lies between four corners. Both are functions of the pixels alone (P5).
package photo

import (
	"image"
	"math"
	"slices"

	"docstream/internal/engine/convex"
)

// What makes a sheet clear.
const (
	thumbSide  = 256  // pixels: the longest side of the picture that a sheet is looked for on
	leastArea  = 0.3  // of the picture that a sheet must take
	leastFill  = 0.96 // of four straight sides that the bright spot must fill, its dents closed
	leastPaper = 0.5  // of a sheet that must be bright; the rest is ink
	mostSlope  = 0.5  // cosine of a corner: 60 to 120 degrees
	leastShare = 0.5  // of a side that the one opposite must have
	leastLean  = 0.02 // of the diagonal that a corner must be off an upright rectangle: less is a flat scan
	sideStep   = 3    // pixels of the small picture inside and outside a side where paper and ground are looked at
	sideDrop   = 24   // grey levels by which the ground is darker there
	sideShare  = 0.85 // of a side where it must be
)

// Sheet returns the corners of the one sheet of paper on a photograph, the upper left one first and clockwise, in pixels of the picture. ok is
// false where no sheet is clearly seen, and where it lies as flat as a scan does.
func Sheet(m image.Image) (corners [4]convex.Point, ok bool) {
	t := small(m)
	if t.w < 4*sideStep || t.h < 4*sideStep {
		return corners, false
	}
	edge, bright := t.brightest(t.threshold())
	hull := convex.Hull(edge)
	size := convex.Area(hull)
	if size < leastArea*float64(t.w*t.h) || float64(bright) < leastPaper*size {
		return corners, false
	}
	if corners, ok = four(hull); !ok || size < leastFill*convex.Area(corners[:]) || !plausible(corners) || !t.parted(corners) {
		return corners, false
	}
	b := m.Bounds()
	sx, sy := float64(b.Dx())/float64(t.w), float64(b.Dy())/float64(t.h)
	for i, c := range corners {
		corners[i] = convex.Point{X: (c.X + .5) * sx, Y: (c.Y + .5) * sy}
	}
	return corners, leans(corners)
}

// four closes a convex polygon to four corners, each time by the shortest way: a side goes where the two beside it meet.
func four(p []convex.Point) (out [4]convex.Point, ok bool) {
	p = slices.Clone(p)
	for len(p) > 4 {
		best, least := -1, math.Inf(1)
		var at convex.Point
		n := len(p)
		for i := range p {
			a, b, c, d := p[(i+n-1)%n], p[i], p[(i+1)%n], p[(i+2)%n]
			x, meets := cross(a, b, d, c)
			if extra := convex.Turn(b, x, c) / 2; meets && extra >= 0 && extra < least {
				best, least, at = i, extra, x
			}
		}
		if best < 0 {
			return out, false
		}
		p[best] = at
		p = slices.Delete(p, (best+1)%n, (best+1)%n+1)
	}
	if len(p) < 4 {
		return out, false
	}
	first := 0
	for i, c := range p {
		if c.X+c.Y < p[first].X+p[first].Y {
			first = i
		}
	}
	for i := range out {
		out[i] = p[(first+i)%4]
	}
	return out, true
}

// cross is where the ways from a through b and from d through c meet, if they do beyond b and c.
func cross(a, b, d, c convex.Point) (convex.Point, bool) {
	ux, uy, vx, vy := b.X-a.X, b.Y-a.Y, c.X-d.X, c.Y-d.Y
	det := ux*vy - uy*vx
	if math.Abs(det) < 1e-9 {
		return convex.Point{}, false
	}
	s := ((c.X-b.X)*vy - (c.Y-b.Y)*vx) / det
	t := ((c.X-b.X)*uy - (c.Y-b.Y)*ux) / det
	return convex.Point{X: b.X + s*ux, Y: b.Y + s*uy}, s >= 0 && t >= 0
}

// plausible reports whether four corners can be those of a sheet that somebody photographed to be read.
func plausible(c [4]convex.Point) bool {
	for i := range c {
		before, after, across := c[(i+3)%4], c[(i+1)%4], c[(i+2)%4]
		l, r := convex.Distance(c[i], before), convex.Distance(c[i], after)
		if l == 0 || r == 0 || convex.Distance(after, across) < leastShare*l || convex.Distance(across, before) < leastShare*r {
			return false
		}
		cos := ((before.X-c[i].X)*(after.X-c[i].X) + (before.Y-c[i].Y)*(after.Y-c[i].Y)) / (l * r)
		if math.Abs(cos) > mostSlope {
			return false
		}
	}
	return true
}

// leans reports whether four corners are off an upright rectangle.
func leans(c [4]convex.Point) bool {
	x0, x1 := min(c[0].X, c[3].X), max(c[1].X, c[2].X)
	y0, y1 := min(c[0].Y, c[1].Y), max(c[2].Y, c[3].Y)
	off := 0.0
	for i, p := range []convex.Point{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}} {
		off = max(off, convex.Distance(c[i], p))
	}
	return off >= leastLean*math.Hypot(x1-x0, y1-y0)
}
