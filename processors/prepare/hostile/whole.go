package hostile

import (
	"fmt"

	"docstream/processors/prepare/formats/formatstest"
)

// Whole is a small sound document, to be cut or changed.
type Whole struct {
	Name, Media, File string
	Bytes             []byte
}

// Wholes are small sound documents, one of each kind.
func Wholes() []Whole {
	picture := func(dict string, b []byte) []byte {
		return PDF(catalog, onePage, leaf("/XObject << /Im 5 0 R >>"), stream("", []byte("q 600 0 0 700 0 0 cm /Im Do Q\n")), stream("/Type /XObject /Subtype /Image "+dict, b))
	}
	return []Whole{
		{"PDF with text", pdfType, "a.pdf", PDF(catalog, onePage, leaf(""), stream("", []byte(words)))},
		{"PDF with a scan", pdfType, "a.pdf", picture("/Width 32 /Height 24 /ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /DCTDecode", JPEG())},
		{"PNG", "image/png", "a.png", PNG()},
		{"JPEG", "image/jpeg", "a.jpg", JPEG()},
		{"GIF", "image/gif", "a.gif", GIF()},
		{"BMP", "image/bmp", "a.bmp", BMP()},
		{"TIFF", "image/tiff", "a.tif", TIFF()},
		{"WebP", "image/webp", "a.webp", WebP()},
		{"Word", docxType, "a.docx", Word("", Paragraph("The harbour book."))},
		{"Excel", xlsxType, "a.xlsx", Workbook("", `<sheetData><row r="1"><c r="A1"><v>1</v></c></row></sheetData>`,
			formatstest.Part{Name: "xl/sharedStrings.xml", Body: `<sst><si><t>harbour</t></si></sst>`})},
		{"PowerPoint", pptxType, "a.pptx", Slides("", fmt.Sprintf(shape, "The harbour book."))},
		{"OpenDocument", odtType, "a.odt", Open(odtType, "", fmt.Sprintf(odtBody, "The harbour book."))},
		{"OpenDocument's sheets", odsType, "a.ods", Open(odsType, "", `<office:spreadsheet><table:table table:name="a"><table:table-row><table:table-cell><text:p>x</text:p></table:table-cell></table:table-row></table:table></office:spreadsheet>`)},
		{"e-book", epubType, "a.epub", Book("", spine, chapter)},
		{"web page", htmlType, "a.html", []byte(`<!DOCTYPE html><html><head><title>Harbour</title></head><body><h1>Harbour</h1><table border="1"><tr><th>a<td>b</tr></table></body></html>`)},
		{"Markdown", "text/markdown", "a.md", []byte("# Harbour\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")},
		{"table", "text/csv", "a.csv", []byte("name,age\n\"Ann, B.\",3\nBob,4\n")},
		{"JSON", jsonType, "a.json", []byte(`{"harbour": [1, 2, {"book": "x"}]}`)},
		{"XML", xmlType, "a.xml", []byte(`<?xml version="1.0"?><a><b c="d">harbour</b></a>`)},
		{"text", plainType, "a.txt", []byte("The harbour book.\n\nRead by nobody.\n")},
		{"rich text", "application/rtf", "a.rtf", []byte(`{\rtf1\ansi{\fonttbl{\f0 Helvetica;}}\f0 The \b harbour\b0  book.\par Read by nobody.\par}`)},
		{"letter", mailType, "a.eml", Letter(Attached("a.txt", plainType, []byte("attached words")))},
		{"Outlook's message", "application/vnd.ms-outlook", "a.msg", Message()},
	}
}

// WebP is a picture of one colour in WebP's lossless format, written bit by bit by its specification: no transforms, no cache, no meta codes,
// and five codes of one symbol each.
func WebP() []byte {
	const side = 16
	var w bits
	w.put(side-1, 14)
	w.put(side-1, 14)
	w.put(0, 1)                                           // no alpha
	w.put(0, 3)                                           // version
	w.put(0, 1)                                           // no transform
	w.put(0, 1)                                           // no cache
	w.put(0, 1)                                           // no meta code
	for _, symbol := range []uint32{90, 90, 90, 255, 0} { // green, red, blue, alpha, distance
		w.put(1, 1) // simple code
		w.put(0, 1) // of one symbol
		w.put(1, 1) // of eight bits
		w.put(symbol, 8)
	}
	data := append([]byte{0x2f}, w.bytes...)
	if len(data)%2 == 1 {
		data = append(data, 0)
	}
	n := len(data)
	b := []byte{'R', 'I', 'F', 'F', byte(12 + n), 0, 0, 0, 'W', 'E', 'B', 'P', 'V', 'P', '8', 'L', byte(n), 0, 0, 0}
	return append(b, data...)
}

// bits are written from the lowest of each byte.
type bits struct {
	bytes []byte
	n     int
}

func (w *bits) put(v uint32, n int) {
	for i := range n {
		if w.n%8 == 0 {
			w.bytes = append(w.bytes, 0)
		}
		w.bytes[w.n/8] |= byte(v>>i&1) << (w.n % 8)
		w.n++
	}
}
