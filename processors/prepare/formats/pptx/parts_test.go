package pptx_test

import (
	"fmt"
	"testing"

	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/pptx"
)

// slide is a deck of one slide that points to parts, each by the id, the kind and the name before its content.
func slide(body string, parts ...[4]string) []byte {
	rels := ""
	all := []formatstest.Part{{Name: "[Content_Types].xml", Body: "<Types/>"},
		{Name: "_rels/.rels", Body: `<Relationships><Relationship Id="a" Type="` + kind + `officeDocument" Target="ppt/presentation.xml"/></Relationships>`},
		{Name: "ppt/presentation.xml", Body: `<p:presentation xmlns:p="p" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><p:sldIdLst><p:sldId id="256" r:id="r"/></p:sldIdLst></p:presentation>`},
		{Name: "ppt/_rels/presentation.xml.rels", Body: `<Relationships><Relationship Id="r" Type="` + kind + `slide" Target="slides/1.xml"/></Relationships>`},
		{Name: "ppt/slides/1.xml", Body: `<p:sld xmlns:p="p" xmlns:a="a" xmlns:c="c" xmlns:dgm="d" xmlns:mc="mc" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><p:cSld><p:spTree>` + body + `</p:spTree></p:cSld></p:sld>`}}
	for _, p := range parts {
		rels += `<Relationship Id="` + p[0] + `" Type="` + kind + p[1] + `" Target="` + p[2] + `"/>`
		all = append(all, formatstest.Part{Name: "ppt/slides/" + p[2], Body: p[3]})
	}
	return formatstest.Zip(append(all, formatstest.Part{Name: "ppt/slides/_rels/1.xml.rels", Body: "<Relationships>" + rels + "</Relationships>"})...)
}

func framed(y int, inner string) string {
	return fmt.Sprintf(`<p:graphicFrame><p:xfrm><a:off x="0" y="%d"/><a:ext cx="1" cy="1"/></p:xfrm><a:graphic><a:graphicData>%s</a:graphicData></a:graphic></p:graphicFrame>`, y, inner)
}

func TestWhatASlideHoldsIsRead(t *testing.T) {
	tc := func(props, text string) string {
		return `<a:tc ` + props + `><a:txBody>` + p("", text) + `</a:txBody></a:tc>`
	}
	group := func(y int, inner string) string {
		return fmt.Sprintf(`<p:grpSp><p:grpSpPr><a:xfrm><a:off x="0" y="%d"/><a:ext cx="200" cy="200"/><a:chOff x="1000" y="1000"/><a:chExt cx="100" cy="100"/></a:xfrm></p:grpSpPr>%s</p:grpSp>`, y, inner)
	}
	pt := func(i int, v string) string { return fmt.Sprintf(`<c:pt idx="%d"><c:v>%s</c:v></c:pt>`, i, v) }
	chart := `<c:chartSpace xmlns:c="c" xmlns:a="a"><c:chart><c:title><c:tx><c:rich>` + p("", "Tons") + `</c:rich></c:tx></c:title><c:plotArea><c:barChart><c:ser><c:tx><c:strRef><c:strCache>` + pt(0, "North") + `</c:strCache></c:strRef></c:tx>` +
		`<c:cat><c:multiLvlStrRef><c:multiLvlStrCache><c:lvl>` + pt(0, "Q1") + pt(1, "Q2") + pt(2, "Q1") + `</c:lvl><c:lvl>` + pt(0, "2024") + pt(2, "2025") + `</c:lvl></c:multiLvlStrCache></c:multiLvlStrRef></c:cat>` +
		`<c:val><c:numRef><c:numCache>` + pt(0, "1") + pt(1, "2") + pt(2, "3") + `</c:numCache></c:numRef></c:val></c:ser></c:barChart></c:plotArea></c:chart></c:chartSpace>`
	diagram := `<dgm:dataModel xmlns:dgm="d" xmlns:a="a"><dgm:ptLst><dgm:pt><dgm:t>` + p("", "Load") + `</dgm:t></dgm:pt><dgm:pt type="pres"><dgm:t>` + p("", "no") + `</dgm:t></dgm:pt></dgm:ptLst></dgm:dataModel>`
	for name, c := range map[string]struct {
		body, want string
		parts      [][4]string
	}{
		"groups in groups": {body: sp("", 0, 100, p("", "first")) + group(500, sp("", 1000, 1050, p("", "third"))+group(1000, sp("", 1000, 1000, p("", "second")))) + sp("", 0, 900, p("", "last")), want: "part \nparagraph: first\nparagraph: second\nparagraph: third\nparagraph: last\n"},
		"cells that are merged": {body: framed(0, `<a:tbl><a:tblPr firstRow="1"/><a:tr>`+tc(`gridSpan="2"`, "wide")+tc(`hMerge="1"`, "")+tc(`rowSpan="2"`, "high")+`</a:tr><a:tr>`+tc("", "a")+tc("", "b")+tc(`vMerge="1"`, "")+`</a:tr></a:tbl>`),
			want: "part \ntable 2x3\n 0: |0 *wide (1x2) |2 *high (2x1)\n 1: |0 a |1 b\n"},
		"charts with two levels":   {body: framed(0, `<c:chart r:id="c"/>`), parts: [][4]string{{"c", "chart", "c.xml", chart}}, want: "part \ncaption: Tons\ntable 4x2\n 0: |0 * |1 *North\n 1: |0 *2024 Q1 |1 1\n 2: |0 *2024 Q2 |1 2\n 3: |0 *2025 Q1 |1 3\n"},
		"diagrams":                 {body: framed(0, `<dgm:relIds r:dm="d"/>`), parts: [][4]string{{"d", "diagramData", "d.xml", diagram}}, want: "part \nlist_item1: • Load\n"},
		"what newer programs show": {body: `<mc:AlternateContent><mc:Choice><p:unknown/></mc:Choice><mc:Fallback>` + sp("", 0, 0, p("", "old")) + `</mc:Fallback></mc:AlternateContent>`, want: "part \nparagraph: old\n"},
		"signs of symbol fonts":    {body: sp("", 0, 0, `<a:p><a:r><a:rPr><a:sym typeface="Wingdings"/></a:rPr><a:t></a:t></a:r><a:r><a:t> done</a:t></a:r></a:p>`), want: "part \nparagraph: ✓ done\n"},
		"parts that are gone":      {body: sp("", 0, 0, p("", "x")) + framed(500, `<c:chart r:id="none"/>`) + framed(600, `<dgm:relIds r:dm="c"/>`), parts: [][4]string{{"c", "diagramData", "d.xml", "<broken"}}, want: "part \nparagraph: x\n"},
	} {
		t.Run(name, func(t *testing.T) {
			pages, err := formatstest.Read(t, pptx.New(), pptx.MediaType, slide(c.body, c.parts...))
			if err != nil {
				t.Fatal(err)
			}
			if got := "part \n" + formatstest.Outline(pages); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func FuzzParts(f *testing.F) {
	f.Add([]byte(`<c:chartSpace xmlns:c="c"><c:chart><c:plotArea><c:barChart><c:ser><c:cat><c:multiLvlStrCache><c:lvl><c:pt idx="9999"/></c:lvl><c:lvl/></c:multiLvlStrCache></c:cat></c:ser></c:barChart></c:plotArea></c:chart></c:chartSpace>`))
	f.Fuzz(func(t *testing.T, in []byte) {
		body := framed(0, `<c:chart r:id="c"/>`) + framed(0, `<dgm:relIds r:dm="c"/>`)
		if _, err := formatstest.Read(t, pptx.New(), pptx.MediaType, slide(body, [4]string{"c", "chart", "c.xml", string(in)})); err != nil {
			t.Fatal(err)
		}
	})
}
