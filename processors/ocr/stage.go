package ocr

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/schemas"
	"docstream/schemas/document"
)

// costsKey is the object metadata that keeps what the page cost, so that whoever finds the result can report it.
const costsKey = "costs"

// Stage turns PageLaidOut into PageFinished.
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

// Work reads one page. The result object is written once: whoever comes second reports the stored one, so that all reports of a page
// agree (P2). Only where the work may have been done before is the object looked for first.
func (s *Stage) Work(ctx context.Context, e *schemas.PageLaidOut, d schemas.Delivery) ([]schemas.Event, error) {
	key := schemas.ResultKey(e.Tenant, e.JobID, e.Run, schemas.PageResultName(e.Page))
	if d.Again {
		done, err := s.stored(ctx, e, key)
		if !errors.Is(err, blob.ErrNotFound) {
			return done, err
		}
	}
	res, costs, err := s.read(ctx, e)
	if err != nil {
		return nil, err
	}
	meta, err := json.Marshal(costs)
	if err != nil {
		return nil, fmt.Errorf("encode costs: %w", err)
	}
	for _, f := range res.Figures { // before the page that names them
		fig := schemas.ResultKey(e.Tenant, e.JobID, e.Run, f.Name)
		if err := s.objects.Put(ctx, fig, f.PNG, blob.Options{MediaType: figureType}); err != nil {
			return nil, err
		}
	}
	err = s.objects.Put(ctx, key, res.JSON, blob.Options{Once: true, MediaType: "application/json", Meta: map[string]string{costsKey: string(meta)}})
	if errors.Is(err, blob.ErrExists) {
		return s.stored(ctx, e, key)
	}
	if err != nil {
		return nil, err
	}
	return finished(e, key, res, costs), nil
}

// read has the engine read the page.
func (s *Stage) read(ctx context.Context, e *schemas.PageLaidOut) (res Result, costs []schemas.StageCost, err error) {
	img, _, err := s.fetch(ctx, e.Image.Key)
	if errors.Is(err, blob.ErrNotFound) {
		return res, nil, fault.Document(schemas.PageCorrupt, "The image of page %d is missing.", e.Page).Because(err)
	}
	if err != nil {
		return res, nil, err
	}
	var text []byte
	if e.Text != "" {
		if text, _, err = s.fetch(ctx, e.Text); errors.Is(err, blob.ErrNotFound) {
			return res, nil, fault.Document(schemas.PageCorrupt, "The text of page %d is missing.", e.Page).Because(err)
		}
		if err != nil {
			return res, nil, err
		}
	}
	slot, err := s.engine.Lease(ctx)
	if err != nil {
		return res, nil, err
	}
	defer slot.Release()
	usage, err := slot.Call(ctx, Method, Request{Image: img, MaxPixels: s.cfg.MaxPixels, Reading: s.cfg.Reading,
		Number: e.Page, DPI: e.Image.DPI, Regions: e.Regions, Languages: e.Options.Languages, Figures: e.Options.Figures == schemas.On, Text: text}, &res)
	if err != nil {
		return res, nil, err
	}
	costs = append(append(costs, e.Costs...), schemas.StageCost{Stage: stageName, Device: s.cfg.Device,
		CPUMicros: usage.CPU.Microseconds(), WallMicros: usage.Wall.Microseconds()})
	return res, costs, nil
}

// stored reports the result that is there already; blob.ErrNotFound says that none is.
func (s *Stage) stored(ctx context.Context, e *schemas.PageLaidOut, key string) ([]schemas.Event, error) {
	b, o, err := s.fetch(ctx, key)
	if err != nil {
		return nil, err
	}
	var p document.Page
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fault.Puzzle(schemas.OCRFailed, "%s", schemas.Codes[schemas.OCRFailed].Meaning).
			Because(fmt.Errorf("the stored result %s: %w", key, err))
	}
	costs := e.Costs
	if m := o.Meta[costsKey]; m != "" {
		var kept []schemas.StageCost
		if err := json.Unmarshal([]byte(m), &kept); err == nil {
			costs = kept
		}
	}
	lines, words := count(&p)
	return finished(e, key, Result{JSON: b, Lines: lines, Words: words, Confidence: p.Confidence}, costs), nil
}

func finished(e *schemas.PageLaidOut, key string, res Result, costs []schemas.StageCost) []schemas.Event {
	sum := sha256.Sum256(res.JSON)
	out := &schemas.PageFinished{
		Head: e.Head, Page: e.Page, How: "ocr",
		Result: schemas.ObjectRef{Key: key, Length: int64(len(res.JSON)), SHA256: hex.EncodeToString(sum[:])},
		Lines:  res.Lines, Words: res.Words, Confidence: res.Confidence, Costs: costs,
	}
	out.EventID = schemas.EventIDFor(e.JobID, e.Run, stageName, e.Page, out.Kind(), 0)
	out.At = time.Now().UTC()
	return []schemas.Event{out}
}

// fetch reads a whole object of bounded size.
func (s *Stage) fetch(ctx context.Context, key string) ([]byte, blob.Object, error) {
	r, o, err := s.objects.Get(ctx, key, 0, 0)
	if err != nil {
		return nil, o, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, s.cfg.MaxImageBytes+1))
	if err != nil {
		return nil, o, fault.World(schemas.ServiceUnavailable, "%s", schemas.Codes[schemas.ServiceUnavailable].Meaning).
			Because(fmt.Errorf("read %s: %w", key, err))
	}
	if int64(len(b)) > s.cfg.MaxImageBytes {
		return nil, o, fault.Document(schemas.PageTooLarge, "%s", schemas.Codes[schemas.PageTooLarge].Meaning).
			Because(fmt.Errorf("%s has more than %d bytes", key, s.cfg.MaxImageBytes))
	}
	return b, o, nil
}
