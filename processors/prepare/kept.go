package prepare

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"docstream/internal/blob"
	"docstream/internal/engine"
	"docstream/schemas"
	"docstream/schemas/document"
)

// kept are the pages that this run takes over from an earlier one: their results are copied and nobody works on them again. Pages of another
// pipeline version are not kept: they would be another result.
type kept struct {
	pages  schemas.Ranges
	chunk  map[int][]byte // text pages of the earlier run's chunk, by number
	opened bool
}

// keeps reads what the submission says of an earlier run.
func (w *work) keeps() kept {
	pages, err := schemas.ParseRanges(w.event.Kept)
	if err != nil || w.event.KeptPipeline != w.pipeline || w.event.BaseRun < 0 || w.event.BaseRun >= w.event.Run {
		return kept{}
	}
	return kept{pages: pages}
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

func (w *work) baseKey(name string) string {
	return schemas.ResultKey(w.event.Tenant, w.event.JobID, w.event.BaseRun, name)
}
