package prepare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"docstream/internal/engine"
	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/csv"
	"docstream/processors/prepare/formats/docx"
	"docstream/processors/prepare/formats/epub"
	"docstream/processors/prepare/formats/html"
	"docstream/processors/prepare/formats/images"
	"docstream/processors/prepare/formats/legacy"
	"docstream/processors/prepare/formats/mail"
	"docstream/processors/prepare/formats/markdown"
	"docstream/processors/prepare/formats/odf"
	"docstream/processors/prepare/formats/pdf"
	"docstream/processors/prepare/formats/pptx"
	"docstream/processors/prepare/formats/rtf"
	"docstream/processors/prepare/formats/text"
	"docstream/processors/prepare/formats/witness"
	"docstream/processors/prepare/formats/xlsx"
	"docstream/schemas"
	"docstream/schemas/document"
)

// The methods of the child.
const (
	methodOpen = "prepare.open"
	methodPage = "prepare.page"
)

// openRequest names a document on local disk. A child that has it open already keeps it open.
type openRequest struct {
	Path      string
	MediaType string // as submitted; the bytes have the last word
	Name      string // the client's file name: it may tell kinds of text apart
	Limits    formats.Limits
}

type openResult struct {
	MediaType string // what it was opened as
	Pages     int
}

type pageRequest struct {
	Document openRequest
	Page     int
	Want     formats.Want
}

// pageResult is a page as text, as an image, or as text and an image of what the text lacks.
type pageResult struct {
	Text  []byte // a document.Page as JSON without line breaks
	Lines int
	Words int
	Image *formats.Image

	Figures []figure // what the figures of Text show
}

// figure is one object beside the result.
type figure struct {
	Name      string // below the result
	MediaType string
	Data      []byte
}

// Register adds the handlers of the stage to a child. Hidden text layers are held to what the witness reads, which is opened once; nil: they are
// judged by themselves.
func Register(m *engine.Mux, c Config, open func() (witness.Reader, error)) {
	r := &reader{}
	if open != nil {
		open = once(open)
	}
	r.formats = []formats.Format{
		pdf.New(c.CompileDir, open),
		images.New(),
		text.New(),
		text.NewStructured(),
		markdown.New(),
		html.New(),
		csv.New(),
		docx.New(),
		xlsx.New(),
		pptx.New(),
		odf.New(),
		epub.New(),
		rtf.New(),
		mail.NewInternet(r.detect),
		mail.NewOutlook(r.detect),
		legacy.New(c.LibreOffice, c.ConvertTime, docx.New(), xlsx.New(), pptx.New()),
	}
	engine.Handle(m, methodOpen, r.open)
	engine.Handle(m, methodPage, r.page)
}

// once opens a witness at its first use, and again only where that failed.
func once(open func() (witness.Reader, error)) func() (witness.Reader, error) {
	var r witness.Reader
	return func() (_ witness.Reader, err error) {
		if r == nil {
			r, err = open()
		}
		return r, err
	}
}

// reader holds the one document that is open.
type reader struct {
	formats []formats.Format

	request openRequest
	media   string
	file    *os.File
	doc     formats.Document
}

func (r *reader) open(_ context.Context, q openRequest) (openResult, error) {
	if r.doc != nil && r.request == q {
		return openResult{r.media, r.doc.Pages()}, nil
	}
	r.close()
	f, err := os.Open(q.Path)
	if err != nil {
		return openResult{}, fault.World(schemas.ServiceUnavailable, "The source is not on this machine.").Because(err)
	}
	r.file = f
	info, err := f.Stat()
	if err != nil {
		r.close()
		return openResult{}, fault.World(schemas.ServiceUnavailable, "The source is not on this machine.").Because(err)
	}
	if r.media, r.doc, err = r.find(f, info.Size(), q.MediaType, q.Name, q.Limits); err != nil {
		r.close()
		return openResult{}, err
	}
	r.request = q
	return openResult{r.media, r.doc.Pages()}, nil
}

// find opens a file as what it is.
func (r *reader) find(file *os.File, size int64, declared, name string, l formats.Limits) (string, formats.Document, error) {
	media, err := mediaType(file, size, declared, name, l)
	if err != nil {
		return "", nil, err
	}
	for _, f := range r.formats {
		if f.Claims(media) {
			d, err := f.Open(file, size, media, l)
			if err != nil {
				return "", nil, err
			}
			return media, d, nil
		}
	}
	return "", nil, fault.Document(schemas.DocumentUnsupported, "Docstream does not read documents of the type %s.", media)
}

// detect opens what is attached to a message.
func (r *reader) detect(file *os.File, size int64, declared, name string, l formats.Limits) (formats.Document, error) {
	_, d, err := r.find(file, size, declared, name, l)
	return d, err
}

func (r *reader) close() {
	if r.doc != nil {
		r.doc.Close()
	}
	if r.file != nil {
		_ = r.file.Close()
	}
	r.doc, r.file, r.request, r.media = nil, nil, openRequest{}, ""
}

func (r *reader) page(ctx context.Context, q pageRequest) (pageResult, error) {
	if _, err := r.open(ctx, q.Document); err != nil {
		return pageResult{}, err
	}
	if q.Page < 1 || q.Page > r.doc.Pages() {
		return pageResult{}, fault.Document(schemas.PageCorrupt, "The document has no page %d.", q.Page)
	}
	p, err := r.doc.Read(q.Page, q.Want)
	if err != nil {
		if errors.As(err, new(*fault.Error)) {
			return pageResult{}, err
		}
		return pageResult{}, fault.Document(schemas.PageCorrupt, "%s", schemas.Codes[schemas.PageCorrupt].Meaning).Because(err)
	}
	if p.Text == nil {
		return pageResult{Image: p.Image}, nil
	}
	figures := place(&p)
	line, err := encodeLine(p.Text)
	if err != nil {
		return pageResult{}, fmt.Errorf("encode page: %w", err)
	}
	lines, words := count(p.Text)
	return pageResult{Text: line, Lines: lines, Words: words, Figures: figures, Image: p.Image}, nil
}

// place names the pictures of a page in its blocks.
func place(p *formats.Page) (out []figure) {
	for i, x := range p.Pictures {
		name := schemas.FigureName(p.Text.Number, i+1, x.MediaType)
		p.Text.Blocks[x.Block].Image = &document.Image{Name: name, MediaType: x.MediaType, Width: x.Width, Height: x.Height}
		out = append(out, figure{name, x.MediaType, x.Data})
	}
	return out
}

// encodeLine writes a page as JSON on one line, without the line's end.
func encodeLine(p *document.Page) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(p); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// count returns the lines and words of a page; a row of a table is a line.
func count(p *document.Page) (lines, words int) {
	for _, b := range p.Blocks {
		lines += len(b.Lines)
		for _, l := range b.Lines {
			words += len(strings.Fields(l.Text))
		}
		if len(b.Lines) == 0 && b.Text != "" { // a text without places has no lines of its own
			lines += 1 + strings.Count(b.Text, "\n")
			words += len(strings.Fields(b.Text))
		}
		if b.Table != nil {
			lines += b.Table.Rows
			for _, c := range b.Table.Cells {
				words += len(strings.Fields(c.Text))
			}
		}
	}
	return lines, words
}
