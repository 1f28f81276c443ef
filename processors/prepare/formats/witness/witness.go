// Package witness holds a text layer that nobody sees to the picture that everybody sees.
//
// Such a layer can be perfect language and still say something else than the page: it belongs to another page, it was made before the page was
// exchanged, it stops in the middle. No look at the layer alone finds that out. So a bounded sample of lines is read on the picture, where the
// layer speaks and where there is ink and it is silent. Nothing but the arguments decides, and the sample is no matter of chance (P5).
package witness

import "image"

// Reader reads single lines.
type Reader interface {
	// Read returns what stands in a part of the picture and how sure that is, 0 to 1.
	Read(m *image.Gray, at image.Rectangle) (text string, sure float64, err error)
	// Knows reports whether Read can tell all letters of a text.
	Knows(text string) bool
}

// Word is a word of the layer and where it is said to stand, in pixels of the picture.
type Word struct {
	Text   string
	At     image.Rectangle
	Turned bool // does not run from left to right
}

// Bounds say how much is read and what is still believed.
type Bounds struct {
	Lines     int     // that are read where the layer speaks, at most; half as many where it is silent
	Agreement float64 // of the layer with what is read there, 0 to 1: below it the layer is not believed
	Silence   float64 // of the lines of the picture, 0 to 1: if more of them are missing in the layer, it is not believed
}

// Finding is what the sample says.
type Finding struct {
	Read      int     // lines that could be compared
	Agreement float64 // mean over them, 1 where there are none
	Silence   float64 // share of the picture's lines that the layer lacks
}

// surely is how sure a reading is that says anything about a layer; unclear print is no evidence against one.
const surely = 0.8

// Ask reads the sample.
func Ask(m *image.Gray, words []Word, r Reader, b Bounds) (f Finding, err error) {
	f.Agreement = 1
	sum := 0.0
	for _, p := range spread(pieces(words, r), b.Lines) {
		at, inked := band(m, p.At)
		if !inked { // it speaks of nothing
			f.Read++
			continue
		}
		text, sure, err := r.Read(m, at)
		if err != nil {
			return f, err
		}
		if sure >= surely {
			f.Read++
			sum += agreement(p.Text, text)
		}
	}
	if f.Read > 0 {
		f.Agreement = sum / float64(f.Read)
	}
	if f.Agreement >= b.Agreement {
		f.Silence, err = silence(m, words, r, b)
	}
	return f, err
}

// Believed reports whether a layer is to be taken for what the page says.
func (f Finding) Believed(b Bounds) bool { return f.Agreement >= b.Agreement && f.Silence <= b.Silence }

// spread picks at most n things, evenly.
func spread[T any](all []T, n int) []T {
	if len(all) <= n {
		return all
	}
	out := make([]T, n)
	for i := range out {
		out[i] = all[(2*i+1)*len(all)/(2*n)]
	}
	return out
}
