package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"docstream/gateway"
	"docstream/internal/blob"
	"docstream/schemas"
)

// split is the submission of a run that the fold asks prepare for: the nth of a priority.
func (w *world) split(priority string, n int) *schemas.DocumentSubmitted {
	w.t.Helper()
	e, err := w.codec.Decode(w.t.Context(), w.read("splits."+priority, n)[n-1].Value)
	if err != nil {
		w.t.Fatal(err)
	}
	return e.(*schemas.DocumentSubmitted)
}

func patient(c *gateway.Config) { c.MaxWait = 20 * time.Second }

func TestAJobIsProcessedAgainWithOtherOptions(t *testing.T) {
	w := newWorld(t)
	r, twin := w.replica(patient), w.replica(patient)
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	s := w.finished("acme", job, "markdown", "# Title")
	s.Options = schemas.Options{OCR: "auto", Languages: []string{"de"}, OutputFormats: []string{"markdown"}, Tables: "off"}
	s.Metadata = map[string]string{"invoice": "4711"}
	s.Outputs[0].Key = schemas.ResultKey("acme", job, 0, "document.md")
	_ = w.store.Put(t.Context(), "sources/acme/x", []byte("12345"), blob.Options{})
	_ = w.store.Put(t.Context(), s.Outputs[0].Key, []byte("# Title"), blob.Options{})
	w.folding()
	w.lived(r, token, s)

	a := r.send(token, "/api/v1/jobs/"+job+"/reprocess", "application/json", `{"ocr":"force","pages":"2-3,1","output_formats":["json","text"],"tables":"on","priority":"high"}`, "Idempotency-Key", "k1")
	var b struct {
		JobID    string `json:"job_id"`
		Run      int    `json:"run"`
		AfterRun int    `json:"after_run"`
	}
	a.into(t, &b)
	if a.StatusCode != http.StatusAccepted || b.JobID != job || b.Run != 1 || b.AfterRun != 0 || a.Header.Get("Location") != "/api/v1/jobs/"+job {
		t.Fatalf("%d %v %s", a.StatusCode, a.Header, a.body)
	}
	sub := w.split("high", 1)
	want := schemas.Options{OCR: "force", Pages: "1-3", OutputFormats: []string{"json", "text"}, Languages: []string{"de"}}
	if fmt.Sprint(sub.Options) != fmt.Sprint(want) || sub.Source.Key != "sources/acme/x" || sub.Source.Size != 5 || sub.Metadata["invoice"] != "4711" || sub.Run != 1 ||
		sub.Kept != "" || sub.RequestID != a.Header.Get("X-Request-Id") || sub.APIKeyID == "" {
		t.Errorf("asked for %+v", sub)
	}
	if uploads := w.store.uploads; uploads != 0 {
		t.Errorf("%d uploads", uploads)
	}
	for _, replica := range []*replica{r, twin} {
		var j struct {
			Run      int
			Status   string
			AfterRun int `json:"after_run"`
			Options  struct{ OCR string }
			Runs     []struct {
				Run       int
				Status    string
				ResultURL string `json:"result_url"`
			}
		}
		replica.get(token, "/api/v1/jobs/"+job).into(t, &j)
		if j.Run != 1 || j.Status != schemas.Pending || j.AfterRun != 0 || j.Options.OCR != "force" || len(j.Runs) != 1 || j.Runs[0].Status != schemas.Completed {
			t.Errorf("%+v", j)
		}
		if a := replica.get(token, j.Runs[0].ResultURL); string(a.body) != "# Title" {
			t.Errorf("the first run's result: %d %s", a.StatusCode, a.body)
		}
		if a := replica.get(token, "/api/v1/jobs/"+job+"/result"); a.code(t) != schemas.ResultNotReady {
			t.Errorf("the new run's result: %d %s", a.StatusCode, a.body)
		}
	}
	again := twin.send(token, "/api/v1/jobs/"+job+"/reprocess", "application/json", `{"ocr":"force","pages":"2-3,1","output_formats":["json","text"],"tables":"on","priority":"high"}`, "Idempotency-Key", "k1")
	if again.StatusCode != http.StatusAccepted || string(again.body) != string(a.body) || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("said twice: %d %s", again.StatusCode, again.body)
	}
	if a := twin.send(token, "/api/v1/jobs/"+job+"/reprocess", "application/json", `{}`); a.code(t) != schemas.JobNotEnded || a.Header.Get("Retry-After") == "" {
		t.Errorf("while it runs: %d %s", a.StatusCode, a.body)
	}
	if a := twin.get(token, "/api/v1/jobs/"+job); !strings.Contains(string(a.body), `"run":1,"after_run":0,`) {
		t.Errorf("another run was opened: %s", a.body)
	}
}

func TestOfTwoWhoAskAtOnceOneGetsARun(t *testing.T) {
	w := newWorld(t)
	r, twin := w.replica(patient), w.replica(patient)
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	_ = w.store.Put(t.Context(), "sources/acme/x", []byte("12345"), blob.Options{})
	w.folding()
	w.lived(r, token, w.finished("acme", job, "text", "words"))
	var answers [2]int
	var both sync.WaitGroup
	for i, replica := range []*replica{r, twin} {
		req, err := http.NewRequest(http.MethodPost, replica.url+"/api/v1/jobs/"+job+"/reprocess", strings.NewReader(fmt.Sprintf(`{"dpi":%d}`, 100+i)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		both.Go(func() {
			res, err := w.client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			answers[i] = res.StatusCode
		})
	}
	both.Wait()
	if answers != [2]int{http.StatusAccepted, http.StatusConflict} && answers != [2]int{http.StatusConflict, http.StatusAccepted} {
		t.Fatalf("answers: %v", answers)
	}
	won := 100
	if answers[1] == http.StatusAccepted {
		won = 101
	}
	if sub := w.split("normal", 1); sub.Options.DPI != won {
		t.Errorf("the run has %d, accepted was %d", sub.Options.DPI, won)
	}
}

func TestAJobThatDidNotEndWellIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	r := w.replica(patient)
	token := w.key("acme")
	_ = w.store.Put(t.Context(), "sources/acme/x", []byte("12345"), blob.Options{})
	w.folding()
	whole, part, none := schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now())
	partial := w.finished("acme", part, "text", "words")
	partial.Status, partial.Finished, partial.WebhookURL = schemas.Partial, schemas.Bitmap(nil).Set(1).Set(2).Set(4), "https://example.com/told"
	failed := snapshot("acme", none, 5, schemas.Failed)
	w.lived(r, token, w.finished("acme", whole, "text", "words"), partial, failed)

	if a := r.send(token, "/api/v1/jobs/"+whole+"/retry", "application/json", ""); a.code(t) != schemas.JobEnded {
		t.Errorf("a completed one: %d %s", a.StatusCode, a.body)
	}
	if a := r.send(token, "/api/v1/jobs/"+part+"/retry", "application/json", `{"ocr":"force"}`); a.code(t) != schemas.InvalidRequest {
		t.Errorf("with options: %d %s", a.StatusCode, a.body)
	}
	if a := r.send(token, "/api/v1/jobs/"+part+"/retry", "application/json", ""); a.StatusCode != http.StatusAccepted {
		t.Fatalf("a partial one: %d %s", a.StatusCode, a.body)
	}
	if sub := w.split("normal", 1); sub.JobID != part || sub.Run != 1 || sub.Kept != "1-2,4" || sub.BaseRun != 0 || sub.KeptPipeline != "pv_test" || sub.WebhookURL != "https://example.com/told" {
		t.Errorf("asked for %+v", sub)
	}
	if a := r.send(token, "/api/v1/jobs/"+none+"/retry", "application/json", "{}"); a.StatusCode != http.StatusAccepted {
		t.Fatalf("a failed one: %d %s", a.StatusCode, a.body)
	}
}

func TestAnotherRunThatCannotBe(t *testing.T) {
	w := newWorld(t)
	r := w.replica(func(c *gateway.Config) {
		patient(c)
		c.Plans = []gateway.Plan{{Name: "modest", Priorities: []string{"normal", "low"}}}
		c.DefaultPlan = "modest"
	})
	token := w.key("acme")
	job, gone, other := schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now())
	_ = w.store.Put(t.Context(), "sources/acme/x", []byte("12345"), blob.Options{})
	lost, changed := w.finished("acme", gone, "text", "words"), w.finished("acme", other, "text", "words")
	lost.Source.Key, changed.Source.Size = "sources/acme/lost", 6
	w.folding()
	w.lived(r, token, w.finished("acme", job, "text", "words"), lost, changed)
	for name, c := range map[string]struct {
		job, body string
		want      schemas.Code
	}{
		"the source is gone":         {gone, "", schemas.SourceMissing},
		"the source is another":      {other, "{}", schemas.SourceMissing},
		"the plan does not allow it": {job, `{"priority":"high"}`, schemas.Forbidden},
		"a value that is none":       {job, `{"ocr":"never"}`, schemas.InvalidOption},
		"no such option":             {job, `{"file":"x"}`, schemas.InvalidOption},
		"an option of submissions":   {job, `{"dry_run":true}`, schemas.InvalidOption},
		"not an object":              {job, `[]`, schemas.InvalidRequest},
		"an option twice":            {job, `{"dpi":100,"dpi":200}`, schemas.InvalidRequest},
		"an address that may not be": {job, `{"webhook_url":"http://127.0.0.1/x"}`, schemas.AddressForbidden},
		"nobody's job":               {schemas.NewJobID(time.Now()), "{}", schemas.JobNotFound},
	} {
		if a := r.send(token, "/api/v1/jobs/"+c.job+"/reprocess", "application/json", c.body); a.code(t) != c.want {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	if n := len(w.all("splits.normal")) + len(w.all("splits.high")); n != 0 {
		t.Errorf("%d runs were opened", n)
	}
}
