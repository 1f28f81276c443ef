package compose

import (
	"html"
	"slices"
	"strings"
	"unicode/utf8"

	"docstream/schemas/document"
)

// stretch is a piece of text of which the same is said throughout: by place in order, the target or "" of each kind.
type stretch struct {
	text string
	said [5]string
}

// order is how spans nest, outermost first.
var order = []string{document.Link, document.NoteRef, document.Strong, document.Emphasis, document.CodeSpan}

// stretches cuts a text where what its spans say of it changes. Spans outside the text are left out.
func stretches(text string, spans []document.Span) []stretch {
	if len(spans) == 0 {
		return []stretch{{text: text}}
	}
	runes := []rune(text)
	cuts := map[int]bool{len(runes): true}
	for _, s := range spans {
		cuts[min(max(s.Start, 0), len(runes))], cuts[min(max(s.End, 0), len(runes))] = true, true
	}
	var out []stretch
	from, next := 0, 0
	var open []document.Span
	for i := 0; i <= len(runes); i++ {
		if !cuts[i] {
			continue
		}
		if i > from {
			for ; next < len(spans) && spans[next].Start <= from; next++ {
				open = append(open, spans[next])
			}
			kept := open[:0]
			var said [5]string
			for _, s := range open {
				if s.End <= from {
					continue
				}
				kept = append(kept, s)
				for k, kind := range order {
					if s.Kind == kind && s.Start <= from {
						said[k] = says(s)
					}
				}
			}
			open = kept
			out = append(out, stretch{string(runes[from:i]), said})
			from = i
		}
	}
	return out
}

// says is what a span says: its target where the kind has one.
func says(s document.Span) string {
	switch s.Kind {
	case document.Link:
		if !document.Linkable(s.Target) {
			return ""
		}
		return s.Target
	case document.NoteRef:
		return s.Target
	}
	return "yes"
}

// dialect is how a format marks what is said.
type dialect struct {
	escape      func(s string, code bool) string
	open, close func(kind, target string) string
	note        func(label string) string // in place of the text that refers to a note
}

// write renders a text. Marks are properly nested: where an outer one ends, the inner ones end with it and begin again.
func (d dialect) write(text string, spans []document.Span) string {
	var b strings.Builder
	var now [5]string
	turn := func(to [5]string) {
		same := 0
		for same < len(order) && now[same] == to[same] {
			same++
		}
		for k := len(order) - 1; k >= same; k-- {
			if now[k] != "" {
				b.WriteString(d.close(order[k], now[k]))
			}
		}
		for k := same; k < len(order); k++ {
			if to[k] != "" {
				b.WriteString(d.open(order[k], to[k]))
			}
		}
		now = to
	}
	for _, s := range stretches(text, spans) {
		if label := s.said[1]; label != "" {
			turn([5]string{})
			b.WriteString(d.note(label))
			continue
		}
		turn(s.said)
		b.WriteString(d.escape(s.text, s.said[4] != ""))
	}
	turn([5]string{})
	return b.String()
}

// marked renders a text as Markdown on one line; line breaks of the document become what is given for them.
func marked(text string, spans []document.Span, lineBreak string) string {
	return dialect{
		escape: func(s string, code bool) string {
			if code {
				return oneLineKept(s, " ")
			}
			return inline(oneLineKept(s, lineBreak))
		},
		open: func(kind, _ string) string { return opening[kind] },
		close: func(kind, target string) string {
			if kind == document.Link {
				return "](" + address.Replace(target) + ")"
			}
			return opening[kind]
		},
		note: func(l string) string { return "[^" + label(l) + "]" },
	}.write(tidy(text, spans), unsaid(text, spans))
}

// unsaid leaves out links whose text is their address: readers of Markdown find those themselves.
func unsaid(text string, spans []document.Span) []document.Span {
	says := func(s document.Span) bool {
		if s.Kind != document.Link {
			return false
		}
		runes := []rune(text)
		shown := strings.Join(strings.Fields(string(runes[min(max(s.Start, 0), len(runes)):min(max(s.Start, s.End, 0), len(runes))])), "")
		_, bare, _ := strings.Cut(s.Target, ":")
		shown, bare = strings.Trim(shown, ".,;:()[]<>/"), strings.Trim(bare, "/")
		return shown != "" && (strings.Trim(s.Target, "/") == shown || bare == shown || strings.TrimPrefix(bare, "www.") == shown)
	}
	if !slices.ContainsFunc(spans, says) {
		return spans
	}
	return slices.DeleteFunc(slices.Clone(spans), says)
}

// opening is how Markdown begins, and where it is no link also ends, a mark.
var opening = map[string]string{document.Link: "[", document.Strong: "**", document.Emphasis: "*", document.CodeSpan: "`"}

// address writes what would end the address of a link.
var address = strings.NewReplacer(" ", "%20", "(", "%28", ")", "%29", "<", "%3C", ">", "%3E", "\n", "", "\\", "%5C", "|", "%7C")

// label drops what would end the label of a note.
func label(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("[]^ \n\t`*|<>", r) {
			return -1
		}
		return r
	}, s)
}

// tidy makes the white space of a text without spans one space each; with spans a text is as it should be, and every character counts.
func tidy(s string, spans []document.Span) string {
	if len(spans) > 0 {
		return s
	}
	lines := strings.Split(s, "\n")
	kept := lines[:0]
	for _, l := range lines {
		if l = oneLine(l); l != "" {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "\n")
}

// oneLineKept writes line breaks as something else, and tabs as spaces.
func oneLineKept(s, lineBreak string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\t", " "), "\n", lineBreak)
}

// tagged renders a text as HTML.
func tagged(text string, spans []document.Span) string {
	return dialect{
		escape: func(s string, _ bool) string {
			return strings.ReplaceAll(html.EscapeString(s), "\n", "<br>")
		},
		open: func(kind, target string) string {
			if kind == document.Link {
				return `<a href="` + html.EscapeString(target) + `">`
			}
			return "<" + tags[kind] + ">"
		},
		close: func(kind, _ string) string { return "</" + tags[kind] + ">" },
		note:  func(l string) string { return "<sup>[" + html.EscapeString(l) + "]</sup>" },
	}.write(tidy(text, spans), spans)
}

var tags = map[string]string{document.Link: "a", document.Strong: "strong", document.Emphasis: "em", document.CodeSpan: "code"}

// listed splits an item of a list into the marker Markdown knows, the rest of its text, and the spans of the rest.
func listed(b document.Block) (marker, text string, spans []document.Span) {
	whole := tidy(b.Text, b.Spans)
	marker, text = item(whole)
	shift := utf8.RuneCountInString(whole) - utf8.RuneCountInString(text)
	for _, s := range b.Spans {
		if s.Start, s.End = max(0, s.Start-shift), s.End-shift; s.End > s.Start {
			spans = append(spans, s)
		}
	}
	return marker, text, spans
}
