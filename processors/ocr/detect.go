package ocr

import (
	"math"

	"docstream/internal/engine/raster"
)

// Settings of the detector (PP-OCR's own, see Liao et al. 2020, "Real-time scene text detection with differentiable binarization").
const (
	detectMinSide = 736  // pixels; smaller images are enlarged
	detectTopSide = 2560 // pixels; likewise, where the print is small
	smallHeight   = 14   // pixels of the model's input; lines below it are small print
	goodHeight    = 20   // pixels small print is enlarged to
	smallLines    = 3    // lines that a page must have for that
	textThreshold = 0.3  // probability above which a pixel is text
	boxThreshold  = 0.5  // mean probability of a box
	unclipRatio   = 1.6  // area × ratio / perimeter is how far a box grows: the map shows shrunken text
	maxBoxes      = 2000 // of a page
)

// detector finds the lines of an image.
type detector struct {
	model   Model
	side    int // pixels; larger images are reduced
	norm    *raster.Norm
	resizer raster.Resizer
	small   raster.Image
	input   []float32
	output  []float32
	marks   []int32
	stack   []int32
	points  []point
}

func newDetector(m Model, side int) *detector {
	return &detector{model: m, side: side, norm: raster.NewNorm([3]float32{.5, .5, .5}, [3]float32{.5, .5, .5})}
}

// fit is the size an image is given to the model in, scaled to a longest side: sides are multiples of 32.
func fit(w, h, longest int) (int, int) {
	ratio := 1.0
	if short := min(w, h); short < detectMinSide {
		ratio = detectMinSide / float64(short)
	}
	if long := max(w, h); float64(long)*ratio > float64(longest) {
		ratio = float64(longest) / float64(long)
	}
	side := func(n int) int { return max(32, int(math.RoundToEven(float64(n)*ratio/32))*32) }
	return side(w), side(h)
}

// find returns the lines in pixels of the image, in no promised order. A page of small print is looked at again, larger: a wide table on
// one sheet loses most of its figures otherwise.
func (d *detector) find(im *raster.Image) ([]quad, error) {
	w, h := fit(im.W, im.H, d.side)
	quads, err := d.look(im, w, h)
	if err != nil || len(quads) < smallLines {
		return quads, err
	}
	heights := make([]float64, len(quads))
	for i, q := range quads {
		heights[i] = min(q.width(), q.height()) * float64(h) / float64(im.H)
	}
	if usual := median(heights); usual < smallHeight {
		longest := min(int(float64(max(w, h))*goodHeight/usual), detectTopSide, max(im.W, im.H, d.side))
		if ww, hh := fit(im.W, im.H, longest); ww*hh > w*h*5/4 {
			return d.look(im, ww, hh)
		}
	}
	return quads, nil
}

// look finds the lines at one size.
func (d *detector) look(im *raster.Image, w, h int) ([]quad, error) {
	d.resizer.Resize(&d.small, im, w, h)
	d.input = grow(d.input, 3*w*h)
	d.norm.Fill(d.input, &d.small, w, h)
	d.output = grow(d.output, w*h)
	if err := d.model.RunInto([]int64{1, 3, int64(h), int64(w)}, d.input, []int64{1, 1, int64(h), int64(w)}, d.output); err != nil {
		return nil, err
	}
	quads := d.boxes(d.output, w, h)
	sx, sy := float64(im.W)/float64(w), float64(im.H)/float64(h)
	for i := range quads {
		for k, p := range quads[i] {
			quads[i][k] = at(min(max(p.X*sx, 0), float64(im.W)), min(max(p.Y*sy, 0), float64(im.H)))
		}
	}
	return quads, nil
}

// boxes turns the probability map into grown rectangles around its components.
func (d *detector) boxes(p []float32, w, h int) (quads []quad) {
	d.binarize(p, w, h)
	for s := range d.marks {
		if d.marks[s] != unseen {
			continue
		}
		r := smallestRectangle(d.component(int32(s), w, h))
		if min(r.w, r.h) < 3 {
			continue
		}
		if meanInside(p, w, h, r.corners()) < boxThreshold {
			continue
		}
		grown := 2 * r.w * r.h * unclipRatio / (2 * (r.w + r.h))
		r.w, r.h = r.w+grown, r.h+grown
		// Pixels were counted by their top left corner; a box reaches to the far side of its last one.
		r.centre.X += 0.5
		r.centre.Y += 0.5
		if min(r.w, r.h) < 5 {
			continue
		}
		if quads = append(quads, r.corners()); len(quads) == maxBoxes {
			break
		}
	}
	return quads
}

// Marks of a pixel.
const (
	blank  = 0
	unseen = -1
	seen   = 1
)

// binarize marks text, widened by one pixel to the right and down (OpenCV's dilate with a 2 × 2 kernel), so that hairline gaps close.
func (d *detector) binarize(p []float32, w, h int) {
	d.marks = grow(d.marks, w*h)
	clear(d.marks)
	for y := range h {
		row := p[y*w : (y+1)*w]
		for x, v := range row {
			if v <= textThreshold {
				continue
			}
			i := y*w + x
			d.marks[i] = unseen
			right, down := x+1 < w, y+1 < h
			if right {
				d.marks[i+1] = unseen
			}
			if down {
				d.marks[i+w] = unseen
				if right {
					d.marks[i+w+1] = unseen
				}
			}
		}
	}
}

// component collects the pixels connected with s, eight ways. Only ends of rows are returned: no other pixel can be on the hull.
func (d *detector) component(s int32, w, h int) []point {
	d.points = d.points[:0]
	d.stack = append(d.stack[:0], s)
	d.marks[s] = seen
	for len(d.stack) > 0 {
		i := int(d.stack[len(d.stack)-1])
		d.stack = d.stack[:len(d.stack)-1]
		x, y := i%w, i/w
		if x == 0 || x == w-1 || d.marks[i-1] == blank || d.marks[i+1] == blank {
			d.points = append(d.points, at(float64(x), float64(y)))
		}
		for yy := max(0, y-1); yy <= min(h-1, y+1); yy++ {
			for xx := max(0, x-1); xx <= min(w-1, x+1); xx++ {
				if j := yy*w + xx; d.marks[j] == unseen {
					d.marks[j] = seen
					d.stack = append(d.stack, int32(j))
				}
			}
		}
	}
	return d.points
}

// meanInside is the mean of the map inside a quad, its edges included.
func meanInside(p []float32, w, h int, q quad) float64 {
	box := q.around()
	y0, y1 := max(int(math.Floor(box.Y0)), 0), min(int(math.Ceil(box.Y1)), h-1)
	var sum float64
	n := 0
	for y := y0; y <= y1; y++ {
		lo, hi := math.Inf(1), math.Inf(-1)
		fy := float64(y)
		for i := range q {
			a, b := q[i], q[(i+1)%4]
			if a.Y > b.Y {
				a, b = b, a
			}
			switch {
			case fy < math.Floor(a.Y) || fy > math.Ceil(b.Y):
			case b.Y-a.Y < 1e-9:
				lo, hi = min(lo, a.X, b.X), max(hi, a.X, b.X)
			default:
				x := a.X + (b.X-a.X)*min(max((fy-a.Y)/(b.Y-a.Y), 0), 1)
				lo, hi = min(lo, x), max(hi, x)
			}
		}
		if lo > hi {
			continue
		}
		l, r := max(int(math.Round(lo)), 0), min(int(math.Round(hi)), w-1)
		for x := l; x <= r; x++ {
			sum += float64(p[y*w+x])
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// grow returns a slice of n elements, the same memory where it suffices. The content is undefined.
func grow[T any](s []T, n int) []T {
	if cap(s) >= n {
		return s[:n]
	}
	return make([]T, n)
}
