package odf_test

import (
	"strings"
	"testing"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/odf"
	"docstream/schemas"
)

const names = `xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" ` +
	`xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" ` +
	`xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" xmlns:fo="urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0" ` +
	`xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0" xmlns:xlink="http://www.w3.org/1999/xlink" ` +
	`xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0"`

const styles = `<office:automatic-styles><style:style style:name="B"><style:text-properties fo:font-weight="bold"/></style:style>` +
	`<style:style style:name="hid"><style:table-properties table:display="false"/></style:style>` +
	`<text:list-style style:name="L"><text:list-level-style-number text:level="1" style:num-format="1" style:num-suffix="."/>` +
	`<text:list-level-style-number text:level="2" style:num-format="a" style:num-suffix=")"/></text:list-style></office:automatic-styles>`

func pack(media, body string) []byte {
	return formatstest.Zip(formatstest.Part{Name: "mimetype", Body: media},
		formatstest.Part{Name: "content.xml", Body: `<office:document-content ` + names + `>` + styles + `<office:body>` + body + `</office:body></office:document-content>`})
}

func TestDocumentsAreRead(t *testing.T) {
	for name, c := range map[string]struct{ media, body, want string }{
		"headings and spans": {odf.Text, `<office:text><text:tracked-changes><text:changed-region><text:deletion><text:p>gone</text:p></text:deletion></text:changed-region></text:tracked-changes>` +
			`<text:h text:outline-level="2">Two</text:h><text:p>a <text:span text:style-name="B">bold</text:span><text:line-break/>b <text:a xlink:href="https://a.example">link</text:a></text:p></office:text>`,
			"heading2: Two\nparagraph: a bold⏎b link {strong \"bold\"} {link \"link\" https://a.example}\n"},
		"lists": {odf.Text, `<office:text><text:list text:style-name="L"><text:list-item><text:p>a</text:p><text:list><text:list-item><text:p>b</text:p></text:list-item></text:list></text:list-item>` +
			`<text:list-item text:start-value="5"><text:p>c</text:p><text:p>more</text:p></text:list-item></text:list><text:list><text:list-item><text:p>d</text:p></text:list-item></text:list></office:text>`,
			"list_item1: 1. a\nlist_item2: a) b\nlist_item1: 5. c\nparagraph: more\nlist_item1: • d\n"},
		"tables, notes, pictures": {odf.Text, `<office:text><table:table><table:table-header-rows><table:table-row><table:table-cell table:number-columns-spanned="2"><text:p>A</text:p></table:table-cell><table:covered-table-cell/></table:table-row></table:table-header-rows>` +
			`<table:table-row><table:table-cell><text:p>1</text:p></table:table-cell><table:table-cell><text:p>2</text:p><text:p>3</text:p></table:table-cell></table:table-row></table:table>` +
			`<text:p>x<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Why.</text:p></text:note-body></text:note><draw:frame><svg:desc>A crane</svg:desc></draw:frame></text:p></office:text>`,
			"table 2x2\n 0: |0 *A (1x2)\n 1: |0 1 |1 2⏎3\nparagraph: x[1] {note_ref \"[1]\" 1}\nfigure: A crane\nnote[1]: Why.\n"},
		"sheets": {odf.Spreadsheet, `<office:spreadsheet><table:table table:name="One"><table:table-row table:number-rows-repeated="1000000"><table:table-cell table:number-columns-repeated="16384"/></table:table-row>` +
			`<table:table-row><table:table-cell office:value-type="string"><text:p>a</text:p></table:table-cell><table:table-cell office:value-type="date"><text:p>2 Nov</text:p></table:table-cell></table:table-row>` +
			`<table:table-row table:number-rows-repeated="2"><table:table-cell table:number-columns-repeated="2" office:value-type="float"><text:p>1.50</text:p></table:table-cell></table:table-row></table:table>` +
			`<table:table table:name="Two" table:style-name="hid"/></office:spreadsheet>`,
			"part One\nheading2: One\ntable 3x2\n 0: |0 a |1 2 Nov\n 1: |0 1.50 |1 1.50\n 2: |0 1.50 |1 1.50\n---\npart Two (hidden)\nheading2: Two\n"},
		"slides": {odf.Presentation, `<office:presentation><draw:page draw:name="s1"><draw:frame svg:y="5cm"><draw:text-box><text:list><text:list-item><text:p>point</text:p></text:list-item></text:list></draw:text-box></draw:frame>` +
			`<draw:frame presentation:class="title" svg:y="9cm"><draw:text-box><text:p>Title</text:p></draw:text-box></draw:frame><presentation:notes><draw:frame presentation:class="notes"><draw:text-box><text:p>say</text:p></draw:text-box></draw:frame></presentation:notes></draw:page>` +
			`<draw:page draw:name="s2"/></office:presentation>`, "part s1\nheading1: Title\nlist_item1: • point\nnote: say\n---\npart s2\n"},
	} {
		t.Run(name, func(t *testing.T) {
			pages, err := formatstest.Read(t, odf.New(), c.media, pack(c.media, c.body))
			if err != nil {
				t.Fatal(err)
			}
			if got := formatstest.Outline(pages); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestHostileDocumentsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		file []byte
		code schemas.Code
	}{
		"a password":                     {formatstest.Zip(formatstest.Part{Name: "mimetype"}, formatstest.Part{Name: "META-INF/manifest.xml", Body: `<manifest><file-entry><encryption-data/></file-entry></manifest>`}), schemas.DocumentEncrypted},
		"a row of words a million times": {pack(odf.Spreadsheet, `<office:spreadsheet><table:table><table:table-row table:number-rows-repeated="1000000"><table:table-cell><text:p>x</text:p></table:table-cell></table:table-row></table:table></office:spreadsheet>`), schemas.DocumentTooLarge},
		"no content":                     {formatstest.Zip(formatstest.Part{Name: "mimetype"}), schemas.DocumentCorrupt},
		"nested too deep":                {pack(odf.Text, "<office:text>"+strings.Repeat("<text:section>", 500)), schemas.DocumentTooDeep},
	} {
		t.Run(name, func(t *testing.T) {
			media := odf.Text
			if strings.Contains(name, "row") {
				media = odf.Spreadsheet
			}
			_, err := formatstest.Open(t, odf.New(), media, c.file, formatstest.Limits)
			if f := fault.Of(err); err == nil || f.Code != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte(`<office:text><text:list><text:list-item><text:p>a</text:p></text:list-item></text:list><table:table><table:table-row><table:table-cell/></table:table-row></table:table></office:text>`))
	f.Add([]byte(`<office:text><form:forms><form:checkbox form:id="a"/></form:forms><text:numbered-paragraph text:level="9"><text:p>a</text:p></text:numbered-paragraph><draw:control draw:control="a"/><table:table><table:table-row table:number-rows-repeated="9"><table:table-cell office:value-type="time" office:time-value="PT1H"/></table:table-row></table:table></office:text>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, media := range []string{odf.Text, odf.Spreadsheet, odf.Presentation} {
			if _, err := formatstest.Read(t, odf.New(), media, pack(media, string(body))); err != nil && fault.KindOf(err) != fault.Permanent {
				t.Fatal(err)
			}
		}
	})
}
