// Package formats says what a document format is: something that opens a file and reads its pages one at a time.
//
// It runs in the engine's child process. Nothing in a file is believed: sizes are checked before anything is allocated for them, and
// every refusal is a fault of the document with a code of the closed table. A format is one folder below this one and one line in
// prepare's list.
package formats

import (
	"errors"
	"fmt"
	"os"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats/witness"
	"docstream/schemas"
	"docstream/schemas/document"
)

// Format opens documents of some media types.
type Format interface {
	// Claims reports whether the format reads documents whose bytes were found to be of the media type.
	Claims(media string) bool
	// Open reads as much of the file as it needs to count the pages. The file stays the caller's; it is open until the document is
	// closed.
	Open(f *os.File, size int64, media string, l Limits) (Document, error)
}

// Document is an open document. It is used by one goroutine.
type Document interface {
	// Pages is the number of pages, at least 1.
	Pages() int
	// Read returns page n, from 1.
	Read(n int, w Want) (Page, error)
	// Close frees what the document holds. The document cannot be used afterwards.
	Close()
}

// Limits bound what a document may ask of the machine.
type Limits struct {
	Pages  int   // a document with more is refused: DOCUMENT_TOO_MANY_PAGES
	Side   int   // pixels; a picture with a longer side is refused before it is decoded: PAGE_TOO_LARGE
	Pixels int64 // of one picture; above it likewise
	Text   int64 // bytes of a plain text; above it likewise

	Unpacked    int64 // bytes that the parts of a packed document may unpack to: DOCUMENT_TOO_LARGE
	Ratio       int64 // bytes that a packed byte may unpack to, once a document has unpacked to more than some; 0: any: DOCUMENT_TOO_DENSE
	Parts       int   // files in a packed document: likewise
	Depth       int   // elements within elements: DOCUMENT_TOO_DEEP
	Attachments int   // of one message that are read; the others are named
	Letters     int   // messages within messages that are read; the others are named
}

// Want says how a page is to be read.
type Want struct {
	OCR  string // schemas option: auto, force or off
	DPI  int    // of a page that has a size in inches
	Side int    // pixels; a picture with a longer side is made smaller

	Figures bool // with the pictures of figures

	Layers witness.Bounds // of a text layer that nobody sees; no lines: it is believed where it looks well
}

// The values of the OCR option.
const (
	Auto  = "auto"  // an image only where the page has no good text of its own
	Force = "force" // always an image
	Off   = "off"   // never an image; a page without text is an empty page
)

// Page is what reading gave: text or an image. Of a page with both, the image shows what the text lacks, at its place.
type Page struct {
	Text  *document.Page
	Image *Image

	Pictures []Picture // of the figures of Text, in order, where they are wanted
}

// Image is a page to be recognised.
type Image struct {
	PNG    []byte
	Width  int // pixels
	Height int
	DPI    int // pixels per inch; 72 where a pixel counts as a point
}

// Empty is the result of a page that holds nothing to read; width and height are in points.
func Empty(n int, width, height float64) *document.Page {
	return &document.Page{Format: document.PageFormat, Number: n, Width: document.Round1(width), Height: document.Round1(height),
		Unit: "pt", Source: "text", Confidence: 1, Blocks: []document.Block{}}
}

// Corrupt is the refusal of a document that cannot be opened.
func Corrupt(err error) error {
	if f := new(fault.Error); errors.As(err, &f) {
		return err // said already, and better
	}
	return fault.Document(schemas.DocumentCorrupt, "%s", schemas.Codes[schemas.DocumentCorrupt].Meaning).Because(err)
}

// NoWords is the refusal of a text that says nothing.
func NoWords() error {
	return fault.Document(schemas.DocumentEmpty, "The document has nothing to read.")
}

// Dense is the refusal of a document that unpacks to more than its size can account for.
func Dense(format string, a ...any) error {
	return fault.Document(schemas.DocumentTooDense, "%s", schemas.Codes[schemas.DocumentTooDense].Meaning).Because(fmt.Errorf(format, a...))
}

// Unsupported is the refusal of a document that is well formed but of a kind nobody here reads.
func Unsupported(what string) error {
	return fault.Document(schemas.DocumentUnsupported, "The document uses %s, which Docstream does not read.", what)
}

// TooLarge is the refusal of a document that unpacks to more than a limit allows.
func TooLarge(format string, a ...any) error {
	return fault.Document(schemas.DocumentTooLarge, "%s", schemas.Codes[schemas.DocumentTooLarge].Meaning).Because(fmt.Errorf(format, a...))
}

// TooDeep is the refusal of a document nested deeper than the limit.
func TooDeep(depth int) error {
	return fault.Document(schemas.DocumentTooDeep, "The document is nested more than %d levels deep.", depth)
}

// Encrypted is the refusal of a document that cannot be read without its password.
func Encrypted() error {
	return fault.Document(schemas.DocumentEncrypted, "%s", schemas.Codes[schemas.DocumentEncrypted].Meaning)
}

// CheckSize refuses a picture that is over the limits or has no pixels.
func (l Limits) CheckSize(width, height int) error {
	if width <= 0 || height <= 0 {
		return fault.Document(schemas.PageCorrupt, "The picture has no pixels.")
	}
	if width > l.Side || height > l.Side || int64(width)*int64(height) > l.Pixels {
		return fault.Document(schemas.PageTooLarge, "The page has %d × %d pixels; the limit is %d a side and %d in all.", width, height, l.Side, l.Pixels)
	}
	return nil
}

// CheckPages refuses a document without pages or with too many.
func (l Limits) CheckPages(n int) error {
	if n < 1 {
		return fault.Document(schemas.DocumentEmpty, "%s", schemas.Codes[schemas.DocumentEmpty].Meaning)
	}
	if n > l.Pages {
		return fault.Document(schemas.DocumentTooManyPages, "The document has %d pages; the limit is %d.", n, l.Pages)
	}
	return nil
}
