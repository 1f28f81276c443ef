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
)

// upright returns the image as it should be read, the lines on it, and by how many degrees clockwise it was turned. The model's word
// alone turns no page: a sample of lines must also read better that way, because a wrong turn loses everything on the page.
func (r *Reader) upright(im *raster.Image) (*raster.Image, []quad, int, error) {
	quads, err := r.detector.find(im)
	if err != nil || r.compass == nil {
		return im, quads, 0, err
	}
	degrees, sure, err := r.compass.Ask(im)
	if err != nil || degrees == 0 || sure < compass.Sure {
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
	gain := turnGain
	if mostlyTall(quads) && !mostlyTall(turnedQuads) {
		gain = -turnGain // lines that stand on end are read as well, but nobody writes a page of them: not reading worse is enough
	}
	if after < before+gain {
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

// mostlyTall reports whether most lines stand on end.
func mostlyTall(quads []quad) bool {
	n := 0
	for _, q := range quads {
		if q.height() >= 1.5*q.width() {
			n++
		}
	}
	return 2*n > len(quads)
}
