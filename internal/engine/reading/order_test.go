package reading_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"docstream/internal/engine/reading"
)

func TestOrderFollowsAReader(t *testing.T) {
	b := func(x0, y0, x1, y1 float64) reading.Box { return reading.Box{X0: x0, Y0: y0, X1: x1, Y1: y1} }
	for name, boxes := range map[string][]reading.Box{
		"one column": {b(10, 10, 90, 20), b(10, 25, 90, 60), b(10, 65, 50, 70)},
		"two columns whose paragraphs end together": {b(10, 10, 45, 40), b(10, 45, 45, 90), b(55, 10, 90, 40), b(55, 45, 90, 90)},
		"a title over two columns":                  {b(10, 0, 90, 8), b(10, 10, 45, 40), b(10, 45, 45, 90), b(55, 10, 90, 50), b(55, 55, 90, 90)},
		"columns, a wide figure, columns":           {b(10, 10, 45, 30), b(55, 10, 90, 30), b(10, 35, 90, 60), b(10, 65, 45, 90), b(55, 65, 90, 90)},
		"three columns under a short heading":       {b(10, 0, 30, 8), b(10, 10, 30, 90), b(40, 10, 60, 50), b(40, 52, 60, 90), b(70, 10, 90, 90)},
		"columns that overlap by a little":          {b(10, 10, 50.5, 90), b(50, 10, 90, 90)},
		"a column ends early above a wide block":    {b(10, 10, 45, 40), b(55, 10, 90, 20), b(55, 22, 90, 30), b(10, 50, 90, 60)},
	} {
		t.Run(name, func(t *testing.T) {
			want := make([]int, len(boxes))
			for i := range want {
				want[i] = i
			}
			if got := reading.Order(boxes, 1); !slices.Equal(got, want) {
				t.Errorf("got %v", got)
			}
			r := rand.New(rand.NewPCG(1, 2))
			for range 20 { // the order in which boxes are given does not matter
				p := r.Perm(len(boxes))
				shuffled := make([]reading.Box, len(boxes))
				for i, j := range p {
					shuffled[i] = boxes[j]
				}
				var got []int
				for _, i := range reading.Order(shuffled, 1) {
					got = append(got, p[i])
				}
				if !slices.Equal(got, want) {
					t.Fatalf("given as %v: got %v", p, got)
				}
			}
		})
	}
}

func TestOrderLosesNoBoxWhateverTheyAre(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		boxes := make([]reading.Box, r.IntN(40))
		for i := range boxes {
			x, y := r.Float64()*100, r.Float64()*100
			boxes[i] = reading.Box{X0: x, Y0: y, X1: x + r.Float64()*60 - 5, Y1: y + r.Float64()*60 - 5}
		}
		got := slices.Sorted(slices.Values(reading.Order(boxes, r.Float64()*10)))
		for i, j := range got {
			if i != j {
				t.Fatalf("%d boxes gave %v", len(boxes), got)
			}
		}
		if len(got) != len(boxes) {
			t.Fatalf("%d boxes gave %d", len(boxes), len(got))
		}
	}
}

func TestBoxesMeasure(t *testing.T) {
	a, b := reading.Box{X1: 10, Y1: 4}, reading.Box{X0: 5, Y0: 2, X1: 20, Y1: 8}
	if a.Area() != 40 || a.Shared(b) != 10 || a.Union(b) != (reading.Box{X1: 20, Y1: 8}) || (reading.Box{X0: 3}).Area() != 0 {
		t.Error("areas")
	}
	if reading.Around([]reading.Box{a, b}) != a.Union(b) || reading.Around(nil) != (reading.Box{}) {
		t.Error("around")
	}
}
