package pdf

import (
	"errors"
	"fmt"
	"image"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/witness"
)

// compare makes a page of its layer where a sample of what the page shows says the same, and an image of it where it does not. A page that cannot be
// looked at says nothing against its layer.
func (d *doc) compare(p *page, t *layer, w formats.Want) (out formats.Page, err error) {
	if w.OCR == formats.Off || d.format.witness == nil || w.Layers.Lines == 0 {
		return d.finish(p, t, w)
	}
	dpi, err := p.resolution(w)
	if err != nil {
		return d.finish(p, t, w)
	}
	r, _, err := d.pixels(p, dpi)
	if errors.As(err, new(*fault.Error)) {
		return d.finish(p, t, w)
	}
	if err != nil {
		return out, err
	}
	defer r.Cleanup()
	m := r.Result.RenderedImage
	if formats.Blank(m) {
		return d.finish(p, t, w)
	}
	reader, err := d.format.witness()
	if err != nil {
		return out, err
	}
	b := w.Layers
	if !t.scan() {
		b.Silence = 1 // it need not say what stands in pictures: they are looked at by themselves
	}
	found, err := witness.Ask(formats.Luminance(m), t.said(dpi), reader, b)
	if err != nil {
		return out, fmt.Errorf("read a sample: %w", err)
	}
	if found.Believed(b) {
		return d.finish(p, t, w)
	}
	out.Image, err = formats.Encode(m, dpi)
	return out, err
}

// said are the words of the layer in pixels.
func (t *layer) said(dpi int) []witness.Word {
	out := make([]witness.Word, 0, len(t.words))
	s := float64(dpi) / 72
	for _, w := range t.words {
		out = append(out, witness.Word{Text: w.text, At: image.Rect(int(w.x0*s), int(w.y0*s), int(w.x1*s+1), int(w.y1*s+1)), Turned: w.turned})
	}
	return out
}
