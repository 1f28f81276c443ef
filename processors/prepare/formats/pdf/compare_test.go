package pdf_test

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"docstream/internal/engine"
	"docstream/internal/testenv/models"
	"docstream/processors/ocr"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/pdf"
	"docstream/processors/prepare/formats/pdf/pdftest"
	"docstream/processors/prepare/formats/witness"
)

// seen is a word on a scan, in points from the lower left corner.
type seen struct {
	text           string
	x, base, width float64
}

// scanned sets lines of text as a scan of a whole page at 150 dpi, and says where each word stands.
func scanned(t testing.TB, lines []string) (*pdftest.Image, []seen) {
	t.Helper()
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	const dpi, points, leading = 150, 11, 16.0
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: points, DPI: dpi, Hinting: font.HintingNone})
	if err != nil {
		t.Fatal(err)
	}
	m := image.NewGray(image.Rect(0, 0, 1275, 1650))
	draw.Draw(m, m.Rect, image.NewUniform(color.Gray{244}), image.Point{}, draw.Src)
	d := font.Drawer{Dst: m, Src: image.NewUniform(color.Gray{28}), Face: face}
	var out []seen
	for i, l := range lines {
		base := 720 - leading*float64(i)
		x := 72.0
		for _, w := range strings.Fields(l) {
			d.Dot = fixed.P(int(x*dpi/72), int((792-base)*dpi/72))
			d.DrawString(w)
			wide := float64(d.MeasureString(w).Ceil()) * 72 / dpi
			out = append(out, seen{w, x, base, wide})
			x += wide + 4
		}
	}
	return &pdftest.Image{Width: m.Rect.Dx(), Height: m.Rect.Dy(), Pixels: m.Pix}, out
}

// layerOf writes words where others are seen, each as wide as what is seen there, as recognisers do.
func layerOf(places []seen, words []string) string {
	var b strings.Builder
	for i, p := range places {
		w := words[i%len(words)]
		fmt.Fprintf(&b, "%.2f Tz %s", 100*p.width/(0.6*11*float64(len(w))), pdftest.Text("F3", 11, p.x, p.base, w))
	}
	return b.String() + "100 Tz\n"
}

// sentences are lines of some 70 letters of a text of our own.
func sentences(text string, n int) (out []string) {
	words := strings.Fields(text)
	line := ""
	for i := 0; len(out) < n; i++ {
		w := words[i%len(words)]
		if len(line)+len(w) > 70 {
			out = append(out, line)
			line = ""
		}
		line += w + " "
	}
	return out
}

// scripted is a witness whose answer is fixed.
type scripted struct{ err error }

func (s scripted) Read(*image.Gray, image.Rectangle) (string, float64, error) { return "", 0, s.err }
func (s scripted) Knows(string) bool                                          { return true }

// witnessed is the format with the real witness.
func witnessed(t testing.TB) *pdf.Format {
	t.Helper()
	g, err := ocr.OpenGlance(models.Open(t, engine.DefaultModelSet()))
	if err != nil {
		t.Fatal(err)
	}
	return with(t, g)
}

func with(t testing.TB, r witness.Reader) *pdf.Format {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	f := pdf.New(filepath.Join(dir, "docstream", "compiled"), func() (witness.Reader, error) { return r, nil })
	t.Cleanup(f.Close)
	return f
}

// readWith reads the first page of a file.
func readWith(t testing.TB, f *pdf.Format, w formats.Want, page pdftest.Page) (formats.Page, error) {
	t.Helper()
	file := pdftest.Write(page)
	path := filepath.Join(t.TempDir(), "a.pdf")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	d, err := f.Open(in, int64(len(file)), pdf.MediaType, limits)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	return d.Read(1, w)
}

func held(ocr string) formats.Want {
	w := auto
	w.OCR, w.Layers = ocr, witness.Bounds{Lines: 8, Agreement: 0.85, Silence: 0.1}
	return w
}

func TestALayerThatNobodySeesIsHeldToThePicture(t *testing.T) {
	f := witnessed(t)
	lines := sentences(spoken["English"], 40)
	picture, places := scanned(t, lines)
	right, other := strings.Fields(strings.Join(lines, " ")), strings.Fields(spoken["Dutch"])
	half := places[:len(places)/2]
	full := pdftest.Picture(0, 0, 612, 792)
	strips := ""
	for i := range 8 {
		const rows = 1650 / 8
		strips += fmt.Sprintf("q 612 0 0 99 0 %d cm BI /W %d /H %d /CS /G /BPC 8 ID %s\nEI Q\n", 792-99*(i+1), picture.Width, rows,
			picture.Pixels[picture.Width*rows*i:picture.Width*rows*(i+1)])
	}
	blank := &pdftest.Image{Width: 2, Height: 2, Pixels: []byte{250, 250, 250, 250}}
	for name, c := range map[string]struct {
		page  pdftest.Page
		ocr   string
		image bool
	}{
		"what the picture shows":                 {page: pdftest.Page{Content: full + pdftest.Hidden(layerOf(places, right)), Image: picture}},
		"the same below the picture":             {page: pdftest.Page{Content: layerOf(places, right) + full, Image: picture}},
		"another text":                           {page: pdftest.Page{Content: full + pdftest.Hidden(layerOf(places, other)), Image: picture}, image: true},
		"another text below the picture":         {page: pdftest.Page{Content: layerOf(places, other) + full, Image: picture}, image: true},
		"another text, off":                      {page: pdftest.Page{Content: full + pdftest.Hidden(layerOf(places, other)), Image: picture}, ocr: formats.Off},
		"half of the lines":                      {page: pdftest.Page{Content: full + pdftest.Hidden(layerOf(half, right)), Image: picture}, image: true},
		"one line":                               {page: pdftest.Page{Content: full + pdftest.Hidden(layerOf(places[:12], right)), Image: picture}, image: true},
		"a picture that shows nothing":           {page: pdftest.Page{Content: full + pdftest.Hidden(layerOf(places, right)), Image: blank}},
		"text where the picture has noise":       {page: pdftest.Page{Content: full + pdftest.Hidden(layerOf(places, right)), Image: scan()}},
		"a picture in strips":                    {page: pdftest.Page{Content: strips + pdftest.Hidden(layerOf(places, right)), Image: picture}},
		"another text on a picture in strips":    {page: pdftest.Page{Content: strips + pdftest.Hidden(layerOf(places, other)), Image: picture}, image: true},
		"another text below a picture in strips": {page: pdftest.Page{Content: layerOf(places, other) + strips, Image: picture}, image: true},
		"another text on two thirds of the page": {page: pdftest.Page{Height: 1150, Content: full + pdftest.Hidden(layerOf(places, other)), Image: picture}, image: true},
		"a page that lies on its side":           {page: pdftest.Page{Rotate: 90, Content: full + pdftest.Hidden(layerOf(places, right)), Image: picture}},
		"visible text beside small picture":      {page: pdftest.Page{Content: layerOf(places, right) + pdftest.Picture(72, 10, 40, 40), Image: picture}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.ocr == "" {
				c.ocr = formats.Auto
			}
			p, err := readWith(t, f, held(c.ocr), c.page)
			if err != nil {
				t.Fatal(err)
			}
			if (p.Image != nil) != c.image || (p.Text != nil) == c.image {
				t.Errorf("image is %v, text is %v", p.Image != nil, p.Text != nil)
			}
		})
	}
}

func TestVisibleTextWhoseLettersAreOddIsHeldToThePage(t *testing.T) {
	f := witnessed(t)
	lines := sentences(spoken["English"], 30)
	said := strings.Map(func(r rune) rune { // what F5 says where it shows lines
		if i := strings.IndexRune("edtl", r); i >= 0 {
			return rune("edtl"[i^1])
		}
		return r
	}, strings.Join(lines, "\n"))
	for name, c := range map[string]struct {
		page  pdftest.Page
		image bool
	}{
		"it is on the page":          {page: pdftest.Page{Content: pdftest.Lines("F1", 11, 16, 72, 720, strings.Split(said, "\n")...)}},
		"the page shows other words": {page: pdftest.Page{Content: pdftest.Lines("F5", 11, 16, 72, 720, lines...)}, image: true},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := readWith(t, f, held(formats.Auto), c.page)
			if err != nil {
				t.Fatal(err)
			}
			if (p.Image != nil) != c.image || (p.Text != nil) == c.image {
				t.Errorf("image is %v, text is %v", p.Image != nil, p.Text != nil)
			}
			if p, err := readWith(t, format, auto, c.page); err != nil || p.Text == nil {
				t.Errorf("without a witness: %v", err)
			}
		})
	}
}

func TestALayerIsBelievedWhereNoLinesAreToBeRead(t *testing.T) {
	picture, places := scanned(t, sentences(spoken["English"], 40))
	page := pdftest.Page{Content: pdftest.Picture(0, 0, 612, 792) + pdftest.Hidden(layerOf(places, strings.Fields(spoken["Dutch"]))), Image: picture}
	broken := with(t, scripted{err: errors.New("no such model")})
	if p, err := readWith(t, broken, auto, page); err != nil || p.Text == nil {
		t.Errorf("no lines: %v, %v", p.Text, err)
	}
	if _, err := readWith(t, broken, held(formats.Auto), page); err == nil {
		t.Error("a witness that fails was believed")
	}
}
