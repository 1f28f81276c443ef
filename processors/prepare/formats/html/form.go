package html

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"docstream/processors/prepare/formats/flow"
)

// field reads a field of a form: what was written into it, chosen or ticked. Buttons and what is not shown say nothing.
func (w *writer) field(n *html.Node, look flow.Look) {
	switch n.DataAtom {
	case atom.Select:
		w.words.Add(strings.Join(chosen(n), ", "), look)
		return
	case atom.Textarea:
		for i, l := range strings.Split(strings.TrimSpace(content(n)), "\n") {
			if i > 0 {
				w.words.Break()
			}
			w.words.Add(l, look)
		}
		return
	}
	switch strings.ToLower(strings.TrimSpace(attr(n, "type"))) {
	case "checkbox":
		w.words.Add(map[bool]string{true: "☒ ", false: "☐ "}[has(n, "checked")], look)
	case "radio":
		w.words.Add(map[bool]string{true: "◉ ", false: "○ "}[has(n, "checked")], look)
	case "hidden", "password", "file", "image", "submit", "reset", "button", "color", "range":
	default:
		w.words.Add(attr(n, "value"), look)
	}
}

// chosen are the options of a list that are selected; of a list that shows one line only, the first where none is.
func chosen(n *html.Node) []string {
	var first *html.Node
	var out []string
	for d := range n.Descendants() {
		if d.DataAtom != atom.Option || hidden(d) {
			continue
		}
		if first == nil && !has(d, "disabled") {
			first = d
		}
		if has(d, "selected") {
			out = append(out, label(d))
		}
	}
	if len(out) == 0 && first != nil && !has(n, "multiple") && number(attr(n, "size"), 1000) == 1 {
		return []string{label(first)}
	}
	if len(out) > 1 && !has(n, "multiple") {
		out = out[len(out)-1:]
	}
	return out
}

// label is what an option shows.
func label(option *html.Node) string {
	if l := attr(option, "label"); l != "" {
		return l
	}
	return strings.Join(strings.Fields(content(option)), " ")
}

// pre reads text whose lines and spaces matter.
func (w *writer) pre(n *html.Node) {
	s := laidOut(n)
	switch {
	case w.cell:
		for l := range strings.SplitSeq(s, "\n") {
			w.lines = append(w.lines, flow.Plain(l))
		}
	case w.aside != within:
	default:
		w.out.Code(s)
	}
}

// laidOut is the text of a node as it stands, with the line breaks among it.
func laidOut(n *html.Node) string {
	var b strings.Builder
	var add func(*html.Node)
	add = func(n *html.Node) {
		switch {
		case n.Type == html.TextNode:
			b.WriteString(n.Data)
		case n.DataAtom == atom.Br:
			b.WriteByte('\n')
		case hidden(n):
			return
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			add(c)
		}
	}
	add(n)
	return b.String()
}
