package pdf

import (
	"bytes"
	"compress/zlib"
	"encoding/ascii85"
	"encoding/hex"
	"io"
	"regexp"

	"github.com/klippa-app/go-pdfium/enums"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"golang.org/x/image/tiff/lzw"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/schemas"
)

// embedded is how much larger a picture within a page may be than one that is a page: plans are scanned finely and drawn small.
const embedded = 4

// checkPictures refuses a page with a picture over the limits before PDFium unpacks it, and returns the pictures.
func (p *page) checkPictures(l formats.Limits) ([]references.FPDF_PAGEOBJECT, error) {
	var found []references.FPDF_PAGEOBJECT
	c, err := p.pdf.FPDFPage_CountObjects(&requests.FPDFPage_CountObjects{Page: p.page})
	if err != nil {
		return nil, err
	}
	l.Side, l.Pixels = embedded*l.Side, embedded*l.Pixels
	for i := range min(c.Count, maxObjects) {
		if o, err := p.pdf.FPDFPage_GetObject(&requests.FPDFPage_GetObject{Page: p.page, Index: i}); err == nil {
			if found, err = p.pictures(found, o.PageObject, maxDepth, l); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// pictures appends the pictures that an object is or holds.
func (p *page) pictures(found []references.FPDF_PAGEOBJECT, o references.FPDF_PAGEOBJECT, depth int, l formats.Limits) ([]references.FPDF_PAGEOBJECT, error) {
	t, err := p.pdf.FPDFPageObj_GetType(&requests.FPDFPageObj_GetType{PageObject: o})
	if err != nil {
		return found, nil
	}
	switch t.Type {
	case enums.FPDF_PAGEOBJ_IMAGE:
		s, err := p.pdf.FPDFImageObj_GetImagePixelSize(&requests.FPDFImageObj_GetImagePixelSize{ImageObject: o})
		if err != nil {
			return append(found, o), nil
		}
		if s.Width > 0 && s.Height > 0 {
			return append(found, o), l.CheckSize(int(min(s.Width, 1<<30)), int(min(s.Height, 1<<30)))
		}
		return append(found, o), nil
	case enums.FPDF_PAGEOBJ_FORM:
		if depth == 0 {
			return found, nil
		}
		c, err := p.pdf.FPDFFormObj_CountObjects(&requests.FPDFFormObj_CountObjects{PageObject: o})
		if err != nil {
			return found, nil
		}
		for i := range min(c.Count, maxObjects) {
			if in, err := p.pdf.FPDFFormObj_GetObject(&requests.FPDFFormObj_GetObject{PageObject: o, Index: uint64(i)}); err == nil {
				if found, err = p.pictures(found, in.PageObject, depth-1, l); err != nil {
					return nil, err
				}
			}
		}
	}
	return found, nil
}

// unreadable reports whether one of the pictures of a page on which nothing is to be seen cannot be unpacked: the page is broken, not blank.
func (p *page) unreadable(pictures []references.FPDF_PAGEOBJECT) bool {
	const some = 8
	for _, o := range pictures[:min(len(pictures), some)] {
		b, err := p.pdf.FPDFImageObj_GetBitmap(&requests.FPDFImageObj_GetBitmap{ImageObject: o})
		if err != nil {
			return true
		}
		_, _ = p.pdf.FPDFBitmap_Destroy(&requests.FPDFBitmap_Destroy{Bitmap: b.Bitmap})
	}
	return false
}

var (
	contents = regexp.MustCompile(`/Contents\s*\[?\s*(\d+) 0 R`)
	filters  = regexp.MustCompile(`/([A-Za-z0-9]+)Decode\b`)
	draws    = regexp.MustCompile(`[\s)\]>](Tj|TJ|Do|sh|BI)\s`)
)

// spoiled reports whether a page without a single object has a content that says it draws something, or that cannot be unpacked. PDFium
// tells nobody; the page is taken out into a file of its own, where its content is easily found.
func (d *doc) spoiled(p *page) bool {
	n, err := d.pdf.FPDF_CreateNewDocument(&requests.FPDF_CreateNewDocument{})
	if err != nil {
		return false
	}
	defer func() { _, _ = d.pdf.FPDF_CloseDocument(&requests.FPDF_CloseDocument{Document: n.Document}) }()
	if _, err := d.pdf.FPDF_ImportPagesByIndex(&requests.FPDF_ImportPagesByIndex{Source: d.ref, Destination: n.Document, PageIndices: []int{p.number - 1}}); err != nil {
		return false
	}
	out, err := d.pdf.FPDF_SaveAsCopy(&requests.FPDF_SaveAsCopy{Document: n.Document})
	if err != nil || out.FileBytes == nil {
		return false
	}
	return drawsNothing(*out.FileBytes)
}

// drawsNothing reports whether the content of the only page of a file is lost: it is there, and cannot be unpacked or speaks of things that
// were not drawn.
func drawsNothing(file []byte) bool {
	m := contents.FindSubmatch(file)
	if m == nil {
		return false
	}
	at := bytes.Index(file, append(append([]byte("\n"), m[1]...), " 0 obj"...))
	if at < 0 {
		return false
	}
	head, rest, ok := bytes.Cut(file[at:], []byte("stream"))
	if !ok {
		return false
	}
	body, _, _ := bytes.Cut(bytes.TrimLeft(rest, "\r\n"), []byte("endstream"))
	for _, name := range filters.FindAllSubmatch(head, -1) {
		if body = unpack(string(name[1]), body); body == nil {
			return true
		}
	}
	return draws.Match(append(body, '\n')) || garbage(body)
}

// garbage reports whether a content is no program: one that draws nothing is written in letters and digits.
func garbage(body []byte) bool {
	head := body[:min(len(body), 4096)]
	odd := 0
	for _, c := range head {
		if c >= 0x7f || c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' {
			odd++
		}
	}
	return odd*10 > len(head)
}

// lostBytes is how much there has to be of a content for nothing in it to be suspicious.
const lostBytes = 64

// unpack takes one filter off a content; nil where nothing comes out of it.
func unpack(filter string, body []byte) []byte {
	const enough = 1 << 20 // to see whether it draws
	var r io.Reader
	switch filter {
	case "Flate":
		z, err := zlib.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil
		}
		r = z
	case "LZW":
		r = lzw.NewReader(bytes.NewReader(body), lzw.MSB, 8)
	case "ASCII85":
		body, _, _ = bytes.Cut(bytes.TrimSpace(body), []byte("~>"))
		r = ascii85.NewDecoder(bytes.NewReader(body))
	case "ASCIIHex":
		body, _, _ = bytes.Cut(body, []byte(">"))
		r = hex.NewDecoder(bytes.NewReader(bytes.Join(bytes.Fields(body), nil)))
	default:
		return body // a filter of pictures
	}
	out, err := io.ReadAll(io.LimitReader(r, enough))
	if len(out) == 0 && (err != nil || len(body) > lostBytes) {
		return nil
	}
	return append([]byte{}, out...)
}

func brokenPage() error {
	return fault.Document(schemas.PageCorrupt, "%s", schemas.Codes[schemas.PageCorrupt].Meaning)
}
