package rtf

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"

	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/signs"
)

func label(n int) string { return strconv.Itoa(n) }

// destinations are groups whose text goes elsewhere, or nowhere.
var destinations = map[string]place{
	"fonttbl": inFonts, "stylesheet": inStyles, "listtext": inMarker, "pntext": inMarker, "fldinst": inInstruction, "footnote": inNote,
	"header": inHeader, "headerl": inHeader, "headerr": inHeader, "headerf": inHeader, "footer": inFooter, "footerl": inFooter, "footerr": inFooter, "footerf": inFooter,
	"colortbl": nowhere, "info": nowhere, "pict": nowhere, "object": nowhere, "listtable": nowhere, "listoverridetable": nowhere, "themedata": nowhere,
	"datastore": nowhere, "generator": nowhere, "xmlnstbl": nowhere, "rsidtbl": nowhere, "revtbl": nowhere, "annotation": nowhere, "atnid": nowhere,
	"bkmkstart": nowhere, "bkmkend": nowhere, "nonshppict": nowhere, "nonesttables": nowhere, "nesttableprops": inNested, "formfield": inForm, "ffl": inChoice, "upr": nowhere,
	"shpinst": inShape, "sp": nowhere, "shprslt": nowhere, "do": nowhere, "shptxt": inBox, "mmathPict": nowhere, "ffname": nowhere, "ffdeftext": nowhere, "ffformat": nowhere,
	"ffhelptext": nowhere, "ffstattext": nowhere, "ffentrymcr": nowhere, "ffexitmcr": nowhere, "fldtype": nowhere, "bkmkcolf": nowhere, "listname": nowhere, "picprop": nowhere, "filetbl": nowhere, "private": nowhere, "xe": nowhere, "tc": nowhere, "ftnsep": nowhere,
}

// characters are words that stand for a sign.
var characters = map[string]string{"tab": "\t", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”", "bullet": "•",
	"emspace": " ", "enspace": " ", "qmspace": " ", "~": " ", "_": "-", "-": "", "{": "{", "}": "}", "\\": "\\", "\n": "\n", "\r": "\n"}

// control obeys a word.
func (r *reader) control(t token) {
	if t.word == "*" {
		r.starred = true
		return
	}
	starred := r.starred
	r.starred = false
	if t.word == "ud" && r.twice != nowhere { // what was said before it for those who know no Unicode
		r.place, r.twice = r.twice, nowhere
		return
	}
	if p, ok := destinations[t.word]; ok {
		if t.word == "upr" {
			r.twice = r.place
		}
		if r.place != nowhere {
			r.place = p
		}
		return
	}
	if starred && t.word != "cs" && !formula(t.word) || properties(t.word) {
		r.place = nowhere
		return
	}
	if s, ok := characters[t.word]; ok {
		r.text(r.rest(s))
		return
	}
	if !r.form(t) && !r.layout(t) {
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
	case "mden":
		r.text("/")
	case "msup":
		r.text("^")
	case "msub":
		r.text("_")
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
		if r.place == inBody || r.place == inStyles {
			r.style = t.number
		}
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
		return true
	case "line", "lbr":
		r.newline(false)
		return true
	}
	if r.place == inNested && t.word == "nestrow" {
		r.endNestedRow(r.nested())
		return true
	}
	if r.place != inBody { // paragraphs beside the text are not the text's
		return layouts[t.word]
	}
	return r.body(t)
}

// layouts are the words that a body obeys.
var layouts = map[string]bool{"page": true, "pard": true, "outlinelevel": true, "ilvl": true, "intbl": true, "itap": true, "trowd": true, "trhdr": true, "trleft": true,
	"clmgf": true, "clmrg": true, "clvmgf": true, "clvmrg": true, "cellx": true, "cell": true, "nestcell": true, "nestrow": true, "row": true}

// body obeys words about the paragraphs and tables of the text itself.
func (r *reader) body(t token) bool {
	switch t.word {
	case "page":
		r.paragraph()
		if !r.inTable {
			r.endTable()
			r.out.Break()
		}
	case "pard":
		r.outline, r.level, r.inTable, r.style, r.depthOfTable = 0, 0, false, 0, 0
	case "outlinelevel":
		r.outline = min(t.number, 8) + 1
	case "ilvl":
		r.level = min(max(t.number, 0), 8)
	case "intbl":
		r.inTable = true
	case "itap":
		r.depthOfTable = min(max(t.number, 0), maxNests)
		r.inTable = r.depthOfTable > 0
	case "nestcell":
		r.endNestedCell()
	case "nestrow":
		r.endNestedRow(r.nested())
	case "trowd":
		r.row, r.next, r.head, r.edge = nil, cell{}, false, 0
	case "trleft":
		r.edge = t.number
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
		if r.next.right = t.number; len(r.row) < maxCells {
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
	case inNote, inHeader, inFooter, inBox:
		r.besideParts = append(r.besideParts, r.beside.Text())
	}
}

// paragraph puts the text that was collected as what it is.
func (r *reader) paragraph() {
	t := r.words.Text()
	marker := bulleted(strings.TrimSpace(r.marker.String()))
	r.marker.Reset()
	boxes := r.boxes
	r.boxes = nil
	defer func() {
		for _, b := range boxes {
			if r.inTable {
				r.line(b)
			} else {
				r.out.Paragraph(b)
			}
		}
	}()
	if t.String == "" {
		return
	}
	if r.inTable {
		r.line(flow.Prefixed(marker, t))
		return
	}
	r.endTable()
	level, style := r.outline, r.styles[r.style]
	if n, ok := strings.CutPrefix(style, "heading "); ok && level == 0 {
		level, _ = strconv.Atoi(n)
	}
	if style == "title" && level == 0 {
		level = 1
	}
	switch {
	case level > 0 && level <= 9:
		r.out.Heading(level, flow.Prefixed(marker, t))
	case marker != "":
		r.out.Item(r.level+1, marker, t)
	case style == "caption":
		r.out.Caption(t)
	default:
		r.out.Paragraph(t)
	}
}

// bulleted is the marker of an item; signs of symbol fonts and what stands for them become bullets.
func bulleted(marker string) string {
	if c, _ := utf8.DecodeRuneInString(marker); c >= 0xe000 && c <= 0xf8ff || c == '·' || marker == "o" {
		return "•"
	}
	return marker
}

// decode turns bytes of a code page into text.
func (r *reader) decode() {
	if len(r.bytes) == 0 {
		return
	}
	b := r.bytes
	r.bytes = nil
	if r.fonts[r.font] == symbolic && r.place != inFonts {
		var s strings.Builder
		for _, c := range b {
			s.WriteRune(0xf000 + rune(c))
		}
		r.text(s.String())
		return
	}
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

// symbolic is the charset of fonts whose signs are no letters.
const symbolic = 2

// shown is what the font shows of a text.
func (r *reader) shown(s string) string {
	if r.fonts[r.font] == symbolic || strings.ContainsFunc(s, func(c rune) bool { return c >= 0xe000 && c <= 0xf8ff }) {
		return signs.Text(strings.TrimSuffix(r.names[r.font], ";"), s)
	}
	return s
}

var byFont = map[int]encoding.Encoding{128: japanese.ShiftJIS, 129: korean.EUCKR, 134: simplifiedchinese.GBK, 136: traditionalchinese.Big5, 161: charmap.Windows1253,
	162: charmap.Windows1254, 163: charmap.Windows1258, 177: charmap.Windows1255, 178: charmap.Windows1256, 186: charmap.Windows1257, 204: charmap.Windows1251,
	222: charmap.Windows874, 238: charmap.Windows1250}

var byPage = map[int]encoding.Encoding{437: charmap.CodePage437, 850: charmap.CodePage850, 852: charmap.CodePage852, 866: charmap.CodePage866, 874: charmap.Windows874,
	932: japanese.ShiftJIS, 936: simplifiedchinese.GBK, 949: korean.EUCKR, 950: traditionalchinese.Big5, 1250: charmap.Windows1250, 1251: charmap.Windows1251,
	1253: charmap.Windows1253, 1254: charmap.Windows1254, 1255: charmap.Windows1255, 1256: charmap.Windows1256, 1257: charmap.Windows1257, 10000: charmap.Macintosh}
