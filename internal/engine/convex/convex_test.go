package convex_test

import (
	"testing"

	"docstream/internal/engine/convex"
)

func TestAHullHasTheCornersAloneClockwise(t *testing.T) {
	for _, tc := range []struct {
		name    string
		in      []convex.Point
		corners int
		area    float64
	}{
		{"nothing", nil, 0, 0},
		{"one point twice", []convex.Point{{1, 1}, {1, 1}}, 1, 0},
		{"a line", []convex.Point{{0, 0}, {1, 1}, {2, 2}, {3, 3}}, 2, 0},
		{"a square with points on its sides and inside", []convex.Point{{0, 0}, {4, 4}, {2, 2}, {4, 0}, {2, 0}, {0, 4}, {1, 3}, {4, 2}}, 4, 16},
	} {
		h := convex.Hull(tc.in)
		if len(h) != tc.corners || convex.Area(h) != tc.area {
			t.Errorf("%s: %v with the area %v", tc.name, h, convex.Area(h))
		}
		for i := range h {
			if len(h) > 2 && convex.Turn(h[i], h[(i+1)%len(h)], h[(i+2)%len(h)]) <= 0 {
				t.Errorf("%s: %v does not turn clockwise at %d", tc.name, h, i)
			}
		}
	}
}
