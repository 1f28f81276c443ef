package odf

import (
	"strconv"
	"strings"

	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/xmltree"
)

// style is what of a style matters here.
type style struct {
	parent          string
	strong, slanted bool
	hidden          bool
	breaks          bool // a page begins before it
	list            string
	name            string
}

// outline is the list that the numbers of headings are counted in: no list of a document has this name.
const outline = "\x00outline"

// styles are the styles of a document by name.
type styles map[string]style

// listStyle is how the levels of a list are marked.
type listStyle struct{ levels [10]listLevel }

type listLevel struct {
	bullet         string
	format         string
	prefix, suffix string
	start, shown   int
}

// learn reads a group of styles.
func (r *reader) learn(group *xmltree.Node) error {
	for _, n := range group.Children {
		switch n.Name {
		case "style":
			text, para := n.Child("text-properties"), n.Child("paragraph-properties")
			r.styles[n.Attr("name")] = style{parent: n.Attr("parent-style-name"), strong: text.Attr("font-weight") == "bold",
				slanted: text.Attr("font-style") == "italic" || text.Attr("font-style") == "oblique",
				hidden: text.Attr("display") == "none" || n.Child("table-properties").Attr("display") == "false" ||
					n.Child("drawing-page-properties").Attr("visibility") == "hidden",
				breaks: para.Attr("break-before") == "page", list: n.Attr("list-style-name"), name: strings.ToLower(n.Attr("display-name") + n.Attr("name"))}
		case "outline-style":
			r.lists[outline] = readList(n)
		case "list-style":
			r.lists[n.Attr("name")] = readList(n)
		case "master-page":
			for _, c := range n.Children {
				text := func() flow.Text { return flow.Lines(r.inCell(c)) }
				switch c.Name {
				case "header":
					r.running = append(r.running, func() { r.out.Header(text()) })
				case "footer":
					r.running = append(r.running, func() { r.out.Footer(text()) })
				}
			}
		}
	}
	return nil
}

func readList(n *xmltree.Node) *listStyle {
	l := &listStyle{}
	for _, c := range n.Children {
		i := count(c.Attr("level"), 0, 10) - 1
		if i < 0 {
			continue
		}
		switch c.Name {
		case "list-level-style-bullet", "list-level-style-image":
			l.levels[i] = listLevel{bullet: "•"}
		case "list-level-style-number", "outline-level-style":
			l.levels[i] = listLevel{format: c.Attr("num-format"), prefix: c.Attr("num-prefix"), suffix: c.Attr("num-suffix"),
				start: count(c.Attr("start-value"), 1, 1_000_000), shown: count(c.Attr("display-levels"), 1, 10)}
		}
	}
	return l
}

// count reads a number from 1 to most; what is none is the other.
func count(s string, otherwise, most int) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return otherwise
	}
	return min(n, most)
}

// look is what a style of characters says of them.
func (s styles) look(name string, l flow.Look) flow.Look {
	for range 20 {
		st, ok := s[name]
		if !ok {
			break
		}
		l.Strong, l.Emphasis = l.Strong || st.strong, l.Emphasis || st.slanted
		name = st.parent
	}
	return l
}

// is reports whether a style, or one it stems from, goes by a name.
func (s styles) is(name, want string) bool {
	for range 20 {
		if strings.EqualFold(name, want) {
			return true
		}
		st, ok := s[name]
		if !ok {
			return false
		}
		name = st.parent
	}
	return false
}

// marker counts an item and returns its marker.
func (r *reader) marker(list string, level, from int) string {
	at := min(level, 10) - 1
	st := r.lists[list]
	if st == nil || st.levels[at].bullet != "" {
		return "•"
	}
	counts := r.counts[list]
	for len(counts) < 10 {
		counts = append(counts, 0)
	}
	l := st.levels[at]
	switch {
	case from > 0:
		counts[at] = from
	case counts[at] == 0:
		counts[at] = max(1, l.start)
	default:
		counts[at]++
	}
	for i := at + 1; i < 10; i++ {
		counts[i] = 0
	}
	r.counts[list] = counts
	if l.format == "" {
		return ""
	}
	var shown []string
	for i := max(0, at-max(1, l.shown)+1); i <= at; i++ {
		shown = append(shown, numeral(st.levels[i].format, counts[i]))
	}
	return l.prefix + strings.Join(shown, ".") + l.suffix
}

// numeral writes a number as a list's level says.
func numeral(format string, n int) string {
	switch format {
	case "a", "A":
		if n >= 1 && n <= 26*9 {
			return strings.Repeat(string(format[0]+byte((n-1)%26)), (n-1)/26+1)
		}
	case "i", "I":
		if n >= 1 && n <= 399 {
			s := strings.Repeat("c", n/100) + [...]string{"", "x", "xx", "xxx", "xl", "l", "lx", "lxx", "lxxx", "xc"}[n/10%10] +
				[...]string{"", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix"}[n%10]
			if format == "I" {
				s = strings.ToUpper(s)
			}
			return s
		}
	}
	return strconv.Itoa(n)
}
