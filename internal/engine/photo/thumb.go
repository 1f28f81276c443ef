package photo

import (
	"image"
	"image/color"
	"math"

	"docstream/internal/engine/convex"
)

// thumb is a small grey picture.
type thumb struct {
	w, h int
	pix  []uint8
}

// small is a picture at thumbSide, each pixel the mean of four places.
func small(m image.Image) *thumb {
	b := m.Bounds()
	scale := max(1, float64(max(b.Dx(), b.Dy()))/thumbSide)
	t := &thumb{w: int(float64(b.Dx()) / scale), h: int(float64(b.Dy()) / scale)}
	t.pix = make([]uint8, t.w*t.h)
	at := grey(m)
	for y := range t.h {
		for x := range t.w {
			sum := 0
			for k := range 4 {
				sx := (float64(x) + .25 + .5*float64(k%2)) * float64(b.Dx()) / float64(t.w)
				sy := (float64(y) + .25 + .5*float64(k/2)) * float64(b.Dy()) / float64(t.h)
				sum += int(at(b.Min.X+int(sx), b.Min.Y+int(sy)))
			}
			t.pix[y*t.w+x] = uint8((sum + 2) / 4)
		}
	}
	return t
}

// grey reads the brightness of single pixels.
func grey(m image.Image) func(x, y int) uint8 {
	switch s := m.(type) {
	case *image.Gray:
		return func(x, y int) uint8 { return s.Pix[s.PixOffset(x, y)] }
	case *image.YCbCr:
		return func(x, y int) uint8 { return s.Y[s.YOffset(x, y)] }
	}
	return func(x, y int) uint8 { return color.GrayModel.Convert(m.At(x, y)).(color.Gray).Y }
}

// threshold parts bright from dark where their means lie furthest apart for their sizes (Otsu 1979, "A threshold selection method from
// gray-level histograms").
func (t *thumb) threshold() uint8 {
	var counts [256]float64
	total := 0.0
	for _, v := range t.pix {
		counts[v]++
		total += float64(v)
	}
	best, most := 0, -1.0
	n, sum := 0.0, 0.0
	for v, c := range counts {
		n += c
		sum += c * float64(v)
		rest := float64(len(t.pix)) - n
		if n == 0 || rest == 0 {
			continue
		}
		d := sum/n - (total-sum)/rest
		if between := n * rest * d * d; between > most {
			best, most = v, between
		}
	}
	return uint8(best)
}

// brightest returns the ends of the rows of the largest bright spot, and how many pixels it has.
func (t *thumb) brightest(threshold uint8) (ends []convex.Point, size int) {
	seen := make([]bool, len(t.pix))
	var stack, spot, largest []int
	for s, v := range t.pix {
		if seen[s] || v <= threshold {
			continue
		}
		stack, spot = append(stack[:0], s), spot[:0]
		seen[s] = true
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			spot = append(spot, i)
			x, y := i%t.w, i/t.w
			for _, j := range [4]int{i - 1, i + 1, i - t.w, i + t.w} {
				inside := j >= 0 && j < len(t.pix) && (j/t.w == y || j%t.w == x)
				if inside && !seen[j] && t.pix[j] > threshold {
					seen[j] = true
					stack = append(stack, j)
				}
			}
		}
		if len(spot) > len(largest) {
			largest = append(largest[:0], spot...)
		}
	}
	left, right := make([]int, t.h), make([]int, t.h)
	for y := range left {
		left[y], right[y] = t.w, -1
	}
	for _, i := range largest {
		left[i/t.w], right[i/t.w] = min(left[i/t.w], i%t.w), max(right[i/t.w], i%t.w)
	}
	for y := range left {
		if right[y] >= 0 {
			ends = append(ends, convex.Point{X: float64(left[y]), Y: float64(y)}, convex.Point{X: float64(right[y]), Y: float64(y)})
		}
	}
	return ends, len(largest)
}

// parted reports whether the ground is darker than the paper all along four sides: a page that goes on beyond the picture is none.
func (t *thumb) parted(c [4]convex.Point) bool {
	const steps = 64
	at := func(x, y float64) int {
		i, j := int(math.Round(x)), int(math.Round(y))
		if i < 0 || j < 0 || i >= t.w || j >= t.h {
			return -1
		}
		return int(t.pix[j*t.w+i])
	}
	for i := range c {
		a, b := c[i], c[(i+1)%4]
		l := convex.Distance(a, b)
		nx, ny := -(b.Y-a.Y)/l*sideStep, (b.X-a.X)/l*sideStep // inwards: the corners go clockwise
		dark := 0
		for k := range steps {
			f := .06 + .88*float64(k)/(steps-1)
			x, y := a.X+(b.X-a.X)*f, a.Y+(b.Y-a.Y)*f
			if ground := at(x-nx, y-ny); ground >= 0 && at(x+nx, y+ny) >= ground+sideDrop {
				dark++
			}
		}
		if float64(dark) < sideShare*steps {
			return false
		}
	}
	return true
}
