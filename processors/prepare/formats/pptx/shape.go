package pptx

import (
	"fmt"
	"strconv"
	"strings"

	"docstream/processors/prepare/formats/drawing"
	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/signs"
	"docstream/processors/prepare/formats/xmltree"
	"docstream/schemas/document"
)

// shape puts what one shape says.
func (s *slide) shape(x shape) {
	switch x.node.Name {
	case "sp", "cxnSp":
		s.text(x)
	case "graphicFrame":
		s.frame(x.node)
	case "pic":
		s.picture(x.node)
	}
}

// picture puts what is said of a picture; what PowerPoint made up from its file's name is not.
func (s *slide) picture(n *xmltree.Node) {
	rel := s.rels[n.Child("blipFill", "blip").In("relationships", "embed")]
	if rel.External || !s.deck.pkg.Has(rel.Target) {
		rel.Target = ""
	}
	s.out.Picture(strings.Join(strings.Fields(n.Child("nvPicPr", "cNvPr").Attr("descr")), " "), s.deck.pkg.Picture(rel.Target))
}

// text puts the paragraphs of a shape: the title as a heading, running lines as such, what has bullets as lists.
func (s *slide) text(x shape) {
	body := x.node.Child("txBody")
	counters := map[int]int{}
	for _, p := range body.All("p") {
		t := s.paragraph(p)
		if t.String == "" {
			continue
		}
		level := min(max(int(number(p.Child("pPr").Attr("lvl"))), 0), 8)
		switch {
		case x.title():
			t.String = strings.ReplaceAll(t.String, "\n", " ")
			s.out.Heading(1, t)
			continue
		case x.kind == "ftr", x.kind == "dt", x.kind == "sldNum":
			s.out.Footer(t)
			continue
		case x.kind == "hdr":
			s.out.Header(t)
			continue
		}
		for l := range counters {
			if l > level {
				delete(counters, l)
			}
		}
		marker := s.marker(x, body, p.Child("pPr"), level, counters)
		if marker == "" {
			delete(counters, level)
			s.out.Paragraph(t)
		} else {
			s.out.Item(level+1, marker, t)
		}
	}
}

// marker is the bullet or number of a paragraph: as it says itself, else its shape, else the layout and the master. A subtitle has none
// unless something says so.
func (s *slide) marker(x shape, body, pPr *xmltree.Node, level int, counters map[int]int) string {
	name := fmt.Sprintf("lvl%dpPr", level+1)
	said := pPr
	if !speaks(said) {
		said = body.Child("lstStyle", name)
	}
	if !speaks(said) {
		kind := x.kind
		if x.node.Child("nvSpPr", "nvPr", "ph") == nil {
			kind = "none"
		}
		said = s.from.bullet(kind, x.idx, name)
	}
	switch {
	case said == nil, said.Child("buNone") != nil:
		return ""
	case said.Child("buAutoNum") != nil:
		auto := said.Child("buAutoNum")
		if _, ok := counters[level]; !ok {
			counters[level] = 1
			if start := int(number(auto.Attr("startAt"))); start > 0 {
				counters[level] = start
			}
		} else {
			counters[level]++
		}
		return numbered(auto.Attr("type"), counters[level])
	}
	return "•"
}

// numbered writes a number in one of PowerPoint's formats.
func numbered(format string, n int) string {
	num := strconv.Itoa(n)
	switch {
	case strings.HasPrefix(format, "alphaLc"), strings.HasPrefix(format, "alphaUc"):
		first := byte('a')
		if strings.HasPrefix(format, "alphaUc") {
			first = 'A'
		}
		if n <= 26*9 {
			num = strings.Repeat(string(first+byte((n-1)%26)), (n-1)/26+1)
		}
	case strings.HasPrefix(format, "roman"):
		num = roman(n)
		if strings.HasPrefix(format, "romanLc") {
			num = strings.ToLower(num)
		}
	}
	switch {
	case strings.HasSuffix(format, "ParenBoth"):
		return "(" + num + ")"
	case strings.HasSuffix(format, "ParenR"):
		return num + ")"
	case strings.HasSuffix(format, "Plain"):
		return num
	}
	return num + "."
}

func roman(n int) string {
	if n < 1 || n > 399 {
		return strconv.Itoa(n)
	}
	hundreds := strings.Repeat("C", n/100)
	tens := [...]string{"", "X", "XX", "XXX", "XL", "L", "LX", "LXX", "LXXX", "XC"}[n/10%10]
	return hundreds + tens + [...]string{"", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"}[n%10]
}

// paragraph reads the runs of a paragraph.
func (s *slide) paragraph(p *xmltree.Node) flow.Text {
	var w flow.Words
	for _, r := range p.Children {
		switch r.Name {
		case "r", "fld":
			pr := r.Child("rPr")
			look := flow.Look{Strong: on(pr.Attr("b")), Emphasis: on(pr.Attr("i"))}
			if h := pr.Child("hlinkClick"); h != nil {
				if rel := s.rels[h.In("relationships", "id")]; rel.External {
					look.Link = rel.Target
				}
			}
			font := pr.Child("sym").Attr("typeface")
			if font == "" {
				font = pr.Child("latin").Attr("typeface")
			}
			w.Add(signs.Text(font, strings.ReplaceAll(r.Child("t").Content(), "\v", "\n")), look)
		case "br":
			w.Break()
		case "AlternateContent", "m":
			w.Add(drawing.Text(r), flow.Look{})
		}
	}
	return w.Text()
}

func on(v string) bool { return v == "1" || v == "true" }

// frame puts what a frame holds: a table, the data of a chart, the words of a diagram.
func (s *slide) frame(n *xmltree.Node) {
	data := n.Child("graphic", "graphicData")
	switch {
	case data.Child("tbl") != nil:
		s.out.Table(s.table(data.Child("tbl")))
	case data.Child("chart") != nil:
		s.chart(data.Child("chart").In("relationships", "id"))
	case data.Child("relIds") != nil:
		s.diagram(data.Child("relIds").In("relationships", "dm"))
	default:
		if alt := n.Child("nvGraphicFramePr", "cNvPr").Attr("descr"); alt != "" {
			s.out.Figure(alt)
		}
	}
}

// table reads a table; what a cell reaches over has cells that say so.
func (s *slide) table(n *xmltree.Node) *document.Table {
	g := flow.NewGrid()
	head := on(n.Child("tblPr").Attr("firstRow"))
	for row, tr := range n.All("tr") {
		for column, tc := range tr.All("tc") {
			if on(tc.Attr("hMerge")) || on(tc.Attr("vMerge")) {
				continue
			}
			var lines []flow.Text
			for _, p := range tc.Child("txBody").All("p") {
				lines = append(lines, s.paragraph(p))
			}
			g.At(row, column, flow.Lines(lines), int(number(tc.Attr("rowSpan"))), int(number(tc.Attr("gridSpan"))), head && row == 0)
		}
	}
	return g.Table()
}

// diagram puts the words of a diagram as a list, in the order of its data.
func (s *slide) diagram(id string) {
	rel := s.rels[id]
	if rel.External || !s.deck.pkg.Has(rel.Target) || s.seen[rel.Target] {
		return
	}
	s.seen[rel.Target] = true
	t, err := s.deck.pkg.Tree(rel.Target)
	if err != nil {
		return // the slide is whole without it
	}
	for _, words := range drawing.Diagram(t) {
		s.out.Item(1, "•", flow.Plain(words))
	}
}

// chart puts the data of a chart.
func (s *slide) chart(id string) {
	rel := s.rels[id]
	if rel.External || !s.deck.pkg.Has(rel.Target) || s.seen[rel.Target] {
		return
	}
	s.seen[rel.Target] = true
	if t, err := s.deck.pkg.Tree(rel.Target); err == nil { // the slide is whole without it
		drawing.Chart(s.out, t)
	}
}
