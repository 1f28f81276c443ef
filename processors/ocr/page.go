package ocr

import (
	"cmp"
	"math"
	"slices"

	"docstream/internal/engine/raster"
	"docstream/internal/engine/reading"
	"docstream/internal/engine/ruling"
	"docstream/schemas"
	"docstream/schemas/document"
)

// Page reads one page image and returns its result. regions are in pixels of the image, in reading order; dpi is the image's resolution,
// 72 where a pixel counts as a point. Nothing but the arguments decides the result.
func (r *Reader) Page(im *raster.Image, number, dpi int, regions []schemas.LaidRegion) (*document.Page, error) {
	v, lines, unread, err := r.lines(im)
	if err != nil {
		return nil, err
	}
	a := &assembly{scale: 72 / float64(max(dpi, 1)), width: float64(v.image.W), height: float64(v.image.H)}
	a.place(lines)
	a.across, a.down = r.rules(v.image, a)
	a.regions = turnRegions(regions, v.degrees, float64(im.W), float64(im.H))
	p := &document.Page{
		Format: document.PageFormat, Number: number, Unit: "pt", Source: "ocr", Rotation: v.degrees,
		Width: document.Round1(a.width * a.scale), Height: document.Round1(a.height * a.scale),
		Blocks: a.blocks(), Warnings: warnings(lines, unread),
	}
	if p.Blocks == nil {
		p.Blocks = []document.Block{}
	}
	var sum float64
	n := 0
	for _, l := range a.lines {
		for _, c := range l.words {
			sum += c.score
			n++
		}
	}
	if n > 0 {
		p.Confidence = document.Round3(sum / float64(n))
	}
	return p, nil
}

// region is a rectangle of one kind on the image as it is read.
type region struct {
	kind  string
	score float64
	box   reading.Box
}

// turnRegions maps regions of a w by h image onto the image turned clockwise.
func turnRegions(in []schemas.LaidRegion, degrees int, w, h float64) []region {
	out := make([]region, len(in))
	for i, r := range in {
		b := reading.Box{X0: r.X0, Y0: r.Y0, X1: r.X1, Y1: r.Y1}
		switch degrees {
		case 90:
			b = reading.Box{X0: h - r.Y1, Y0: r.X0, X1: h - r.Y0, Y1: r.X1}
		case 180:
			b = reading.Box{X0: w - r.X1, Y0: h - r.Y1, X1: w - r.X0, Y1: h - r.Y0}
		case 270:
			b = reading.Box{X0: r.Y0, Y0: w - r.X1, X1: r.Y1, Y1: w - r.X0}
		}
		out[i] = region{r.Kind, r.Score, b}
	}
	return out
}

// placed is a line with what its place on the page says.
type placed struct {
	line
	words []word
	box   reading.Box // around it
	flat  reading.Box // around it after the page's slant was taken out: what order and rows go by

	number int // among the lines that forms are looked for in
}

func (p placed) middle() float64 { return (p.flat.Y0 + p.flat.Y1) / 2 }

// assembly makes blocks of lines and regions.
type assembly struct {
	scale         float64 // points a pixel
	width, height float64 // pixels
	lines         []placed
	regions       []region
	body          float64 // median height of a line
	slant         float64 // radians
	print         float64 // pixels: how high the capitals of most text are
	usualRise     float64 // that of the lines, as a share of their boxes' heights

	across, down []ruling.Rule // drawn on the page, without the slant
}

// What of a slant is noise of the detector.
const (
	minSlant = 0.5 * math.Pi / 180 // radians
	minRise  = 0.1                 // of the usual long line from end to end, in heights of a line: short ones say little
)

// place prepares the lines: the slant of the page is the median direction of its long lines.
func (a *assembly) place(lines []line) {
	var angles, heights, widths []float64
	for _, l := range lines {
		heights = append(heights, l.quad.height())
		if t := l.quad.angle(); l.quad.width() > 4*l.quad.height() && math.Abs(t) < math.Pi/6 {
			angles, widths = append(angles, t), append(widths, l.quad.width())
		}
	}
	a.body = median(heights)
	if t := median(angles); math.Abs(t) >= minSlant && math.Abs(math.Sin(t))*median(widths) >= minRise*a.body {
		a.slant = t
	}
	sin, cos := math.Sincos(-a.slant)
	for _, l := range lines {
		p := placed{line: l, words: l.transcript.words(), box: l.quad.around()}
		p.flat = p.box
		if a.slant != 0 {
			var q quad
			for i, c := range l.quad {
				x, y := c.X-a.width/2, c.Y-a.height/2
				q[i] = at(x*cos-y*sin+a.width/2, x*sin+y*cos+a.height/2)
			}
			p.flat = q.around()
		}
		a.lines = append(a.lines, p)
	}
	a.measure()
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

// rows groups lines that stand beside each other, from top to bottom, each from left to right.
func rows(lines []placed) [][]placed {
	sorted := slices.Clone(lines)
	slices.SortStableFunc(sorted, func(x, y placed) int {
		return cmp.Or(cmp.Compare(x.middle(), y.middle()), cmp.Compare(x.flat.X0, y.flat.X0))
	})
	var out [][]placed
	for _, l := range sorted {
		if n := len(out); n > 0 && beside(out[n-1], l) {
			out[n-1] = append(out[n-1], l)
			continue
		}
		out = append(out, []placed{l})
	}
	for _, r := range out {
		slices.SortStableFunc(r, func(x, y placed) int { return cmp.Compare(x.flat.X0, y.flat.X0) })
	}
	return out
}

// beside reports whether a line shares most of its height with a row and stands next to all of it.
func beside(row []placed, l placed) bool {
	for _, r := range row {
		shared := min(r.flat.Y1, l.flat.Y1) - max(r.flat.Y0, l.flat.Y0)
		if shared < 0.5*min(r.flat.Height(), l.flat.Height()) {
			return false
		}
		if over := min(r.flat.X1, l.flat.X1) - max(r.flat.X0, l.flat.X0); over > 0.3*min(r.flat.Width(), l.flat.Width()) {
			return false
		}
	}
	return true
}

// box turns pixels into points.
func (a *assembly) box(b reading.Box) document.Box {
	clip := func(v, limit float64) float64 { return min(max(v, 0), limit) * a.scale }
	return document.NewBox(clip(b.X0, a.width), clip(b.Y0, a.height), clip(b.X1, a.width), clip(b.Y1, a.height))
}

func (a *assembly) line(p placed) document.Line {
	l := document.Line{Text: p.str, Box: a.box(p.box), Confidence: document.Round3(p.score), Model: p.model}
	for _, w := range p.words {
		l.Words = append(l.Words, document.Word{Text: w.text, Box: a.box(w.quad.around()), Confidence: document.Round3(w.score)})
	}
	return l
}
