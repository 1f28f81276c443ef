// Package raster holds page images the way the models want them: three planes of bytes, scaled, cropped and normalised without an
// allocation of image size per page where the caller keeps its buffers.
//
// A grey page, which most scans are, has one plane that stands in all three places: all work on it is done once.
package raster

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // the formats a page image may have
	_ "image/png"
)

// ErrTooLarge says that an image has more pixels than allowed; nothing was decoded.
var ErrTooLarge = errors.New("the image has too many pixels")

// Image is W by H pixels in planes of red, green and blue, row by row without gaps. A grey image has the same slice three times.
type Image struct {
	W, H   int
	Planes [3][]uint8
}

// Grey reports whether the three planes are one.
func (m *Image) Grey() bool { return len(m.Planes[0]) > 0 && &m.Planes[0][0] == &m.Planes[2][0] }

// shape gives m the size and the kind of another image, with memory of its own that it keeps between uses.
func (m *Image) shape(w, h int, grey bool) {
	n := w * h
	kept := m.Planes
	if len(kept[0]) > 0 && m.Grey() {
		kept[1], kept[2] = nil, nil
	}
	m.W, m.H = w, h
	for i := range m.Planes {
		switch {
		case grey && i > 0:
			m.Planes[i] = m.Planes[0]
		case cap(kept[i]) >= n:
			m.Planes[i] = kept[i][:n]
		default:
			m.Planes[i] = make([]uint8, n)
		}
	}
}

// Decode reads a PNG or JPEG of at most maxPixels. Transparent pixels lie on white.
func Decode(data []byte, maxPixels int64) (*Image, error) {
	cfg, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("read image header: %w", err)
	}
	if cfg.Width <= 0 || cfg.Height <= 0 {
		return nil, fmt.Errorf("an image of %d by %d pixels", cfg.Width, cfg.Height)
	}
	if int64(cfg.Width)*int64(cfg.Height) > maxPixels {
		return nil, fmt.Errorf("%w: %d by %d, limit %d", ErrTooLarge, cfg.Width, cfg.Height, maxPixels)
	}
	src, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decode image: %w", err)
	}
	return From(src), nil
}

// From takes over a decoded image; the pixels of a grey one are shared, not copied.
func From(src image.Image) *Image {
	b := src.Bounds()
	m := &Image{W: b.Dx(), H: b.Dy()}
	switch s := src.(type) {
	case *image.Gray:
		if s.Stride == m.W {
			m.Planes = [3][]uint8{s.Pix, s.Pix, s.Pix}
			return m
		}
		m.shape(m.W, m.H, true)
		for y := range m.H {
			copy(m.Planes[0][y*m.W:(y+1)*m.W], s.Pix[y*s.Stride:])
		}
		return m
	case *image.RGBA:
		m.shape(m.W, m.H, false)
		for y := range m.H {
			m.interleaved(y, s.Pix[y*s.Stride:], true)
		}
	case *image.NRGBA:
		m.shape(m.W, m.H, false)
		for y := range m.H {
			m.interleaved(y, s.Pix[y*s.Stride:], false)
		}
	case *image.Paletted:
		m.paletted(s)
	default:
		m.shape(m.W, m.H, false)
		for y := range m.H {
			for x := range m.W {
				m.set(y*m.W+x, src.At(b.Min.X+x, b.Min.Y+y))
			}
		}
	}
	m.mergeEqual()
	return m
}

// interleaved fills a row from RGBA bytes.
func (m *Image) interleaved(y int, row []uint8, premultiplied bool) {
	r, g, b := m.Planes[0][y*m.W:(y+1)*m.W], m.Planes[1][y*m.W:(y+1)*m.W], m.Planes[2][y*m.W:(y+1)*m.W]
	row = row[:4*m.W]
	for x := range r {
		p := row[4*x : 4*x+4 : 4*x+4]
		r[x], g[x], b[x] = p[0], p[1], p[2]
		if a := uint32(p[3]); a != 255 {
			for i, d := range []*uint8{&r[x], &g[x], &b[x]} {
				v := uint32(p[i])
				if !premultiplied {
					v = v * a / 255
				}
				*d = uint8(min(255, v+255-a))
			}
		}
	}
}

func (m *Image) paletted(s *image.Paletted) {
	m.shape(m.W, m.H, false)
	var lut Image
	lut.shape(256, 1, false)
	for i, c := range s.Palette {
		lut.set(i, c)
	}
	for y := range m.H {
		row := s.Pix[y*s.Stride : y*s.Stride+m.W]
		for c := range m.Planes {
			out := m.Planes[c][y*m.W : (y+1)*m.W]
			for x, v := range row {
				out[x] = lut.Planes[c][v]
			}
		}
	}
}

func (m *Image) set(i int, c color.Color) {
	r, g, b, a := c.RGBA()
	white := 0xffff - a
	m.Planes[0][i], m.Planes[1][i], m.Planes[2][i] = uint8((r+white)>>8), uint8((g+white)>>8), uint8((b+white)>>8)
}

// mergeEqual turns a colour image without any colour into a grey one: the results are the same, the work is a third.
func (m *Image) mergeEqual() {
	if bytes.Equal(m.Planes[0], m.Planes[1]) && bytes.Equal(m.Planes[1], m.Planes[2]) {
		m.Planes[1], m.Planes[2] = m.Planes[0], m.Planes[0]
	}
}

// Turn returns the image turned clockwise by 0, 90, 180 or 270 degrees.
func (m *Image) Turn(degrees int) *Image { return m.TurnInto(&Image{}, degrees) }

// TurnInto does what [Image.Turn] does, in the memory of out; by 0 degrees it returns the image itself.
func (m *Image) TurnInto(out *Image, degrees int) *Image {
	if degrees == 0 {
		return m
	}
	w, h := m.W, m.H
	if degrees != 180 {
		w, h = h, w
	}
	out.shape(w, h, m.Grey())
	for c := range m.Planes {
		if c > 0 && m.Grey() {
			break
		}
		src, dst := m.Planes[c], out.Planes[c]
		for y := range m.H {
			row := src[y*m.W : (y+1)*m.W]
			switch degrees {
			case 90:
				for x, v := range row {
					dst[x*w+w-1-y] = v
				}
			case 180:
				for x, v := range row {
					dst[(h-1-y)*w+w-1-x] = v
				}
			case 270:
				for x, v := range row {
					dst[(h-1-x)*w+y] = v
				}
			}
		}
	}
	return out
}

// HalveInto returns the image at half the size in the memory of out, each pixel the mean of four: a source to sample from where a
// reduction skips pixels.
func (m *Image) HalveInto(out *Image) *Image {
	out.shape(max(1, m.W/2), max(1, m.H/2), m.Grey())
	for c := range m.Planes {
		if c > 0 && m.Grey() {
			break
		}
		for y := range out.H {
			a := m.Planes[c][2*y*m.W:]
			b := m.Planes[c][min(2*y+1, m.H-1)*m.W:]
			o := out.Planes[c][y*out.W : (y+1)*out.W]
			for x := range o {
				i, j := 2*x, min(2*x+1, m.W-1)
				o[x] = uint8((int(a[i]) + int(a[j]) + int(b[i]) + int(b[j]) + 2) >> 2)
			}
		}
	}
	return out
}
