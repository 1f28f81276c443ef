package docx

import (
	"strconv"
	"strings"

	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/signs"
	"docstream/processors/prepare/formats/xmltree"
)

// field is a complex field: first its instruction, then its result.
type field struct {
	instruction strings.Builder
	result      bool
	link        string
	form        *xmltree.Node // what it asks, if it belongs to a form
	before      int           // bytes of the paragraph before its result
}

// field follows a complex field from its begin over its instruction to its end.
func (r *reader) field(n *xmltree.Node, look flow.Look) {
	k := len(r.fields)
	if n.Name == "instrText" {
		if k > 0 && !r.fields[k-1].result {
			r.fields[k-1].instruction.WriteString(n.Content())
		}
		return
	}
	switch n.Attr("fldCharType") {
	case "begin":
		if k < 32 {
			r.fields = append(r.fields, field{form: n.Child("ffData"), before: r.para.words.Size()})
		}
	case "separate":
		if k > 0 {
			f := &r.fields[k-1]
			f.result, f.link, f.before = true, hyperlink(f.instruction.String()), r.para.words.Size()
		}
	case "end":
		if k > 0 {
			f := &r.fields[k-1]
			r.fields = r.fields[:k-1]
			if shown := k == 1 || r.fields[k-2].result; shown && r.para.words.Size() == f.before {
				r.para.words.Add(answer(f.form), look)
			}
		}
	}
}

// answer is what a field of a form shows where the document does not write it out: the tick of a box, what was chosen.
func answer(form *xmltree.Node) string {
	if box := form.Child("checkBox"); box != nil {
		ticked := box.Child("checked")
		if ticked == nil {
			if ticked = box.Child("default"); ticked == nil {
				return "☐"
			}
		}
		return map[bool]string{true: "☒", false: "☐"}[on(ticked.Attr("val"))]
	}
	list := form.Child("ddList")
	chosen := list.Child("result")
	if chosen == nil {
		chosen = list.Child("default")
	}
	if all, i := list.All("listEntry"), number(chosen.Attr("val"), 0); i >= 0 && i < len(all) {
		return all[i].Attr("val")
	}
	return ""
}

// hyperlink is the address in the instruction of a field that links, else "".
func hyperlink(instruction string) string {
	rest, ok := strings.CutPrefix(strings.TrimSpace(instruction), "HYPERLINK")
	if !ok {
		return ""
	}
	rest = strings.TrimSpace(rest)
	if !strings.HasPrefix(rest, `"`) {
		return ""
	}
	address, _, _ := strings.Cut(rest[1:], `"`)
	return address
}

// symbol is a sign of a symbol font.
func symbol(font, hex string) string {
	n, err := strconv.ParseUint(hex, 16, 16)
	if err != nil || n < 0x20 {
		return string(signs.Unknown)
	}
	return string(signs.Of(font, rune(n)))
}
