package odf_test

import (
	"testing"

	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/odf"
)

// packed is a document with parts beside its content.
func packed(media, body string, more ...formatstest.Part) []byte {
	return formatstest.Zip(append([]formatstest.Part{{Name: "mimetype", Body: media},
		{Name: "content.xml", Body: `<office:document-content ` + names + ` xmlns:form="urn:oasis:names:tc:opendocument:xmlns:form:1.0">` + styles + `<office:body>` + body + `</office:body></office:document-content>`}}, more...)...)
}

func TestWhatDocumentsHoldIsRead(t *testing.T) {
	cell := func(props, text string) string {
		return `<table:table-cell ` + props + `><text:p>` + text + `</text:p></table:table-cell>`
	}
	for name, c := range map[string]struct {
		media, body, want string
		more              []formatstest.Part
	}{
		"numbers of headings": {media: odf.Text, body: `<office:text><text:h text:outline-level="1">Port</text:h><text:h text:outline-level="2">Quay</text:h><text:h text:outline-level="1">Ship</text:h><text:h text:outline-level="1" text:is-list-header="true">End</text:h></office:text>`,
			more: []formatstest.Part{{Name: "styles.xml", Body: `<office:document-styles ` + names + `><office:styles><text:outline-style style:name="Outline"><text:outline-level-style text:level="1" style:num-format="1" style:num-suffix="."/><text:outline-level-style text:level="2" style:num-format="1" text:display-levels="2"/></text:outline-style></office:styles></office:document-styles>`}},
			want: "heading1: 1. Port\nheading2: 1.1 Quay\nheading1: 2. Ship\nheading1: End\n"},
		"rows and cells that repeat": {media: odf.Text, body: `<office:text><table:table><table:table-row table:number-rows-repeated="2">` + cell(`table:number-columns-repeated="2"`, "x") + cell("", "y") + `</table:table-row></table:table></office:text>`,
			want: "table 2x3\n 0: |0 x |1 x |2 y\n 1: |0 x |1 x |2 y\n"},
		"items without their list": {media: odf.Text, body: `<office:text><text:numbered-paragraph text:style-name="L"><text:p>a</text:p></text:numbered-paragraph><text:numbered-paragraph text:style-name="L"><text:p>b</text:p></text:numbered-paragraph></office:text>`,
			want: "list_item1: 1. a\nlist_item1: 2. b\n"},
		"blanks that count": {media: odf.Text, body: `<office:text><text:p text:style-name="Preformatted_20_Text">if x:<text:line-break/><text:s text:c="4"/>y<text:tab/>z</text:p><text:p>a<text:s text:c="3"/>b</text:p></office:text>`,
			want: "code: if x:⏎    y\tz\nparagraph: a b\n"},
		"sections, indexes, boxes": {media: odf.Text, body: `<office:text><text:section><text:p>in</text:p></text:section><text:bibliography><text:index-body><text:p>Book</text:p></text:index-body></text:bibliography>` +
			`<text:p>around<draw:g><draw:rect><text:p>boxed</text:p></draw:rect><draw:frame><draw:text-box><text:p>framed</text:p></draw:text-box></draw:frame></draw:g> it<office:annotation><text:p>said</text:p></office:annotation></text:p></office:text>`,
			want: "paragraph: in\nparagraph: Book\nparagraph: around it\nparagraph: boxed\nparagraph: framed\n"},
		"changes": {media: odf.Text, body: `<office:text><text:tracked-changes><text:changed-region><text:deletion><text:p>gone</text:p></text:deletion></text:changed-region></text:tracked-changes><text:p>a<text:change text:change-id="1"/><text:change-start/>new<text:change-end/></text:p></office:text>`,
			want: "paragraph: anew\n"},
		"formulas and charts": {media: odf.Text, body: `<office:text><text:p>If <draw:frame><draw:object xlink:href="./Object 1"/><draw:image xlink:href="./ObjectReplacements/Object 1"/></draw:frame> then</text:p><text:p><draw:frame><draw:object xlink:href="./Object 2"/></draw:frame></text:p></office:text>`,
			more: []formatstest.Part{{Name: "Object 1/content.xml", Body: `<math xmlns="http://www.w3.org/1998/Math/MathML"><semantics><mrow><mi>a</mi></mrow><annotation encoding="StarMath 5.0">a over  b</annotation></semantics></math>`},
				{Name: "ObjectReplacements/Object 1", Body: "x"},
				{Name: "Object 2/content.xml", Body: `<office:document-content ` + names + ` xmlns:chart="urn:oasis:names:tc:opendocument:xmlns:chart:1.0"><office:body><office:chart><chart:chart><chart:title><text:p>Ships</text:p></chart:title><table:table><table:table-rows><table:table-row>` + cell("", "North") + cell("", "3") + `</table:table-row></table:table-rows></table:table></chart:chart></office:chart></office:body></office:document-content>`}},
			want: "paragraph: If a over b then\nparagraph: Ships\ntable 1x2\n 0: |0 North |1 3\n"},
		"fields of forms": {media: odf.Text, body: `<office:text><office:forms><form:form><form:checkbox form:id="c1" form:current-state="checked" form:label="tar"/><form:text form:id="c2" form:current-value="Ann"/><form:listbox form:id="c3"><form:option form:label="red"/><form:option form:label="blue" form:selected="true"/></form:listbox></form:form></office:forms>` +
			`<text:p>We: <draw:control draw:control="c1"/>, <draw:control draw:control="c2"/>, <draw:control draw:control="c3"/></text:p></office:text>`, want: "paragraph: We: ☒ tar, Ann, blue\n"},
		"cells whose writer shows nothing": {media: odf.Spreadsheet, body: `<office:spreadsheet><table:table table:name="S"><table:table-row><table:table-cell office:value-type="float" office:value="1.5"/><table:table-cell office:value-type="percentage" office:value="0.256"/><table:table-cell office:value-type="currency" office:currency="EUR" office:value="3"/>` +
			`<table:table-cell office:value-type="date" office:date-value="2024-01-01T00:00:00"/><table:table-cell office:value-type="time" office:time-value="PT9H05M00S"/><table:table-cell office:value-type="boolean" office:boolean-value="true"/><table:table-cell office:value-type="string" office:string-value="w"/></table:table-row></table:table></office:spreadsheet>`,
			want: "part S\ntable 1x7\n 0: |0 1.5 |1 25.6% |2 3 EUR |3 2024-01-01 |4 09:05:00 |5 TRUE |6 w\n"},
		"cells that others cover": {media: odf.Spreadsheet, body: `<office:spreadsheet><table:table table:name="S"><table:table-row>` + cell(`table:number-columns-spanned="2" table:number-rows-spanned="2"`, "big") + `<table:covered-table-cell><text:p>under</text:p></table:covered-table-cell>` + cell("", "c") + `</table:table-row>` +
			`<table:table-row><table:covered-table-cell table:number-columns-repeated="2"/>` + cell("", "d") + `<table:table-cell table:number-columns-repeated="16381"/></table:table-row></table:table></office:spreadsheet>`,
			want: "part S\ntable 2x3\n 0: |0 *big (2x2) |2 *c\n 1: |2 d\n"},
		"shapes in rows": {media: odf.Presentation, body: `<office:presentation><draw:page draw:name="s"><draw:frame svg:x="10cm" svg:y="5cm" svg:height="4cm"><draw:text-box><text:p>right</text:p></draw:text-box></draw:frame><draw:frame svg:x="1cm" svg:y="5.2cm" svg:height="4cm"><draw:text-box><text:p>left</text:p></draw:text-box></draw:frame>` +
			`<draw:g><draw:custom-shape svg:x="1cm" svg:y="12cm" svg:height="1cm"><text:p>low</text:p></draw:custom-shape></draw:g><draw:frame draw:transform="rotate (1) translate (2cm 1cm)" svg:height="1cm"><draw:text-box><text:p>turned</text:p></draw:text-box></draw:frame></draw:page></office:presentation>`,
			want: "part s\nparagraph: turned\nparagraph: left\nparagraph: right\nparagraph: low\n"},
	} {
		t.Run(name, func(t *testing.T) {
			pages, err := formatstest.Read(t, odf.New(), c.media, packed(c.media, c.body, c.more...))
			if err != nil {
				t.Fatal(err)
			}
			if got := formatstest.Outline(pages); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
