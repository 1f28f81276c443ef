// Package sample makes documents for trying, testing and measuring: scanned-looking PDFs, drawn from words of our own, whose true text
// is therefore known.
//
// The same options give the same bytes. Pages are written as they are drawn, so that a document of a thousand pages needs the memory of
// one.
package sample

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Options say what document to make.
type Options struct {
	Pages int  // 1 to 5000
	DPI   int  // of the page images
	Text  bool // a text layer instead of page images
	Brief bool // a heading alone on each page: little to read
	Seed  uint64
}

// MaxPages bounds a document.
const MaxPages = 5000

// Default is the bundled sample: three scanned pages.
func Default() Options { return Options{Pages: 3, DPI: 150, Seed: 20} }

// Validate names what cannot be made.
func (o Options) Validate() error {
	switch {
	case o.Pages < 1 || o.Pages > MaxPages:
		return fmt.Errorf("sample: pages must be 1 to %d, is %d", MaxPages, o.Pages)
	case !o.Text && (o.DPI < 72 || o.DPI > 400):
		return fmt.Errorf("sample: dpi must be 72 to 400, is %d", o.DPI)
	}
	return nil
}

// Write writes the document as a PDF.
func Write(w io.Writer, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	t, err := newTypesetter()
	if err != nil {
		return err
	}
	p := newPDF(w, o.Pages, o.Text)
	s := newScanner(o.DPI, o.Seed)
	for n := 1; n <= o.Pages; n++ {
		sheet := t.set(o.words(n))
		if o.Text {
			err = p.textPage(sheet)
		} else {
			err = s.page(p, t, sheet, n)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("sample: page %d: %w", n, err), t.close())
		}
	}
	return errors.Join(p.close(), t.close())
}

// words is what stands on a page.
func (o Options) words(page int) content {
	c := words(page, o.Seed)
	if o.Brief {
		return content{heading: c.heading}
	}
	return c
}

// Truth returns the text of one page in reading order: one line for each line drawn, cells of a row parted by a space.
func Truth(o Options, page int) (string, error) {
	t, err := newTypesetter()
	if err != nil {
		return "", err
	}
	sheet := t.set(o.words(page))
	var b strings.Builder
	for i, r := range sheet.runs {
		switch {
		case i == 0:
		case r.y == sheet.runs[i-1].y:
			b.WriteByte(' ')
		default:
			b.WriteByte('\n')
		}
		b.WriteString(r.text)
	}
	b.WriteByte('\n')
	return b.String(), t.close()
}

// WriteTruth writes the text of all pages, a form feed between them.
func WriteTruth(w io.Writer, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	for n := 1; n <= o.Pages; n++ {
		text, err := Truth(o, n)
		if err != nil {
			return err
		}
		if n > 1 {
			text = "\f" + text
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}
