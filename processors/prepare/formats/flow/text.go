package flow

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"docstream/schemas/document"
)

// Look is what is said of a piece of text.
type Look struct {
	Strong, Emphasis, Code bool
	Link                   string // address
	Note                   string // label of the note that the piece refers to
}

// Text is a finished text with its spans.
type Text struct {
	String string
	Spans  []document.Span
}

// Plain is a text of which nothing is said; white space around it is left out.
func Plain(s string) Text { return Text{String: strings.TrimSpace(clean(s))} }

// after puts a prefix before a text.
func (t Text) after(prefix string) Text {
	shift := utf8.RuneCountInString(prefix)
	out := Text{String: prefix + t.String, Spans: slices.Clone(t.Spans)}
	for i := range out.Spans {
		out.Spans[i].Start += shift
		out.Spans[i].End += shift
	}
	return out
}

// Prefixed puts a marker before a text; no marker leaves it as it is.
func Prefixed(marker string, t Text) Text {
	if marker = strings.TrimSpace(marker); marker == "" || t.String == "" {
		return t
	}
	return t.after(marker + " ")
}

// plain drops what a heading says by being one.
func (t Text) plain() Text {
	t.Spans = slices.DeleteFunc(slices.Clone(t.Spans), func(s document.Span) bool { return s.Kind == document.Strong || s.Kind == document.Emphasis })
	return t
}

// Words collects a text piece by piece.
type Words struct {
	// Collapse makes runs of white space one space, as HTML does; else they stay.
	Collapse bool
	pieces   []piece
	size     int
}

type piece struct {
	text string
	look Look
}

// Add appends a piece.
func (w *Words) Add(s string, l Look) {
	if s = clean(s); s == "" {
		return
	}
	if w.Collapse {
		s = collapse(s, w.endsBlank())
		if s == "" {
			return
		}
	}
	w.append(s, l)
}

func (w *Words) append(s string, l Look) {
	w.size += len(s)
	if n := len(w.pieces); n > 0 && w.pieces[n-1].look == l && len(w.pieces[n-1].text) < 4096 {
		w.pieces[n-1].text += s
		return
	}
	w.pieces = append(w.pieces, piece{s, l})
}

// Break appends a line break of the document.
func (w *Words) Break() {
	if w.Collapse && len(w.pieces) > 0 {
		last := &w.pieces[len(w.pieces)-1]
		last.text = strings.TrimRight(last.text, " ")
	}
	w.append("\n", Look{})
}

// Size is the number of bytes so far.
func (w *Words) Size() int { return w.size }

func (w *Words) endsBlank() bool {
	if len(w.pieces) == 0 {
		return true
	}
	last := w.pieces[len(w.pieces)-1].text
	return last == "" || last[len(last)-1] == ' ' || last[len(last)-1] == '\n'
}

// Text returns the text without white space around it, and forgets it.
func (w *Words) Text() Text {
	pieces := w.pieces
	w.pieces, w.size = nil, 0
	for len(pieces) > 0 {
		if pieces[0].text = strings.TrimLeftFunc(pieces[0].text, unicode.IsSpace); pieces[0].text != "" {
			break
		}
		pieces = pieces[1:]
	}
	for n := len(pieces); n > 0; n = len(pieces) {
		if pieces[n-1].text = strings.TrimRightFunc(pieces[n-1].text, unicode.IsSpace); pieces[n-1].text != "" {
			break
		}
		pieces = pieces[:n-1]
	}
	var b strings.Builder
	starts := make([]int, 0, len(pieces)+1)
	at := 0
	for _, p := range pieces {
		starts = append(starts, at)
		at += utf8.RuneCountInString(p.text)
		b.WriteString(p.text)
	}
	return Text{b.String(), spans(pieces, append(starts, at))}
}

// aspects are the kinds of spans, outermost first, with what a look says of each: whether, and of what.
var aspects = []struct {
	kind string
	of   func(Look) (bool, string)
}{
	{document.Link, func(l Look) (bool, string) { return document.Linkable(l.Link), l.Link }},
	{document.NoteRef, func(l Look) (bool, string) { return l.Note != "", l.Note }},
	{document.Strong, func(l Look) (bool, string) { return l.Strong, "" }},
	{document.Emphasis, func(l Look) (bool, string) { return l.Emphasis, "" }},
	{document.CodeSpan, func(l Look) (bool, string) { return l.Code, "" }},
}

// spans joins neighbouring pieces that have an aspect in common; white space at the edges of a span is left out of it.
func spans(pieces []piece, starts []int) []document.Span {
	var out []document.Span
	for _, a := range aspects {
		for i := 0; i < len(pieces); i++ {
			ok, target := a.of(pieces[i].look)
			if !ok {
				continue
			}
			j := i + 1
			for ; j < len(pieces); j++ {
				if also, same := a.of(pieces[j].look); !also || same != target {
					break
				}
			}
			start := starts[i] + blanks(pieces[i].text, false)
			end := starts[j] - blanks(pieces[j-1].text, true)
			if start < end {
				out = append(out, document.Span{Start: start, End: end, Kind: a.kind, Target: target})
			}
			i = j - 1
		}
	}
	slices.SortStableFunc(out, func(x, y document.Span) int { return x.Start - y.Start })
	return out
}

// blanks counts the white space at one end of a text.
func blanks(s string, end bool) int {
	if end {
		return utf8.RuneCountInString(s) - utf8.RuneCountInString(strings.TrimRightFunc(s, unicode.IsSpace))
	}
	return utf8.RuneCountInString(s) - utf8.RuneCountInString(strings.TrimLeftFunc(s, unicode.IsSpace))
}

// clean drops what cannot be shown and what only guides a printer.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r':
			return '\n'
		case r == '\u00ad', r == '\u200b', r == '\ufeff', r == '\u2060', r < 0x20, r == 0x7f, r == utf8.RuneError:
			return -1
		case r == '\u00a0', r == '\u202f':
			return ' '
		}
		return r
	}, strings.ReplaceAll(s, "\r\n", "\n"))
}

// collapse makes runs of white space one space; after white space there is none at the start.
func collapse(s string, blank bool) string {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		if unicode.IsSpace(r) {
			if !blank {
				b.WriteByte(' ')
			}
			blank = true
			continue
		}
		b.WriteRune(r)
		blank = false
	}
	return b.String()
}
