package text

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
)

// alphabet is what a language writes beyond the letters of English, and in which charset of one byte a letter its texts come.
type alphabet struct {
	charset *charmap.Charmap
	letters string // small ones; their capitals are meant too
}

// alphabets in the order in which they are preferred where a text fits several: those of Western Europe come first, so that a text that is
// written the same in two charsets is read as it always was.
var alphabets = []alphabet{
	{charmap.Windows1252, "äöüßéàáè"},           // German
	{charmap.Windows1252, "àâæçéèêëîïôœùûüÿöä"}, // French
	{charmap.Windows1252, "áéíñóúüçàèïòºª"},     // Spanish, Catalan
	{charmap.Windows1252, "ãõáéíóúâêôçàüºª"},    // Portuguese
	{charmap.Windows1252, "àèéìíîòóùú"},         // Italian
	{charmap.Windows1252, "åäöæøéüáàèëïó"},      // the Nordic languages, Dutch
	{charmap.Windows1252, "áðéíóúýþæö"},         // Icelandic
	{charmap.Windows1250, "ąćęłńóśźż"},          // Polish
	{charmap.Windows1250, "áčďéěíňóřšťúůýžäľĺôŕöü"},
	{charmap.Windows1250, "áéíóöőúüű"},
	{charmap.Windows1250, "čćđšžöüéá"},
	{charmap.Windows1250, "ăâîşţșț"},
	{charmap.ISO8859_2, "ąćęłńóśźż"},
	{charmap.ISO8859_2, "áčďéěíňóřšťúůýžäľĺôŕöü"},
	{charmap.ISO8859_2, "áéíóöőúüű"},
	{charmap.ISO8859_2, "čćđšžöüéá"},
	{charmap.ISO8859_2, "ăâîşţșț"},
	{charmap.Windows1254, "çğıöşüâîû"},
	{charmap.Windows1257, "āčēģīķļņšūž"},
	{charmap.Windows1257, "ąčęėįšųūž"},
	{charmap.Windows1257, "äöüõšž"},
	{charmap.Windows1253, "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ"},
	{charmap.Windows1251, "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґўђљњћџј"},
	{charmap.KOI8R, "абвгдежзийклмнопрстуфхцчшщъыьэюяё"},
	{charmap.CodePage866, "абвгдежзийклмнопрстуфхцчшщъыьэюяё"},
	{charmap.ISO8859_5, "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєўђљњћџј"},
	{charmap.Windows1255, "אבגדהוזחטיךכלםמןנסעףפץצקרשת"},
}

const (
	fits      = 0.95     // of the characters beyond ASCII that must be what a language writes
	fitsLeast = 2        // of them; fewer say nothing
	fitsBytes = 16 << 10 // looked at
)

// byAlphabet names the charset in which a text is best one of a language other than those of Western Europe, or nothing.
func byAlphabet(head []byte) encoding.Encoding {
	head = head[:min(len(head), fitsBytes)]
	best, most := encoding.Encoding(nil), 0.0
	for _, a := range alphabets {
		if share := a.fit(head); share > most+1e-9 {
			best, most = a.charset, share
		}
	}
	if most < fits || best == charmap.Windows1252 {
		return nil
	}
	return best
}

// fit is the share of the characters beyond ASCII that a text of the language has, less those that stand where none writes them: capitals
// behind small letters, signs between letters, letters of two scripts in one word.
func (a alphabet) fit(head []byte) float64 {
	out, err := a.charset.NewDecoder().Bytes(head)
	if err != nil {
		return 0
	}
	text := []rune(string(out))
	foreign := !strings.ContainsFunc(a.letters, func(r rune) bool { return unicode.Is(unicode.Latin, r) })
	all, good := 0, 0
	at := func(i int) rune {
		if i < 0 || i >= len(text) {
			return ' '
		}
		return text[i]
	}
	for i, r := range text {
		if r < utf8.RuneSelf {
			continue
		}
		all++
		before, after := at(i-1), at(i+1)
		switch {
		case unicode.IsLetter(r):
			if !strings.ContainsRune(a.letters, small(r)) ||
				unicode.IsUpper(r) && unicode.IsLower(before) ||
				foreign && (latin(before) || latin(after)) {
				good--
				continue
			}
			good++
		case strings.ContainsRune("„“”‚‘’«»‹›–—…€§°©®№•·\u00a0", r):
			if unicode.IsLetter(before) && unicode.IsLetter(after) && r != '’' && r != '·' {
				good--
				continue
			}
			good++
		default:
			good--
		}
	}
	if all < fitsLeast {
		return 0
	}
	return float64(good) / float64(all)
}

// small is the small letter of a capital; that of the Turkish I with a dot is one of ASCII, which no language is told by.
func small(r rune) rune {
	if r == 'İ' {
		return 'ı'
	}
	return unicode.ToLower(r)
}

func latin(r rune) bool { return unicode.Is(unicode.Latin, r) }
