package ocr

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// transcript is the text of one line with the place of every character.
type transcript struct {
	quad  quad // as it was read: upright
	chars []char
	score float64 // mean over the characters
	model string  // that read it
	rise  float64 // of its capitals above its base, as a share of the quad's height; 0: not known
}

// char is one class the model saw; at is its place, first in steps, then as a fraction of the line's width.
type char struct {
	text  string
	at    float64
	score float64
}

// decode follows the best path: a class that differs from the one before it is a character, class 0 is the blank between two (Graves et
// al. 2006, "Connectionist temporal classification", best path decoding).
func (r *recogniser) decode(classes []int64, scores []float32) (transcript, error) {
	var out transcript
	var sum float64
	for i := 0; i < len(classes); {
		c, j := classes[i], i+1
		for j < len(classes) && classes[j] == c {
			j++
		}
		if c != 0 {
			if c < 0 || int(c) > len(r.dictionary) {
				return out, fmt.Errorf("class %d is outside the dictionary of %d", c, len(r.dictionary))
			}
			out.chars = append(out.chars, char{r.dictionary[c-1], float64(i+j) / 2, float64(scores[i])})
			sum += float64(scores[i])
		}
		i = j
	}
	if n := len(out.chars); n > 0 {
		out.score = sum / float64(n)
	}
	return out, nil
}

// place turns steps into fractions of the line's width, and adds the spaces that the model left out although the gap is wide: it reads
// the cells of two columns as one word.
func (s *transcript) place(f float64) {
	for i := range s.chars {
		s.chars[i].at = min(s.chars[i].at*f, 1)
	}
	wide := wideGap * s.advance()
	for i := len(s.chars) - 1; i > 0; i-- {
		a, b := s.chars[i-1], s.chars[i]
		if b.at-a.at > wide && !a.space() && !b.space() {
			s.chars = slices.Insert(s.chars, i, char{" ", (a.at + b.at) / 2, min(a.score, b.score)})
		}
	}
}

// wideGap is the distance between two characters, in usual ones, that cannot be within a word.
const wideGap = 3

// text is the line as one string, spaces folded.
func (s transcript) text() string {
	var b strings.Builder
	for _, c := range s.chars {
		b.WriteString(c.text)
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// word is a run of characters without a space.
type word struct {
	text  string
	quad  quad
	score float64
}

// words splits a line at its spaces. A word reaches halfway to the space beside it, but not further than a character is wide, so that the
// gap between two columns stays a gap; the first and the last word reach to the line's ends.
func (s transcript) words() []word {
	var out []word
	var text strings.Builder
	var sum float64
	n, from, reach := 0, 0.0, wordReach*s.advance()
	flush := func(to float64) {
		if n > 0 {
			out = append(out, word{text.String(), s.quad.part(from, max(from, to)), sum / float64(n)})
		}
		text.Reset()
		sum, n = 0, 0
	}
	for i, c := range s.chars {
		if !c.space() {
			text.WriteString(c.text)
			sum += c.score
			n++
			continue
		}
		if i > 0 {
			before := s.chars[i-1].at
			flush(min((before+c.at)/2, before+reach))
		}
		if i+1 < len(s.chars) {
			after := s.chars[i+1].at
			from = max((c.at+after)/2, after-reach)
		}
	}
	flush(1)
	return out
}

// wordReach is how far a word reaches beyond the middle of its first and last character, in characters.
const wordReach = 0.75

// advance is the usual distance between two characters of a word, 1 where there are none.
func (s transcript) advance() float64 {
	var steps []float64
	for i := 1; i < len(s.chars); i++ {
		if !s.chars[i].space() && !s.chars[i-1].space() {
			steps = append(steps, s.chars[i].at-s.chars[i-1].at)
		}
	}
	if len(steps) == 0 {
		return 1
	}
	return median(steps)
}

func (c char) space() bool { return strings.TrimFunc(c.text, unicode.IsSpace) == "" }
