package prepare

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/gabriel-vasile/mimetype"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/pdf"
	"docstream/processors/prepare/formats/text"
	"docstream/schemas"
)

const headBytes = 4096 // looked at to find a type

var (
	pdfMark   = []byte("%PDF-") // within the first kilobyte: some printers write a line before it
	oleMark   = []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
	encrypted = utf16le("EncryptedPackage")
)

// mediaType finds what a document is. The bytes have the last word; the declared type only tells kinds of text apart.
func mediaType(f *os.File, size int64, declared string) (string, error) {
	declared = bare(declared)
	head := make([]byte, min(size, headBytes))
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", fault.World(schemas.ServiceUnavailable, "The source is not on this machine.").Because(err)
	}
	switch {
	case size == 0:
		return "", fault.Document(schemas.DocumentEmpty, "%s", schemas.Codes[schemas.DocumentEmpty].Meaning)
	case bytes.HasPrefix(head, pdfMark), declared == pdf.MediaType && bytes.Contains(head[:min(len(head), 1024)], pdfMark):
		return pdf.MediaType, nil
	case bytes.HasPrefix(head, oleMark) && contains(f, size, encrypted):
		return "", fault.Document(schemas.DocumentEncrypted, "%s", schemas.Codes[schemas.DocumentEncrypted].Meaning)
	}
	found := mimetype.Detect(head)
	plain := found.Is(pdf.MediaType) // the mark further in: a text may speak of it
	for m := found; m != nil; m = m.Parent() {
		plain = plain || m.Is(text.Plain)
	}
	switch {
	// A text may have another format's mark where that format has it. Zeros are in texts of UTF-16 only, whose own mark is known.
	case (plain || bytes.IndexByte(head, 0) < 0) && (declared == text.Plain || declared == text.Markdown):
		return declared, nil
	case !plain && found.Is("application/octet-stream") && declared == pdf.MediaType:
		return "", formats.Corrupt(errors.New("no PDF header"))
	}
	return bare(found.String()), nil
}

// bare drops the parameters of a media type.
func bare(s string) string {
	s, _, _ = strings.Cut(s, ";")
	return strings.ToLower(strings.TrimSpace(s))
}

// contains looks for a mark in the first 64 MiB of a file.
func contains(f *os.File, size int64, mark []byte) bool {
	const most, step = 64 << 20, 64 << 10
	buf := make([]byte, step+len(mark))
	for at := int64(0); at < min(size, most); at += step {
		n, err := f.ReadAt(buf, at)
		if bytes.Contains(buf[:n], mark) {
			return true
		}
		if err != nil {
			return false
		}
	}
	return false
}

func utf16le(s string) []byte {
	out := make([]byte, 0, 2*len(s))
	for i := range len(s) {
		out = append(out, s[i], 0)
	}
	return out
}
