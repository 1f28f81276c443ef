package witness

import "image"

// Where ink is looked for around what a layer says, in heights of a piece.
const (
	around   = 0.6   // above and below: layers are often off by some points
	aside    = 1.0   // left and right
	margin   = 0.15  // that a line keeps around its ink
	contrast = 40    // levels between ink and ground, at least
	specks   = 500   // of so many pixels one may be a speck
	thin     = 0.015 // of a row's pixels that are ink, from which it is inked
)

// band is where the line of ink lies that a piece speaks of; inked is false where there is none.
func band(m *image.Gray, at image.Rectangle) (line image.Rectangle, inked bool) {
	em := float64(at.Dy())
	near := image.Rect(at.Min.X, at.Min.Y-int(around*em), at.Max.X, at.Max.Y+int(around*em)).Intersect(m.Bounds())
	if near.Empty() {
		return near, false
	}
	is, ok := inkOf(m, near)
	if !ok {
		return near, false
	}
	rows := make([]int, near.Dy())
	for y := range rows {
		for x := near.Min.X; x < near.Max.X; x++ {
			if is[m.Pix[m.PixOffset(x, near.Min.Y+y)]] {
				rows[y]++
			}
		}
	}
	top, bottom := run(rows, max(2, int(thin*float64(near.Dx()))), int(0.1*em), at.Min.Y-near.Min.Y, at.Max.Y-near.Min.Y)
	if h := float64(bottom - top); h < 0.3*em || h > 1.3*em || top == 0 && bottom == len(rows) {
		top, bottom = at.Min.Y-near.Min.Y, at.Max.Y-near.Min.Y // lines that touch, or aslant: where it says
	}
	pad := int(margin*float64(bottom-top)) + 1
	return image.Rect(at.Min.X-int(aside*em), near.Min.Y+top-pad, at.Max.X+int(aside*em), near.Min.Y+bottom+pad).Intersect(m.Bounds()), true
}

// run is the stretch of inked rows that has most of its ink between from and to. Gaps of some rows, as below the dot of an i, do not end it.
func run(rows []int, least, gap, from, to int) (top, bottom int) {
	best, ink, begin, last := 0, 0, -1, -1
	for y := 0; y <= len(rows); y++ {
		if y < len(rows) && rows[y] >= least {
			if begin < 0 {
				begin, ink = y, 0
			}
			last = y
			if y >= from && y < to {
				ink += rows[y]
			}
			continue
		}
		if begin >= 0 && (y == len(rows) || y-last > gap) {
			if ink > best {
				best, top, bottom = ink, begin, last+1
			}
			begin = -1
		}
	}
	return top, bottom
}

// inkOf says which levels are ink in a part of a picture: those further from the usual level than halfway to the ones furthest off. ok is false
// where the part is even.
func inkOf(m *image.Gray, at image.Rectangle) (is [256]bool, ok bool) {
	var levels [256]int
	for y := at.Min.Y; y < at.Max.Y; y++ {
		for _, v := range m.Pix[m.PixOffset(at.Min.X, y) : m.PixOffset(at.Max.X-1, y)+1] {
			levels[v]++
		}
	}
	usual := 0
	for v, n := range levels {
		if n > levels[usual] {
			usual = v
		}
	}
	left, far := at.Dx()*at.Dy()/specks+1, 0
	for off := 255; off > 0 && left > 0; off-- {
		if v := usual - off; v >= 0 {
			left -= levels[v]
		}
		if v := usual + off; v < 256 {
			left -= levels[v]
		}
		far = off
	}
	if far < contrast {
		return is, false
	}
	for v := range is {
		is[v] = max(v-usual, usual-v) > far/2
	}
	return is, true
}
