package hostile

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"strings"

	"docstream/processors/prepare/formats/pdf/pdftest"
	"docstream/schemas"
)

// PDF writes a file of these objects, numbered from 1; the first is the catalog.
func PDF(objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	at := make([]int, len(objects))
	for i, o := range objects {
		at[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, n := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	return b.Bytes()
}

const (
	catalog = "<< /Type /Catalog /Pages 2 0 R >>"
	onePage = "<< /Type /Pages /Count 1 /Kids [3 0 R] >>"
	font    = "/Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"
	words   = "BT /F1 12 Tf 72 700 Td (The harbour book, read by nobody.) Tj ET\n"
)

// leaf is a page with resources, whose content is object 4.
func leaf(resources string) string {
	return "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << " + font + " " + resources + " >> >>"
}

func stream(dict string, body []byte) string {
	return fmt.Sprintf("<< %s /Length %d >>\nstream\n%s\nendstream", dict, len(body), body)
}

// pdfs are files whose structure lies.
func pdfs() []Case {
	return []Case{
		{"a PDF of its first line", pdfType, "", fixed("%PDF-1.7\n"), schemas.DocumentCorrupt},
		{"a PDF without objects", pdfType, "", fixed("%PDF-1.7\nxref\n0 0\ntrailer\n<< /Size 0 >>\nstartxref\n9\n%%EOF\n"), schemas.DocumentCorrupt},
		{"a PDF without pages", pdfType, "", func() []byte { return PDF(catalog, "<< /Type /Pages /Count 0 /Kids [] >>") }, schemas.DocumentEmpty},
		{"a PDF without a page tree", pdfType, "", func() []byte { return PDF("<< /Type /Catalog >>") }, schemas.DocumentEmpty},
		{"a page tree that is its own child", pdfType, "", func() []byte { return PDF(catalog, "<< /Type /Pages /Count 1 /Kids [2 0 R] >>") }, schemas.PageCorrupt},
		{"a page tree in a circle", pdfType, "", func() []byte {
			return PDF(catalog, "<< /Type /Pages /Count 9 /Kids [3 0 R] >>", "<< /Type /Pages /Parent 2 0 R /Count 9 /Kids [4 0 R] >>",
				"<< /Type /Pages /Parent 3 0 R /Count 9 /Kids [3 0 R] >>")
		}, schemas.PageCorrupt},
		{"a page tree ten thousand deep", pdfType, "", deepTree, schemas.PageCorrupt},
		{"100,000 pages", pdfType, "", func() []byte { return manyPages(100_000) }, schemas.DocumentTooManyPages},
		{"one page that claims to be 2,000,000,000", pdfType, "", func() []byte {
			return PDF(catalog, "<< /Type /Pages /Count 2000000000 /Kids [3 0 R] >>", leaf(""), stream("", []byte(words)))
		}, ""},
		{"pages that are not there", pdfType, "", func() []byte { return PDF(catalog, "<< /Type /Pages /Count 3 /Kids [7 0 R 8 0 R 9 0 R] >>") }, schemas.PageCorrupt},
		{"fewer than no pages", pdfType, "", func() []byte { return PDF(catalog, "<< /Type /Pages /Count -5 /Kids [] >>") }, schemas.DocumentEmpty},
		{"cross-references in a circle", pdfType, "", func() []byte {
			b := PDF(catalog, onePage, leaf(""), stream("", []byte(words)))
			at := bytes.LastIndex(b, []byte("xref\n0"))
			return bytes.Replace(b, []byte("/Root 1 0 R"), fmt.Appendf(nil, "/Root 1 0 R /Prev %d", at), 1)
		}, ""},
		{"a stream as long as itself says", pdfType, "", func() []byte {
			return PDF(catalog, onePage, leaf(""), "<< /Length 4 0 R >>\nstream\n"+words+"endstream")
		}, ""},
		{"a stream of a length nobody has", pdfType, "", func() []byte {
			return PDF(catalog, onePage, leaf(""), "<< /Length 99999999999 >>\nstream\n"+words+"endstream")
		}, ""},
		{"a catalog of a million brackets", pdfType, "", func() []byte {
			return PDF("<< /Type /Catalog /Pages 2 0 R /X "+strings.Repeat("[", 1_000_000)+" >>", onePage, leaf(""), stream("", []byte(words)))
		}, ""},
		{"a page of a million brackets", pdfType, "", func() []byte {
			return PDF(catalog, onePage, leaf(""), stream("", []byte(strings.Repeat("[", 1_000_000)+"\n"+words)))
		}, schemas.PageCorrupt},
		{"a page as large as a country", pdfType, "", func() []byte {
			return PDF(catalog, onePage, strings.Replace(leaf(""), "612 792", "1e9 1e9", 1), stream("", []byte("0 0 100 100 re f\n")))
		}, ""},
		{"a page without a side", pdfType, "", func() []byte {
			return PDF(catalog, onePage, strings.Replace(leaf(""), "612 792", "0 0", 1), stream("", []byte(words)))
		}, ""},
		{"a page cut after its objects", pdfType, "", func() []byte {
			b := PDF(catalog, onePage, leaf(""), stream("", []byte(words)))
			return b[:bytes.Index(b, []byte("4 0 obj"))]
		}, schemas.DocumentCorrupt},
		{"an encrypted PDF of an unknown kind", pdfType, "", func() []byte {
			b := PDF(catalog, onePage, leaf(""), stream("", []byte(words)))
			return bytes.Replace(b, []byte("/Root 1 0 R"), []byte("/Root 1 0 R /ID [(a) (b)] /Encrypt << /Filter /Nobody /V 99 /R 99 /O (x) /U (y) /P -4 >>"), 1)
		}, schemas.DocumentEncrypted},
		{"a PDF behind a megabyte of noise", pdfType, "", func() []byte {
			return append(bytes.Repeat([]byte{0, 1, 2, 3}, 1<<18), PDF(catalog, onePage, leaf(""), stream("", []byte(words)))...)
		}, schemas.DocumentCorrupt},
	}
}

func deepTree() []byte {
	objects := []string{catalog}
	const deep = 10_000
	for i := range deep {
		objects = append(objects, fmt.Sprintf("<< /Type /Pages /Count 1 /Kids [%d 0 R] >>", i+3))
	}
	return PDF(append(objects, "<< /Type /Page /MediaBox [0 0 9 9] >>")...)
}

func manyPages(n int) []byte {
	var kids strings.Builder
	objects := make([]string, 2, n+2)
	for i := range n {
		fmt.Fprintf(&kids, "%d 0 R ", i+3)
		objects = append(objects, "<< /Type /Page /Parent 2 0 R >>")
	}
	objects[0], objects[1] = catalog, fmt.Sprintf("<< /Type /Pages /Count %d /MediaBox [0 0 9 9] /Kids [%s] >>", n, kids.String())
	return PDF(objects...)
}

// pdfStreams are pages whose streams unpack to too much, or never end.
func pdfStreams() []Case {
	page := func(dict string, body []byte) []byte { return PDF(catalog, onePage, leaf(""), stream(dict, body)) }
	image := func(dict string, body []byte) []byte {
		return PDF(catalog, onePage, leaf("/XObject << /Im 5 0 R >>"), stream("", []byte("q 600 0 0 700 0 0 cm /Im Do Q\n")),
			stream("/Type /XObject /Subtype /Image /ColorSpace /DeviceGray /BitsPerComponent 8 "+dict, body))
	}
	return []Case{
		{"a content stream of 768 MiB", pdfType, "", func() []byte { return page("/Filter /FlateDecode", deflated("0 0 m\n", 768<<20)) }, schemas.EngineOutOfMemory},
		{"a gigabyte packed twice", pdfType, "", func() []byte {
			return page("/Filter [/FlateDecode /FlateDecode]", twice())
		}, schemas.EngineOutOfMemory},
		{"ten thousand filters", pdfType, "", func() []byte {
			return page("/Filter ["+strings.Repeat("/ASCIIHexDecode ", 10_000)+"]", []byte(words))
		}, ""},
		{"ASCII85 on ASCII85", pdfType, "", func() []byte {
			return page("/Filter ["+strings.Repeat("/ASCII85Decode ", 100)+"]", bytes.Repeat([]byte("z"), 1<<20))
		}, schemas.PageCorrupt},
		{"runs of runs", pdfType, "", func() []byte {
			return page("/Filter [/RunLengthDecode /RunLengthDecode /RunLengthDecode]", bytes.Repeat([]byte{129, 129}, 1<<16))
		}, schemas.PageCorrupt},
		{"LZW without a table", pdfType, "", func() []byte { return page("/Filter /LZWDecode", bytes.Repeat([]byte{0xff}, 1<<20)) }, schemas.PageCorrupt},
		{"a picture of 50,000 × 50,000", pdfType, "", func() []byte {
			return image("/Width 50000 /Height 50000 /Filter /FlateDecode", deflated("\x00", 64<<20))
		}, schemas.PageTooLarge},
		{"fax of 2,000,000,000 columns", pdfType, "", func() []byte {
			return image("/Width 2000000000 /Height 2000000000 /Filter /CCITTFaxDecode /DecodeParms << /K -1 /Columns 2000000000 /Rows 2000000000 >>", bytes.Repeat([]byte{0x55}, 4096))
		}, schemas.PageTooLarge},
		{"JBIG2 of 4,000,000,000 rows", pdfType, "", func() []byte {
			return image("/Width 65000 /Height 65000 /Filter /JBIG2Decode", []byte("\x00\x00\x00\x00\x30\x00\x01\x00\x00\x00\x13\xff\xff\xff\xf0\xff\xff\xff\xf0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
		}, schemas.PageTooLarge},
		{"JPEG 2000 of 60,000 × 60,000", pdfType, "", func() []byte {
			return image("/Width 60000 /Height 60000 /Filter /JPXDecode", []byte("\xff\x4f\xff\x51\x00\x29\x00\x00\x00\x00\xea\x60\x00\x00\xea\x60\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xea\x60\x00\x00\xea\x60\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x07\x01\x01\xff\xd9"))
		}, schemas.PageTooLarge},
		{"JPEG of 65,500 × 65,500", pdfType, "", func() []byte {
			return image("/Width 65500 /Height 65500 /Filter /DCTDecode", jpegClaim(65500, 65500))
		}, schemas.PageTooLarge},
		{"a font whose letters draw themselves", pdfType, "", func() []byte {
			return PDF(catalog, onePage, strings.Replace(leaf(""), font, "/Font << /F1 5 0 R >>", 1), stream("", []byte(words)),
				"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 1000 1000] /FontMatrix [.001 0 0 .001 0 0] /FirstChar 0 /LastChar 255 /Widths [] "+
					"/Encoding << /Differences [32 /a] >> /CharProcs << /a 6 0 R >> /Resources << /Font << /F1 5 0 R >> >> >>", stream("", []byte("1000 0 d0 "+words)))
		}, ""},
		{"a form that draws itself", pdfType, "", func() []byte {
			return PDF(catalog, onePage, leaf("/XObject << /Fm 5 0 R >>"), stream("", []byte("/Fm Do\n"+words)),
				stream("/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /Fm 5 0 R >> >>", []byte("/Fm Do\n")))
		}, ""},
		{"a million saved states", pdfType, "", func() []byte { return page("", []byte(strings.Repeat("q ", 1_000_000)+words)) }, ""},
		{"a hundred thousand strokes", pdfType, "", func() []byte { return page("", []byte(strings.Repeat("0 0 m 9 9 l S\n", 100_000))) }, ""},
		{"a million letters on one spot", pdfType, "", func() []byte {
			return page("", []byte("BT /F1 12 Tf 72 700 Td "+strings.Repeat("(a)Tj 0 0 Td ", 1_000_000)+"ET\n"))
		}, ""},
		{"forms that draw forms", pdfType, "", func() []byte { return pdftest.Write(pdftest.Page{Content: "/Bomb Do", Bomb: true}) }, schemas.EngineOutOfMemory},
	}
}

// twice is a gigabyte packed twice.
func twice() []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write(deflated("0 0 m\n", 1<<30)) // a buffer takes everything
	_ = z.Close()
	return b.Bytes()
}
