package ocr

import (
	"cmp"
	"slices"

	"docstream/internal/engine/compass"
	"docstream/internal/engine/raster"
)

const (
	turnSample = 12   // lines read both ways before a page is turned
	turnGain   = 0.05 // how much better they must read: a wrong turn loses everything on the page
	poorScore  = 0.75 // mean score of all lines below which the page may be on its head
)

// view is a page image as it could be read: turned clockwise, and the lines found on it.
type view struct {
	image   *raster.Image
	degrees int
	quads   []quad
}

// look finds the lines of an image turned by some degrees.
func (r *Reader) look(im *raster.Image, degrees int) (view, error) {
	v := view{image: im.TurnInto(&r.turned[degrees/90], degrees), degrees: degrees}
	var err error
	v.quads, err = r.detector.find(v.image)
	return v, err
}

// upright decides how a page is read. Neither the orientation model nor lines that stand on end turn a page by themselves: a sample of
// lines must also read better that way.
func (r *Reader) upright(im *raster.Image) (view, error) {
	plain, err := r.look(im, 0)
	if err != nil || r.compass == nil || len(plain.quads) == 0 {
		return plain, err
	}
	degrees, sure, err := r.compass.Ask(im)
	if err != nil {
		return plain, err
	}
	switch {
	case degrees != 0 && sure >= compass.Sure:
		return r.better(plain, degrees)
	case plain.onEnd():
		return r.better(plain, 90, 270)
	}
	return plain, nil
}

// better is the view that reads best, of the plain one and the plain one turned.
func (r *Reader) better(plain view, turns ...int) (view, error) {
	best := plain
	score, err := r.sample(plain)
	if err != nil {
		return best, err
	}
	score += turnGain
	for _, degrees := range turns {
		v, err := r.look(plain.image, degrees)
		if err != nil {
			return best, err
		}
		s, err := r.sample(v)
		if err != nil {
			return best, err
		}
		if plain.onEnd() && !v.onEnd() {
			s += 2 * turnGain // lines that stand on end are read too, but hardly anybody writes a page of them: not reading worse is enough
		}
		if s > score {
			best, score = v, s
		}
	}
	return best, nil
}

// sample is the mean score of some lines: long ones, because they say most.
func (r *Reader) sample(v view) (float64, error) {
	quads := slices.Clone(v.quads)
	slices.SortStableFunc(quads, func(a, b quad) int {
		return cmp.Compare(max(b.width(), b.height()), max(a.width(), a.height()))
	})
	read, err := r.quick.read(r.sampled.of(v.image), uprights(quads[:min(len(quads), turnSample)]))
	return meanScore(read), err
}

func meanScore(read []transcript) float64 {
	sum := 0.0
	for _, s := range read {
		sum += s.score
	}
	return sum / float64(max(len(read), 1))
}

// onEnd reports whether most lines stand on end.
func (v view) onEnd() bool {
	n := 0
	for _, q := range v.quads {
		if q.height() >= 1.5*q.width() {
			n++
		}
	}
	return 2*n > len(v.quads)
}
