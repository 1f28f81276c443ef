package gateway

import (
	"bytes"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gabriel-vasile/mimetype"

	"docstream/schemas"
)

// The media types Docstream reads. Texts are told apart by what the client says: bytes cannot tell Markdown from any other.
const (
	typePDF      = "application/pdf"
	typePlain    = "text/plain"
	typeMarkdown = "text/markdown"
)

var images = []string{"image/png", "image/jpeg", "image/tiff", "image/webp", "image/bmp", "image/gif"}

// aliases are other names clients use.
var aliases = map[string]string{
	"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/tif": "image/tiff", "image/x-tiff": "image/tiff", "image/x-png": "image/png",
	"image/x-bmp": "image/bmp", "image/x-ms-bmp": "image/bmp", "application/x-pdf": typePDF, "text/x-markdown": typeMarkdown,
}

// undeclared are types that say nothing.
var undeclared = map[string]bool{"": true, "application/octet-stream": true, "binary/octet-stream": true, "application/x-www-form-urlencoded": true}

// pdfMark may stand behind a line or two that some printers write before it.
var (
	pdfMark   = []byte("%PDF-")
	pdfWithin = 1024
)

// mediaType finds what a file is by its first bytes. The bytes have the last word; what the client declares must not contradict them.
func mediaType(head []byte, declared, filename string) (string, error) {
	declared = bare(declared)
	if a, ok := aliases[declared]; ok {
		declared = a
	}
	found := sniff(head, declared, filename)
	if found == "" {
		return "", refuse(schemas.UnsupportedMediaType, "").with("found", bare(mimetype.Detect(head).String())).with("supported", append([]string{typePDF, typePlain, typeMarkdown}, images...))
	}
	text := strings.HasPrefix(found, "text/")
	switch {
	case undeclared[declared], found == declared, text && strings.HasPrefix(declared, "text/"):
		return found, nil
	}
	return "", refuse(schemas.MediaTypeMismatch, "").with("declared", clip(declared, 80)).with("found", found)
}

// sniff returns the supported type of the bytes, or "".
func sniff(head []byte, declared, filename string) string {
	found := mimetype.Detect(head)
	name := bare(found.String())
	for _, t := range append([]string{typePDF}, images...) {
		if found.Is(t) {
			return t
		}
	}
	if !strings.HasPrefix(name, "text/") && bytes.Contains(head[:min(len(head), pdfWithin)], pdfMark) &&
		(declared == typePDF || strings.EqualFold(path.Ext(filename), ".pdf")) {
		return typePDF
	}
	plain := false
	for m := found; m != nil; m = m.Parent() {
		plain = plain || m.Is(typePlain)
	}
	switch {
	case plain:
		return asText(name, declared, filename)
	case legible(head): // a text that happens to have a format's mark where that format has it
		return asText("", declared, filename)
	}
	return ""
}

// legible reports whether bytes are text that a person can read: UTF-8 without control characters but those of white space. A character cut
// off at the end is none of its faults.
func legible(head []byte) bool {
	for len(head) > 0 {
		r, n := utf8.DecodeRune(head)
		if r == utf8.RuneError && n == 1 {
			return !utf8.FullRune(head)
		}
		if unicode.IsControl(r) && !unicode.IsSpace(r) {
			return false
		}
		head = head[n:]
	}
	return true
}

// asText says which kind of text it is. Formats that are written in text, such as HTML or JSON, are no plain text unless the client says
// so.
func asText(name, declared, filename string) string {
	ext := strings.ToLower(path.Ext(filename))
	switch {
	case declared == typeMarkdown, undeclared[declared] && (ext == ".md" || ext == ".markdown"):
		return typeMarkdown
	case declared == typePlain, undeclared[declared] && ext == ".txt":
		return typePlain
	case name == typePlain, name == "text/csv", name == "text/tab-separated-values", strings.HasPrefix(name, "text/x-"):
		return typePlain
	}
	return ""
}

// bare drops the parameters of a media type.
func bare(s string) string {
	s, _, _ = strings.Cut(s, ";")
	return strings.ToLower(strings.TrimSpace(s))
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
