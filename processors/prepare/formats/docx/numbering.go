package docx

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"docstream/processors/prepare/formats/xmltree"
)

// levels of a list.
const levels = 9

// level is how one level of a list is numbered.
type level struct {
	format  string
	text    string // %1 stands for the number of the first level
	start   int
	restart int // level, from 1, whose items begin this one anew; 0: none; -1: any above
	legal   bool
	style   string
}

// list is an abstract numbering and where its counters stand.
type list struct {
	levels [levels]level
	count  [levels]int
	used   [levels]bool
	link   string // style whose numbering stands in for this one
}

// instance is a numbering that paragraphs name.
type instance struct {
	list  *list
	own   map[int]level // levels that it says otherwise
	start map[int]int   // numbers that it begins at
	begun map[int]bool
}

// numbering is all numberings of a document.
type numbering struct {
	instances map[string]*instance
}

func readNumbering(t *xmltree.Node) numbering {
	lists, byStyle := map[string]*list{}, map[string]*list{}
	for _, n := range t.All("abstractNum") {
		l := &list{link: n.Child("numStyleLink").Attr("val")}
		for i := range l.levels {
			l.levels[i] = level{format: "decimal", start: 1, restart: -1}
		}
		for _, c := range n.All("lvl") {
			if i := number(c.Attr("ilvl"), 0); i >= 0 && i < levels {
				l.levels[i] = readLevel(c)
			}
		}
		lists[n.Attr("abstractNumId")] = l
		if s := n.Child("styleLink").Attr("val"); s != "" {
			byStyle[s] = l
		}
	}
	out := numbering{instances: map[string]*instance{}}
	for _, n := range t.All("num") {
		l := lists[n.Child("abstractNumId").Attr("val")]
		if l == nil {
			continue
		}
		if other := byStyle[l.link]; l.link != "" && other != nil {
			l = other
		}
		in := &instance{list: l, own: map[int]level{}, start: map[int]int{}, begun: map[int]bool{}}
		for _, o := range n.All("lvlOverride") {
			i := number(o.Attr("ilvl"), -1)
			if i < 0 || i >= levels {
				continue
			}
			if c := o.Child("lvl"); c != nil {
				in.own[i] = readLevel(c)
			}
			if v, ok := o.Child("startOverride").Has("val"); ok {
				in.start[i] = number(v, 1)
			}
		}
		out.instances[n.Attr("numId")] = in
	}
	return out
}

func readLevel(n *xmltree.Node) level {
	l := level{format: "decimal", text: n.Child("lvlText").Attr("val"), start: number(n.Child("start").Attr("val"), 0), restart: -1, style: n.Child("pStyle").Attr("val")}
	if v, ok := n.Child("numFmt").Has("val"); ok {
		l.format = v
	}
	if v, ok := n.Child("lvlRestart").Has("val"); ok {
		l.restart = number(v, -1)
	}
	if g := n.Child("isLgl"); g != nil {
		l.legal = on(g.Attr("val"))
	}
	return l
}

func number(s string, otherwise int) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < -1_000_000 || n > 1_000_000_000 {
		return otherwise
	}
	return n
}

// level returns how a level is numbered.
func (in *instance) level(i int) level {
	if l, ok := in.own[i]; ok {
		return l
	}
	return in.list.levels[i]
}

// known reports whether paragraphs of the numbering have a marker at all.
func (n numbering) known(numID string) bool { return numID != "0" && n.instances[numID] != nil }

// levelOf is the level that a numbering keeps for paragraphs of a style.
func (n numbering) levelOf(numID, style string) (int, bool) {
	in := n.instances[numID]
	if in == nil || style == "" {
		return 0, false
	}
	for i := range levels {
		if in.level(i).style == style {
			return i, true
		}
	}
	return 0, false
}

// next counts one item and returns its marker; what has no marker returns "".
func (n numbering) next(numID string, at int) string {
	in := n.instances[numID]
	if in == nil {
		return ""
	}
	at = min(max(at, 0), levels-1)
	l := in.list
	start, overridden := in.start[at]
	switch {
	case overridden && !in.begun[at]:
		l.count[at] = start
	case !l.used[at]:
		l.count[at] = in.level(at).start
		if overridden {
			l.count[at] = start
		}
	default:
		l.count[at]++
	}
	in.begun[at], l.used[at] = true, true
	for i := range at {
		if !l.used[i] {
			l.used[i], l.count[i] = true, in.level(i).start
		}
	}
	for i := at + 1; i < levels; i++ {
		if r := in.level(i).restart; r < 0 || r > 0 && at < r {
			l.used[i] = false
		}
	}
	return in.marker(at)
}

// marker writes the numbers of an item as the level says.
func (in *instance) marker(at int) string {
	l := in.level(at)
	switch l.format {
	case "bullet":
		return bullet(l.text)
	case "none":
		return ""
	}
	out := l.text
	for i := range at + 1 {
		mark := fmt.Sprintf("%%%d", i+1)
		if !strings.Contains(out, mark) {
			continue
		}
		format := in.level(i).format
		if l.legal {
			format = "decimal"
		}
		out = strings.ReplaceAll(out, mark, numeral(format, in.list.count[i]))
	}
	return strings.TrimSpace(out)
}

// bullet is the sign of an unordered item. Signs of symbol fonts lie where other fonts have nothing.
func bullet(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 || r >= 0xe000 && r <= 0xf8ff || r == 'o' || r < 0x20 {
		return "•"
	}
	return string(r)
}

// numeral writes a number in one of Word's formats; those that are not known count in decimals.
func numeral(format string, n int) string {
	switch format {
	case "decimalZero":
		return fmt.Sprintf("%02d", n)
	case "lowerLetter":
		return letters(n, 'a')
	case "upperLetter":
		return letters(n, 'A')
	case "lowerRoman":
		return strings.ToLower(roman(n))
	case "upperRoman":
		return roman(n)
	case "ordinal":
		return fmt.Sprintf("%d%s", n, ordinal(n))
	case "bullet":
		return ""
	case "decimalEnclosedCircle", "decimalEnclosedCircleChinese":
		if n >= 1 && n <= 20 {
			return string('①' + rune(n-1))
		}
	case "chineseCounting", "chineseCountingThousand", "ideographDigital", "japaneseCounting", "taiwaneseCounting", "taiwaneseCountingThousand":
		if n >= 1 && n <= 99 {
			return chinese(n)
		}
	}
	return strconv.Itoa(n)
}

// chinese counts to 99.
func chinese(n int) string {
	digits := []rune("零一二三四五六七八九")
	out := ""
	if tens := n / 10; tens > 1 {
		out = string(digits[tens])
	}
	if n >= 10 {
		out += "十"
	}
	if n%10 > 0 {
		out += string(digits[n%10])
	}
	return out
}

// letters counts a to z, then aa to zz, then aaa.
func letters(n int, first rune) string {
	if n < 1 || n > 26*20 {
		return strconv.Itoa(n)
	}
	return strings.Repeat(string(first+rune((n-1)%26)), (n-1)/26+1)
}

func roman(n int) string {
	if n < 1 || n > 4999 {
		return strconv.Itoa(n)
	}
	var b strings.Builder
	for _, d := range []struct {
		value int
		sign  string
	}{{1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"}, {90, "XC"}, {50, "L"}, {40, "XL"}, {10, "X"}, {9, "IX"}, {5, "V"}, {4, "IV"}, {1, "I"}} {
		for ; n >= d.value; n -= d.value {
			b.WriteString(d.sign)
		}
	}
	return b.String()
}

func ordinal(n int) string {
	if n%100 >= 11 && n%100 <= 13 {
		return "th"
	}
	switch n % 10 {
	case 1:
		return "st"
	case 2:
		return "nd"
	case 3:
		return "rd"
	}
	return "th"
}
