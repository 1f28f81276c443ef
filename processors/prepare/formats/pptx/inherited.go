package pptx

import (
	"docstream/processors/prepare/formats/xmltree"
)

// inherited is what the slides of a layout take from it and from its master.
type inherited struct {
	places map[string]*xmltree.Node // frame by kind and index
	styles []*xmltree.Node          // list styles of placeholders, the layout's first
	keys   []string
	master *xmltree.Node // text styles
}

// inherited reads a layout and its master, once. What cannot be read says nothing: the slide itself is what counts.
func (d *deck) inherited(layout string) *inherited {
	if in, ok := d.lists[layout]; ok {
		return in
	}
	in := &inherited{places: map[string]*xmltree.Node{}}
	d.lists[layout] = in
	for part, kind := layout, "slideMaster"; part != ""; part, kind = d.pkg.Related(part, kind), "" {
		t, err := d.pkg.Tree(part)
		if err != nil {
			break
		}
		for _, sp := range t.Child("cSld", "spTree").All("sp") {
			ph := sp.Child("nvSpPr", "nvPr", "ph")
			if ph == nil {
				continue
			}
			for _, k := range keys(ph.Attr("type"), ph.Attr("idx")) {
				if x := sp.Child("spPr", "xfrm"); x != nil && in.places[k] == nil {
					in.places[k] = x
				}
				if s := sp.Child("txBody", "lstStyle"); s != nil {
					in.keys, in.styles = append(in.keys, k), append(in.styles, s)
				}
			}
		}
		if s := t.Child("txStyles"); s != nil {
			in.master = s
		}
		if kind == "" {
			break
		}
	}
	return in
}

// keys are the names under which a placeholder is looked for, the closest first.
func keys(kind, idx string) []string {
	switch kind {
	case "":
		kind = "body"
	case "ctrTitle":
		kind = "title"
	case "subTitle", "obj":
		kind = "body"
	}
	if idx == "" {
		return []string{kind}
	}
	return []string{"#" + idx, kind}
}

// frame is where the layout puts a placeholder.
func (in *inherited) frame(kind, idx string) *xmltree.Node {
	for _, k := range keys(kind, idx) {
		if x := in.places[k]; x != nil {
			return x
		}
	}
	return nil
}

// bullet is what the layout and the master say of the bullets of a placeholder's level: the properties that speak of one, or nil.
func (in *inherited) bullet(kind, idx string, level string) *xmltree.Node {
	for _, k := range keys(kind, idx) {
		for i, s := range in.styles {
			if in.keys[i] != k {
				continue
			}
			if p := s.Child(level); speaks(p) {
				return p
			}
		}
	}
	style := "bodyStyle"
	switch kind {
	case "title", "ctrTitle":
		style = "titleStyle"
	case "none":
		style = "otherStyle"
	}
	if p := in.master.Child(style, level); speaks(p) {
		return p
	}
	return nil
}

// speaks reports whether properties of a paragraph say whether it has a bullet.
func speaks(p *xmltree.Node) bool {
	return p.Child("buNone") != nil || p.Child("buChar") != nil || p.Child("buAutoNum") != nil || p.Child("buBlip") != nil
}
