package docx

import (
	"strings"

	"docstream/processors/prepare/formats/xmltree"
)

// formula writes a formula on one line, the way it would be typed.
func formula(n *xmltree.Node) string {
	switch n.Name {
	case "t":
		return n.Content()
	case "f":
		return group(n.Child("num")) + "/" + group(n.Child("den"))
	case "sSup":
		return parts(n.Child("e")) + "^" + group(n.Child("sup"))
	case "sSub":
		return parts(n.Child("e")) + "_" + group(n.Child("sub"))
	case "sSubSup":
		return parts(n.Child("e")) + "_" + group(n.Child("sub")) + "^" + group(n.Child("sup"))
	case "rad":
		return parts(n.Child("deg")) + "√" + group(n.Child("e"))
	case "nary":
		return nary(n)
	case "d":
		return delimited(n)
	case "m":
		return matrix(n)
	case "eqArr":
		return joined(n.All("e"), "; ")
	case "limLow", "sPre":
		return limits(n)
	case "limUpp":
		return parts(n.Child("e")) + "^" + group(n.Child("lim"))
	case "phant":
		if v := n.Child("phantPr", "show"); v != nil && !on(v.Attr("val")) {
			return ""
		}
	case "func":
		return parts(n.Child("fName")) + " " + parts(n.Child("e"))
	}
	return parts(n)
}

// parts writes everything within a node.
func parts(n *xmltree.Node) string {
	if n == nil {
		return ""
	}
	var b strings.Builder
	for _, c := range n.Children {
		if c.Name != "" && !strings.HasSuffix(c.Name, "Pr") {
			b.WriteString(formula(c))
		}
	}
	return b.String()
}

// group puts brackets around what has more than one sign.
func group(n *xmltree.Node) string {
	s := parts(n)
	if len([]rune(s)) <= 1 {
		return s
	}
	return "(" + s + ")"
}

// nary is a sum, product or integral.
func nary(n *xmltree.Node) string {
	sign := n.Child("naryPr", "chr").Attr("val")
	if sign == "" {
		sign = "∫"
	}
	if s := group(n.Child("sub")); s != "" {
		sign += "_" + s
	}
	if s := group(n.Child("sup")); s != "" {
		sign += "^" + s
	}
	return sign + " " + parts(n.Child("e"))
}

// limits is a formula with something below or before it.
func limits(n *xmltree.Node) string {
	if n.Name == "sPre" {
		return "_" + group(n.Child("sub")) + "^" + group(n.Child("sup")) + parts(n.Child("e"))
	}
	return parts(n.Child("e")) + "_" + group(n.Child("lim"))
}

// matrix is rows of cells.
func matrix(n *xmltree.Node) string {
	var rows []string
	for _, r := range n.All("mr") {
		rows = append(rows, joined(r.All("e"), ", "))
	}
	return strings.Join(rows, "; ")
}

func joined(all []*xmltree.Node, by string) string {
	out := make([]string, len(all))
	for i, e := range all {
		out[i] = parts(e)
	}
	return strings.Join(out, by)
}

// delimited is a formula in brackets.
func delimited(n *xmltree.Node) string {
	left, right := "(", ")"
	if v, ok := n.Child("dPr", "begChr").Has("val"); ok {
		left = v
	}
	if v, ok := n.Child("dPr", "endChr").Has("val"); ok {
		right = v
	}
	var in []string
	for _, e := range n.All("e") {
		in = append(in, parts(e))
	}
	return left + strings.Join(in, "|") + right
}
