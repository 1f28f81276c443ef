package ocr

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"math"

	"docstream/internal/engine/raster"
	"docstream/schemas"
	"docstream/schemas/document"
)

const (
	figureType  = "image/png"
	leastFigure = 8   // pixels a side
	mostFigures = 200 // of one page; the others are named and not shown
)

// crop cuts the figures of a page out of its image, as it is read, and names them in their blocks.
func crop(p *document.Page, im *raster.Image, dpi int) (out []Figure, err error) {
	var upright *raster.Image
	scale := float64(max(dpi, 1)) / 72
	for i := range p.Blocks {
		b := &p.Blocks[i]
		if b.Kind != document.Figure || len(out) == mostFigures {
			continue
		}
		if upright == nil {
			upright = im.Turn(p.Rotation)
		}
		r := image.Rect(int(b.Box[0]*scale), int(b.Box[1]*scale), int(math.Ceil(b.Box[2]*scale)), int(math.Ceil(b.Box[3]*scale))).
			Intersect(image.Rect(0, 0, upright.W, upright.H))
		if r.Dx() < leastFigure || r.Dy() < leastFigure {
			continue
		}
		var data bytes.Buffer
		enc := png.Encoder{CompressionLevel: png.BestSpeed}
		if err := enc.Encode(&data, picture(upright, r)); err != nil {
			return nil, fmt.Errorf("encode figure: %w", err)
		}
		name := schemas.FigureName(p.Number, len(out)+1, figureType)
		b.Image = &document.Image{Name: name, MediaType: figureType, Width: r.Dx(), Height: r.Dy()}
		out = append(out, Figure{name, data.Bytes()})
	}
	return out, nil
}

// picture is a part of an image. A grey one shares its pixels.
func picture(m *raster.Image, r image.Rectangle) image.Image {
	if m.Grey() {
		return (&image.Gray{Pix: m.Planes[0], Stride: m.W, Rect: image.Rect(0, 0, m.W, m.H)}).SubImage(r)
	}
	out := image.NewRGBA(image.Rect(0, 0, r.Dx(), r.Dy()))
	for y := range r.Dy() {
		from := (r.Min.Y+y)*m.W + r.Min.X
		red, green, blue := m.Planes[0][from:], m.Planes[1][from:], m.Planes[2][from:]
		row := out.Pix[y*out.Stride:]
		for x := range r.Dx() {
			row[4*x], row[4*x+1], row[4*x+2], row[4*x+3] = red[x], green[x], blue[x], 255
		}
	}
	return out
}
