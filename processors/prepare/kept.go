package prepare

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"

	"docstream/internal/blob"
	"docstream/internal/engine"
	"docstream/schemas"
	"docstream/schemas/document"
)

// kept are the pages that this run takes over from an earlier one of the job, or of another job of the tenant that read the same bytes with
// the same options: their results are copied and nobody works on them again. Pages of another
// pipeline version are not kept: they would be another result. A run that begins with a later stage compares the versions of the stages
// before that one only; where it begins with layout or ocr, the text pages and the images of the others are taken over.
type kept struct {
	pages  schemas.Ranges
	images map[string]bool // names of the page images of the earlier run; nil: recognised pages are kept, not read again
	chunk  map[int][]byte  // text pages of the earlier run's chunk, by number
	opened bool
}

// keeps reads what the submission says of an earlier run.
func (w *work) keeps(ctx context.Context) (k kept, err error) {
	e := w.event
	before := e.BaseJob == "" && e.BaseRun < e.Run || e.Run == 0 && e.BaseJob != e.JobID && schemas.ValidJobID(e.BaseJob)
	pages, bad := schemas.ParseRanges(e.Kept)
	if bad != nil || e.BaseRun < 0 || !before {
		return kept{}, nil
	}
	switch e.FromStage {
	case schemas.FromLayout, schemas.FromOCR:
		if !schemas.SameRendering(e.KeptPipeline, w.pipeline) {
			return kept{}, nil
		}
		k.images = map[string]bool{}
		err = w.objects.List(ctx, w.baseWorkKey("pages/"), func(o blob.Object) bool {
			k.images[path.Base(o.Key)] = true
			return true
		})
	case schemas.FromCompose:
		if !schemas.SameReading(e.KeptPipeline, w.pipeline) {
			return kept{}, nil
		}
	default:
		if e.KeptPipeline != w.pipeline {
			return kept{}, nil
		}
	}
	k.pages = pages
	return k, err
}

// keep takes a page over; a nil event says that it is not to be had and must be read. The text of a text page comes back for the chunk's object.
func (w *work) keep(ctx context.Context, n int) (schemas.Event, []byte, error) {
	if len(w.kept.pages.Clip(n, n)) == 0 {
		return nil, nil, nil
	}
	if err := w.openKept(ctx, n); err != nil {
		return nil, nil, err
	}
	line, text := w.kept.chunk[n], true
	if line == nil && w.kept.images != nil {
		return nil, nil, nil
	}
	if line == nil {
		var err error
		text = false
		if line, err = w.copyKept(ctx, n); line == nil || err != nil {
			return nil, nil, err
		}
	}
	var p document.Page
	if err := json.Unmarshal(line, &p); err != nil || p.Number != n || p.Format != document.PageFormat {
		return nil, nil, nil
	}
	if have, err := w.copyFigures(ctx, &p); !have || err != nil {
		return nil, nil, err
	}
	r := pageResult{}
	r.Lines, r.Words = count(&p)
	e := w.pageFinished(n, r, costs(engine.Usage{}))
	e.Kept, e.Confidence = 1, p.Confidence
	if text {
		return e, line, nil
	}
	ref := refOf(n, 0, line)
	e.How, e.Result = "ocr", schemas.ObjectRef{Key: w.resultKey(schemas.PageResultName(n)), Length: ref.length, SHA256: ref.sum}
	return e, nil, nil
}

// copyKept copies the object of a recognised page; nil where there is none.
func (w *work) copyKept(ctx context.Context, n int) ([]byte, error) {
	body, o, err := w.objects.Get(ctx, w.baseKey(schemas.PageResultName(n)), 0, 0)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	// Written once, as every page result; one that is there already is equal (P5).
	err = w.objects.Put(ctx, w.resultKey(schemas.PageResultName(n)), b, blob.Options{Once: true, MediaType: o.MediaType, Meta: o.Meta})
	if errors.Is(err, blob.ErrExists) {
		err = nil
	}
	return b, err
}

// keepImage takes over the image of a page that is read again, and the text that it goes with; a nil event says that there is none to be had.
// Nobody rendered it, so that no stage has a cost of it but the opening of the document, where that is this page's to bear.
func (w *work) keepImage(ctx context.Context, n int, opening engine.Usage) (schemas.Event, error) {
	name, textName := schemas.PageImageName(n), schemas.PageTextName(n)
	if !w.kept.images[path.Base(name)] {
		return nil, nil
	}
	mixed := w.kept.images[path.Base(textName)]
	if mixed { // before the image, whose being there says that the text is
		if o, err := w.copyWork(ctx, textName); o == nil || err != nil {
			return nil, err
		}
	}
	o, err := w.copyWork(ctx, name)
	if o == nil || err != nil {
		return nil, err
	}
	img, ok := imageOf(*o)
	if !ok {
		return nil, nil
	}
	img.Key = w.workKey(name)
	var c []schemas.StageCost
	if opening != (engine.Usage{}) {
		c = costs(opening)
	}
	return w.pagePrepared(n, img, mixed, c), nil
}

// copyWork copies an intermediate object of the earlier run, so that this run's lives as long as any: nil where there is none.
func (w *work) copyWork(ctx context.Context, name string) (*blob.Object, error) {
	body, o, err := w.objects.Get(ctx, w.baseWorkKey(name), 0, 0)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	o.Size = int64(len(b))
	return &o, w.objects.Put(ctx, w.workKey(name), b, blob.Options{MediaType: o.MediaType, Meta: o.Meta})
}

// copyFigures copies what the figures of a page show; false where a picture is gone, and the page has to be read again.
func (w *work) copyFigures(ctx context.Context, p *document.Page) (bool, error) {
	for _, b := range p.Blocks {
		if b.Image == nil {
			continue
		}
		body, o, err := w.objects.Get(ctx, w.baseKey(b.Image.Name), 0, 0)
		if errors.Is(err, blob.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		data, err := io.ReadAll(body)
		if err = errors.Join(err, body.Close()); err != nil {
			return false, err
		}
		if err := w.objects.Put(ctx, w.resultKey(b.Image.Name), data, blob.Options{MediaType: o.MediaType}); err != nil {
			return false, err
		}
	}
	return true, nil
}

// openKept reads the text pages of the earlier run's chunk, once.
func (w *work) openKept(ctx context.Context, n int) error {
	if w.kept.opened {
		return nil
	}
	lines := map[int][]byte{}
	key := w.baseKey(schemas.TextChunkName(n))
	body, _, err := w.objects.Get(ctx, key, 0, 0)
	switch {
	case errors.Is(err, blob.ErrNotFound):
	case err != nil:
		return err
	default:
		defer func() { _ = body.Close() }()
		for in := bufio.NewReader(body); ; {
			line, err := in.ReadBytes('\n')
			if err == io.EOF && len(line) == 0 {
				break
			}
			if err != nil && err != io.EOF {
				return fmt.Errorf("read %s: %w", key, err)
			}
			var p struct {
				Number int `json:"number"`
			}
			if json.Unmarshal(line, &p) == nil && p.Number > 0 {
				lines[p.Number] = bytes.TrimSuffix(line, []byte("\n"))
			}
		}
	}
	w.kept.chunk, w.kept.opened = lines, true
	return nil
}

// baseKey never leaves the tenant (P8).
func (w *work) baseKey(name string) string {
	return schemas.ResultKey(w.event.Tenant, cmp.Or(w.event.BaseJob, w.event.JobID), w.event.BaseRun, name)
}

func (w *work) baseWorkKey(name string) string {
	return schemas.WorkKey(w.event.Tenant, cmp.Or(w.event.BaseJob, w.event.JobID), w.event.BaseRun, name)
}
