package e2e_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// wordF1 is the harmonic mean of precision and recall over words as multisets: what share of the words was read, and of what was read, what
// share was there. Case and punctuation count.
func wordF1(got, want string) float64 {
	g, w := words(got), words(want)
	have := map[string]int{}
	for _, x := range g {
		have[x]++
	}
	hits := 0
	for _, x := range w {
		if have[x] > 0 {
			have[x]--
			hits++
		}
	}
	if hits == 0 {
		return 0
	}
	p, r := float64(hits)/float64(len(g)), float64(hits)/float64(len(w))
	return 2 * p * r / (p + r)
}

// words splits at white space; marks of Markdown alone are no words.
func words(s string) []string {
	var out []string
	for w := range strings.FieldsSeq(s) {
		w = strings.Trim(w, "#*|`>")
		if strings.ContainsFunc(w, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
			out = append(out, w)
		}
	}
	return out
}

// unmarked leaves the letters and digits of a text, with spaces for all the rest: for truths whose writer made plain quotes and dashes of
// typeset ones and set marks apart.
func unmarked(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) {
			return r
		}
		return ' '
	}, s)
}

// cellF1 is the harmonic mean of precision and recall over the cells of all Markdown tables as multisets: each counts with its table's number,
// its row and its column. Marks of Markdown and white space do not count, nor do cells without a word.
func cellF1(got, want string) float64 {
	g, w := cells(got), cells(want)
	hits, all := 0, 0
	for k, n := range w {
		hits += min(n, g[k])
		all += n
	}
	for _, n := range g {
		all += n
	}
	if all == 0 {
		return 1
	}
	return 2 * float64(hits) / float64(all)
}

// cells lists the cells of the tables of a Markdown text.
func cells(s string) map[string]int {
	out := map[string]int{}
	table, row := 0, 0
	for l := range strings.SplitSeq(s, "\n") {
		l = strings.TrimSpace(l)
		if !strings.HasPrefix(l, "|") {
			if row > 0 {
				table++
			}
			row = 0
			continue
		}
		row++
		for i, c := range strings.Split(strings.Trim(l, "|"), "|") {
			if c = bare(c); c != "" {
				out[fmt.Sprintf("%d/%d/%d/%s", table, row, i, c)]++
			}
		}
	}
	return out
}

var (
	linkMark = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	comment  = regexp.MustCompile(`<!--.*?-->`)
)

// bare keeps the letters and digits of a cell: what converters write around and between them is their taste.
func bare(c string) string {
	c = linkMark.ReplaceAllString(comment.ReplaceAllString(c, ""), "$1")
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, c)
}

func TestCellsAreScoredByPlaceAndWords(t *testing.T) {
	const truth = "| a | b |\n| - | - |\n| 1 | **2** |\n"
	for name, c := range map[string]struct {
		got  string
		want float64
	}{
		"the same, marked otherwise": {"|a|b|\n|---|---|\n|1|[2](https://x.example)|\n", 1},
		"half of it":                 {"| a | b |\n| - | - |\n", 2.0 / 3},
		"columns changed":            {"| b | a |\n| - | - |\n| 1 | 2 |\n", 0.5},
		"no table":                   {"a b 1 2", 0},
	} {
		if got := cellF1(c.got, truth); got < c.want-1e-9 || got > c.want+1e-9 {
			t.Errorf("%s: %.3f, want %.3f", name, got, c.want)
		}
	}
}
