// Package layout finds the regions of a page image: where its text, titles, figures, tables, headers and footers lie.
//
// The stage reads PagePrepared and writes PageLaidOut. The finding itself runs in a child of the engine; this package holds both halves:
// [Stage] is the parent's, [Register] gives the child its handler.
package layout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"docstream/internal/blob"
	"docstream/internal/engine"
	"docstream/internal/fault"
	"docstream/schemas"
)

// Version names this stage's algorithm; it is part of the pipeline version and changes with anything that can change a result.
const Version = "layout/1"

const stageName = "layout"

// Objects is the part of the object store the stage needs.
type Objects interface {
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error)
}

// Engine lends a child.
type Engine interface {
	Lease(ctx context.Context) (*engine.Slot, error)
}

// Config bounds the stage.
type Config struct {
	Device        string `koanf:"device"`          // cpu or cuda; reported with the cost
	MaxImageBytes int64  `koanf:"max_image_bytes"` // size of an encoded page image
	MaxPixels     int64  `koanf:"max_pixels"`      // of a decoded page image
}

// DefaultConfig reads pages up to A3 at 600 dpi.
func DefaultConfig() Config {
	return Config{Device: engine.CPU, MaxImageBytes: 256 << 20, MaxPixels: 100e6}
}

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	if c.Device != engine.CPU && c.Device != engine.CUDA {
		errs = append(errs, fmt.Errorf("layout: device must be cpu or cuda, is %q", c.Device))
	}
	if c.MaxImageBytes <= 0 || c.MaxPixels <= 0 {
		errs = append(errs, fmt.Errorf("layout: max_image_bytes (%d) and max_pixels (%d) must be positive", c.MaxImageBytes, c.MaxPixels))
	}
	return errors.Join(errs...)
}

// Stage turns PagePrepared into PageLaidOut.
type Stage struct {
	cfg     Config
	objects Objects
	engine  Engine
	log     *slog.Logger
}

// New makes the stage; it starts nothing.
func New(cfg Config, objects Objects, e Engine, log *slog.Logger) *Stage {
	return &Stage{cfg: cfg, objects: objects, engine: e, log: log}
}

// Work finds the regions of one page. It leaves nothing behind, so it never looks for an earlier output.
func (s *Stage) Work(ctx context.Context, e *schemas.PagePrepared, _ schemas.Delivery) ([]schemas.Event, error) {
	img, err := s.fetch(ctx, e)
	if err != nil {
		return nil, err
	}
	slot, err := s.engine.Lease(ctx)
	if err != nil {
		return nil, err
	}
	defer slot.Release()
	var res Result
	usage, err := slot.Call(ctx, Method, Request{Image: img, MaxPixels: s.cfg.MaxPixels}, &res)
	if err != nil {
		return nil, err
	}
	out := &schemas.PageLaidOut{
		Head: e.Head, Page: e.Page, RequestID: e.RequestID, Class: e.Class, Priority: e.Priority, Image: e.Image, Text: e.Text,
		Regions: res.Regions, Options: e.Options, Pipeline: e.Pipeline,
		Costs: append(append([]schemas.StageCost{}, e.Costs...), schemas.StageCost{Stage: stageName, Device: s.cfg.Device,
			CPUMicros: usage.CPU.Microseconds(), WallMicros: usage.Wall.Microseconds()}),
	}
	out.EventID = schemas.EventIDFor(e.JobID, e.Run, stageName, e.Page, out.Kind(), 0)
	out.At = time.Now().UTC()
	return []schemas.Event{out}, nil
}

// fetch reads the page image; a missing one is the page's own fault, because work objects outlive every job deadline.
func (s *Stage) fetch(ctx context.Context, e *schemas.PagePrepared) ([]byte, error) {
	r, _, err := s.objects.Get(ctx, e.Image.Key, 0, 0)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, fault.Document(schemas.PageCorrupt, "The image of page %d is missing.", e.Page).Because(err)
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, s.cfg.MaxImageBytes+1))
	if err != nil {
		return nil, fault.World(schemas.ServiceUnavailable, "%s", schemas.Codes[schemas.ServiceUnavailable].Meaning).
			Because(fmt.Errorf("read %s: %w", e.Image.Key, err))
	}
	if int64(len(b)) > s.cfg.MaxImageBytes {
		return nil, fault.Document(schemas.PageTooLarge, "The image of page %d has more than %d bytes.", e.Page, s.cfg.MaxImageBytes)
	}
	return b, nil
}
