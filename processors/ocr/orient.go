package ocr

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"docstream/internal/engine"
	"docstream/internal/engine/raster"
)

// Settings of the page orientation.
const (
	compassShort = 256 // pixels the shorter side is scaled to
	compassSide  = 224 // pixels of the square cut from the middle
	compassSure  = 0.9 // probability from which a turn is considered
	turnSample   = 12  // lines read both ways before a page is turned
	turnGain     = 0.05
)

// compass guesses by how much a page is turned.
type compass struct {
	model   Model
	norm    *raster.Norm
	resizer raster.Resizer
	small   raster.Image
	square  raster.Image
	input   []float32
}

func newCompass(m Model) *compass {
	return &compass{
		model: m, input: make([]float32, 3*compassSide*compassSide),
		norm: raster.NewNorm([3]float32{.485, .456, .406}, [3]float32{.229, .224, .225}),
	}
}

// ask returns by how many degrees clockwise the image must be turned to be upright, and how sure that is.
func (c *compass) ask(im *raster.Image) (int, float64, error) {
	ratio := compassShort / float64(min(im.W, im.H))
	w := max(compassSide, int(math.Round(float64(im.W)*ratio)))
	h := max(compassSide, int(math.Round(float64(im.H)*ratio)))
	c.resizer.Resize(&c.small, im, w, h)
	x, y := float64((w-compassSide)/2), float64((h-compassSide)/2)
	raster.Warp(&c.square, &c.small, compassSide, compassSide, raster.Affine{X0: x, XX: 1, Y0: y, YY: 1})
	c.norm.Fill(c.input, &c.square, compassSide, compassSide)
	class, sure := 0, 0.0
	err := c.model.Run([]int64{1, 3, compassSide, compassSide}, c.input, func(out []engine.Tensor) error {
		if len(out) != 1 || len(out[0].Float) != 4 {
			return fmt.Errorf("the orientation model has no four classes")
		}
		for i, p := range out[0].Float {
			if float64(p) > sure {
				class, sure = i, float64(p)
			}
		}
		return nil
	})
	return (360 - 90*class) % 360, sure, err // the classes 0, 90, 180, 270 say how the page is turned clockwise
}

// upright returns the image as it should be read, the lines on it, and by how many degrees clockwise it was turned. The model's word
// alone turns no page: a sample of lines must also read better that way, because a wrong turn loses everything on the page.
func (r *Reader) upright(im *raster.Image) (*raster.Image, []quad, int, error) {
	quads, err := r.detector.find(im)
	if err != nil || r.compass == nil {
		return im, quads, 0, err
	}
	degrees, sure, err := r.compass.ask(im)
	if err != nil || degrees == 0 || sure < compassSure {
		return im, quads, 0, err
	}
	turned := im.Turn(degrees)
	turnedQuads, err := r.detector.find(turned)
	if err != nil {
		return nil, nil, 0, err
	}
	before, err := r.sample(im, quads)
	if err != nil {
		return nil, nil, 0, err
	}
	after, err := r.sample(turned, turnedQuads)
	if err != nil {
		return nil, nil, 0, err
	}
	if after < before+turnGain {
		return im, quads, 0, nil
	}
	return turned, turnedQuads, degrees, nil
}

// sample is the mean score of some lines: wide ones, because they say most.
func (r *Reader) sample(im *raster.Image, quads []quad) (float64, error) {
	quads = slices.Clone(quads)
	slices.SortStableFunc(quads, func(a, b quad) int { return cmp.Compare(b.width(), a.width()) })
	quads = quads[:min(len(quads), turnSample)]
	read, err := r.recogniser.read(&pyramid{[]*raster.Image{im}}, quads)
	if err != nil || len(read) == 0 {
		return 0, err
	}
	sum := 0.0
	for _, s := range read {
		sum += s.score
	}
	return sum / float64(len(read)), nil
}
