// Package text reads plain text and Markdown as one page: UTF-8, UTF-16 with a byte order mark, or Latin-1.
//
// Paragraphs end at blank lines; headings, lists and code fences of Markdown are kept as such. A text has no places: its lines lie on a
// page of one point for each character across and down, so that boxes still say what comes after what.
package text

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/schemas"
	"docstream/schemas/document"
)

// The media types of the format.
const (
	Plain    = "text/plain"
	Markdown = "text/markdown"
)

// Format is plain text and Markdown.
type Format struct{}

// New returns the format.
func New() Format { return Format{} }

// Claims reports whether the media type is one of the two.
func (Format) Claims(media string) bool { return media == Plain || media == Markdown }

// Open checks the size; the text is read with its page.
func (Format) Open(f *os.File, size int64, media string, l formats.Limits) (formats.Document, error) {
	if size > l.Text {
		return nil, fault.Document(schemas.PageTooLarge, "The text has %d bytes; the limit is %d.", size, l.Text)
	}
	if size == 0 {
		return nil, fault.Document(schemas.DocumentEmpty, "%s", schemas.Codes[schemas.DocumentEmpty].Meaning)
	}
	return &doc{file: f, size: size, markdown: media == Markdown}, nil
}

type doc struct {
	file     *os.File
	size     int64
	markdown bool
}

// Pages is always 1.
func (d *doc) Pages() int { return 1 }

// Close has nothing to free.
func (d *doc) Close() {}

// Read returns the text whatever the OCR option says: there is no picture to recognise.
func (d *doc) Read(n int, _ formats.Want) (formats.Page, error) {
	b := make([]byte, d.size)
	if _, err := io.ReadFull(io.NewSectionReader(d.file, 0, d.size), b); err != nil {
		return formats.Page{}, formats.Corrupt(err)
	}
	lines := strings.Split(clean(Decode(b)), "\n")
	wide := 1
	for _, l := range lines {
		wide = max(wide, utf8.RuneCountInString(l))
	}
	p := formats.Empty(n, float64(wide), float64(max(1, len(lines))))
	for _, c := range chunks(lines, d.markdown) {
		p.Blocks = append(p.Blocks, c.block())
	}
	return formats.Page{Text: p}, nil
}

// clean makes line ends one kind and drops what cannot be shown.
func clean(s string) string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\f", "\n\n").Replace(s)
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\t' || r == 0x7f || r == '\uFEFF' {
			return -1
		}
		return r
	}, s)
}

// chunk is lines that become one block.
type chunk struct {
	kind  string
	level int
	first int // line number from 0
	lines []string
}

// chunks cuts a text at blank lines and, in Markdown, at headings, items and fences.
func chunks(lines []string, markdown bool) []chunk {
	var out []chunk
	var open *chunk
	fence := ""
	for i, l := range lines {
		if fence != "" {
			if strings.HasPrefix(strings.TrimSpace(l), fence) {
				open, fence = nil, ""
			} else {
				open.lines = append(open.lines, l)
			}
			continue
		}
		bare := strings.TrimSpace(l)
		if bare == "" {
			open = nil
			continue
		}
		c := chunk{kind: document.Paragraph, first: i, lines: []string{bare}}
		starts := false
		if markdown {
			c, starts = marked(c, l)
			if c.kind == document.Code {
				fence, c.lines = bare[:3], nil
			}
		}
		if open == nil || starts || open.kind == document.Heading {
			out = append(out, c)
			open = &out[len(out)-1]
			continue
		}
		open.lines = append(open.lines, bare)
	}
	return out
}

// marked recognises the Markdown that a line begins with.
func marked(c chunk, line string) (chunk, bool) {
	bare := c.lines[0]
	if n := len(bare) - len(strings.TrimLeft(bare, "#")); n >= 1 && n <= 6 && (len(bare) == n || bare[n] == ' ') {
		c.kind, c.level, c.lines = document.Heading, n, []string{strings.TrimSpace(strings.TrimRight(bare[n:], "# "))}
		return c, true
	}
	if strings.HasPrefix(bare, "```") || strings.HasPrefix(bare, "~~~") {
		c.kind = document.Code
		return c, true
	}
	rest := strings.TrimLeft(bare, "0123456789")
	bullet := strings.HasPrefix(bare, "- ") || strings.HasPrefix(bare, "* ") || strings.HasPrefix(bare, "+ ")
	number := len(rest) < len(bare) && len(bare)-len(rest) <= 3 && (strings.HasPrefix(rest, ". ") || strings.HasPrefix(rest, ") "))
	if bullet || number {
		indent := len(line) - len(strings.TrimLeft(strings.ReplaceAll(line, "\t", "    "), " "))
		c.kind, c.level = document.ListItem, 1+max(0, indent)/2
		return c, true
	}
	return c, false
}

func (c chunk) block() document.Block {
	b := document.Block{Kind: c.kind, Level: c.level, Confidence: 1, Text: strings.Join(c.lines, " ")}
	if c.kind == document.Code {
		b.Text = strings.Join(c.lines, "\n")
	}
	wide := 0
	for i, l := range c.lines {
		n := utf8.RuneCountInString(l)
		wide = max(wide, n)
		y := float64(c.first + i)
		b.Lines = append(b.Lines, document.Line{Text: l, Box: document.NewBox(0, y, float64(n), y+1), Confidence: 1})
	}
	b.Box = document.NewBox(0, float64(c.first), float64(wide), float64(c.first+len(c.lines)))
	return b
}
