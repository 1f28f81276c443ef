package ocr_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	_ "image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	_ "golang.org/x/image/tiff"

	"docstream/internal/engine"
	"docstream/internal/engine/convex"
	"docstream/internal/engine/photo"
	"docstream/internal/engine/raster"
	"docstream/internal/testenv/models"
	"docstream/ops/bench/paper"
	"docstream/processors/ocr"
	"docstream/schemas"
	"docstream/schemas/document"
)

// models opens the tiny set; without it the test fails in CI and is skipped elsewhere.
func reader(t testing.TB) *ocr.Reader {
	t.Helper()
	r, err := ocr.Open(models.Open(t, engine.DefaultModelSet()))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const prose = `The harbour master kept two ledgers, one for ships and one for weather. Every evening he wrote down which vessels had
arrived, what they carried, and how much they owed for the night. In the second book he noted wind, rain and the height of the tide,
because his father had done so before him. Nobody ever asked to see these pages. When the old quay was rebuilt in 1974, an engineer
found that the numbers described sixty years of storms better than any instrument could. The town printed them, and students still
come to copy the tables by hand. Captains laughed at first, then they paid 15 percent less for insurance.`

// drawn is text set in Go Regular, wrapped at a width, at a resolution.
func drawn(t testing.TB, dpi, points float64, width, height int, columns ...string) *image.Gray {
	t.Helper()
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: points, DPI: dpi, Hinting: font.HintingNone})
	if err != nil {
		t.Fatal(err)
	}
	im := image.NewGray(image.Rect(0, 0, width, height))
	draw.Draw(im, im.Bounds(), image.White, image.Point{}, draw.Src)
	margin := int(dpi * 0.7)
	gutter := int(dpi * 0.3)
	column := (width - 2*margin - gutter*(len(columns)-1)) / len(columns)
	for i, text := range columns {
		x0 := margin + i*(column+gutter)
		d := font.Drawer{Dst: im, Src: image.NewUniform(color.Gray{20}), Face: face}
		y := margin + face.Metrics().Height.Ceil()
		line := ""
		flush := func() {
			d.Dot = fixed.P(x0, y)
			d.DrawString(line)
			y += int(float64(face.Metrics().Height.Ceil()) * 1.1)
			line = ""
		}
		for _, w := range strings.Fields(text) {
			if line != "" && d.MeasureString(line+" "+w).Ceil() > column {
				flush()
			}
			line = strings.TrimSpace(line + " " + w)
		}
		flush()
	}
	return im
}

func read(t testing.TB, r *ocr.Reader, im *raster.Image, dpi int, regions ...schemas.LaidRegion) *document.Page {
	t.Helper()
	p, err := r.Page(im, 1, dpi, regions)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func wordsOf(p *document.Page) (out []string) {
	for _, b := range p.Blocks {
		for _, l := range b.Lines {
			for _, w := range l.Words {
				out = append(out, w.Text)
			}
		}
		if b.Table != nil {
			for _, c := range b.Table.Cells {
				out = append(out, strings.Fields(c.Text)...)
			}
		}
	}
	return out
}

// f1 is the word F1 of two bags of words.
func f1(got, want []string) float64 {
	left := map[string]int{}
	for _, w := range want {
		left[w]++
	}
	hits := 0
	for _, w := range got {
		if left[w] > 0 {
			left[w]--
			hits++
		}
	}
	return 2 * float64(hits) / float64(len(got)+len(want))
}

func TestACleanPageIsReadAlmostWithoutMistakes(t *testing.T) {
	r := reader(t)
	for _, dpi := range []float64{150, 200, 300} {
		t.Run(fmt.Sprint(dpi, " dpi"), func(t *testing.T) {
			im := drawn(t, dpi, 11, int(8.27*dpi), int(11.69*dpi), strings.Repeat(prose+" ", 3))
			p := read(t, r, raster.From(im), int(dpi))
			if f := f1(wordsOf(p), strings.Fields(strings.Repeat(prose+" ", 3))); f < .95 {
				t.Errorf("word F1 %.4f", f)
			}
			if p.Width < 594 || p.Width > 597 || p.Height < 840 || p.Height > 843 || p.Unit != "pt" || p.Source != "ocr" || p.Confidence < .9 {
				t.Errorf("page %+v", *p)
			}
		})
	}
}

func TestColumnsAreReadOneAfterTheOther(t *testing.T) {
	left := strings.Repeat(prose+" ", 2)
	right := strings.ToUpper(prose)
	im := drawn(t, 150, 9, 1240, 1754, left, right)
	got := strings.Join(wordsOf(read(t, reader(t), raster.From(im), 150)), " ")
	if last, first := strings.LastIndex(got, "insurance."), strings.Index(got, "HARBOUR"); last < 0 || first < last {
		t.Errorf("the left column ends at %d, the right one begins at %d", last, first)
	}
}

func TestARegionOverTwoColumnsIsReadOneAfterTheOther(t *testing.T) {
	im := drawn(t, 150, 9, 1240, 1754, prose, strings.ToUpper(prose))
	r := reader(t)
	for _, kind := range []string{"text", "table"} {
		whole := schemas.LaidRegion{Kind: kind, Score: .6, X0: 60, Y0: 60, X1: 1200, Y1: 1700}
		got := strings.Join(wordsOf(read(t, r, raster.From(im), 150, whole)), " ")
		if last, first := strings.LastIndex(got, "insurance."), strings.Index(got, "HARBOUR"); last < 0 || first < last {
			t.Errorf("%s: the left column ends at %d, the right one begins at %d", kind, last, first)
		}
	}
}

func TestAPageOnItsSideOrHeadIsTurned(t *testing.T) {
	r := reader(t)
	upright := raster.From(drawn(t, 150, 11, 1240, 1754, prose))
	want := read(t, r, upright, 150)
	for _, degrees := range []int{90, 180, 270} {
		p := read(t, r, upright.Turn(degrees), 150)
		if p.Rotation != 360-degrees || p.Width != want.Width || p.Height != want.Height {
			t.Errorf("turned by %d: turned back by %d, %v by %v", degrees, p.Rotation, p.Width, p.Height)
		}
		if f := f1(wordsOf(p), strings.Fields(prose)); f < .95 {
			t.Errorf("turned by %d: word F1 %.4f", degrees, f)
		}
	}
	if want.Rotation != 0 {
		t.Errorf("an upright page was turned by %d", want.Rotation)
	}
}

func TestWordBoxesLieOnTheirWords(t *testing.T) {
	p := read(t, reader(t), raster.From(drawn(t, 150, 11, 1240, 1754, prose)), 150)
	for _, b := range p.Blocks {
		for _, l := range b.Lines {
			end := l.Box[0] - 1
			for _, w := range l.Words {
				if w.Box[0] < end-2 || w.Box[2] <= w.Box[0] || w.Box[1] < l.Box[1]-1 || w.Box[3] > l.Box[3]+1 {
					t.Errorf("word %q at %v in the line %v, the one before ends at %.1f", w.Text, w.Box, l.Box, end)
				}
				end = w.Box[2]
				// Go Regular at 11 pt: a character is 3 to 10 pt wide.
				if per := (w.Box[2] - w.Box[0]) / float64(len(w.Text)); per < 2.5 || per > 14 {
					t.Errorf("word %q is %.1f points wide", w.Text, w.Box[2]-w.Box[0])
				}
			}
		}
	}
}

func TestTheSamePageAloneAndBesideOthersGivesEqualBytes(t *testing.T) {
	page := func(r *ocr.Reader) []byte {
		b, err := json.Marshal(read(t, r, raster.From(drawn(t, 150, 10, 1240, 1754, prose, prose)), 150))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	alone := page(reader(t))
	r := reader(t)
	read(t, r, raster.From(drawn(t, 200, 16, 1700, 1100, prose)), 200)
	read(t, r, raster.From(drawn(t, 72, 8, 400, 300, "A small one.")), 72)
	if beside := page(r); !bytes.Equal(alone, beside) {
		t.Errorf("%d and %d bytes differ", len(alone), len(beside))
	}
}

func TestRegionsBecomeBlocks(t *testing.T) {
	im := drawn(t, 150, 11, 1240, 1754, prose)
	kinds := func(r ...schemas.LaidRegion) (out []string) {
		for _, b := range read(t, reader(t), raster.From(im), 150, r...).Blocks {
			out = append(out, b.Kind)
		}
		return out
	}
	whole := schemas.LaidRegion{Kind: "text", Score: .9, X0: 90, Y0: 90, X1: 1160, Y1: 700}
	if got := kinds(whole); len(got) != 1 || got[0] != document.Paragraph {
		t.Errorf("one text region gave %v", got)
	}
	top := schemas.LaidRegion{Kind: "title", Score: .9, X0: 90, Y0: 100, X1: 1160, Y1: 140}
	figure := schemas.LaidRegion{Kind: "figure", Score: .9, X0: 200, Y0: 1000, X1: 900, Y1: 1500}
	if got := kinds(top, figure); got[0] != document.Heading || got[len(got)-1] != document.Figure {
		t.Errorf("a title, loose lines and a figure gave %v", got)
	}
	footer := whole
	footer.Kind = "footer"
	if got := kinds(footer); got[0] != document.Paragraph {
		t.Errorf("a footer at the top of the page was believed: %v", got)
	}
}

func TestAnEmptyPageIsAPage(t *testing.T) {
	im := image.NewGray(image.Rect(0, 0, 300, 400))
	draw.Draw(im, im.Bounds(), image.White, image.Point{}, draw.Src)
	p := read(t, reader(t), raster.From(im), 72)
	if len(p.Blocks) != 0 || p.Blocks == nil || p.Confidence != 0 || p.Width != 300 {
		t.Errorf("%+v", p)
	}
}

func TestSamplesReadAsTheirTranscriptsSay(t *testing.T) {
	dir := os.Getenv("DOCSTREAM_SAMPLES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "samples")
	}
	r := reader(t)
	for _, tc := range []struct {
		name, expected string
		least          float64
	}{
		{"latin-languages.tif", "latin-languages.txt", .85},
		{"chinese-two-lines.jpg", "chinese-two-lines.txt", .95},
	} {
		f, err := os.Open(filepath.Join(dir, tc.name))
		if err != nil {
			t.Skip(err)
		}
		im, _, err := image.Decode(f)
		_ = f.Close()
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(dir, "expected", tc.expected))
		if err != nil {
			t.Fatal(err)
		}
		got := wordsOf(read(t, r, raster.From(im), 72))
		a, b := got, strings.Fields(string(want))
		if strings.HasPrefix(tc.name, "chinese") { // no spaces to count words by
			a, b = strings.Split(strings.Join(a, ""), ""), strings.Split(strings.Join(b, ""), "")
		}
		score := f1(a, b)
		t.Logf("%s: F1 %.4f", tc.name, score)
		if score < tc.least {
			t.Errorf("%s: F1 %.4f\n%s", tc.name, score, strings.Join(got, " "))
		}
	}
}

func TestAChildReadsAnEncodedPage(t *testing.T) {
	models.Open(t, engine.DefaultModelSet())
	var b bytes.Buffer
	if err := png.Encode(&b, drawn(t, 150, 11, 1240, 1754, prose)); err != nil {
		t.Fatal(err)
	}
	s, err := newEngine(t, "models").Lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	var res ocr.Result
	req := ocr.Request{Image: b.Bytes(), MaxPixels: 1e8, Reading: engine.DefaultModelSet().Reading().String(), Number: 3, DPI: 150}
	u, err := s.Call(t.Context(), ocr.Method, req, &res)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("first page, models loaded: %.2f CPU s", u.CPU.Seconds())
	var p document.Page
	if err := json.Unmarshal(res.JSON, &p); err != nil {
		t.Fatal(err)
	}
	if f := f1(wordsOf(&p), strings.Fields(prose)); f < .95 || p.Number != 3 || res.Words != len(wordsOf(&p)) {
		t.Errorf("F1 %.4f, page %d, %d words", f, p.Number, res.Words)
	}
}

func BenchmarkPage(b *testing.B) {
	r := reader(b)
	im := raster.From(drawn(b, 150, 9, 1275, 1651, strings.Repeat(prose+" ", 5), strings.Repeat(prose+" ", 5)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Page(im, 1, 150, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// cascade is a reader whose thorough model reads the lines below a certainty.
func cascade(t testing.TB, recognition string, doubt float64) *ocr.Reader {
	t.Helper()
	set := engine.DefaultModelSet()
	set.Recognition, set.Doubt = recognition, doubt
	r, err := ocr.Open(models.Open(t, set))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDoubtDecidesWhichModelReadsALine(t *testing.T) {
	im := raster.From(drawn(t, 150, 11, 1240, 1754, prose))
	by := func(r *ocr.Reader) map[string]int {
		n := map[string]int{}
		for _, b := range read(t, r, im, 150).Blocks {
			for _, l := range b.Lines {
				n[l.Model]++
			}
		}
		return n
	}
	const quick, thorough = "ppocrv6-tiny-rec", "ppocrv6-small-rec"
	if n := by(cascade(t, engine.Tiny, 0)); n[quick] == 0 || len(n) != 1 {
		t.Errorf("tiny alone: %v", n)
	}
	low, high := by(cascade(t, engine.Cascade, 1e-9)), by(cascade(t, engine.Cascade, 1))
	if low[thorough] != 0 || high[thorough] <= high[quick] {
		t.Errorf("hardly any doubt: %v; every doubt: %v", low, high)
	}
	some := by(cascade(t, engine.Cascade, 0))
	if some[thorough] >= high[thorough] || some[quick] == 0 {
		t.Errorf("the default doubt: %v; every doubt: %v", some, high)
	}
}

const (
	russian = `Смотритель гавани вёл две книги: одну для кораблей, другую для погоды. Каждый вечер он записывал, какие суда пришли, что они
привезли и сколько должны за ночь. Во второй книге он отмечал ветер, дождь и высоту прилива, потому что так делал его отец.`
	accents = `Größe, façade, señor, crème brûlée, København, smørrebrød, naïve, über, garçon, año, été, où, müßig, Ängste, Öl, œuvre.`
)

func TestAScriptOutsideTheDictionaryIsWarnedOf(t *testing.T) {
	r := reader(t)
	for _, tc := range []struct {
		text string
		warn bool
	}{{russian, true}, {prose, false}, {accents, false}} {
		p := read(t, r, raster.From(drawn(t, 150, 11, 1240, 1754, tc.text)), 150)
		if warned := len(p.Warnings) > 0; warned != tc.warn || warned && p.Warnings[0].Code != document.ScriptUnknown {
			t.Errorf("%.20q: %+v, confidence %v: %v", tc.text, p.Warnings, p.Confidence, wordsOf(p))
		}
	}
}

func TestAPageSkewedByUpToFifteenDegreesIsRead(t *testing.T) {
	r := reader(t)
	im := drawn(t, 150, 11, 1240, 1754, prose)
	for _, degrees := range []float64{-15, -8, 4, 15} {
		p := read(t, r, raster.From(paper.Turned(im, degrees*math.Pi/180)), 150)
		if f := f1(wordsOf(p), strings.Fields(prose)); f < .93 || p.Rotation != 0 {
			t.Errorf("skewed by %v: word F1 %.4f, turned by %d", degrees, f, p.Rotation)
		}
	}
}

func TestASheetPhotographedAtAnAngleIsRead(t *testing.T) {
	r := reader(t)
	ground := image.NewGray(image.Rect(0, 0, 1600, 2100))
	draw.Draw(ground, ground.Rect, image.NewUniform(color.Gray{70}), image.Point{}, draw.Src)
	draw.Draw(ground, image.Rect(180, 170, 1420, 1924), drawn(t, 150, 11, 1240, 1754, prose, prose), image.Point{}, draw.Src)
	for name, camera := range map[string][4]convex.Point{
		"from below":    {{X: 0, Y: 0}, {X: 1599, Y: 0}, {X: 1400, Y: 2099}, {X: 200, Y: 2099}},
		"from a corner": {{X: 60, Y: 40}, {X: 1500, Y: 160}, {X: 1590, Y: 2090}, {X: 10, Y: 1900}},
	} {
		picture := photo.Flatten(ground, camera)
		corners, ok := photo.Sheet(picture)
		if !ok {
			t.Errorf("%s: no sheet was found", name)
			continue
		}
		p := read(t, r, raster.From(photo.Flatten(picture, corners)), 150)
		if f := f1(wordsOf(p), strings.Fields(prose+" "+prose)); f < .95 {
			t.Errorf("%s: word F1 %.4f", name, f)
		}
	}
}

func TestASteadyReaderAllocatesNothingOfImageSize(t *testing.T) {
	r := reader(t)
	upright := raster.From(drawn(t, 200, 14, 1654, 2339, prose))
	for _, im := range []*raster.Image{upright, upright.Turn(90)} {
		read(t, r, im, 200)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		read(t, r, im, 200)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > uint64(im.W*im.H)/2 {
			t.Errorf("%d bytes for an image of %d", n, im.W*im.H)
		}
	}
}
