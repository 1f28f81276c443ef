package formats

import (
	"bytes"
	"image"
	"image/png"

	"golang.org/x/image/draw"

	"docstream/internal/fault"
	"docstream/schemas"
)

// Encode turns a picture into the image of a page, gray where every pixel is gray. The same pixels give the same bytes (P5).
func Encode(m image.Image, dpi int) (*Image, error) {
	m = gray(m)
	var out bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := enc.Encode(&out, m); err != nil {
		return nil, fault.Puzzle(schemas.RenderFailed, "%s", schemas.Codes[schemas.RenderFailed].Meaning).Because(err)
	}
	b := m.Bounds()
	return &Image{PNG: out.Bytes(), Width: b.Dx(), Height: b.Dy(), DPI: dpi}, nil
}

// Shrink makes a picture with a side over the limit smaller, and its resolution with it; any other is returned as it is.
func Shrink(m image.Image, dpi, side int) (image.Image, int) {
	b := m.Bounds()
	longest := max(b.Dx(), b.Dy())
	if longest <= side {
		return m, dpi
	}
	r := image.Rect(0, 0, max(1, b.Dx()*side/longest), max(1, b.Dy()*side/longest))
	var dst draw.Image
	switch m.(type) {
	case *image.Gray, *image.Gray16:
		dst = image.NewGray(r)
	default:
		dst = image.NewRGBA(r)
		draw.Draw(dst, r, image.White, image.Point{}, draw.Src)
	}
	draw.ApproxBiLinear.Scale(dst, r, m, b, draw.Over, nil)
	return dst, max(1, dpi*side/longest)
}

// Luminance is a picture without its colours.
func Luminance(m image.Image) *image.Gray {
	m = gray(m)
	if g, ok := m.(*image.Gray); ok {
		return g
	}
	out := image.NewGray(image.Rect(0, 0, m.Bounds().Dx(), m.Bounds().Dy()))
	draw.Draw(out, out.Bounds(), m, m.Bounds().Min, draw.Src)
	return out
}

// gray returns an 8-bit gray picture where m has no colour, else an opaque one on white: recognisers know no transparency.
func gray(m image.Image) image.Image {
	b := m.Bounds()
	switch v := m.(type) {
	case *image.Gray:
		return v
	case *image.RGBA:
		if v.Opaque() {
			return grayRGBA(v)
		}
	case *image.Gray16:
		out := image.NewGray(image.Rect(0, 0, b.Dx(), b.Dy()))
		draw.Draw(out, out.Bounds(), v, b.Min, draw.Src)
		return out
	}
	flat := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(flat, flat.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(flat, flat.Bounds(), m, b.Min, draw.Over)
	return grayRGBA(flat)
}

func grayRGBA(m *image.RGBA) image.Image {
	b := m.Bounds()
	for y := range b.Dy() {
		row := m.Pix[y*m.Stride : y*m.Stride+4*b.Dx()]
		for i := 0; i < len(row); i += 4 {
			if row[i] != row[i+1] || row[i] != row[i+2] {
				return m
			}
		}
	}
	out := image.NewGray(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		row := m.Pix[y*m.Stride : y*m.Stride+4*b.Dx()]
		dst := out.Pix[y*out.Stride:]
		for x := range b.Dx() {
			dst[x] = row[4*x]
		}
	}
	return out
}

// Blank reports whether every pixel of a page is the same: nothing is on it.
func Blank(m image.Image) bool {
	var pix []byte
	var stride, width int
	b := m.Bounds()
	switch v := m.(type) {
	case *image.RGBA:
		pix, stride, width = v.Pix, v.Stride, 4
	case *image.Gray:
		pix, stride, width = v.Pix, v.Stride, 1
	default:
		return false
	}
	if len(pix) < width {
		return true
	}
	first := pix[:width]
	for y := range b.Dy() {
		row := pix[y*stride : y*stride+width*b.Dx()]
		for i := 0; i < len(row); i += width {
			if !bytes.Equal(row[i:i+width], first) {
				return false
			}
		}
	}
	return true
}
