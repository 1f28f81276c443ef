package prepare_test

import (
	"encoding/json"
	"strings"
	"testing"

	"docstream/internal/blob"
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
		Blocks: []document.Block{{Kind: document.Paragraph, Text: "two words"}}})
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
		"a run that is not before": {func(e *schemas.DocumentSubmitted) { e.BaseRun = 1 }, "opened 5 1-5 application/pdf; text 1; image 2; text 3; image 4; image 5", false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, p, nil)
			e := b.submit(pdfType, file)
			first := b.work(t, e, schemas.Delivery{})
			base := schemas.ResultKey(tenant, job, 0, schemas.PageResultName(2))
			b.bodies[base], b.options[base] = recognised, blob.Options{Meta: map[string]string{"costs": "[]"}}
			again := *e
			again.Run, again.Kept, again.KeptPipeline = 1, "1-4", first[0].(*schemas.DocumentOpened).Pipeline // page 4's result is gone
			if c.change != nil {
				c.change(&again)
			}
			events := b.work(t, &again, schemas.Delivery{})
			if got := outline(events); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			copyKey := schemas.ResultKey(tenant, job, 1, schemas.PageResultName(2))
			if _, ok := b.bodies[copyKey]; ok != c.copied {
				t.Errorf("the recognised page was copied: %v", ok)
			}
			if !c.copied {
				return
			}
			f := events[2].(*schemas.PageFinished)
			if f.Kept != 1 || f.How != "ocr" || f.Result.Key != copyKey || f.Result.Length != int64(len(recognised)) || f.Words != 2 || f.Confidence != .875 || f.Run != 1 {
				t.Errorf("page 2 is %+v", f)
			}
			for _, cost := range f.Costs {
				if cost.CPUMicros != 0 || cost.WallMicros != 0 {
					t.Errorf("a kept page cost %+v", cost)
				}
			}
			chunk := func(run int) string {
				return string(b.bodies[schemas.ResultKey(tenant, job, run, schemas.TextChunkName(1))])
			}
			if strings.Count(chunk(1), "\n") != 2 || chunk(0) != chunk(1) {
				t.Errorf("the text pages differ:\n%s\n%s", chunk(0), chunk(1))
			}
		})
	}
}
