// Package markdown reads Markdown in GitHub's dialect, with footnotes: it is rendered to HTML, and that is read as a page is.
package markdown

import (
	"bytes"
	"os"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	raw "github.com/yuin/goldmark/renderer/html"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/html"
	"docstream/processors/prepare/formats/text"
	"docstream/schemas"
)

// MediaType is what the format claims.
const MediaType = "text/markdown"

// maxNesting bounds the marks at the start of a line that open a block within a block.
const maxNesting = 100

// Format is Markdown.
type Format struct{}

// New returns the format.
func New() Format { return Format{} }

// Claims reports whether the media type is Markdown.
func (Format) Claims(media string) bool { return media == MediaType }

// Open reads the text whole.
func (Format) Open(f *os.File, size int64, _ string, l formats.Limits) (formats.Document, error) {
	if size == 0 {
		return nil, fault.Document(schemas.DocumentEmpty, "%s", schemas.Codes[schemas.DocumentEmpty].Meaning)
	}
	b, err := flow.ReadAll(f, size, l.Text)
	if err != nil {
		return nil, err
	}
	source := strings.ReplaceAll(text.Decode(b), "\r\n", "\n")
	if err := checkNesting(source); err != nil {
		return nil, err
	}
	out := flow.New(l)
	var page bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote), goldmark.WithRendererOptions(raw.WithUnsafe())).Convert([]byte(front(source)), &page); err != nil {
		return nil, formats.Corrupt(err)
	}
	root, err := html.Parse(&page)
	if err != nil {
		return nil, err
	}
	html.Write(out, root)
	return out.Words()
}

// front leaves out the settings that some writers put before the text, between two lines of dashes.
func front(s string) string {
	rest, ok := strings.CutPrefix(s, "---\n")
	if !ok {
		return s
	}
	if head, body, ok := strings.Cut(rest, "\n---\n"); ok && strings.Contains(head, ":") && !strings.Contains(head, "\n\n") {
		return body
	}
	return s
}

// checkNesting refuses lines that open more blocks within one another than a text has.
func checkNesting(s string) error {
	for l := range strings.SplitSeq(s, "\n") {
		n := 0
		for _, r := range l {
			if r == '>' || r == '-' || r == '*' || r == '+' {
				n++
			} else if r != ' ' && r != '\t' {
				break
			}
		}
		if n > maxNesting && strings.ContainsRune(l, '>') {
			return formats.TooDeep(maxNesting)
		}
	}
	return nil
}
