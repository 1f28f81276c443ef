// Package pdftest writes small PDF files, so that tests need no files of others.
package pdftest

import (
	"bytes"
	"fmt"
	"strings"
)

// Page is one page of a file.
type Page struct {
	Width, Height float64 // points; 0 means 612 × 792
	Rotate        int     // degrees
	Content       string  // content stream; the fonts are F1 Helvetica, F2 bold, F3 Courier, F4, in which every letter is private, and F5, which shows one letter and says another
	Image         *Image  // drawn by Picture
	Field         string  // value of a form field near the top of the page; empty for none
	Link          *Link   // a place that leads somewhere
	Bomb          bool    // the page can draw the form Bomb, which draws others that draw others
}

// Link is a rectangle, with its lower left corner first, that leads to an address.
type Link struct {
	Rect [4]float64
	URI  string
}

// Image is a gray picture of 8 bits, usable as /Im.
type Image struct {
	Width, Height int
	Pixels        []byte
}

// Text writes a line of text with its baseline at x, y from the lower left corner.
func Text(font string, size, x, y float64, s string) string {
	s = strings.NewReplacer(`\`, `\\`, `(`, `\(`, `)`, `\)`).Replace(s)
	return fmt.Sprintf("BT /%s %g Tf %g %g Td (%s) Tj ET\n", font, size, x, y, s)
}

// Lines writes lines below one another, the first with its baseline at y.
func Lines(font string, size, leading, x, y float64, lines ...string) string {
	var b strings.Builder
	for i, l := range lines {
		b.WriteString(Text(font, size, x, y-float64(i)*leading, l))
	}
	return b.String()
}

// Hidden draws what it is given invisibly, as recognisers do.
func Hidden(content string) string { return "3 Tr\n" + content + "0 Tr\n" }

// Picture draws the page's image.
func Picture(x, y, width, height float64) string {
	return fmt.Sprintf("q %g 0 0 %g %g %g cm /Im Do Q\n", width, height, x, y)
}

const private = `/CIDInit /ProcSet findresource begin 12 dict begin begincmap
1 begincodespacerange <00> <ff> endcodespacerange
1 beginbfrange <20> <7e> <e020> endbfrange
endcmap end end`

// lying exchanges e with d and t with l.
const lying = `/CIDInit /ProcSet findresource begin 12 dict begin begincmap
1 begincodespacerange <00> <ff> endcodespacerange
1 beginbfrange <20> <7e> <0020> endbfrange
4 beginbfchar <65> <0064> <64> <0065> <74> <006c> <6c> <0074> endbfchar
endcmap end end`

// Write returns the file.
func Write(pages ...Page) []byte {
	w := &writer{}
	w.buf.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	const catalog, tree, f1, f2, f3, f4, cmap, firstBomb, bombs = 1, 2, 3, 4, 5, 6, 7, 8, 12
	const perPage = 6 // objects
	first := firstBomb + bombs
	var kids []string
	for i := range pages {
		kids = append(kids, fmt.Sprintf("%d 0 R", first+perPage*i))
	}
	w.object(catalog, "<< /Type /Catalog /Pages 2 0 R >>", nil)
	w.object(tree, fmt.Sprintf("<< /Type /Pages /Count %d /Kids [%s] >>", len(pages), strings.Join(kids, " ")), nil)
	for i, name := range []string{"Helvetica", "Helvetica-Bold", "Courier"} {
		w.object(f1+i, "<< /Type /Font /Subtype /Type1 /Encoding /WinAnsiEncoding /BaseFont /"+name+" >>", nil)
	}
	w.object(f4, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 7 0 R >>", nil)
	w.object(cmap, "", []byte(private))
	f5 := first + perPage*len(pages)
	w.object(f5, fmt.Sprintf("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding /ToUnicode %d 0 R >>", f5+1), nil)
	w.object(f5+1, "", []byte(lying))
	for i := range bombs {
		body := strings.Repeat("/Bomb Do\n", 20)
		if i == bombs-1 {
			body = "0 0 1 1 re f\n"
		}
		w.object(firstBomb+i, fmt.Sprintf("/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /Bomb %d 0 R >> >>", firstBomb+i+1), []byte(body))
	}
	for i, p := range pages {
		if p.Width == 0 {
			p.Width, p.Height = 612, 792
		}
		at := first + perPage*i
		bomb := ""
		if p.Bomb {
			bomb = fmt.Sprintf("/Bomb %d 0 R", firstBomb)
		}
		var annotations []string
		if p.Field != "" {
			annotations = append(annotations, fmt.Sprintf("%d 0 R", at+3))
		}
		link := Link{}
		if p.Link != nil {
			link = *p.Link
			annotations = append(annotations, fmt.Sprintf("%d 0 R", at+5))
		}
		w.object(at, fmt.Sprintf("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %g %g] /Rotate %d /Contents %d 0 R /Resources << "+
			"/Font << /F1 3 0 R /F2 4 0 R /F3 5 0 R /F4 6 0 R /F5 %d 0 R >> /XObject << /Im %d 0 R %s >> >> /Annots [%s] >>",
			p.Width, p.Height, p.Rotate, at+1, f5, at+2, bomb, strings.Join(annotations, " ")), nil)
		w.object(at+1, "", []byte(p.Content))
		img := p.Image
		if img == nil {
			img = &Image{1, 1, []byte{0}}
		}
		w.object(at+2, fmt.Sprintf("/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8", img.Width, img.Height), img.Pixels)
		w.object(at+3, fmt.Sprintf("<< /Type /Annot /Subtype /Widget /FT /Tx /T (a) /F 4 /Rect [72 740 372 760] /AP << /N %d 0 R >> >>", at+4), nil)
		w.object(at+4, "/Type /XObject /Subtype /Form /BBox [0 0 300 20] /Resources << /Font << /F1 3 0 R >> >>", []byte(Text("F1", 10, 0, 5, p.Field)))
		w.object(at+5, fmt.Sprintf("<< /Type /Annot /Subtype /Link /Rect [%g %g %g %g] /A << /S /URI /URI (%s) >> >>", link.Rect[0], link.Rect[1],
			link.Rect[2], link.Rect[3], link.URI), nil)
	}
	return w.end()
}

type writer struct {
	buf     bytes.Buffer
	offsets map[int]int
	last    int
}

// object writes a dictionary, or a stream whose dictionary has these entries beside its length.
func (w *writer) object(n int, dict string, stream []byte) {
	if w.offsets == nil {
		w.offsets = map[int]int{}
	}
	w.offsets[n], w.last = w.buf.Len(), max(w.last, n)
	if stream == nil {
		fmt.Fprintf(&w.buf, "%d 0 obj\n%s\nendobj\n", n, dict)
		return
	}
	fmt.Fprintf(&w.buf, "%d 0 obj\n<< %s /Length %d >>\nstream\n", n, dict, len(stream))
	w.buf.Write(stream)
	w.buf.WriteString("\nendstream\nendobj\n")
}

func (w *writer) end() []byte {
	at := w.buf.Len()
	fmt.Fprintf(&w.buf, "xref\n0 %d\n0000000000 65535 f \n", w.last+1)
	for n := 1; n <= w.last; n++ {
		fmt.Fprintf(&w.buf, "%010d 00000 n \n", w.offsets[n])
	}
	fmt.Fprintf(&w.buf, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", w.last+1, at)
	return w.buf.Bytes()
}
