package hostile

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"docstream/processors/prepare/formats/formatstest"
	"docstream/schemas"
)

const (
	types   = `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>`
	laughs  = `<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>`
	outside = `<!DOCTYPE x [<!ENTITY d SYSTEM "file:///etc/passwd">]>`
	remote  = `<!DOCTYPE x [<!ENTITY % all SYSTEM "http://127.0.0.1:1/all.dtd"> %all;]>`
)

// main says which part a package begins with.
func mainPart(target string) formatstest.Part {
	return formatstest.Part{Name: "_rels/.rels", Body: `<Relationships><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="` + target + `"/></Relationships>`}
}

// Word is a Word document with this body, behind a prologue.
func Word(prologue, body string, more ...formatstest.Part) []byte {
	return formatstest.Zip(append([]formatstest.Part{{Name: "[Content_Types].xml", Body: types}, mainPart("word/document.xml"),
		{Name: "word/document.xml", Body: prologue + `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>` + body + `</w:body></w:document>`}}, more...)...)
}

// Workbook is an Excel workbook of one sheet.
func Workbook(prologue, sheet string, more ...formatstest.Part) []byte {
	return formatstest.Zip(append([]formatstest.Part{{Name: "[Content_Types].xml", Body: types}, mainPart("xl/workbook.xml"),
		{Name: "xl/workbook.xml", Body: `<workbook xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="One" r:id="r1"/></sheets></workbook>`},
		{Name: "xl/_rels/workbook.xml.rels", Body: `<Relationships><Relationship Id="r1" Type="http://x/relationships/worksheet" Target="worksheets/sheet1.xml"/>` +
			`<Relationship Id="r2" Type="http://x/relationships/sharedStrings" Target="sharedStrings.xml"/></Relationships>`},
		{Name: "xl/worksheets/sheet1.xml", Body: prologue + `<worksheet>` + sheet + `</worksheet>`}}, more...)...)
}

// Slides is a presentation of one slide.
func Slides(prologue, tree string) []byte {
	return formatstest.Zip(formatstest.Part{Name: "[Content_Types].xml", Body: types}, mainPart("ppt/presentation.xml"),
		formatstest.Part{Name: "ppt/presentation.xml", Body: `<p:presentation xmlns:p="p" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><p:sldIdLst><p:sldId id="256" r:id="r1"/></p:sldIdLst></p:presentation>`},
		formatstest.Part{Name: "ppt/_rels/presentation.xml.rels", Body: `<Relationships><Relationship Id="r1" Type="http://x/relationships/slide" Target="slides/slide1.xml"/></Relationships>`},
		formatstest.Part{Name: "ppt/slides/slide1.xml", Body: prologue + `<p:sld xmlns:p="p" xmlns:a="a"><p:cSld><p:spTree>` + tree + `</p:spTree></p:cSld></p:sld>`})
}

// Open is a document of the OpenDocument kind.
func Open(media, prologue, body string) []byte {
	return formatstest.Zip(formatstest.Part{Name: "mimetype", Body: media}, formatstest.Part{Name: "content.xml", Body: prologue +
		`<office:document-content xmlns:office="o" xmlns:text="t" xmlns:table="b"><office:body>` + body + `</office:body></office:document-content>`})
}

// Book is an e-book with this spine and one chapter.
func Book(prologue, spine, chapter string) []byte {
	return formatstest.Zip(formatstest.Part{Name: "mimetype", Body: epubType},
		formatstest.Part{Name: "META-INF/container.xml", Body: prologue + `<container><rootfiles><rootfile full-path="book.opf"/></rootfiles></container>`},
		formatstest.Part{Name: "book.opf", Body: `<package><manifest><item id="c" href="c.xhtml" media-type="application/xhtml+xml"/></manifest><spine>` + spine + `</spine></package>`},
		formatstest.Part{Name: "c.xhtml", Body: chapter})
}

// Paragraph is a paragraph of Word.
func Paragraph(s string) string { return `<w:p><w:r><w:t>` + s + `</w:t></w:r></w:p>` }

// repeated reads as many bytes of a pattern between two ends.
func repeated(head, pattern string, size int, tail string) io.Reader {
	return io.MultiReader(strings.NewReader(head), io.LimitReader(&cycle{pattern: []byte(pattern)}, int64(size/len(pattern)*len(pattern))), strings.NewReader(tail))
}

type cycle struct {
	pattern []byte
	at      int
}

func (c *cycle) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = c.pattern[c.at]
		c.at = (c.at + 1) % len(c.pattern)
	}
	return len(b), nil
}

// inflated is a package whose part unpacks to what the reader gives.
func inflated(part string, r io.Reader) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	for _, p := range []formatstest.Part{{Name: "[Content_Types].xml", Body: types}, mainPart(part)} {
		if w, err := z.Create(p.Name); err == nil {
			_, _ = io.WriteString(w, p.Body)
		}
	}
	if w, err := z.Create(part); err == nil {
		_, _ = io.Copy(w, r)
	}
	_ = z.Close()
	return b.Bytes()
}

// patch replaces bytes after the last mark.
func patch(b []byte, mark string, offset int, with ...byte) []byte {
	if at := bytes.LastIndex(b, []byte(mark)); at >= 0 {
		copy(b[at+offset:], with)
	}
	return b
}

// overlapping makes the entries of a container share their bytes.
func overlapping() []byte {
	b := Word("", Paragraph("x"), formatstest.Part{Name: "word/a.xml", Body: "<a/>"}, formatstest.Part{Name: "word/b.xml", Body: "<a/>"})
	last := bytes.LastIndex(b, []byte("PK\x01\x02"))
	before := bytes.LastIndex(b[:last], []byte("PK\x01\x02"))
	copy(b[last+42:last+46], b[before+42:before+46])
	return b
}

// containers are zip files that harm whoever opens them.
func containers() []Case {
	good := func() []byte { return Word("", Paragraph("The harbour book.")) }
	return []Case{
		{"only the end of a container", docxType, "", fixed("PK\x05\x06" + strings.Repeat("\x00", 18)), schemas.DocumentCorrupt},
		{"only the start of a container", docxType, "a.docx", fixed("PK\x03\x04\x14\x00\x00\x00"), schemas.DocumentCorrupt},
		{"a container of something else", docxType, "a.docx", func() []byte { return formatstest.Zip(formatstest.Part{Name: "a.txt", Body: "a"}) }, schemas.DocumentCorrupt},
		{"a container of nothing", "application/zip", "a.zip", func() []byte { return formatstest.Zip(formatstest.Part{Name: "a.txt", Body: "a"}) }, schemas.DocumentUnsupported},
		{"a part of 1 GiB", docxType, "", func() []byte {
			return inflated("word/document.xml", repeated(`<w:document xmlns:w="w"><w:body>`, "<w:p/>", 1<<30, "</w:body></w:document>"))
		}, schemas.DocumentTooDense},
		{"a text of 16 MiB without an end", docxType, "", func() []byte {
			return inflated("word/document.xml", repeated(`<w:document xmlns:w="w"><w:body><w:p><w:r><w:t>`, "a", 16<<20, "</w:t></w:r></w:p></w:body></w:document>"))
		}, schemas.DocumentTooLarge},
		{"a tag of 16 MiB", docxType, "", func() []byte {
			return inflated("word/document.xml", repeated(`<w:document xmlns:w="w" `, `a="b" `, 16<<20, "><w:body/></w:document>"))
		}, schemas.DocumentTooLarge},
		{"entries over one another", docxType, "", overlapping, schemas.DocumentCorrupt},
		{"an entry that claims 4 GiB", docxType, "", func() []byte { return patch(good(), "PK\x01\x02", 20, 0xfe, 0xff, 0xff, 0xff) }, schemas.DocumentCorrupt},
		{"an entry packed by an unknown method", docxType, "", func() []byte { return patch(good(), "PK\x01\x02", 10, 99, 0) }, schemas.DocumentUnsupported},
		{"an entry under a password", docxType, "", func() []byte { return patch(good(), "PK\x01\x02", 8, 1, 0) }, schemas.DocumentEncrypted},
		{"an entry whose checksum is wrong", docxType, "", func() []byte { return patch(good(), "PK\x01\x02", 16, 1, 2, 3, 4) }, schemas.DocumentCorrupt},
		{"a directory that claims 65,535 entries", docxType, "", func() []byte { return patch(good(), "PK\x05\x06", 8, 0xff, 0xff, 0xff, 0xff) }, schemas.DocumentCorrupt},
		{"a directory that claims 4 GiB", docxType, "", func() []byte { return patch(good(), "PK\x05\x06", 12, 0xf0, 0xff, 0xff, 0xff) }, schemas.DocumentTooLarge},
		{"30,000 entries", docxType, "", func() []byte {
			var more []formatstest.Part
			for i := range 30_000 {
				more = append(more, formatstest.Part{Name: fmt.Sprintf("word/%d.xml", i)})
			}
			return Word("", Paragraph("x"), more...)
		}, schemas.DocumentTooLarge},
		{"a container in a container in a container", docxType, "", func() []byte {
			inner := inflated("a", repeated("", "\x00", 64<<20, ""))
			for range 5 {
				inner = formatstest.Zip(formatstest.Part{Name: "a.zip", Body: string(inner)}, formatstest.Part{Name: "b.zip", Body: string(inner)})
			}
			return Word("", Paragraph("The harbour book."), formatstest.Part{Name: "word/embeddings/a.zip", Body: string(inner)})
		}, ""},
		{"an Office document under a password", docxType, "a.docx", func() []byte { return Compound(Stream{"EncryptedPackage", noise()}, Stream{"EncryptionInfo", noise()}) }, schemas.DocumentEncrypted},
		{"an old text under a password", "application/msword", "a.doc", func() []byte {
			return Compound(Stream{"WordDocument", []byte("\xec\xa5\xc1\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00")})
		}, schemas.DocumentEncrypted},
		{"an old workbook under a password", "application/vnd.ms-excel", "a.xls", func() []byte {
			return Compound(Stream{"Workbook", []byte("\x09\x08\x04\x00\x00\x06\x05\x00\x2f\x00\x06\x00\x00\x00\x01\x02\x03\x04")})
		}, schemas.DocumentEncrypted},
		{"an old presentation under a password", "application/vnd.ms-powerpoint", "a.ppt", func() []byte {
			return Compound(Stream{"Current User", []byte("\x00\x00\xf6\x0f\x14\x00\x00\x00\x14\x00\x00\x00\xdf\xc4\xd1\xf3")}, Stream{"PowerPoint Document", noise()})
		}, schemas.DocumentEncrypted},
		{"a compound file of nobody", "application/msword", "a.doc", func() []byte { return Compound(Stream{"Nothing", noise()}) }, schemas.DocumentUnsupported},
		{"a compound file in a circle", "application/vnd.ms-outlook", "a.msg", func() []byte {
			b := Compound(Stream{"__properties_version1.0", noise()})
			binary.LittleEndian.PutUint32(b[512+4:], 1) // the directory's sector leads to itself
			return b
		}, schemas.DocumentCorrupt},
		{"a compound file cut in its directory", "application/vnd.ms-outlook", "a.msg", func() []byte { return Compound(Stream{"__properties_version1.0", noise()})[:1100] }, schemas.DocumentCorrupt},
		{"a compound file of one sector", "application/msword", "a.doc", func() []byte { return Compound(Stream{"WordDocument", noise()})[:512] }, schemas.DocumentCorrupt},
	}
}
