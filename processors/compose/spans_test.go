package compose_test

import (
	"strings"
	"testing"

	"docstream/schemas/document"
)

// said is a paragraph of which its spans say something.
func said(text string, spans ...document.Span) document.Block {
	b := para(text)
	b.Spans = spans
	return b
}

func TestSpansAreWrittenInEachFormat(t *testing.T) {
	blocks := []document.Block{
		said("see this page[1]", document.Span{Start: 4, End: 13, Kind: document.Link, Target: "https://a.example/(x)"}, document.Span{Start: 4, End: 8, Kind: document.Strong},
			document.Span{Start: 13, End: 16, Kind: document.NoteRef, Target: "1"}),
		said("overlap", document.Span{Start: 0, End: 5, Kind: document.Strong}, document.Span{Start: 3, End: 7, Kind: document.Emphasis}),
		said("no script", document.Span{Start: 0, End: 9, Kind: document.Link, Target: "javascript:alert(1)"}),
		said("out of bounds", document.Span{Start: -5, End: 900, Kind: document.Strong}, document.Span{Start: 7, End: 3, Kind: document.Emphasis}),
		para("one\n- two"),
		{Kind: document.ListItem, Level: 1, Text: "1. Öl here", Spans: []document.Span{{Start: 3, End: 5, Kind: document.Strong}}},
		{Kind: document.Note, Label: "1", Text: "Why."},
		{Kind: document.Note, Text: "Say this."},
	}
	for file, want := range map[string]string{
		"document.md": "see [**this** page](https://a.example/%28x%29)[^1]\n\n**ove*rl****ap*\n\nno script\n\n**out of bounds**\n\none  \n\\- two\n\n1. **Öl** here\n\n[^1]: Why.\n\nSay this.\n",
		"document.html": `<p>see <a href="https://a.example/(x)"><strong>this</strong> page</a><sup>[1]</sup></p>` + "\n<p><strong>ove<em>rl</em></strong><em>ap</em></p>\n<p>no script</p>\n<p><strong>out of bounds</strong></p>\n" +
			"<p>one<br>- two</p>\n<ol>\n<li value=\"1\"><strong>Öl</strong> here</li>\n</ol>\n<aside>[1] Why.</aside>\n<aside>Say this.</aside>\n",
		"document.txt": "see this page[1]\n\noverlap\n\nno script\n\nout of bounds\n\none\n- two\n\n1. Öl here\n\n[1] Why.\n\nSay this.\n",
	} {
		got := render(t, file, nil, page(1, "text", blocks...))
		if i := strings.Index(got, "<section"); i >= 0 {
			_, got, _ = strings.Cut(got[i:], "\n")
			got, _, _ = strings.Cut(got, "</section>")
		}
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
		}
	}
}

func TestAMergedCellStandsWhereverItReaches(t *testing.T) {
	b := table([]string{"wide", "", "high"}, []string{"1", "2", ""})
	b.Table.Cells[0].ColumnSpan, b.Table.Cells[1].RowSpan = 2, 2
	for file, want := range map[string]string{
		"document.md":  "| wide | wide | high |\n| --- | --- | --- |\n| 1 | 2 | high |\n",
		"document.csv": "wide,wide,high\n1,2,high\n",
		"document.txt": "wide\t\thigh\n1\t2\n",
	} {
		if got := render(t, file, nil, page(1, "text", b)); got != want {
			t.Errorf("%s: got\n%s", file, got)
		}
	}
	b.Table.Rows, b.Table.Columns = 1000, 1000
	b.Table.Cells[0].RowSpan, b.Table.Cells[0].ColumnSpan, b.Table.Cells[0].Text = 1000, 1000, strings.Repeat("x", 1000)
	if got := render(t, "document.csv", nil, page(1, "text", b)); len(got) > 4<<20 {
		t.Errorf("a cell grew to %d bytes", len(got))
	}
}

func TestATableGoesOnOverAPage(t *testing.T) {
	first, next := table([]string{"a", "b"}, []string{"1", "2"}), table([]string{"3", "4"})
	next.Table.Continues = true
	for file, want := range map[string]string{
		"document.md":  "| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |\n",
		"document.csv": "a,b\n1,2\n3,4\n",
		"document.txt": "a\tb\n1\t2\n3\t4\n",
	} {
		if got := render(t, file, nil, page(1, "text", first), page(2, "text", next)); got != want {
			t.Errorf("%s: got\n%s", file, got)
		}
	}
}
