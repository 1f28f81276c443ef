package witness

import (
	"image"
	"slices"
)

// How lines are found without a model: in strips of the page, rows of ink between rows without. Photographs, tables of shades and handwriting are no
// such lines; what is taken for one is read before it counts.
const (
	perHeight  = 4    // cells to the usual height of a word
	stripWidth = 12   // heights
	leastDense = 0.15 // of a strip's cells that are inked in a row of a line
	leastLine  = 0.4  // heights of a line
	mostLine   = 2.2
	leastLong  = 4   // heights of ink along it
	spokenOf   = 0.4 // of the cells of a line under words of the layer, from which the layer speaks of it
	leastMute  = 3   // lines that are missing, at least
	speck      = 0.1 // of the pixels of a cell, at least, that are ink
	readSigns  = 6   // letters and digits that a missing line reads as
)

// grid is a picture in cells: which are inked, and which of them lie under words of the layer.
type grid struct {
	side, w, h    int
	inked, spoken []bool
}

// silence is the share of the lines of a picture that the layer lacks, as far as a sample of them reads as text.
func silence(m *image.Gray, words []Word, r Reader, b Bounds) (float64, error) {
	em := usual(words)
	if em < perHeight || b.Lines < 2 {
		return 0, nil
	}
	g, ok := gridOf(m, words, em)
	if !ok {
		return 0, nil
	}
	mute, all := g.lines()
	share := float64(len(mute)) / float64(max(all, 1))
	if len(mute) < leastMute || share <= b.Silence {
		return 0, nil
	}
	asked := spread(mute, b.Lines/2)
	said := 0
	for _, at := range asked {
		text, sure, err := r.Read(m, at)
		if err != nil {
			return 0, err
		}
		if sure >= surely && len(plain(text)) >= readSigns {
			said++
		}
	}
	return share * float64(said) / float64(len(asked)), nil
}

// usual is the median height of the words.
func usual(words []Word) int {
	var heights []int
	for _, w := range words {
		if !w.Turned && w.At.Dx() > 0 {
			heights = append(heights, w.At.Dy())
		}
	}
	if len(heights) == 0 {
		return 0
	}
	slices.Sort(heights)
	return heights[len(heights)/2]
}

// gridOf puts a picture into cells. Gaps within words and between them count as ink, so that a line is one.
func gridOf(m *image.Gray, words []Word, em int) (*grid, bool) {
	is, ok := inkOf(m, m.Bounds())
	if !ok {
		return nil, false
	}
	b := m.Bounds()
	g := &grid{side: em / perHeight}
	g.w, g.h = b.Dx()/g.side, b.Dy()/g.side
	g.inked, g.spoken = make([]bool, g.w*g.h), make([]bool, g.w*g.h)
	least := max(1, int(speck*float64(g.side*g.side)))
	counts := make([]int, g.w)
	for y := range g.h {
		clear(counts)
		for dy := range g.side {
			row := m.Pix[m.PixOffset(b.Min.X, b.Min.Y+y*g.side+dy):]
			for x, v := range row[:g.w*g.side] {
				if is[v] {
					counts[x/g.side]++
				}
			}
		}
		last := -perHeight - 1
		for x, n := range counts {
			if n < least {
				continue
			}
			if x-last <= perHeight {
				for i := last; i < x; i++ {
					g.inked[y*g.w+i] = true
				}
			}
			g.inked[y*g.w+x], last = true, x
		}
	}
	for _, w := range words {
		at := image.Rect(w.At.Min.X-em/2, w.At.Min.Y, w.At.Max.X+em/2, w.At.Max.Y).Sub(b.Min)
		for y := max(0, at.Min.Y/g.side); y < min(g.h, (at.Max.Y+g.side-1)/g.side); y++ {
			for x := max(0, at.Min.X/g.side); x < min(g.w, (at.Max.X+g.side-1)/g.side); x++ {
				g.spoken[y*g.w+x] = true
			}
		}
	}
	return g, true
}

// lines returns where the lines are that the layer lacks, in pixels, and how many there are in all.
func (g *grid) lines() (mute []image.Rectangle, all int) {
	wide := stripWidth * perHeight
	for x0 := 0; x0 < g.w; x0 += wide {
		x1 := min(x0+wide, g.w)
		begin := -1
		for y := 0; y <= g.h; y++ {
			if y < g.h && g.count(g.inked, image.Rect(x0, y, x1, y+1)) >= int(leastDense*float64(x1-x0))+1 {
				if begin < 0 {
					begin = y
				}
				continue
			}
			if begin < 0 {
				continue
			}
			at := g.tight(image.Rect(x0, begin, x1, y))
			begin = -1
			if h := at.Dy(); float64(h) < leastLine*perHeight || float64(h) > mostLine*perHeight || at.Dx() < leastLong*perHeight {
				continue
			}
			all++
			if float64(g.under(at)) < spokenOf*float64(g.count(g.inked, at)) {
				at = image.Rect(at.Min.X-1, at.Min.Y-1, at.Max.X+1, at.Max.Y+1)
				mute = append(mute, image.Rectangle{at.Min.Mul(g.side), at.Max.Mul(g.side)})
			}
		}
	}
	return mute, all
}

// count is how many cells of a part are set.
func (g *grid) count(cells []bool, at image.Rectangle) (n int) {
	for y := at.Min.Y; y < at.Max.Y; y++ {
		for _, v := range cells[y*g.w+at.Min.X : y*g.w+at.Max.X] {
			if v {
				n++
			}
		}
	}
	return n
}

// under is how many inked cells of a part lie under words.
func (g *grid) under(at image.Rectangle) (n int) {
	for y := at.Min.Y; y < at.Max.Y; y++ {
		for x := at.Min.X; x < at.Max.X; x++ {
			if i := y*g.w + x; g.inked[i] && g.spoken[i] {
				n++
			}
		}
	}
	return n
}

// tight leaves out what of a part is without ink to its left and right.
func (g *grid) tight(at image.Rectangle) image.Rectangle {
	column := func(x int) int { return g.count(g.inked, image.Rect(x, at.Min.Y, x+1, at.Max.Y)) }
	for at.Min.X < at.Max.X && column(at.Min.X) == 0 {
		at.Min.X++
	}
	for at.Max.X > at.Min.X && column(at.Max.X-1) == 0 {
		at.Max.X--
	}
	return at
}
