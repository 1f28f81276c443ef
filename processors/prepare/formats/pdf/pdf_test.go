package pdf_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/pdf"
	"docstream/processors/prepare/formats/pdf/pdftest"
	"docstream/schemas"
	"docstream/schemas/document"
)

var limits = formats.Limits{Pages: 100, Side: 10_000, Pixels: 64_000_000, Text: 1 << 20}

var auto = formats.Want{OCR: formats.Auto, DPI: 150, Side: 4096}

// format is compiled once for all tests of the package.
var format *pdf.Format

func TestMain(m *testing.M) {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	format = pdf.New(filepath.Join(dir, "docstream", "compiled"), nil)
	code := m.Run()
	format.Close()
	os.Exit(code)
}

func open(t *testing.T, file []byte) (formats.Document, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.pdf")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	d, err := format.Open(f, int64(len(file)), pdf.MediaType, limits)
	if err == nil {
		t.Cleanup(d.Close)
	}
	return d, err
}

func read(t *testing.T, w formats.Want, pages ...pdftest.Page) formats.Page {
	t.Helper()
	d, err := open(t, pdftest.Write(pages...))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() // there is one sandbox
	p, err := d.Read(1, w)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// words are sentences that wrap like a paragraph of about 30 letters a line.
var prose = []string{"The harbour was quiet when the", "first boat came in, its sails", "wet from the long night and its", "crew too tired to sing. Nobody", "waited on the pier except an",
	"old dog and a boy with a lamp,", "who counted the baskets as they", "came ashore one by one until", "the sun stood over the hills."}

func kinds(p *document.Page) []string {
	var out []string
	for _, b := range p.Blocks {
		k := b.Kind
		if b.Level > 0 {
			k += fmt.Sprint(b.Level)
		}
		out = append(out, k)
	}
	return out
}

func texts(p *document.Page) string {
	var out []string
	for _, b := range p.Blocks {
		out = append(out, b.Text)
	}
	return strings.Join(out, "\n")
}

func TestTextBecomesBlocksInReadingOrder(t *testing.T) {
	l := func(x, y float64, lines ...string) string { return pdftest.Lines("F1", 10, 12, x, y, lines...) }
	for name, c := range map[string]struct {
		content string
		kinds   []string
		text    string
	}{
		"lines join to a paragraph": {l(72, 700, prose[:3]...), []string{"paragraph"},
			"The harbour was quiet when the first boat came in, its sails wet from the long night and its"},
		"a cut word is put together": {l(72, 700, "The harbour was quiet and the won-", "derful boat came in with its sails"), []string{"paragraph"},
			"The harbour was quiet and the wonderful boat came in with its sails"},
		"a gap parts paragraphs": {l(72, 700, prose[:2]...) + l(72, 660, prose[2:4]...), []string{"paragraph", "paragraph"},
			"The harbour was quiet when the first boat came in, its sails\nwet from the long night and its crew too tired to sing. Nobody"},
		"a larger line is a heading": {pdftest.Text("F2", 20, 72, 720, "Harbour Days") + l(72, 690, prose...), []string{"heading1", "paragraph"}, ""},
		"a bold line is a heading":   {pdftest.Text("F2", 10, 72, 720, "Harbour Days") + l(72, 690, prose...), []string{"heading4", "paragraph"}, ""},
		"columns are read one after another": {l(72, 700, prose...) + l(320, 700, prose...), []string{"paragraph", "paragraph"},
			strings.Join(prose, " ") + "\n" + strings.Join(prose, " ")},
		"columns written across are still columns": {across(72, 320, prose), []string{"paragraph", "paragraph"},
			strings.Join(prose, " ") + "\n" + strings.Join(prose, " ")},
		"a title above columns comes first": {l(320, 700, prose...) + l(72, 700, prose...) + pdftest.Text("F2", 22, 72, 730, "A title that runs over both of the columns"),
			[]string{"heading1", "paragraph", "paragraph"}, ""},
		"bullets and numbers are items": {l(72, 700, "1. Count the baskets.", "2. Count the boats.") + l(90, 676, "a) The old ones.") + l(72, 664, "3. Go home."),
			[]string{"list_item1", "list_item1", "list_item2", "list_item1"}, "1. Count the baskets.\n2. Count the boats.\na) The old ones.\n3. Go home."},
		"an item goes on below its text": {l(72, 700, "1.") + l(90, 700, prose[0]) + l(90, 688, prose[1]) + l(72, 676, "2.") + l(90, 676, "Go home."),
			[]string{"list_item1", "list_item1"}, "1. The harbour was quiet when the first boat came in, its sails\n2. Go home."},
		"a sentence goes on in the next column": {l(72, 700, append(prose[:8:8], "the sun stood over")...) + l(320, 700, "the hills. The boats lay long,", prose[1], prose[2], prose[3], prose[4]),
			[]string{"paragraph"}, ""},
		"a page number is told apart": {l(72, 760, "Harbour Days") + l(72, 690, prose...) + l(300, 30, "- 17 -"), []string{"paragraph", "paragraph", "footer"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := read(t, auto, pdftest.Page{Content: c.content})
			if p.Text == nil {
				t.Fatal("became an image")
			}
			if got := kinds(p.Text); !slices.Equal(got, c.kinds) {
				t.Errorf("blocks are %v, want %v\n%s", got, c.kinds, texts(p.Text))
			}
			if got := texts(p.Text); c.text != "" && got != c.text {
				t.Errorf("text is\n%s\nwant\n%s", got, c.text)
			}
		})
	}
}

func TestFootnotesAndLinksAreSaidOfTheText(t *testing.T) {
	const raised = "BT /F1 6 Tf %g %g Td (%s) Tj ET\n"
	note := pdftest.Lines("F1", 10, 12, 72, 700, prose[0]) + fmt.Sprintf(raised, 211.0, 704.0, "1") + pdftest.Lines("F1", 10, 12, 72, 688, prose[1:]...)
	foot := fmt.Sprintf(raised, 72.0, 123.0, "1") + pdftest.Text("F1", 8, 77, 120, "Of the north, as they said.")
	for name, c := range map[string]struct {
		page pdftest.Page
		want []string // in the outline
	}{
		"a note and its reference": {pdftest.Page{Content: note + foot}, []string{"{note_ref \"1\" 1}", "note[1]: Of the north, as they said.\n"}},
		"a raised number alone":    {pdftest.Page{Content: note}, []string{"paragraph: The harbour was quiet when the1 first boat"}},
		"a small line alone":       {pdftest.Page{Content: pdftest.Lines("F1", 10, 12, 72, 700, prose...) + foot}, []string{"paragraph: 1 Of the north, as they said.\n"}},
		"a link": {pdftest.Page{Content: pdftest.Lines("F1", 10, 12, 72, 700, "See the list of boats for more."),
			Link: &pdftest.Link{Rect: [4]float64{108, 696, 136, 710}, URI: "https://example.org/boats"}},
			[]string{"paragraph: See the list of boats for more. {link \"list of\" https://example.org/boats}\n"}},
		"an address over two lines": {pdftest.Page{Content: pdftest.Lines("F1", 10, 12, 72, 700, "The list of the boats is at https://", "example.org/boats and will stay"),
			Link: &pdftest.Link{Rect: [4]float64{72, 684, 400, 710}, URI: "https://example.org/boats"}}, []string{" at https://example.org/boats and will stay {"}},
		"a link that opens a program": {pdftest.Page{Content: pdftest.Text("F1", 10, 72, 700, "See the list"),
			Link: &pdftest.Link{Rect: [4]float64{72, 696, 150, 710}, URI: "javascript:alert"}}, []string{"paragraph: See the list\n"}},
		"a link on a page with a form": {pdftest.Page{Content: pdftest.Text("F1", 10, 72, 700, "See the list"), Field: "Albatross",
			Link: &pdftest.Link{Rect: [4]float64{72, 696, 150, 710}, URI: "mailto:a@example.org"}}, []string{"{link \"See the list\" mailto:a@example.org}"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := formatstest.Outline([]*document.Page{read(t, auto, c.page).Text})
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("got\n%swant\n%s", got, want)
				}
			}
		})
	}
}

func TestPicturesBesideTextAreFigures(t *testing.T) {
	var lines string
	for i := range 12 {
		lines += pdftest.Text("F1", 10, 72, 700-14*float64(i), "The harbour was quiet when the first boat came in, its sails down.")
	}
	content := lines + "q 200 0 0 100 100 380 cm /Im Do Q " + pdftest.Text("F1", 10, 100, 360, "Figure 1. A grey square.") + pdftest.Text("F1", 10, 72, 300, "It left at noon.")
	d, err := open(t, pdftest.Write(pdftest.Page{Content: content, Image: &pdftest.Image{Width: 2, Height: 2, Pixels: []byte{0, 90, 180, 255}}}))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p, err := d.Read(1, formats.Want{OCR: formats.Auto, DPI: 72, Side: 4096, Figures: true})
	if err != nil || p.Text == nil {
		t.Fatal(err, p)
	}
	if got := fmt.Sprint(kinds(p.Text)); got != "[paragraph figure caption paragraph]" {
		t.Errorf("the page has %s", got)
	}
	if len(p.Pictures) != 1 || p.Pictures[0].Block != 1 || p.Pictures[0].MediaType != "image/png" || p.Pictures[0].Width < 198 || p.Pictures[0].Width > 202 || p.Pictures[0].Height < 98 {
		t.Errorf("its pictures are %d, %+v", len(p.Pictures), p.Pictures)
	}
	if p, err := d.Read(1, formats.Want{OCR: formats.Auto, DPI: 72, Side: 4096}); err != nil || len(p.Pictures) != 0 {
		t.Errorf("unasked: %v, %d pictures", err, len(p.Pictures))
	}
}

func TestLinesThatRunFromPageToPageAreToldApart(t *testing.T) {
	row := func(y float64, x1 float64, a string, x2 float64, b string) string {
		return pdftest.Text("F1", 9, x1, y, a) + pdftest.Text("F1", 9, x2, y, b)
	}
	cells := func(n int) string {
		var s string
		for i := range 50 { // down to the foot of the page
			s += row(700-13*float64(i), 72, fmt.Sprintf("Boat %d", i+n), 300, fmt.Sprintf("%d.50", i))
		}
		return s
	}
	odd, even := row(760, 72, "Harbour Days", 450, "Part 1"), row(760, 72, "Part 1", 450, "Harbour Days")
	foot := func(n int) string { return row(30, 72, "No. 281 of the list", 450, fmt.Sprint("Page ", n)) }
	own := pdftest.Text("F2", 14, 72, 735, "The boats of the year")
	file := pdftest.Write(pdftest.Page{Content: odd + own + cells(1) + foot(1)}, pdftest.Page{Content: even + cells(51) + foot(2)},
		pdftest.Page{Content: odd + cells(101) + foot(3)}, pdftest.Page{Content: even + cells(151) + foot(4)})
	var first []string
	for _, pages := range [][]int{{1, 2, 3, 4}, {4, 2, 3, 1}} { // whatever was read before
		d, err := open(t, file)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]string, 5)
		for _, n := range pages {
			p, err := d.Read(n, auto)
			if err != nil {
				t.Fatal(err)
			}
			got[n] = fmt.Sprint(kinds(p.Text), p.Text.Blocks[0].Text)
			if n > 2 && got[n] != fmt.Sprint("[header table footer]", p.Text.Blocks[0].Text) || n == 2 && !strings.Contains(got[n], "table footer]") {
				t.Errorf("page %d has %s", n, got[n])
			}
		}
		d.Close()
		if first != nil && !slices.Equal(first, got) {
			t.Errorf("in another order the pages are %v, not %v", got, first)
		}
		first = got
	}
}

func TestALineThatOnlyOnePageHasIsItsText(t *testing.T) {
	p := read(t, auto, pdftest.Page{Content: pdftest.Text("F1", 10, 72, 765, "Albatross Shipping Ltd") + pdftest.Lines("F1", 10, 12, 72, 690, prose...) +
		pdftest.Text("F1", 10, 72, 25, "info@example.org")})
	if got := kinds(p.Text); !slices.Equal(got, []string{"paragraph", "paragraph", "paragraph"}) {
		t.Errorf("blocks are %v", got)
	}
}

func across(x1, x2 float64, lines []string) string {
	var b strings.Builder
	for i, l := range lines {
		y := 700 - 12*float64(i)
		b.WriteString(pdftest.Text("F1", 10, x1, y, l) + pdftest.Text("F1", 10, x2, y, l))
	}
	return b.String()
}

func TestAlignedCellsBecomeATable(t *testing.T) {
	var content string
	rows := [][]string{{"Basket", "Weight", "Price"}, {"Herring", "12 kg", "84.00"}, {"Cod", "7 kg", "91.50"}, {"Sole", "", "12.00"}}
	for i, r := range rows {
		for j, s := range r {
			content += pdftest.Text("F1", 10, 72+120*float64(j), 700-14*float64(i), s)
		}
	}
	p := read(t, auto, pdftest.Page{Content: pdftest.Lines("F1", 10, 12, 72, 760, prose[:2]...) + content})
	if got := kinds(p.Text); !slices.Equal(got, []string{"paragraph", "table"}) {
		t.Fatalf("blocks are %v", got)
	}
	table := p.Text.Blocks[1].Table
	if table.Rows != 4 || table.Columns != 3 || len(table.Cells) != 11 {
		t.Errorf("%d × %d with %d cells", table.Rows, table.Columns, len(table.Cells))
	}
	for _, c := range table.Cells {
		if want := rows[c.Row][c.Column]; c.Text != want || c.Header != (c.Row == 0) {
			t.Errorf("cell %d,%d is %q (header %v), want %q", c.Row, c.Column, c.Text, c.Header, want)
		}
	}
}

func TestBoxesLieWhereTheReaderSeesTheWords(t *testing.T) {
	for _, turn := range []int{0, 90, 180, 270} {
		t.Run(fmt.Sprint(turn), func(t *testing.T) {
			// The content is turned the other way, so that the reader always sees "Hello" near the left top corner.
			place := map[int]string{0: "1 0 0 1 50 700", 90: "0 1 -1 0 62 50", 180: "-1 0 0 -1 550 92", 270: "0 -1 1 0 550 742"}[turn]
			p := read(t, auto, pdftest.Page{Rotate: turn, Content: fmt.Sprintf("BT /F1 20 Tf %s Tm (Hello harbour) Tj ET", place)})
			b := p.Text.Blocks[0]
			if b.Text != "Hello harbour" || len(b.Lines[0].Words) != 2 {
				t.Fatalf("got %+v", b)
			}
			if box := b.Box; box[0] < 40 || box[0] > 70 || box[1] < 35 || box[1] > 90 || box[2]-box[0] < 100 || box[3]-box[1] > 40 {
				t.Errorf("the words lie at %v of %v × %v", box, p.Text.Width, p.Text.Height)
			}
			if wide := p.Text.Width > p.Text.Height; wide != (turn%180 == 90) {
				t.Errorf("the page is %v × %v", p.Text.Width, p.Text.Height)
			}
		})
	}
}

func TestTheValuesOfAFormAreRead(t *testing.T) {
	d, err := open(t, pdftest.Write(pdftest.Page{Content: pdftest.Text("F1", 10, 72, 700, "Name of the ship"), Field: "Albatross"}))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p, err := d.Read(1, auto)
		if err != nil || texts(p.Text) != "Albatross\nName of the ship" {
			t.Errorf("got %q, %v", texts(p.Text), err)
		}
	}
}

func scan() *pdftest.Image {
	img := &pdftest.Image{Width: 60, Height: 80, Pixels: make([]byte, 60*80)}
	for i := range img.Pixels {
		img.Pixels[i] = byte(i * 7)
	}
	return img
}

func TestAPageIsRenderedOnlyWhereItsTextWillNotDo(t *testing.T) {
	full := pdftest.Picture(0, 0, 612, 792)
	text := pdftest.Lines("F1", 10, 12, 72, 700, append(prose, prose...)...)
	garbage := pdftest.Lines("F1", 10, 12, 72, 700, "Tl1e lnr~our vvAs q#iet ~ ^ wheN t}e f1rsT", "l| b0at c%me 1n* i|s sa!ls ~~ wEt fr0m tbE")
	for name, c := range map[string]struct {
		page  pdftest.Page
		ocr   string
		image bool
		empty bool
	}{
		"text":                                {page: pdftest.Page{Content: text}},
		"text, forced":                        {page: pdftest.Page{Content: text}, ocr: formats.Force, image: true},
		"a scan":                              {page: pdftest.Page{Content: full, Image: scan()}, image: true},
		"a scan, off":                         {page: pdftest.Page{Content: full, Image: scan()}, ocr: formats.Off, empty: true},
		"a scan with a stamp":                 {page: pdftest.Page{Content: full + pdftest.Text("F1", 8, 20, 20, "Received 12 May"), Image: scan()}, image: true},
		"a scan under a good hidden layer":    {page: pdftest.Page{Content: full + pdftest.Hidden(text), Image: scan()}},
		"a scan under a poor hidden layer":    {page: pdftest.Page{Content: full + pdftest.Hidden(garbage), Image: scan()}, image: true},
		"a scan over a poor layer":            {page: pdftest.Page{Content: garbage + full, Image: scan()}, image: true},
		"a poor hidden layer, off":            {page: pdftest.Page{Content: full + pdftest.Hidden(garbage), Image: scan()}, ocr: formats.Off},
		"text over a picture as background":   {page: pdftest.Page{Content: full + text, Image: scan()}},
		"a picture with a caption":            {page: pdftest.Page{Content: pdftest.Picture(72, 300, 400, 300) + pdftest.Text("F1", 10, 72, 280, "Figure 1"), Image: scan()}, image: true},
		"a small picture in text":             {page: pdftest.Page{Content: text + pdftest.Picture(72, 100, 100, 100), Image: scan()}},
		"letters without meaning":             {page: pdftest.Page{Content: pdftest.Lines("F4", 10, 12, 72, 700, prose...)}, image: true},
		"nothing":                             {page: pdftest.Page{}, empty: true},
		"nothing to be seen":                  {page: pdftest.Page{Content: "1 1 1 rg 10 10 100 100 re f"}, empty: true},
		"nothing, forced":                     {page: pdftest.Page{}, ocr: formats.Force, image: true},
		"a few words and no picture at all":   {page: pdftest.Page{Content: pdftest.Text("F1", 12, 72, 700, "Chapter 4")}},
		"text drawn as outlines beside a few": {page: pdftest.Page{Content: strings.Repeat("10 10 3 3 re f\n", 400) + pdftest.Text("F1", 8, 20, 20, "p. 3")}, image: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := auto
			if c.ocr != "" {
				w.OCR = c.ocr
			}
			p := read(t, w, c.page)
			if (p.Image != nil) != c.image || (p.Text != nil) == c.image {
				t.Fatalf("image is %v, text is %v", p.Image != nil, p.Text != nil)
			}
			if p.Text != nil && (len(p.Text.Blocks) == 0) != c.empty {
				t.Errorf("%d blocks: %s", len(p.Text.Blocks), texts(p.Text))
			}
		})
	}
}

func TestRenderedPagesKeepWithinTheLimit(t *testing.T) {
	force := formats.Want{OCR: formats.Force, DPI: 150, Side: 1000}
	for name, c := range map[string]struct {
		width, height float64
		w, h, dpi     int
	}{
		"small":   {200, 300, 417, 625, 150},
		"large":   {14400, 7200, 1000, 500, 5},
		"extreme": {14400, 1, 1000, 1, 5},
	} {
		t.Run(name, func(t *testing.T) {
			p := read(t, force, pdftest.Page{Width: c.width, Height: c.height, Content: "0 0 5 5 re f"})
			if i := p.Image; i.Width != c.w || i.Height != c.h || i.DPI != c.dpi {
				t.Errorf("%d × %d at %d dpi", i.Width, i.Height, i.DPI)
			}
		})
	}
}

func TestReadingTwiceGivesTheSameBytes(t *testing.T) {
	page := pdftest.Page{Content: across(72, 320, prose) + pdftest.Picture(72, 100, 80, 80), Image: scan()}
	for _, ocr := range []string{formats.Auto, formats.Force} {
		var before string
		for range 2 {
			b, err := json.Marshal(read(t, formats.Want{OCR: ocr, DPI: 100, Side: 2000}, page))
			if err != nil {
				t.Fatal(err)
			}
			if before != "" && before != string(b) {
				t.Errorf("%s: not equal", ocr)
			}
			before = string(b)
		}
	}
}

func TestBadFilesAreRefusedWithTheirCode(t *testing.T) {
	many := make([]pdftest.Page, limits.Pages+1)
	good := pdftest.Write(pdftest.Page{Content: pdftest.Text("F1", 12, 72, 700, "fine")})
	for name, c := range map[string]struct {
		file []byte
		code schemas.Code
	}{
		"not a PDF":      {[]byte("%PDF-1.7\nand then nothing that makes sense"), schemas.DocumentCorrupt},
		"no pages":       {pdftest.Write(), schemas.DocumentEmpty},
		"too many pages": {pdftest.Write(many...), schemas.DocumentTooManyPages},
		"half a file":    {good[:len(good)/8], schemas.DocumentCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, c.file)
			if f := fault.Of(err); err == nil || f.Code != c.code || f.Kind != fault.Permanent {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
}

func TestADamagedPageFailsAlone(t *testing.T) {
	good := pdftest.Page{Content: pdftest.Text("F1", 12, 72, 700, "fine")}
	file := bytes.Replace(pdftest.Write(good, good, good), []byte("26 0 R"), []byte("99 0 R"), 1) // the second kid is nowhere
	d, err := open(t, file)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= d.Pages(); n++ {
		p, err := d.Read(n, auto)
		if n == 2 {
			if f := fault.Of(err); err == nil || f.Code != schemas.PageCorrupt || f.Kind != fault.Permanent {
				t.Errorf("page 2: %v", err)
			}
		} else if err != nil || texts(p.Text) != "fine" {
			t.Errorf("page %d: %v", n, err)
		}
	}
}

func TestADamagedTableOfContentsIsRebuilt(t *testing.T) {
	file := pdftest.Write(pdftest.Page{Content: pdftest.Text("F1", 12, 72, 700, "still here")})
	file = []byte(strings.Replace(string(file), "startxref", "startxxxx", 1))
	d, err := open(t, file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Read(1, auto)
	if err != nil || texts(p.Text) != "still here" {
		t.Errorf("got %v, %v", p, err)
	}
}
