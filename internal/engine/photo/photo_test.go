package photo_test

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"
	"testing"

	"docstream/internal/engine/convex"
	"docstream/internal/engine/photo"
)

// sheet is a white page with a black mark at a tenth of its width and height from each corner, on ground of some grey with noise.
func sheet(ground uint8) *image.Gray {
	r := rand.New(rand.NewPCG(1, 2))
	im := image.NewGray(image.Rect(0, 0, 700, 900))
	for i := range im.Pix {
		im.Pix[i] = uint8(max(0, min(255, float64(ground)+10*r.NormFloat64())))
	}
	page := image.Rect(100, 100, 600, 800)
	draw.Draw(im, page, image.NewUniform(color.Gray{235}), image.Point{}, draw.Src)
	for y := 150; y < 750; y += 15 { // lines of text
		for x := 160; x < 540; x += 8 {
			draw.Draw(im, image.Rect(x, y, x+5, y+6), image.NewUniform(color.Gray{40}), image.Point{}, draw.Src)
		}
	}
	for _, p := range marks(page) {
		draw.Draw(im, image.Rect(p.X-8, p.Y-8, p.X+8, p.Y+8), image.Black, image.Point{}, draw.Src)
	}
	return im
}

func marks(r image.Rectangle) []image.Point {
	x, y := r.Dx()/10, r.Dy()/10
	return []image.Point{{r.Min.X + x, r.Min.Y + y}, {r.Max.X - x, r.Min.Y + y}, {r.Max.X - x, r.Max.Y - y}, {r.Min.X + x, r.Max.Y - y}}
}

// seen is the sheet as a camera at the side sees it.
func seen(ground uint8, corners [4]convex.Point) *image.Gray {
	return photo.Flatten(sheet(ground), corners).(*image.Gray)
}

var angles = map[string][4]convex.Point{
	"from below":      {{X: 10, Y: 20}, {X: 690, Y: 20}, {X: 630, Y: 880}, {X: 70, Y: 880}},
	"from the left":   {{X: 30, Y: 75}, {X: 695, Y: 10}, {X: 695, Y: 895}, {X: 30, Y: 830}},
	"from a corner":   {{X: 50, Y: 30}, {X: 665, Y: 75}, {X: 697.5, Y: 895}, {X: 5, Y: 850}},
	"turned a little": {{X: 75, Y: 5}, {X: 695, Y: 65}, {X: 635, Y: 895}, {X: 15, Y: 835}},
}

func TestASheetSeenAtAnAngleBecomesARectangle(t *testing.T) {
	for name, corners := range angles {
		im := seen(90, corners)
		found, ok := photo.Sheet(im)
		if !ok {
			t.Errorf("%s: no sheet was found", name)
			continue
		}
		flat := photo.Flatten(im, found).(*image.Gray)
		for _, p := range marks(flat.Rect) {
			if v := flat.GrayAt(p.X, p.Y).Y; v > 60 {
				t.Errorf("%s: %v of %v is %d, not the mark", name, p, flat.Rect, v)
			}
		}
		if share := float64(flat.Rect.Dy()) / float64(flat.Rect.Dx()); math.Abs(share-1.4) > .3 {
			t.Errorf("%s: %v", name, flat.Rect)
		}
	}
}

func TestColourIsKeptAndTheSamePixelsGiveTheSame(t *testing.T) {
	grey := seen(90, angles["from a corner"])
	im := image.NewRGBA(grey.Rect)
	for i, v := range grey.Pix {
		copy(im.Pix[4*i:], []uint8{v, v / 2, 10, 255})
	}
	corners, ok := photo.Sheet(im)
	if !ok {
		t.Fatal("no sheet was found")
	}
	a, b := photo.Flatten(im, corners).(*image.RGBA), photo.Flatten(im, corners).(*image.RGBA)
	if !bytes.Equal(a.Pix, b.Pix) {
		t.Error("two readings differ")
	}
	if c := a.RGBAAt(a.Rect.Dx()/2, 15); c.B > 12 || c.A != 255 || c.R < 150 || c.G > c.R/2+2 {
		t.Errorf("the paper is %v", c)
	}
}

func TestWhatIsNoPhotographOfASheetStaysAsItIs(t *testing.T) {
	flat := sheet(90)
	white := image.NewGray(image.Rect(0, 0, 620, 877))
	draw.Draw(white, white.Rect, image.White, image.Point{}, draw.Src)
	cut := seen(90, angles["from a corner"]).SubImage(image.Rect(150, 0, 620, 750)) // the sheet goes on beyond the picture
	night := image.NewGray(white.Rect)
	round := image.NewGray(white.Rect)
	for y := range 877 {
		for x := range 620 {
			if math.Hypot(float64(x-310), float64(y-438)) < 280 {
				round.SetGray(x, y, color.Gray{240})
			}
		}
	}
	for name, im := range map[string]image.Image{
		"a flat scan with a dark border": flat, "a page of text": flat.SubImage(image.Rect(105, 105, 595, 795)), "white": white, "black": night,
		"a sheet that is cut": cut, "a round plate": round, "pale ground": seen(225, angles["from a corner"]), "a few pixels": image.NewGray(image.Rect(0, 0, 5, 9)),
		"nothing": image.NewGray(image.Rectangle{}),
	} {
		if c, ok := photo.Sheet(im); ok {
			t.Errorf("%s: %v", name, c)
		}
	}
}
