package text

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/xmltree"
	"docstream/schemas"
)

// The media types of [Structured].
const (
	JSON = "application/json"
	XML  = "application/xml"
)

// Structured is text that a program wrote for another: it is kept as it is, line by line. XML is not parsed: nothing in it is expanded
// or fetched.
type Structured struct{}

// NewStructured returns the format.
func NewStructured() Structured { return Structured{} }

// Claims reports whether the media type is one of the two.
func (Structured) Claims(media string) bool { return media == JSON || media == XML }

// Open reads the text whole.
func (Structured) Open(f *os.File, size int64, media string, l formats.Limits) (formats.Document, error) {
	if size == 0 {
		return nil, fault.Document(schemas.DocumentEmpty, "%s", schemas.Codes[schemas.DocumentEmpty].Meaning)
	}
	b, err := flow.ReadAll(f, size, l.Text)
	if err != nil {
		return nil, err
	}
	if err := entities(media, b); err != nil {
		return nil, err
	}
	out := flow.New(l)
	out.Code(strings.TrimRight(clean(said(media, b)), " \n"))
	return out.Words()
}

// entities refuses XML that declares entities of its own: what is shown would not be what its writer meant, and nothing here expands them.
func entities(media string, b []byte) error {
	if media != XML {
		return nil
	}
	return xmltree.CheckProlog(bytes.NewReader(b))
}

var declares = regexp.MustCompile(`^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._:-]+)["']`)

// said is the text in the charset that XML declares; where it declares none, or lies, as it looks.
func said(media string, b []byte) string {
	m := declares.FindSubmatch(b[:min(len(b), 512)])
	if media != XML || m == nil || utf8.Valid(b) {
		return Decode(b)
	}
	e, err := htmlindex.Get(string(m[1]))
	if err != nil {
		return Decode(b)
	}
	out, err := e.NewDecoder().Bytes(b)
	if err != nil || bytes.Contains(out, []byte("\uFFFD")) {
		return Decode(b)
	}
	return string(out)
}
