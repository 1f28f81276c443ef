// Package hostile makes documents that mean harm, or that came to harm: bombs, loops, lies about sizes, files that end early. They are made
// by code from nothing, so that tests and fuzz targets need no files of others.
package hostile

import (
	"bytes"
	"compress/zlib"
	"strings"

	"docstream/schemas"
)

// Case is one such document.
type Case struct {
	Name  string
	Media string // what its sender calls it
	File  string // how its sender names it; may be empty
	Make  func() []byte
	// Code is what its sender has to be told. Empty: the document is odd but can be read, and has to be, as at least one page with something
	// on it.
	Code schemas.Code
}

// Cases are all of them.
func Cases() []Case {
	var out []Case
	for _, some := range [][]Case{plain(), pdfs(), pdfStreams(), containers(), office(), sheets(), pictures(), pages(), messages(), within()} {
		out = append(out, some...)
	}
	return out
}

const (
	pdfType   = "application/pdf"
	docxType  = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	xlsxType  = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	pptxType  = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
	odsType   = "application/vnd.oasis.opendocument.spreadsheet"
	odtType   = "application/vnd.oasis.opendocument.text"
	epubType  = "application/epub+zip"
	htmlType  = "text/html"
	mailType  = "message/rfc822"
	jsonType  = "application/json"
	xmlType   = "application/xml"
	plainType = "text/plain"
)

func fixed(s string) func() []byte { return func() []byte { return []byte(s) } }

// deflated packs size bytes of a repeated pattern, as zlib does.
func deflated(pattern string, size int) []byte {
	var b bytes.Buffer
	z, _ := zlib.NewWriterLevel(&b, zlib.BestSpeed)
	block := []byte(strings.Repeat(pattern, max(1, (1<<20)/len(pattern))))
	for size > 0 {
		n := min(size, len(block))
		_, _ = z.Write(block[:n]) // a buffer takes everything
		size -= n
	}
	_ = z.Close()
	return b.Bytes()
}

// plain are files that are nothing of what they are called.
func plain() []Case {
	return []Case{
		{"zero bytes", pdfType, "a.pdf", fixed(""), schemas.DocumentEmpty},
		{"one zero byte", pdfType, "a.pdf", fixed("\x00"), schemas.DocumentCorrupt},
		{"random bytes called PDF", pdfType, "a.pdf", noise, schemas.DocumentCorrupt},
		{"random bytes called Word", docxType, "a.docx", noise, schemas.DocumentCorrupt},
		{"random bytes called nothing", "", "", noise, schemas.DocumentUnsupported},
		{"a web page saved as PDF", pdfType, "a.pdf", fixed("<!DOCTYPE html><html><body>Please log in</body></html>"), schemas.MediaTypeMismatch},
		{"a web page named as PDF", "application/octet-stream", "a.pdf", fixed("<!DOCTYPE html><html><body>Please log in</body></html>"), schemas.MediaTypeMismatch},
		{"a web page found where PDF was named", htmlType, "a.pdf", fixed("<!DOCTYPE html><html><body>Please log in</body></html>"), schemas.MediaTypeMismatch},
		{"a web page saved as a picture", "image/png", "a.png", fixed("<html><body>404</body></html>"), schemas.MediaTypeMismatch},
		{"an error saved as Word", docxType, "a.docx", fixed(`{"error": "not found"}`), schemas.MediaTypeMismatch},
		{"a web page saved by Excel", "application/vnd.ms-excel", "a.xls", fixed("<html><body><table><tr><td>1<td>2</table></body></html>"), ""},
		{"a program", "", "a.exe", fixed("MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00"), schemas.DocumentUnsupported},
		{"a program called PDF", pdfType, "a.pdf", fixed("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00"), schemas.DocumentUnsupported},
		{"a film", "video/mp4", "a.mp4", fixed("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"), schemas.DocumentUnsupported},
		{"gzip", "application/gzip", "a.gz", fixed("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x04\x00"), schemas.DocumentUnsupported},
		{"rar", "", "a.rar", fixed("Rar!\x1a\x07\x01\x00\x00\x00\x00\x00"), schemas.DocumentUnsupported},
		{"7z", "", "a.7z", fixed("7z\xbc\xaf\x27\x1c\x00\x04\x00\x00\x00\x00"), schemas.DocumentUnsupported},
		{"HEIC", "image/heic", "a.heic", fixed("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), schemas.DocumentUnsupported},
		{"HEIC called JPEG", "image/jpeg", "a.jpg", fixed("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), schemas.DocumentUnsupported},
		{"AVIF", "image/avif", "a.avif", fixed("\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1miaf"), schemas.DocumentUnsupported},
		{"JPEG 2000", "image/jp2", "a.jp2", fixed("\x00\x00\x00\x0cjP  \r\n\x87\n\x00\x00\x00\x14ftypjp2 \x00\x00\x00\x00jp2 "), schemas.DocumentUnsupported},
		{"a bare JPEG 2000 stream", "image/jp2", "a.j2k", fixed("\xff\x4f\xff\x51\x00\x2f\x00\x00\x00\x00\x00\x10"), schemas.DocumentUnsupported},
		{"JPEG XL", "image/jxl", "a.jxl", fixed("\xff\x0a\x00\x10\x00\x00\x00\x00"), schemas.DocumentUnsupported},
		{"white space", plainType, "a.txt", fixed(strings.Repeat(" \r\n\t", 100)), schemas.DocumentEmpty},
		{"only a byte order mark", plainType, "a.txt", fixed("\xef\xbb\xbf"), schemas.DocumentEmpty},
		{"text beyond the limit", plainType, "a.txt", func() []byte { return bytes.Repeat([]byte("all work and no play\n"), 1<<20) }, schemas.PageTooLarge},
	}
}

// noise is a kilobyte of bytes that are no text and nothing else.
func noise() []byte {
	out := make([]byte, 1024)
	x := uint32(2463534242)
	for i := range out {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		out[i] = byte(x)
	}
	out[0] = 0
	return out
}
