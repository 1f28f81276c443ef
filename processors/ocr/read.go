package ocr

import (
	"docstream/internal/engine"
	"docstream/internal/engine/compass"
	"docstream/internal/engine/raster"
)

// minLineScore is the mean confidence below which a line is taken for dirt, as PP-OCR does.
const minLineScore = 0.5

// Model computes the outputs of one input tensor, as [engine.Model] does.
type Model interface {
	Run(shape []int64, in []float32, use func(out []engine.Tensor) error) error
}

// Models are what a reader needs.
type Models struct {
	Detection   Model
	Recognition Model // outputs: best class and its score at each step
	Orientation Model // nil: pages are never turned
	Dictionary  []string
	Name        string // of the recognition model, for the result
	// Together is how many pixels of line go through the recognition model at once. 0 means line by line: on a CPU that is as fast as
	// any batch, needs the least memory, and a line cannot have neighbours at all (P5). A GPU wants more.
	Together int
}

// Reader reads page images. It keeps its buffers and is for one goroutine at a time.
type Reader struct {
	detector   *detector
	recogniser *recogniser
	compass    *compass.Compass
	name       string
}

// NewReader makes a reader.
func NewReader(m Models) *Reader {
	r := &Reader{detector: newDetector(m.Detection), recogniser: newRecogniser(m.Recognition, m.Dictionary, m.Together), name: m.Name}
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

// lines reads a page whichever way it lies. Lines the model is unsure of are left out.
func (r *Reader) lines(im *raster.Image) (view, []line, error) {
	v, err := r.upright(im)
	if err != nil {
		return v, nil, err
	}
	read, err := r.recogniser.read(&pyramid{[]*raster.Image{v.image}}, v.quads)
	if err != nil {
		return v, nil, err
	}
	if v.degrees == 0 && r.compass != nil && len(read) > 0 && meanScore(read) < poorScore {
		turned, err := r.better(v, 180)
		if err != nil {
			return v, nil, err
		}
		if turned.degrees != 0 {
			v = turned
			if read, err = r.recogniser.read(&pyramid{[]*raster.Image{v.image}}, v.quads); err != nil {
				return v, nil, err
			}
		}
	}
	var out []line
	for _, s := range read {
		if text := s.text(); text != "" && s.score >= minLineScore {
			out = append(out, line{s, text})
		}
	}
	return v, out, nil
}
