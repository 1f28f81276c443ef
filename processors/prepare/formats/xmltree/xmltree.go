// Package xmltree reads XML as small trees, one after another, so that a document of any size is in memory one element at a time.
//
// Depth, elements and the length of one tag are bounded. Entities that a document declares are refused, never expanded, and nothing outside
// the document is ever fetched.
package xmltree

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding/unicode"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/schemas"
)

const (
	maxNodes = 2_000_000 // of one tree
	maxTag   = 8 << 20   // bytes without the end of a tag
)

// Node is an element or, with an empty name, text.
type Node struct {
	Name     string // without its prefix
	Space    string // namespace
	Text     string // of a text
	Attrs    []xml.Attr
	Children []*Node
}

// Attr returns the value of an attribute by its name without prefix, or "".
func (n *Node) Attr(name string) string {
	v, _ := n.Has(name)
	return v
}

// Has is Attr that tells an empty attribute from none.
func (n *Node) Has(name string) (string, bool) {
	if n == nil {
		return "", false
	}
	for _, a := range n.Attrs {
		if a.Name.Local == name {
			return a.Value, true
		}
	}
	return "", false
}

// In returns the value of an attribute of a namespace that ends with the given words: for names that two namespaces share.
func (n *Node) In(space, name string) string {
	if n == nil {
		return ""
	}
	for _, a := range n.Attrs {
		if a.Name.Local == name && strings.HasSuffix(a.Name.Space, space) {
			return a.Value
		}
	}
	return ""
}

// Child follows names downwards, taking the first child of each; nil where there is none. A nil node has none.
func (n *Node) Child(names ...string) *Node {
	for _, name := range names {
		if n == nil {
			return nil
		}
		var next *Node
		for _, c := range n.Children {
			if c.Name == name {
				next = c
				break
			}
		}
		n = next
	}
	return n
}

// All returns the children of a name.
func (n *Node) All(name string) []*Node {
	if n == nil {
		return nil
	}
	var out []*Node
	for _, c := range n.Children {
		if c.Name == name {
			out = append(out, c)
		}
	}
	return out
}

// Find returns the first descendant of a name in document order, or nil.
func (n *Node) Find(name string) *Node {
	if n == nil {
		return nil
	}
	for _, c := range n.Children {
		if c.Name == name {
			return c
		}
		if d := c.Find(name); d != nil {
			return d
		}
	}
	return nil
}

// Content is the text of the node and of all below it.
func (n *Node) Content() string {
	if n == nil {
		return ""
	}
	if n.Name == "" {
		return n.Text
	}
	var b strings.Builder
	n.content(&b)
	return b.String()
}

func (n *Node) content(b *strings.Builder) {
	b.WriteString(n.Text)
	for _, c := range n.Children {
		c.content(b)
	}
}

// Scanner reads a document from its start to its end.
type Scanner struct {
	d     *xml.Decoder
	limit int
	depth int
	nodes int
}

// NewScanner returns a scanner of r that goes at most depth elements deep.
func NewScanner(r io.Reader, depth int) *Scanner {
	return &Scanner{d: decoder(r), limit: depth}
}

// decoder reads XML in the charset that it names, or in UTF-16 where it begins with the mark of that.
func decoder(r io.Reader) *xml.Decoder {
	in := bufio.NewReader(&guard{r: r})
	mark, _ := in.Peek(2)
	if !bytes.Equal(mark, []byte{0xff, 0xfe}) && !bytes.Equal(mark, []byte{0xfe, 0xff}) {
		d := xml.NewDecoder(in)
		d.CharsetReader = charset.NewReaderLabel
		return d
	}
	d := xml.NewDecoder(unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder().Reader(in))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // it is what it is
	return d
}

// Next returns the next token that matters: the start of an element, its end, or text. At the end of the document it returns io.EOF.
func (s *Scanner) Next() (xml.Token, error) {
	for {
		t, err := s.d.Token()
		if err != nil {
			if errors.Is(err, io.EOF) && s.depth == 0 {
				return nil, io.EOF
			}
			return nil, formats.Corrupt(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if s.depth++; s.depth > s.limit {
				return nil, formats.TooDeep(s.limit)
			}
			return t, nil
		case xml.EndElement:
			s.depth--
			return t, nil
		case xml.CharData:
			return t, nil
		case xml.Directive:
			if err := checkDirective(t); err != nil {
				return nil, err
			}
		}
	}
}

// checkDirective refuses a document type that declares something: such declarations are how a small document becomes a large one, or one
// that reads what is none of its business.
func checkDirective(d xml.Directive) error {
	if s := strings.ToUpper(string(d)); strings.Contains(s, "[") || strings.Contains(s, "ENTITY") {
		return fault.Document(schemas.DocumentEntities, "%s", schemas.Codes[schemas.DocumentEntities].Meaning)
	}
	return nil
}

// CheckProlog refuses a document whose type declares entities. Damage is no concern of it.
func CheckProlog(r io.Reader) error {
	d := decoder(r)
	for {
		t, err := d.RawToken()
		if err != nil {
			return nil
		}
		switch t := t.(type) {
		case xml.StartElement:
			return nil
		case xml.Directive:
			if strings.Contains(strings.ToUpper(string(t)), "<!ENTITY") {
				return checkDirective(t)
			}
		}
	}
}

// Tree reads the rest of an element whose start was the last token.
func (s *Scanner) Tree(start xml.StartElement) (*Node, error) {
	s.nodes = 0
	root := node(start)
	open := []*Node{root}
	for len(open) > 0 {
		t, err := s.Next()
		if err != nil {
			return nil, formats.Corrupt(err)
		}
		top := open[len(open)-1]
		switch t := t.(type) {
		case xml.StartElement:
			if s.nodes++; s.nodes > maxNodes {
				return nil, formats.TooLarge("an element with more than %d others in it", maxNodes)
			}
			n := node(t)
			top.Children = append(top.Children, n)
			open = append(open, n)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if s.nodes++; s.nodes > maxNodes {
				return nil, formats.TooLarge("an element with more than %d others in it", maxNodes)
			}
			top.Children = append(top.Children, &Node{Text: string(t)})
		}
	}
	return root, nil
}

func node(t xml.StartElement) *Node {
	n := &Node{Name: t.Name.Local, Space: t.Name.Space}
	for _, a := range t.Attr {
		if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
			n.Attrs = append(n.Attrs, a)
		}
	}
	return n
}

// Parse reads a whole document as one tree.
func Parse(r io.Reader, depth int) (*Node, error) {
	s := NewScanner(r, depth)
	for {
		t, err := s.Next()
		if err != nil {
			return nil, formats.Corrupt(err)
		}
		if start, ok := t.(xml.StartElement); ok {
			return s.Tree(start)
		}
	}
}

// Begins refuses a document whose first element has another name.
func Begins(r io.Reader, depth int, name string) error {
	s := NewScanner(r, depth)
	for {
		t, err := s.Next()
		if err != nil {
			return formats.Corrupt(err)
		}
		if start, ok := t.(xml.StartElement); ok {
			if start.Name.Local != name {
				return formats.Corrupt(fmt.Errorf("the part is a %q", start.Name.Local))
			}
			return nil
		}
	}
}

// Each reads the document and calls f with every element that stands directly within one of the containers, which are named without
// prefix. Containers may lie within one another; f sees none of them. A document without an element is damaged.
func Each(r io.Reader, depth int, containers map[string]bool, f func(*Node) error) error {
	s := NewScanner(r, depth)
	inside, began := []bool{}, false
	for {
		t, err := s.Next()
		if errors.Is(err, io.EOF) && began {
			return nil
		}
		if err != nil {
			return formats.Corrupt(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			began = true
			if within := len(inside) > 0 && inside[len(inside)-1]; within && !containers[t.Name.Local] {
				n, err := s.Tree(t)
				if err != nil {
					return err
				}
				if err := f(n); err != nil {
					return err
				}
				continue
			}
			inside = append(inside, containers[t.Name.Local])
		case xml.EndElement:
			inside = inside[:len(inside)-1]
		}
	}
}

// guard ends a document that has a tag or a stretch of text longer than any real one.
type guard struct {
	r   io.Reader
	run int
}

func (g *guard) Read(b []byte) (int, error) {
	n, err := g.r.Read(b)
	if i := bytes.LastIndexByte(b[:n], '>'); i >= 0 {
		g.run = n - i
	} else if g.run += n; g.run > maxTag {
		return 0, formats.TooLarge("a tag of more than %d bytes", maxTag)
	}
	return n, err
}
