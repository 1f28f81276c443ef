package hostile

import (
	"encoding/binary"
	"strings"

	"docstream/processors/prepare/formats/formatstest"
	"docstream/schemas"
)

const relationships = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"

// relations is the part that says what a part points to.
func relations(part string, kindsAndTargets ...string) formatstest.Part {
	dir, file := part[:strings.LastIndexByte(part, '/')+1], part[strings.LastIndexByte(part, '/')+1:]
	body := ""
	for i := 0; i < len(kindsAndTargets); i += 2 {
		body += `<Relationship Id="x` + string(rune('1'+i/2)) + `" Type="` + relationships + `/` + kindsAndTargets[i] + `" Target="` + kindsAndTargets[i+1] + `"/>`
	}
	return formatstest.Part{Name: dir + "_rels/" + file + ".rels", Body: "<Relationships>" + body + "</Relationships>"}
}

// within are documents whose parts point to themselves, to one another or to nothing, and those that repeat a little very often.
func within() []Case {
	harbour := Paragraph("The harbour book.")
	chunk := `<w:altChunk xmlns:r="` + relationships + `" r:id="x1"/>`
	chart := `<w:p><w:r><w:drawing><c:chart xmlns:c="c" xmlns:r="` + relationships + `" r:id="x1"/></w:drawing></w:r></w:p>`
	wide := `<c:chartSpace xmlns:c="c"><c:chart><c:plotArea><c:barChart>` + strings.Repeat(`<c:ser><c:val><c:pt idx="9999"><c:v>1</c:v></c:pt></c:val></c:ser>`, 250) + `</c:barChart></c:plotArea></c:chart></c:chartSpace>`
	levels := `<c:chartSpace xmlns:c="c"><c:chart><c:plotArea><c:barChart><c:ser><c:cat><c:multiLvlStrCache>` + strings.Repeat(`<c:lvl><c:pt idx="9999"><c:v>1</c:v></c:pt></c:lvl>`, 50_000) + `</c:multiLvlStrCache></c:cat></c:ser></c:barChart></c:plotArea></c:chart></c:chartSpace>`
	return []Case{
		{"Word that takes itself in", docxType, "", func() []byte {
			return Word("", harbour+strings.Repeat(chunk, 1000), relations("word/document.xml", "aFChunk", "document.xml"))
		}, schemas.DocumentTooDeep},
		{"Word that takes in a page a thousand times", docxType, "", func() []byte {
			return Word("", harbour+strings.Repeat(chunk, 1000), relations("word/document.xml", "aFChunk", "a.html"), formatstest.Part{Name: "word/a.html", Body: "<p>" + strings.Repeat("words ", 200_000)})
		}, schemas.DocumentTooLarge},
		{"Word whose styles are itself", docxType, "", func() []byte {
			return Word("", harbour, relations("word/document.xml", "styles", "document.xml", "numbering", "document.xml", "footnotes", "document.xml"))
		}, ""},
		{"Word with empty styles", docxType, "", func() []byte {
			return Word("", harbour, relations("word/document.xml", "styles", "styles.xml"), formatstest.Part{Name: "word/styles.xml"})
		}, schemas.DocumentCorrupt},
		{"Word whose chart is there a thousand times", docxType, "", func() []byte {
			return Word("", harbour+strings.Repeat(chart, 1000), relations("word/document.xml", "chart", "c.xml"), formatstest.Part{Name: "word/c.xml", Body: levels})
		}, ""},
		{"a chart of two million values that it does not have", docxType, "", func() []byte {
			return Word("", harbour+chart, relations("word/document.xml", "chart", "c.xml"), formatstest.Part{Name: "word/c.xml", Body: wide})
		}, ""},
		{"a sheet that is drawn on itself", xlsxType, "", func() []byte {
			return Workbook("", `<sheetData><row r="1"><c r="A1"><v>1</v></c></row></sheetData>`, relations("xl/worksheets/sheet1.xml", "drawing", "sheet1.xml"))
		}, ""},
		{"a workbook whose strings are missing", xlsxType, "", func() []byte {
			return Workbook("", `<sheetData><row r="1"><c r="A1" t="s"><v>0</v></c></row></sheetData>`)
		}, schemas.DocumentCorrupt},
		{"a workbook in the binary format", xlsxType, "", func() []byte {
			return formatstest.Zip(formatstest.Part{Name: "[Content_Types].xml", Body: types}, mainPart("xl/workbook.bin"), formatstest.Part{Name: "xl/workbook.bin", Body: "\x83\x01\x00"}, formatstest.Part{Name: "xl/a.xml", Body: "<a/>"})
		}, schemas.DocumentUnsupported},
		{"OpenDocument with an empty content", odtType, "", func() []byte {
			return formatstest.Zip(formatstest.Part{Name: "mimetype", Body: odtType}, formatstest.Part{Name: "content.xml"})
		}, schemas.DocumentCorrupt},
		{"OpenDocument whose content is a web page", odtType, "", func() []byte {
			return formatstest.Zip(formatstest.Part{Name: "mimetype", Body: odtType}, formatstest.Part{Name: "content.xml", Body: "<html><p>x</p></html>"})
		}, schemas.DocumentCorrupt},
		{"names that lead out", docxType, "", func() []byte {
			return Word("", harbour, formatstest.Part{Name: "../../../../etc/passwd", Body: "x"}, formatstest.Part{Name: "/etc/shadow", Body: "x"}, formatstest.Part{Name: `C:\a`, Body: "x"})
		}, ""},
		{"rows of a text that repeat, of cells that do", odtType, "", func() []byte {
			return Open(odtType, "", `<office:text>`+strings.Repeat(`<table:table><table:table-row table:number-rows-repeated="1000"><table:table-cell table:number-columns-repeated="1000"><text:p>x</text:p></table:table-cell></table:table-row></table:table>`, 100)+`</office:text>`)
		}, schemas.DocumentTooLarge},
		{"a formula that is the text around it", odtType, "", func() []byte {
			return Open(odtType, "", `<office:text><text:p>x<draw:frame xmlns:draw="d" xmlns:xlink="l"><draw:object xlink:href="./"/></draw:frame></text:p></office:text>`)
		}, ""},
		{"a million rows of a thousand cells each", "application/rtf", "", func() []byte {
			return []byte(`{\rtf1 \trowd` + strings.Repeat(`\cellx9`, 1000) + `\pard\intbl x\cell` + strings.Repeat(`\row`, 1_000_000) + `\pard words\par}`)
		}, ""},
		{"tables in tables of rich text", "application/rtf", "", func() []byte {
			return []byte(`{\rtf1 ` + strings.Repeat(`\pard\intbl\itap999999 x\nestcell\nestrow`, 10_000) + `\pard\intbl y\cell\row}`)
		}, ""},
		{"quotes in lines without an end", "text/csv", "a.csv", func() []byte { return []byte(`a,b` + "\n" + `"x` + strings.Repeat(`""`+"\n", 2_000_000)) }, ""},
		{"a quote at the start of every line", "text/csv", "a.csv", func() []byte { return []byte(`a,b` + "\n" + strings.Repeat(`"x,1`+"\n", 100_000)) }, ""},
		{"Outlook's rich text that only repeats", "application/vnd.ms-outlook", "", func() []byte {
			b := binary.LittleEndian.AppendUint32(nil, 1<<24)
			b = binary.LittleEndian.AppendUint32(b, 0xffffffff)
			b = append(b, "LZFu\x00\x00\x00\x00"...)
			return Message(Stream{"__substg1.0_10090102", append(b, strings.Repeat("\xff"+strings.Repeat("\x00\x0f", 8), 100_000)...)})
		}, ""},
		{"a letter that shows ten thousand pictures", mailType, "", func() []byte {
			return []byte("Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\nwords " + strings.Repeat("<img src=cid:a>", 10_000) + "\r\n" +
				strings.Repeat("--b\r\nContent-Type: image/png\r\nContent-ID: <b>\r\n\r\nx\r\n", 10_000) + "--b--\r\n")
		}, ""},
		{"fields of a form in fields", htmlType, "", func() []byte { return []byte("words" + strings.Repeat("<select><option>a", 200_000)) }, ""},
	}
}
