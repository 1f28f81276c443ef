package hostile

import (
	"fmt"
	"strings"

	"docstream/processors/prepare/formats/formatstest"
	"docstream/schemas"
)

const (
	odtBody = `<office:text><text:p>%s</text:p></office:text>`
	spine   = `<itemref idref="c"/>`
	chapter = `<html><body><p>The harbour book.</p></body></html>`
	shape   = `<p:sp><p:txBody><a:p><a:r><a:t>%s</a:t></a:r></a:p></p:txBody></p:sp>`
)

// entities are documents that declare entities of their own.
func entities() []Case {
	var out []Case
	for name, prologue := range map[string]string{"laughs": laughs, "a file outside": outside, "an address outside": remote} {
		row := `<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>&d;</t></is></c></row></sheetData>`
		out = append(out,
			Case{"Word with " + name, docxType, "", func() []byte { return Word(prologue, Paragraph("&d;")) }, schemas.DocumentEntities},
			Case{"Excel with " + name, xlsxType, "", func() []byte { return Workbook(prologue, row) }, schemas.DocumentEntities},
			Case{"Excel's strings with " + name, xlsxType, "", func() []byte {
				return Workbook("", row, formatstest.Part{Name: "xl/sharedStrings.xml", Body: prologue + `<sst><si><t>&d;</t></si></sst>`})
			}, schemas.DocumentEntities},
			Case{"PowerPoint with " + name, pptxType, "", func() []byte { return Slides(prologue, fmt.Sprintf(shape, "&d;")) }, schemas.DocumentEntities},
			Case{"OpenDocument with " + name, odtType, "", func() []byte { return Open(odtType, prologue, fmt.Sprintf(odtBody, "&d;")) }, schemas.DocumentEntities},
			Case{"an e-book with " + name, epubType, "", func() []byte { return Book(prologue, spine, chapter) }, schemas.DocumentEntities},
			Case{"SVG with " + name, "image/svg+xml", "a.svg", fixed(`<?xml version="1.0"?>` + prologue + `<svg xmlns="http://www.w3.org/2000/svg"><text>&d;</text></svg>`), schemas.DocumentEntities},
			Case{"XML with " + name, xmlType, "a.xml", fixed(`<?xml version="1.0"?>` + prologue + `<x>&d;</x>`), schemas.DocumentEntities},
		)
	}
	return out
}

// office are texts and presentations.
func office() []Case {
	deep := func(open, end string, n int) string { return strings.Repeat(open, n) + strings.Repeat(end, n) }
	return append(entities(), []Case{
		{"Word without its main part", docxType, "", func() []byte {
			return formatstest.Zip(formatstest.Part{Name: "[Content_Types].xml", Body: types}, mainPart("word/document.xml"), formatstest.Part{Name: "word/styles.xml", Body: "<w:styles/>"})
		}, schemas.DocumentCorrupt},
		{"Word without relationships", docxType, "", func() []byte {
			return formatstest.Zip(formatstest.Part{Name: "[Content_Types].xml", Body: types}, formatstest.Part{Name: "word/document.xml", Body: "<w:document/>"})
		}, schemas.DocumentCorrupt},
		{"Word of another root", docxType, "", func() []byte {
			return formatstest.Zip(formatstest.Part{Name: "[Content_Types].xml", Body: types}, mainPart("word/document.xml"), formatstest.Part{Name: "word/document.xml", Body: "<html>no</html>"})
		}, schemas.DocumentCorrupt},
		{"Word cut in its main part", docxType, "", func() []byte {
			return formatstest.Zip(formatstest.Part{Name: "[Content_Types].xml", Body: types}, mainPart("word/document.xml"), formatstest.Part{Name: "word/document.xml", Body: "<w:document><w:body><w:p>"})
		}, schemas.DocumentCorrupt},
		{"Word with an empty main part", docxType, "", func() []byte {
			return formatstest.Zip(formatstest.Part{Name: "[Content_Types].xml", Body: types}, mainPart("word/document.xml"), formatstest.Part{Name: "word/document.xml"})
		}, schemas.DocumentCorrupt},
		{"elements a hundred thousand deep", docxType, "", func() []byte { return Word("", deep("<w:p>", "</w:p>", 100_000)) }, schemas.DocumentTooDeep},
		{"tables in tables", docxType, "", func() []byte { return Word("", deep("<w:tbl><w:tr><w:tc>", "</w:tc></w:tr></w:tbl>", 5000)) }, schemas.DocumentTooDeep},
		{"a cell as wide as can be said", docxType, "", func() []byte {
			return Word("", strings.Repeat(`<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val="2147483647"/></w:tcPr>`+Paragraph("x")+`</w:tc></w:tr></w:tbl>`, 100))
		}, ""},
		{"a picture that leads out of the container", docxType, "", func() []byte {
			return Word("", Paragraph("The harbour book."), formatstest.Part{Name: "word/_rels/document.xml.rels", Body: `<Relationships><Relationship Id="r1" Type="x/image" Target="../../../../etc/passwd"/></Relationships>`})
		}, ""},
		{"PowerPoint without slides", pptxType, "", func() []byte {
			return formatstest.Zip(formatstest.Part{Name: "[Content_Types].xml", Body: types}, mainPart("ppt/presentation.xml"), formatstest.Part{Name: "ppt/presentation.xml", Body: `<p:presentation xmlns:p="p"/>`})
		}, schemas.DocumentEmpty},
		{"a slide that is missing", pptxType, "", func() []byte {
			return formatstest.Zip(formatstest.Part{Name: "[Content_Types].xml", Body: types}, mainPart("ppt/presentation.xml"),
				formatstest.Part{Name: "ppt/presentation.xml", Body: `<p:presentation xmlns:p="p" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><p:sldIdLst><p:sldId r:id="r1"/></p:sldIdLst></p:presentation>`},
				formatstest.Part{Name: "ppt/_rels/presentation.xml.rels", Body: `<Relationships><Relationship Id="r1" Type="http://x/relationships/slide" Target="slides/slide1.xml"/></Relationships>`})
		}, schemas.DocumentCorrupt},
		{"groups of shapes in groups", pptxType, "", func() []byte { return Slides("", deep("<p:grpSp>", "</p:grpSp>", 10_000)) }, schemas.DocumentTooDeep},
		{"OpenDocument without its content", odtType, "", func() []byte { return formatstest.Zip(formatstest.Part{Name: "mimetype", Body: odtType}) }, schemas.DocumentCorrupt},
		{"lists in lists", odtType, "", func() []byte {
			return Open(odtType, "", "<office:text>"+deep("<text:list><text:list-item>", "</text:list-item></text:list>", 5000)+"</office:text>")
		}, schemas.DocumentTooDeep},
		{"OpenDocument with a million spaces", odtType, "", func() []byte {
			return Open(odtType, "", fmt.Sprintf(odtBody, "x"+strings.Repeat(`<text:s text:c="2147483647"/>`, 1000)+"y"))
		}, ""},
		{"an e-book without chapters", epubType, "", func() []byte { return Book("", "", chapter) }, schemas.DocumentEmpty},
		{"an e-book whose chapter is missing", epubType, "", func() []byte {
			return []byte(strings.ReplaceAll(string(Book("", spine, chapter)), "c.xhtml", "d.xhtmm"))
		}, schemas.DocumentCorrupt},
		{"an e-book of one chapter a hundred thousand times", epubType, "", func() []byte { return Book("", strings.Repeat(spine, 100_000), chapter) }, schemas.DocumentTooManyPages},
		{"a chapter a hundred thousand deep", epubType, "", func() []byte { return Book("", spine, deep("<div>", "</div>", 100_000)) }, schemas.DocumentTooDeep},
	}...)
}

// sheets are workbooks.
func sheets() []Case {
	cell := func(ref, v string) string { return `<c r="` + ref + `"><v>` + v + `</v></c>` }
	return []Case{
		{"a workbook without sheets", xlsxType, "", func() []byte {
			return formatstest.Zip(formatstest.Part{Name: "[Content_Types].xml", Body: types}, mainPart("xl/workbook.xml"), formatstest.Part{Name: "xl/workbook.xml", Body: "<workbook/>"})
		}, schemas.DocumentCorrupt},
		{"one cell in the last corner", xlsxType, "", func() []byte {
			return Workbook("", `<sheetData><row r="1048576">`+cell("XFD1048576", "1")+`</row></sheetData>`)
		}, ""},
		{"everything merged", xlsxType, "", func() []byte {
			return Workbook("", `<sheetData><row r="1">`+cell("A1", "1")+`</row></sheetData><mergeCells>`+strings.Repeat(`<mergeCell ref="A1:XFD1048576"/>`, 20_000)+`</mergeCells>`)
		}, ""},
		{"more merged ranges than anybody has", xlsxType, "", func() []byte {
			return Workbook("", `<sheetData><row r="1">`+cell("A1", "1")+`</row></sheetData><mergeCells>`+strings.Repeat(`<mergeCell ref="A1:B2"/>`, 300_000)+`</mergeCells>`)
		}, schemas.DocumentTooLarge},
		{"rows out of order", xlsxType, "", func() []byte {
			return Workbook("", `<sheetData><row r="9"/><row r="3">`+cell("A3", "1")+`</row></sheetData>`)
		}, schemas.DocumentCorrupt},
		{"a string nobody shares", xlsxType, "", func() []byte {
			return Workbook("", `<sheetData><row r="1"><c r="A1" t="s"><v>999999999999</v></c>`+cell("B1", "1")+`</row></sheetData>`)
		}, ""},
		{"two million cells in one row", xlsxType, "", func() []byte {
			return Workbook("", `<sheetData><row r="1">`+strings.Repeat(`<c><v>1</v></c>`, 2_000_000)+`</row></sheetData>`)
		}, schemas.DocumentTooLarge},
		{"ten million cells", xlsxType, "", func() []byte {
			row := "<row>" + strings.Repeat("<c><v>1</v></c>", 100) + "</row>"
			return inflatedBook(repeated("<worksheet><sheetData>", row, 100_000*len(row), "</sheetData></worksheet>"))
		}, schemas.DocumentTooDense},
		{"a number of a million digits", xlsxType, "", func() []byte {
			return Workbook("", `<sheetData><row r="1">`+cell("A1", strings.Repeat("9", 1_000_000))+`</row></sheetData>`)
		}, ""},
		{"a row repeated to the end", odsType, "", func() []byte {
			return Open(odsType, "", `<office:spreadsheet><table:table table:name="a"><table:table-row table:number-rows-repeated="1048576"><table:table-cell table:number-columns-repeated="16384"><text:p>x</text:p></table:table-cell></table:table-row></table:table></office:spreadsheet>`)
		}, schemas.DocumentTooLarge},
		{"ten thousand rows of as many cells, said in a line", odsType, "", func() []byte {
			return Open(odsType, "", `<office:spreadsheet><table:table table:name="a"><table:table-row table:number-rows-repeated="10000"><table:table-cell table:number-columns-repeated="16384"><text:p>x</text:p></table:table-cell></table:table-row></table:table></office:spreadsheet>`)
		}, schemas.DocumentTooManyPages},
		{"a spreadsheet without sheets", odsType, "", func() []byte { return Open(odsType, "", "<office:spreadsheet/>") }, schemas.DocumentCorrupt},
	}
}
