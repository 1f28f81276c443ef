package images

import (
	"image"
	"image/color"

	"golang.org/x/image/draw"
)

// upright turns a picture by its EXIF orientation: 1 is upright, 2 to 8 are the mirrored and turned ones.
func upright(m image.Image, orientation int) image.Image {
	if orientation < 2 || orientation > 8 {
		return m
	}
	b := m.Bounds()
	w, h := b.Dx(), b.Dy()
	from := func(x, y int) (int, int) { // where the pixel at x, y of the result comes from
		switch orientation {
		case 2:
			return w - 1 - x, y
		case 3:
			return w - 1 - x, h - 1 - y
		case 4:
			return x, h - 1 - y
		case 5:
			return y, x
		case 6:
			return y, h - 1 - x
		case 7:
			return w - 1 - y, h - 1 - x
		default:
			return w - 1 - y, x
		}
	}
	r := image.Rect(0, 0, w, h)
	if orientation > 4 {
		r = image.Rect(0, 0, h, w)
	}
	if g, ok := m.(*image.Gray); ok {
		out := image.NewGray(r)
		for y := range r.Dy() {
			for x := range r.Dx() {
				sx, sy := from(x, y)
				out.Pix[y*out.Stride+x] = g.Pix[sy*g.Stride+sx]
			}
		}
		return out
	}
	src := opaque(m)
	out := image.NewRGBA(r)
	for y := range r.Dy() {
		for x := range r.Dx() {
			sx, sy := from(x, y)
			copy(out.Pix[y*out.Stride+4*x:], src.Pix[sy*src.Stride+4*sx:sy*src.Stride+4*sx+4])
		}
	}
	return out
}

// opaque lays a picture on white.
func opaque(m image.Image) *image.RGBA {
	b := m.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(out, out.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.Draw(out, out.Bounds(), m, b.Min, draw.Over)
	return out
}
