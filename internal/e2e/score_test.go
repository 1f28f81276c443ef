package e2e_test

import (
	"strings"
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
