// Package images reads pictures: PNG, JPEG, GIF, WebP and BMP as one page each, TIFF as one page per directory.
//
// Sizes are read from the headers and checked before a decoder allocates anything. Pictures are turned upright by their EXIF
// orientation, and a sheet of paper that was photographed at an angle and is clearly seen is made a rectangle: the page is that sheet. A
// picture without a plausible resolution counts one pixel as one point.
package images

import (
	"bufio"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"

	"golang.org/x/image/bmp"
	"golang.org/x/image/webp"

	"docstream/internal/engine/photo"
	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/schemas"
)

// Format is all the picture formats.
type Format struct{}

// New returns the format.
func New() Format { return Format{} }

// coder is how one kind of picture is read.
type coder struct {
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
	facts  func([]byte) facts
}

var coders = map[string]coder{
	"image/png":  {png.DecodeConfig, png.Decode, pngFacts},
	"image/jpeg": {jpeg.DecodeConfig, jpeg.Decode, jpegFacts},
	"image/gif":  {gif.DecodeConfig, gif.Decode, noFacts},
	"image/webp": {webp.DecodeConfig, webp.Decode, noFacts},
	"image/bmp":  {bmp.DecodeConfig, bmp.Decode, bmpFacts},
}

const tiffType = "image/tiff"

// Claims reports whether the media type is one of the pictures.
func (Format) Claims(media string) bool {
	_, ok := coders[media]
	return ok || media == tiffType
}

// Open reads the headers.
func (Format) Open(f *os.File, size int64, media string, l formats.Limits) (formats.Document, error) {
	if media == tiffType {
		return openTIFF(f, size, l)
	}
	p := &picture{file: f, size: size, coder: coders[media], limits: l}
	if w, h, ok := webpCanvas(f); ok && media == "image/webp" {
		if err := l.CheckSize(w, h); err != nil { // the decoder allocates for the canvas before it says how large it is
			return nil, err
		}
	}
	c, err := p.coder.config(p.reader())
	if err != nil {
		return nil, refuse(err)
	}
	if err := l.CheckSize(c.Width, c.Height); err != nil {
		return nil, err
	}
	head := make([]byte, min(size, headBytes))
	if _, err := f.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, formats.Corrupt(err)
	}
	p.width, p.height, p.facts = c.Width, c.Height, p.coder.facts(head)
	return p, nil
}

// headBytes is how far into a file resolution and orientation are looked for.
const headBytes = 256 << 10

// picture is a document of one page.
type picture struct {
	file          *os.File
	size          int64
	coder         coder
	limits        formats.Limits
	facts         facts
	width, height int
}

func (p *picture) reader() io.Reader { return bufio.NewReader(io.NewSectionReader(p.file, 0, p.size)) }

// Pages is always 1.
func (p *picture) Pages() int { return 1 }

// Close has nothing to free.
func (p *picture) Close() {}

// Read decodes the picture; it has no text of its own.
func (p *picture) Read(n int, w formats.Want) (formats.Page, error) {
	if w.OCR == formats.Off {
		width, height := p.width, p.height
		if p.facts.orientation > 4 {
			width, height = height, width
		}
		return empty(n, width, height, p.facts.dpi), nil
	}
	m, err := p.coder.decode(p.reader())
	if err != nil {
		return formats.Page{}, refuse(err)
	}
	return page(m, p.facts, w)
}

func page(m image.Image, f facts, w formats.Want) (formats.Page, error) {
	m, dpi := formats.Shrink(m, f.resolution(), w.Side)
	m = upright(m, f.orientation)
	if corners, ok := photo.Sheet(m); ok {
		m = photo.Flatten(m, corners)
	}
	img, err := formats.Encode(m, dpi)
	return formats.Page{Image: img}, err
}

func empty(n, width, height, dpi int) formats.Page {
	scale := 72 / float64(facts{dpi: dpi}.resolution())
	return formats.Page{Text: formats.Empty(n, float64(width)*scale, float64(height)*scale)}
}

// refuse tells a picture of an unknown kind from a broken one.
func refuse(err error) error {
	if f := new(fault.Error); errors.As(err, &f) {
		return err
	}
	if errors.Is(err, bmp.ErrUnsupported) || unsupported(err) {
		return fault.Document(schemas.DocumentUnsupported, "%s", schemas.Codes[schemas.DocumentUnsupported].Meaning).Because(err)
	}
	return formats.Corrupt(err)
}

func unsupported(err error) bool {
	var p png.UnsupportedError
	var j jpeg.UnsupportedError
	return errors.As(err, &p) || errors.As(err, &j)
}

var errShort = fmt.Errorf("the header ends early")
