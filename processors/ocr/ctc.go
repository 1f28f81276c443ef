package ocr

import (
	"fmt"
	"strings"
	"unicode"
)

// transcript is the text of one line with the place of every character.
type transcript struct {
	quad  quad // as it was read: upright
	chars []char
	score float64 // mean over the characters
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

func (s *transcript) scale(f float64) {
	for i := range s.chars {
		s.chars[i].at = min(s.chars[i].at*f, 1)
	}
}

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

// words splits a line at its spaces. A word reaches halfway to the space beside it; the first and the last reach to the line's ends.
func (s transcript) words() []word {
	var out []word
	var text strings.Builder
	var sum float64
	n, from := 0, 0.0
	flush := func(to float64) {
		if n > 0 {
			out = append(out, word{text.String(), s.quad.part(from, max(from, to)), sum / float64(n)})
		}
		text.Reset()
		sum, n = 0, 0
	}
	for i, c := range s.chars {
		if strings.TrimFunc(c.text, unicode.IsSpace) != "" {
			text.WriteString(c.text)
			sum += c.score
			n++
			continue
		}
		if i > 0 {
			flush((s.chars[i-1].at + c.at) / 2)
		}
		if i+1 < len(s.chars) {
			from = (c.at + s.chars[i+1].at) / 2
		}
	}
	flush(1)
	return out
}
