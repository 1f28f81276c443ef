package witness

import (
	"image"
	"unicode"
)

// What of a line is compared: long enough to say something, short enough to cost little and to lie level on a page that lies aslant.
const (
	pieceWidth  = 8 // heights, from which a piece ends
	leastSigns  = 8 // letters and digits of a piece
	leastHan    = 4 // of which each says more
	pieceGap    = 2 // heights between two words, from which they are not of one line
	pieceShared = 0.5
)

// pieces joins neighbouring words of one line to what can be compared.
func pieces(words []Word, r Reader) (out []Word) {
	var now Word
	end := func() {
		if worth(now.Text) && now.At.Dx() > now.At.Dy() && r.Knows(now.Text) {
			out = append(out, now)
		}
		now = Word{}
	}
	for _, w := range words {
		if w.Turned || w.At.Dx() <= 0 || w.At.Dy() <= 0 {
			continue
		}
		if now.Text != "" && (!follows(now.At, w.At) || now.At.Dx() >= pieceWidth*now.At.Dy()) {
			end()
		}
		if now.Text == "" {
			now = w
			continue
		}
		now.Text, now.At = now.Text+" "+w.Text, now.At.Union(w.At)
	}
	end()
	return out
}

// follows reports whether b goes on to the right of a.
func follows(a, b image.Rectangle) bool {
	h := min(a.Dy(), b.Dy())
	gap := b.Min.X - a.Max.X
	return float64(min(a.Max.Y, b.Max.Y)-max(a.Min.Y, b.Min.Y)) > pieceShared*float64(h) && gap > -h && gap < pieceGap*h
}

// worth reports whether a text has enough in it.
func worth(text string) bool {
	n := 0
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul):
			n += leastSigns / leastHan
		case unicode.IsLetter(r), unicode.IsDigit(r):
			n++
		}
	}
	return n >= leastSigns
}

// agreement is the share of the letters and digits of what is said that stand in what was read, in order: 1 less the edit distance to that part of
// the reading that is nearest. What the reading has before and behind is of the neighbours.
func agreement(said, read string) float64 {
	a, b := plain(said), plain(read)
	if len(a) == 0 {
		return 1
	}
	row := make([]int, len(b)+1) // a reading may begin anywhere
	for i, r := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, s := range b {
			cost := diagonal
			if r != s {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	least := len(a)
	for _, n := range row {
		least = min(least, n)
	}
	return 1 - float64(least)/float64(len(a))
}
