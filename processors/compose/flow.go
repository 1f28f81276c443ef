package compose

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"docstream/schemas/document"
)

// flow holds a paragraph back until it is known whether it goes on, with the notes and figures that stand between its parts.
type flow struct {
	held  []document.Block
	write func(document.Block)
}

// mostHeld bounds a paragraph that goes on from page to page, in bytes.
const mostHeld = 64 << 10

func (f *flow) block(b document.Block) {
	if len(f.held) > 0 {
		if b.Continues && len(f.held[0].Text) < mostHeld {
			f.held[0] = continued(f.held[0], b)
			return
		}
		if (b.Kind == document.Note || b.Kind == document.Figure) && len(f.held) < 100 {
			f.held = append(f.held, b)
			return
		}
	}
	f.flush()
	if b.Kind == document.Paragraph || b.Kind == document.ListItem {
		f.held = append(f.held, b)
		return
	}
	f.write(b)
}

func (f *flow) flush() {
	for _, b := range f.held {
		f.write(b)
	}
	f.held = f.held[:0]
}

// continued is a paragraph with the one that continues it; a word cut by a hyphen is put together again.
func continued(a, b document.Block) document.Block {
	drop, between := document.Seam(a.Text, b.Text)
	a.Text = a.Text[:len(a.Text)-drop] + between
	at := utf8.RuneCountInString(a.Text)
	a.Spans = slices.Clone(a.Spans)
	for _, s := range b.Spans {
		s.Start, s.End = s.Start+at, s.End+at
		a.Spans = append(a.Spans, s)
	}
	a.Text += b.Text
	return a
}

// unended reports whether a block of lines on a page ends in the middle of a sentence. What flows has no lines: its paragraphs are whole.
func unended(b document.Block) bool {
	if b.Kind != document.Paragraph && b.Kind != document.ListItem || len(b.Lines) == 0 {
		return false
	}
	r, _ := utf8.DecodeLastRuneInString(strings.TrimRight(b.Text, `"'”’)»] `))
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-,–—", r)
}

// continues reports whether a block can go on with a sentence of the page before: it begins with a small letter.
func continues(b document.Block) bool {
	r, _ := utf8.DecodeRuneInString(b.Text)
	return b.Kind == document.Paragraph && len(b.Lines) > 0 && unicode.IsLower(r)
}
