package layout

import (
	"cmp"
	"slices"

	"docstream/internal/engine/reading"
	"docstream/schemas"
)

const (
	minScore    = 0.5 // of a region
	sameOverlap = 0.5 // intersection over union above which two boxes are one region, whatever their classes
	sameInside  = 0.8 // share of the smaller box inside the larger above which it is no region of its own
)

// suppress keeps the best of boxes that mean the same region. Unlike the model's own non-maximum suppression it works across classes:
// a block that is half text, half title would otherwise be reported, and read, twice.
func suppress(found []candidate) []candidate {
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.box.Y0, b.box.Y0), cmp.Compare(a.box.X0, b.box.X0), cmp.Compare(a.class, b.class))
	})
	var kept []candidate
next:
	for _, c := range found {
		if c.box.Area() <= 0 {
			continue
		}
		for _, k := range kept {
			shared := k.box.Shared(c.box)
			smaller := min(k.box.Area(), c.box.Area())
			if shared > sameOverlap*(k.box.Area()+c.box.Area()-shared) || shared > sameInside*smaller {
				continue next
			}
		}
		kept = append(kept, c)
	}
	return kept
}

// order puts regions in reading order: running headers first, footers last, the rest by columns.
func order(regions []schemas.LaidRegion) []schemas.LaidRegion {
	var groups [3][]schemas.LaidRegion
	for _, r := range regions {
		g := 1
		switch r.Kind {
		case "header":
			g = 0
		case "footer":
			g = 2
		}
		groups[g] = append(groups[g], r)
	}
	out := make([]schemas.LaidRegion, 0, len(regions))
	for _, g := range groups {
		boxes := make([]reading.Box, len(g))
		slack := 0.0
		for i, r := range g {
			boxes[i] = reading.Box{X0: r.X0, Y0: r.Y0, X1: r.X1, Y1: r.Y1}
			slack = max(slack, r.X1/100)
		}
		for _, i := range reading.Order(boxes, slack) {
			out = append(out, g[i])
		}
	}
	return out
}
