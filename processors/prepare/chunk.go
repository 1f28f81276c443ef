package prepare

import (
	"context"
	"log/slog"
	"path"
	"slices"

	"docstream/internal/blob"
	"docstream/internal/engine"
	"docstream/internal/fault"
	"docstream/schemas"
)

// work is one chunk being prepared. Its pages are read one after another, so that at most one image is in memory (P6), and between two of them
// it gives way to whoever goes first (P9).
type work struct {
	*Stage
	event    *schemas.DocumentSubmitted
	delivery schemas.Delivery
	slot     *engine.Slot
	document openRequest
	opened   openResult
	opening  engine.Usage
	pipeline string
	images   map[string]bool // names of the page images that lie there already
	kept     kept
	priority string // of the page at hand
}

// leading is how many pages of a document that has more than a chunk are read with its own priority. The others go one down, as what comes behind
// the chunk does: in a lane a page is behind all that came before it, so a chunk of them would hold up whoever submits one page after it (P9).
const leading = 4

// chunk prepares the selected pages of the chunk that the event asks for.
func (w *work) chunk(ctx context.Context, selection schemas.Ranges) ([]schemas.Event, error) {
	first := schemas.Chunk(max(1, w.event.FromPage))
	last := first + schemas.ChunkPages - 1
	pages := slices.Collect(selection.Clip(first, last).All())
	if err := w.lookForImages(ctx); err != nil {
		return nil, err
	}
	var err error
	if w.kept, err = w.keeps(ctx); err != nil {
		return nil, err
	}
	var events []schemas.Event
	if first == 1 {
		events = append(events, w.documentOpened(selection))
	}
	var texts texts
	rest := selection.Clip(last+1, w.opened.Pages)
	at := map[int]int{} // page to its place among the events, for the text pages
	for i, n := range pages {
		if i > 0 {
			if err := w.slot.Between(ctx); err != nil {
				return nil, err
			}
		}
		if w.delivery.Over() {
			return nil, nil
		}
		if w.priority = w.event.Priority; first == 1 && len(rest) > 0 && i >= leading {
			w.priority = lower(w.priority)
		}
		opening := engine.Usage{}
		if i == 0 && first > 1 {
			opening = w.opening // a continuation has no DocumentOpened to bear it
		}
		e, text, err := w.keep(ctx, n)
		if err == nil && e == nil {
			e, err = w.keepImage(ctx, n, opening)
		}
		if err == nil && e == nil {
			e, text, err = w.page(ctx, n, opening)
		}
		if err != nil {
			return nil, err
		}
		if text != nil {
			at[n] = len(events)
			texts.add(n, text)
		}
		events = append(events, e)
	}
	if len(at) > 0 {
		w.slot.Release() // the store takes as long as a page, and others wait for the child
		refs, err := w.store(ctx, first, &texts)
		if err != nil {
			return nil, err
		}
		for n, i := range at {
			ref, ok := refs[n]
			if !ok {
				// An earlier attempt stored this chunk and had given the page up: what is stored decides.
				events[i] = w.pageFailed(n, fault.Puzzle(schemas.PrepareFailed, "%s", schemas.Codes[schemas.PrepareFailed].Meaning),
					events[i].(*schemas.PageFinished).Costs)
				continue
			}
			events[i].(*schemas.PageFinished).Result = ref
		}
	}
	if len(rest) > 0 {
		events = append(events, w.continuation(schemas.Chunk(rest[0].First)))
	}
	return events, nil
}

// page prepares one page. The text of a text page comes back for the chunk's object; its event still lacks the reference to it.
func (w *work) page(ctx context.Context, n int, opening engine.Usage) (schemas.Event, []byte, error) {
	if name := schemas.PageImageName(n); w.images[path.Base(name)] {
		img, ok, err := w.storedImage(ctx, n)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			return w.pagePrepared(n, img, w.images[path.Base(schemas.PageTextName(n))], costs(opening)), nil, nil
		}
	}
	var r pageResult
	usage, err := w.slot.Call(ctx, methodPage, pageRequest{Document: w.document, Page: n, Want: w.config.want(w.event.Options)}, &r)
	usage.CPU += opening.CPU
	usage.Wall += opening.Wall
	if err != nil {
		f, given := w.giveUp(ctx, err)
		if !given {
			return nil, nil, err
		}
		w.log.WarnContext(ctx, "page failed", slog.String("job", w.event.JobID), slog.Int("page", n), slog.String("code", string(f.Code)), slog.Any("error", err))
		return w.pageFailed(n, f, costs(usage)), nil, nil
	}
	if err := w.putFigures(ctx, r.Figures); err != nil {
		return nil, nil, err
	}
	if r.Image == nil {
		return w.pageFinished(n, r, costs(usage)), r.Text, nil
	}
	if err := w.putText(ctx, n, r); err != nil {
		return nil, nil, err
	}
	img, err := w.putImage(ctx, n, r)
	if err != nil {
		return nil, nil, err
	}
	return w.pagePrepared(n, img, r.Text != nil, costs(usage)), nil, nil
}

// giveUp reports whether an error is the page's alone: one of the document always is, unless the page is the whole document, which is then
// refused; one nobody can place is on the last attempt.
func (w *work) giveUp(ctx context.Context, err error) (*fault.Error, bool) {
	f := fault.Of(err)
	switch {
	case ctx.Err() != nil:
		return nil, false
	case f.Kind == fault.Permanent:
		return f, w.opened.Pages > 1
	case f.Kind == fault.Unknown:
		return f, w.delivery.Attempt >= w.config.LastAttempt
	}
	return nil, false
}

// lookForImages lists what an earlier attempt rendered, where there can have been one.
func (w *work) lookForImages(ctx context.Context) error {
	if !w.delivery.Again {
		return nil
	}
	w.images = map[string]bool{}
	return w.objects.List(ctx, w.workKey("pages/"), func(o blob.Object) bool {
		w.images[path.Base(o.Key)] = true
		return true
	})
}

func (w *work) workKey(name string) string {
	return schemas.WorkKey(w.event.Tenant, w.event.JobID, w.event.Run, name)
}

func (w *work) resultKey(name string) string {
	return schemas.ResultKey(w.event.Tenant, w.event.JobID, w.event.Run, name)
}
