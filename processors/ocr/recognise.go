package ocr

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"docstream/internal/engine"
	"docstream/internal/engine/raster"
)

// Settings of the recogniser.
const (
	lineHeight = 48   // pixels, the model's
	bucketStep = 16   // widths are rounded up to a multiple
	minBucket  = 96   // pixels
	maxBucket  = 4096 // pixels; a longer line is squeezed
)

// recogniser reads the text of lines.
type recogniser struct {
	model      Model
	dictionary []string
	together   int // pixels of width that go through the model at once; a single line always may
	norm       *raster.Norm
	crop       raster.Image
	input      []float32
}

func newRecogniser(m Model, dictionary []string, together int) *recogniser {
	return &recogniser{model: m, dictionary: dictionary, together: together, norm: raster.NewNorm([3]float32{.5, .5, .5}, [3]float32{.5, .5, .5})}
}

// job is one line to read: where it lies and how wide it is at the model's height.
type job struct {
	index  int
	quad   quad
	width  int // pixels of text
	bucket int // pixels with padding
}

// newJob fixes the width a line is read at. The bucket depends on the line alone, never on its neighbours (P5).
func newJob(i int, q quad) job {
	w := int(math.Ceil(lineHeight * q.width() / max(q.height(), 1)))
	w = min(max(w, 8), maxBucket)
	return job{i, q, w, max((w+bucketStep-1)/bucketStep*bucketStep, minBucket)}
}

// read returns the text of each quad, in the order of quads.
func (r *recogniser) read(pages *pyramid, quads []quad) ([]transcript, error) {
	jobs := make([]job, len(quads))
	for i, q := range quads {
		jobs[i] = newJob(i, q.upright())
	}
	slices.SortStableFunc(jobs, func(a, b job) int { return cmp.Compare(a.bucket, b.bucket) })
	out := make([]transcript, len(quads))
	for len(jobs) > 0 {
		n := 1
		for n < len(jobs) && jobs[n].bucket == jobs[0].bucket && (n+1)*jobs[0].bucket <= r.together {
			n++
		}
		if err := r.batch(pages, jobs[:n], out); err != nil {
			return nil, err
		}
		jobs = jobs[n:]
	}
	return out, nil
}

// batch reads lines of one bucket.
func (r *recogniser) batch(pages *pyramid, jobs []job, out []transcript) error {
	bucket := jobs[0].bucket
	size := 3 * lineHeight * bucket
	r.input = grow(r.input, len(jobs)*size)
	clear(r.input) // padding is zero, the middle grey
	for k, j := range jobs {
		src, scale := pages.level(j.quad.height() / lineHeight)
		a := j.quad.onto(j.width, lineHeight)
		a.X0, a.XX, a.XY, a.Y0, a.YX, a.YY = a.X0*scale, a.XX*scale, a.XY*scale, a.Y0*scale, a.YX*scale, a.YY*scale
		raster.Warp(&r.crop, src, j.width, lineHeight, a)
		r.norm.Fill(r.input[k*size:(k+1)*size], &r.crop, bucket, lineHeight)
	}
	shape := []int64{int64(len(jobs)), 3, lineHeight, int64(bucket)}
	return r.model.Run(shape, r.input, func(t []engine.Tensor) error {
		if len(t) != 2 || len(t[0].Shape) != 2 || len(t[0].Int) != len(t[1].Float) || int(t[0].Shape[0]) != len(jobs) {
			return fmt.Errorf("the recogniser's outputs are not classes and scores of %d lines", len(jobs))
		}
		steps := int(t[0].Shape[1])
		for k, j := range jobs {
			s, err := r.decode(t[0].Int[k*steps:(k+1)*steps], t[1].Float[k*steps:(k+1)*steps])
			if err != nil {
				return err
			}
			// A step covers bucket/steps pixels; positions become fractions of the text's width.
			s.place(float64(bucket) / float64(steps) / float64(j.width))
			s.quad = j.quad
			out[j.index] = s
		}
		return nil
	})
}

// pyramid holds an image at full, half, quarter… size; the smaller ones are made when first needed.
type pyramid struct{ levels []*raster.Image }

// level picks the image to sample from when reduction source pixels become one: bilinear sampling skips pixels beyond two. It returns
// also the factor of its coordinates.
func (p *pyramid) level(reduction float64) (*raster.Image, float64) {
	k, scale := 0, 1.0
	for reduction > 2 && min(p.levels[k].W, p.levels[k].H) > 2 {
		if k++; k == len(p.levels) {
			p.levels = append(p.levels, p.levels[k-1].Halve())
		}
		reduction, scale = reduction/2, scale/2
	}
	return p.levels[k], scale
}
