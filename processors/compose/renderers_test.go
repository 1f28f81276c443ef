package compose_test

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"

	"docstream/schemas"
	"docstream/schemas/document"
)

func block(kind string, level int, text string) document.Block {
	return document.Block{Kind: kind, Level: level, Text: text, Confidence: 1}
}

func table(rows ...[]string) document.Block {
	t := &document.Table{Rows: len(rows)}
	for i, r := range rows {
		t.Columns = max(t.Columns, len(r))
		for j, s := range r {
			if s != "" {
				t.Cells = append(t.Cells, document.Cell{Row: i, Column: j, Text: s, Header: i == 0})
			}
		}
	}
	return document.Block{Kind: document.TableKind, Table: t, Confidence: 1}
}

// render composes pages and returns one output.
func render(t *testing.T, file string, failures []schemas.PageFailure, pages ...document.Page) string {
	t.Helper()
	s, e := newStore(), event(len(pages))
	e.Failures = failures
	s.put(t, e, pages...)
	run(t, s, e)
	return string(s.bodies[key(file)])
}

func TestMarkdown(t *testing.T) {
	for name, c := range map[string]struct {
		blocks []document.Block
		want   string
	}{
		"headings and paragraphs": {[]document.Block{block("heading", 1, "Harbour"), para("One."), para("Two."), block("heading", 9, "Deep")},
			"# Harbour\n\nOne.\n\nTwo.\n\n###### Deep\n"},
		"lists": {[]document.Block{para("We need:"), block("list_item", 1, "• rope"), block("list_item", 2, "– long"), block("list_item", 1, "2) tar"), block("list_item", 1, "a) nails"), para("Bye.")},
			"We need:\n\n- rope\n    - long\n2. tar\n- a) nails\n\nBye.\n"},
		"a table": {[]document.Block{table([]string{"a|b", "c"}, []string{"", "1"}, []string{"x\ny", "2"})},
			"| a\\|b | c |\n| --- | --- |\n|  | 1 |\n| x y | 2 |\n"},
		"running lines are left out": {[]document.Block{block("header", 0, "Title 7"), para("Text."), block("footer", 0, "7")}, "Text.\n"},
		"code keeps its lines":       {[]document.Block{block("code", 0, "a := `x`\n\tb")}, "```\na := `x`\n\tb\n```\n"},
		"code with a fence in it":    {[]document.Block{block("code", 0, "```\nx")}, "````\n```\nx\n````\n"},
		"an equation":                {[]document.Block{block("equation", 0, "a^2")}, "$$\na^2\n$$\n"},
		"marks in text are escaped":  {[]document.Block{para("2 * 3 <b> [x](y) `c` a_b _d_ \\e")}, "2 \\* 3 \\<b> \\[x](y) \\`c\\` a_b \\_d\\_ \\\\e\n"},
		"marks at the start are escaped": {[]document.Block{para("# no heading"), para("1. no item"), para("- no item"), para("> no quote"), para("--- no rule"), para("1.5 is fine")},
			"\\# no heading\n\n1\\. no item\n\n\\- no item\n\n\\> no quote\n\n\\--- no rule\n\n1.5 is fine\n"},
		"empty blocks leave nothing": {[]document.Block{para("  "), table(), block("figure", 0, "")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := render(t, "document.md", nil, page(1, "text", c.blocks...)); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestFiguresWithTheirPictures(t *testing.T) {
	said, read := block("figure", 0, "A [small] boat"), block("figure", 0, "EXIT")
	said.Image = &document.Image{Name: "figures/000001-1.png", MediaType: "image/png", Width: 30, Height: 20}
	read.Image = &document.Image{Name: "figures/000001-2.png", MediaType: "image/png", Width: 3, Height: 2}
	read.Lines = []document.Line{{Text: "EXIT"}}
	blocks := []document.Block{said, block("caption", 0, "Figure 1: it floats"), read}
	for file, want := range map[string]string{
		"document.md": "![A \\[small\\] boat](figures/000001-1.png)\n\n*Figure 1: it floats*\n\n![](figures/000001-2.png)\n\nEXIT\n",
		"document.html": "<figure><img src=\"figures/000001-1.png\" alt=\"A [small] boat\" width=\"30\" height=\"20\"><figcaption>Figure 1: it floats</figcaption></figure>\n" +
			"<figure><img src=\"figures/000001-2.png\" alt=\"\" width=\"3\" height=\"2\">EXIT</figure>\n",
		"document.txt":  "A [small] boat\n\nFigure 1: it floats\n\nEXIT\n",
		"document.json": `"image":{"name":"figures/000001-1.png","media_type":"image/png","width":30,"height":20}`,
	} {
		if got := render(t, file, nil, page(1, "ocr", blocks...)); !strings.Contains(got, want) {
			t.Errorf("%s has\n%s", file, got)
		}
	}
}

func TestNothingRunsAlongASinglePage(t *testing.T) {
	blocks := []document.Block{block("header", 0, "Harbour Stores, 14 Quay Street"), para("Text."), block("footer", 0, "Account 4711 0815"), block("footer", 0, "Page 1 of 1"), block("footer", 0, "- 1 -")}
	if got, want := render(t, "document.md", nil, page(1, "ocr", blocks...)), "Harbour Stores, 14 Quay Street\n\nText.\n\nAccount 4711 0815\n"; got != want {
		t.Errorf("got\n%s", got)
	}
	if got, want := render(t, "document.md", nil, page(1, "ocr", blocks...), page(2, "ocr", blocks...)), "Text.\n\nText.\n"; got != want {
		t.Errorf("of two pages:\n%s", got)
	}
}

func TestTheDocumentIsAsSureAsItsWords(t *testing.T) {
	sure, doubtful, empty := page(1, "ocr", para("one two three"), table([]string{"four"}, []string{"five six"})), page(2, "ocr", para("seven eight")), page(3, "ocr")
	sure.Confidence, doubtful.Confidence, empty.Confidence = .9, .5, 0
	for want, pages := range map[float64][]document.Page{.8: {sure, doubtful, empty}, .9: {sure}, 0: {empty}} {
		for i := range pages {
			pages[i].Number = i + 1
		}
		var d document.Document
		if err := json.Unmarshal([]byte(render(t, "document.json", nil, pages...)), &d); err != nil || d.Confidence != want || len(d.Pages) != len(pages) {
			t.Errorf("%d pages: %v, want %v; %v", len(pages), d.Confidence, want, err)
		}
	}
}

func TestMarkdownMentionsFailedPagesWhereTheyWere(t *testing.T) {
	failures := []schemas.PageFailure{{Page: 4, Code: "PAGE_CORRUPT"}, {Page: 2, Code: "OCR_FAILED"}}
	got := render(t, "document.md", failures, page(1, "text", para("one")), page(3, "text", para("three")))
	if want := "one\n\n<!-- page 2: OCR_FAILED -->\n\nthree\n\n<!-- page 4: PAGE_CORRUPT -->\n"; got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestAListGoesOnOverAPage(t *testing.T) {
	got := render(t, "document.md", nil, page(1, "text", block("list_item", 1, "1. one")), page(2, "text", block("list_item", 1, "2. two")))
	if got != "1. one\n2. two\n" {
		t.Errorf("got %q", got)
	}
}

func TestHTMLIsEscapedAndNested(t *testing.T) {
	spanned := table([]string{"<a>", "", "b"}, []string{"1", "2", "3"})
	spanned.Table.Cells[0].ColumnSpan = 2
	got := render(t, "document.html", []schemas.PageFailure{{Page: 2, Code: "X", Message: "<i>"}}, page(1, "text",
		block("header", 0, "Title 7"), block("heading", 2, "A & B"), para("<script>alert(1)</script>"),
		block("list_item", 1, "• one"), block("list_item", 2, "1. two"), block("list_item", 2, "2. three"), block("list_item", 1, "• four"),
		spanned, block("code", 0, "a\n <b>"), block("footer", 0, "1")))
	body := got[strings.Index(got, "<body>"):]
	want := `<body>
<p data-failed-page="2">Page 2: &lt;i&gt;</p>
<section data-page="1">
<header>Title 7</header>
<h2>A &amp; B</h2>
<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>
<ul>
<li>one<ol>
<li value="1">two</li>
<li value="2">three</li>
</ol>
</li>
<li>four</li>
</ul>
<table>
<tr><th colspan="2">&lt;a&gt;</th><th>b</th></tr>
<tr><td>1</td><td>2</td><td>3</td></tr>
</table>
<pre>a
 &lt;b&gt;</pre>
<footer>1</footer>
</section>
</body>
</html>
`
	if body != want {
		t.Errorf("got\n%s", body)
	}
	if strings.Contains(got, "<script") {
		t.Error("a script went through")
	}
}

func TestCSVHoldsEveryTable(t *testing.T) {
	got := render(t, "document.csv", nil, page(1, "text", para("no"), table([]string{"a", `b "c", d`}, []string{"", "2"})), page(2, "text", table(), table([]string{"x"})))
	if want := "a,\"b \"\"c\"\", d\"\n,2\n\nx\n"; got != want {
		t.Errorf("got %q", got)
	}
	if _, err := csv.NewReader(strings.NewReader(strings.Split(got, "\n\n")[0])).ReadAll(); err != nil {
		t.Error(err)
	}
}

func TestTextIsBare(t *testing.T) {
	got := render(t, "document.txt", nil, page(1, "text", block("heading", 1, "Harbour"), block("list_item", 1, "• a"), block("list_item", 1, "• b"),
		table([]string{"x", "y"}, []string{"1", ""}), block("footer", 0, "1")), page(2, "text", para("End.")))
	if want := "Harbour\n\n• a\n• b\n\nx\ty\n1\n\nEnd.\n"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestATableThatClaimsTooMuchIsDrawnAsFarAsItsCellsReach(t *testing.T) {
	b := table([]string{"a"})
	b.Table.Rows, b.Table.Columns = 1<<30, 1<<30
	b.Table.Cells[0].RowSpan, b.Table.Cells[0].ColumnSpan = 1<<30, 1<<30
	b.Table.Cells = append(b.Table.Cells, document.Cell{Row: -1, Text: "no"})
	if got := render(t, "document.md", nil, page(1, "text", b)); got != "| a |\n| --- |\n" {
		t.Errorf("got %q", got)
	}
	b.Table.Cells = append(b.Table.Cells, document.Cell{Row: 1 << 29, Column: 1 << 29, Text: "far"})
	if got := render(t, "document.csv", nil, page(1, "text", b)); got != "" {
		t.Errorf("got %q", got)
	}
}
