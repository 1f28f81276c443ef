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

// Source loads a model when it is first needed.
type Source = func() (*engine.Model, error)

// Register gives the child its handler. The models are asked for at the first page, so that a child that never lays out loads nothing.
// With an orientation model a page that lies on its side is looked at upright.
func Register(m *engine.Mux, model Source, orientation ...Source) {
	var f *Finder
	load := func() error {
		if f != nil {
			return nil
		}
		l, err := model()
		if err != nil {
			return err
		}
		fresh := NewFinder(l, l.Metadata("character"))
		for _, open := range orientation {
			o, err := open()
			if err != nil {
				return err
			}
			fresh.Orient(o)
		}
		f = fresh
		return nil
	}
	m.Warm(Method, load)
	engine.Handle(m, Method, func(_ context.Context, req Request) (Result, error) {
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
		regions, err := f.Find(im)
		if errors.As(err, new(*fault.Error)) { // the shared device's
			return Result{}, err
		}
		if err != nil {
			return Result{}, fault.Puzzle(schemas.LayoutFailed, "%s", schemas.Codes[schemas.LayoutFailed].Meaning).Because(err)
		}
		return Result{regions}, nil
	})
}
