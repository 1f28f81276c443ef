package pdf

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// A text layer can look well and say something else than the page: a font whose codes were mapped to other letters, or bytes of one encoding
// read as another. What such a layer says no language says.
const (
	lieWords      = 30   // from which shares of them say something
	lieLetters    = 180  // likewise
	commonLetters = 0.44 // of letters that are one of a, e, i, n, o, r, s and t, at least: .52 in Polish, .64 in German, .31 where letters were exchanged
	fewVowels     = 0.26 // of letters that are vowels, at least: .37 in German and English
	oddLetters    = 0.50 // of common letters: a text that has less may be a lie
	oddVowels     = 0.32 // of vowels, likewise
	mixedShare    = 0.2  // of words with letters of two alphabets
	signShare     = 0.65 // of words that no person would have written; program code stays below .5
	wrongBytes    = 3    // pairs of letters that are one letter of UTF-8, from which they are no accident
	wrongShare    = 0.01 // of words with such a pair
	commonShare   = 0.04 // of Chinese signs that are the most common ones: real text has some .3
)

// letters counts those of the layer.
func (t *layer) letters() (out letters) {
	for _, w := range t.words {
		out.add(strings.TrimFunc(w.text, func(r rune) bool { return !unicode.IsLetter(r) }))
	}
	return out
}

// lies reports whether the layer, whose letters these are, says what no page would.
func (t *layer) lies(text letters) bool {
	var mixed, wrong, plausible int
	var han, common, kana int
	for _, w := range t.words {
		if plausibleWord(w.text) {
			plausible++
		}
		if wronglyRead(w.text) {
			wrong++
		}
		alphabets := 0
		for _, a := range []*unicode.RangeTable{unicode.Latin, unicode.Greek, unicode.Cyrillic} {
			if strings.ContainsFunc(w.text, func(r rune) bool { return unicode.Is(a, r) }) {
				alphabets++
			}
		}
		if alphabets > 1 {
			mixed++
		}
		for _, r := range w.text {
			switch {
			case unicode.Is(unicode.Han, r):
				if han++; strings.ContainsRune(commonHan, r) {
					common++
				}
			case unicode.In(r, unicode.Hiragana, unicode.Katakana):
				kana++
			}
		}
	}
	all := len(t.words)
	share := func(n, of int) float64 { return float64(n) / float64(max(of, 1)) }
	return text.strange() ||
		all >= lieWords && (share(mixed, all) > mixedShare || share(all-plausible, all) > signShare) ||
		wrong >= wrongBytes && share(wrong, all) > wrongShare ||
		han >= 3*lieWords && kana == 0 && share(common, han) < commonShare
}

// commonHan are signs that any Chinese text, in either form, is full of.
const commonHan = "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里這個們來為國說時會對過發後於與学學家日月分公市行本法如年部全主"

// letters counts those of small Latin words: how often which stand in a text is much the same in all languages of Europe.
type letters struct{ all, common, vowels int }

func (l *letters) add(word string) {
	for i, r := range word {
		if !unicode.Is(unicode.Latin, r) || i > 0 && !unicode.IsLower(r) {
			return
		}
	}
	for _, r := range norm.NFD.String(strings.ToLower(word)) {
		switch {
		case unicode.Is(unicode.Mn, r):
			continue
		case strings.ContainsRune("aeiouy", r):
			l.vowels++
		}
		if l.all++; strings.ContainsRune("aeinorst", r) {
			l.common++
		}
	}
}

// strange reports whether no language uses its letters like this.
func (l letters) strange() bool { return l.below(commonLetters, fewVowels) }

// odd reports whether few languages do.
func (l letters) odd() bool { return l.below(oddLetters, oddVowels) }

func (l letters) below(common, vowels float64) bool {
	return l.all >= lieLetters && (float64(l.common) < common*float64(l.all) || float64(l.vowels) < vowels*float64(l.all))
}

// wronglyRead reports whether a word has letters of UTF-8 that were read byte by byte.
func wronglyRead(s string) bool {
	var last rune
	for _, r := range s {
		if strings.ContainsRune("ÃÂÅÄâÐÑ", last) && (r >= 0x80 && r <= 0xbf && r != '»' && r != '·' && r != 'º' && r != 'ª' || strings.ContainsRune("€‚ƒ„…†‡ˆ‰Š‹ŒŽ™š›œžŸ", r) && last != 'Ñ') {
			return true
		}
		last = r
	}
	return false
}
