package witness_test

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"docstream/internal/engine"
	"docstream/internal/testenv/models"
	"docstream/ops/bench/paper"
	"docstream/ops/sample"
	"docstream/processors/ocr"
	"docstream/processors/prepare/formats/witness"
)

var bounds = witness.Bounds{Lines: 8, Agreement: 0.85, Silence: 0.1}

// reader is the real one.
func reader(t testing.TB) witness.Reader {
	t.Helper()
	g, err := ocr.OpenGlance(models.Open(t, engine.DefaultModelSet()))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// truth is the words of some pages of our own.
func truth(t testing.TB, seed uint64, words int) []string {
	t.Helper()
	var out []string
	for page := 4; len(out) < words; page++ {
		s, err := sample.Truth(sample.Options{Pages: 1, Seed: seed}, page)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.Fields(s)...)
	}
	return out[:words]
}

// sheet sets words in lines as a scan at a resolution, and says where each stands.
func sheet(t testing.TB, words []string, points, dpi float64) (*image.Gray, []witness.Word) {
	t.Helper()
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: points, DPI: dpi, Hinting: font.HintingNone})
	if err != nil {
		t.Fatal(err)
	}
	m := image.NewGray(image.Rect(0, 0, int(8.27*dpi), int(11.69*dpi)))
	draw.Draw(m, m.Rect, image.NewUniform(color.Gray{244}), image.Point{}, draw.Src)
	d := font.Drawer{Dst: m, Src: image.NewUniform(color.Gray{28}), Face: face}
	var out []witness.Word
	left, right, leading := int(dpi), int(7.27*dpi), int(1.25*points*dpi/72)
	x, y := left, int(dpi)
	up, down := face.Metrics().Ascent.Ceil(), face.Metrics().Descent.Ceil()
	for _, w := range words {
		wide := d.MeasureString(w).Ceil()
		if x+wide > right {
			x, y = left, y+leading
		}
		if y > m.Rect.Max.Y-int(dpi) {
			break
		}
		d.Dot = fixed.P(x, y)
		d.DrawString(w)
		out = append(out, witness.Word{Text: w, At: image.Rect(x, y-up, x+wide, y+down)})
		x += wide + d.MeasureString(" ").Ceil()
	}
	return m, out
}

// say puts other words in the place of those of a layer.
func say(layer []witness.Word, words []string) []witness.Word {
	out := append([]witness.Word{}, layer...)
	for i := range out {
		out[i].Text = words[i%len(words)]
	}
	return out
}

// misread changes letters at random.
func misread(layer []witness.Word, share float64, r *rand.Rand) []witness.Word {
	out := append([]witness.Word{}, layer...)
	for i := range out {
		out[i].Text = strings.Map(func(c rune) rune {
			if r.Float64() < share {
				return 'a' + rune(r.IntN(26))
			}
			return c
		}, out[i].Text)
	}
	return out
}

// moved puts the words of a layer elsewhere.
func moved(layer []witness.Word, dx, dy int) []witness.Word {
	out := append([]witness.Word{}, layer...)
	for i := range out {
		out[i].At = out[i].At.Add(image.Pt(dx, dy))
	}
	return out
}

// aslant turns a scan and its layer clockwise by some degrees around the middle.
func aslant(m *image.Gray, layer []witness.Word, degrees float64) (*image.Gray, []witness.Word) {
	angle := degrees * math.Pi / 180
	sin, cos := math.Sincos(angle)
	cx, cy := float64(m.Rect.Dx())/2, float64(m.Rect.Dy())/2
	out := append([]witness.Word{}, layer...)
	for i, w := range layer {
		x, y := float64(w.At.Min.X+w.At.Max.X)/2-cx, float64(w.At.Min.Y+w.At.Max.Y)/2-cy
		out[i].At = w.At.Add(image.Pt(int(x*cos-y*sin-x), int(x*sin+y*cos-y)))
	}
	return paper.Turned(m, angle), out
}

// counted counts what a reader is asked, and knows only letters without marks.
type counted struct {
	witness.Reader
	reads int
}

func (c *counted) Read(m *image.Gray, at image.Rectangle) (string, float64, error) {
	c.reads++
	return c.Reader.Read(m, at)
}

func TestALayerIsHeldToThePicture(t *testing.T) {
	r := reader(t)
	words := truth(t, 1, 900)
	plain, layer := sheet(t, words, 10, 150)
	em := layer[0].At.Dy()
	slanted, along := aslant(plain, layer, 2)
	rnd := rand.New(rand.NewPCG(1, 5))
	empty := image.NewGray(plain.Rect)
	photo := image.NewGray(plain.Rect)
	for i := range photo.Pix {
		photo.Pix[i] = byte(100 + 60*math.Sin(float64(i%1240)/90) + float64(rnd.IntN(40)))
	}
	for name, c := range map[string]struct {
		picture  *image.Gray
		layer    []witness.Word
		believed bool
	}{
		"it says the same":                  {plain, layer, true},
		"a little beside":                   {plain, moved(layer, em/2, em/5), true},
		"on a sheet that lies aslant":       {slanted, along, true},
		"one letter of twenty is wrong":     {plain, misread(layer, .05, rnd), true},
		"of another page":                   {plain, say(layer, truth(t, 7, 900)), false},
		"a line further down":               {plain, moved(layer, 0, 26), false},
		"half of the words are others":      {plain, mixture(layer, truth(t, 7, 900), rnd), false},
		"half of the page":                  {plain, layer[:len(layer)/2], false},
		"all but a line":                    {plain, layer[:len(layer)-12], true},
		"a single line":                     {plain, layer[:12], false},
		"none at all":                       {plain, nil, true},
		"of an empty picture":               {empty, layer, false},
		"where nothing can be read":         {photo, layer, true},
		"letters that the reader lacks":     {plain, say(layer, []string{"ქართული", "დამწერლობა"}), true},
		"turned words, which nobody reads":  {plain, turned(layer), true},
		"words without an extent":           {plain, []witness.Word{{Text: "harbour"}}, true},
		"words that lie beside the picture": {plain, moved(layer, 5000, 5000), false},
	} {
		t.Run(name, func(t *testing.T) {
			n := &counted{Reader: r}
			f, err := witness.Ask(c.picture, c.layer, n, bounds)
			if err != nil {
				t.Fatal(err)
			}
			if f.Believed(bounds) != c.believed {
				t.Errorf("found %+v", f)
			}
			if n.reads > bounds.Lines+bounds.Lines/2 {
				t.Errorf("read %d lines", n.reads)
			}
			if again, err := witness.Ask(c.picture, c.layer, r, bounds); err != nil || again != f {
				t.Errorf("once more it is %+v, %v", again, err)
			}
		})
	}
}

// mixture has half of the words of a layer and half of others.
func mixture(layer []witness.Word, words []string, r *rand.Rand) []witness.Word {
	out := append([]witness.Word{}, layer...)
	for i := range out {
		if r.IntN(2) == 0 {
			out[i].Text = words[i%len(words)]
		}
	}
	return out
}

func turned(layer []witness.Word) []witness.Word {
	out := append([]witness.Word{}, layer...)
	for i := range out {
		out[i].Turned = true
	}
	return out
}

// TestARightLayerIsBelievedOnAPoorScan holds right layers and those of other pages to scans as they are: nothing of a right layer is thrown away.
func TestARightLayerIsBelievedOnAPoorScan(t *testing.T) {
	r := reader(t)
	for _, condition := range paper.Conditions {
		for seed := range uint64(3) {
			m, layer := sheet(t, truth(t, seed+20, 700), 10, 150)
			m, err := paper.Degrade(m, condition, seed)
			if err != nil {
				t.Fatal(err)
			}
			if f, err := witness.Ask(m, layer, r, bounds); err != nil || !f.Believed(bounds) {
				t.Errorf("%s: right, and found %+v, %v", condition, f, err)
			}
			if f, err := witness.Ask(m, say(layer, truth(t, seed+60, 700)), r, bounds); err != nil || f.Believed(bounds) {
				t.Errorf("%s: of another page, and found %+v, %v", condition, f, err)
			}
		}
	}
}
