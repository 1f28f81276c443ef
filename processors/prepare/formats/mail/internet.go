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
	l = &letter{subject: e.GetHeader("Subject"), pictures: map[string][]byte{}}
	for _, name := range []string{"From", "To", "Cc", "Date"} {
		l.fields = append(l.fields, [2]string{name, e.GetHeader(name)})
	}
	c := collector{letter: l}
	c.part(e.Root, 0)
	c.pictures()
	return l, nil
}

// collector takes a message apart: what is its text, what the text shows, what is attached.
type collector struct {
	letter *letter
	shown  []*enmime.Part // pictures that the text may show
}

// part takes a part apart. Of alternatives one is read: the last that is a page or, where none is, the last that is text.
func (c *collector) part(p *enmime.Part, depth int) {
	if p == nil || depth > maxBoundaries {
		return
	}
	switch kind := strings.ToLower(p.ContentType); {
	case kind == "multipart/alternative":
		best := (*enmime.Part)(nil)
		for _, t := range []string{"text/html", "text/plain"} {
			for q := p.FirstChild; q != nil && best == nil; q = q.NextSibling {
				if holds(q, t, depth+1) {
					best = q
				}
			}
		}
		for q := p.FirstChild; q != nil; q = q.NextSibling {
			if q == best || !holds(q, "text/html", depth+1) && !holds(q, "text/plain", depth+1) {
				c.part(q, depth+1)
			}
		}
	case strings.HasPrefix(kind, "multipart/"):
		for q := p.FirstChild; q != nil; q = q.NextSibling {
			c.part(q, depth+1)
		}
	case isBody(p) && kind == "text/html":
		c.letter.body = append(c.letter.body, piece{string(p.Content), page})
	case isBody(p) && kind != MediaType:
		c.letter.body = append(c.letter.body, piece{string(p.Content), plain})
	case strings.HasPrefix(kind, "image/") && (p.ContentID != "" || p.Disposition == "inline"):
		c.shown = append(c.shown, p)
	default:
		c.enclose(p)
	}
}

// isBody reports whether a part is text that is read where it stands.
func isBody(p *enmime.Part) bool {
	switch kind := strings.ToLower(p.ContentType); kind {
	case "text/html", "text/plain", "text/enriched", "":
		return p.Disposition != "attachment" && p.FileName == ""
	}
	return false
}

// holds reports whether a part is text of a kind, or holds such a text.
func holds(p *enmime.Part, kind string, depth int) bool {
	if strings.EqualFold(p.ContentType, kind) && isBody(p) {
		return true
	}
	for q := p.FirstChild; q != nil && depth < maxBoundaries; q = q.NextSibling {
		if holds(q, kind, depth+1) {
			return true
		}
	}
	return false
}

func (c *collector) enclose(p *enmime.Part) {
	i := len(c.letter.enclosed)
	name := fileName(p.FileName, i)
	if p.FileName == "" && p.ContentType == MediaType {
		name += ".eml"
	}
	c.letter.enclosed = append(c.letter.enclosed, enclosure{name: name, media: p.ContentType, body: p.Content})
}

// pictures are part of the text where it shows them, and attached where it does not.
func (c *collector) pictures() {
	names := c.letter.shows()
	for _, p := range c.shown {
		if id := strings.Trim(p.ContentID, "<>"); names[id] {
			c.letter.pictures[id] = p.Content
		} else {
			c.enclose(p)
		}
	}
}
