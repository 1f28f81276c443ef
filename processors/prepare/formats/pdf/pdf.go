// Package pdf reads PDF documents with PDFium compiled to WebAssembly: a sandbox without a file system, whose memory is bounded.
//
// A page with a good text layer becomes blocks in reading order; any other becomes an image. A document that breaks PDFium loses its
// sandbox; the next page gets a fresh one.
package pdf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klippa-app/go-pdfium"
	pdfiumerrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/responses"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/witness"
	"docstream/schemas"
)

// MediaType is what the format claims.
const MediaType = "application/pdf"

const (
	memoryPages  = 16384 // of 64 KiB: one sandbox holds at most 1 GiB
	startTimeout = time.Minute
)

// Format is the PDF format. PDFium is compiled at the first document: some seconds of processor time without the compilation cache, a
// tenth of one with it.
type Format struct {
	cacheDir string
	witness  func() (witness.Reader, error) // nil: there is none
	pool     pdfium.Pool
	memory   memory
	native   native
}

// New returns the format; the folder holds the compiled PDFium between processes, no folder means that every process compiles it. The witness is
// asked for when the first layer is to be held to its picture; nil means that layers are judged by themselves.
func New(cacheDir string, w func() (witness.Reader, error)) *Format {
	return &Format{cacheDir: cacheDir, witness: w}
}

// Claims reports whether the media type is PDF.
func (f *Format) Claims(media string) bool { return media == MediaType }

// Close gives the sandbox back.
func (f *Format) Close() {
	if f.pool != nil {
		_ = f.pool.Close()
		f.pool = nil
	}
}

// Open reads the cross-reference table and the page tree; the pages stay in the file.
func (f *Format) Open(file *os.File, size int64, _ string, l formats.Limits) (formats.Document, error) {
	d := &doc{format: f, file: file, size: size, limits: l}
	if err := d.open(); err != nil {
		return nil, err
	}
	r, err := d.pdf.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: d.ref})
	if err != nil {
		d.Close()
		return nil, formats.Corrupt(err)
	}
	if err := l.CheckPages(r.PageCount); err != nil {
		d.Close()
		return nil, err
	}
	d.pages = r.PageCount
	return d, nil
}

// instance starts a sandbox.
func (f *Format) instance() (pdfium.Pdfium, error) {
	if f.pool == nil {
		pool, err := f.compile()
		if err != nil {
			return nil, unavailable(err)
		}
		f.pool = pool
	}
	p, err := f.pool.GetInstance(startTimeout)
	if err != nil {
		return nil, unavailable(err)
	}
	return p, nil
}

func (f *Format) compile() (pdfium.Pool, error) {
	config := wazero.NewRuntimeConfig().WithMemoryLimitPages(memoryPages).
		WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling)
	if f.cacheDir != "" {
		cache, err := wazero.NewCompilationCacheWithDir(f.cacheDir)
		if err != nil {
			return nil, fmt.Errorf("compilation cache: %w", err)
		}
		config = config.WithCompilationCache(cache)
	}
	// Standard output belongs to the engine's frames, and the default would mount the whole root directory.
	return webassembly.Init(webassembly.Config{Context: f.native.with(f.memory.with(context.Background())), MaxTotal: 1, MaxIdle: 1, RuntimeConfig: config,
		FSConfig: wazero.NewFSConfig(), Stdout: io.Discard, Stderr: io.Discard})
}

func unavailable(err error) error {
	return fault.World(schemas.EngineUnavailable, "%s", schemas.Codes[schemas.EngineUnavailable].Meaning).Because(err)
}

// doc is an open document. pdf is nil after PDFium broke, until the next page opens it again.
type doc struct {
	format *Format
	file   *os.File
	size   int64
	limits formats.Limits
	pages  int

	pdf pdfium.Pdfium
	ref references.FPDF_DOCUMENT

	edges map[int][]mark // of the latest pages
}

func (d *doc) open() error {
	p, err := d.format.instance()
	if err != nil {
		return err
	}
	d.pdf = p
	r, err := p.OpenDocument(&requests.OpenDocument{FileReader: d.file, FileReaderSize: d.size})
	if err != nil {
		full := d.format.memory.full()
		d.Close()
		if full {
			return fault.Document(schemas.EngineOutOfMemory, "%s", schemas.Codes[schemas.EngineOutOfMemory].Meaning).Because(err)
		}
		if errors.Is(err, pdfiumerrors.ErrPassword) || errors.Is(err, pdfiumerrors.ErrSecurity) {
			return fault.Document(schemas.DocumentEncrypted, "%s", schemas.Codes[schemas.DocumentEncrypted].Meaning).Because(err)
		}
		return formats.Corrupt(err)
	}
	d.ref = r.Document
	return nil
}

// Pages returns the length of the page tree.
func (d *doc) Pages() int { return d.pages }

// Close gives the sandbox with all its memory back.
func (d *doc) Close() {
	if d.pdf == nil {
		return
	}
	if err := d.pdf.Close(); err != nil {
		d.format.Close() // a sandbox that cannot even end
	}
	d.pdf = nil
}

// Read reads the text layer and judges it; where it is not good enough it renders the page.
func (d *doc) Read(n int, w formats.Want) (out formats.Page, err error) {
	if d.pdf == nil {
		if err := d.open(); err != nil {
			return out, err
		}
	}
	defer func() {
		if err != nil {
			if !errors.As(err, new(*fault.Error)) && d.format.memory.full() {
				err = fault.Document(schemas.EngineOutOfMemory, "%s", schemas.Codes[schemas.EngineOutOfMemory].Meaning).Because(err)
			}
			if !errors.Is(err, pdfiumerrors.ErrPage) {
				d.Close() // a trap leaves the sandbox in any state
			}
			if !errors.As(err, new(*fault.Error)) {
				err = fault.Document(schemas.PageCorrupt, "%s", schemas.Codes[schemas.PageCorrupt].Meaning).Because(err)
			}
		}
	}()
	p := page{pdf: d.pdf, native: &d.format.native, number: n, page: requests.Page{ByIndex: &requests.PageByIndex{Document: d.ref, Index: n - 1}}}
	if err := p.measure(); err != nil {
		return out, err
	}
	links := p.links()
	filled := p.flatten()
	if filled {
		defer d.Close() // who reads the page again, or looks at it from another, finds it as it was (P5)
	}
	if w.OCR == formats.Force {
		return d.render(&p, w)
	}
	t, err := p.read()
	if err != nil {
		return out, err
	}
	t.link(links)
	if !filled {
		d.remember(n, p.marks(t.words))
	}
	switch t.judge() {
	case good:
		return d.finish(&p, t, w)
	case claimed:
		return d.compare(&p, t, w)
	case blank:
		if d.spoiled(&p) {
			return out, brokenPage()
		}
		return formats.Page{Text: formats.Empty(n, p.width, p.height)}, nil
	}
	if w.OCR == formats.Off {
		return d.finish(&p, t, w)
	}
	return d.render(&p, w)
}

// finish makes a page of its text layer.
func (d *doc) finish(p *page, t *layer, w formats.Want) (out formats.Page, err error) {
	out.Text = p.compose(t, d.near(p.number))
	if d.pdf == nil { // a neighbour broke it
		return out, nil
	}
	if out.Pictures, err = d.pictures(p, out.Text, w); err != nil {
		return out, err
	}
	out.Image, err = d.mixed(p, t, w)
	return out, err
}

// resolution is the wanted one, or a lower one where the image would be too large.
func (p *page) resolution(w formats.Want) (int, error) {
	dpi := w.DPI
	if longest := max(p.width, p.height); longest*float64(dpi)/72 > float64(w.Side) {
		dpi = int(float64(w.Side) * 72 / longest)
	}
	if dpi < 1 {
		return 0, fault.Document(schemas.PageTooLarge, "The page measures %.0f × %.0f points.", p.width, p.height)
	}
	return dpi, nil
}

// pixels draws the page, and returns the pictures in it. One over the limits is refused before it is unpacked. Who asked cleans the result up.
func (d *doc) pixels(p *page, dpi int) (*responses.RenderPageInDPI, []references.FPDF_PAGEOBJECT, error) {
	pictures, err := p.checkPictures(d.limits)
	if err != nil {
		return nil, nil, err
	}
	r, err := d.pdf.RenderPageInDPI(&requests.RenderPageInDPI{Page: p.page, DPI: dpi})
	if err != nil {
		return nil, nil, fmt.Errorf("render: %w", err)
	}
	return r, pictures, nil
}

// render makes the image of the page. A page on which nothing is to be seen is empty, unless an image is asked for.
func (d *doc) render(p *page, w formats.Want) (out formats.Page, err error) {
	dpi, err := p.resolution(w)
	if err != nil {
		return out, err
	}
	r, pictures, err := d.pixels(p, dpi)
	if err != nil {
		return out, err
	}
	defer r.Cleanup()
	if w.OCR != formats.Force && formats.Blank(r.Result.RenderedImage) {
		if p.unreadable(pictures) {
			return out, brokenPage()
		}
		return formats.Page{Text: formats.Empty(p.number, p.width, p.height)}, nil
	}
	img, err := formats.Encode(r.Result.RenderedImage, dpi)
	return formats.Page{Image: img}, err
}
