package html_test

import (
	"strings"
	"testing"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/html"
	"docstream/schemas"
)

func TestAPageBecomesBlocks(t *testing.T) {
	for name, c := range map[string]struct{ page, want string }{
		"headings, paragraphs, breaks": {`<title>T</title><h1>One  <b>bold</b></h1><p>a
 b<br>c</p>loose<h3>Three</h3>`, "part T\nheading1: One bold\nparagraph: a b⏎c\nparagraph: loose\nheading3: Three\n"},
		"lists": {`<ul><li>a<ol start=3><li>b<li value=7>c</ol><li><p>d</p><p>more</p></ul><ol type=a reversed><li>x<li>y</ol>`,
			"list_item1: • a\nlist_item2: 3. b\nlist_item2: 7. c\nlist_item1: • d\nparagraph: more\nlist_item1: b. x\nlist_item1: a. y\n"},
		"links and looks": {`<p>see <a href="https://a.example/x">this <em>page</em></a>, <code>x</code>, <a href="javascript:alert(1)">no</a> <a href="#top">top</a></p>`,
			"paragraph: see this page, x, no top {link \"this page\" https://a.example/x} {emphasis \"page\"} {code \"x\"}\n"},
		"code": {"<pre>a\n  b\n</pre>", "code: a⏎  b\n"},
		"tables": {`<table><caption>Cap</caption><thead><tr><th colspan=2>A<th rowspan=2>B</thead><tbody><tr><td>1<td>2</tr><tr><td>3</td><td><ul><li>x<li>y</ul></td><td><table><tr><th>n<td>m</table></td></tr></table>`,
			"caption: Cap\ntable 3x3\n 0: |0 *A (1x2) |2 *B\n 1: |0 1 |1 2\n 2: |0 3 |1 - x⏎- y |2 n m\n"},
		"no cell leaves its part of a table": {`<table><thead><tr><th rowspan=3>A<th>B</thead><tbody><tr><td rowspan=0>1<td>2<tr><td>3</tbody><tbody><tr><td>4<td>5</table>`,
			"table 4x2\n 0: |0 *A |1 *B\n 1: |0 1 (2x1) |1 2\n 2: |1 3\n 3: |0 4 |1 5\n"},
		"notes": {`<p>x<sup><a href="#fn:1" role="doc-noteref">1</a></sup></p><section role="doc-endnotes"><ol><li id="fn:1"><p>Said <b>so</b>. <a href="#r" role="doc-backlink">↩</a></p><p>More.</ol></section>`,
			"paragraph: x[1] {note_ref \"[1]\" 1}\nnote[1]: Said so.⏎More. {strong \"so\"}\n"},
		"boxes that are ticked": {`<ul><li><input type=checkbox checked disabled> a<li><input type=checkbox> b</ul>`, "list_item1: • ☒ a\nlist_item1: • ☐ b\n"},
		"fields of forms": {`<form><p>Name: <input value="Ann Lee"> <input type=hidden value=no><input type=password value=no><input type=submit value=Send></p><p><label><input type=radio checked> yes</label> <label><input type=radio> no</label></p>` +
			`<p>Port <select><option>Bergen<option selected>Cadiz</select> <select><option disabled>Pick<option>first</select> <select multiple><option selected>a<option>b<option selected>c</select><select size=4><option>none</select></p><textarea>two
lines</textarea><button>Go</button></form>`, "paragraph: Name: Ann Lee\nparagraph: ◉ yes ○ no\nparagraph: Port Cadiz first a, c\nparagraph: two⏎lines\n"},
		"details, dialogs, meters": {`<details><summary>More</summary><p>held</p></details><dialog><p>closed</p></dialog><dialog open><p>shown</p></dialog><p>a<meter value=1>1 of 2</meter><progress>70 %</progress></p>`,
			"paragraph: More\nparagraph: held\nparagraph: shown\nparagraph: a\n"},
		"breaks in code":      {"<pre>a<br>b<span hidden>no</span>\n c</pre>", "code: a⏎b⏎ c\n"},
		"XHTML":               {"<?xml version=\"1.0\" encoding=\"iso-8859-2\"?>\n<html><head><title/><script src=\"a\"/></head><body><p>\xb1<a id=\"x\"/> b</p></body></html>", "paragraph: ą b\n"},
		"the foot comes last": {`<table border=1><tfoot><tr><td>sum<td>3</tfoot><tr><td>a<td>1</table>`, "table 2x2\n 0: |0 a |1 1\n 1: |0 sum |1 3\n"},
		"tables that lay out are none": {`<table><tr><td><h2>Left</h2>x</td><td><table border=1><tr><td>1<td>2</table></td></tr></table>`,
			"heading2: Left\nparagraph: x\ntable 1x2\n 0: |0 1 |1 2\n"},
		"what surrounds the main part is running": {`<nav><a href=/>Home</a></nav><main><h1>T</h1><footer>of it</footer></main><footer>Imprint</footer>`,
			"header: Home {link \"Home\" /}\nheading1: T\nparagraph: of it\nfooter: Imprint\n"},
		"without a main part":        {`<header>Site</header><article><header><h1>T</h1></header><p>x</article><footer>f</footer>`, "header: Site\nheading1: T\nparagraph: x\nfooter: f\n"},
		"what is not shown":          {`<script>a</script><style>b</style><p hidden>c</p><p style="display: none">d<p>e<template>f</template><noscript>g</noscript>`, "paragraph: e\n"},
		"pictures":                   {`<p>x <img alt="A crane"></p><figure><img alt="B"><figcaption>C</figcaption></figure>`, "paragraph: x\nfigure: A crane\nfigure: B\ncaption: C\n"},
		"spans that claim too much":  {`<table><tr><th colspan=99999 rowspan=99999>a<tr><td>b</table>`, "table 2x1001\n 0: |0 *a (2x1000)\n 1: |1000 b\n"},
		"an encoding that is named":  {"<meta charset=koi8-r><p>\xf0\xd2\xc9\xd7\xc5\xd4", "paragraph: Привет\n"},
		"an encoding that is not":    {"<p>\xd6l f\xfcr alle", "paragraph: Öl für alle\n"},
		"definitions, quotes, marks": {`<dl><dt>a<dd>b</dl><blockquote><p>c</blockquote><p>H<sub>2</sub>O <q>x</q>`, "paragraph: a {strong \"a\"}\nparagraph: b\nparagraph: c\nparagraph: H2O “x”\n"},
	} {
		t.Run(name, func(t *testing.T) {
			pages, err := formatstest.Read(t, html.New(), html.MediaType, []byte(c.page))
			if err != nil {
				t.Fatal(err)
			}
			if got := formatstest.Outline(pages); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestPagesOutsideTheLimitsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		page string
		code schemas.Code
	}{
		"empty":   {"", schemas.DocumentEmpty},
		"long":    {strings.Repeat("a", 9<<20), schemas.PageTooLarge},
		"nested":  {strings.Repeat("<div>", 100_000), schemas.DocumentTooDeep},
		"columns": {"<table>" + strings.Repeat("<tr>"+strings.Repeat("<td colspan=1000>x", 20), 300), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := formatstest.Open(t, html.New(), html.MediaType, []byte(c.page), formatstest.Limits)
			if c.code == "" && err == nil {
				return
			}
			if f := fault.Of(err); err == nil || f.Code != c.code {
				t.Errorf("got %v, want %q", err, c.code)
			}
		})
	}
}

func FuzzPage(f *testing.F) {
	f.Add([]byte(`<table><tr><td colspan=3>a<table><tr><th>b</table><ul><li>c<pre>d`))
	f.Fuzz(func(t *testing.T, page []byte) {
		if _, err := formatstest.Read(t, html.New(), html.MediaType, page); err != nil && fault.KindOf(err) != fault.Permanent {
			t.Fatal(err)
		}
	})
}
