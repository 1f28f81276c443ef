package media

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFilename bounds a file name, in bytes.
const maxFilename = 255

// CleanName makes a client's file name fit to be shown: its last element, no control or direction characters, bounded. It is never part of
// a key or a path.
func CleanName(name string) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, name)
	name = strings.TrimSpace(name)
	for len(name) > maxFilename {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	if name == "." || name == ".." {
		return ""
	}
	return name
}
