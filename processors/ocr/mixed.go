package ocr

import (
	"encoding/json"
	"fmt"
	"slices"

	"docstream/internal/engine/raster"
	"docstream/schemas/document"
)

// read reads what a request asks for: the page that the image shows, or what the text of a page lacks.
func (r *Reader) read(im *raster.Image, req Request) (*document.Page, error) {
	if r.beyond(req.Languages) {
		doubt := r.doubt
		r.doubt = allLines
		defer func() { r.doubt = doubt }()
	}
	if len(req.Text) == 0 {
		return r.Page(im, req.Number, req.DPI, req.Regions)
	}
	var text document.Page
	if err := json.Unmarshal(req.Text, &text); err != nil {
		return nil, fmt.Errorf("decode the text of the page: %w", err)
	}
	compass := r.compass // the page lies as its text does
	r.compass = nil
	defer func() { r.compass = compass }()
	read, err := r.Page(im, req.Number, req.DPI, req.Regions)
	if err != nil {
		return nil, err
	}
	return mix(&text, read), nil
}

// mix puts what was recognised in the pictures of a page among the blocks of its text: behind the figure that it was read in, else behind the
// last block above it that shares its column.
func mix(text, read *document.Page) *document.Page {
	words := float64(text.Words())
	sum := words * text.Confidence
	any := false
	for _, b := range read.Blocks {
		if b.Kind == document.Figure && b.Text == "" {
			continue
		}
		if b.Kind == document.Header || b.Kind == document.Footer {
			b.Kind = document.Paragraph
		}
		at := -1
		for i, o := range text.Blocks {
			if o.Kind == document.Figure && shared(o.Box, b.Box) > insideShare*extentOf(b.Box) {
				for at = i; at+1 < len(text.Blocks) && text.Blocks[at+1].Confidence < 1 && shared(o.Box, text.Blocks[at+1].Box) > 0; at++ {
				}
				break
			}
			if o.Kind != document.Footer && min(o.Box[2], b.Box[2]) > max(o.Box[0], b.Box[0]) && o.Box[1]+o.Box[3] < b.Box[1]+b.Box[3] {
				at = i
			}
		}
		text.Blocks = slices.Insert(text.Blocks, at+1, b)
		any = true
	}
	n := float64(text.Words())
	if sum += (n - words) * read.Confidence; n > 0 {
		text.Confidence = document.Round3(sum / n)
	}
	if any {
		text.Source = "mixed"
	}
	text.Warnings = append(text.Warnings, read.Warnings...)
	return text
}

// extentOf is the area of a box.
func extentOf(b document.Box) float64 { return (b[2] - b[0]) * (b[3] - b[1]) }

// shared is the area that two boxes have in common.
func shared(a, b document.Box) float64 {
	return max(0, min(a[2], b[2])-max(a[0], b[0])) * max(0, min(a[3], b[3])-max(a[1], b[1]))
}
