// Package compass guesses by how much a page image is turned.
package compass

import (
	"errors"
	"math"

	"docstream/internal/engine"
	"docstream/internal/engine/raster"
)

// Sure is the probability from which the guess is worth acting on.
const Sure = 0.9

const (
	short = 256 // pixels the shorter side is scaled to
	side  = 224 // pixels of the square cut from the middle, the model's input
)

// Model computes the outputs of one input tensor, as [engine.Model] does.
type Model interface {
	Run(shape []int64, in []float32, use func(out []engine.Tensor) error) error
}

// Compass asks an orientation model. It keeps its buffers and is for one goroutine at a time.
type Compass struct {
	model   Model
	norm    *raster.Norm
	resizer raster.Resizer
	small   raster.Image
	square  raster.Image
	input   []float32
}

// New makes a compass. The model takes [1, 3, 224, 224] and returns the probabilities of the page being turned clockwise by 0, 90, 180 and
// 270 degrees.
func New(m Model) *Compass {
	return &Compass{
		model: m, input: make([]float32, 3*side*side),
		norm: raster.NewNorm([3]float32{.485, .456, .406}, [3]float32{.229, .224, .225}),
	}
}

// Ask returns by how many degrees clockwise the image must be turned to be upright, and how probable that is.
func (c *Compass) Ask(im *raster.Image) (degrees int, sure float64, err error) {
	ratio := short / float64(min(im.W, im.H))
	w := max(side, int(math.Round(float64(im.W)*ratio)))
	h := max(side, int(math.Round(float64(im.H)*ratio)))
	c.resizer.Resize(&c.small, im, w, h)
	x, y := float64((w-side)/2), float64((h-side)/2)
	raster.Warp(&c.square, &c.small, side, side, raster.Affine{X0: x, XX: 1, Y0: y, YY: 1})
	c.norm.Fill(c.input, &c.square, side, side)
	err = c.model.Run([]int64{1, 3, side, side}, c.input, func(out []engine.Tensor) error {
		if len(out) != 1 || len(out[0].Float) != 4 {
			return errors.New("the orientation model does not have four classes")
		}
		class := 0
		for i, p := range out[0].Float {
			if float64(p) > sure {
				class, sure = i, float64(p)
			}
		}
		degrees = (360 - 90*class) % 360
		return nil
	})
	return degrees, sure, err
}
