package photo

import (
	"image"
	"image/draw"
	"math"

	"docstream/internal/engine/convex"
)

// projection maps the unit square onto four corners (Heckbert 1989, "Fundamentals of texture mapping and image warping").
type projection struct{ a, b, c, d, e, f, g, h float64 }

func onto(p [4]convex.Point) projection {
	sx, sy := p[0].X-p[1].X+p[2].X-p[3].X, p[0].Y-p[1].Y+p[2].Y-p[3].Y
	dx1, dy1, dx2, dy2 := p[1].X-p[2].X, p[1].Y-p[2].Y, p[3].X-p[2].X, p[3].Y-p[2].Y
	det := dx1*dy2 - dx2*dy1
	g, h := (sx*dy2-dx2*sy)/det, (dx1*sy-sx*dy1)/det
	return projection{
		p[1].X - p[0].X + g*p[1].X, p[3].X - p[0].X + h*p[3].X, p[0].X,
		p[1].Y - p[0].Y + g*p[1].Y, p[3].Y - p[0].Y + h*p[3].Y, p[0].Y, g, h,
	}
}

func (q projection) at(u, v float64) (x, y float64) {
	w := q.g*u + q.h*v + 1
	return (q.a*u + q.b*v + q.c) / w, (q.d*u + q.e*v + q.f) / w
}

// Flatten returns what lies between four corners of a picture as a rectangle, as wide and as high as the longer ones of the sides. A grey
// picture stays grey; transparent pixels lie on white.
func Flatten(m image.Image, corners [4]convex.Point) image.Image {
	side := func(a, b, c, d int) int {
		return max(1, int(math.Round(max(convex.Distance(corners[a], corners[b]), convex.Distance(corners[c], corners[d])))))
	}
	w, h := side(0, 1, 3, 2), side(0, 3, 1, 2)
	q := onto(corners)
	if s, ok := m.(*image.Gray); ok {
		out := image.NewGray(image.Rect(0, 0, w, h))
		q.sample(out.Pix, out.Stride, w, h, s.Pix[s.PixOffset(s.Rect.Min.X, s.Rect.Min.Y):], s.Stride, s.Rect.Dx(), s.Rect.Dy(), 1)
		return out
	}
	b := m.Bounds()
	s := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(s, s.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(s, s.Rect, m, b.Min, draw.Over)
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	q.sample(out.Pix, out.Stride, w, h, s.Pix, s.Stride, b.Dx(), b.Dy(), 4)
	return out
}

// sample fills w by h pixels of n bytes by bilinear sampling; beyond the border the last pixel goes on.
func (q projection) sample(out []uint8, stride, w, h int, in []uint8, from, inW, inH, n int) {
	for y := range h {
		for x := range w {
			fx, fy := q.at((float64(x)+.5)/float64(w), (float64(y)+.5)/float64(h))
			fx, fy = min(max(fx-.5, 0), float64(inW-1)), min(max(fy-.5, 0), float64(inH-1))
			i, j := int(fx), int(fy)
			u, v := int((fx-float64(i))*256), int((fy-float64(j))*256)
			a := j*from + i*n
			right, down := n, from
			if i+1 == inW {
				right = 0
			}
			if j+1 == inH {
				down = 0
			}
			for k := range n {
				top := int(in[a+k])*(256-u) + int(in[a+right+k])*u
				low := int(in[a+down+k])*(256-u) + int(in[a+down+right+k])*u
				out[y*stride+x*n+k] = uint8((top*(256-v) + low*v + 1<<15) >> 16)
			}
		}
	}
}
