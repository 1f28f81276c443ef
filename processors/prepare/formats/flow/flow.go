// Package flow collects what a document that has no places says, block after block, and cuts it into pages.
//
// A flowing document's boxes say only what comes after what: a block is one point high for each of its lines, and as wide as its longest
// line has characters.
package flow

import (
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/schemas"
	"docstream/schemas/document"
)

// The bounds of one page and of a whole document: a page is one message and is held in memory by every stage behind this one.
const (
	pageCells = 20_000
	pageText  = 1 << 20 // bytes
	maxCells  = 2_000_000
	maxBlocks = 1_000_000
	maxCell   = 4 << 20 // bytes of text in one cell
)

// Builder collects the blocks of a document. The first bound that is broken is kept and returned by [Builder.Document].
type Builder struct {
	limits formats.Limits
	pages  []*document.Page
	title  string
	hidden bool
	wide   float64
	row    float64
	cells  int // of the page
	text   int // bytes of the page
	blocks int // of the document
	all    int // cells of the document
	err    error

	pictures map[*document.Image]Load // of figures, by what stands in the block until the page is read
}

// Load reads the image file that a figure shows.
type Load func() ([]byte, error)

// New returns a builder with one empty page.
func New(l formats.Limits) *Builder {
	b := &Builder{limits: l}
	b.begin()
	return b
}

func (b *Builder) begin() {
	p := formats.Empty(len(b.pages)+1, 0, 0)
	p.Title, p.Hidden = b.title, b.hidden
	b.pages = append(b.pages, p)
	b.wide, b.row, b.cells, b.text = 1, 0, 0, 0
	if len(b.pages) > b.limits.Pages {
		b.fail(b.limits.CheckPages(len(b.pages)))
	}
}

func (b *Builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// Refuse keeps a bound that a reader found broken.
func (b *Builder) Refuse(err error) { b.fail(err) }

// Err returns the first bound that was broken: a reader that asks now and then stops early.
func (b *Builder) Err() error { return b.err }

func (b *Builder) page() *document.Page { return b.pages[len(b.pages)-1] }

// Break ends the page, unless nothing is on it.
func (b *Builder) Break() {
	if len(b.page().Blocks) > 0 && b.err == nil {
		b.seal()
		b.begin()
	}
}

// Part begins a page for a part of the document that has a name; an empty page takes the name over.
func (b *Builder) Part(title string, hidden bool) {
	b.title, b.hidden = title, hidden
	if p := b.page(); len(p.Blocks) == 0 && p.Title == "" {
		p.Title, p.Hidden = title, hidden
		return
	}
	if b.err == nil {
		b.seal()
		b.begin()
	}
}

func (b *Builder) seal() {
	p := b.page()
	p.Width, p.Height = document.Round1(b.wide), document.Round1(max(1, b.row))
}

// put appends a block, on a new page where this one is full.
func (b *Builder) put(block document.Block, cells, text int) {
	if b.err != nil {
		return
	}
	if b.cells > 0 && b.cells+cells > pageCells || b.text > 0 && b.text+text > pageText {
		b.Break()
	}
	if b.blocks++; b.blocks > maxBlocks {
		b.fail(formats.TooLarge("more than %d blocks", maxBlocks))
		return
	}
	b.cells += cells
	b.text += text
	block.Confidence = 1
	b.place(&block)
	p := b.page()
	p.Blocks = append(p.Blocks, block)
}

// place gives a block its box below the one before.
func (b *Builder) place(block *document.Block) {
	indent := 0.0
	if block.Kind == document.ListItem {
		indent = float64(block.Level - 1)
	}
	rows, wide := 1.0, 1.0
	if t := block.Table; t != nil {
		rows, wide = float64(t.Rows), float64(t.Columns)
		for i := range t.Cells {
			c := &t.Cells[i]
			x, y := float64(c.Column), b.row+float64(c.Row)
			c.Box = document.NewBox(x, y, x+float64(max(1, c.ColumnSpan)), y+float64(max(1, c.RowSpan)))
			c.Confidence = 1
		}
	} else {
		rows = 0
		for l := range strings.SplitSeq(block.Text, "\n") {
			rows++
			wide = max(wide, float64(utf8.RuneCountInString(l)))
		}
	}
	block.Box = document.NewBox(indent, b.row, indent+wide, b.row+rows)
	b.wide = max(b.wide, indent+wide)
	b.row += rows
}

// words puts a block of text, cut where it is longer than a page takes; nothing is put where there is nothing to read.
func (b *Builder) words(block document.Block, t Text) {
	block.Text, block.Spans = t.String, t.Spans
	if strings.TrimSpace(t.String) == "" {
		return
	}
	for len(block.Text) > pageText {
		at := pageText
		for !utf8.RuneStart(block.Text[at]) {
			at--
		}
		head := block
		head.Text, head.Spans, block.Spans = block.Text[:at], nil, nil
		b.put(head, 0, at)
		block.Text = block.Text[at:]
	}
	b.put(block, 0, len(block.Text))
}

// Heading puts a heading of a level from 1.
func (b *Builder) Heading(level int, t Text) {
	b.words(document.Block{Kind: document.Heading, Level: min(max(level, 1), 9)}, t.plain())
}

// Paragraph puts a paragraph.
func (b *Builder) Paragraph(t Text) { b.words(document.Block{Kind: document.Paragraph}, t) }

// Item puts an item of a list of a level from 1; the marker is a bullet, a number or whatever the document shows.
func (b *Builder) Item(level int, marker string, t Text) {
	if strings.TrimSpace(t.String) == "" {
		return
	}
	if marker = strings.TrimSpace(marker); marker != "" {
		t = t.after(marker + " ")
	}
	b.words(document.Block{Kind: document.ListItem, Level: min(max(level, 1), 9)}, t)
}

// Code puts text whose lines and spaces matter.
func (b *Builder) Code(s string) {
	b.words(document.Block{Kind: document.Code}, Text{String: strings.Trim(strings.ReplaceAll(s, "\r\n", "\n"), "\n")})
}

// Figure puts what is said of a picture.
func (b *Builder) Figure(alt string) { b.words(document.Block{Kind: document.Figure}, Plain(alt)) }

// Picture puts a figure, what is said of it (which may be nothing), and where what it shows comes from.
func (b *Builder) Picture(alt string, load Load) {
	if load == nil {
		b.Figure(alt)
		return
	}
	at := &document.Image{}
	if b.pictures == nil {
		b.pictures = map[*document.Image]Load{}
	}
	b.pictures[at] = load
	t := Plain(alt)
	b.put(document.Block{Kind: document.Figure, Image: at, Text: t.String}, 0, len(t.String))
}

// Caption puts the caption of a table or figure.
func (b *Builder) Caption(t Text) { b.words(document.Block{Kind: document.Caption}, t.plain()) }

// Header puts a running header.
func (b *Builder) Header(t Text) { b.words(document.Block{Kind: document.Header}, t) }

// Footer puts a running footer.
func (b *Builder) Footer(t Text) { b.words(document.Block{Kind: document.Footer}, t) }

// Equation puts a formula.
func (b *Builder) Equation(s string) { b.words(document.Block{Kind: document.Equation}, Plain(s)) }

// Note puts a footnote under its label, or without one the notes of a speaker.
func (b *Builder) Note(label string, t Text) {
	b.words(document.Block{Kind: document.Note, Label: label}, t)
}

// Table puts a table; one that is longer than a page takes goes on over pages. A table without a word is left out.
func (b *Builder) Table(t *document.Table) {
	if t == nil || len(t.Cells) == 0 {
		return
	}
	if b.all += len(t.Cells); b.all > maxCells {
		b.fail(formats.TooLarge("more than %d cells", maxCells))
		return
	}
	any, rest, continues := false, t.Cells, t.Continues
	for _, c := range t.Cells {
		any = any || strings.TrimSpace(c.Text) != ""
		if len(c.Text) > maxCell {
			b.fail(formats.TooLarge("a cell of %d bytes", len(c.Text)))
			return
		}
	}
	for from := 0; any && len(rest) > 0; continues = true {
		n, size := 0, 0
		for n < len(rest) && (n == 0 || rest[n].Row == rest[n-1].Row || n < pageCells && size < pageText) {
			size += len(rest[n].Text)
			n++
		}
		to := t.Rows
		if n < len(rest) {
			to = rest[n].Row
		}
		part := &document.Table{Rows: to - from, Columns: t.Columns, Continues: continues, Cells: rest[:n:n]}
		for i := range part.Cells {
			c := &part.Cells[i]
			c.Row -= from
			c.RowSpan = clip(c.RowSpan, part.Rows-c.Row)
		}
		b.put(document.Block{Kind: document.TableKind, Table: part}, n, size)
		rest, from = rest[n:], to
	}
}

// clip bounds a span to what is there and writes 1 as 0.
func clip(span, room int) int {
	if span = min(span, room); span <= 1 {
		return 0
	}
	return span
}

// Document returns what was built. A document that holds nothing is one empty page.
func (b *Builder) Document() (formats.Document, error) {
	if b.err != nil {
		return nil, b.err
	}
	if len(b.pages) > 1 && len(b.page().Blocks) == 0 && b.page().Title == "" {
		b.pages = b.pages[:len(b.pages)-1]
	} else {
		b.seal()
	}
	if err := b.limits.CheckPages(len(b.pages)); err != nil {
		return nil, err
	}
	return &pages{b.pages, b.pictures, b.limits}, nil
}

// Words is [Builder.Document] for formats that are nothing but words: one without any was not what it was taken for, or ends early.
func (b *Builder) Words() (formats.Document, error) {
	if b.err == nil && b.blocks == 0 {
		return nil, formats.NoWords()
	}
	return b.Document()
}

// Single returns what was built as one page of a larger document, under its number: a part of a document that is a page
// stays one however long it is, within the bounds of the document. The limits are those of its pictures.
func Single(b *Builder, n int, w formats.Want, l formats.Limits) (formats.Page, error) {
	if b.err != nil {
		return formats.Page{}, b.err
	}
	if len(b.pages) > 1 {
		b.join()
	}
	b.seal()
	b.pages[0].Number = n
	return (&pages{b.pages, b.pictures, l}).Read(1, w)
}

// join puts the blocks of all pages on the first.
func (b *Builder) join() {
	first := b.pages[0]
	for _, p := range b.pages[1:] {
		for _, k := range p.Blocks {
			k.Box[1] += first.Height
			k.Box[3] += first.Height
			first.Blocks = append(first.Blocks, k)
		}
		first.Width, first.Height = max(first.Width, p.Width), first.Height+p.Height
	}
	b.row, b.wide = first.Height, first.Width
	b.pages = b.pages[:1]
}

// pages is a document that was read whole.
type pages struct {
	pages    []*document.Page
	pictures map[*document.Image]Load
	limits   formats.Limits
}

// Pages counts them.
func (p *pages) Pages() int { return len(p.pages) }

// Read returns a page whatever the OCR option says: there is no page to recognise.
func (p *pages) Read(n int, w formats.Want) (formats.Page, error) {
	page := p.pages[n-1]
	if len(p.pictures) == 0 {
		return formats.Page{Text: page}, nil
	}
	own := *page
	own.Blocks = slices.Clone(page.Blocks)
	var shown formats.Gallery
	for i := range own.Blocks {
		at := own.Blocks[i].Image
		if own.Blocks[i].Image = nil; at == nil || !w.Figures {
			continue
		}
		// A picture that cannot be had takes nothing from the text around it.
		if file, err := p.pictures[at](); err == nil {
			if picture, ok := formats.Show(file, p.limits); ok {
				shown.Add(i, picture)
			}
		}
	}
	return formats.Page{Text: &own, Pictures: shown.Pictures}, nil
}

// Close has nothing to free.
func (p *pages) Close() {}

// ReadAll reads a file of at most limit bytes.
func ReadAll(r io.ReaderAt, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, fault.Document(schemas.PageTooLarge, "The text has %d bytes; the limit is %d.", size, limit)
	}
	b := make([]byte, size)
	n, err := r.ReadAt(b, 0)
	if int64(n) < size {
		return nil, formats.Corrupt(errors.Join(err, io.ErrUnexpectedEOF))
	}
	return b, nil
}
