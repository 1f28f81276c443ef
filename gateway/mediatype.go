package gateway

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"docstream/internal/media"
	"docstream/schemas"
)

// mediaType finds what a file is by its first bytes. The bytes have the last word; what the client declares must not contradict them.
func mediaType(head []byte, declared, filename string) (string, error) {
	found := media.Detect(head, declared, filename)
	if found == "" {
		return "", refuse(schemas.UnsupportedMediaType, "").with("found", media.Looks(head)).with("supported", media.Types)
	}
	if !media.Agrees(found, declared) {
		return "", refuse(schemas.MediaTypeMismatch, "").with("declared", clip(media.Canonical(declared), 80)).with("found", found)
	}
	return found, nil
}

// maxFilename bounds a file name, in bytes.
const maxFilename = 255

// cleanName makes a client's file name fit to be shown: its last element, no control or direction characters, bounded. It is never part of
// a key or a path.
func cleanName(name string) string {
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
