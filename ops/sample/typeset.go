package sample

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
)

// A4 in points.
const (
	pageWidth  = 595
	pageHeight = 842
	margin     = 64
)

// run is text on one line; x and y are where its baseline starts, in points from the top left.
type run struct {
	text string
	x, y float64
	size float64
	bold bool
}

// rule is a straight line, in points.
type rule struct{ x0, y0, x1, y1 float64 }

// sheet is a page with everything in its place.
type sheet struct {
	runs  []run
	rules []rule
	y     float64 // where the next line goes
}

// typesetter breaks content into lines.
type typesetter struct {
	regular, bold *opentype.Font
	faces         map[faceKey]font.Face
}

type faceKey struct {
	size, dpi float64
	bold      bool
}

func newTypesetter() (*typesetter, error) {
	regular, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, fmt.Errorf("parsing the regular font: %w", err)
	}
	bold, err := opentype.Parse(gobold.TTF)
	if err != nil {
		return nil, fmt.Errorf("parsing the bold font: %w", err)
	}
	return &typesetter{regular: regular, bold: bold, faces: map[faceKey]font.Face{}}, nil
}

// face returns a face, made once.
func (t *typesetter) face(size, dpi float64, bold bool) font.Face {
	k := faceKey{size, dpi, bold}
	if f, ok := t.faces[k]; ok {
		return f
	}
	var src *sfnt.Font = t.regular
	if bold {
		src = t.bold
	}
	f, err := opentype.NewFace(src, &opentype.FaceOptions{Size: size, DPI: dpi, Hinting: font.HintingNone})
	if err != nil {
		panic(err) // the fonts are compiled in and the sizes are ours: it cannot fail
	}
	t.faces[k] = f
	return f
}

func (t *typesetter) close() error {
	var errs []error
	for _, f := range t.faces {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// set puts the content of a page in its place.
func (t *typesetter) set(c content) sheet {
	s := sheet{y: margin + 20}
	t.block(&s, c.heading, 20, true, 26)
	s.y += 8
	for _, p := range c.paragraphs {
		t.block(&s, p, 11.5, false, 16)
		s.y += 10
	}
	for _, item := range c.list {
		t.block(&s, item, 11.5, false, 17)
	}
	s.y += 14
	if len(c.table) > 0 {
		t.grid(&s, c.table)
	}
	return s
}

// block sets text in lines of the full width.
func (t *typesetter) block(s *sheet, text string, size float64, bold bool, leading float64) {
	face := t.face(size, 72, bold)
	line := ""
	flush := func() {
		s.runs = append(s.runs, run{line, margin, s.y, size, bold})
		s.y += leading
	}
	for _, w := range strings.Fields(text) {
		next := strings.TrimPrefix(line+" "+w, " ")
		if font.MeasureString(face, next).Ceil() > pageWidth-2*margin {
			flush()
			next = w
		}
		line = next
	}
	flush()
}

// grid sets a ruled table.
func (t *typesetter) grid(s *sheet, rows [][]string) {
	const height, inset = 22.0, 8.0
	columns := float64(len(rows[0]))
	width := (pageWidth - 2*margin) / columns
	top, bottom := s.y-height/2, s.y-height/2+height*float64(len(rows))
	for i := range len(rows) + 1 {
		y := top + height*float64(i)
		s.rules = append(s.rules, rule{margin, y, pageWidth - margin, y})
	}
	for i := range len(rows[0]) + 1 {
		x := margin + width*float64(i)
		s.rules = append(s.rules, rule{x, top, x, bottom})
	}
	for i, row := range rows {
		for j, cell := range row {
			s.runs = append(s.runs, run{cell, margin + width*float64(j) + inset, top + height*float64(i) + 15, 11.5, i == 0})
		}
	}
	s.y = bottom
}
