// Package mail reads messages, as the internet and as Outlook keep them. The first page is the letter: its subject as a heading, who wrote
// to whom and when, its text, and what is attached. Attachments follow as pages of their own, read by the formats they are of.
//
// An attachment that nobody reads is named; one that is damaged or locked is a page that fails, and the letter is not.
package mail

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/html"
	"docstream/processors/prepare/formats/rtf"
	"docstream/schemas"
)

// Opener opens a file as whatever it is.
type Opener func(f *os.File, size int64, declared, name string, l formats.Limits) (formats.Document, error)

// letter is a message that was read.
type letter struct {
	subject  string
	fields   [][2]string // name and value, in the order they are shown
	body     []piece
	pictures map[string][]byte // that the text shows, by the names it has for them
	enclosed []enclosure
}

// piece is a part of the text.
type piece struct {
	text string
	kind int
}

// How a piece of the text is written.
const (
	plain = iota
	page
	rich
)

// enclosure is one thing attached.
type enclosure struct {
	name, media string
	body        []byte
	letter      *letter // instead of a body
}

// doc is an open message.
type doc struct {
	letter *letter
	open   Opener
	limits formats.Limits
	inside []part // in order
	pages  int

	at      int // of inside, the one that is open; -1: none
	current formats.Document
	file    *os.File
}

// part is an attachment that has pages.
type part struct {
	of    int // of the letter's enclosures
	first int // its first page
	pages int
	err   error // why it cannot be read; it is one page then
}

// document opens every attachment once to count its pages.
func document(l *letter, open Opener, limits formats.Limits) (formats.Document, error) {
	d := &doc{letter: l, open: open, limits: limits, pages: 1, at: -1}
	if err := limits.CheckPages(1); err != nil {
		return nil, err
	}
	for i := range l.enclosed {
		if len(d.inside) == limits.Attachments {
			break
		}
		p := part{of: i, first: d.pages + 1, pages: 1}
		err := d.load(i)
		switch {
		case err == nil:
			p.pages = d.current.Pages()
		case fault.KindOf(err) != fault.Permanent:
			d.Close()
			return nil, err
		case unread(err):
			continue
		default:
			p.err = err
		}
		d.pages += p.pages
		if err := limits.CheckPages(d.pages); err != nil {
			d.Close()
			return nil, err
		}
		d.inside = append(d.inside, p)
	}
	d.Close()
	return d, nil
}

// unread reports whether an attachment is merely of a kind that nobody reads here, or empty.
func unread(err error) bool {
	switch fault.Of(err).Code {
	case schemas.DocumentUnsupported, schemas.DocumentEmpty, schemas.ConverterMissing:
		return true
	}
	return false
}

// load opens an attachment in place of the one that is open.
func (d *doc) load(i int) error {
	d.Close()
	e, l := d.letter.enclosed[i], d.limits
	if l.Letters--; l.Letters < 0 && (e.letter != nil || isLetter(e.media)) {
		return formats.Unsupported("more letters within letters than the limit allows")
	}
	l.Pages = max(1, d.limits.Pages-1)
	if e.letter != nil {
		var err error
		d.current, err = document(e.letter, d.open, l)
		return err
	}
	f, err := spool(e.body)
	if err != nil {
		return err
	}
	d.file = f
	if d.current, err = d.open(f, int64(len(e.body)), e.media, e.name, l); err != nil {
		d.Close()
	}
	return err
}

func isLetter(media string) bool { return media == MediaType || media == OutlookType }

// spool puts an attachment into a file without a name.
func spool(b []byte) (*os.File, error) {
	f, err := os.CreateTemp("", "docstream-part-")
	if err == nil {
		_ = os.Remove(f.Name())
		if _, err = f.Write(b); err == nil {
			return f, nil
		}
		_ = f.Close()
	}
	return nil, fault.World(schemas.ServiceUnavailable, "%s", schemas.Codes[schemas.ServiceUnavailable].Meaning).Because(err)
}

// Pages counts the letter and the pages of what is attached.
func (d *doc) Pages() int { return d.pages }

// Close closes the attachment that is open.
func (d *doc) Close() {
	if d.current != nil {
		d.current.Close()
	}
	if d.file != nil {
		_ = d.file.Close()
	}
	d.current, d.file, d.at = nil, nil, -1
}

// Read reads the letter, or a page of an attachment.
func (d *doc) Read(n int, w formats.Want) (formats.Page, error) {
	if n == 1 {
		return d.cover(w)
	}
	for i, p := range d.inside {
		if n < p.first || n >= p.first+p.pages {
			continue
		}
		if p.err != nil {
			return formats.Page{}, p.err
		}
		if d.at != i || d.current == nil {
			if err := d.load(p.of); err != nil {
				return formats.Page{}, err
			}
			d.at = i
		}
		page, err := d.current.Read(n-p.first+1, w)
		if err != nil {
			return formats.Page{}, err
		}
		if page.Text != nil {
			own := *page.Text
			own.Number = n
			if name := d.letter.enclosed[p.of].name; own.Title == "" {
				own.Title = name
			}
			page.Text = &own
		}
		return page, nil
	}
	return formats.Page{}, errors.New("no such page")
}

// cover writes the letter itself.
func (d *doc) cover(w formats.Want) (formats.Page, error) {
	out := flow.New(formats.Limits{Pages: 1 << 30})
	out.Heading(1, flow.Plain(d.letter.subject))
	var head flow.Words
	for _, f := range d.letter.fields {
		if value := strings.Join(strings.Fields(f[1]), " "); value != "" {
			if head.Size() > 0 {
				head.Break()
			}
			head.Add(f[0]+": "+value, flow.Look{})
		}
	}
	out.Paragraph(head.Text())
	if err := d.body(out); err != nil {
		return formats.Page{}, err
	}
	for _, e := range d.letter.enclosed {
		name := e.name
		if e.letter != nil {
			name = e.letter.subject
		}
		out.Item(1, "•", flow.Plain("Attachment: "+name))
	}
	return flow.Single(out, 1, w, d.limits)
}

// body writes the text, piece after piece.
func (d *doc) body(out *flow.Builder) error {
	for _, p := range d.letter.body {
		switch p.kind {
		case page:
			root, err := html.Parse(strings.NewReader(p.text))
			if err != nil {
				return err
			}
			html.WriteWith(out, root, d.shown)
		case rich:
			_ = rtf.Write(out, []byte(p.text), d.limits.Depth) // what is there of a damaged text is more than nothing
			if err := out.Err(); err != nil {
				return err
			}
		default:
			for p := range strings.SplitSeq(strings.ReplaceAll(p.text, "\r\n", "\n"), "\n\n") {
				out.Paragraph(flow.Plain(p))
			}
		}
	}
	return nil
}

// named are the names in a page of what was sent with it.
var named = regexp.MustCompile(`cid:([^"'\s<>()]+)`)

// maxNamed bounds them.
const maxNamed = 10_000

// shows are the names of what the text shows.
func (l *letter) shows() map[string]bool {
	out := map[string]bool{}
	for _, b := range l.body {
		if b.kind != page {
			continue
		}
		for _, m := range named.FindAllStringSubmatch(b.text, maxNamed) {
			name := m[1]
			if u, err := url.PathUnescape(name); err == nil {
				name = u
			}
			out[name] = true
		}
	}
	return out
}

// shown finds a picture that the text shows.
func (d *doc) shown(src string) flow.Load {
	name, ok := strings.CutPrefix(src, "cid:")
	if u, err := url.PathUnescape(name); err == nil {
		name = u
	}
	b := d.letter.pictures[name]
	if !ok || b == nil {
		return nil
	}
	return func() ([]byte, error) { return b, nil }
}

// fileName is what an attachment without a name is called.
func fileName(name string, i int) string {
	if name = strings.TrimSpace(name); name != "" {
		return name
	}
	return fmt.Sprintf("part %d", i+1)
}
