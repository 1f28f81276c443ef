package compose_test

import (
	"encoding/json"
	"strings"
	"testing"

	"docstream/schemas"
	"docstream/schemas/document"
)

// ruled is a table whose columns are 100 points wide and begin at x.
func ruled(x float64, header bool, rows ...[]string) document.Block {
	b := table(rows...)
	for i := range b.Table.Cells {
		c := &b.Table.Cells[i]
		c.Header = header && c.Row == 0
		left, top := x+100*float64(c.Column), 20*float64(c.Row)
		c.Box = document.NewBox(left, top, left+60, top+10)
	}
	return b
}

func TestTablesGoOnAcrossPages(t *testing.T) {
	head, one, two, three := []string{"Boat", "Crew"}, []string{"Heron", "4"}, []string{"Gull", "7"}, []string{"Tern", "2"}
	const joined = "| Boat | Crew |\n| --- | --- |\n| Heron | 4 |\n| Gull | 7 |\n"
	const apart = "| Boat | Crew |\n| --- | --- |\n| Heron | 4 |\n\n| Gull | 7 |\n| --- | --- |\n"
	first := ruled(72, true, head, one)
	named := page(2, "text", ruled(72, false, two))
	named.Title = "Sheet 2"
	for name, c := range map[string]struct {
		pages []document.Page
		want  string
	}{
		"rows alone":                   {[]document.Page{page(1, "text", first), page(2, "text", ruled(72, false, two))}, joined},
		"a repeated header is dropped": {[]document.Page{page(1, "text", first), page(2, "text", ruled(72, true, head, two))}, joined},
		"running lines and notes lie between": {[]document.Page{page(1, "text", first, block("footer", 0, "1")),
			page(2, "text", block("header", 0, "Boats"), ruled(72, false, two))}, joined},
		"over three pages": {[]document.Page{page(1, "text", first), page(2, "text", ruled(72, true, head, two)), page(3, "text", ruled(72, true, head, three))},
			joined + "| Tern | 2 |\n"},
		"a recognised row of figures is no header": {[]document.Page{page(1, "ocr", first), page(2, "ocr", ruled(72, true, two))}, joined},
		"not with other names": {[]document.Page{page(1, "text", first), page(2, "text", ruled(72, true, []string{"Port", "Berths"}, two))},
			"| Boat | Crew |\n| --- | --- |\n| Heron | 4 |\n\n| Port | Berths |\n| --- | --- |\n| Gull | 7 |\n"},
		"not with columns elsewhere":    {[]document.Page{page(1, "text", first), page(2, "text", ruled(140, false, two))}, apart},
		"not with text between":         {[]document.Page{page(1, "text", first), page(2, "text", para("More:"), ruled(72, false, two))}, strings.Replace(apart, "\n\n|", "\n\nMore:\n\n|", 1)},
		"not with a page between":       {[]document.Page{page(1, "text", first), page(2, "text"), page(3, "text", ruled(72, false, two))}, apart},
		"not into a part with a name":   {[]document.Page{page(1, "text", first), named}, apart},
		"not where no cell has a place": {[]document.Page{page(1, "text", table(head, one)), page(2, "text", table(two))}, apart},
	} {
		t.Run(name, func(t *testing.T) {
			if got := render(t, "document.md", nil, c.pages...); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestFormatsAgreeOnATableOverTwoPages(t *testing.T) {
	head := []string{"Boat", "Crew"}
	pages := func() []document.Page {
		return []document.Page{page(1, "text", ruled(72, true, head, []string{"Heron", "4"})), page(2, "text", ruled(72, true, head, []string{"Gull", "7"}))}
	}
	if got, want := render(t, "document.csv", nil, pages()...), "Boat,Crew\nHeron,4\nGull,7\n"; got != want {
		t.Errorf("csv %q, want %q", got, want)
	}
	if got, want := render(t, "document.txt", nil, pages()...), "Boat\tCrew\nHeron\t4\nGull\t7\n"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	if got, want := render(t, "document.html", nil, pages()...), "<table data-continues=\"true\">\n<tr><td>Gull</td><td>7</td></tr>\n</table>"; !strings.Contains(got, want) {
		t.Errorf("html %q lacks %q", got, want)
	}
	var d document.Document
	if err := json.Unmarshal([]byte(render(t, "document.json", nil, pages()...)), &d); err != nil {
		t.Fatal(err)
	}
	if next := d.Pages[1].Blocks[0].Table; !next.Continues || next.Rows != 1 || len(next.Cells) != 2 || next.Cells[0].Row != 0 {
		t.Errorf("json has %+v", next)
	}
}

func TestSentencesGoOnAcrossPages(t *testing.T) {
	at := func(b document.Block, spans ...document.Span) document.Block {
		b.Lines, b.Spans = []document.Line{{Text: b.Text}}, spans
		return b
	}
	note := block("note", 0, "Of the north.")
	note.Label = "1"
	link := document.Span{Start: 5, End: 9, Kind: document.Link, Target: "https://example.org"}
	for name, c := range map[string]struct {
		pages []document.Page
		want  string
	}{
		"a sentence": {[]document.Page{page(1, "text", at(para("The boat came"))), page(2, "ocr", at(para("in late.")), para("Then it left."))},
			"The boat came in late.\n\nThen it left.\n"},
		"a cut word":       {[]document.Page{page(1, "text", at(para("It was won-"))), page(2, "text", at(para("derful.")))}, "It was wonderful.\n"},
		"over three pages": {[]document.Page{page(1, "text", at(para("one"))), page(2, "text", at(para("two"))), page(3, "text", at(para("three")))}, "one two three\n"},
		"running lines and notes lie between": {[]document.Page{page(1, "text", at(para("The boat came")), note, block("footer", 0, "1")),
			page(2, "text", block("header", 0, "Boats"), at(para("in late.")))}, "The boat came in late.\n\n[^1]: Of the north.\n"},
		"what is said of it moves along": {[]document.Page{page(1, "text", at(para("The boat came"))), page(2, "text", at(para("in a gale."), link))},
			"The boat came in a [gale](https://example.org).\n"},
		"not a new sentence":        {[]document.Page{page(1, "text", at(para("The boat came"))), page(2, "text", at(para("In it was late.")))}, "The boat came\n\nIn it was late.\n"},
		"not behind a sentence":     {[]document.Page{page(1, "text", at(para("The boat came."))), page(2, "text", at(para("in late.")))}, "The boat came.\n\nin late.\n"},
		"not over a page":           {[]document.Page{page(1, "text", at(para("The boat came"))), page(2, "text"), page(3, "text", at(para("in late.")))}, "The boat came\n\nin late.\n"},
		"not in what flows":         {[]document.Page{page(1, "text", para("the boat")), page(2, "text", para("the crew"))}, "the boat\n\nthe crew\n"},
		"not with a heading before": {[]document.Page{page(1, "text", at(block("heading", 1, "Boats"))), page(2, "text", at(para("in late.")))}, "# Boats\n\nin late.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := render(t, "document.md", nil, c.pages...); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if text := render(t, "document.txt", nil, c.pages...); strings.Count(text, "\n") != strings.Count(c.want, "\n") {
				t.Errorf("text has other lines:\n%s", text)
			}
		})
	}
	pages := []document.Page{page(1, "text", at(para("The boat came"))), page(2, "text", at(para("in late.")))}
	if got := render(t, "document.html", nil, pages...); !strings.Contains(got, "<p data-continues=\"true\">in late.</p>") {
		t.Errorf("html is %s", got)
	}
	failed := []schemas.PageFailure{{Page: 2, Stage: "ocr", Code: "OCR_FAILED", Message: "x"}}
	if got, want := render(t, "document.md", failed, page(1, "text", at(para("The boat came"))), page(3, "text", at(para("in late.")))),
		"The boat came\n\n<!-- page 2: OCR_FAILED -->\n\nin late.\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
