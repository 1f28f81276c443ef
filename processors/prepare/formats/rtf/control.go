package rtf

import (
	"strconv"
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"

	"docstream/processors/prepare/formats/flow"
)

func label(n int) string { return strconv.Itoa(n) }

// destinations are groups whose text goes elsewhere, or nowhere.
var destinations = map[string]place{
	"fonttbl": inFonts, "stylesheet": inStyles, "listtext": inMarker, "pntext": inMarker, "fldinst": inInstruction, "footnote": inNote,
	"header": inHeader, "headerl": inHeader, "headerr": inHeader, "headerf": inHeader, "footer": inFooter, "footerl": inFooter, "footerr": inFooter, "footerf": inFooter,
	"colortbl": nowhere, "info": nowhere, "pict": nowhere, "object": nowhere, "listtable": nowhere, "listoverridetable": nowhere, "themedata": nowhere,
	"datastore": nowhere, "generator": nowhere, "xmlnstbl": nowhere, "rsidtbl": nowhere, "revtbl": nowhere, "annotation": nowhere, "atnid": nowhere,
	"bkmkstart": nowhere, "bkmkend": nowhere, "nonshppict": nowhere, "filetbl": nowhere, "private": nowhere, "xe": nowhere, "tc": nowhere, "ftnsep": nowhere,
}

// signs are words that stand for a sign.
var signs = map[string]string{"tab": "\t", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”", "bullet": "•",
	"emspace": " ", "enspace": " ", "qmspace": " ", "~": " ", "_": "-", "-": "", "{": "{", "}": "}", "\\": "\\", "\n": "\n", "\r": "\n"}

// control obeys a word.
func (r *reader) control(t token) {
	if t.word == "*" {
		r.starred = true
		return
	}
	starred := r.starred
	r.starred = false
	if p, ok := destinations[t.word]; ok {
		if r.place != nowhere {
			r.place = p
		}
		return
	}
	if starred && t.word != "shptxt" && t.word != "cs" {
		r.place = nowhere
		return
	}
	if s, ok := signs[t.word]; ok {
		r.text(r.rest(s))
		return
	}
	if !r.layout(t) {
		r.look(t)
	}
}

// look obeys words about characters.
func (r *reader) look(t token) {
	off := t.has && t.number == 0
	switch t.word {
	case "b":
		r.strong = !off
	case "i":
		r.slant = !off
	case "v", "deleted": // a change that was tracked is accepted
		r.hidden = !off
	case "plain":
		r.strong, r.slant, r.hidden = false, false, false
	case "uc":
		r.skip = max(0, min(t.number, 16))
	case "u":
		r.unicode(t.number)
	case "ansicpg":
		r.page = t.number
	case "mac":
		r.page = 10000
	case "f":
		r.font = t.number
	case "fcharset":
		if r.place == inFonts {
			r.fonts[r.font] = t.number
		}
	case "s":
		r.style = t.number
	}
}

// unicode adds a character; one above the first 65,536 comes as two.
func (r *reader) unicode(n int) {
	if n < 0 {
		n += 65_536
	}
	c := rune(n)
	r.unread = 0
	switch {
	case utf16.IsSurrogate(c) && r.high == 0:
		r.high = c
	case r.high != 0:
		r.text(string(utf16.DecodeRune(r.high, c)))
		r.high = 0
	case c > 0 && c <= 0x10ffff:
		r.text(string(c))
	}
	r.unread = r.skip
}

// layout obeys words about paragraphs and tables; false where the word is about neither.
func (r *reader) layout(t token) bool {
	switch t.word {
	case "par", "sect":
		r.newline(true)
	case "line":
		r.newline(false)
	case "page":
		r.paragraph()
		if !r.inTable {
			r.endTable()
			r.out.Break()
		}
	case "pard":
		r.outline, r.level, r.inTable = 0, 0, false
		if r.place == inBody {
			r.style = 0
		}
	case "outlinelevel":
		r.outline = min(t.number, 8) + 1
	case "ilvl":
		r.level = min(max(t.number, 0), 8)
	case "intbl":
		r.inTable = true
	case "trowd":
		r.row, r.next, r.head = nil, cell{}, false
	case "trhdr":
		r.head = true
	case "clmgf":
		r.next.across = true
	case "clmrg":
		r.next.acrossMore = true
	case "clvmgf":
		r.next.down = true
	case "clvmrg":
		r.next.downMore = true
	case "cellx":
		if len(r.row) < 1000 {
			r.row = append(r.row, r.next)
		}
		r.next = cell{}
	case "cell":
		r.endCell()
	case "row":
		r.endRow()
	default:
		return false
	}
	return true
}

// newline ends a paragraph, or a line within one.
func (r *reader) newline(whole bool) {
	switch r.place {
	case inBody:
		if whole {
			r.paragraph()
		} else {
			r.words.Break()
		}
	case inNote, inHeader, inFooter:
		r.besideParts = append(r.besideParts, r.beside.Text())
	}
}

// paragraph puts the text that was collected as what it is.
func (r *reader) paragraph() {
	t := r.words.Text()
	marker := strings.TrimSpace(r.marker.String())
	r.marker.Reset()
	if t.String == "" {
		return
	}
	if r.inTable {
		if marker != "" {
			t = flow.Text{String: marker + " " + t.String}
		}
		r.lines = append(r.lines, t)
		return
	}
	r.endTable()
	level := r.outline
	if n, ok := strings.CutPrefix(r.styles[r.style], "heading "); ok && level == 0 {
		level, _ = strconv.Atoi(n)
	}
	switch {
	case level > 0 && level <= 9:
		r.out.Heading(level, t)
	case marker != "":
		if c := []rune(marker)[0]; c >= 0xe000 && c <= 0xf8ff || c == '·' {
			marker = "•"
		}
		r.out.Item(r.level+1, marker, t)
	default:
		r.out.Paragraph(t)
	}
}

func (r *reader) endCell() {
	in := r.inTable
	r.inTable = true
	r.paragraph()
	r.inTable = in
	r.texts = append(r.texts, flow.Lines(r.lines))
	r.lines = nil
}

// endRow lays a row out by its definition.
func (r *reader) endRow() {
	if r.grid == nil {
		r.grid, r.rows = flow.NewGrid(), 0
	}
	start := -1
	for i, t := range r.texts {
		var d cell
		if i < len(r.row) {
			d = r.row[i]
		}
		switch {
		case d.acrossMore && start >= 0:
			r.grid.Widen(start)
		case d.downMore && r.grid.Last(i) != nil:
			r.grid.Reach(r.rows, i)
			start = -1
		default:
			r.grid.At(r.rows, i, t, 1, 1, r.head)
			start = i
		}
	}
	r.texts = nil
	r.rows++
}

// endTable puts the table that was collected.
func (r *reader) endTable() {
	if r.grid != nil {
		r.out.Table(r.grid.Table())
		r.grid = nil
	}
}

// decode turns bytes of a code page into text.
func (r *reader) decode() {
	if len(r.bytes) == 0 {
		return
	}
	b := r.bytes
	r.bytes = nil
	s, err := r.charset().NewDecoder().Bytes(b)
	if err != nil {
		s = []byte(strings.ToValidUTF8(string(b), "\uFFFD"))
	}
	r.text(string(s))
}

// charset is that of the font, else that of the document.
func (r *reader) charset() encoding.Encoding {
	if e, ok := byFont[r.fonts[r.font]]; ok {
		return e
	}
	if e, ok := byPage[r.page]; ok {
		return e
	}
	return charmap.Windows1252
}

var byFont = map[int]encoding.Encoding{128: japanese.ShiftJIS, 129: korean.EUCKR, 134: simplifiedchinese.GBK, 136: traditionalchinese.Big5, 161: charmap.Windows1253,
	162: charmap.Windows1254, 163: charmap.Windows1258, 177: charmap.Windows1255, 178: charmap.Windows1256, 186: charmap.Windows1257, 204: charmap.Windows1251,
	222: charmap.Windows874, 238: charmap.Windows1250}

var byPage = map[int]encoding.Encoding{437: charmap.CodePage437, 850: charmap.CodePage850, 852: charmap.CodePage852, 866: charmap.CodePage866, 874: charmap.Windows874,
	932: japanese.ShiftJIS, 936: simplifiedchinese.GBK, 949: korean.EUCKR, 950: traditionalchinese.Big5, 1250: charmap.Windows1250, 1251: charmap.Windows1251,
	1253: charmap.Windows1253, 1254: charmap.Windows1254, 1255: charmap.Windows1255, 1256: charmap.Windows1256, 1257: charmap.Windows1257, 10000: charmap.Macintosh}
