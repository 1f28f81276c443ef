// Package compose is the stage that writes a document's outputs: it reads exactly the pages that have a result, in order, once, and
// streams them into every format at the same time.
//
// At most one page is in memory whatever the size of the document (P6). The outputs are written once: one that is there already is equal,
// because the same pages give the same bytes (P5), and is reported as it is stored (P2).
package compose

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"docstream/internal/blob"
	"docstream/internal/failpoint"
	"docstream/internal/fault"
	"docstream/schemas"
	"docstream/schemas/document"
)

// Version changes whenever this stage may give other bytes for the same pages.
const Version = "compose/6"

const stageName = "compose"

// Objects is what the stage needs of the object store.
type Objects interface {
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error)
	Upload(ctx context.Context, key string, body io.Reader, o blob.Options) error
}

// Stage is the stage. Safe for concurrent use.
type Stage struct {
	config  Config
	objects Objects
	models  map[string]string
	log     *slog.Logger
}

// New returns the stage. models maps the name of every model that may have taken part to its digest. A nil log is
// silent.
func New(config Config, objects Objects, models map[string]string, log *slog.Logger) *Stage {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Stage{config: config, objects: objects, models: models, log: log}
}

// Work composes one run of a document and returns its DocumentComposed. A page that the bitmaps name and the store lacks is a puzzle:
// COMPOSE_FAILED.
func (s *Stage) Work(ctx context.Context, e *schemas.DocumentFinished, d schemas.Delivery) ([]schemas.Event, error) {
	formats, err := chosen(e.Options.OutputFormats)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	outputs, err := s.write(ctx, e, d, formats)
	if errors.Is(err, errOver) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	failpoint.At(failpoint.Composed)
	h := e.Head
	h.EventID = schemas.EventIDFor(h.JobID, h.Run, stageName, 0, "DocumentComposed", 0)
	h.At = time.Now().UTC()
	return []schemas.Event{&schemas.DocumentComposed{Head: h, Outputs: outputs,
		Costs: []schemas.StageCost{{Stage: stageName, Device: "cpu", WallMicros: time.Since(began).Microseconds()}}}}, nil
}

// chosen returns the formats to write in the order of the table: those that were asked for, all where none was, JSON always.
func chosen(names []string) ([]format, error) {
	for _, n := range names {
		if !slices.ContainsFunc(table, func(f format) bool { return f.name == n }) {
			return nil, fault.Document(schemas.InvalidOption, "There is no output format %q.", n)
		}
	}
	var out []format
	for _, f := range table {
		if len(names) == 0 || f.name == "json" || slices.Contains(names, f.name) {
			out = append(out, f)
		}
	}
	return out, nil
}

// headOf is the part of the document in front of its pages.
func (s *Stage) headOf(e *schemas.DocumentFinished) document.Head {
	h := document.Head{Format: document.DocumentFormat, MediaType: e.Source.MediaType, SHA256: e.Source.SHA256, Pipeline: e.Pipeline,
		Options: document.Options{OCR: e.Options.OCR, Pages: e.Options.Pages, Languages: e.Options.Languages, Tables: e.Options.Tables,
			Figures: e.Options.Figures, DPI: e.Options.DPI, MaxPages: e.Options.MaxPages}, Warnings: warnings(e), Models: maps.Clone(s.models), PagesTotal: e.PagesTotal}
	if h.Models == nil {
		h.Models = map[string]string{}
	}
	if h.Options.OCR == "" {
		h.Options.OCR = "auto"
	}
	for _, f := range e.Failures {
		h.Failures = append(h.Failures, document.Failure{Page: f.Page, Stage: f.Stage, Code: f.Code, Message: f.Message})
	}
	// The facts arrive in any order; the result must not depend on it (P5).
	slices.SortStableFunc(h.Failures, func(a, b document.Failure) int { return a.Page - b.Page })
	return h
}

func failed(err error) error {
	return fault.Puzzle(schemas.ComposeFailed, "%s", schemas.Codes[schemas.ComposeFailed].Meaning).Because(err)
}
