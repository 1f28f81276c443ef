package html

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"docstream/processors/prepare/formats/flow"
)

// Where a piece of a page stands.
const (
	within = iota // what the page is about
	before        // a running header
	behind        // a running footer
)

// list is a list that is open.
type list struct {
	ordered bool
	number  int
	step    int
	style   string
}

// picture is what is said of a picture, and where it comes from.
type picture struct {
	alt  string
	load flow.Load
}

// writer walks a page.
type writer struct {
	out   *flow.Builder
	main  *html.Node
	aside int
	words flow.Words

	lists    []list
	marker   string // of the item that has no text yet
	item     bool   // the next text is the item's
	level    int    // of the heading being read
	caption  bool
	find     func(src string) flow.Load
	pictures []picture
	cell     bool // in a cell: lines are collected
	lines    []flow.Text
}

// flush puts the text that was collected as what it is.
func (w *writer) flush() {
	t := w.words.Text()
	switch {
	case t.String == "":
	case w.cell:
		if w.item {
			t = flow.Lines([]flow.Text{flow.Plain(w.marker), t})
			t.String = strings.Replace(t.String, "\n", " ", 1)
			w.item = false
		}
		w.lines = append(w.lines, t)
	case w.aside == before:
		w.out.Header(t)
	case w.aside == behind:
		w.out.Footer(t)
	case w.level > 0:
		w.out.Heading(w.level, t)
	case w.caption:
		w.out.Caption(t)
	case w.item:
		w.out.Item(len(w.lists), w.marker, t)
		w.item = false
	default:
		w.out.Paragraph(t)
	}
	for _, p := range w.pictures {
		if w.cell {
			w.lines = append(w.lines, flow.Plain(p.alt))
		} else if w.aside == within {
			w.out.Picture(p.alt, p.load)
		}
	}
	w.pictures = nil
}

func (w *writer) children(n *html.Node, look flow.Look) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		w.node(c, look)
	}
}

// skipped are elements that say nothing to a reader.
var skipped = map[atom.Atom]bool{atom.Script: true, atom.Style: true, atom.Template: true, atom.Noscript: true, atom.Head: true, atom.Iframe: true,
	atom.Object: true, atom.Svg: true, atom.Canvas: true, atom.Audio: true, atom.Video: true, atom.Button: true, atom.Meter: true,
	atom.Progress: true, atom.Rt: true, atom.Rp: true, atom.Datalist: true, atom.Map: true}

func (w *writer) node(n *html.Node, look flow.Look) {
	switch n.Type {
	case html.TextNode:
		w.words.Add(n.Data, look)
		return
	case html.DocumentNode:
		w.children(n, look)
		return
	case html.ElementNode:
	default:
		return
	}
	if skipped[n.DataAtom] || hidden(n) || w.out.Err() != nil {
		return
	}
	if n == w.main {
		w.flush()
		w.aside = within
		w.children(n, look)
		w.flush()
		w.aside = behind
		return
	}
	if !w.inline(n, look) {
		w.block(n, look)
	}
}

// inline reads an element that stands within a text; false where it is none.
func (w *writer) inline(n *html.Node, look flow.Look) bool {
	switch n.DataAtom {
	case atom.Br:
		w.words.Break()
	case atom.Img:
		w.picture(n, look)
	case atom.Input, atom.Select, atom.Textarea:
		w.field(n, look)
	case atom.A:
		switch attr(n, "role") {
		case "doc-backlink":
			return true
		case "doc-noteref":
			if label := strings.Trim(strings.TrimSpace(content(n)), "[]()"); label != "" {
				w.words.Add("["+label+"]", flow.Look{Note: label})
				return true
			}
		}
		if h := strings.TrimSpace(attr(n, "href")); !strings.HasPrefix(h, "#") {
			look.Link = h
		}
		w.children(n, look)
	case atom.B, atom.Strong:
		look.Strong = true
		w.children(n, look)
	case atom.I, atom.Em, atom.Cite, atom.Dfn, atom.Var:
		look.Emphasis = true
		w.children(n, look)
	case atom.Code, atom.Kbd, atom.Samp, atom.Tt:
		look.Code = true
		w.children(n, look)
	case atom.Q:
		w.words.Add("“", look)
		w.children(n, look)
		w.words.Add("”", look)
	case atom.Math:
		w.math(n, look)
	case atom.Span, atom.Font, atom.U, atom.S, atom.Strike, atom.Del, atom.Ins, atom.Small, atom.Big, atom.Sub, atom.Sup, atom.Abbr, atom.Time, atom.Mark,
		atom.Label, atom.Data, atom.Bdi, atom.Bdo, atom.Ruby, atom.Wbr, atom.Acronym, atom.Nobr, atom.Picture, atom.Output:
		w.children(n, look)
	default:
		return n.DataAtom == 0 && w.unknown(n, look)
	}
	return true
}

// unknown reads an element that no standard has as if it were not there.
func (w *writer) unknown(n *html.Node, look flow.Look) bool {
	w.children(n, look)
	return true
}

// picture keeps what is said of a picture: within a link or a cell as words, elsewhere as a figure behind the paragraph.
func (w *writer) picture(n *html.Node, look flow.Look) {
	alt := strings.Join(strings.Fields(attr(n, "alt")), " ")
	load := w.held(strings.TrimSpace(attr(n, "src")))
	switch {
	case alt == "" && (load == nil || w.cell):
	case w.cell || look.Link != "" && w.words.Size() > 0:
		w.words.Add(alt, look)
	default:
		w.pictures = append(w.pictures, picture{alt, load})
	}
}

// held finds a picture that the page or its document holds. Nothing is fetched from elsewhere.
func (w *writer) held(src string) flow.Load {
	if data, ok := strings.CutPrefix(src, "data:image/"); ok {
		kind, body, _ := strings.Cut(data, ",")
		if !strings.HasSuffix(kind, ";base64") {
			return nil
		}
		return func() ([]byte, error) {
			body = strings.Join(strings.Fields(body), "")
			if s, err := url.PathUnescape(body); err == nil {
				body = s
			}
			return base64.StdEncoding.DecodeString(body)
		}
	}
	if w.find == nil || src == "" || strings.Contains(src, "://") {
		return nil
	}
	return w.find(src)
}

// math is written as its author would type it, where the page says how.
func (w *writer) math(n *html.Node, look flow.Look) {
	if alt := attr(n, "alttext"); alt != "" {
		w.words.Add(alt, look)
		return
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Data != "annotation" && c.Data != "annotation-xml" {
			w.words.Add(content(c), look)
		}
	}
}

// block reads an element that ends the text before it.
func (w *writer) block(n *html.Node, look flow.Look) {
	w.flush()
	if attr(n, "role") == "doc-endnotes" && w.notes(n) {
		return
	}
	switch n.DataAtom {
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		outer := w.level
		w.level = int(n.Data[1] - '0')
		w.children(n, look)
		w.flush()
		w.level = outer
	case atom.Ul, atom.Ol, atom.Menu, atom.Dir:
		w.list(n, look)
	case atom.Li:
		w.listItem(n, look)
	case atom.Pre:
		w.pre(n)
	case atom.Table:
		w.table(n, look)
	case atom.Caption, atom.Figcaption:
		w.caption = true
		w.children(n, look)
		w.flush()
		w.caption = false
	case atom.Dt:
		look.Strong = true
		w.children(n, look)
	case atom.Nav:
		w.running(n, look, before)
	case atom.Header:
		if w.ofThePage(n) && find(n, atom.H1) == nil {
			w.running(n, look, before)
		} else {
			w.children(n, look)
		}
	case atom.Footer:
		if w.ofThePage(n) {
			w.running(n, look, behind)
		} else {
			w.children(n, look)
		}
	default:
		w.children(n, look)
	}
	w.flush()
}

// ofThePage reports whether a header or footer belongs to the page and not to an article in it.
func (w *writer) ofThePage(n *html.Node) bool {
	for p := n.Parent; p != nil; p = p.Parent {
		switch p.DataAtom {
		case atom.Article, atom.Section, atom.Main, atom.Blockquote, atom.Td:
			return false
		}
	}
	return true
}

// running reads what stands beside the text. Within a cell there is no such thing.
func (w *writer) running(n *html.Node, look flow.Look, where int) {
	outer := w.aside
	if w.aside == within && !w.cell {
		w.aside = where
	}
	w.children(n, look)
	w.flush()
	w.aside = outer
}

// list reads a list; an item that only holds a list has no line of its own.
func (w *writer) list(n *html.Node, look flow.Look) {
	l := list{ordered: n.DataAtom == atom.Ol, number: 1, step: 1, style: attr(n, "type")}
	if l.ordered {
		if s, err := strconv.Atoi(strings.TrimSpace(attr(n, "start"))); err == nil {
			l.number = s
		}
		if has(n, "reversed") {
			l.step = -1
			if !has(n, "start") {
				l.number = items(n)
			}
		}
	}
	w.item = false // an item that only holds a list has no line of its own
	w.lists = append(w.lists, l)
	w.children(n, look)
	w.flush()
	w.lists = w.lists[:len(w.lists)-1]
}

func items(n *html.Node) int {
	count := 0
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.DataAtom == atom.Li {
			count++
		}
	}
	return count
}

// notes puts the items of a list of notes as notes; false where there is no such list.
func (w *writer) notes(n *html.Node) bool {
	list := find(n, atom.Ol)
	if list == nil || w.cell || w.aside != within {
		return false
	}
	number := 0
	for c := list.FirstChild; c != nil; c = c.NextSibling {
		if c.DataAtom == atom.Li && !hidden(c) {
			number++
			w.out.Note(strconv.Itoa(number), w.inCell(c, flow.Look{}))
		}
	}
	return true
}

func (w *writer) listItem(n *html.Node, look flow.Look) {
	if len(w.lists) == 0 { // an item without a list
		w.lists = append(w.lists, list{})
		defer func() { w.lists = w.lists[:0] }()
	}
	l := &w.lists[len(w.lists)-1]
	w.marker = "•"
	if l.ordered {
		if v, err := strconv.Atoi(strings.TrimSpace(attr(n, "value"))); err == nil {
			l.number = v
		}
		w.marker = numeral(l.style, l.number) + "."
		l.number += l.step
	}
	if w.cell && !l.ordered {
		w.marker = "-"
	}
	w.item = true
	w.children(n, look)
	w.flush()
	w.item = false
}

// numeral writes the number of an item in the list's style.
func numeral(style string, n int) string {
	switch style {
	case "a", "A":
		if n >= 1 && n <= 26 {
			return string(style[0] + byte(n-1))
		}
	case "i", "I":
		if n >= 1 && n <= 39 {
			s := strings.Repeat("x", n/10) + [...]string{"", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix"}[n%10]
			if style == "I" {
				s = strings.ToUpper(s)
			}
			return s
		}
	}
	return strconv.Itoa(n)
}
