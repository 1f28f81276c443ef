package pdf

import (
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
)

// maxGlyphs bounds the text of one page; a page with more is a picture made of letters.
const maxGlyphs = 50_000

// word is a run of glyphs without space in one font.
type word struct {
	rect
	text   string
	size   float64 // of the font as seen, points
	bold   bool
	mono   bool
	turned bool   // does not run from left to right
	target string // of the link it is in

	table *ruled // the word is none: it stands for a part of a table
}

// layer is the text of a page as it lies in the file.
type layer struct {
	words  []word
	glyphs int // visible ones
	bad    int // of them, those that stand for nothing readable
	hidden int // words drawn invisibly, of the looked-at
	looked int
	pictures
	area float64 // of the page
}

// glyph is one character of the text page.
type glyph struct {
	r   rune
	box rect
}

const (
	fontFixedPitch = 1 << 0
	fontForceBold  = 1 << 18
	boldWeight     = 600
	softHyphen     = 0x02 // PDFium's mark for a hyphen that ends a line
)

// read collects what the page shows.
func (p *page) read() (*layer, error) {
	t := &layer{area: p.width * p.height}
	var err error
	if t.pictures, err = p.lookAtPictures(); err != nil {
		return nil, err
	}
	return t, p.text(t)
}

// text collects the words of the page in the order of the file.
func (p *page) text(t *layer) error {
	tp, err := p.pdf.FPDFText_LoadPage(&requests.FPDFText_LoadPage{Page: p.page})
	if err != nil {
		return fmt.Errorf("load text: %w", err)
	}
	defer func() { _, _ = p.pdf.FPDFText_ClosePage(&requests.FPDFText_ClosePage{TextPage: tp.TextPage}) }()
	count, err := p.pdf.FPDFText_CountChars(&requests.FPDFText_CountChars{TextPage: tp.TextPage})
	if err != nil {
		return fmt.Errorf("count text: %w", err)
	}
	if count.Count > maxGlyphs {
		t.bad, t.glyphs = count.Count, count.Count
		return nil
	}
	if err := p.native.ready(); err != nil {
		return fmt.Errorf("read text: %w", err)
	}
	w := writer{page: p, text: tp.TextPage, layer: t}
	for i := range count.Count {
		if err := w.add(i); err != nil {
			return err
		}
	}
	return w.end()
}

// writer joins glyphs to words.
type writer struct {
	page  *page
	text  references.FPDF_TEXTPAGE
	layer *layer

	run  []glyph
	word word // of the run: its font, known from its first glyph
	high rune // first half of a surrogate pair
}

func (w *writer) add(i int) error {
	r, err := w.page.native.unicode(i)
	if err != nil {
		return fmt.Errorf("read glyph: %w", err)
	}
	switch {
	case utf16.IsSurrogate(r) && w.high == 0:
		w.high = r
		return nil
	case w.high != 0:
		r, w.high = utf16.DecodeRune(w.high, r), 0
	}
	if r == 0 || r == '\uFEFF' || r == '\u200B' {
		return nil
	}
	if unicode.IsSpace(r) {
		return w.end()
	}
	b, known, err := w.page.native.box(i)
	if err != nil {
		return fmt.Errorf("read glyph: %w", err)
	}
	if !known {
		return w.end() // a glyph without a place cannot be put anywhere
	}
	box := w.page.place(b[0], b[3], b[2], b[1])
	if outside(box, w.page) {
		return w.end()
	}
	w.layer.glyphs++
	if r == softHyphen || r == '\u00AD' {
		r = '-'
	}
	if !readable(r) {
		w.layer.bad++
		r = unicode.ReplacementChar
	}
	if n := len(w.run); n > 0 && (!adjoins(w.run[n-1].box, box, w.word.turned) ||
		!w.word.turned && (lifted(box, w.run[n-1].box) || lifted(w.run[n-1].box, box))) {
		if err := w.end(); err != nil {
			return err
		}
	}
	if len(w.run) == 0 {
		w.word = word{rect: box}
		if err := w.font(&w.word, i); err != nil {
			return err
		}
		w.look(i)
	}
	w.run = append(w.run, glyph{r, box})
	return nil
}

// outside reports whether a box lies off the page, as printers' marks and clipped text do, or nowhere at all.
func outside(b rect, p *page) bool {
	for _, v := range []float64{b.x0, b.y0, b.x1, b.y1} {
		if math.IsNaN(v) || math.Abs(v) > 1e6 {
			return true
		}
	}
	x, y := (b.x0+b.x1)/2, (b.y0+b.y1)/2
	return x < 0 || y < 0 || x > p.width || y > p.height
}

// readable reports whether a character can be part of a text: no control, no private use, nothing unassigned.
func readable(r rune) bool {
	switch {
	case r == unicode.ReplacementChar, r < 0x20, r >= 0x7f && r < 0xa0:
		return false
	case unicode.Is(unicode.Co, r), unicode.Is(unicode.Cs, r):
		return false
	}
	return unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r)
}

// adjoins reports whether b goes on where a ended. Glyphs of a turned word lie above or below one another.
func adjoins(a, b rect, turned bool) bool {
	if turned {
		em := max(a.width(), b.width(), 1)
		overlap := min(a.x1, b.x1) - max(a.x0, b.x0)
		return overlap > 0.4*min(a.width(), b.width()) && b.y0-a.y1 < 0.3*em && a.y0-b.y1 < 0.3*em
	}
	em := max(a.height(), b.height(), 1)
	overlap := min(a.y1, b.y1) - max(a.y0, b.y0)
	gap := b.x0 - a.x1
	return overlap > 0.4*min(a.height(), b.height()) && gap < 0.3*em && gap > -0.7*em-a.width()
}

// end closes the word at hand.
func (w *writer) end() error {
	if len(w.run) == 0 {
		return nil
	}
	var text strings.Builder
	for _, g := range w.run {
		w.word.rect = w.word.union(g.box)
		text.WriteRune(g.r)
	}
	w.word.text = text.String()
	w.layer.words = append(w.layer.words, w.word)
	w.run = w.run[:0]
	return nil
}

// font asks PDFium for the font of a word, by its first glyph.
func (w *writer) font(v *word, i int) error {
	n := w.page.native
	size, err := n.size(i)
	if err != nil {
		return fmt.Errorf("read font: %w", err)
	}
	v.size = size
	m, known, err := n.matrix(i)
	if err != nil {
		return fmt.Errorf("read font: %w", err)
	}
	if known {
		v.size *= math.Hypot(m[2], m[3])
		if a, b := math.Abs(m[0]), math.Abs(m[1]); (b > a) != (w.page.turn&1 == 1) {
			v.turned = true
		}
	}
	v.size *= w.page.scale
	if !(v.size > 0.5) || v.size > 2000 {
		v.size = max(1, v.height())
	}
	name, flags, known, err := n.font(i)
	if err != nil {
		return fmt.Errorf("read font: %w", err)
	}
	if known {
		v.mono = flags&fontFixedPitch != 0 || strings.Contains(name, "courier") || strings.Contains(name, "mono")
		v.bold = flags&fontForceBold != 0 || strings.Contains(name, "bold") || strings.Contains(name, "black") || strings.Contains(name, "heavy")
	}
	weight, err := n.weight(i)
	if err != nil {
		return fmt.Errorf("read font: %w", err)
	}
	v.bold = v.bold || weight >= boldWeight
	return nil
}

// look finds out whether a word is drawn invisibly. It matters only over a scan, and a sample will do.
func (w *writer) look(i int) {
	const sample = 200
	t := w.layer
	if t.coverage < 0.5*t.area || t.looked >= sample {
		return
	}
	o, err := w.page.pdf.FPDFText_GetTextObject(&requests.FPDFText_GetTextObject{TextPage: w.text, Index: i})
	if err != nil {
		return
	}
	m, err := w.page.pdf.FPDFTextObj_GetTextRenderMode(&requests.FPDFTextObj_GetTextRenderMode{PageObject: o.TextObject})
	if err != nil {
		return
	}
	t.looked++
	if m.TextRenderMode == 3 {
		t.hidden++
	}
}
