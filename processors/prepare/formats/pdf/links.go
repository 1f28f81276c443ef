package pdf

import (
	"slices"
	"unicode/utf8"

	"github.com/klippa-app/go-pdfium/requests"

	"docstream/schemas/document"
)

// link is a place on the page that leads to an address.
type link struct {
	rect
	target string
}

const (
	maxLinks = 500 // looked at on one page
	maxQuads = 20  // places of one link
)

// links returns the places of the page that lead out of the document. They are gone once a page is flattened.
func (p *page) links() []link {
	var out []link
	at := 0
	for range maxLinks {
		l, err := p.pdf.FPDFLink_Enumerate(&requests.FPDFLink_Enumerate{Page: p.page, StartPos: at})
		if err != nil || l.Link == nil || l.NextStartPos == nil {
			return out
		}
		at = *l.NextStartPos
		a, err := p.pdf.FPDFLink_GetAction(&requests.FPDFLink_GetAction{Link: *l.Link})
		if err != nil || a.Action == nil {
			continue // leads to another page
		}
		u, err := p.pdf.FPDFAction_GetURIPath(&requests.FPDFAction_GetURIPath{Document: p.page.ByIndex.Document, Action: *a.Action})
		if err != nil || u.URIPath == nil || !utf8.ValidString(*u.URIPath) || !document.Linkable(*u.URIPath) {
			continue
		}
		quads := 0
		if c, err := p.pdf.FPDFLink_CountQuadPoints(&requests.FPDFLink_CountQuadPoints{Link: *l.Link}); err == nil {
			quads = min(c.Count, maxQuads)
		}
		for i := range quads {
			q, err := p.pdf.FPDFLink_GetQuadPoints(&requests.FPDFLink_GetQuadPoints{Link: *l.Link, QuadIndex: i})
			if err != nil || q.Points == nil {
				continue
			}
			xs := []float32{q.Points.X1, q.Points.X2, q.Points.X3, q.Points.X4}
			ys := []float32{q.Points.Y1, q.Points.Y2, q.Points.Y3, q.Points.Y4}
			out = append(out, link{p.place(float64(slices.Min(xs)), float64(slices.Min(ys)), float64(slices.Max(xs)), float64(slices.Max(ys))), *u.URIPath})
		}
		if r, err := p.pdf.FPDFLink_GetAnnotRect(&requests.FPDFLink_GetAnnotRect{Link: *l.Link}); quads == 0 && err == nil && r.Rect != nil {
			out = append(out, link{p.place(float64(r.Rect.Left), float64(r.Rect.Bottom), float64(r.Rect.Right), float64(r.Rect.Top)), *u.URIPath})
		}
	}
	return out
}

// link notes which words lie in links.
func (t *layer) link(links []link) {
	for _, l := range links {
		for i := range t.words {
			if l.holds(t.words[i].rect) {
				t.words[i].target = l.target
			}
		}
	}
}

// said returns the text of rows and what is said of its parts.
func said(rows []row) (string, []document.Span) {
	lines := make([]document.Line, len(rows))
	for i, r := range rows {
		lines[i].Text = r.text()
	}
	text, begins := join(rows, lines)
	return text, spansOf(rows, begins)
}

// spansOf returns the links of a text; line i of it begins at begins[i].
func spansOf(rows []row, begins []int) []document.Span {
	var out []document.Span
	for i, r := range rows {
		at := begins[i]
		for j, w := range r.words {
			if j > 0 && r.spaced(j) {
				at++
			}
			n := utf8.RuneCountInString(w.text)
			if w.target != "" {
				end := at + n
				if i+1 < len(rows) {
					end = min(end, begins[i+1]) // a hyphen may be gone
				}
				if k := len(out); k > 0 && out[k-1].Target == w.target && at-out[k-1].End <= 1 {
					out[k-1].End = end
				} else if end > at {
					out = append(out, document.Span{Start: at, End: end, Kind: document.Link, Target: w.target})
				}
			}
			at += n
		}
	}
	return out
}
