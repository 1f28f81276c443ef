package ocr

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"docstream/internal/engine"
	"docstream/internal/engine/compass"
	"docstream/internal/engine/raster"
	"docstream/internal/engine/ruling"
	"docstream/schemas/document"
)

// minLineScore is the mean confidence below which a line is taken for dirt, as PP-OCR does.
const minLineScore = 0.5

// Model computes the outputs of one input tensor, as [engine.Model] does.
type Model interface {
	Run(shape []int64, in []float32, use func(out []engine.Tensor) error) error
	RunInto(shape []int64, in []float32, outShape []int64, out []float32) error
}

// Models are what a reader needs.
type Models struct {
	Detection   Model
	Orientation Model // nil: pages are never turned
	Quick       Recogniser
	Thorough    *Recogniser // nil: there is no cascade
	Reading     engine.Reading
	// Together is how many pixels of line go through the recognition model at once. 0 means line by line: on a CPU that is as fast as
	// any batch, needs the least memory, and a line cannot have neighbours at all (P5). A GPU wants more.
	Together int
}

// Recogniser is a model that reads lines: its outputs are the best class and its score at each step.
type Recogniser struct {
	Model
	Name       string // for the result
	Dictionary []string
}

// Reader reads page images. It keeps its buffers and is for one goroutine at a time.
type Reader struct {
	detector *detector
	quick    *recogniser
	thorough *recogniser // nil: there is no cascade
	doubt    float64
	waver    float64
	compass  *compass.Compass

	turned         [4]raster.Image // by quarters: the memory of views
	pages, sampled pyramid         // of the view that is read, and of those that are only tried

	ruler ruling.Finder
	level raster.Image // the view without its slant
}

// NewReader makes a reader.
func NewReader(m Models) *Reader {
	r := &Reader{detector: newDetector(m.Detection, m.Reading.Side), quick: newRecogniser(m.Quick, m.Together, m.Reading.Width), doubt: m.Reading.Doubt, waver: m.Reading.WordDoubt}
	if m.Thorough != nil {
		r.thorough = newRecogniser(*m.Thorough, m.Together, m.Reading.Thorough)
	}
	if m.Orientation != nil {
		r.compass = compass.New(m.Orientation)
	}
	return r
}

// line is one line of text on the image as it is read.
type line struct {
	transcript
	str string
}

// lines reads a page whichever way it lies. Lines the model is unsure of are left out and counted.
func (r *Reader) lines(im *raster.Image) (v view, out []line, unread int, err error) {
	if v, err = r.upright(im); err != nil {
		return v, nil, 0, err
	}
	pages := r.pages.of(v.image)
	read, err := r.quick.read(pages, uprights(v.quads))
	if err != nil {
		return v, nil, 0, err
	}
	if v.degrees == 0 && r.compass != nil && len(read) > 0 && meanScore(read) < poorScore {
		turned, err := r.better(v, 180)
		if err != nil {
			return v, nil, 0, err
		}
		if turned.degrees != 0 {
			v, pages = turned, r.pages.of(turned.image)
			if read, err = r.quick.read(pages, uprights(v.quads)); err != nil {
				return v, nil, 0, err
			}
		}
	}
	if err := r.again(pages, read); err != nil {
		return v, nil, 0, err
	}
	for _, s := range read {
		switch text := s.text(); {
		case text != "" && s.score >= minLineScore:
			out = append(out, line{s, text})
		case s.quad.width() > strangeWidth*s.quad.height(): // shorter ones are dirt and ornaments
			unread++
		}
	}
	return v, out, unread, nil
}

// Where a page is taken to be written in signs that the recognisers do not know: they read such lines with little certainty.
const (
	strangeWidth = 2   // of a line in its heights, from which it counts
	strangeLines = 2   // that were left out, at least
	strangeShare = 0.3 // of the lines that were left out or read poorly, at least
	poorLine     = 0.8 // mean score of a line below which it is read poorly; lines of known signs stay above .9
	emptyLine    = 3   // heights of a line for each sign seen in it, above which most of it was not read: unknown signs are taken for gaps
)

// signs counts what is not a space.
func signs(s string) int { return utf8.RuneCountInString(strings.ReplaceAll(s, " ", "")) }

// warnings say what a reader of the result must know.
func warnings(lines []line, unread int) []document.Warning {
	poor := unread
	for _, l := range lines {
		if l.score < poorLine || float64(signs(l.str))*emptyLine < l.quad.width()/max(l.quad.height(), 1) {
			poor++
		}
	}
	all := len(lines) + unread
	if poor < strangeLines || float64(poor) < strangeShare*float64(all) {
		return nil
	}
	return []document.Warning{{Code: document.ScriptUnknown, Message: fmt.Sprintf("%d of %d lines were read with little certainty or not at all: "+
		"their script may be outside the dictionary of the recognition models, or the page is damaged.", poor, all)}}
}
