// Package structure scores the Markdown made of a document against what is expected of it: its words, their order, its headings, its
// lists and the cells of its tables, its characters from first to last, and its fields.
//
// Both sides are Markdown, so that what other programs write is scored by the same rules as ours.
package structure

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"docstream/ops/bench/paper"
)

// Scores of one document, 0 to 1. A score is below 0 where neither side has anything of the kind.
type Scores struct {
	Words    float64 `json:"words"`    // F1 of words, wherever they stand
	Order    float64 `json:"order"`    // F1 of pairs of neighbouring words
	Headings float64 `json:"headings"` // F1 of headings with their level
	Lists    float64 `json:"lists"`    // F1 of list items with their depth
	Cells    float64 `json:"cells"`    // F1 of cells with their neighbours to the right and below
	Fields   float64 `json:"fields"`   // share of the expected fields that the text has
	CER      float64 `json:"cer"`      // characters to change, add or remove, of those expected: the one score where less is better
}

// None is the score of what neither side has.
const None = -1

// Score compares what was made with what is expected.
func Score(got, want string) Scores {
	g, w := read(got), read(want)
	return Scores{Words: f1(g.words, w.words), Order: f1(pairs(g.words), pairs(w.words)), Headings: f1(g.headings, w.headings),
		Lists: f1(g.items, w.items), Cells: f1(g.cells, w.cells), Fields: None, CER: paper.Compare(g.text(), w.text()).CER()}
}

// Bare scores Markdown against an expected text without structure.
func Bare(got, want string) Scores {
	s := paper.Compare(read(got).text(), plain(want))
	return Scores{Words: s.F1(), Order: None, Headings: None, Lists: None, Cells: None, Fields: None, CER: s.CER()}
}

// outline is what of a document is compared, in its order.
type outline struct{ words, headings, items, cells []string }

func (o outline) text() string { return strings.Join(o.words, " ") }

var (
	heading = regexp.MustCompile(`^(#{1,6})\s+(.*)$`)
	entry   = regexp.MustCompile(`^( *)([-*+]|\d{1,9}[.)])\s+(.*)$`)
	ruler   = regexp.MustCompile(`^\|?(\s*:?-+:?\s*\|)+\s*(:?-+:?\s*)?$`)
	comment = regexp.MustCompile(`(?s)<!--.*?-->`)
	target  = regexp.MustCompile(`(!?\[[^\]]*\])\([^)]*\)`)
	escape  = regexp.MustCompile(`\\([\\|*_<>\[\]#.+)-])`)
)

// hidden stands for a bar that is no border while a row is cut.
const hidden = "\x00"

func read(markdown string) outline {
	var o outline
	var table [][]string
	end := func() {
		o.cells = append(o.cells, related(table)...)
		table = nil
	}
	for line := range strings.Lines(target.ReplaceAllString(comment.ReplaceAllString(markdown, ""), "$1")) {
		line = strings.TrimRight(line, "\r\n ")
		if bare := strings.TrimSpace(line); strings.HasPrefix(bare, "|") {
			if !ruler.MatchString(bare) {
				row := cut(bare)
				table = append(table, row)
				for i, c := range row {
					if i == 0 || c != row[i-1] { // a cell that spans columns stands in each of them
						o.words = append(o.words, strings.Fields(c)...)
					}
				}
			}
			continue
		}
		end()
		text := line
		if m := heading.FindStringSubmatch(line); m != nil {
			text = m[2]
			o.headings = append(o.headings, m[1]+" "+plain(text))
		} else if m := entry.FindStringSubmatch(line); m != nil {
			text = m[3]
			o.items = append(o.items, strings.Repeat(">", len(m[1])/2)+" "+plain(text))
		}
		o.words = append(o.words, strings.Fields(plain(text))...)
	}
	end()
	return o
}

// cut takes a row of a table apart.
func cut(row string) []string {
	row = strings.TrimSuffix(strings.TrimPrefix(strings.ReplaceAll(row, `\|`, hidden), "|"), "|")
	var out []string
	for c := range strings.SplitSeq(row, "|") {
		out = append(out, plain(strings.ReplaceAll(c, hidden, "|")))
	}
	return out
}

// related names every cell by itself and its neighbours, so that a cell in a wrong row or column counts for less than one in its place.
// Where a table begins on the page plays no part.
func related(table [][]string) []string {
	var out []string
	for y, row := range table {
		for x, c := range row {
			if c == "" {
				continue
			}
			out = append(out, c)
			if x+1 < len(row) && row[x+1] != "" {
				out = append(out, c+" > "+row[x+1])
			}
			if y+1 < len(table) && x < len(table[y+1]) && table[y+1][x] != "" {
				out = append(out, c+" v "+table[y+1][x])
			}
		}
	}
	return out
}

// plain leaves letters, figures and signs that mean something, in lower case, with one space between words.
func plain(s string) string {
	s = escape.ReplaceAllString(s, "$1")
	s = strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune("*`~", r), r == '\u00AD':
			return -1
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ToLower(r)
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

func pairs(words []string) []string {
	var out []string
	for i := 1; i < len(words); i++ {
		out = append(out, words[i-1]+" "+words[i])
	}
	return out
}

// f1 is the harmonic mean of precision and recall of two bags.
func f1(got, want []string) float64 {
	if len(got)+len(want) == 0 {
		return None
	}
	g, w := slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	both := 0
	for i, k := 0, 0; i < len(g) && k < len(w); {
		switch strings.Compare(g[i], w[k]) {
		case -1:
			i++
		case 1:
			k++
		default:
			both, i, k = both+1, i+1, k+1
		}
	}
	return 2 * float64(both) / float64(len(g)+len(w))
}
