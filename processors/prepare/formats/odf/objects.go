package odf

import (
	"path"
	"strings"

	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/xmltree"
)

// embedded puts a formula or the data of a chart that lies in a folder of the container, once; false where it is neither.
func (r *reader) embedded(href string) bool {
	name := path.Clean(strings.TrimPrefix(href, "./")) + "/" + content
	if href == "" || strings.Contains(href, ":") || !r.archive.Has(name) || r.objects[name] {
		return false
	}
	r.objects[name] = true
	in, err := r.archive.Reader(name)
	if err != nil {
		return false
	}
	defer func() { _ = in.Close() }()
	t, err := xmltree.Parse(in, r.limits.Depth)
	if err != nil {
		return false // the document is whole without it
	}
	if t.Name == "math" {
		r.words.Add(math(t), flow.Look{})
		return true
	}
	chart := t.Child("body", "chart", "chart")
	if chart == nil {
		return false
	}
	box := &xmltree.Node{Name: "text-box"}
	for _, c := range chart.Children {
		switch c.Name {
		case "title", "subtitle":
			box.Children = append(box.Children, c.All("p")...)
		case "table":
			box.Children = append(box.Children, c)
		}
	}
	r.boxes = append(r.boxes, box)
	return true
}

// math is a formula as its author typed it, else its signs one after another.
func math(t *xmltree.Node) string {
	if a := t.Find("annotation"); a != nil && strings.Contains(a.Attr("encoding"), "StarMath") {
		return strings.Join(strings.Fields(a.Content()), " ")
	}
	var b strings.Builder
	var add func(*xmltree.Node)
	add = func(n *xmltree.Node) {
		if n.Name == "annotation" {
			return
		}
		b.WriteString(strings.TrimSpace(n.Text))
		for _, c := range n.Children {
			add(c)
		}
	}
	add(t)
	return b.String()
}

// forms learns what the fields of forms show.
func (r *reader) forms(n *xmltree.Node, depth int) {
	if depth > 16 {
		return
	}
	for _, c := range n.Children {
		id := c.Attr("id")
		switch c.Name {
		case "form":
			r.forms(c, depth+1)
		case "checkbox":
			r.controls[id] = strings.TrimSpace(tick(c) + " " + c.Attr("label"))
		case "radio":
			r.controls[id] = strings.TrimSpace(map[bool]string{true: "◉", false: "○"}[c.Attr("current-selected") == "true" || c.Attr("current-selected") == "" && c.Attr("selected") == "true"] + " " + c.Attr("label"))
		case "fixed-text":
			r.controls[id] = c.Attr("label")
		case "text", "textarea", "formatted-text", "number", "date", "time", "combobox":
			r.controls[id] = first(c.Attr("current-value"), c.Attr("value"))
		case "listbox":
			var chosen []string
			for _, o := range c.All("option") {
				if o.Attr("current-selected") == "true" || o.Attr("current-selected") == "" && o.Attr("selected") == "true" {
					chosen = append(chosen, first(o.Attr("label"), o.Attr("value")))
				}
			}
			r.controls[id] = strings.Join(chosen, ", ")
		}
	}
}

func tick(n *xmltree.Node) string {
	return map[bool]string{true: "☒", false: "☐"}[first(n.Attr("current-state"), n.Attr("state")) == "checked"]
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// control puts what a field of a form shows where it stands.
func (r *reader) control(n *xmltree.Node, look flow.Look) {
	if s := r.controls[n.Attr("control")]; s != "" {
		r.words.Add(s, look)
	}
}
