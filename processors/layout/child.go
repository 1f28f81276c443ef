package layout

import (
	"context"
	"errors"

	"docstream/internal/engine"
	"docstream/internal/engine/raster"
	"docstream/internal/fault"
	"docstream/schemas"
)

// Method is the name of the child's handler.
const Method = "layout.page"

// Request is one page image.
type Request struct {
	Image     []byte // PNG or JPEG
	MaxPixels int64
}

// Result are the regions of the page in reading order.
type Result struct {
	Regions []schemas.LaidRegion
}

// Register gives the child its handler. model is asked for at the first page, so that a child that never lays out loads nothing.
func Register(m *engine.Mux, model func() (*engine.Model, error)) {
	var f *Finder
	engine.Handle(m, Method, func(_ context.Context, req Request) (Result, error) {
		if f == nil {
			l, err := model()
			if err != nil {
				return Result{}, err
			}
			f = NewFinder(l, l.Metadata("character"))
		}
		im, err := raster.Decode(req.Image, req.MaxPixels)
		if errors.Is(err, raster.ErrTooLarge) {
			return Result{}, fault.Document(schemas.PageTooLarge, "%s", schemas.Codes[schemas.PageTooLarge].Meaning).Because(err)
		}
		if err != nil {
			return Result{}, fault.Document(schemas.PageCorrupt, "%s", schemas.Codes[schemas.PageCorrupt].Meaning).Because(err)
		}
		regions, err := f.Find(im)
		if err != nil {
			return Result{}, fault.Puzzle(schemas.LayoutFailed, "%s", schemas.Codes[schemas.LayoutFailed].Meaning).Because(err)
		}
		return Result{regions}, nil
	})
}
