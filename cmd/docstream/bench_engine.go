package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"docstream/internal/blob"
	"docstream/internal/engine"
	"docstream/internal/telemetry"
	"docstream/processors/layout"
	"docstream/processors/ocr"
	"docstream/processors/prepare"
	"docstream/schemas"
)

// bareStages are the functions a page passes on its way, as the stream would call them.
type bareStages struct {
	Prepare func(context.Context, *schemas.DocumentSubmitted, schemas.Delivery) ([]schemas.Event, error)
	Layout  func(context.Context, *schemas.PagePrepared, schemas.Delivery) ([]schemas.Event, error)
	OCR     func(context.Context, *schemas.PageLaidOut, schemas.Delivery) ([]schemas.Event, error)
}

// bareEngines are engine children for the stages to be called on, with a folder of their own.
type bareEngines struct {
	cfg  Config
	dir  string
	pool *engine.Pool
	log  *slog.Logger
}

// bareEngines starts what cfg says; close it after use.
func (p *program) bareEngines(cfg Config) (*bareEngines, error) {
	if err := usable(cfg.Models, native); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "docstream-bench-")
	if err != nil {
		return nil, err
	}
	cfg.Prepare.SourceDir, cfg.Prepare.CompileDir = filepath.Join(dir, "sources"), compiled(cfg)
	log := telemetry.NewLogger(p.stderr, "error", slog.String("role", "bench"))
	pool, err := p.pool(&wiring{cfg: cfg, log: log, reg: prometheus.NewRegistry()}, native)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &bareEngines{cfg: cfg, dir: dir, pool: pool, log: log}, nil
}

// stages work on the children and keep what they make in m.
func (e *bareEngines) stages(m *memoryStore) bareStages {
	return bareStages{
		Prepare: prepare.New(e.cfg.Prepare, m, e.pool, e.cfg.Models.Digests(), e.log).Work,
		Layout:  layout.New(e.cfg.Layout, m, e.pool, e.log).Work,
		OCR:     ocr.New(e.cfg.OCR, m, e.pool, e.log).Work,
	}
}

func (e *bareEngines) close() {
	e.pool.Close()
	_ = os.RemoveAll(e.dir)
}

// bareDocument reads a file into the store and returns its submission.
func bareDocument(ctx context.Context, m *memoryStore, path string) (*schemas.DocumentSubmitted, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	key := schemas.SourceKey("bench", schemas.NewUploadID(now))
	if err := m.Put(ctx, key, b, blob.Options{}); err != nil {
		return nil, err
	}
	job := schemas.NewJobID(now)
	return &schemas.DocumentSubmitted{
		Head:     schemas.Head{EventID: schemas.EventIDFor(job, 0, "gateway", 0, "DocumentSubmitted", 0), Tenant: "bench", JobID: job, At: now, SubmittedAt: now},
		FromPage: 1, Class: "gpu", Priority: "normal", Source: schemas.Source{Key: key, Size: int64(len(b))}, Options: schemas.Options{OCR: "auto"},
	}, nil
}

// bareEngine takes every page of a document through the stages, some at a time, with no broker and no store between them. It returns the
// number of pages read; a page that fails is an error.
func bareEngine(ctx context.Context, s bareStages, m *memoryStore, submitted *schemas.DocumentSubmitted, slots int) (int, error) {
	var pages atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(slots + 1) // one of them prepares
	g.Go(func() error {
		for next := submitted; next != nil; {
			out, err := s.Prepare(gctx, next, schemas.Delivery{})
			if err != nil {
				return err
			}
			next = nil
			for _, e := range out {
				switch e := e.(type) {
				case *schemas.DocumentSubmitted:
					next = e
				case *schemas.PageFinished:
					pages.Add(1)
				case *schemas.PageFailed:
					return fmt.Errorf("page %d failed: %s", e.Page, e.Message)
				case *schemas.PagePrepared:
					g.Go(func() error { return s.page(gctx, m, e, &pages) })
				}
			}
		}
		return nil
	})
	err := g.Wait()
	return int(pages.Load()), err
}

// page takes one page image to its text, then forgets the image: memory does not grow with the document.
func (s bareStages) page(ctx context.Context, m *memoryStore, e *schemas.PagePrepared, pages *atomic.Int64) error {
	laid, err := s.Layout(ctx, e, schemas.Delivery{})
	if err != nil {
		return err
	}
	for _, l := range laid {
		if _, err := s.OCR(ctx, l.(*schemas.PageLaidOut), schemas.Delivery{}); err != nil {
			return err
		}
	}
	pages.Add(1)
	return m.Delete(ctx, e.Image.Key)
}
