package ocr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"docstream/internal/engine"
	"docstream/internal/engine/raster"
	"docstream/internal/fault"
	"docstream/schemas"
	"docstream/schemas/document"
)

// Register gives the child its handler. The models are loaded at the first page, so that a child that never reads loads nothing.
func Register(m *engine.Mux, models *engine.Models) {
	var r *Reader
	load := func() (err error) {
		if r == nil {
			r, err = Open(models)
		}
		return err
	}
	m.Warm(Method, load)
	engine.Handle(m, Method, func(_ context.Context, req Request) (Result, error) {
		if have := models.Set().Reading().String(); req.Reading != have {
			return Result{}, fault.World(schemas.EngineUnavailable, "%s", schemas.Codes[schemas.EngineUnavailable].Meaning).
				Because(fmt.Errorf("the stage asks for the reading %q, the engine has %q", req.Reading, have))
		}
		if err := load(); err != nil {
			return Result{}, err
		}
		im, err := raster.Decode(req.Image, req.MaxPixels)
		if errors.Is(err, raster.ErrTooLarge) {
			return Result{}, fault.Document(schemas.PageTooLarge, "%s", schemas.Codes[schemas.PageTooLarge].Meaning).Because(err)
		}
		if err != nil {
			return Result{}, fault.Document(schemas.PageCorrupt, "%s", schemas.Codes[schemas.PageCorrupt].Meaning).Because(err)
		}
		p, err := r.read(im, req)
		if errors.As(err, new(*fault.Error)) { // the shared device's
			return Result{}, err
		}
		if err != nil {
			return Result{}, fault.Puzzle(schemas.OCRFailed, "%s", schemas.Codes[schemas.OCRFailed].Meaning).Because(err)
		}
		var figures []Figure
		if req.Figures && len(req.Text) == 0 {
			if figures, err = crop(p, im, req.DPI); err != nil {
				return Result{}, err
			}
		}
		b, err := json.Marshal(p)
		if err != nil {
			return Result{}, fmt.Errorf("encode page: %w", err)
		}
		lines, words := count(p)
		return Result{b, lines, words, p.Confidence, figures}, nil
	})
}

// together is how many pixels of width a page's lines of one bucket go to a device with: it makes its batches of them and of other pages'.
const together = 16 << 10

// Open loads the models of a set into a reader.
func Open(models *engine.Models) (*Reader, error) {
	det, err := models.Detection()
	if err != nil {
		return nil, err
	}
	rec, err := models.Recognisers()
	if err != nil {
		return nil, err
	}
	turn, err := models.Orientation()
	if err != nil {
		return nil, err
	}
	set := models.Set()
	m := Models{Detection: det, Orientation: turn, Reading: set.Reading(), Quick: Recogniser{rec[0].Model, rec[0].Name, rec[0].Dictionary}}
	if len(rec) > 1 {
		m.Thorough = &Recogniser{rec[1].Model, rec[1].Name, rec[1].Dictionary}
	}
	if set.Shares() || set.Device == engine.CUDA {
		m.Together = together
	}
	return NewReader(m), nil
}

// count says how many lines and words a page has; a row of a table is a line.
func count(p *document.Page) (lines, words int) {
	for _, b := range p.Blocks {
		lines += len(b.Lines)
		for _, l := range b.Lines {
			words += len(l.Words)
		}
		if b.Table != nil {
			lines += b.Table.Rows
			for _, c := range b.Table.Cells {
				words += len(strings.Fields(c.Text))
			}
		}
	}
	return lines, words
}
