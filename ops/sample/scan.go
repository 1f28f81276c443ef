package sample

import (
	"bytes"
	"image"
	"image/jpeg"
	"math/rand/v2"

	"golang.org/x/image/font"
	"golang.org/x/image/math/fixed"
)

// scanner draws pages as a scanner would see them: grey paper, soft edges, some noise.
type scanner struct {
	scale float64 // pixels in a point
	seed  uint64
	dpi   float64

	page8, soft *image.Gray // reused from page to page
	jpeg        bytes.Buffer
}

const (
	paper = 244
	ink   = 28
	noise = 9 // grey levels, each way
)

func newScanner(dpi int, seed uint64) *scanner {
	return &scanner{scale: float64(dpi) / 72, seed: seed, dpi: float64(dpi)}
}

// page draws a sheet and appends it to the document.
func (s *scanner) page(p *pdf, t *typesetter, sh sheet, number int) error {
	w, h := s.px(pageWidth), s.px(pageHeight)
	if s.page8 == nil {
		s.page8, s.soft = image.NewGray(image.Rect(0, 0, w, h)), image.NewGray(image.Rect(0, 0, w, h))
	}
	for i := range s.page8.Pix {
		s.page8.Pix[i] = paper
	}
	for _, r := range sh.runs {
		d := font.Drawer{Dst: s.page8, Src: image.NewUniform(grey(ink)), Face: t.face(r.size, s.dpi, r.bold),
			Dot: fixed.P(s.px(r.x), s.px(r.y))}
		d.DrawString(r.text)
	}
	for _, r := range sh.rules {
		s.line(r)
	}
	s.blur()
	s.sprinkle(number)
	s.jpeg.Reset()
	if err := jpeg.Encode(&s.jpeg, s.soft, &jpeg.Options{Quality: 72}); err != nil {
		return err
	}
	return p.imagePage(s.jpeg.Bytes(), w, h)
}

func (s *scanner) px(points float64) int { return int(points*s.scale + 0.5) }

// line draws a rule about three quarters of a point thick.
func (s *scanner) line(r rule) {
	thick := max(1, s.px(0.75))
	box := image.Rect(s.px(r.x0), s.px(r.y0), s.px(r.x1)+thick, s.px(r.y1)+thick)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		row := s.page8.Pix[y*s.page8.Stride:]
		for x := box.Min.X; x < box.Max.X; x++ {
			row[x] = ink
		}
	}
}

// blur writes a slightly softened copy of the page: each pixel counts twice as much as its eight neighbours together.
func (s *scanner) blur() {
	b, n := s.page8.Bounds(), s.page8.Stride
	copy(s.soft.Pix, s.page8.Pix)
	for y := 1; y < b.Dy()-1; y++ {
		for x := 1; x < b.Dx()-1; x++ {
			i := y*n + x
			p := s.page8.Pix
			around := int(p[i-n-1]) + int(p[i-n]) + int(p[i-n+1]) + int(p[i-1]) + int(p[i+1]) + int(p[i+n-1]) + int(p[i+n]) + int(p[i+n+1])
			s.soft.Pix[i] = uint8((around + 16*int(p[i])) / 24)
		}
	}
}

// sprinkle adds noise that depends on the seed and the page alone.
func (s *scanner) sprinkle(page int) {
	r := rand.NewPCG(s.seed, uint64(page)<<1|1)
	for i := 0; i < len(s.soft.Pix); i += 8 {
		bits := r.Uint64()
		for j := i; j < min(i+8, len(s.soft.Pix)); j++ {
			v := int(s.soft.Pix[j]) + int(bits&255)%(2*noise+1) - noise
			s.soft.Pix[j] = uint8(min(255, max(0, v)))
			bits >>= 8
		}
	}
}
