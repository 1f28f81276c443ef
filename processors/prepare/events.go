package prepare

import (
	"maps"
	"slices"
	"time"

	"docstream/internal/engine"
	"docstream/internal/fault"
	"docstream/schemas"
)

// head is the envelope of an event about a page; page 0 is the document.
func (w *work) head(page int, kind string) schemas.Head {
	h := w.event.Head
	h.EventID = schemas.EventIDFor(h.JobID, h.Run, stageName, page, kind, 0)
	h.At = time.Now().UTC()
	return h
}

// documentOpened carries the submission along: it can be the first the fold hears of the job.
func (w *work) documentOpened(selection schemas.Ranges) *schemas.DocumentOpened {
	return &schemas.DocumentOpened{Head: w.head(0, "DocumentOpened"), Submission: w.delivery.Wire, PagesTotal: w.opened.Pages, PageRanges: selection.String(),
		MediaType: w.opened.MediaType, Pipeline: w.pipeline, Costs: costs(w.opening)}
}

func (w *work) pageFinished(n int, r pageResult, c []schemas.StageCost) *schemas.PageFinished {
	return &schemas.PageFinished{Head: w.head(n, "PageFinished"), Page: n, How: "text", Lines: r.Lines, Words: r.Words, Confidence: 1, Costs: c}
}

func (w *work) pagePrepared(n int, img schemas.Image, mixed bool, c []schemas.StageCost) *schemas.PagePrepared {
	text := ""
	if mixed {
		text = w.workKey(schemas.PageTextName(n))
	}
	return &schemas.PagePrepared{Text: text, Head: w.head(n, "PagePrepared"), Page: n, RequestID: w.event.RequestID, Class: w.config.OCRClass,
		Priority: w.priority, Image: img, Options: w.event.Options, Pipeline: w.pipeline, Costs: c}
}

func (w *work) pageFailed(n int, f *fault.Error, c []schemas.StageCost) *schemas.PageFailed {
	return &schemas.PageFailed{Head: w.head(n, "PageFailed"), Page: n, Stage: stageName, Code: string(f.Code), Message: f.Message, Costs: c}
}

// continuation asks for the chunk that begins at a page, one priority down (P9).
func (w *work) continuation(from int) *schemas.DocumentSubmitted {
	next := *w.event
	next.Head = w.head(from, "DocumentSubmitted")
	next.FromPage = from
	next.Priority = lower(w.event.Priority)
	return &next
}

func lower(priority string) string {
	if priority == "high" {
		return "normal"
	}
	return "low"
}

func costs(u engine.Usage) []schemas.StageCost {
	return []schemas.StageCost{{Stage: stageName, Device: "cpu", CPUMicros: u.CPU.Microseconds(), WallMicros: u.Wall.Microseconds()}}
}

// pipeline digests everything that can change the result of a document with these options.
func (s *Stage) pipeline(o schemas.Options) string {
	var models []string
	for _, name := range slices.Sorted(maps.Keys(s.models)) {
		models = append(models, "model", name, s.models[name])
	}
	rendering := []string{"options", o.Canonical(), "rendering", s.config.rendering(), "stages", Version}
	return schemas.PipelineVersion(rendering, append(models, s.config.Versions...), []string{s.config.Composing})
}

// fetched asks for the bytes of a submission: nothing can be opened before they are here.
func fetched(e *schemas.DocumentSubmitted, d schemas.Delivery) []schemas.Event {
	ask := *e
	ask.FromPage = 0
	ask.EventID = schemas.EventIDFor(e.JobID, e.Run, stageName, 0, ask.Kind(), 0)
	said := &schemas.FetchScheduled{Head: e.Head, Submission: d.Wire}
	said.EventID = schemas.EventIDFor(e.JobID, e.Run, stageName, 0, said.Kind(), 0)
	return []schemas.Event{said, &ask}
}
