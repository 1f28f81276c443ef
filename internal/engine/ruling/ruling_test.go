package ruling_test

import (
	"image"
	"image/color"
	"image/draw"
	"math/rand/v2"
	"testing"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"docstream/internal/engine/raster"
	"docstream/internal/engine/ruling"
)

const line = 28 // height of a line of text at 150 dpi

// paper is a page of text without rules.
func paper(t *testing.T) *image.Gray {
	t.Helper()
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: 11, DPI: 150})
	if err != nil {
		t.Fatal(err)
	}
	im := image.NewGray(image.Rect(0, 0, 900, 700))
	draw.Draw(im, im.Bounds(), image.White, image.Point{}, draw.Src)
	for y := 60; y < 700; y += 60 {
		d := font.Drawer{Dst: im, Src: image.NewUniform(color.Gray{10}), Face: face, Dot: fixed.P(70, y)}
		d.DrawString("Mmmm illlll EEHHLL ======= ______ minimum — 111 TTTTT")
	}
	return im
}

func bar(im *image.Gray, x0, y0, x1, y1 int, grey uint8) {
	draw.Draw(im, image.Rect(x0, y0, x1, y1), image.NewUniform(color.Gray{grey}), image.Point{}, draw.Src)
}

// has reports whether one of the rules is nearly this one.
func has(rules []ruling.Rule, at, from, to float64) bool {
	near := func(a, b, by float64) bool { return a-b <= by && b-a <= by }
	for _, r := range rules {
		if near(r.At, at, 2) && near(r.From, from, 8) && near(r.To, to, 8) {
			return true
		}
	}
	return false
}

func TestRulesAreFoundAmongTextAndNoise(t *testing.T) {
	im := paper(t)
	for _, y := range []int{20, 80, 140} {
		bar(im, 50, y, 850, y+2, 0)
	}
	for x := 50; x < 850; x += 14 { // dashes
		bar(im, x, 200, x+9, 202, 60)
	}
	for _, x := range []int{50, 848} {
		bar(im, x, 20, x+2, 202, 0)
	}
	bar(im, 450, 80, 451, 141, 40)
	bar(im, 50, 500, 850, 540, 0) // a black bar is none
	r := rand.New(rand.NewPCG(7, 7))
	for i, v := range im.Pix {
		im.Pix[i] = uint8(min(max(float64(v)*.85+20+r.NormFloat64()*18, 0), 255))
	}
	var f ruling.Finder
	h, v := f.Find(raster.From(im), line)
	for _, y := range []float64{21, 81, 141, 201} {
		if !has(h, y, 50, 850) {
			t.Errorf("nothing at the height %.0f: %v", y, h)
		}
	}
	if !has(v, 51, 20, 202) || !has(v, 849, 20, 202) || !has(v, 450.5, 80, 141) {
		t.Errorf("down: %v", v)
	}
	for _, r := range append(h, v...) {
		if r.At > 500 && r.At < 540 && r.From < 849 {
			t.Errorf("%v is inside of a bar", r)
		}
	}
}

func TestLettersAreNoRules(t *testing.T) {
	var f ruling.Finder
	h, v := f.Find(raster.From(paper(t)), line)
	for _, r := range h {
		if r.Length() > 130 { // the stroke drawn below a word is one
			t.Errorf("across: %v", r)
		}
	}
	if len(v) > 0 {
		t.Errorf("down: %v", v)
	}
}

func TestNothingIsFoundWhereNothingIs(t *testing.T) {
	var f ruling.Finder
	for _, size := range [][2]int{{1, 1}, {30, 30}, {400, 5}, {5, 400}, {300, 300}} {
		im := image.NewGray(image.Rect(0, 0, size[0], size[1]))
		if h, v := f.Find(raster.From(im), line); len(h)+len(v) > 0 {
			t.Errorf("%v: %v %v", size, h, v)
		}
	}
	if h, v := f.Find(raster.From(image.NewGray(image.Rect(0, 0, 300, 300))), 0); len(h)+len(v) > 0 {
		t.Errorf("%v %v", h, v)
	}
}
