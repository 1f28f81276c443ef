package mail

import (
	"bytes"
	"os"
	"strings"

	"github.com/jhillyerd/enmime/v2"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/flow"
	"docstream/schemas"
)

// MediaType is what [Internet] claims.
const MediaType = "message/rfc822"

const (
	maxMessage    = 128 << 20 // bytes: a message is held in memory
	maxBoundaries = 200       // parts that hold parts
)

// Internet is the format in which the internet moves messages.
type Internet struct{ open Opener }

// NewInternet returns the format.
func NewInternet(open Opener) Internet { return Internet{open} }

// Claims reports whether the media type is the format's.
func (Internet) Claims(media string) bool { return media == MediaType }

// Open reads the message whole and counts the pages of what is attached.
func (m Internet) Open(f *os.File, size int64, _ string, l formats.Limits) (formats.Document, error) {
	if size == 0 {
		return nil, fault.Document(schemas.DocumentEmpty, "%s", schemas.Codes[schemas.DocumentEmpty].Meaning)
	}
	if size > maxMessage {
		return nil, formats.TooLarge("a message of %d bytes", size)
	}
	raw, err := flow.ReadAll(f, size, maxMessage)
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(bytes.ToLower(raw[:min(len(raw), 16<<20)]), []byte("boundary=")); n > maxBoundaries {
		return nil, formats.TooDeep(maxBoundaries)
	}
	letter, err := parse(raw)
	if err != nil {
		return nil, err
	}
	return document(letter, m.open, l)
}

// parse reads a message. The library reads on over what is malformed; damage that makes it panic is damage.
func parse(raw []byte) (l *letter, err error) {
	defer func() {
		if recover() != nil {
			err = fault.Document(schemas.DocumentCorrupt, "%s", schemas.Codes[schemas.DocumentCorrupt].Meaning)
		}
	}()
	e, err := enmime.NewParser(enmime.SkipMalformedParts(true), enmime.DisableTextConversion(true), enmime.MaxStoredPartErrors(10)).ReadEnvelope(bytes.NewReader(raw))
	if err != nil {
		return nil, formats.Corrupt(err)
	}
	l = &letter{subject: e.GetHeader("Subject"), text: e.Text, html: e.HTML}
	for _, name := range []string{"From", "To", "Cc", "Date"} {
		l.fields = append(l.fields, [2]string{name, e.GetHeader(name)})
	}
	parts := append(append([]*enmime.Part{}, e.Attachments...), e.OtherParts...)
	for _, p := range e.Inlines {
		if !strings.HasPrefix(p.ContentType, "image/") { // pictures within the text are part of it
			parts = append(parts, p)
		}
	}
	for i, p := range parts {
		name := fileName(p.FileName, i)
		if p.FileName == "" && p.ContentType == MediaType {
			name = fileName("", i) + ".eml"
		}
		l.enclosed = append(l.enclosed, enclosure{name: name, media: p.ContentType, body: p.Content})
	}
	return l, nil
}
