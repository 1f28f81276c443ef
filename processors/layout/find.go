package layout

import (
	"fmt"
	"math"
	"strings"

	"docstream/internal/engine"
	"docstream/internal/engine/compass"
	"docstream/internal/engine/raster"
	"docstream/internal/engine/reading"
	"docstream/schemas"
)

// The input of PP-PicoDet layout_cdla, pixels.
const (
	inputWidth  = 608
	inputHeight = 800
)

// MaxRegions bounds what one page can report.
const MaxRegions = 500

// Model computes the outputs of one input tensor, as [engine.Model] does.
type Model interface {
	Run(shape []int64, in []float32, use func(out []engine.Tensor) error) error
}

// Finder finds regions with one model. It keeps its buffers and is for one goroutine at a time.
type Finder struct {
	model   Model
	compass *compass.Compass // nil: pages are looked at as they lie
	classes []string
	norm    *raster.Norm
	resizer raster.Resizer
	small   raster.Image
	input   []float32
}

// NewFinder makes a finder; classes are the names of the model's classes, one a line.
func NewFinder(m Model, classes string) *Finder {
	return &Finder{
		model:   m,
		classes: strings.Split(strings.TrimSpace(classes), "\n"),
		// In the order of an RGB triplet although the planes are BGR: so the model was trained.
		norm:  raster.NewNorm([3]float32{.485, .456, .406}, [3]float32{.229, .224, .225}),
		input: make([]float32, 3*inputWidth*inputHeight),
	}
}

// Orient makes the finder look at turned pages upright.
func (f *Finder) Orient(m Model) { f.compass = compass.New(m) }

// Find returns the regions in reading order, in pixels of the image as it lies, whichever way it was looked at.
func (f *Finder) Find(im *raster.Image) ([]schemas.LaidRegion, error) {
	if f.compass == nil {
		return f.find(im)
	}
	degrees, sure, err := f.compass.Ask(im)
	if err != nil {
		return nil, err
	}
	if degrees == 0 || sure < compass.Sure {
		return f.find(im)
	}
	regions, err := f.find(im.Turn(degrees))
	for i := range regions {
		turnBack(&regions[i], degrees, float64(im.W), float64(im.H))
	}
	return regions, err
}

// turnBack maps a region of the turned image onto the w by h image it was turned from.
func turnBack(r *schemas.LaidRegion, degrees int, w, h float64) {
	switch degrees {
	case 90:
		r.X0, r.Y0, r.X1, r.Y1 = r.Y0, h-r.X1, r.Y1, h-r.X0
	case 180:
		r.X0, r.Y0, r.X1, r.Y1 = w-r.X1, h-r.Y1, w-r.X0, h-r.Y0
	case 270:
		r.X0, r.Y0, r.X1, r.Y1 = w-r.Y1, r.X0, w-r.Y0, r.X1
	}
	r.X0, r.Y0, r.X1, r.Y1 = tenth(r.X0), tenth(r.Y0), tenth(r.X1), tenth(r.Y1)
}

func (f *Finder) find(im *raster.Image) ([]schemas.LaidRegion, error) {
	f.resizer.Resize(&f.small, im, inputWidth, inputHeight)
	f.norm.Fill(f.input, &f.small, inputWidth, inputHeight)
	var found []candidate
	err := f.model.Run([]int64{1, 3, inputHeight, inputWidth}, f.input, func(out []engine.Tensor) (err error) {
		found, err = decode(out, len(f.classes))
		return err
	})
	if err != nil {
		return nil, err
	}
	found = suppress(found)
	sx, sy := float64(im.W)/inputWidth, float64(im.H)/inputHeight
	regions := make([]schemas.LaidRegion, 0, len(found))
	for _, c := range found[:min(len(found), MaxRegions)] {
		regions = append(regions, schemas.LaidRegion{
			Kind: f.classes[c.class], Score: math.Round(c.score*1000) / 1000,
			X0: tenth(c.box.X0 * sx), Y0: tenth(c.box.Y0 * sy), X1: tenth(c.box.X1 * sx), Y1: tenth(c.box.Y1 * sy),
		})
	}
	return order(regions), nil
}

func tenth(v float64) float64 { return math.Round(v*10) / 10 }

// candidate is a box in pixels of the model's input.
type candidate struct {
	class int
	score float64
	box   reading.Box
}

// decode reads the outputs of PP-PicoDet: for the strides 8, 16, 32, 64 a tensor of scores [1, cells, classes] each, then a tensor of
// box distributions [1, cells, 4 × bins] each. The distance from a cell's centre to a side is the expectation of the side's
// distribution (softmax over the bins), in strides (Generalized Focal Loss, Li et al. 2020).
func decode(out []engine.Tensor, classes int) ([]candidate, error) {
	n := len(out) / 2
	var found []candidate
	for k := range n {
		stride := 8 << k
		scores, boxes := out[k], out[k+n]
		if len(scores.Shape) != 3 || len(boxes.Shape) != 3 || int(scores.Shape[2]) != classes {
			return nil, fmt.Errorf("unexpected outputs %v and %v for %d classes", scores.Shape, boxes.Shape, classes)
		}
		wide := (inputWidth + stride - 1) / stride
		bins := int(boxes.Shape[2]) / 4
		for i := range int(scores.Shape[1]) {
			class, score := best(scores.Float[i*classes : (i+1)*classes])
			if score < minScore {
				continue
			}
			d := boxes.Float[i*4*bins : (i+1)*4*bins]
			s := float64(stride)
			x, y := (float64(i%wide)+.5)*s, (float64(i/wide)+.5)*s
			found = append(found, candidate{class, score, reading.Box{
				X0: max(0, x-s*expectation(d[:bins])), Y0: max(0, y-s*expectation(d[bins:2*bins])),
				X1: min(inputWidth, x+s*expectation(d[2*bins:3*bins])), Y1: min(inputHeight, y+s*expectation(d[3*bins:])),
			}})
		}
	}
	return found, nil
}

func best(scores []float32) (int, float64) {
	class := 0
	for c, s := range scores {
		if s > scores[class] {
			class = c
		}
	}
	return class, float64(scores[class])
}

// expectation is the mean bin under the softmax of the logits.
func expectation(logits []float32) float64 {
	top := logits[0]
	for _, v := range logits {
		top = max(top, v)
	}
	var z, e float64
	for bin, v := range logits {
		w := math.Exp(float64(v - top))
		z += w
		e += w * float64(bin)
	}
	return e / z
}
