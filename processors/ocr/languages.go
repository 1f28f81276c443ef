package ocr

import (
	"slices"
	"strings"
)

// letters are signs of languages whose others the quick recogniser may all know: kana beside Han signs, single letters of Latin alphabets. What
// a recogniser does not know it does not miss: it reads something else, and is sure of it.
var letters = map[string]string{"ja": "のア", "az": "ə", "ro": "șț"}

// beyond reports whether a language that a page is said to be in has letters that only the thorough recogniser knows. A language is its code,
// such as ja or zh-Hans.
func (r *Reader) beyond(languages []string) bool {
	if r.thorough == nil {
		return false
	}
	for _, l := range languages {
		main, _, _ := strings.Cut(strings.ToLower(l), "-")
		for _, sign := range letters[main] {
			if !r.quick.knows(string(sign)) && r.thorough.knows(string(sign)) {
				return true
			}
		}
	}
	return false
}

func (r *recogniser) knows(sign string) bool { return slices.Contains(r.dictionary, sign) }
