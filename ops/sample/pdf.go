package sample

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"image/color"
	"io"
	"strings"
)

// pdf writes a minimal PDF, object by object. It remembers nothing but where each object lies.
type pdf struct {
	w       io.Writer
	at      int64
	offsets []int64 // of object i+1; 0 while unwritten
	pages   int
	next    int // page to come, from 0
	text    bool
	err     error
}

// The numbers of the objects: each page has three (page, contents, and its image), behind five shared ones.
const (
	catalogObject = 1
	treeObject    = 2
	infoObject    = 3
	regularObject = 4
	boldObject    = 5
	firstPage     = 6
	perPage       = 3
)

func newPDF(w io.Writer, pages int, text bool) *pdf {
	p := &pdf{w: w, pages: pages, text: text, offsets: make([]int64, firstPage-1+pages*perPage)}
	p.printf("%%PDF-1.4\n%%\xe2\xe3\xcf\xd3\n")
	p.object(catalogObject, "<< /Type /Catalog /Pages %d 0 R >>", treeObject)
	var kids strings.Builder
	for i := range pages {
		fmt.Fprintf(&kids, " %d 0 R", firstPage+i*perPage)
	}
	p.object(treeObject, "<< /Type /Pages /Count %d /Kids [%s ] >>", pages, kids.String())
	p.object(infoObject, "<< /Title (Docstream sample) /Producer (docstream) >>")
	p.object(regularObject, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
	p.object(boldObject, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>")
	return p
}

func (p *pdf) printf(format string, a ...any) { p.write([]byte(fmt.Sprintf(format, a...))) }

func (p *pdf) write(b []byte) {
	if p.err != nil {
		return
	}
	n, err := p.w.Write(b)
	p.at, p.err = p.at+int64(n), err
}

func (p *pdf) object(number int, format string, a ...any) {
	p.offsets[number-1] = p.at
	p.printf("%d 0 obj\n%s\nendobj\n", number, fmt.Sprintf(format, a...))
}

func (p *pdf) stream(number int, dictionary string, body []byte) {
	p.offsets[number-1] = p.at
	p.printf("%d 0 obj\n<< %s /Length %d >>\nstream\n", number, dictionary, len(body))
	p.write(body)
	p.printf("\nendstream\nendobj\n")
}

// imagePage appends a page that shows one grey JPEG image.
func (p *pdf) imagePage(jpeg []byte, width, height int) error {
	n := firstPage + p.next*perPage
	p.next++
	p.object(n, "<< /Type /Page /Parent %d 0 R /MediaBox [0 0 %d %d] /Resources << /XObject << /Im %d 0 R >> >> /Contents %d 0 R >>",
		treeObject, pageWidth, pageHeight, n+2, n+1)
	p.stream(n+1, "", fmt.Appendf(nil, "q %d 0 0 %d 0 0 cm /Im Do Q", pageWidth, pageHeight))
	p.stream(n+2, fmt.Sprintf("/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /DCTDecode",
		width, height), jpeg)
	return p.err
}

// textPage appends a page with a text layer and no image.
func (p *pdf) textPage(s sheet) error {
	n := firstPage + p.next*perPage
	p.next++
	p.object(n, "<< /Type /Page /Parent %d 0 R /MediaBox [0 0 %d %d] /Resources << /Font << /R %d 0 R /B %d 0 R >> >> /Contents %d 0 R >>",
		treeObject, pageWidth, pageHeight, regularObject, boldObject, n+1)
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	for _, r := range s.runs {
		name := "R"
		if r.bold {
			name = "B"
		}
		fmt.Fprintf(z, "BT /%s %g Tf %.2f %.2f Td (%s) Tj ET\n", name, r.size, r.x, pageHeight-r.y, literal.Replace(r.text))
	}
	for _, r := range s.rules {
		fmt.Fprintf(z, "0.75 w %.2f %.2f m %.2f %.2f l S\n", r.x0, pageHeight-r.y0, r.x1, pageHeight-r.y1)
	}
	if err := z.Close(); err != nil {
		return err
	}
	p.stream(n+1, "/Filter /FlateDecode", packed.Bytes())
	p.object(n+2, "null")
	return p.err
}

// close writes the table of where everything lies.
func (p *pdf) close() error {
	start := p.at
	p.printf("xref\n0 %d\n0000000000 65535 f \n", len(p.offsets)+1)
	for _, at := range p.offsets {
		p.printf("%010d 00000 n \n", at)
	}
	p.printf("trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(p.offsets)+1, catalogObject, infoObject, start)
	return p.err
}

// literal escapes what a PDF string gives a meaning.
var literal = strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`)

func grey(level uint8) color.Gray { return color.Gray{Y: level} }
