package pdf_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/pdf/pdftest"
)

// written is a picture of text.
func written(t *testing.T, lines ...string) *pdftest.Image {
	t.Helper()
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: 20, DPI: 72})
	if err != nil {
		t.Fatal(err)
	}
	m := image.NewGray(image.Rect(0, 0, 900, 30+28*len(lines)))
	for i := range m.Pix {
		m.Pix[i] = 245
	}
	for i, l := range lines {
		d := font.Drawer{Dst: m, Src: image.NewUniform(color.Gray{20}), Face: face, Dot: fixed.P(20, 35+28*i)}
		d.DrawString(l)
	}
	return &pdftest.Image{Width: m.Rect.Dx(), Height: m.Rect.Dy(), Pixels: m.Pix}
}

// scene is a picture of no text: even hills under noise.
func scene() *pdftest.Image {
	r := rand.New(rand.NewPCG(1, 2))
	i := &pdftest.Image{Width: 300, Height: 120}
	for y := range i.Height {
		for x := range i.Width {
			i.Pixels = append(i.Pixels, byte(60+y+(x*x/500)%60+r.IntN(25)))
		}
	}
	return i
}

func TestOfAPageWithTextOnlyThePicturesOfTextAreLookedAt(t *testing.T) {
	text := pdftest.Lines("F1", 10, 12, 72, 740, prose...)
	lines := []string{"Depth of the harbour at low tide", "North pier 4.20 m", "South pier 3.15 m", "Old basin 2.80 m", "Ferry berth 5.10 m", "Yacht haven 2.05 m",
		"Fuel jetty 3.90 m", "Slipway 1.60 m", "Lock sill 4.75 m", "Fairway 7.20 m", "Roads 11.40 m", "All depths are those of the last survey"}
	lines = append(lines, lines[1:8]...)
	picture := written(t, lines...)
	said := slices.Clone(lines)
	for i := range said {
		said[i] += " and more words"
	}
	logo := &pdftest.Image{Width: 4, Height: 4, Pixels: bytes.Repeat([]byte{255, 10, 10, 255}, 4)}
	for name, c := range map[string]struct {
		picture *pdftest.Image
		content string
		ocr     string
		looked  bool
	}{
		"a picture of text":               {picture, text + pdftest.Picture(56, 200, 500, 312), formats.Auto, true},
		"a small one beside its text":     {picture, text + pdftest.Picture(56, 200, 400, 250), formats.Auto, false},
		"under text that says the same":   {picture, pdftest.Picture(56, 200, 500, 312) + text + pdftest.Lines("F1", 11, 15.56, 67, 492.5, said...), formats.Auto, false},
		"a photograph":                    {scene(), text + pdftest.Picture(56, 200, 500, 312), formats.Auto, false},
		"a logo":                          {logo, text + pdftest.Picture(72, 400, 100, 100), formats.Auto, false},
		"a picture of text nobody wanted": {picture, text + pdftest.Picture(56, 200, 500, 312), formats.Off, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := auto
			w.OCR = c.ocr
			p := read(t, w, pdftest.Page{Content: c.content, Image: c.picture})
			if p.Text == nil || (p.Image != nil) != c.looked {
				t.Fatalf("text %v, image %v", p.Text != nil, p.Image != nil)
			}
			if !c.looked {
				return
			}
			if got := fmt.Sprint(kinds(p.Text)); got != "[paragraph figure]" {
				t.Errorf("the text has %s", got)
			}
			m, err := png.Decode(bytes.NewReader(p.Image.PNG))
			if err != nil {
				t.Fatal(err)
			}
			for y := range m.Bounds().Dy() { // what the text says is not looked at again
				for x := 0; x < m.Bounds().Dx(); x += 3 {
					if r, _, _, _ := m.At(x, y).RGBA(); r < 0x8000 && float64(y)*72/150 < 279 {
						t.Fatalf("there is ink at %d, %d", x, y)
					}
				}
			}
		})
	}
}
