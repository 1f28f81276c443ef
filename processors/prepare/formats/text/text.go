// Package text reads plain text as one page, in whatever charset, and text that programs write for one another as it is.
//
// Paragraphs end at blank lines. A text has no places: its lines lie on a
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

// Plain is the media type of plain text.
const Plain = "text/plain"

// Format is plain text.
type Format struct{}

// New returns the format.
func New() Format { return Format{} }

// Claims reports whether the media type is plain text.
func (Format) Claims(media string) bool { return media == Plain }

// Open checks the size; the text is read with its page.
func (Format) Open(f *os.File, size int64, _ string, l formats.Limits) (formats.Document, error) {
	if size > l.Text {
		return nil, fault.Document(schemas.PageTooLarge, "The text has %d bytes; the limit is %d.", size, l.Text)
	}
	if size == 0 {
		return nil, fault.Document(schemas.DocumentEmpty, "%s", schemas.Codes[schemas.DocumentEmpty].Meaning)
	}
	return &doc{file: f, size: size}, nil
}

type doc struct {
	file *os.File
	size int64
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
	for _, c := range chunks(lines) {
		p.Blocks = append(p.Blocks, c.block())
	}
	if len(p.Blocks) == 0 {
		return formats.Page{}, formats.NoWords()
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

// chunk is lines that become one paragraph.
type chunk struct {
	first int // line number from 0
	lines []string
}

// chunks cuts a text at blank lines.
func chunks(lines []string) []chunk {
	var out []chunk
	open := false
	for i, l := range lines {
		bare := strings.TrimSpace(l)
		switch {
		case bare == "":
			open = false
		case open:
			last := &out[len(out)-1]
			last.lines = append(last.lines, bare)
		default:
			out = append(out, chunk{first: i, lines: []string{bare}})
			open = true
		}
	}
	return out
}

func (c chunk) block() document.Block {
	b := document.Block{Kind: document.Paragraph, Confidence: 1, Text: strings.Join(c.lines, " ")}
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
