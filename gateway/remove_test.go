package gateway_test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docstream/gateway"
	"docstream/internal/blob"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/processors/track"
	"docstream/schemas"
)

// folding runs the fold that follows every job, until the test ends.
func (w *world) folding() {
	h := stream.New(w.conn, w.plan, stream.DefaultConfig(), w.codec, house, w.log, prometheus.NewRegistry())
	stream.AddFold(h, topology.Track, track.New(track.DefaultConfig(), w.codec.Decode))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the fold ended with %v", err)
		}
	})
}

// lived tells the facts of jobs that bring about what the snapshots say, and waits until a replica shows it.
func (w *world) lived(r *replica, token string, jobs ...*schemas.JobSnapshot) {
	w.t.Helper()
	for _, s := range jobs {
		head := func(page int, kind string) schemas.Head {
			h := s.Head
			h.EventID = schemas.EventIDFor(s.JobID, s.Run, "test", page, kind, 0)
			return h
		}
		sub := &schemas.DocumentSubmitted{Head: head(0, "DocumentSubmitted"), RequestID: "req_test", FromPage: 1, Class: s.Class, Priority: s.Priority, Source: s.Source, Options: s.Options,
			Metadata: s.Metadata, WebhookURL: s.WebhookURL}
		wire, err := w.codec.Encode(sub)
		if err != nil {
			w.t.Fatal(err)
		}
		pages := s.PageRanges
		if pages == "" {
			pages = "1-" + strconv.Itoa(s.PagesTotal)
		}
		w.publish(&schemas.DocumentOpened{Head: head(0, "DocumentOpened"), Submission: wire, PagesTotal: s.PagesTotal, PageRanges: pages, Pipeline: "pv_test"})
		set, _ := schemas.ParseRanges(pages)
		for n := range set.All() {
			switch {
			case schemas.Bitmap(s.Finished).Has(n) || s.Status == schemas.Completed:
				f := &schemas.PageFinished{Head: head(n, "PageFinished"), Page: n, How: "ocr"}
				if schemas.Bitmap(s.Text).Has(n) {
					f.How = "text"
				}
				w.publish(f)
			case schemas.Bitmap(s.Failed).Has(n) || s.Status == schemas.Partial || s.Status == schemas.Failed:
				w.publish(&schemas.PageFailed{Head: head(n, "PageFailed"), Page: n, Stage: "ocr", Code: "ENGINE_TIMEOUT", Message: "It took too long."})
			}
		}
		if len(s.Outputs) > 0 {
			w.publish(&schemas.DocumentComposed{Head: head(0, "DocumentComposed"), Outputs: s.Outputs})
		}
	}
	for _, s := range jobs {
		eventually(w.t, s.JobID+" is "+s.Status, func() bool {
			return strings.Contains(string(r.get(token, "/api/v1/jobs/"+s.JobID).body), `"status":"`+s.Status+`"`)
		})
	}
}

// ask makes a request without a body.
func (r *replica) ask(token, method, path string, headers ...string) answer {
	r.w.t.Helper()
	req, err := http.NewRequest(method, r.url+path, nil)
	if err != nil {
		r.w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return r.do(req)
}

// laid puts objects that belong to a job, and to nobody.
func (w *world) laid(keys ...string) {
	w.t.Helper()
	for _, k := range keys {
		if err := w.store.Put(w.t.Context(), k, []byte("x"), blob.Options{}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestADeletedJobIsGoneOnEveryReplica(t *testing.T) {
	w := newWorld(t)
	patient := func(c *gateway.Config) { c.MaxWait = 20 * time.Second }
	r, twin := w.reading(patient), w.reading(patient)
	mine, other := w.key("acme"), w.key("rival")
	fetched, direct := schemas.NewJobID(time.Now()), "upl_"+schemas.NewUploadID(time.Now())
	ended, running, foreign, kept := schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now())
	done := w.finished("acme", ended, "markdown", "# Title", "json", `{"pages":[]}`)
	done.Source.Key = "sources/acme/a"
	busy := w.half("acme", running)
	busy.Source.Key = schemas.DirectKey("acme", direct)
	asked := w.half("acme", fetched)
	asked.Source = schemas.Source{URL: "https://example.org/a.pdf", Filename: "a.pdf"}
	theirs := w.finished("acme", foreign, "text", "words")
	theirs.Source.Bucket, theirs.Source.Key = "scans", "in/a.pdf"
	stays := w.finished("acme", kept, "text", "words")
	w.folding()
	w.lived(r, mine, done, busy, asked, theirs, stays)
	w.laid("sources/acme/a", schemas.DirectKey("acme", direct), schemas.UploadKey("acme", direct), schemas.FetchedKey("acme", fetched), "sources/acme/x", "in/a.pdf", schemas.ResultKey("acme", ended, 1, "pages/000001.json"),
		schemas.WorkKey("acme", running, 0, "pages/000004.png"), schemas.ResultKey("rival", ended, 0, "document.md"))

	if a := r.ask(other, http.MethodDelete, "/api/v1/jobs/"+ended); a.code(t) != schemas.JobNotFound {
		t.Errorf("P8: %d %s", a.StatusCode, a.body)
	}
	for _, job := range []string{ended, running, fetched, foreign} {
		if a := r.ask(mine, http.MethodDelete, "/api/v1/jobs/"+job); a.StatusCode != http.StatusNoContent || len(a.body) > 0 {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		for _, replica := range []*replica{r, twin} {
			for _, path := range []string{"", "/result", "/result?run=0", "/pages", "/pages/1", "/events"} {
				if a := replica.get(mine, "/api/v1/jobs/"+job+path); a.code(t) != schemas.JobDeleted || !strings.Contains(string(a.body), "deleted_at") {
					t.Errorf("%s%s: %d %s", job, path, a.StatusCode, a.body)
				}
			}
			if a := replica.ask(mine, http.MethodPost, "/api/v1/jobs/"+job+"/cancel"); a.code(t) != schemas.JobDeleted {
				t.Errorf("cancel: %d %s", a.StatusCode, a.body)
			}
			if a := replica.get(other, "/api/v1/jobs/"+job); a.code(t) != schemas.JobNotFound {
				t.Errorf("P8: %d %s", a.StatusCode, a.body)
			}
		}
	}
	left := w.store.keys()
	slices.Sort(left)
	want := []string{"in/a.pdf", schemas.ResultKey("acme", kept, 0, "document.text"), schemas.ResultKey("rival", ended, 0, "document.md"), "sources/acme/x"}
	slices.Sort(want)
	if !slices.Equal(left, want) {
		t.Errorf("left: %v, want %v", left, want)
	}
	if a := twin.get(mine, "/api/v1/jobs"); strings.Contains(string(a.body), ended) || !strings.Contains(string(a.body), kept) {
		t.Errorf("the list: %s", a.body)
	}
	var bulk struct{ Deleted, Missing []string }
	req, _ := http.NewRequest(http.MethodPost, twin.url+"/api/v1/jobs/status", strings.NewReader(`{"job_ids":["`+running+`","`+kept+`"]}`))
	req.Header.Set("Authorization", "Bearer "+mine)
	twin.do(req).into(t, &bulk)
	if !slices.Equal(bulk.Deleted, []string{running}) || len(bulk.Missing) > 0 {
		t.Errorf("%+v", bulk)
	}
	if jobs, _ := twin.view.Live("acme"); jobs != 0 {
		t.Errorf("%d jobs are under way", jobs)
	}

	// What a worker wrote meanwhile goes when it is asked again; a replica that starts now knows it too.
	w.laid(schemas.ResultKey("acme", running, 0, schemas.PageResultName(4)), schemas.DirectKey("acme", direct))
	late := w.replica(patient)
	if a := late.ask(mine, http.MethodDelete, "/api/v1/jobs/"+running); a.StatusCode != http.StatusNoContent {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if after := w.store.keys(); len(after) != len(left) {
		t.Errorf("left: %v", after)
	}
}

func TestADeletionThatBreaksOffIsFinishedByAskingAgain(t *testing.T) {
	w := newWorld(t)
	r := w.replica(func(c *gateway.Config) { c.MaxWait = 20 * time.Second })
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	w.folding()
	w.lived(r, token, w.finished("acme", job, "text", "words"))
	w.store.set(true)
	if a := r.ask(token, http.MethodDelete, "/api/v1/jobs/"+job); a.code(t) != schemas.ServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	w.store.set(false)
	eventually(t, "the log knows it", func() bool { return r.get(token, "/api/v1/jobs/"+job).StatusCode == http.StatusGone })
	if len(w.store.keys()) == 0 {
		t.Fatal("nothing was left to remove")
	}
	if a := r.ask(token, http.MethodDelete, "/api/v1/jobs/"+job); a.StatusCode != http.StatusNoContent || len(w.store.keys()) != 0 {
		t.Errorf("%d, left: %v", a.StatusCode, w.store.keys())
	}
}
