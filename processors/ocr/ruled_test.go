package ocr_test

import (
	"fmt"
	"image"
	"strings"
	"testing"

	"docstream/internal/engine/raster"
	"docstream/schemas"
	"docstream/schemas/document"
)

// rule draws straight lines of two pixels.
func rule(im *raster.Image, lines ...image.Rectangle) *raster.Image {
	for _, l := range lines {
		for y := l.Min.Y; y < max(l.Max.Y, l.Min.Y+2); y++ {
			for x := l.Min.X; x < max(l.Max.X, l.Min.X+2); x++ {
				im.Planes[0][y*im.W+x] = 20
			}
		}
	}
	return im
}

// spansText is a table as one line a row, with the extent of each cell that spans several places and a mark behind headers.
func spansText(t *document.Table) string {
	lines := make([]string, t.Rows)
	for _, c := range t.Cells {
		s := c.Text
		if c.RowSpan > 1 || c.ColumnSpan > 1 {
			s += fmt.Sprintf(" %d×%d", max(1, c.RowSpan), max(1, c.ColumnSpan))
		}
		if c.Header {
			s += "*"
		}
		if lines[c.Row] != "" {
			s = "|" + s
		}
		lines[c.Row] += s
	}
	return strings.Join(lines, "\n")
}

func TestRulesMakeCellsWithSpansAndSeveralLines(t *testing.T) {
	labels := []label{
		{130, 265, "Region"}, {430, 240, "First half"}, {430, 290, "Spring"}, {730, 290, "Summer"},
		{130, 360, "North and"}, {130, 400, "North East"}, {430, 380, "260.00"}, {730, 380, "31.50"},
		{130, 460, "South"}, {430, 460, "not yet known"},
	}
	h := func(x0, x1, y int) image.Rectangle { return image.Rect(x0, y, x1, y) }
	v := func(y0, y1, x int) image.Rectangle { return image.Rect(x, y0, x, y1) }
	im := rule(sheet(t, labels...), h(100, 1000, 200), h(400, 1000, 255), h(100, 1000, 310), h(100, 1000, 420), h(100, 1000, 490),
		v(200, 490, 100), v(200, 490, 400), v(255, 420, 700), v(200, 492, 1000))
	want := "Region 2×1*|First half 1×2*\nSpring*|Summer*\nNorth and North East|260.00|31.50\nSouth|not yet known 1×2"
	region := schemas.LaidRegion{Kind: "figure", Score: .8, X0: 90, Y0: 190, X1: 1010, Y1: 500}
	for name, regions := range map[string][]schemas.LaidRegion{"without regions": nil, "in a figure": {region}} {
		for _, degrees := range []int{0, 90, 180, 270} {
			turned := im.Turn(degrees)
			if degrees != 0 {
				regions = nil
			}
			p := read(t, reader(t), turned, 150, regions...)
			if len(p.Blocks) != 1 || p.Blocks[0].Table == nil {
				t.Fatalf("%s, turned by %d: %+v", name, degrees, p.Blocks)
			}
			if got := spansText(p.Blocks[0].Table); got != want {
				t.Errorf("%s, turned by %d:\n%s", name, degrees, got)
			}
		}
	}
}

func TestATitleInTheFrameOfATableStandsAboveIt(t *testing.T) {
	at := []int{150, 520, 900}
	labels := append(grid(300, at, prices...), label{420, 245, "Prices of the harbour"})
	im := sheet(t, labels...)
	for _, x := range []int{120, 1100} {
		rule(im, image.Rect(x, 205, x, 460))
	}
	for _, x := range []int{490, 870} {
		rule(im, image.Rect(x, 255, x, 460))
	}
	for _, y := range []int{205, 255, 315, 460} {
		rule(im, image.Rect(120, y, 1102, y))
	}
	p := read(t, reader(t), im, 150)
	if len(p.Blocks) != 2 || p.Blocks[0].Text != "Prices of the harbour" || p.Blocks[1].Table == nil || p.Blocks[1].Table.Rows != len(prices) || p.Blocks[1].Table.Columns != 3 {
		t.Errorf("the page has %+v", p.Blocks)
	}
}

func TestRowsThatNoRulePartsAreRows(t *testing.T) {
	at := []int{150, 520, 900}
	im := sheet(t, grid(300, at, prices...)...)
	for _, x := range []int{120, 490, 870, 1100} {
		rule(im, image.Rect(x, 255, x, 460))
	}
	for _, y := range []int{255, 315, 460} {
		rule(im, image.Rect(120, y, 1100, y))
	}
	p := read(t, reader(t), im, 150)
	if len(p.Blocks) != 1 || p.Blocks[0].Table == nil {
		t.Fatalf("%+v", p.Blocks)
	}
	if got := tableText(p.Blocks[0].Table); got != pricesText {
		t.Error(got)
	}
}

func TestAFrameAroundTextIsNoTable(t *testing.T) {
	im := rule(sheet(t, label{150, 300, "The storm began in the night"}, label{150, 345, "and ended at noon."}),
		image.Rect(100, 250, 900, 250), image.Rect(100, 380, 902, 380), image.Rect(100, 250, 100, 380), image.Rect(900, 250, 900, 380))
	for _, b := range read(t, reader(t), im, 150).Blocks {
		if b.Table != nil {
			t.Errorf("%+v", b)
		}
	}
}

func TestLettersBetweenRulesAreNoBorders(t *testing.T) {
	at := []int{150, 520, 900}
	im := sheet(t, grid(300, at, prices...)...)
	for _, x := range []int{120, 490, 870, 1100} {
		rule(im, image.Rect(x, 255, x, 460))
	}
	for _, y := range []int{255, 315, 360, 405, 460} {
		rule(im, image.Rect(120, y, 1100, y))
	}
	rule(im, image.Rect(530, 338, 640, 338)) // below a word
	p := read(t, reader(t), im, 150)
	if len(p.Blocks) != 1 || p.Blocks[0].Table == nil || p.Blocks[0].Table.Rows != len(prices) {
		t.Fatalf("%+v", p.Blocks)
	}
}

func TestColumnsThatNoRulePartsAreColumns(t *testing.T) {
	at := []int{150, 520, 900}
	im := sheet(t, append(grid(300, at, append(prices, []string{"Rope", "3", "7.10"})...), label{150, 525, "All prices are those of the spring and hold until the end of it."})...)
	for _, x := range []int{120, 490, 1100} { // none between the quantity and the price
		rule(im, image.Rect(x, 255, x, 490))
	}
	for _, x := range []int{120, 1100} {
		rule(im, image.Rect(x, 490, x, 550))
	}
	for _, y := range []int{255, 315, 360, 405, 450, 490, 548} {
		rule(im, image.Rect(120, y, 1102, y))
	}
	p := read(t, reader(t), im, 150)
	if len(p.Blocks) != 1 || p.Blocks[0].Table == nil {
		t.Fatalf("%+v", p.Blocks)
	}
	want := pricesText + "\nRope|3|7.10\nAll prices are those of the spring and hold until the end of it.||"
	if got := tableText(p.Blocks[0].Table); got != want {
		t.Error(got)
	}
}

func TestABorderInOneRowOnlyIsNone(t *testing.T) {
	at := []int{150, 520, 900}
	im := sheet(t, grid(300, at, append(prices, []string{"Rope", "3", "7.10"}, []string{"Tar", "1", "3.90"})...)...)
	for _, x := range []int{120, 490, 870, 1100} {
		rule(im, image.Rect(x, 255, x, 540))
	}
	for _, y := range []int{255, 315, 360, 405, 450, 495, 540} {
		rule(im, image.Rect(120, y, 1102, y))
	}
	rule(im, image.Rect(135, 450, 135, 495))
	p := read(t, reader(t), im, 150)
	if len(p.Blocks) != 1 || p.Blocks[0].Table == nil {
		t.Fatalf("%+v", p.Blocks)
	}
	if got := tableText(p.Blocks[0].Table); got != pricesText+"\nRope|3|7.10\nTar|1|3.90" {
		t.Error(got)
	}
}

func TestAMissingRuleBetweenFullRowsPartsThemStill(t *testing.T) {
	rows := [][]string{{"Port", "May", "June", "July", "August"}, {"Bergen", "41", "52", "63", "74"}, {"Calais", "15", "26", "37", "48"}, {"Dover", "91", "82", "73", "64"}}
	im := sheet(t, grid(300, []int{150, 400, 600, 800, 1000}, rows...)...)
	for _, x := range []int{120, 370, 570, 770, 970, 1180} {
		rule(im, image.Rect(x, 255, x, 450))
	}
	for _, y := range []int{255, 315, 405, 450} { // none between Bergen and Calais
		rule(im, image.Rect(120, y, 1182, y))
	}
	p := read(t, reader(t), im, 150)
	if len(p.Blocks) != 1 || p.Blocks[0].Table == nil {
		t.Fatalf("%+v", p.Blocks)
	}
	if got := tableText(p.Blocks[0].Table); got != "Port|May|June|July|August\nBergen|41|52|63|74\nCalais|15|26|37|48\nDover|91|82|73|64" {
		t.Error(got)
	}
}
