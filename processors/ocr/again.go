package ocr

import "slices"

// allLines is a doubt that is above every score.
const allLines = 2

// span is a part of a line that is read again: words from the first to the last of some characters, between two places of the line.
type span struct {
	line        int
	first, last int // characters; last is behind them
	from, to    float64
}

// again has the thorough model read what the quick one is unsure of: whole lines of a low mean, and in the others the words that have a
// sign of a low score. Which these are depends on each line alone (P5).
func (r *Reader) again(pages *pyramid, read []transcript) error {
	if r.thorough == nil {
		return nil
	}
	var spans []span
	var quads []quad
	for i, s := range read {
		if s.score < r.doubt {
			spans, quads = append(spans, span{i, 0, len(s.chars), 0, 1}), append(quads, s.quad)
			continue
		}
		for _, p := range s.wavering(r.waver) {
			p.line = i
			spans, quads = append(spans, p), append(quads, s.quad.part(p.from, p.to))
		}
	}
	second, err := r.thorough.read(pages, quads)
	if err != nil {
		return err
	}
	for k := len(spans) - 1; k >= 0; k-- { // from the last one on, so that those before it stay where they are
		if second[k].score < minLineScore { // the models' scores are not of one scale: which is greater says nothing
			continue
		}
		if p := spans[k]; p.from == 0 && p.to == 1 {
			read[p.line] = second[k]
		} else {
			read[p.line].replace(p, second[k].chars)
		}
	}
	return nil
}

// wavering are the words of a line that have a sign with a score below waver; neighbours go together. They reach to the middle of the
// spaces around them.
func (s transcript) wavering(waver float64) (out []span) {
	p, low := span{}, false
	end := func(last int, to float64) {
		if n := len(out); low && n > 0 && out[n-1].last+1 >= p.first {
			out[n-1].last, out[n-1].to = last, to
		} else if low {
			p.last, p.to = last, to
			out = append(out, p)
		}
		low = false
	}
	for i, c := range s.chars {
		if c.space() {
			end(i, c.at)
			p.first, p.from = i+1, c.at
			continue
		}
		low = low || c.score < waver
	}
	end(len(s.chars), 1)
	return out
}

// replace puts what was read again in the place of a part of the line.
func (s *transcript) replace(p span, chars []char) {
	for len(chars) > 0 && chars[0].space() {
		chars = chars[1:]
	}
	for len(chars) > 0 && chars[len(chars)-1].space() {
		chars = chars[:len(chars)-1]
	}
	if len(chars) == 0 {
		return
	}
	for i := range chars {
		chars[i].at = p.from + chars[i].at*(p.to-p.from)
	}
	s.chars = slices.Replace(s.chars, p.first, p.last, chars...)
	s.score = 0
	for _, c := range s.chars {
		s.score += c.score / float64(len(s.chars))
	}
}
