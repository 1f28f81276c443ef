package prepare_test

import (
	"encoding/json"
	"strings"
	"testing"

	"docstream/internal/blob"
	"docstream/processors/prepare"
	"docstream/processors/prepare/formats/pdf/pdftest"
	"docstream/schemas"
	"docstream/schemas/document"
)

// TestARunKeepsThePagesOfTheOneBefore: a page that has a result is taken over, whether it was text or recognised, and costs nothing; one that
// failed, one whose result is gone, and every page of another pipeline version are worked on.
func TestARunKeepsThePagesOfTheOneBefore(t *testing.T) {
	p := pool(t, nil)
	file := pdftest.Write(textPage(1), scanPage(), textPage(3), scanPage(), scanPage())
	recognised, err := json.Marshal(document.Page{Format: document.PageFormat, Number: 2, Unit: "pt", Source: "ocr", Confidence: .875,
		Blocks: []document.Block{{Kind: document.Paragraph, Text: "two words"},
			{Kind: document.Figure, Image: &document.Image{Name: "figures/000002-1.png", MediaType: "image/png", Width: 9, Height: 9}}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*schemas.DocumentSubmitted)
		want   string
		copied bool
	}{
		"kept":                     {nil, "opened 5 1-5 application/pdf; text 1; text 2; text 3; image 4; image 5", true},
		"only some are kept":       {func(e *schemas.DocumentSubmitted) { e.Kept = "2-4" }, "opened 5 1-5 application/pdf; text 1; text 2; text 3; image 4; image 5", true},
		"another pipeline version": {func(e *schemas.DocumentSubmitted) { e.KeptPipeline = "pv_other" }, "opened 5 1-5 application/pdf; text 1; image 2; text 3; image 4; image 5", false},
		"another job of the same bytes": {func(e *schemas.DocumentSubmitted) { e.BaseJob, e.JobID, e.Run = job, schemas.JobIDFor("other", "1"), 0 },
			"opened 5 1-5 application/pdf; text 1; text 2; text 3; image 4; image 5", true},
		"another tenant's job": {func(e *schemas.DocumentSubmitted) {
			e.BaseJob, e.JobID, e.Run, e.Tenant = job, schemas.JobIDFor("other", "1"), 0, "rival"
		}, "opened 5 1-5 application/pdf; text 1; image 2; text 3; image 4; image 5", false},
		"no job at all": {func(e *schemas.DocumentSubmitted) {
			e.BaseJob, e.JobID, e.Run = "../acme/x", schemas.JobIDFor("other", "1"), 0
		}, "opened 5 1-5 application/pdf; text 1; image 2; text 3; image 4; image 5", false},
		"a run that is not before": {func(e *schemas.DocumentSubmitted) { e.BaseRun = 1 }, "opened 5 1-5 application/pdf; text 1; image 2; text 3; image 4; image 5", false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, p, nil)
			e := b.submit(pdfType, file)
			first := b.work(t, e, schemas.Delivery{})
			base := schemas.ResultKey(tenant, job, 0, schemas.PageResultName(2))
			b.bodies[base], b.options[base] = recognised, blob.Options{Meta: map[string]string{"costs": "[]"}}
			b.bodies[schemas.ResultKey(tenant, job, 0, "figures/000002-1.png")] = []byte("a picture")
			again := *e
			again.Run, again.Kept, again.KeptPipeline = 1, "1-4", first[0].(*schemas.DocumentOpened).Pipeline // page 4's result is gone
			if c.change != nil {
				c.change(&again)
			}
			if again.Tenant != tenant { // who has the same bytes
				again.Source.Key = schemas.SourceKey(again.Tenant, "x")
				b.bodies[again.Source.Key] = file
			}
			events := b.work(t, &again, schemas.Delivery{})
			if got := outline(events); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			copyKey := schemas.ResultKey(again.Tenant, again.JobID, again.Run, schemas.PageResultName(2))
			if _, ok := b.bodies[copyKey]; ok != c.copied {
				t.Errorf("the recognised page was copied: %v", ok)
			}
			if got := string(b.bodies[schemas.ResultKey(again.Tenant, again.JobID, again.Run, "figures/000002-1.png")]); (got == "a picture") != c.copied {
				t.Errorf("its figure is %q", got)
			}
			if !c.copied {
				return
			}
			f := events[2].(*schemas.PageFinished)
			if f.Kept != 1 || f.How != "ocr" || f.Result.Key != copyKey || f.Result.Length != int64(len(recognised)) || f.Words != 2 || f.Confidence != .875 || f.Run != again.Run {
				t.Errorf("page 2 is %+v", f)
			}
			for _, cost := range f.Costs {
				if cost.CPUMicros != 0 || cost.WallMicros != 0 {
					t.Errorf("a kept page cost %+v", cost)
				}
			}
			chunk := func(e *schemas.DocumentSubmitted) string {
				return string(b.bodies[schemas.ResultKey(e.Tenant, e.JobID, e.Run, schemas.TextChunkName(1))])
			}
			if strings.Count(chunk(&again), "\n") != 2 || chunk(e) != chunk(&again) {
				t.Errorf("the text pages differ:\n%s\n%s", chunk(e), chunk(&again))
			}
		})
	}
}

// TestARunThatBeginsWithALaterStageRendersNothing: the marks that the earlier run's objects were given show up in the new run's, so that nobody
// made them anew; where the version of what comes before the stage is another, or the object is gone, the page is rendered.
func TestARunThatBeginsWithALaterStageRendersNothing(t *testing.T) {
	p := pool(t, nil)
	file := pdftest.Write(textPage(1), scanPage(), scanPage(), scanPage())
	const mark, gone = "the image of the earlier run", "ocr, the images are gone"
	recognised, err := json.Marshal(document.Page{Format: document.PageFormat, Number: 2, Unit: "pt", Source: "ocr", Blocks: []document.Block{{Kind: document.Paragraph, Text: mark}}})
	if err != nil {
		t.Fatal(err)
	}
	versions := func(reading, composing string) func(*prepare.Config) {
		return func(c *prepare.Config) { c.Versions, c.Composing = []string{reading}, composing }
	}
	for name, c := range map[string]struct {
		stage         string
		after         func(*prepare.Config) // how the new run's worker is configured
		change        func(*bench, *schemas.DocumentSubmitted)
		want          string
		image, result bool // taken over
	}{
		"layout":                    {schemas.FromLayout, versions("ocr/1", "compose/1"), nil, "opened 4 1-4 application/pdf; text 1; image 2; image 3; image 4", true, false},
		"ocr, read by other models": {schemas.FromOCR, versions("ocr/2", "compose/1"), nil, "opened 4 1-4 application/pdf; text 1; image 2; image 3; image 4", true, false},
		"ocr, rendered another way": {schemas.FromOCR, func(c *prepare.Config) { versions("ocr/1", "compose/1")(c); c.DPI = 100 }, nil,
			"opened 4 1-4 application/pdf; text 1; image 2; image 3; image 4", false, false},
		gone: {schemas.FromOCR, versions("ocr/1", "compose/1"), func(b *bench, e *schemas.DocumentSubmitted) {
			for _, n := range []int{2, 3, 4} {
				delete(b.bodies, schemas.WorkKey(e.Tenant, e.JobID, 0, schemas.PageImageName(n)))
			}
		}, "opened 4 1-4 application/pdf; text 1; image 2; image 3; image 4", false, false},
		"ocr, a version of before there were layers": {schemas.FromOCR, versions("ocr/1", "compose/1"), func(_ *bench, e *schemas.DocumentSubmitted) { e.KeptPipeline = "pv_old" },
			"opened 4 1-4 application/pdf; text 1; image 2; image 3; image 4", false, false},
		"ocr, a run that is not before": {schemas.FromOCR, versions("ocr/1", "compose/1"), func(_ *bench, e *schemas.DocumentSubmitted) { e.BaseRun = 1 },
			"opened 4 1-4 application/pdf; text 1; image 2; image 3; image 4", false, false},
		"compose":                      {schemas.FromCompose, versions("ocr/1", "compose/2"), nil, "opened 4 1-4 application/pdf; text 1; text 2; image 3; image 4", false, true},
		"compose, of other readings":   {schemas.FromCompose, versions("ocr/2", "compose/1"), nil, "opened 4 1-4 application/pdf; text 1; image 2; image 3; image 4", false, false},
		"no stage, composed otherwise": {"", versions("ocr/1", "compose/2"), nil, "opened 4 1-4 application/pdf; text 1; image 2; image 3; image 4", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, p, versions("ocr/1", "compose/1"))
			e := b.submit(pdfType, file)
			first := b.work(t, e, schemas.Delivery{})
			for _, n := range []int{2, 3, 4} {
				b.bodies[schemas.WorkKey(tenant, job, 0, schemas.PageImageName(n))] = []byte(mark)
			}
			b.bodies[schemas.ResultKey(tenant, job, 0, schemas.PageResultName(2))] = recognised
			again := *e
			again.Run, again.Kept, again.KeptPipeline, again.FromStage = 1, "1-2", first[0].(*schemas.DocumentOpened).Pipeline, c.stage
			if c.change != nil {
				c.change(b, &again)
			}
			next := &bench{b.store, prepare.New(configured(t, c.after), b.store, p, map[string]string{"tiny": "abc"}, nil)}
			events := next.work(t, &again, schemas.Delivery{})
			if got := outline(events); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			for _, n := range []int{2, 3, 4} {
				prepared, ok := events[n].(*schemas.PagePrepared)
				if !ok {
					continue
				}
				was := first[n].(*schemas.PagePrepared).Image
				got := string(b.bodies[schemas.WorkKey(tenant, job, 1, schemas.PageImageName(n))])
				if (got == mark) != c.image || prepared.Image.Key != schemas.WorkKey(tenant, job, 1, schemas.PageImageName(n)) {
					t.Errorf("page %d: taken over: %v, at %s", n, got == mark, prepared.Image.Key)
				}
				if rendered := len(prepared.Costs) > 0; rendered == c.image {
					t.Errorf("page %d cost %+v", n, prepared.Costs)
				}
				if c.image && (prepared.Image.Width != was.Width || prepared.Image.Height != was.Height || prepared.Image.DPI != was.DPI || prepared.Image.Bytes != int64(len(mark))) {
					t.Errorf("page %d is said to be %+v, was %+v", n, prepared.Image, was)
				}
			}
			if f, ok := events[2].(*schemas.PageFinished); ok != c.result || ok && (f.Kept != 1 || f.How != "ocr") {
				t.Errorf("page 2 is %+v", events[2])
			}
			if f := events[1].(*schemas.PageFinished); (f.Kept == 1) != (c.image || c.result || name == gone) {
				t.Errorf("the text page was kept: %d", f.Kept)
			}
		})
	}
}

func configured(t testing.TB, change func(*prepare.Config)) prepare.Config {
	c := config(t)
	change(&c)
	return c
}
