// Package prepare is the stage that opens documents: it refuses bad ones, splits the others into pages and says of each page how it will be
// read.
//
// One event is one chunk of at most 32 pages; the next chunk travels as a continuation of lower priority, so that a large document holds
// up nobody (P6, P9). A page with a good text layer becomes blocks at once, and where pictures of text stand beside it an image of these for
// recognition as well; any other becomes an image. Of a text layer that nobody sees a sample is held to the picture over it. The files are opened in the engine's child process, so that one that crashes or hangs its reader hurts only itself (P7).
package prepare

import (
	"context"
	"io"
	"log/slog"
	"strings"

	"docstream/internal/blob"
	"docstream/internal/engine"
	"docstream/internal/fault"
	"docstream/processors/prepare/sources"
	"docstream/schemas"
)

// Version changes whenever this stage may give another result for the same bytes and options.
const Version = "prepare/8"

// stageName is how the stage is called in events and costs.
const stageName = "prepare"

// Objects is what the stage needs of the object store.
type Objects interface {
	Put(ctx context.Context, key string, body []byte, o blob.Options) error
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error)
	GetFrom(ctx context.Context, p blob.Place) (io.ReadCloser, blob.Object, error)
	Head(ctx context.Context, key string) (blob.Object, error)
	List(ctx context.Context, prefix string, f func(blob.Object) bool) error
}

// Engine lends child processes in which [Register] put this stage's handlers.
type Engine interface {
	Lease(ctx context.Context) (*engine.Slot, error)
}

// Stage is the stage. Safe for concurrent use.
type Stage struct {
	config  Config
	objects Objects
	engine  Engine
	models  map[string]string
	log     *slog.Logger
	sources *sources.Cache
}

// New returns the stage; it touches nothing yet. models maps the name of every model that may read a page image to its digest. A nil
// log is silent.
func New(config Config, objects Objects, e Engine, models map[string]string, log *slog.Logger) *Stage {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Stage{config: config, objects: objects, engine: e, models: models, log: log,
		sources: sources.New(objects, config.SourceDir, config.SourceBytes)}
}

// Work prepares one chunk of a document. It returns, in order: DocumentOpened for the submission itself, one event for each selected
// page of the chunk (PageFinished from the text layer, PagePrepared, or PageFailed), and the continuation where selected pages remain.
//
// A submission whose bytes lie at an address is passed on to be fetched: DocumentSubmitted of page 0, and FetchScheduled, so that the job is
// known to the fold. It comes back with its bytes.
//
// An error is about the whole chunk: a fault of the document refuses it; one nobody can place is worth another attempt, and on the last
// one a page that crashes the engine fails alone.
func (s *Stage) Work(ctx context.Context, e *schemas.DocumentSubmitted, d schemas.Delivery) ([]schemas.Event, error) {
	if err := e.Options.Check(); err != nil {
		field, _, _ := strings.Cut(err.Error(), ":")
		return nil, fault.Document(schemas.InvalidOption, "The option %s has a value outside its documented set.", field).Because(err)
	}
	selection, err := schemas.ParseRanges(e.Options.Pages)
	if err != nil {
		return nil, fault.Document(schemas.InvalidOption, "The page selection is not of the form 1-3,7.").Because(err)
	}
	if e.Source.Key == "" && e.Source.URL != "" {
		return fetched(e, d), nil
	}
	if err := s.config.allowed(e); err != nil {
		return nil, err
	}
	if err := s.config.fits(e.Source.Size); err != nil { // before a byte of it is fetched
		return nil, err
	}
	file, err := s.sources.Fetch(ctx, e.Source)
	if err != nil {
		return nil, err
	}
	defer file.Release()
	if err := s.config.fits(file.Size); err != nil { // whoever submitted it need not have known its size
		return nil, err
	}
	slot, err := s.engine.Lease(ctx)
	if err != nil {
		return nil, err
	}
	defer slot.Release()

	w := &work{Stage: s, event: e, delivery: d, slot: slot,
		document: openRequest{Path: file.Path, MediaType: e.Source.MediaType, Name: e.Source.Filename, Limits: s.config.limits(e.Options)}}
	usage, err := slot.Call(ctx, methodOpen, w.document, &w.opened)
	if err != nil {
		return nil, err
	}
	w.opening = usage
	if len(selection) == 0 {
		selection = schemas.Ranges{{First: 1, Last: w.opened.Pages}}
	}
	selection = selection.Clip(1, w.opened.Pages)
	if len(selection) == 0 {
		return nil, fault.Document(schemas.PagesOutOfRange, "The document has %d pages; the selection %s names none of them.", w.opened.Pages, e.Options.Pages)
	}
	w.pipeline = s.pipeline(e.Options)
	return w.chunk(ctx, selection)
}
