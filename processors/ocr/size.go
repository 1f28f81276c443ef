package ocr

import (
	"cmp"
	"slices"

	"docstream/internal/engine/raster"
)

// Where a line's ink is. The detector's boxes say how large print is only roughly: they grow with the length of a line.
const (
	inkedPixel = 0.4  // of the way from the ground to the darkest pixels, from which one is ink
	inkedRow   = 0.03 // of the fullest row's pixels, from which a row belongs to the line: the tops of a few tall letters
	baseRow    = 0.35 // likewise, of the lowest row of letters without a tail
	leastRise  = 0.25 // of the image's height: a line of less is a rule, or was not found
)

// rise is how high the capitals of a line's image stand above its base, as a share of the image's height; 0 where that cannot be seen.
func (g *gauge) rise(im *raster.Image) float64 {
	pix := im.Planes[1]
	var counts [256]int
	for _, v := range pix {
		counts[v]++
	}
	ground, n := 0, 0
	for ; n <= len(pix)/2 && ground < 255; ground++ {
		n += counts[ground]
	}
	off := func(v int) int { return max(v-ground, ground-v) }
	var far [256]int
	for v, c := range counts {
		far[off(v)] += c
	}
	most, n := 255, 0
	for ; most > 0 && n <= len(pix)/100; most-- {
		n += far[most]
	}
	least := int(inkedPixel * float64(most))
	rows, peak := make([]int, im.H), 0
	for y := range rows {
		for _, v := range pix[y*im.W : (y+1)*im.W] {
			if off(int(v)) > least {
				rows[y]++
			}
		}
		if rows[y] > rows[peak] {
			peak = y
		}
	}
	full := float64(rows[peak])
	top, base := peak, peak
	for top > 0 && float64(rows[top-1]) > inkedRow*full {
		top--
	}
	for y := peak; y < im.H && float64(rows[y]) > inkedRow*full; y++ {
		if float64(rows[y]) >= baseRow*full {
			base = y
		}
	}
	if share := float64(base+1-top) / float64(im.H); share >= leastRise {
		return share
	}
	return 0
}

// size is how large a line is set: the height of its capitals in pixels, or what its box says of it.
func (a *assembly) size(l placed) float64 {
	if l.rise > 0 {
		return l.rise * l.quad.height()
	}
	return a.usualRise * l.quad.height()
}

// measure learns how large the text of the page is set: as most of its letters are.
func (a *assembly) measure() {
	var rises []float64
	for _, l := range a.lines {
		if l.rise > 0 {
			rises = append(rises, l.rise)
		}
	}
	if a.usualRise = median(rises); a.usualRise == 0 {
		a.usualRise = 1
	}
	sorted := slices.Clone(a.lines)
	slices.SortStableFunc(sorted, func(x, y placed) int { return cmp.Compare(a.size(x), a.size(y)) })
	all, n := 0, 0
	for _, l := range sorted {
		all += signs(l.str)
	}
	for _, l := range sorted {
		a.print = a.size(l)
		if n += signs(l.str); 2*n >= all {
			return
		}
	}
}
