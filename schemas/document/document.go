// Package document is the model of what was read: the page result docstream.page/1 that stages write, and the document
// docstream.document/1 that compose writes and clients get.
//
// Nothing here names a clock, an id of a job or a neighbour: the same bytes, options and pipeline version give the same JSON.
// Boxes have their origin at the top left of the page as it is read (after turning), in points: 1/72 inch for documents that know inches,
// one pixel for images that do not. Confidences are rounded to three places, coordinates to one.
package document

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Formats of the JSON objects.
const (
	PageFormat     = "docstream.page/1"
	DocumentFormat = "docstream.document/1"
)

// Page is the result of one page, in reading order.
type Page struct {
	Format     string  `json:"format,omitempty"` // PageFormat; empty inside a Document
	Number     int     `json:"number"`           // from 1
	Title      string  `json:"title,omitempty"`  // of a part that has a name: a sheet, a slide, a chapter, an attachment
	Hidden     bool    `json:"hidden,omitempty"` // the part is hidden in its document: a hidden sheet or slide
	Width      float64 `json:"width"`            // in Unit
	Height     float64 `json:"height"`
	Unit       string  `json:"unit"`               // always pt
	Rotation   int     `json:"rotation,omitempty"` // degrees clockwise the page was turned before reading: 0, 90, 180, 270
	Source     string  `json:"source"`             // text: a text layer; ocr: recognised; mixed: a text layer, and pictures recognised
	Confidence float64 `json:"confidence"`         // mean over words, 0 to 1; 1 for a text layer
	Blocks     []Block `json:"blocks"`

	Warnings []Warning `json:"warnings,omitempty"` // what a reader of the result must know
}

// ScriptUnknown warns that many lines were read with little certainty: their script is probably outside the recognisers' dictionary.
const ScriptUnknown = "SCRIPT_OUTSIDE_DICTIONARY"

// Warning says what may be wrong with a page that was read.
type Warning struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Kinds of blocks.
const (
	Heading   = "heading"
	Paragraph = "paragraph"
	ListItem  = "list_item"
	TableKind = "table"
	Figure    = "figure"
	Caption   = "caption"
	Header    = "header" // running page header: kept here, left out of Markdown
	Footer    = "footer" // likewise
	Equation  = "equation"
	Reference = "reference"
	Code      = "code"
	Note      = "note" // a footnote or endnote, which Label names; without one, the notes of a speaker
)

// Block is one region of a page.
type Block struct {
	Kind       string  `json:"kind"`
	Level      int     `json:"level,omitempty"` // of a heading or list item, from 1
	Box        Box     `json:"box"`
	Confidence float64 `json:"confidence"`
	Text       string  `json:"text,omitempty"`  // lines joined; a line break is one of the document's own; empty for a table
	Label      string  `json:"label,omitempty"` // of a note, as its references name it
	Spans      []Span  `json:"spans,omitempty"` // what is said of parts of Text, by start
	Lines      []Line  `json:"lines,omitempty"`
	Table      *Table  `json:"table,omitempty"`
	Image      *Image  `json:"image,omitempty"`     // of a figure, where pictures were asked for
	Continues  bool    `json:"continues,omitempty"` // the sentence goes on where the page before ended
}

// Image is the picture of a figure. It lies beside the result.
type Image struct {
	Name      string `json:"name"` // below the result, such as figures/000001-1.png
	MediaType string `json:"media_type"`
	Width     int    `json:"width"` // pixels
	Height    int    `json:"height"`
}

// Kinds of spans.
const (
	Link     = "link"     // Target is the address
	NoteRef  = "note_ref" // Target is the label of a note
	Strong   = "strong"
	Emphasis = "emphasis"
	CodeSpan = "code"
)

// Span says what a part of a text is. Spans of one kind do not overlap.
type Span struct {
	Start  int    `json:"start"` // characters (code points) into the text
	End    int    `json:"end"`   // of the first character behind it
	Kind   string `json:"kind"`
	Target string `json:"target,omitempty"`
}

// Linkable reports whether an address may stand in a link: one of a scheme that opens nothing but a page, a letter or a call, or one
// relative to the document.
func Linkable(target string) bool {
	if target == "" || strings.ContainsFunc(target, unicode.IsControl) || strings.HasPrefix(strings.TrimSpace(target), "//") {
		return false
	}
	scheme, _, ok := strings.Cut(target, ":")
	if !ok || strings.ContainsAny(scheme, "/?#") {
		return true
	}
	switch strings.ToLower(strings.TrimSpace(scheme)) {
	case "http", "https", "mailto", "ftp", "tel":
		return true
	}
	return false
}

// Line is one line of text.
type Line struct {
	Text       string  `json:"text"`
	Box        Box     `json:"box"`
	Confidence float64 `json:"confidence"`
	Model      string  `json:"model,omitempty"` // recognition model; empty for a text layer
	Words      []Word  `json:"words,omitempty"`
}

// Word is one word of a line.
type Word struct {
	Text       string  `json:"text"`
	Box        Box     `json:"box"`
	Confidence float64 `json:"confidence"`
}

// Table is a grid of cells; a spanned place has no cell of its own.
type Table struct {
	Rows      int    `json:"rows"`
	Columns   int    `json:"columns"`
	Continues bool   `json:"continues,omitempty"` // the rows go on where the table before ended
	Cells     []Cell `json:"cells"`
}

// Cell is one cell of a table; rows and columns count from 0.
type Cell struct {
	Row        int     `json:"row"`
	Column     int     `json:"column"`
	RowSpan    int     `json:"row_span,omitempty"` // 0 means 1
	ColumnSpan int     `json:"column_span,omitempty"`
	Header     bool    `json:"header,omitempty"`
	Text       string  `json:"text"`
	Spans      []Span  `json:"spans,omitempty"` // as of a block
	Box        Box     `json:"box"`
	Confidence float64 `json:"confidence"`
}

// Box is left, top, right, bottom.
type Box [4]float64

// Head is the document without its pages: compose writes it first and then streams the pages behind it.
type Head struct {
	Format     string            `json:"format"` // DocumentFormat
	MediaType  string            `json:"media_type"`
	SHA256     string            `json:"sha256"` // of the source
	Pipeline   string            `json:"pipeline"`
	Options    Options           `json:"options"`
	Models     map[string]string `json:"models"` // name to sha256 of every model that can have taken part
	PagesTotal int               `json:"pages_total"`
	Failures   []Failure         `json:"failures,omitempty"`
	Warnings   []string          `json:"warnings,omitempty"` // sentences
}

// Options are the options that were in force.
type Options struct {
	OCR       string   `json:"ocr"`
	Pages     string   `json:"pages,omitempty"`
	Languages []string `json:"languages,omitempty"`
	Tables    string   `json:"tables,omitempty"`  // off; on where it is left out
	Figures   string   `json:"figures,omitempty"` // off, or on: with their pictures
	DPI       int      `json:"dpi,omitempty"`
	MaxPages  int      `json:"max_pages,omitempty"`
}

// Failure says why a page is missing.
type Failure struct {
	Page    int    `json:"page"`
	Stage   string `json:"stage"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Document is the whole; only small ones should be held like this.
type Document struct {
	Head
	Pages      []Page  `json:"pages"`
	Confidence float64 `json:"confidence"` // mean over the words of all pages, 0 to 1; 0 where none has any
}

// Words is how many words a page has, in its blocks and cells: what its confidence counts for in the document's.
func (p *Page) Words() (n int) {
	for _, b := range p.Blocks {
		n += len(strings.Fields(b.Text))
		if b.Table == nil {
			continue
		}
		for _, c := range b.Table.Cells {
			n += len(strings.Fields(c.Text))
		}
	}
	return n
}

// Seam says how a text goes on behind a line that ends it so far: how many bytes of a hyphen at the end go, and what stands between. A word
// that is cut is put together; what a hyphen or dash ties stays tied; scripts without spaces get none.
func Seam(before, after string) (drop int, between string) {
	last, size := utf8.DecodeLastRuneInString(before)
	first, _ := utf8.DecodeRuneInString(after)
	tied, _ := utf8.DecodeLastRuneInString(before[:len(before)-size])
	switch word := unicode.IsLetter(tied) || unicode.IsDigit(tied); {
	case last == '-' && unicode.IsLetter(tied) && unicode.IsLower(first):
		return size, ""
	case (last == '-' || last == '–') && word && (unicode.IsLetter(first) || unicode.IsDigit(first)):
		return 0, ""
	case unspaced(last) && unspaced(first):
		return 0, ""
	}
	return 0, " "
}

// unspaced reports whether a script is written without spaces.
func unspaced(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) || r >= 0x3000 && r <= 0x303f || r >= 0xff00 && r <= 0xffef
}

// Round3 rounds a confidence to three places.
func Round3(f float64) float64 { return math.Round(f*1000) / 1000 }

// Round1 rounds a coordinate to one place.
func Round1(f float64) float64 { return math.Round(f*10) / 10 }

// NewBox returns a box with its coordinates rounded.
func NewBox(x0, y0, x1, y1 float64) Box { return Box{Round1(x0), Round1(y0), Round1(x1), Round1(y1)} }
