package pdf

import (
	"image"
	"math"
	"regexp"

	"docstream/processors/prepare/formats"
	"docstream/schemas/document"
)

// What of the pictures on a page is a figure.
const (
	mostShown    = 500
	figureSide   = 24.0  // points, at least
	figureShare  = 0.005 // of the page, at least
	groundShare  = 0.85  // of the page: more is the ground on which it is printed
	coveredShare = 0.25  // of a picture under words: it is a ground, too
	captionGap   = 2.0   // ems between a figure and its caption
)

// show notes a picture; those that touch are the strips and tiles of one.
func (s *pictures) show(r rect) {
	const apart = 1.0
	if len(s.shown) == mostShown || r.area() == 0 {
		return
	}
	for i := 0; i < len(s.shown); i++ {
		o := s.shown[i]
		if r.x0 > o.x1+apart || o.x0 > r.x1+apart || r.y0 > o.y1+apart || o.y0 > r.y1+apart {
			continue
		}
		r = r.union(o)
		s.shown = append(s.shown[:i], s.shown[i+1:]...)
		i = -1
	}
	s.shown = append(s.shown, r)
}

// figures are the pictures that stand beside text.
func (t *layer) figures() (out []rect) {
	for _, r := range t.shown {
		if r.width() < figureSide || r.height() < figureSide || r.area() < figureShare*t.area || r.area() > groundShare*t.area {
			continue
		}
		if t.inked(r) < coveredShare*r.area() {
			out = append(out, r)
		}
	}
	return out
}

// inked is how much of a rectangle words cover.
func (t *layer) inked(r rect) (area float64) {
	for _, w := range t.words {
		area += r.intersect(w.rect).area()
	}
	return area
}

// caption is how the caption of a figure begins.
var caption = regexp.MustCompile(`^(?i:fig(ure|ura|uur)?|abb(ildung)?|bild|foto|photo|plate|chart|map|diagramm?|gráfico|grafik|schema|illustration)[.:]?\s*\d|^[图圖図]\s*\d`)

// placeFigures puts figures among the blocks: behind the last one above that shares its column. What stands close below or above one and says so is
// its caption.
func placeFigures(blocks []document.Block, figures []rect, em float64) []document.Block {
	for _, f := range figures {
		figure := document.Block{Kind: document.Figure, Box: f.box(), Confidence: 1}
		at := -1
		for i, b := range blocks {
			if b.Kind != document.Footer && besides(b.Box, figure.Box) && (b.Box[1]+b.Box[3])/2 < (f.y0+f.y1)/2 {
				at = i
			}
		}
		for i := range blocks {
			b := &blocks[i]
			gap := max(b.Box[1]-f.y1, f.y0-b.Box[3])
			if (b.Kind == document.Paragraph || b.Kind == document.Heading) && besides(b.Box, figure.Box) && gap < captionGap*em && caption.MatchString(b.Text) {
				b.Kind, b.Level = document.Caption, 0
			}
		}
		blocks = append(blocks[:at+1], append([]document.Block{figure}, blocks[at+1:]...)...)
	}
	return blocks
}

// besides reports whether two boxes share a column.
func besides(a, b document.Box) bool { return min(a[2], b[2]) > max(a[0], b[0]) }

// pictures renders the page and cuts out what its figures show.
func (d *doc) pictures(p *page, out *document.Page, w formats.Want) (shown []formats.Picture, err error) {
	var at []int
	for i, b := range out.Blocks {
		if b.Kind == document.Figure {
			at = append(at, i)
		}
	}
	if !w.Figures || len(at) == 0 {
		return nil, nil
	}
	dpi, err := p.resolution(w)
	if err != nil {
		return nil, err
	}
	r, _, err := d.pixels(p, dpi)
	if err != nil {
		return nil, err
	}
	defer r.Cleanup()
	m, ok := r.Result.RenderedImage.(interface {
		image.Image
		SubImage(image.Rectangle) image.Image
	})
	if !ok {
		return nil, nil
	}
	scale := float64(dpi) / 72
	var g formats.Gallery
	for _, i := range at {
		b := out.Blocks[i].Box
		c := image.Rect(int(b[0]*scale), int(b[1]*scale), int(math.Ceil(b[2]*scale)), int(math.Ceil(b[3]*scale))).Intersect(m.Bounds())
		if x, ok := formats.Draw(m.SubImage(c)); ok {
			g.Add(i, x)
		}
	}
	return g.Pictures, nil
}
