// Package convex finds the convex hull of points.
package convex

import (
	"cmp"
	"math"
	"slices"
)

// Point is a place on an image, in pixels from its top left corner.
type Point struct{ X, Y float64 }

// Distance is how far two points are apart.
func Distance(a, b Point) float64 { return math.Hypot(a.X-b.X, a.Y-b.Y) }

// Hull returns the convex hull of points (Andrew's monotone chain), clockwise on an image; it sorts its argument.
func Hull(p []Point) []Point {
	slices.SortFunc(p, func(a, b Point) int { return cmp.Or(cmp.Compare(a.X, b.X), cmp.Compare(a.Y, b.Y)) })
	p = slices.Compact(p)
	if len(p) < 3 {
		return p
	}
	h := make([]Point, 0, len(p)+1)
	add := func(q Point, least int) {
		for len(h) >= least && Turn(h[len(h)-2], h[len(h)-1], q) <= 0 {
			h = h[:len(h)-1]
		}
		h = append(h, q)
	}
	for _, q := range p {
		add(q, 2)
	}
	least := len(h) + 1
	for i := len(p) - 2; i >= 0; i-- {
		add(p[i], least)
	}
	return h[:len(h)-1]
}

// Turn is twice the area of a triangle, positive where the way from o by a to b turns clockwise on an image.
func Turn(o, a, b Point) float64 { return (a.X-o.X)*(b.Y-o.Y) - (a.Y-o.Y)*(b.X-o.X) }

// Area is that of a convex polygon, in square pixels.
func Area(p []Point) (sum float64) {
	for i := 1; i+1 < len(p); i++ {
		sum += Turn(p[0], p[i], p[i+1]) / 2
	}
	return math.Abs(sum)
}
