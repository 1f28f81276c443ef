package witness

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// plain is what of a text is compared: letters without accents and case, and digits. Recognisers disagree about the rest on good pages.
func plain(s string) (out []rune) {
	for _, r := range norm.NFKD.String(strings.ToLower(s)) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			out = append(out, r)
		}
	}
	return out
}
