package pdf

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/klippa-app/go-pdfium/enums"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
)

// pictures is what a page shows beside text.
type pictures struct {
	objects  int     // of any kind, at the top level
	coverage float64 // square points of the largest picture, which may be one of tiles
	covered  bool    // the largest picture is painted over text
	paths    int
	rules    rules

	shown []rect // the pictures, what touches put together
}

const (
	maxObjects = 1000 // looked at closely on one page
	maxTraced  = 5000 // looked at for rules
	maxDepth   = 3    // of forms inside forms
	unbroken   = 0.9  // of a place that pictures which touch have to cover to be one: a frame of them is none
)

// lookAtPictures walks the objects of the page in the order they are painted.
func (p *page) lookAtPictures() (pictures, error) {
	var s pictures
	c, err := p.pdf.FPDFPage_CountObjects(&requests.FPDFPage_CountObjects{Page: p.page})
	if err != nil {
		return s, fmt.Errorf("count objects: %w", err)
	}
	s.objects = c.Count
	texts, tiles, over := 0, 0.0, false
	for i := range min(c.Count, maxTraced) {
		o, err := p.pdf.FPDFPage_GetObject(&requests.FPDFPage_GetObject{Page: p.page, Index: i})
		if err != nil {
			continue
		}
		depth := maxDepth
		if i >= maxObjects {
			depth = 0
		}
		kind, picture := p.kindOf(o.PageObject, depth)
		switch kind {
		case enums.FPDF_PAGEOBJ_TEXT:
			texts++
		case enums.FPDF_PAGEOBJ_PATH, enums.FPDF_PAGEOBJ_SHADING:
			s.paths++
			if kind == enums.FPDF_PAGEOBJ_PATH {
				s.rules.trace(p, o.PageObject, unmoved)
			}
		case enums.FPDF_PAGEOBJ_FORM:
			s.rules.enter(p, o.PageObject, unmoved, maxDepth)
		}
		if !picture {
			continue
		}
		b, err := p.pdf.FPDFPageObj_GetBounds(&requests.FPDFPageObj_GetBounds{PageObject: o.PageObject})
		if err != nil {
			continue
		}
		r := p.place(float64(b.Left), float64(b.Bottom), float64(b.Right), float64(b.Top)).intersect(rect{0, 0, p.width, p.height})
		if r.area() > s.coverage {
			s.coverage, s.covered = r.area(), texts > 0
		}
		if tiles += r.area(); len(s.shown) == 0 {
			over = texts > 0
		}
		s.show(r)
	}
	for _, r := range s.shown { // scanners cut a page into strips
		if r.area() > s.coverage && tiles >= unbroken*r.area() {
			s.coverage, s.covered = r.area(), over
		}
	}
	return s, nil
}

// kindOf returns the kind of an object and whether it shows a picture; a form that holds one counts as one.
func (p *page) kindOf(o references.FPDF_PAGEOBJECT, depth int) (enums.FPDF_PAGEOBJ, bool) {
	t, err := p.pdf.FPDFPageObj_GetType(&requests.FPDFPageObj_GetType{PageObject: o})
	if err != nil {
		return enums.FPDF_PAGEOBJ_UNKNOWN, false
	}
	if t.Type != enums.FPDF_PAGEOBJ_FORM || depth == 0 {
		return t.Type, t.Type == enums.FPDF_PAGEOBJ_IMAGE
	}
	c, err := p.pdf.FPDFFormObj_CountObjects(&requests.FPDFFormObj_CountObjects{PageObject: o})
	if err != nil {
		return t.Type, false
	}
	for i := range min(c.Count, 20) {
		in, err := p.pdf.FPDFFormObj_GetObject(&requests.FPDFFormObj_GetObject{PageObject: o, Index: uint64(i)})
		if err != nil {
			continue
		}
		if _, picture := p.kindOf(in.PageObject, depth-1); picture {
			return t.Type, true
		}
	}
	return t.Type, false
}

// verdict on a text layer.
type verdict int

const (
	poor    verdict = iota // the page has to be looked at
	good                   // the text layer says what the page says
	claimed                // it may, but nobody sees it, or its letters are odd: it has to be held to what the page shows
	blank                  // the page says nothing
)

// judge decides from the layer alone, so that the same page always gets the same answer.
func (t *layer) judge() verdict {
	const (
		badShare    = 0.10 // of glyphs: a font without a usable encoding
		somePicture = 0.20
		stamp       = 200 // glyphs on a scan that may be no more than a stamp or a page number
		caption     = 30  // glyphs beside a picture or a drawing that may hold text
		drawing     = 300 // paths: text may have been turned into outlines
		plausible   = 0.97
	)
	text := t.letters()
	switch {
	case t.glyphs == 0 && t.objects == 0:
		return blank
	case t.glyphs == 0, float64(t.bad) > badShare*float64(t.glyphs):
		return poor
	case t.lies(text):
		return poor
	}
	share := t.coverage / max(t.area, 1)
	switch {
	case t.scan() && t.plausibility() < plausible, !t.scan() && share > fullPage && t.glyphs < stamp:
		return poor
	case t.scan(), text.odd():
		return claimed
	case t.glyphs < caption && (share > somePicture || t.paths > drawing):
		return poor
	}
	return good
}

// fullPage is the share of a page under one picture from which it is a scan.
const fullPage = 0.75

// scan reports whether what the text says is to be seen in a picture alone: most of it is invisible, or the picture is painted over it.
func (t *layer) scan() bool {
	return t.looked > 0 && 2*t.hidden > t.looked || t.covered && t.coverage > fullPage*t.area
}

// plausibility is the share of words that look as if a person had written them. A hidden layer made by a bad recogniser has stray
// signs, digits inside words and capitals in their middle.
func (t *layer) plausibility() float64 {
	if len(t.words) == 0 {
		return 0
	}
	n := 0
	for _, w := range t.words {
		if plausibleWord(w.text) {
			n++
		}
	}
	return float64(n) / float64(len(t.words))
}

func plausibleWord(s string) bool {
	s = strings.TrimFunc(s, func(r rune) bool { return unicode.IsPunct(r) || unicode.IsSymbol(r) })
	if s == "" {
		return false // a stray sign
	}
	letters, digits, others, inner := 0, 0, 0, 0
	var last rune
	for _, r := range s {
		switch {
		case unicode.IsLetter(r) || unicode.IsMark(r):
			letters++
			if unicode.IsUpper(r) && unicode.IsLower(last) {
				inner++
			}
		case unicode.IsDigit(r):
			digits++
		case !strings.ContainsRune(".,:/'’-–—&", r):
			others++
		}
		last = r
	}
	if letters == 1 && digits == 0 && others == 0 {
		return strings.ContainsAny(s, "aAIioOyYeEà") || !unicode.Is(unicode.Latin, last)
	}
	return others == 0 && inner <= 1 && (letters == 0 || digits == 0 || digits <= 4 && letters <= 3)
}
