package pptx_test

import (
	"fmt"
	"testing"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/pptx"
	"docstream/schemas"
)

const kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"

func deck(notes string, slides ...string) []byte {
	parts := []formatstest.Part{{Name: "[Content_Types].xml", Body: "<Types/>"},
		{Name: "_rels/.rels", Body: `<Relationships><Relationship Id="a" Type="` + kind + `officeDocument" Target="ppt/presentation.xml"/></Relationships>`}}
	list, rels := "", ""
	for i, s := range slides {
		list += fmt.Sprintf(`<p:sldId id="%d" r:id="r%d"/>`, 256+i, i)
		rels += fmt.Sprintf(`<Relationship Id="r%d" Type="%sslide" Target="slides/%d.xml"/>`, i, kind, i)
		parts = append(parts, formatstest.Part{Name: fmt.Sprintf("ppt/slides/%d.xml", i), Body: `<p:sld xmlns:p="p" xmlns:a="a" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><p:cSld><p:spTree>` + s + `</p:spTree></p:cSld></p:sld>`})
	}
	if notes != "" {
		parts = append(parts, formatstest.Part{Name: "ppt/slides/_rels/0.xml.rels", Body: `<Relationships><Relationship Id="n" Type="` + kind + `notesSlide" Target="../notes.xml"/></Relationships>`},
			formatstest.Part{Name: "ppt/notes.xml", Body: `<p:notes xmlns:p="p" xmlns:a="a"><p:cSld><p:spTree>` + notes + `</p:spTree></p:cSld></p:notes>`})
	}
	return formatstest.Zip(append(parts,
		formatstest.Part{Name: "ppt/presentation.xml", Body: `<p:presentation xmlns:p="p" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><p:sldIdLst>` + list + `</p:sldIdLst></p:presentation>`},
		formatstest.Part{Name: "ppt/_rels/presentation.xml.rels", Body: "<Relationships>" + rels + "</Relationships>"})...)
}

// sp is a shape at a place with paragraphs.
func sp(ph string, x, y int, paragraphs string) string {
	return fmt.Sprintf(`<p:sp><p:nvSpPr><p:cNvPr id="1"/><p:nvPr>%s</p:nvPr></p:nvSpPr><p:spPr><a:xfrm><a:off x="%d" y="%d"/><a:ext cx="100" cy="100"/></a:xfrm></p:spPr><p:txBody>%s</p:txBody></p:sp>`, ph, x, y, paragraphs)
}

func p(props, text string) string {
	return "<a:p>" + props + "<a:r><a:t>" + text + "</a:t></a:r></a:p>"
}

func TestSlidesAreReadInOrder(t *testing.T) {
	bullets := p(`<a:pPr><a:buChar char="●"/></a:pPr>`, "a") + p(`<a:pPr lvl="1"><a:buChar char="○"/></a:pPr>`, "b") + p(`<a:pPr><a:buAutoNum type="arabicPeriod"/></a:pPr>`, "c") + p(`<a:pPr><a:buAutoNum type="arabicPeriod"/></a:pPr>`, "d") + p(`<a:pPr><a:buNone/></a:pPr>`, "e")
	table := `<p:graphicFrame><p:xfrm><a:off x="0" y="900"/><a:ext cx="1" cy="1"/></p:xfrm><a:graphic><a:graphicData><a:tbl><a:tblPr firstRow="1"/><a:tr><a:tc gridSpan="2"><a:txBody>` + p("", "A") + `</a:txBody></a:tc><a:tc hMerge="1"/></a:tr>` +
		`<a:tr><a:tc><a:txBody>` + p("", "1") + `</a:txBody></a:tc><a:tc><a:txBody>` + p("", "2") + `</a:txBody></a:tc></a:tr></a:tbl></a:graphicData></a:graphic></p:graphicFrame>`
	group := `<p:grpSp><p:grpSpPr><a:xfrm><a:off x="0" y="700"/><a:ext cx="100" cy="100"/><a:chOff x="0" y="0"/><a:chExt cx="100" cy="100"/></a:xfrm></p:grpSpPr>` + sp("", 0, 0, p("", "grouped")) + `</p:grpSp>`
	slide := sp("", 500, 305, p("", "right")) + sp("", 0, 300, p("", "left")) + table + group + sp(`<p:ph type="title"/>`, 0, 999, p("", "Title")) + sp(`<p:ph type="sldNum"/>`, 0, 2000, p("", "7")) + sp("", 0, 500, bullets)
	pages, err := formatstest.Read(t, pptx.New(), pptx.MediaType, deck(sp(`<p:ph type="body"/>`, 0, 0, p("", "say this")), slide, ""))
	if err != nil {
		t.Fatal(err)
	}
	want := "part Title\nheading1: Title\nparagraph: left\nparagraph: right\nlist_item1: • a\nlist_item2: • b\nlist_item1: 1. c\nlist_item1: 2. d\nparagraph: e\nparagraph: grouped\n" +
		"table 2x2\n 0: |0 *A (1x2)\n 1: |0 1 |1 2\nfooter: 7\nnote: say this\n---\n"
	if got := formatstest.Outline(pages); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestBrokenDecksAreRefused(t *testing.T) {
	whole := deck("", sp("", 0, 0, p("", "x")))
	for n := len(whole) / 10; n < len(whole); n += len(whole) / 10 {
		if _, err := formatstest.Open(t, pptx.New(), pptx.MediaType, whole[:n], formatstest.Limits); fault.Of(err).Code != schemas.DocumentCorrupt {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	if _, err := formatstest.Open(t, pptx.New(), pptx.MediaType, deck(""), formatstest.Limits); fault.Of(err).Code != schemas.DocumentEmpty {
		t.Errorf("no slides: %v", err)
	}
}

func FuzzSlide(f *testing.F) {
	f.Add([]byte(sp(`<p:ph type="title"/>`, 0, 0, p(`<a:pPr lvl="8"/>`, "x"))))
	f.Fuzz(func(t *testing.T, slide []byte) {
		if _, err := formatstest.Read(t, pptx.New(), pptx.MediaType, deck("", string(slide))); err != nil && fault.KindOf(err) != fault.Permanent {
			t.Fatal(err)
		}
	})
}
