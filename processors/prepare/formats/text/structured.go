package text

import (
	"bytes"
	"os"
	"strings"

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
	out.Code(strings.TrimRight(clean(Decode(b)), " \n"))
	return out.Words()
}

// entities refuses XML that declares entities of its own: what is shown would not be what its writer meant, and nothing here expands them.
func entities(media string, b []byte) error {
	if media != XML {
		return nil
	}
	return xmltree.CheckProlog(bytes.NewReader(b))
}
