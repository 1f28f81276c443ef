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
	name       string
	dictionary []string
	together   int // pixels of width that go through the model at once; a single line always may
	width      float64
	norm       *raster.Norm
	crop       raster.Image
	input      []float32
	gauge      gauge
	rises      []float64 // of a batch's lines
	ink        []bool    // of the columns of a batch's lines, one behind the other
}

func newRecogniser(m Recogniser, together int, width float64) *recogniser {
	return &recogniser{model: m.Model, name: m.Name, dictionary: m.Dictionary, together: together, width: width, norm: raster.NewNorm([3]float32{.5, .5, .5}, [3]float32{.5, .5, .5})}
}

// job is one line to read: where it lies and how wide it is at the model's height.
type job struct {
	index  int
	quad   quad
	width  int // pixels of text
	bucket int // pixels with padding
}

// newJob fixes the width a line is read at. The bucket depends on the line alone, never on its neighbours (P5).
func newJob(i int, q quad, share float64) job {
	w := int(math.Ceil(share * lineHeight * q.width() / max(q.height(), 1)))
	w = min(max(w, 8), maxBucket)
	return job{i, q, w, max((w+bucketStep-1)/bucketStep*bucketStep, minBucket)}
}

// read returns the text of each quad, in the order of quads, which are upright.
func (r *recogniser) read(pages *pyramid, quads []quad) ([]transcript, error) {
	jobs := make([]job, len(quads))
	for i, q := range quads {
		jobs[i] = newJob(i, q, r.width)
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
	r.ink, r.rises = r.ink[:0], r.rises[:0]
	for k, j := range jobs {
		src, scale := pages.level(j.quad.height() / lineHeight)
		a := j.quad.onto(j.width, lineHeight)
		a.X0, a.XX, a.XY, a.Y0, a.YX, a.YY = a.X0*scale, a.XX*scale, a.XY*scale, a.Y0*scale, a.YX*scale, a.YY*scale
		raster.Warp(&r.crop, src, j.width, lineHeight, a)
		r.norm.Fill(r.input[k*size:(k+1)*size], &r.crop, bucket, lineHeight)
		r.ink, r.rises = r.gauge.ink(r.ink, &r.crop), append(r.rises, r.gauge.rise(&r.crop))
	}
	shape := []int64{int64(len(jobs)), 3, lineHeight, int64(bucket)}
	return r.model.Run(shape, r.input, func(t []engine.Tensor) error {
		if len(t) != 2 || len(t[0].Shape) != 2 || len(t[0].Int) != len(t[1].Float) || int(t[0].Shape[0]) != len(jobs) {
			return fmt.Errorf("the recogniser's outputs are not classes and scores of %d lines", len(jobs))
		}
		steps, ink := int(t[0].Shape[1]), r.ink
		for k, j := range jobs {
			s, err := r.decode(t[0].Int[k*steps:(k+1)*steps], t[1].Float[k*steps:(k+1)*steps])
			if err != nil {
				return err
			}
			// A step covers bucket/steps pixels; positions become fractions of the text's width.
			s.place(float64(bucket) / float64(steps) / float64(j.width))
			s.part(ink[:j.width])
			ink = ink[j.width:]
			s.quad, s.model, s.rise = j.quad, r.name, r.rises[k]
			out[j.index] = s
		}
		return nil
	})
}

// pyramid holds an image at full, half, quarter… size; the smaller ones are made when first needed, in memory kept from page to page.
type pyramid struct {
	full    *raster.Image
	made    int // of the smaller ones, for this image
	smaller []*raster.Image
}

// of begins a new image. What was made of the one before is lost.
func (p *pyramid) of(im *raster.Image) *pyramid {
	p.full, p.made = im, 0
	return p
}

// level picks the image to sample from when reduction source pixels become one: bilinear sampling skips pixels beyond two. It returns
// also the factor of its coordinates.
func (p *pyramid) level(reduction float64) (*raster.Image, float64) {
	im, scale := p.full, 1.0
	for k := 0; reduction > 2 && min(im.W, im.H) > 2; k++ {
		if k == len(p.smaller) {
			p.smaller = append(p.smaller, &raster.Image{})
		}
		if k == p.made {
			im.HalveInto(p.smaller[k])
			p.made++
		}
		im, reduction, scale = p.smaller[k], reduction/2, scale/2
	}
	return im, scale
}
