package xlsx_test

import (
	"testing"

	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/xlsx"
)

// painted is a book of one sheet with a drawing and a chart.
func painted(drawing, chart string) []byte {
	return formatstest.Zip(formatstest.Part{Name: "[Content_Types].xml", Body: "<Types/>"},
		formatstest.Part{Name: "_rels/.rels", Body: `<Relationships><Relationship Id="a" Type="` + kind + `officeDocument" Target="xl/workbook.xml"/></Relationships>`},
		formatstest.Part{Name: "xl/workbook.xml", Body: `<workbook xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><workbookPr date1904="1"/><sheets><sheet name="S" r:id="r1"/></sheets></workbook>`},
		formatstest.Part{Name: "xl/_rels/workbook.xml.rels", Body: `<Relationships><Relationship Id="r1" Type="` + kind + `worksheet" Target="worksheets/1.xml"/><Relationship Id="s" Type="` + kind + `styles" Target="styles.xml"/></Relationships>`},
		formatstest.Part{Name: "xl/styles.xml", Body: `<styleSheet><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>`},
		formatstest.Part{Name: "xl/worksheets/1.xml", Body: "<worksheet>" + data(`<row r="1"><c r="A1" s="1"><v>43830</v></c><c r="B1" s="1" t="d"><v>2024-01-01</v></c></row>`) + "</worksheet>"},
		formatstest.Part{Name: "xl/worksheets/_rels/1.xml.rels", Body: `<Relationships><Relationship Id="d" Type="` + kind + `drawing" Target="../drawings/1.xml"/></Relationships>`},
		formatstest.Part{Name: "xl/drawings/1.xml", Body: `<xdr:wsDr xmlns:xdr="x" xmlns:a="a" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">` + drawing + `</xdr:wsDr>`},
		formatstest.Part{Name: "xl/drawings/_rels/1.xml.rels", Body: `<Relationships><Relationship Id="p" Type="` + kind + `image" Target="../media/1.png"/><Relationship Id="c" Type="` + kind + `chart" Target="../charts/1.xml"/></Relationships>`},
		formatstest.Part{Name: "xl/media/1.png", Body: string(formatstest.Dot("png", 20))},
		formatstest.Part{Name: "xl/charts/1.xml", Body: chart})
}

const (
	shapes = `<xdr:twoCellAnchor><xdr:from/><xdr:pic><xdr:nvPicPr><xdr:cNvPr descr="A crane"/></xdr:nvPicPr><xdr:blipFill><a:blip r:embed="p"/></xdr:blipFill></xdr:pic></xdr:twoCellAnchor>` +
		`<xdr:oneCellAnchor><xdr:grpSp><xdr:sp><xdr:nvSpPr><xdr:cNvPr id="1"/></xdr:nvSpPr><xdr:txBody><a:p><a:r><a:t>In a </a:t></a:r><a:r><a:t>box</a:t></a:r></a:p></xdr:txBody></xdr:sp></xdr:grpSp></xdr:oneCellAnchor>` +
		`<xdr:twoCellAnchor><xdr:graphicFrame><a:graphic><a:graphicData><c:chart xmlns:c="c" r:id="c"/></a:graphicData></a:graphic></xdr:graphicFrame></xdr:twoCellAnchor>`
	scatter = `<c:chartSpace xmlns:c="c" xmlns:a="a"><c:chart><c:plotArea><c:scatterChart><c:ser><c:tx><c:v>Tide</c:v></c:tx><c:xVal><c:numRef><c:numCache><c:pt idx="0"><c:v>1</c:v></c:pt></c:numCache></c:numRef></c:xVal>` +
		`<c:yVal><c:numRef><c:numCache><c:pt idx="0"><c:v>2.5</c:v></c:pt></c:numCache></c:numRef></c:yVal></c:ser></c:scatterChart></c:plotArea></c:chart></c:chartSpace>`
)

func TestWhatIsDrawnOnASheetFollowsItsCells(t *testing.T) {
	b := painted(shapes, scatter)
	pages, err := formatstest.Read(t, xlsx.New(), xlsx.MediaType, b)
	if err != nil {
		t.Fatal(err)
	}
	want := "part S\ntable 1x2\n 0: |0 1/1/2024 |1 1/1/2024\nfigure: A crane\nparagraph: In a box\ntable 2x2\n 0: |0 * |1 *Tide\n 1: |0 *1 |1 2.5\n"
	if got := formatstest.Outline(pages); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := formatstest.Figures(t, xlsx.New(), xlsx.MediaType, b); got != "1 \"A crane\" image/png 20x20\n" {
		t.Error(got)
	}
	if pages, err := formatstest.Read(t, xlsx.New(), xlsx.MediaType, painted("<broken", "")); err != nil || len(pages[0].Blocks) != 1 {
		t.Errorf("a drawing that is broken: %v", err)
	}
}

func FuzzDrawing(f *testing.F) {
	f.Add([]byte(shapes), []byte(scatter))
	f.Fuzz(func(t *testing.T, drawing, chart []byte) {
		if _, err := formatstest.Read(t, xlsx.New(), xlsx.MediaType, painted(string(drawing), string(chart))); err != nil {
			t.Fatal(err)
		}
	})
}
