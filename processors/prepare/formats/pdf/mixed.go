package pdf

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	"docstream/processors/prepare/formats"
)

// What of a picture beside text is taken for text that has to be recognised: ink in many short strokes on an even ground. Photographs have no
// such ground, logos and diagrams few strokes.
const (
	mixedSide     = 36.0 // points, at least, of its longer side
	mixedShort    = 12.0 // of its shorter one
	mixedArea     = 0.05 // of the page, at least: what is smaller is a logo, a seal, an advertisement
	picturesLeast = 0.3  // of the page, at least, all of them: screens and forms shown beside what is said of them illustrate it, and cost what a scan does
	wordMargin    = 1.5  // points around words of the text layer that are not looked at again
	evenGround    = 24   // levels a pixel of the ground may be off
	inkContrast   = 60   // levels that ink is off, at least
	groundLeast   = 0.45 // of the pixels, at least
	inkLeast      = 0.004
	inkMost       = 0.35
	strokeWidth   = 6.0 / 150 // inches of the usual stroke across, at most
	strokesEach   = 90        // strokes in the picture, at least
)

// unread are the places of pictures that may hold text which the layer does not have.
func (t *layer) unread() (out []rect) {
	if t.scan() {
		return nil // a scan whose text layer is believed
	}
	area := 0.0
	for _, r := range t.shown {
		if max(r.width(), r.height()) >= mixedSide && min(r.width(), r.height()) >= mixedShort && r.area() >= mixedArea*t.area {
			out = append(out, r)
			area += r.area()
		}
	}
	if area < picturesLeast*t.area {
		return nil
	}
	return out
}

// mixed renders the pictures of a page whose text layer is good, without what that says, where they look like text; nil where none does.
func (d *doc) mixed(p *page, t *layer, w formats.Want) (*formats.Image, error) {
	places := t.unread()
	if len(places) == 0 || w.OCR != formats.Auto {
		return nil, nil
	}
	dpi, err := p.resolution(w)
	if err != nil {
		return nil, nil // the text is what there is
	}
	r, _, err := d.pixels(p, dpi)
	if err != nil {
		return nil, err
	}
	defer r.Cleanup()
	m, ok := r.Result.RenderedImage.(draw.Image)
	if !ok {
		return nil, nil
	}
	pixels := func(r rect) image.Rectangle {
		s := float64(dpi) / 72
		return image.Rect(int(math.Floor(r.x0*s)), int(math.Floor(r.y0*s)), int(math.Ceil(r.x1*s)), int(math.Ceil(r.y1*s))).Intersect(m.Bounds())
	}
	for _, word := range t.words {
		b := word.rect
		draw.Draw(m, pixels(rect{b.x0 - wordMargin, b.y0 - wordMargin, b.x1 + wordMargin, b.y1 + wordMargin}), image.White, image.Point{}, draw.Src)
	}
	page := image.NewRGBA(m.Bounds())
	draw.Draw(page, page.Bounds(), image.White, image.Point{}, draw.Src)
	found := false
	for _, r := range places {
		if at := pixels(r); written(m, at, dpi) {
			found = true
			draw.Draw(page, at, m, at.Min, draw.Src)
		}
	}
	if !found {
		return nil, nil
	}
	return formats.Encode(page, dpi)
}

// written reports whether a part of an image looks like text.
func written(m image.Image, at image.Rectangle, dpi int) bool {
	level := func(x, y int) int { return int(color.GrayModel.Convert(m.At(x, y)).(color.Gray).Y) }
	if c, ok := m.(*image.RGBA); ok {
		level = func(x, y int) int {
			p := c.Pix[c.PixOffset(x, y):]
			return (299*int(p[0]) + 587*int(p[1]) + 114*int(p[2])) / 1000
		}
	}
	var levels [256]int
	for y := at.Min.Y; y < at.Max.Y; y++ {
		for x := at.Min.X; x < at.Max.X; x++ {
			levels[level(x, y)]++
		}
	}
	usual, all := 0, 0
	for v, n := range levels {
		if all += n; n > levels[usual] {
			usual = v
		}
	}
	ground, ink := 0, 0
	for v, n := range levels {
		switch off := max(v-usual, usual-v); {
		case off <= evenGround:
			ground += n
		case off >= inkContrast:
			ink += n
		}
	}
	if f := float64(all); float64(ground) < groundLeast*f || float64(ink) < inkLeast*f || float64(ink) > inkMost*f {
		return false
	}
	strokes := 0
	for y := at.Min.Y; y < at.Max.Y; y++ {
		within := false
		for x := at.Min.X; x < at.Max.X; x++ {
			v := level(x, y)
			inked := max(v-usual, usual-v) >= inkContrast
			if inked && !within {
				strokes++
			}
			within = inked
		}
	}
	return strokes >= strokesEach*dpi/150 && float64(ink)/float64(strokes) <= strokeWidth*float64(dpi)
}
