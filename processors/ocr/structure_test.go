package ocr_test

import (
	"image"
	"image/color"
	"image/draw"
	"strings"
	"testing"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"docstream/internal/engine/raster"
	"docstream/schemas"
	"docstream/schemas/document"
)

// label is a text at a place, in pixels.
type label struct {
	x, y int
	text string
}

// sheet is a page at 150 dpi with labels in 11 points.
func sheet(t testing.TB, labels ...label) *raster.Image {
	t.Helper()
	im := image.NewGray(image.Rect(0, 0, 1240, 1754))
	draw.Draw(im, im.Bounds(), image.White, image.Point{}, draw.Src)
	page := raster.From(im)
	write(t, page, 11, labels...)
	return page
}

// face is Go Regular in some points at 150 dpi.
func face(t testing.TB, points float64) font.Face {
	t.Helper()
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	out, err := opentype.NewFace(f, &opentype.FaceOptions{Size: points, DPI: 150})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// write sets labels in some points on a copy of a grey page.
func write(t testing.TB, page *raster.Image, points float64, labels ...label) {
	t.Helper()
	im := image.NewGray(image.Rect(0, 0, page.W, page.H))
	copy(im.Pix, page.Planes[0])
	for _, l := range labels {
		d := font.Drawer{Dst: im, Src: image.NewUniform(color.Gray{10}), Face: face(t, points), Dot: fixed.P(l.x, l.y)}
		d.DrawString(l.text)
	}
	*page = *raster.From(im)
}

// grid sets rows of cells at the columns' places.
func grid(y int, at []int, rows ...[]string) (out []label) {
	for i, r := range rows {
		for c, s := range r {
			if s != "" {
				out = append(out, label{at[c], y + 45*i, s})
			}
		}
	}
	return out
}

// tableText is a table as one line a row, cells divided by bars.
func tableText(t *document.Table) string {
	lines := make([]string, t.Rows)
	for r := range lines {
		cells := make([]string, t.Columns)
		for _, c := range t.Cells {
			if c.Row == r {
				cells[c.Column] = c.Text
			}
		}
		lines[r] = strings.Join(cells, "|")
	}
	return strings.Join(lines, "\n")
}

var prices = [][]string{{"Article", "Quantity", "Price"}, {"Copper wire", "14", "260.00"}, {"Lamp", "2", "31.50"}, {"Garden hose", "", "18.90"}}

const pricesText = "Article|Quantity|Price\nCopper wire|14|260.00\nLamp|2|31.50\nGarden hose||18.90"

func TestATableRegionBecomesAGrid(t *testing.T) {
	r := reader(t)
	im := sheet(t, grid(300, []int{150, 520, 900}, prices...)...)
	for _, kind := range []string{"table", "figure"} { // the layout model takes tables without rules for figures
		p := read(t, r, im, 150, schemas.LaidRegion{Kind: kind, Score: .8, X0: 120, Y0: 250, X1: 1100, Y1: 480})
		if len(p.Blocks) != 1 || p.Blocks[0].Table == nil {
			t.Fatalf("%s: %+v", kind, p.Blocks)
		}
		table := p.Blocks[0].Table
		if got := tableText(table); got != pricesText {
			t.Errorf("%s:\n%s", kind, got)
		}
		for _, c := range table.Cells {
			if c.Header != (c.Row == 0) || c.Confidence < .5 || c.Box[2] <= c.Box[0] {
				t.Errorf("%s: cell %+v", kind, c)
			}
		}
	}
}

func TestLabelsAndValuesAreReadRowByRow(t *testing.T) {
	p := read(t, reader(t), sheet(t, grid(300, []int{150, 700}, []string{"Invoice number", "2041"}, []string{"Customer", "Harbour Office"}, []string{"Due date", "14 March"})...), 150)
	if len(p.Blocks) != 1 || p.Blocks[0].Table == nil {
		t.Fatalf("%+v", p.Blocks)
	}
	if got := tableText(p.Blocks[0].Table); got != "Invoice number|2041\nCustomer|Harbour Office\nDue date|14 March" {
		t.Error(got)
	}
	if p.Blocks[0].Table.Cells[0].Header {
		t.Error("a form has no header row")
	}
}

func TestListsAreTakenApart(t *testing.T) {
	region := schemas.LaidRegion{Kind: "text", Score: .9, X0: 120, Y0: 240, X1: 1100, Y1: 520}
	for name, tc := range map[string]struct {
		lines []string
		kinds string
	}{
		"bullets":           {[]string{"Bring with you:", "• a warm coat", "• two pencils and", "some paper", "• patience"}, "paragraph list_item list_item list_item"},
		"numbers":           {[]string{"1. Open the valve", "2. Wait a minute", "3. Close the valve"}, "list_item list_item list_item"},
		"a lone number":     {[]string{"The storm began in", "9. It was the", "worst in years"}, "paragraph"},
		"numbers at random": {[]string{"7. of the lines", "3. that follow", "5. nothing follows"}, "paragraph"},
	} {
		var labels []label
		for i, s := range tc.lines {
			labels = append(labels, label{150, 290 + 45*i, s})
		}
		var kinds []string
		p := read(t, reader(t), sheet(t, labels...), 150, region)
		for _, b := range p.Blocks {
			kinds = append(kinds, b.Kind)
		}
		if got := strings.Join(kinds, " "); got != tc.kinds {
			t.Errorf("%s: %s\n%+v", name, got, p.Blocks)
		}
	}
}

func TestAWordCutAtTheEndOfALineIsPutTogether(t *testing.T) {
	p := read(t, reader(t), sheet(t, label{150, 300, "The lighthouse keeper was remark-"}, label{150, 340, "able in his North-"}, label{150, 380, "South habits."}), 150,
		schemas.LaidRegion{Kind: "text", Score: .9, X0: 120, Y0: 240, X1: 1100, Y1: 420})
	if want := "The lighthouse keeper was remarkable in his North- South habits."; len(p.Blocks) != 1 || p.Blocks[0].Text != want {
		t.Errorf("%+v", p.Blocks)
	}
}

func TestAParagraphThatTheRegionsHaveCutIsWhole(t *testing.T) {
	first := []label{{150, 300, "The keeper of the lighthouse wrote down every evening"}, {150, 335, "which ships had passed, and what the weather was when they"}}
	for name, c := range map[string]struct {
		next label
		want int
	}{
		"a line that goes on":             {label{150, 370, "came by."}, 1},
		"a line that begins anew":         {label{150, 370, "Nobody read it."}, 2},
		"a line further down":             {label{150, 430, "came by."}, 2},
		"a line that begins further away": {label{400, 370, "came by."}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := read(t, reader(t), sheet(t, append(first, c.next)...), 150, schemas.LaidRegion{Kind: "text", Score: .9, X0: 120, Y0: 260, X1: 1100, Y1: 343})
			if len(p.Blocks) != c.want || c.want == 1 && !strings.HasSuffix(p.Blocks[0].Text, "when they came by.") {
				t.Errorf("%d blocks: %+v", len(p.Blocks), p.Blocks)
			}
		})
	}
}

func TestSmallPrintIsLookedAtLarger(t *testing.T) {
	text := strings.Repeat(prose+" ", 4)
	im := drawn(t, 150, 5.5, 2100, 1275, text)
	if f := f1(wordsOf(read(t, reader(t), raster.From(im), 150)), strings.Fields(text)); f < .85 {
		t.Errorf("word F1 of 5.5 points at 150 dpi: %.4f", f)
	}
}

// TestHeadingsAreSeenByTheirSize has headings that the layout model joined with their text, and says nothing of their levels.
func TestHeadingsAreSeenByTheirSize(t *testing.T) {
	im := sheet(t)
	y := 200
	put := func(points float64, lines ...string) {
		for _, s := range lines {
			write(t, im, points, label{150, y, s})
			y += int(points * 2.9)
		}
	}
	for i, points := range []float64{24, 16, 13, 16, 13} {
		y += 30
		put(points, []string{"Rules of the harbour", "Moorings", "Inner basin", "Fees", "Season"}[i])
		put(10.5, "The harbour office keeps a register of every boat that lies in the", "inner basin, and of the fees that its owner has paid for the season.")
	}
	p := read(t, reader(t), im, 150, schemas.LaidRegion{Kind: "text", Score: .9, X0: 120, Y0: 150, X1: 1100, Y1: float64(y)})
	var got []string
	for _, b := range p.Blocks {
		if b.Kind == document.Heading {
			got = append(got, strings.Repeat("#", b.Level)+" "+b.Text)
		}
	}
	want := "# Rules of the harbour\n## Moorings\n### Inner basin\n## Fees\n### Season"
	if strings.Join(got, "\n") != want || len(p.Blocks) != 10 {
		t.Errorf("%d blocks\n%s", len(p.Blocks), strings.Join(got, "\n"))
	}
}

func TestLargePrintThatIsNoHeadingIsText(t *testing.T) {
	body := label{150, 300, "The harbour office keeps a register of every boat that lies in the inner basin"}
	more := label{150, 340, "and of the fees that its owner has paid for the season, until it leaves again."}
	for name, large := range map[string]string{"an amount": "Total 412.50 EUR 2026", "a sentence": "The office is closed today.", "the rest of one": "and nobody knows why"} {
		im := sheet(t, body, more)
		write(t, im, 15, label{150, 440, large})
		for _, b := range read(t, reader(t), im, 150).Blocks {
			if b.Kind == document.Heading {
				t.Errorf("%s: %q is a heading", name, b.Text)
			}
		}
	}
}
