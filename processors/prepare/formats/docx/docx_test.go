package docx_test

import (
	"fmt"
	"strings"
	"testing"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/docx"
	"docstream/processors/prepare/formats/formatstest"
	"docstream/schemas"
)

const names = `xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" ` +
	`xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" ` +
	`xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" xmlns:v="urn:schemas-microsoft-com:vml" xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"`

const styles = `<w:styles ` + names + `>
<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/></w:style>
<w:style w:type="paragraph" w:styleId="H1"><w:name w:val="heading 1"/><w:basedOn w:val="Normal"/></w:style>
<w:style w:type="paragraph" w:styleId="Mine"><w:name w:val="My heading"/><w:basedOn w:val="H1"/></w:style>
<w:style w:type="paragraph" w:styleId="Deep"><w:name w:val="Outlined"/><w:pPr><w:outlineLvl w:val="2"/></w:pPr></w:style>
<w:style w:type="paragraph" w:styleId="Loop"><w:name w:val="Loop"/><w:basedOn w:val="Loop"/></w:style>
<w:style w:type="paragraph" w:styleId="Cap"><w:name w:val="caption"/></w:style>
<w:style w:type="paragraph" w:styleId="LB"><w:name w:val="List Bullet"/><w:pPr><w:numPr><w:numId w:val="2"/></w:numPr></w:pPr></w:style>
<w:style w:type="character" w:styleId="S"><w:name w:val="Strong"/><w:rPr><w:b/></w:rPr></w:style></w:styles>`

const lists = `<w:numbering ` + names + `>
<w:abstractNum w:abstractNumId="0">
<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>
<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%2)"/></w:lvl>
<w:lvl w:ilvl="2"><w:start w:val="1"/><w:numFmt w:val="lowerRoman"/><w:lvlText w:val="%1.%3"/></w:lvl></w:abstractNum>
<w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val=""/></w:lvl></w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>
<w:num w:numId="3"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride></w:num></w:numbering>`

const notes = `<w:footnotes ` + names + `><w:footnote w:id="-1" w:type="separator"><w:p><w:r><w:t>line</w:t></w:r></w:p></w:footnote>
<w:footnote w:id="2"><w:p><w:r><w:t>See the log.</w:t></w:r></w:p></w:footnote></w:footnotes>`

// document packs a body with the parts that stand beside it.
func document(body string) []byte {
	const kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
	return formatstest.Zip(
		formatstest.Part{Name: "[Content_Types].xml", Body: `<Types/>`},
		formatstest.Part{Name: "_rels/.rels", Body: `<Relationships><Relationship Id="a" Type="` + kind + `officeDocument" Target="word/document.xml"/></Relationships>`},
		formatstest.Part{Name: "word/document.xml", Body: `<?xml version="1.0"?><w:document ` + names + `><w:body>` + body + `</w:body></w:document>`},
		formatstest.Part{Name: "word/_rels/document.xml.rels", Body: `<Relationships>` +
			`<Relationship Id="s" Type="` + kind + `styles" Target="styles.xml"/><Relationship Id="n" Type="` + kind + `numbering" Target="/word/numbering.xml"/>` +
			`<Relationship Id="f" Type="` + kind + `footnotes" Target="footnotes.xml"/><Relationship Id="h" Type="` + kind + `header" Target="header1.xml"/>` +
			`<Relationship Id="l" Type="` + kind + `hyperlink" Target="https://harbour.example/a" TargetMode="External"/>` +
			`<Relationship Id="j" Type="` + kind + `hyperlink" Target="javascript:alert(1)" TargetMode="External"/></Relationships>`},
		formatstest.Part{Name: "word/styles.xml", Body: styles}, formatstest.Part{Name: "word/numbering.xml", Body: lists},
		formatstest.Part{Name: "word/footnotes.xml", Body: notes},
		formatstest.Part{Name: "word/header1.xml", Body: `<w:hdr ` + names + `><w:p><w:r><w:t>Harbour book</w:t></w:r></w:p></w:hdr>`},
	)
}

func TestPicturesOfADocument(t *testing.T) {
	const kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
	drawing := func(alt, id string) string {
		return `<w:r><w:drawing><wp:inline><wp:docPr descr="` + alt + `"/><a:graphic xmlns:a="a"><a:graphicData><pic:pic xmlns:pic="p"><pic:blipFill><a:blip r:embed="` + id + `"/></pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r>`
	}
	body := `<w:p>` + drawing("A boat", "p1") + drawing("", "p2") + `</w:p>` +
		`<w:p><w:r><w:pict><v:shape alt="Old"><v:imagedata r:id="p3"/></v:shape></w:pict></w:r></w:p>` +
		`<w:p>` + drawing("Elsewhere", "out") + drawing("Gone", "p9") + drawing("Torn", "p5") + `</w:p>` +
		`<w:tbl><w:tr><w:tc><w:p><w:r><w:t>Cell</w:t></w:r>` + drawing("In a cell", "p4") + `</w:p></w:tc><w:tc><w:p><w:r><w:t>2</w:t></w:r></w:p></w:tc></w:tr></w:tbl>`
	rels, parts := "", []formatstest.Part{
		{Name: "[Content_Types].xml", Body: `<Types/>`},
		{Name: "_rels/.rels", Body: `<Relationships><Relationship Id="a" Type="` + kind + `officeDocument" Target="word/document.xml"/></Relationships>`},
		{Name: "word/document.xml", Body: `<w:document ` + names + `><w:body>` + body + `</w:body></w:document>`},
	}
	for i, k := range []string{"png", "jpeg", "gif", "bmp", "torn"} {
		name := fmt.Sprintf("media/image%d.bin", i+1)
		rels += fmt.Sprintf(`<Relationship Id="p%d" Type="%simage" Target="%s"/>`, i+1, kind, name)
		parts = append(parts, formatstest.Part{Name: "word/" + name, Body: string(formatstest.Dot(k, 20+i))})
	}
	parts = append(parts, formatstest.Part{Name: "word/_rels/document.xml.rels", Body: `<Relationships>` + rels +
		`<Relationship Id="out" Type="` + kind + `image" Target="http://elsewhere.example/x.png" TargetMode="External"/></Relationships>`})
	want := "1 \"A boat\" image/png 20x20\n1 \"\" image/jpeg 21x21\n1 \"Old\" image/png 22x22\n1 \"Elsewhere\"\n1 \"Gone\"\n1 \"Torn\"\n1 \"\" image/png 23x23\n"
	if got := formatstest.Figures(t, docx.New(), docx.MediaType, formatstest.Zip(parts...)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func p(style, text string) string {
	return `<w:p><w:pPr><w:pStyle w:val="` + style + `"/></w:pPr><w:r><w:t>` + text + `</w:t></w:r></w:p>`
}

func item(num, level, text string) string {
	return `<w:p><w:pPr><w:numPr><w:ilvl w:val="` + level + `"/><w:numId w:val="` + num + `"/></w:numPr></w:pPr><w:r><w:t>` + text + `</w:t></w:r></w:p>`
}

func cell(props, text string) string {
	return `<w:tc><w:tcPr>` + props + `</w:tcPr><w:p><w:r><w:t>` + text + `</w:t></w:r></w:p></w:tc>`
}

func TestWhatWordShowsIsRead(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"headings by style, by what it is based on, by outline": {p("H1", "One") + p("Mine", "Mine") + p("Deep", "Deep") + p("Loop", "plain") +
			`<w:p><w:pPr><w:outlineLvl w:val="1"/></w:pPr><w:r><w:t>Two</w:t></w:r></w:p><w:p><w:pPr><w:pStyle w:val="H1"/><w:outlineLvl w:val="9"/></w:pPr><w:r><w:t>Body</w:t></w:r></w:p>`,
			"heading1: One\nheading1: Mine\nheading3: Deep\nparagraph: plain\nheading2: Two\nparagraph: Body\n"},
		"numbers count as Word counts": {item("1", "0", "a") + item("1", "1", "b") + item("1", "1", "c") + item("1", "2", "d") + item("1", "0", "e") + item("1", "1", "f") +
			item("3", "0", "g") + item("0", "0", "none"),
			"list_item1: 1. a\nlist_item2: a) b\nlist_item2: b) c\nlist_item3: 1.i d\nlist_item1: 2. e\nlist_item2: a) f\nlist_item1: 5. g\nparagraph: none\n"},
		"bullets, also those of a style": {item("2", "0", "a") + p("LB", "b"), "list_item1: • a\nlist_item1: • b\n"},
		"tracked changes are accepted": {`<w:p><w:r><w:t xml:space="preserve">kept </w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins><w:r><w:t>new</w:t></w:r></w:ins>` +
			`<w:moveFrom><w:r><w:t>from</w:t></w:r></w:moveFrom><w:moveTo><w:r><w:t> to</w:t></w:r></w:moveTo></w:p>`, "paragraph: kept new to\n"},
		"a deleted paragraph mark joins": {`<w:p><w:pPr><w:rPr><w:del/></w:rPr></w:pPr><w:r><w:t xml:space="preserve">one </w:t></w:r></w:p><w:p><w:r><w:t>two</w:t></w:r></w:p>`,
			"paragraph: one two\n"},
		"spans": {`<w:p><w:r><w:rPr><w:b/></w:rPr><w:t xml:space="preserve">bold </w:t></w:r><w:r><w:rPr><w:rStyle w:val="S"/><w:i/></w:rPr><w:t>both</w:t></w:r>` +
			`<w:hyperlink r:id="l"><w:r><w:t>there</w:t></w:r></w:hyperlink><w:hyperlink r:id="j"><w:r><w:t>no</w:t></w:r></w:hyperlink></w:p>`,
			"paragraph: bold boththereno {strong \"bold both\"} {emphasis \"both\"} {link \"there\" https://harbour.example/a}\n"},
		"fields show their result": {`<w:p><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> HYPERLINK "https://x.example" </w:instrText></w:r><w:r><w:t>hidden</w:t></w:r>` +
			`<w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>shown</w:t></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>`,
			"paragraph: shown {link \"shown\" https://x.example}\n"},
		"notes come last": {`<w:p><w:r><w:t>Tide</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r></w:p>` + p("Normal", "after"),
			"paragraph: Tide[1] {note_ref \"[1]\" 1}\nparagraph: after\nnote[1]: See the log.\n"},
		"what is said of pictures": {`<w:p><w:r><w:t>Look</w:t><w:drawing><wp:inline><wp:docPr id="1" name="x" descr="A crane"/></wp:inline></w:drawing></w:r></w:p>`,
			"paragraph: Look\nfigure: A crane\n"},
		"text boxes once": {`<w:p><w:r><w:t>Out</w:t></w:r><w:r><mc:AlternateContent><mc:Choice><w:drawing><wps:txbx><w:txbxContent>` + p("Normal", "In") + `</w:txbxContent></wps:txbx></w:drawing></mc:Choice>` +
			`<mc:Fallback><w:pict><v:textbox><w:txbxContent>` + p("Normal", "In") + `</w:txbxContent></v:textbox></w:pict></mc:Fallback></mc:AlternateContent></w:r></w:p>`, "paragraph: Out\nparagraph: In\n"},
		"hidden text is left out": {`<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>no</w:t></w:r><w:r><w:t>yes</w:t></w:r></w:p>`, "paragraph: yes\n"},
		"spans of cells": {`<w:tbl><w:tblPr><w:tblLook w:firstRow="1"/></w:tblPr><w:tr>` + cell(`<w:gridSpan w:val="2"/>`, "wide") + cell(`<w:vMerge w:val="restart"/>`, "high") + `</w:tr>` +
			`<w:tr>` + cell("", "a") + cell("", "b") + cell(`<w:vMerge/>`, "") + `</w:tr><w:tr><w:trPr><w:gridBefore w:val="1"/></w:trPr>` + cell("", "late") + cell("", "c") + `</w:tr>` +
			`<w:tr><w:trPr><w:del/></w:trPr>` + cell("", "deleted") + `</w:tr></w:tbl>`,
			"table 3x3\n 0: |0 *wide (1x2) |2 *high (2x1)\n 1: |0 a |1 b\n 2: |1 late |2 c\n"},
		"a table in a cell becomes lines": {`<w:tbl><w:tr>` + cell("", "a") + `<w:tc><w:tbl><w:tr>` + cell("", "x") + cell("", "y") + `</w:tr><w:tr>` + cell("", "z") + `</w:tr></w:tbl></w:tc></w:tr></w:tbl>`,
			"table 1x2\n 0: |0 a |1 x y⏎z\n"},
		"pages and running headers": {p("Normal", "one") + `<w:p><w:r><w:br w:type="page"/><w:t>two</w:t></w:r></w:p><w:p><w:pPr><w:pageBreakBefore/></w:pPr><w:r><w:t>three</w:t></w:r></w:p><w:sectPr><w:headerReference r:id="h"/></w:sectPr>`,
			"paragraph: one\n---\nparagraph: two\n---\nparagraph: three\nheader: Harbour book\n"},
		"captions and formulas": {p("Cap", "Table 1") + `<w:p><m:oMathPara><m:oMath><m:f><m:num><m:r><m:t>a+b</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f></m:oMath></m:oMathPara></w:p>`,
			"caption: Table 1\nequation: (a+b)/2\n"},
		"content controls": {`<w:sdt><w:sdtPr/><w:sdtContent>` + p("Normal", "held") + `</w:sdtContent></w:sdt>`, "paragraph: held\n"},
		"nothing":          {``, ""},
	} {
		t.Run(name, func(t *testing.T) {
			pages, err := formatstest.Read(t, docx.New(), docx.MediaType, document(c.body))
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
	lol := `<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>`
	with := func(body string) []byte {
		const kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
		return formatstest.Zip(formatstest.Part{Name: "_rels/.rels", Body: `<Relationships><Relationship Id="a" Type="` + kind + `officeDocument" Target="d.xml"/></Relationships>`},
			formatstest.Part{Name: "d.xml", Body: body})
	}
	good := document(p("Normal", strings.Repeat("harbour ", 1000)))
	for name, c := range map[string]struct {
		file   []byte
		limits func(*formats.Limits)
		code   schemas.Code
	}{
		"entities":           {with(lol + `<document><body><p><r><t>&b;</t></r></p></body></document>`), nil, schemas.DocumentEntities},
		"external entities":  {with(`<!DOCTYPE x SYSTEM "file:///etc/passwd" [<!ENTITY a SYSTEM "file:///etc/passwd">]><document/>`), nil, schemas.DocumentEntities},
		"an unknown entity":  {with(`<document><body><p><r><t>&a;</t></r></p></body></document>`), nil, schemas.DocumentCorrupt},
		"nested too deep":    {with(`<document><body>` + strings.Repeat("<p>", 500)), nil, schemas.DocumentTooDeep},
		"a tag without end":  {with(`<document ` + strings.Repeat(`a="b" `, 2<<20)), nil, schemas.DocumentTooLarge},
		"a flat bomb":        {with(`<document><body>` + strings.Repeat("<p></p>\n", 1<<20)), func(l *formats.Limits) { l.Unpacked = 1 << 20 }, schemas.DocumentTooLarge},
		"too many parts":     {good, func(l *formats.Limits) { l.Parts = 3 }, schemas.DocumentTooLarge},
		"too many pages":     {document(strings.Repeat(p("Normal", "x")+`<w:p><w:r><w:br w:type="page"/></w:r></w:p>`, 20)), func(l *formats.Limits) { l.Pages = 10 }, schemas.DocumentTooManyPages},
		"no main part":       {formatstest.Zip(formatstest.Part{Name: "a", Body: "b"}), nil, schemas.DocumentCorrupt},
		"a path that climbs": {formatstest.Zip(formatstest.Part{Name: "_rels/.rels", Body: `<Relationships><Relationship Id="a" Type="x/officeDocument" Target="../../etc/passwd"/></Relationships>`}), nil, schemas.DocumentCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			l := formatstest.Limits
			if c.limits != nil {
				c.limits(&l)
			}
			_, err := formatstest.Open(t, docx.New(), docx.MediaType, c.file, l)
			if f := fault.Of(err); err == nil || f.Code != c.code || f.Kind != fault.Permanent {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
	for n := len(good) / 10; n < len(good); n += len(good) / 10 {
		if _, err := formatstest.Open(t, docx.New(), docx.MediaType, good[:n], formatstest.Limits); err == nil || fault.KindOf(err) != fault.Permanent {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

func FuzzDocument(f *testing.F) {
	f.Add([]byte(p("H1", "One") + item("1", "0", "a") + `<w:tbl><w:tr>` + cell(`<w:gridSpan w:val="2"/><w:vMerge/>`, "x") + `</w:tr></w:tbl>`))
	f.Add([]byte(`<w:p><w:r><w:fldChar w:fldCharType="begin"/><w:instrText>HYPERLINK "x"</w:instrText></w:r><m:oMath><m:nary/></m:oMath></w:p>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		pages, err := formatstest.Read(t, docx.New(), docx.MediaType, document(string(body)))
		if err != nil && fault.KindOf(err) != fault.Permanent {
			t.Fatal(err)
		}
		_ = formatstest.Outline(pages)
	})
}

func permanent(err error) bool { return fault.KindOf(err) == fault.Permanent }
