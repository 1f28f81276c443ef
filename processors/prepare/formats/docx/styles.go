package docx

import (
	"strconv"
	"strings"

	"docstream/processors/prepare/formats/xmltree"
)

// style is what of a style matters here.
type style struct {
	name    string // lower case
	based   string
	outline int // 1 to 9; 0: none of its own
	numID   string
	level   int // of the list; -1: none of its own
	strong  *bool
	slanted *bool
	hidden  *bool
}

// styles are the styles of a document by id.
type styles struct {
	byID      map[string]style
	paragraph string // id of the default
}

func readStyles(t *xmltree.Node) styles {
	s := styles{byID: map[string]style{}}
	for _, n := range t.All("style") {
		id := n.Attr("styleId")
		if n.Attr("type") == "paragraph" && on(n.Attr("default")) && n.Attr("default") != "" {
			s.paragraph = id
		}
		pPr, rPr := n.Child("pPr"), n.Child("rPr")
		st := style{name: strings.ToLower(n.Child("name").Attr("val")), based: n.Child("basedOn").Attr("val"), level: -1,
			outline: outline(pPr), numID: pPr.Child("numPr", "numId").Attr("val"), strong: toggle(rPr, "b"), slanted: toggle(rPr, "i"), hidden: toggle(rPr, "vanish")}
		if v, ok := pPr.Child("numPr", "ilvl").Has("val"); ok {
			st.level, _ = strconv.Atoi(v)
		}
		s.byID[id] = st
	}
	return s
}

// outline is the level that a paragraph's properties claim, 0 where they claim none.
func outline(pPr *xmltree.Node) int {
	v, ok := pPr.Child("outlineLvl").Has("val")
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > 8 {
		return 0 // 9 is body text
	}
	return n + 1
}

// toggle reads a property that is on, off or not said.
func toggle(rPr *xmltree.Node, name string) *bool {
	n := rPr.Child(name)
	if n == nil {
		return nil
	}
	v := on(n.Attr("val"))
	return &v
}

func on(val string) bool { return val != "0" && val != "false" && val != "off" && val != "none" }

// chain calls f with a style and those it is based on, until f returns true. Styles based on themselves end.
func (s styles) chain(id string, f func(style) bool) {
	for range 20 {
		st, ok := s.byID[id]
		if !ok || f(st) {
			return
		}
		id = st.based
	}
}

// heading is the level of the headings of a style, 0 for other styles.
func (s styles) heading(id string) int {
	level := 0
	s.chain(id, func(st style) bool {
		if level == 0 {
			level = named(st.name)
		}
		if level == 0 {
			level = st.outline
		}
		return level > 0
	})
	return level
}

// named is the level that a built-in style's name says; Word keeps these names whatever its language.
func named(name string) int {
	if name == "title" {
		return 1
	}
	if n, ok := strings.CutPrefix(name, "heading "); ok && len(n) == 1 && n[0] >= '1' && n[0] <= '9' {
		return int(n[0] - '0')
	}
	return 0
}

// is reports whether a style, or one it is based on, has the name.
func (s styles) is(id, name string) bool {
	found := false
	s.chain(id, func(st style) bool { found = st.name == name; return found })
	return found
}

// list is the list that a style puts its paragraphs into.
func (s styles) list(id string) (numID string, level int) {
	level = -1
	s.chain(id, func(st style) bool {
		if level < 0 {
			level = st.level
		}
		numID = st.numID
		return numID != ""
	})
	return numID, max(level, 0)
}

// look is what a style of characters says of them.
func (s styles) look(id string) (strong, slanted, hidden bool) {
	var b, i, v *bool
	s.chain(id, func(st style) bool {
		b, i, v = first(b, st.strong), first(i, st.slanted), first(v, st.hidden)
		return false
	})
	return is(b), is(i), is(v)
}

func first(a, b *bool) *bool {
	if a != nil {
		return a
	}
	return b
}

func is(b *bool) bool { return b != nil && *b }
