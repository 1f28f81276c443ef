// Package rtf reads Rich Text: paragraphs, headings by style and outline level, lists as they were shown, tables with merged cells, links,
// footnotes, fields of forms, text boxes and running lines. Changes that were tracked are accepted, hidden text is left out, and a table within
// a cell becomes lines of it. What the format calls destinations and does not name here, pictures among them, is skipped.
package rtf

import (
	"os"
	"strings"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/flow"
	"docstream/schemas"
)

// MediaType is what the format claims.
const MediaType = "application/rtf"

// maxFile bounds a file: its pictures are in it, written out in digits.
const maxFile = 64 << 20

// Format is Rich Text.
type Format struct{}

// New returns the format.
func New() Format { return Format{} }

// Claims reports whether the media type is Rich Text.
func (Format) Claims(media string) bool { return media == MediaType }

// Open reads the text whole.
func (Format) Open(f *os.File, size int64, _ string, l formats.Limits) (formats.Document, error) {
	if size == 0 {
		return nil, fault.Document(schemas.DocumentEmpty, "%s", schemas.Codes[schemas.DocumentEmpty].Meaning)
	}
	if size > maxFile {
		return nil, formats.TooLarge("a rich text of %d bytes", size)
	}
	b, err := flow.ReadAll(f, size, maxFile)
	if err != nil {
		return nil, err
	}
	out := flow.New(l)
	if err := Write(out, b, l.Depth); err != nil {
		return nil, err
	}
	return out.Words()
}

// Write puts the blocks of a rich text.
func Write(out *flow.Builder, b []byte, depth int) error {
	r := &reader{scan: scanner{in: b}, out: out, depth: depth, page: 1252, fonts: map[int]int{}, styles: map[int]string{}, names: map[int]string{}, asked: field{result: undecided},
		state: state{skip: 1, font: -1, twice: nowhere}}
	if err := r.read(); err != nil {
		return err
	}
	r.paragraph()
	r.endTable()
	for i, n := range r.notes {
		r.out.Note(label(i+1), n)
	}
	return r.out.Err()
}

// where text goes.
type place int

const (
	inBody place = iota
	nowhere
	inFonts
	inStyles
	inMarker // the number or bullet of a list, as it was shown
	inInstruction
	inHeader
	inFooter
	inNote
	inBox    // a text box: its paragraphs follow the one that it hangs on
	inShape  // around a text box
	inNested // the definition of a row of a table within a cell
	inForm   // what a field of a form is
	inChoice // one of those that a field of a form offers
)

// state is what braces restore.
type state struct {
	place         place
	skip          int // bytes that follow a character in Unicode and say the same
	font          int
	strong, slant bool
	hidden        bool
	link          string
	starred       bool  // the next word names a destination that may be skipped
	twice         place // where what is said a second time in Unicode goes
}

// reader is a text being read.
type reader struct {
	scan  scanner
	out   *flow.Builder
	depth int
	state
	stack []state

	page   int         // code page of the document
	fonts  map[int]int // charset of each
	names  map[int]string
	styles map[int]string
	style  int // the one being named, or of the paragraph
	name   strings.Builder

	words       flow.Words
	beside      flow.Words // of a note or a running line
	besideParts []flow.Text
	marker      strings.Builder
	instruction strings.Builder
	outline     int
	level       int
	unread      int // bytes to skip
	high        rune
	bytes       []byte // of characters in a code page, not decoded yet

	inTable      bool
	depthOfTable int // of the paragraph: above 1 it stands in a table within a cell
	row          []cell
	edge         int // of the row, on its left, in twips
	head         bool
	next         cell
	lines        []flow.Text
	texts        []flow.Text
	rows         []row
	nests        [maxNests + 1]*nest

	notes []flow.Text
	boxes []flow.Text // that hang on the paragraph
	asked field

	inner *strings.Builder // where the text of a page within goes; nil: there is none
}

// read reads to the end. A file that ends early is damaged.
func (r *reader) read() error {
	for {
		t, err := r.scan.next()
		if err != nil {
			return err
		}
		if t.kind != hex {
			r.decode()
		}
		switch t.kind {
		case end:
			if len(r.stack) > 0 {
				return formats.Corrupt(errEnds)
			}
			return nil
		case open:
			if len(r.stack) >= r.depth*4 {
				return formats.TooDeep(r.depth * 4)
			}
			r.stack = append(r.stack, r.state)
			r.unread = 0
		case closed:
			if len(r.stack) == 0 {
				return formats.Corrupt(errEnds)
			}
			was := r.state
			r.state = r.stack[len(r.stack)-1]
			r.stack = r.stack[:len(r.stack)-1]
			r.left(was)
			if len(r.stack) == 0 {
				return nil // what follows is no part of it
			}
		case hex:
			if r.unread > 0 {
				r.unread--
				continue
			}
			r.bytes = append(r.bytes, byte(t.number))
		case plain:
			r.text(r.rest(t.word))
		case control:
			r.control(t)
		}
		if err := r.out.Err(); err != nil {
			return err
		}
	}
}

// rest drops what only repeats a character in Unicode.
func (r *reader) rest(s string) string {
	n := min(r.unread, len(s))
	r.unread -= n
	return s[n:]
}

// text puts text where it goes.
func (r *reader) text(s string) {
	if s == "" || r.hidden && r.place != inFonts && r.place != inStyles {
		return
	}
	if r.place == inBody || r.place == inNote || r.place == inBox {
		s = r.shown(s)
	}
	if r.inner != nil {
		if r.place == inBody {
			r.inner.WriteString(s)
		}
		return
	}
	look := flow.Look{Strong: r.strong, Emphasis: r.slant, Link: r.link}
	switch r.place {
	case inBody:
		r.words.Add(s, look)
	case inNote, inHeader, inFooter, inBox:
		r.beside.Add(s, look)
	case inMarker:
		r.marker.WriteString(s)
	case inInstruction:
		r.instruction.WriteString(s)
	case inFonts:
		if len(r.names[r.font]) < 64 {
			r.names[r.font] += s
		}
	case inChoice:
		r.asked.choice.WriteString(s)
	case inStyles:
		r.name.WriteString(s)
	}
}

// left ends what a group began.
func (r *reader) left(was state) {
	if was.place == r.place && was.place != inStyles {
		return
	}
	switch was.place {
	case inStyles:
		if name := strings.TrimSuffix(strings.TrimSpace(r.name.String()), ";"); name != "" {
			r.styles[r.style] = strings.ToLower(name)
		}
		r.name.Reset()
		r.style = 0
	case inInstruction:
		if r.place == inInstruction {
			return
		}
		instruction := r.instruction.String()
		r.instruction.Reset()
		r.link = address(instruction)
		r.answer(instruction)
	case inChoice:
		r.asked.choices = append(r.asked.choices, r.asked.choice.String())
		r.asked.choice.Reset()
	case inHeader, inFooter, inNote, inBox:
		r.besideParts = append(r.besideParts, r.beside.Text())
		text := flow.Lines(r.besideParts)
		r.besideParts = nil
		switch was.place {
		case inHeader:
			r.out.Header(text)
		case inFooter:
			r.out.Footer(text)
		case inBox:
			if text.String != "" {
				r.boxes = append(r.boxes, text)
			}
		default:
			r.notes = append(r.notes, text)
			l := label(len(r.notes))
			r.words.Add("["+l+"]", flow.Look{Note: l})
		}
	}
}

// address is where the instruction of a field links to, or "".
func address(instruction string) string {
	rest, ok := strings.CutPrefix(strings.TrimSpace(instruction), "HYPERLINK")
	if !ok {
		return ""
	}
	rest = strings.TrimSpace(rest)
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		a, _, _ := strings.Cut(quoted, `"`)
		return a
	}
	a, _, _ := strings.Cut(rest, " ")
	return a
}
