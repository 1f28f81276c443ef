// Package odf reads the documents of LibreOffice and its kin: texts, spreadsheets and presentations.
//
// Changes that were tracked are accepted. A text's page ends where its writer last saw it end; a sheet and a slide are pages. Texts are
// read a block at a time, sheets row by row.
package odf

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"

	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/pack"
	"docstream/processors/prepare/formats/sheet"
	"docstream/processors/prepare/formats/xmltree"
)

// The media types of the format.
const (
	Text         = "application/vnd.oasis.opendocument.text"
	Spreadsheet  = "application/vnd.oasis.opendocument.spreadsheet"
	Presentation = "application/vnd.oasis.opendocument.presentation"
)

const content = "content.xml"

// Format is the three formats.
type Format struct{}

// New returns the format.
func New() Format { return Format{} }

// Claims reports whether the media type is one of the three.
func (Format) Claims(media string) bool {
	return media == Text || media == Spreadsheet || media == Presentation
}

// Open reads texts and presentations whole, and counts the rows of spreadsheets.
func (Format) Open(f *os.File, size int64, media string, l formats.Limits) (formats.Document, error) {
	a, err := pack.Open(f, size, l)
	if err != nil {
		return nil, err
	}
	r := &reader{archive: a, limits: l, out: flow.New(l), styles: styles{}, lists: map[string]*listStyle{}, counts: map[string][]int{}, controls: map[string]string{}, objects: map[string]bool{}, spent: new(int)}
	if err := r.encrypted(); err != nil {
		return nil, err
	}
	if err := r.begins(); err != nil {
		return nil, err
	}
	if a.Has("styles.xml") {
		if err := r.each("styles.xml", map[string]bool{"document-styles": true}, r.learn); err != nil {
			return nil, err
		}
	}
	if media == Spreadsheet {
		sheets, err := r.sheets()
		if err != nil {
			return nil, err
		}
		return sheet.New(sheets, l)
	}
	body := map[string]bool{"document-content": true, "body": true, "text": true, "presentation": true, "section": true}
	err = r.each(content, body, func(n *xmltree.Node) error {
		switch n.Name {
		case "automatic-styles":
			return r.learn(n)
		case "forms":
			r.forms(n, 0)
		case "page":
			r.slide(n)
		default:
			r.block(n)
		}
		return r.out.Err()
	})
	if err != nil {
		return nil, err
	}
	r.flush()
	for _, h := range r.running {
		h()
	}
	for _, n := range r.notes {
		r.out.Note(n.label, n.text)
	}
	return r.out.Document()
}

// reader is a document being read.
type reader struct {
	archive *pack.Archive
	limits  formats.Limits
	out     *flow.Builder
	styles  styles
	lists   map[string]*listStyle
	counts  map[string][]int // where each list's numbers stand, by level
	running []func()
	notes   []note

	words    flow.Words
	pictures []picture
	boxes    []*xmltree.Node
	broken   bool              // a page ends within the text being read
	exact    bool              // blanks count
	objects  map[string]bool   // that were read
	spent    *int              // cells of tables that repeat others
	controls map[string]string // what the fields of forms show, by their id
	cell     bool
	lines    []flow.Text
}

type note struct {
	label string
	text  flow.Text
}

func (r *reader) each(part string, containers map[string]bool, f func(*xmltree.Node) error) error {
	in, err := r.archive.Reader(part)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	return xmltree.Each(in, r.limits.Depth, containers, f)
}

// begins refuses a document whose content is something else.
func (r *reader) begins() error {
	in, err := r.archive.Reader(content)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	return xmltree.Begins(in, r.limits.Depth, "document-content")
}

// encrypted refuses a document under a password: its manifest says how its parts were encrypted.
func (r *reader) encrypted() error {
	const manifest = "META-INF/manifest.xml"
	if !r.archive.Has(manifest) {
		return nil
	}
	in, err := r.archive.Reader(manifest)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	s := xmltree.NewScanner(in, r.limits.Depth)
	for {
		t, err := s.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if e, ok := t.(xml.StartElement); ok && (e.Name.Local == "encryption-data" || e.Name.Local == "encrypted-key") {
			return formats.Encrypted()
		}
	}
}

// slide puts a slide: its title first, then what is on it from top to bottom, then what the speaker noted.
func (r *reader) slide(n *xmltree.Node) {
	r.out.Part(n.Attr("name"), r.styles[n.Attr("style-name")].hidden)
	for _, f := range n.All("forms") {
		r.forms(f, 0)
	}
	shapes := shapesOf(n, 0)
	order(shapes)
	for _, s := range shapes {
		switch class := s.node.In("presentation:1.0", "class"); {
		case class == "title":
			text := flow.Lines(r.inCell(s.node))
			text.String = strings.ReplaceAll(text.String, "\n", " ")
			r.out.Heading(1, text)
		case class == "footer", class == "date-time", class == "page-number":
			r.out.Footer(flow.Lines(r.inCell(s.node)))
		case class == "header":
			r.out.Header(flow.Lines(r.inCell(s.node)))
		default:
			r.block(s.node)
		}
	}
	for _, f := range n.Child("notes").All("frame") {
		if f.In("presentation:1.0", "class") == "notes" {
			r.out.Note("", flow.Lines(r.inCell(f)))
		}
	}
}
