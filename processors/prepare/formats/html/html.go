// Package html reads web pages: what a page is about, without what surrounds it. Headings, lists, tables with their spans, links, code and
// what is said of pictures are kept; navigation, headers and footers of the page stay as running lines.
package html

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/html/charset"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/text"
	"docstream/schemas"
)

// MediaType is what the format claims.
const MediaType = "text/html"

// Format is HTML.
type Format struct{}

// New returns the format.
func New() Format { return Format{} }

// Claims reports whether the media type is HTML.
func (Format) Claims(media string) bool { return media == MediaType }

// Open reads the page whole.
func (Format) Open(f *os.File, size int64, _ string, l formats.Limits) (formats.Document, error) {
	if size == 0 {
		return nil, fault.Document(schemas.DocumentEmpty, "%s", schemas.Codes[schemas.DocumentEmpty].Meaning)
	}
	b, err := flow.ReadAll(f, size, l.Text)
	if err != nil {
		return nil, err
	}
	out := flow.New(l)
	if bytes.HasPrefix(bytes.TrimLeft(b, "\xef\xbb\xbf \r\n\t"), []byte("<?xml")) {
		b = Closed(b)
	}
	root, err := Parse(Decoded(b))
	if err != nil {
		return nil, err
	}
	if t := find(root, atom.Title); t != nil {
		out.Part(strings.Join(strings.Fields(content(t)), " "), false)
	}
	Write(out, root)
	return out.Words()
}

var declares = regexp.MustCompile(`(?i)(?:<meta[^>]*charset=["']?|^\s*<\?xml[^>]*encoding=["'])\s*([a-z0-9_:-]+)`)

// Decoded turns the bytes of a page into UTF-8: as it declares, else as they look.
func Decoded(b []byte) io.Reader {
	e, name, certain := charset.DetermineEncoding(b[:min(len(b), 1024)], "")
	if !certain && !utf8.Valid(b) { // what a page says in its head is no certainty, but more than a guess
		if m := declares.FindSubmatch(b[:min(len(b), 1024)]); m != nil {
			if said, canonical := charset.Lookup(string(m[1])); said != nil {
				e, name, certain = said, canonical, true
			}
		}
	}
	if !certain || name == "utf-8" {
		return strings.NewReader(text.Decode(b))
	}
	return e.NewDecoder().Reader(bytes.NewReader(b))
}

// Parse reads a page in UTF-8. The parser bounds how deep elements may be nested.
func Parse(r io.Reader) (*html.Node, error) {
	root, err := html.Parse(r)
	if err != nil {
		if strings.Contains(err.Error(), "stack") {
			return nil, formats.TooDeep(512)
		}
		return nil, formats.Corrupt(err)
	}
	return root, nil
}

// Write puts the blocks of a page. Of pictures it shows those that the page holds itself.
func Write(out *flow.Builder, root *html.Node) { WriteWith(out, root, nil) }

// WriteWith puts the blocks of a page that may show pictures of the document it is part of: pictures finds one by its address, or returns nil.
func WriteWith(out *flow.Builder, root *html.Node, pictures func(src string) flow.Load) {
	w := &writer{out: out, main: main(root), find: pictures}
	w.words.Collapse = true
	if w.main != nil {
		w.aside = before
	}
	w.children(root, flow.Look{})
	w.flush()
}

// main is the element that says it is what the page is about, if there is one and no other.
func main(root *html.Node) *html.Node {
	var found []*html.Node
	var look func(*html.Node)
	look = func(n *html.Node) {
		if n.DataAtom == atom.Main || attr(n, "role") == "main" {
			if !hidden(n) {
				found = append(found, n)
			}
			return
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			look(c)
		}
	}
	look(root)
	if len(found) != 1 || strings.TrimSpace(content(found[0])) == "" {
		return nil
	}
	return found[0]
}

// attr returns the value of an attribute, or "".
func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

// hidden reports whether an element is not shown.
func hidden(n *html.Node) bool {
	if n.Type != html.ElementNode {
		return false
	}
	style := strings.ReplaceAll(strings.ToLower(attr(n, "style")), " ", "")
	return has(n, "hidden") || n.DataAtom == atom.Dialog && !has(n, "open") || strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden")
}

// content is the text of a node and all below it.
func content(n *html.Node) string {
	var b strings.Builder
	var add func(*html.Node)
	add = func(n *html.Node) {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			add(c)
		}
	}
	add(n)
	return b.String()
}

// find returns the first element of a kind, in document order, or nil.
func find(n *html.Node, a atom.Atom) *html.Node {
	if n.DataAtom == a && n.Type == html.ElementNode {
		return n
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if f := find(c, a); f != nil {
			return f
		}
	}
	return nil
}

// Closed writes elements that XML closes at once and HTML does not, such as <title/> or <a id="x"/>, the way HTML reads them.
func Closed(raw []byte) []byte {
	if !bytes.Contains(raw, []byte("/>")) {
		return raw
	}
	out := make([]byte, 0, len(raw)+len(raw)/16)
	for {
		at := bytes.Index(raw, []byte("/>"))
		if at < 0 {
			return append(out, raw...)
		}
		from := bytes.LastIndexByte(raw[:at], '<')
		name := ""
		if from >= 0 && from+1 < at {
			name, _, _ = strings.Cut(string(raw[from+1:at]), " ")
			name = strings.TrimSpace(name)
		}
		switch name {
		case "a", "title", "script", "span", "div", "p", "i", "b", "em", "td", "th", "li", "iframe", "textarea", "style", "section":
			out = append(append(append(out, raw[:at]...), "></"+name...), '>')
		default:
			out = append(out, raw[:at+2]...)
		}
		raw = raw[at+2:]
	}
}
