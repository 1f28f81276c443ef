// Package media says which kinds of documents there are and tells them apart by their bytes, by what a client calls them and by their
// names. Bytes have the last word; names only tell apart what bytes cannot: kinds of text, and containers whose content begins late.
package media

import (
	"bytes"
	"encoding/binary"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gabriel-vasile/mimetype"
)

// The media types Docstream reads.
const (
	PDF      = "application/pdf"
	PNG      = "image/png"
	JPEG     = "image/jpeg"
	TIFF     = "image/tiff"
	WebP     = "image/webp"
	BMP      = "image/bmp"
	GIF      = "image/gif"
	Word     = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	Excel    = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	Slides   = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
	ODT      = "application/vnd.oasis.opendocument.text"
	ODS      = "application/vnd.oasis.opendocument.spreadsheet"
	ODP      = "application/vnd.oasis.opendocument.presentation"
	EPUB     = "application/epub+zip"
	RTF      = "application/rtf"
	Plain    = "text/plain"
	Markdown = "text/markdown"
	HTML     = "text/html"
	CSV      = "text/csv"
	TSV      = "text/tab-separated-values"
	JSON     = "application/json"
	XML      = "application/xml"
	Mail     = "message/rfc822"
	Outlook  = "application/vnd.ms-outlook"
	OldWord  = "application/msword"
	OldExcel = "application/vnd.ms-excel"
	OldShow  = "application/vnd.ms-powerpoint"
)

// Compound is a container of the old kind whose content cannot be seen from its first bytes: an old Office document, a message, or a new
// one under a password.
const Compound = "application/x-ole-storage"

// Types lists what is read.
var Types = []string{PDF, PNG, JPEG, TIFF, WebP, BMP, GIF, Word, Excel, Slides, ODT, ODS, ODP, EPUB, RTF, Plain, Markdown, HTML, CSV, TSV, JSON,
	XML, Mail, Outlook, OldWord, OldExcel, OldShow}

var pictures = []string{PNG, JPEG, TIFF, WebP, BMP, GIF}

// packed are the kinds that are zip containers.
var packed = []string{Word, Excel, Slides, ODT, ODS, ODP, EPUB}

// folders give Office documents away whose first names do not.
var folders = []struct{ kind, folder string }{{Word, "word/"}, {Excel, "xl/"}, {Slides, "ppt/"}}

// compound are the kinds that are compound files.
var compound = []string{OldWord, OldExcel, OldShow, Outlook}

// texts are the kinds that are written in text: bytes may suit several of them.
var texts = []string{Plain, Markdown, HTML, CSV, TSV, JSON, XML, Mail, RTF}

// aliases are other names of the same kinds.
var aliases = map[string]string{
	"image/jpg": JPEG, "image/pjpeg": JPEG, "image/tif": TIFF, "image/x-tiff": TIFF, "image/x-png": PNG, "image/x-bmp": BMP, "image/x-ms-bmp": BMP,
	"application/x-pdf": PDF, "text/x-markdown": Markdown, "application/xhtml+xml": HTML, "text/rtf": RTF, "application/x-rtf": RTF,
	"text/xml": XML, "image/svg+xml": XML, "text/json": JSON, "application/csv": CSV, "text/x-csv": CSV, "text/tsv": TSV, "application/x-ndjson": JSON, "application/ld+json": JSON,
	"application/vnd.ms-word.document.macroenabled.12":                        Word,
	"application/vnd.openxmlformats-officedocument.wordprocessingml.template": Word,
	"application/vnd.ms-excel.sheet.macroenabled.12":                          Excel,
	"application/vnd.openxmlformats-officedocument.spreadsheetml.template":    Excel,
	"application/vnd.ms-powerpoint.presentation.macroenabled.12":              Slides,
	"application/vnd.openxmlformats-officedocument.presentationml.slideshow":  Slides,
	"application/vnd.openxmlformats-officedocument.presentationml.template":   Slides,
	"application/vnd.oasis.opendocument.text-template":                        ODT,
	"application/vnd.oasis.opendocument.spreadsheet-template":                 ODS,
	"application/vnd.oasis.opendocument.presentation-template":                ODP,
	"application/epub": EPUB, "application/x-msg": Outlook, "application/x-msexcel": OldExcel, "application/x-excel": OldExcel, "application/mspowerpoint": OldShow,
}

// extensions are the endings of names.
var extensions = map[string]string{
	".pdf": PDF, ".docx": Word, ".docm": Word, ".dotx": Word, ".xlsx": Excel, ".xlsm": Excel, ".xltx": Excel, ".pptx": Slides, ".pptm": Slides, ".ppsx": Slides,
	".odt": ODT, ".ott": ODT, ".ods": ODS, ".ots": ODS, ".odp": ODP, ".otp": ODP, ".epub": EPUB, ".rtf": RTF, ".txt": Plain, ".text": Plain, ".log": Plain,
	".md": Markdown, ".markdown": Markdown, ".html": HTML, ".htm": HTML, ".xhtml": HTML, ".csv": CSV, ".tsv": TSV, ".tab": TSV, ".json": JSON, ".jsonl": JSON,
	".ndjson": JSON, ".xml": XML, ".svg": XML, ".eml": Mail, ".msg": Outlook, ".doc": OldWord, ".dot": OldWord, ".xls": OldExcel, ".xlt": OldExcel, ".ppt": OldShow, ".pps": OldShow,
}

// silent are declared types that say nothing.
var silent = map[string]bool{"": true, "application/octet-stream": true, "binary/octet-stream": true, "application/x-www-form-urlencoded": true,
	"application/zip": true, "application/x-zip-compressed": true, Compound: true}

// Canonical drops the parameters of a media type and gives it the name it has here; a type that says nothing is "".
func Canonical(s string) string {
	s, _, _ = strings.Cut(s, ";")
	s = strings.ToLower(strings.TrimSpace(s))
	if silent[s] {
		return ""
	}
	if a, ok := aliases[s]; ok {
		return a
	}
	return s
}

// ByName returns the kind that a name's ending stands for, or "".
func ByName(name string) string { return extensions[strings.ToLower(path.Ext(name))] }

// Agrees reports whether bytes that were found to be of one kind may have been declared as another.
func Agrees(found, declared string) bool {
	declared = Canonical(declared)
	switch {
	case declared == "", declared == found:
		return true
	case found == Compound: // a new document under a password is a compound file too
		return slices.Contains(compound, declared) || slices.Contains(packed, declared)
	case found == CSV && declared == OldExcel: // what browsers on Windows call it
		return true
	}
	return slices.Contains(texts, found) && (strings.HasPrefix(declared, "text/") || slices.Contains(texts, declared))
}

// Shams reports whether bytes that are text are called something no text is: the error page that came instead of a document. Old Office
// documents are no such thing, because programs write web pages and tables under their names.
func Shams(found, declared, name string) bool {
	if !slices.Contains(texts, found) {
		return false
	}
	for _, called := range []string{Canonical(declared), ByName(name)} {
		if called == PDF || slices.Contains(pictures, called) || slices.Contains(packed, called) {
			return true
		}
	}
	return false
}

// Detect returns the kind of the bytes a file begins with, or "" where nobody reads it. What the client declares and the name only choose
// among kinds that the bytes allow.
func Detect(head []byte, declared, name string) string {
	declared = Canonical(declared)
	hint := declared
	if hint == "" {
		hint = ByName(name)
	}
	found := mimetype.Detect(head)
	for _, t := range append([]string{PDF}, pictures...) {
		if found.Is(t) && !(t == PDF && !isPDF(head, hint)) {
			return t
		}
	}
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return inZip(head, found, hint)
	case bytes.HasPrefix(head, oleMark):
		if slices.Contains(compound, hint) {
			return hint
		}
		return Compound
	case bytes.HasPrefix(head, []byte(`{\rtf`)):
		return RTF
	case isPDF(head, hint):
		return PDF
	}
	if !isText(found, head) {
		return ""
	}
	return asText(found, head, declared, name)
}

var (
	oleMark = []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
	pdfMark = []byte("%PDF-") // within the first kilobyte where it is said to be PDF: some printers write a line before it
)

func isPDF(head []byte, hint string) bool {
	return bytes.HasPrefix(head, pdfMark) || hint == PDF && bytes.Contains(head[:min(len(head), 1024)], pdfMark)
}

// inZip says what a container holds, by the first names in it. Where these say nothing the hint decides; whoever opens it sees.
func inZip(head []byte, found *mimetype.MIME, hint string) string {
	for _, t := range packed {
		if found.Is(t) {
			return t
		}
	}
	for other, t := range aliases { // templates and documents with macros; at most one is found
		if slices.Contains(packed, t) && found.Is(other) {
			return t
		}
	}
	if bytes.Contains(head, []byte("[Content_Types].xml")) {
		for _, f := range folders {
			if bytes.Contains(head, []byte(f.folder)) {
				return f.kind
			}
		}
	}
	if slices.Contains(packed, hint) {
		return hint
	}
	return ""
}

// InZip says what a container holds by all the names in it and by what its file "mimetype" says, or "".
func InZip(names []string, mimetype string) string {
	if t := Canonical(mimetype); slices.Contains(packed, t) {
		return t
	}
	for _, f := range folders {
		if slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, f.folder) && strings.HasSuffix(n, ".xml") }) &&
			slices.Contains(names, "[Content_Types].xml") {
			return f.kind
		}
	}
	if slices.Contains(names, "META-INF/container.xml") {
		return EPUB
	}
	return ""
}

// InCompound says what a compound file holds by the names of the streams in its root; encrypted: a document under a password.
func InCompound(streams []string) (kind string, encrypted bool) {
	for _, s := range streams {
		switch s {
		case "EncryptedPackage":
			return "", true
		case "WordDocument":
			kind = OldWord
		case "Workbook", "Book":
			kind = OldExcel
		case "PowerPoint Document":
			kind = OldShow
		case "__properties_version1.0":
			kind = Outlook
		}
	}
	return kind, false
}

// Packed reports whether a kind is a zip container.
func Packed(kind string) bool { return slices.Contains(packed, kind) }

// IsCompound reports whether a kind is a compound file.
func IsCompound(kind string) bool { return kind == Compound || slices.Contains(compound, kind) }

// isText reports whether the bytes can be text: in Unicode, or without the signs that no text has.
func isText(found *mimetype.MIME, head []byte) bool {
	for m := found; m != nil; m = m.Parent() {
		if m.Is(Plain) {
			return true
		}
	}
	return found.Is(PDF) && !bytes.HasPrefix(head, pdfMark) || legible(head) || wide(head) // a text may speak of a format, or happen to have its mark
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

// wide reports whether bytes are text in UTF-16 without a mark: of the two bytes of nearly every character of Latin text one is zero, always
// the same.
func wide(head []byte) bool {
	n := min(len(head), 4096) &^ 1
	if n < 8 {
		return false
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		units, latin := make([]uint16, n/2), 0
		for i := range units {
			if units[i] = order.Uint16(head[2*i:]); units[i] > 0 && units[i] < 0x100 {
				latin++
			}
		}
		if 10*latin >= 9*len(units) && legible([]byte(string(utf16.Decode(units)))) {
			return true
		}
	}
	return false
}

// Looks says what bytes look like that nobody reads, for an error to say it.
func Looks(head []byte) string {
	s, _, _ := strings.Cut(mimetype.Detect(head).String(), ";")
	return s
}

// asText says which kind of text it is: as declared, else as named, else as its bytes look.
func asText(found *mimetype.MIME, head []byte, declared, name string) string {
	if declared == OldExcel {
		return CSV
	}
	if slices.Contains(texts, declared) && declared != RTF {
		return declared
	}
	if t := ByName(name); declared == "" && slices.Contains(texts, t) && t != RTF {
		return t
	}
	switch {
	case found.Is(HTML), found.Is("application/xhtml+xml"):
		return HTML
	case found.Is(JSON), found.Is("application/x-ndjson"):
		return JSON
	case found.Is(XML), found.Is("text/xml"):
		return XML
	case mailHead(head):
		return Mail
	}
	for m := found; m != nil; m = m.Parent() {
		if s := Canonical(m.String()); s == XML {
			return XML
		}
	}
	return Plain
}

// mailHead reports whether a text begins as a message does: with fields only messages have.
func mailHead(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	name, _, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return false
	}
	switch strings.ToLower(string(name)) {
	case "received", "return-path", "delivered-to", "message-id", "mime-version", "dkim-signature", "x-mozilla-status":
		return true
	}
	return false
}
