package ocr

import (
	"image"
	"strings"
	"unicode"

	"docstream/internal/engine"
	"docstream/internal/engine/raster"
)

// Glance reads single lines of a picture, wherever somebody else says that they lie. It is for one goroutine at a time.
type Glance struct {
	quick *recogniser
	pages pyramid
	known map[rune]bool
}

// OpenGlance loads the witness of the models.
func OpenGlance(models *engine.Models) (*Glance, error) {
	w, err := models.Witness()
	if err != nil {
		return nil, err
	}
	g := &Glance{quick: newRecogniser(Recogniser{w.Model, w.Name, w.Dictionary}, 0, 1), known: map[rune]bool{}}
	for _, sign := range w.Dictionary {
		for _, r := range sign {
			g.known[r] = true
		}
	}
	return g, nil
}

// Read returns what stands in a part of the picture and how sure that is, 0 to 1. Pixels outside the part take no share in it.
func (g *Glance) Read(m *image.Gray, at image.Rectangle) (string, float64, error) {
	if at = at.Intersect(m.Bounds()); at.Empty() {
		return "", 0, nil
	}
	im := raster.From(m.SubImage(at))
	w, h := float64(im.W), float64(im.H)
	read, err := g.quick.read(g.pages.of(im), []quad{{{X: 0, Y: 0}, {X: w, Y: 0}, {X: w, Y: h}, {X: 0, Y: h}}})
	if err != nil {
		return "", 0, err
	}
	return read[0].text(), read[0].score, nil
}

// Knows reports whether a text has no letter that Read never reads.
func (g *Glance) Knows(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return (unicode.IsLetter(r) || unicode.IsMark(r)) && !g.known[r] })
}
