// Package signs says which characters the signs of symbol fonts stand for.
//
// A document that writes a tick in Wingdings says no more than "the sign at 0xFC of that font": without the font it is no character at all.
package signs

import "strings"

// Unknown stands for a sign of which nobody knows what it shows.
const Unknown = '•'

// first and last are where a font has its signs, and private is where Unicode has room for them.
const (
	first   = 0x20
	last    = 0xff
	private = 0xf000
)

// Font reports whether the signs of a font of the name are no letters.
func Font(name string) bool {
	_, ok := fonts[canonical(name)]
	return ok
}

// canonical is a name as it is looked up.
func canonical(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// Of returns the character that a font shows at a place: by itself, or in the private area of Unicode.
func Of(font string, at rune) rune {
	if at >= private+first && at <= private+last {
		at -= private
	}
	if at >= 0xe000 && at <= 0xf8ff {
		return Unknown
	}
	table, ok := fonts[canonical(font)]
	if !ok || at <= first || at > last {
		if ok || at > last || at < first {
			return at
		}
		table = symbol // what lies in the private area under another name is most often of that font
	}
	if r := table[at]; r != 0 {
		return r
	}
	return Unknown
}

// Text writes a text that a font shows. Signs in the private area are replaced whatever the font.
func Text(font, s string) string {
	known := Font(font)
	return strings.Map(func(r rune) rune {
		if r >= private+first && r <= private+last || known && r > first && r <= last {
			return Of(font, r)
		}
		return r
	}, s)
}

var fonts = map[string]map[rune]rune{
	"symbol": symbol, "symbol mt": symbol, "wingdings": wingdings, "wingdings 2": wingdings2, "wingdings 3": wingdings3, "webdings": webdings,
}

// from lays signs out one after another; a blank leaves a place empty.
func from(at rune, signs string) map[rune]rune {
	out := map[rune]rune{}
	for _, r := range signs {
		if r != ' ' {
			out[at] = r
		}
		at++
	}
	return out
}

func join(parts ...map[rune]rune) map[rune]rune {
	out := map[rune]rune{}
	for _, p := range parts {
		for k, v := range p {
			out[k] = v
		}
	}
	return out
}

var symbol = join(
	from(0x21, "!∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼"),
	from(0xa0, "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊⟨®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪ ⟩∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭"))

var wingdings = join(
	from(0x22, "✂✁"), from(0x28, "☎✆✉"), from(0x36, "⌛"), from(0x3e, "✇✍✎✌👌👍👎☜☞☝☟✋☺😐☹💣☠⚐"), from(0x51, "✈☼💧❄"), from(0x56, "✞"), from(0x58, "✠✡☪☯ॐ☸♈♉♊♋♌♍♎♏♐♑♒♓"),
	from(0x6a, "&&●❍■□❐❑❒⬧⧫◆❖⬥⌧⍓⌘❀✿❝❞"), from(0x80, "⓪①②③④⑤⑥⑦⑧⑨⑩⓿❶❷❸❹❺❻❼❽❾❿"), from(0x9e, "·•"), from(0xa1, "○⭕ ◉◎ ▪☐ ✦★✶✴✹✵"), from(0xb1, "⌖⟡⌑"), from(0xb5, "✪✰"),
	from(0xd5, "⌫⌦ ➢ ➲"), from(0xdf, "←→↑↓↖↗↙↘⬅➔⬆⬇"), from(0xef, "⇦⇨⇧⇩⬄⇳⬁⬀⬃⬂▭▫✗✓☒☑"))

var wingdings2 = join(from(0x4f, "✗✓☒☑☒☒"), from(0x97, "●"), from(0xa2, "■☐□"))

var wingdings3 = join(from(0x67, "←→↑↓"), from(0x6c, "↔↕"), from(0x70, "▲▼△▽◄►"), from(0x7d, "▶"))

var webdings = join(from(0x33, "⏴⏵⏶⏷"), from(0x61, "✓ □ ▪ ■"), from(0x6e, "●"), from(0x72, "✖"))
