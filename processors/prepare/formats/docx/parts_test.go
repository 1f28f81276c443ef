package docx_test

import (
	"strings"
	"testing"
	"unicode/utf16"

	"docstream/processors/prepare/formats/docx"
	"docstream/processors/prepare/formats/formatstest"
)

// with packs a body with parts that it points to: each by the id, the kind and the name before its content.
func with(body string, parts ...[4]string) []byte {
	const kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
	rels := ""
	all := []formatstest.Part{{Name: "[Content_Types].xml", Body: "<Types/>"},
		{Name: "_rels/.rels", Body: `<Relationships><Relationship Id="a" Type="` + kind + `officeDocument" Target="word/document.xml"/></Relationships>`},
		{Name: "word/document.xml", Body: `<w:document ` + names + `><w:body>` + body + `</w:body></w:document>`}}
	for _, p := range parts {
		rels += `<Relationship Id="` + p[0] + `" Type="` + kind + p[1] + `" Target="` + p[2] + `"/>`
		all = append(all, formatstest.Part{Name: "word/" + p[2], Body: p[3]})
	}
	return formatstest.Zip(append(all, formatstest.Part{Name: "word/_rels/document.xml.rels", Body: "<Relationships>" + rels + "</Relationships>"})...)
}

func fields(kind, data, result string) string {
	return `<w:r><w:fldChar w:fldCharType="begin"><w:ffData>` + data + `</w:ffData></w:fldChar></w:r><w:r><w:instrText> ` + kind + ` </w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r>` +
		result + `<w:r><w:fldChar w:fldCharType="end"/></w:r>`
}

func TestWhatIsNoPlainTextIsRead(t *testing.T) {
	r := func(s string) string { return `<w:r><w:t xml:space="preserve">` + s + `</w:t></w:r>` }
	graphic := func(inner string) string {
		return `<w:p><w:r><w:drawing><wp:inline><a:graphic xmlns:a="a"><a:graphicData>` + inner + `</a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p>`
	}
	ser := func(name string, values ...string) string {
		s := `<c:ser><c:tx><c:strRef><c:strCache><c:pt idx="0"><c:v>` + name + `</c:v></c:pt></c:strCache></c:strRef></c:tx><c:cat><c:strRef><c:strCache><c:pt idx="0"><c:v>2024</c:v></c:pt><c:pt idx="1"><c:v>2025</c:v></c:pt></c:strCache></c:strRef></c:cat><c:val><c:numRef><c:numCache>`
		for i, v := range values {
			s += `<c:pt idx="` + string(rune('0'+i)) + `"><c:v>` + v + `</c:v></c:pt>`
		}
		return s + `</c:numCache></c:numRef></c:val></c:ser>`
	}
	chart := `<c:chartSpace xmlns:c="c" xmlns:a="a"><c:chart><c:title><c:tx><c:rich><a:p><a:r><a:t>Ships</a:t></a:r></a:p></c:rich></c:tx></c:title><c:plotArea><c:barChart>` + ser("North", "3", "5") + ser("South", "4", "6") +
		`</c:barChart><c:valAx><c:title><c:tx><c:rich><a:p><a:r><a:t>per year</a:t></a:r></a:p></c:rich></c:tx></c:title></c:valAx></c:plotArea></c:chart></c:chartSpace>`
	diagram := `<dgm:dataModel xmlns:dgm="d" xmlns:a="a"><dgm:ptLst><dgm:pt type="doc"/><dgm:pt><dgm:t><a:p><a:r><a:t>Load</a:t></a:r></a:p></dgm:t></dgm:pt><dgm:pt type="parTrans"><dgm:t><a:p><a:r><a:t>no</a:t></a:r></a:p></dgm:t></dgm:pt><dgm:pt><dgm:t><a:p><a:r><a:t>Sail</a:t></a:r></a:p></dgm:t></dgm:pt></dgm:ptLst></dgm:dataModel>`
	mht := "MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>Gr=C3=B6=C3=9Fe</p><table border=3D1><tr><td>1<td>2</table>\r\n--b--\r\n"
	for name, c := range map[string]struct {
		body, want string
		parts      [][4]string
	}{
		"boxes and lists of old forms": {body: `<w:p>` + fields("FORMCHECKBOX", `<w:checkBox><w:default w:val="0"/><w:checked/></w:checkBox>`, "") + r(" tar ") + fields("FORMCHECKBOX", `<w:checkBox><w:default w:val="0"/></w:checkBox>`, "") + r(" rope ") +
			fields("FORMDROPDOWN", `<w:ddList><w:result w:val="1"/><w:listEntry w:val="red"/><w:listEntry w:val="blue"/></w:ddList>`, "") + r(" ") + fields("FORMTEXT", `<w:textInput><w:default w:val="x"/></w:textInput>`, r("Ann")) + `</w:p>`,
			want: "paragraph: ☒ tar ☐ rope blue Ann\n"},
		"signs of symbol fonts": {body: `<w:p><w:r><w:sym w:font="Wingdings" w:char="F0FE"/></w:r>` + r(" done ") + `<w:r><w:rPr><w:rFonts w:ascii="Symbol" w:hAnsi="Symbol"/></w:rPr><w:t></w:t></w:r></w:p>`, want: "paragraph: ☑ done α\n"},
		"content controls": {body: `<w:p><w:sdt><w:sdtPr/><w:sdtContent>` + r("☒") + `</w:sdtContent></w:sdt>` + r(" yes") + `</w:p><w:tbl><w:sdt><w:sdtContent><w:tr><w:sdt><w:sdtContent>` + cell("", "a") + `</w:sdtContent></w:sdt>` + cell("", "b") + `</w:tr></w:sdtContent></w:sdt></w:tbl>`,
			want: "paragraph: ☒ yes\ntable 1x2\n 0: |0 a |1 b\n"},
		"changes and comments": {body: `<w:p><w:commentRangeStart w:id="0"/>` + r("kept ") + `<w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins>` + r("new") + `</w:ins><w:moveFrom>` + r("away") + `</w:moveFrom><w:commentRangeEnd w:id="0"/><w:r><w:commentReference w:id="0"/></w:r></w:p>`,
			want: "paragraph: kept new\n"},
		"blocks that are said twice": {body: `<mc:AlternateContent><mc:Choice>` + p("", "new") + `</mc:Choice><mc:Fallback>` + p("", "old") + `</mc:Fallback></mc:AlternateContent><w:tbl><w:tr><w:tc><mc:AlternateContent><mc:Fallback>` + p("", "in a cell") + `</mc:Fallback></mc:AlternateContent></w:tc></w:tr></w:tbl>`,
			want: "paragraph: new\ntable 1x1\n 0: |0 in a cell\n"},
		"charts":   {body: graphic(`<c:chart xmlns:c="c" r:id="c1"/>`), parts: [][4]string{{"c1", "chart", "charts/1.xml", chart}}, want: "caption: Ships\ntable 3x3\n 0: |0 * |1 *North |2 *South\n 1: |0 *2024 |1 3 |2 4\n 2: |0 *2025 |1 5 |2 6\nparagraph: per year\n"},
		"diagrams": {body: graphic(`<dgm:relIds xmlns:dgm="d" r:dm="d1"/>`), parts: [][4]string{{"d1", "diagramData", "diagrams/1.xml", diagram}}, want: "list_item1: • Load\nlist_item1: • Sail\n"},
		"documents within": {body: p("", "one") + `<w:altChunk r:id="h"/><w:altChunk r:id="m"/><w:altChunk r:id="t"/><w:altChunk r:id="z"/><w:altChunk r:id="none"/>` + p("", "two"),
			parts: [][4]string{{"h", "aFChunk", "a.html", "<html><body><h1>In</h1><ul><li>x</ul></body></html>"}, {"m", "aFChunk", "b.mht", mht}, {"t", "aFChunk", "c.txt", "plain\r\nwords"}, {"z", "aFChunk", "d.docx", "PK\x03\x04"}},
			want:  "paragraph: one\nheading1: In\nlist_item1: • x\nparagraph: Größe\ntable 1x2\n 0: |0 1 |1 2\nparagraph: plain\nparagraph: words\nparagraph: two\n"},
		"formulas": {body: `<w:p><m:oMath><m:m><m:mr><m:e><m:r><m:t>a</m:t></m:r></m:e><m:e><m:r><m:t>b</m:t></m:r></m:e></m:mr><m:mr><m:e><m:r><m:t>c</m:t></m:r></m:e><m:e><m:r><m:t>d</m:t></m:r></m:e></m:mr></m:m></m:oMath>` + r(" is ") + `<m:oMath><m:limLow><m:e><m:r><m:t>lim</m:t></m:r></m:e><m:lim><m:r><m:t>n</m:t></m:r></m:lim></m:limLow></m:oMath></w:p>`,
			want: "paragraph: a, b; c, d is lim_n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			pages, err := formatstest.Read(t, docx.New(), docx.MediaType, with(c.body, c.parts...))
			if err != nil {
				t.Fatal(err)
			}
			if got := formatstest.Outline(pages); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestADocumentIsWholeWithoutWhatItPointsTo(t *testing.T) {
	body := p("", "one") + `<w:altChunk r:id="deep"/><w:p><w:r><w:drawing><c:chart xmlns:c="c" r:id="c"/></w:drawing></w:r></w:p>`
	pages, err := formatstest.Read(t, docx.New(), docx.MediaType, with(body, [4]string{"deep", "aFChunk", "document.xml", ""}, [4]string{"c", "chart", "charts/1.xml", "<broken"}))
	if err != nil || !strings.HasPrefix(formatstest.Outline(pages), "paragraph: one\n") {
		t.Errorf("%v", err)
	}
}

func TestAPartInUTF16IsRead(t *testing.T) {
	body := `<?xml version="1.0" encoding="UTF-16"?><w:document ` + names + `><w:body>` + p("", "Größe 漢字") + `</w:body></w:document>`
	wide := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(body)) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	file := formatstest.Zip(formatstest.Part{Name: "[Content_Types].xml", Body: "<Types/>"},
		formatstest.Part{Name: "_rels/.rels", Body: `<Relationships><Relationship Id="a" Type="x/officeDocument" Target="/word/document.xml"/></Relationships>`},
		formatstest.Part{Name: "word/document.xml", Body: string(wide)})
	pages, err := formatstest.Read(t, docx.New(), docx.MediaType, file)
	if err != nil {
		t.Fatal(err)
	}
	if got := formatstest.Outline(pages); got != "paragraph: Größe 漢字\n" {
		t.Error(got)
	}
}

func FuzzParts(f *testing.F) {
	f.Add([]byte("<c:chartSpace xmlns:c=\"c\"><c:chart><c:plotArea><c:x><c:ser><c:val><c:pt idx=\"9\"><c:v>1</c:v></c:pt></c:val></c:ser></c:x></c:plotArea></c:chart></c:chartSpace>"))
	f.Add([]byte("MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>x"))
	f.Fuzz(func(t *testing.T, in []byte) {
		body := `<w:altChunk r:id="x"/><w:p><w:r><w:drawing><c:chart xmlns:c="c" r:id="c"/><d:relIds xmlns:d="d" r:dm="c"/></w:drawing></w:r></w:p>`
		pages, err := formatstest.Read(t, docx.New(), docx.MediaType, with(body, [4]string{"x", "aFChunk", "a.bin", string(in)}, [4]string{"c", "chart", "c.xml", string(in)}))
		if err != nil && !permanent(err) {
			t.Fatal(err)
		}
		_ = formatstest.Outline(pages)
	})
}
