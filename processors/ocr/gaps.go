package ocr

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"docstream/internal/engine/raster"
)

// Where a line has a space that the model did not read: beside a sign that ends or begins a word, with a gap as wide as the spaces that it did
// read in the same line.
const (
	inkShare  = 0.15 // of the way from the palest columns of a line to the darkest ones, from which a column has ink
	gapShare  = 0.8  // of the usual space of the line, from which a gap is one
	gapTimes  = 1.5  // of the wider gaps within the words of the line that it must have at least
	gapSpaces = 3    // spaces that a line must have, for its usual one to be known
)

// Signs that end the word before a space, and begin the one behind it. Others, such as hyphens, stand loosely within a word.
const (
	endings    = ".,;:!?)]}%\"'”’»"
	beginnings = "([{\"“‘«$€£§#&"
)

// gauge tells which columns of a line have ink. It keeps its buffers.
type gauge struct {
	dark, sorted []int32
}

// ink appends one element for each column of a line's image: whether text is in it. Both black on white and white on black are text: it is
// what differs from most of the line. The rows at the top and at the bottom can show the lines above and below.
func (g *gauge) ink(out []bool, im *raster.Image) []bool {
	from, to := im.H/8, im.H-im.H/8
	pix := im.Planes[1]
	var counts [256]int32
	for _, v := range pix[from*im.W : to*im.W] {
		counts[v]++
	}
	ground, n := 0, int32(0)
	for half := int32((to - from) * im.W / 2); n <= half && ground < 255; ground++ {
		n += counts[ground]
	}
	g.dark = grow(g.dark, im.W)
	clear(g.dark)
	for y := from; y < to; y++ {
		for x, v := range pix[y*im.W : (y+1)*im.W] {
			d := int32(v) - int32(ground)
			g.dark[x] += max(d, -d)
		}
	}
	g.sorted = append(g.sorted[:0], g.dark...)
	slices.Sort(g.sorted)
	pale, dark := g.sorted[im.W/10], g.sorted[im.W*9/10]
	least := float64(pale) + inkShare*float64(dark-pale)
	for _, v := range g.dark {
		out = append(out, float64(v) >= least)
	}
	return out
}

// part adds the spaces that were not read. ink is of the columns of the line, from its first to its last.
func (s *transcript) part(ink []bool) {
	gap := func(a, b char) float64 {
		widest, wide := 0, 0
		for x := int(a.at * float64(len(ink))); x < min(int(b.at*float64(len(ink)))+1, len(ink)); x++ {
			if wide++; ink[x] {
				wide = 0
			}
			widest = max(widest, wide)
		}
		return float64(widest)
	}
	var spaces, within []float64
	for i := 1; i < len(s.chars); i++ {
		switch a, b := s.chars[i-1], s.chars[i]; {
		case !a.space() && !b.space():
			within = append(within, gap(a, b))
		case b.space() && !a.space() && i+1 < len(s.chars) && !s.chars[i+1].space():
			spaces = append(spaces, gap(a, s.chars[i+1]))
		}
	}
	if len(spaces) < gapSpaces || len(within) == 0 {
		return
	}
	slices.Sort(within)
	least := max(gapShare*median(spaces), gapTimes*within[(len(within)-1)*9/10]+1, 2)
	for i := len(s.chars) - 1; i > 0; i-- {
		if a, b := s.chars[i-1], s.chars[i]; parts(a.text, b.text) && gap(a, b) >= least {
			s.chars = slices.Insert(s.chars, i, char{" ", (a.at + b.at) / 2, min(a.score, b.score)})
		}
	}
}

// parts reports whether a space that was not read can stand between two signs: at the end or the beginning of a word by its sign, not between
// letters, which blur and narrow print can part in the middle of a word, not within a number, and not where none is written.
func parts(before, behind string) bool {
	a, _ := utf8.DecodeLastRuneInString(before)
	b, _ := utf8.DecodeRuneInString(behind)
	if spaceless(a) || spaceless(b) || unicode.IsDigit(b) && strings.ContainsRune(".,:", a) {
		return false
	}
	plain := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	ends, begins := strings.ContainsRune(endings, a), strings.ContainsRune(beginnings, b)
	return ends && (plain(b) || begins) || plain(a) && begins
}
