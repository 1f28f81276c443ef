package pdf

import (
	"fmt"
	"math"

	"github.com/klippa-app/go-pdfium"
	"github.com/klippa-app/go-pdfium/requests"
)

// page is one page of the open document. Its coordinates, as they leave this type, have their origin at the top left of the page as a
// reader sees it, in points.
type page struct {
	pdf    pdfium.Pdfium
	native *native
	page   requests.Page
	number int

	width, height float64 // as a reader sees it
	box           rect    // the visible part in user space, y upwards
	turn          int     // quarter turns clockwise from user space to the reader
	scale         float64 // points for one user space unit
}

// rect has its corners in the order left, top, right, bottom; y grows downwards except where said.
type rect struct{ x0, y0, x1, y1 float64 }

func (r rect) width() float64  { return r.x1 - r.x0 }
func (r rect) height() float64 { return r.y1 - r.y0 }
func (r rect) area() float64   { return max(0, r.width()) * max(0, r.height()) }

func (r rect) union(o rect) rect {
	return rect{min(r.x0, o.x0), min(r.y0, o.y0), max(r.x1, o.x1), max(r.y1, o.y1)}
}

func (r rect) intersect(o rect) rect {
	return rect{max(r.x0, o.x0), max(r.y0, o.y0), min(r.x1, o.x1), min(r.y1, o.y1)}
}

// measure loads the page and learns how user space lies on it.
func (p *page) measure() error {
	size, err := p.pdf.GetPageSize(&requests.GetPageSize{Page: p.page})
	if err != nil {
		return fmt.Errorf("load page: %w", err)
	}
	p.width, p.height = size.Width, size.Height
	if !(p.width > 0) || !(p.height > 0) || math.IsInf(p.width, 0) || math.IsInf(p.height, 0) {
		return fmt.Errorf("page measures %v by %v", p.width, p.height)
	}
	if r, err := p.pdf.FPDFPage_GetRotation(&requests.FPDFPage_GetRotation{Page: p.page}); err == nil {
		p.turn = int(r.PageRotation) & 3
	}
	w, h := p.width, p.height
	if p.turn&1 == 1 {
		w, h = h, w
	}
	p.box, p.scale = rect{0, 0, w, h}, 1
	if b, err := p.pdf.FPDF_GetPageBoundingBox(&requests.FPDF_GetPageBoundingBox{Page: p.page}); err == nil {
		r := rect{float64(b.Rect.Left), float64(b.Rect.Bottom), float64(b.Rect.Right), float64(b.Rect.Top)}
		if r.width() > 0 && r.height() > 0 {
			p.box, p.scale = r, w/r.width()
		}
	}
	return nil
}

// place carries a rectangle of user space (any order of corners) to the reader's page.
func (p *page) place(left, bottom, right, top float64) rect {
	left, right = min(left, right), max(left, right)
	bottom, top = min(bottom, top), max(bottom, top)
	b := p.box
	var r rect
	switch p.turn {
	case 0:
		r = rect{left - b.x0, b.y1 - top, right - b.x0, b.y1 - bottom}
	case 1:
		r = rect{bottom - b.y0, left - b.x0, top - b.y0, right - b.x0}
	case 2:
		r = rect{b.x1 - right, bottom - b.y0, b.x1 - left, top - b.y0}
	default:
		r = rect{b.y1 - top, b.x1 - right, b.y1 - bottom, b.x1 - left}
	}
	return rect{r.x0 * p.scale, r.y0 * p.scale, r.x1 * p.scale, r.y1 * p.scale}
}
