package gateway_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docstream/internal/blob"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/processors/track"
	"docstream/producers"
	"docstream/producers/deadletters"
	"docstream/schemas"
	"docstream/sinks/jobs"
)

// working runs a harness until the test ends.
func (w *world) working(bind func(*stream.Harness)) {
	cfg := stream.DefaultConfig()
	cfg.Tick, cfg.SinkLinger = 100*time.Millisecond, 10*time.Millisecond
	h := stream.New(w.conn, w.plan, cfg, w.codec, house, w.log, prometheus.NewRegistry())
	bind(h)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("a worker ended with %v", err)
		}
	})
}

// forgetful is the fold with a short memory.
func (w *world) forgetful() {
	w.working(func(h *stream.Harness) {
		stream.AddFold(h, topology.Track, track.New(track.Config{Hot: time.Second}, w.codec.Decode))
	})
}

// archiving writes job.json; from then on the fold may forget.
func (w *world) archiving() {
	p := producers.New(w.cl, stream.NewWriter(w.plan, w.codec, "jobs", house))
	s := jobs.New(w.store, jobs.Around{Encode: p.Encode, Publish: func(ctx context.Context, events ...schemas.Event) error { return p.PublishAll(ctx, events, "req_test") }}, nil)
	w.working(func(h *stream.Harness) { stream.AddSink(h, topology.Ended, s.Write) })
}

// cold waits until no view holds a job.
func cold(t *testing.T, tenant, job string, replicas ...*replica) {
	t.Helper()
	for _, r := range replicas {
		eventually(t, "the view lets the job go", func() bool { _, ok := r.view.Job(tenant, job); return !ok })
	}
}

func TestAJobThatTheViewsHaveLetGoIsAnsweredAsBefore(t *testing.T) {
	w := newWorld(t)
	r, twin := w.replica(patient), w.replica(patient)
	mine, other := w.key("acme"), w.key("rival")
	whole, part, none := schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now())
	done := w.finished("acme", whole, "markdown", "# Title", "text", "Title")
	done.Metadata = map[string]string{"invoice": "4711"}
	partial := w.finished("acme", part, "text", "words")
	partial.Status, partial.Finished = schemas.Partial, schemas.Bitmap(nil).Set(1).Set(2).Set(4)
	w.forgetful()
	w.lived(r, mine, done, partial, snapshot("acme", none, 5, schemas.Failed))
	paths := []string{"", "/result?format=markdown", "/result?format=zip", "/pages", "/pages/3", "/pages/9", "/result?run=7"}
	ask := func(r *replica) (out []string) {
		for _, job := range []string{whole, part, none} {
			for _, path := range paths {
				a := r.get(mine, "/api/v1/jobs/"+job+path)
				body := string(a.body)
				if a.StatusCode > 399 {
					body = string(a.code(t))
				}
				out = append(out, job+path+" "+a.Status+" "+a.Header.Get("ETag")+" "+body)
			}
		}
		return out
	}
	before := ask(r)
	w.archiving()
	for _, job := range []string{whole, part, none} {
		cold(t, "acme", job, r, twin)
	}
	late := w.replica(patient) // never heard of them
	for _, replica := range []*replica{r, twin, late, r} {
		if after := ask(replica); !slices.Equal(after, before) {
			t.Errorf("before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
		}
		if a := replica.get(other, "/api/v1/jobs/"+whole); a.code(t) != schemas.JobNotFound {
			t.Errorf("P8: %d %s", a.StatusCode, a.body)
		}
	}
	var bulk struct {
		Jobs    []struct{ Status string }
		Missing []string
	}
	unknown := schemas.NewJobID(time.Now())
	r.send(mine, "/api/v1/jobs/status", "application/json", `{"job_ids":["`+whole+`","`+unknown+`","`+none+`"]}`).into(t, &bulk)
	if len(bulk.Jobs) != 2 || bulk.Jobs[0].Status != schemas.Completed || bulk.Jobs[1].Status != schemas.Failed || !slices.Equal(bulk.Missing, []string{unknown}) {
		t.Errorf("%+v", bulk)
	}
	if a := twin.send(mine, "/api/v1/jobs/"+whole+"/cancel", "", ""); a.code(t) != schemas.JobEnded {
		t.Errorf("cancel: %d %s", a.StatusCode, a.body)
	}
	// P4: what cannot be looked up is no 404.
	w.store.set(true)
	if a := w.replica(patient).get(mine, "/api/v1/jobs/"+whole); a.code(t) != schemas.ServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("without the store: %d %s", a.StatusCode, a.body)
	}
	w.store.set(false)
	// What was kept long enough is gone; the job stays as it ended.
	for _, o := range done.Outputs {
		_ = w.store.Delete(t.Context(), o.Key)
	}
	if a := late.get(mine, "/api/v1/jobs/"+whole+"/result?format=markdown"); a.code(t) != schemas.ResultExpired {
		t.Errorf("expired: %d %s", a.StatusCode, a.body)
	}
	if a := late.get(mine, "/api/v1/jobs/"+whole); !strings.Contains(string(a.body), `"status":"completed"`) {
		t.Errorf("%s", a.body)
	}
}

func TestAJobThatWasLetGoRunsAgainAndIsDeleted(t *testing.T) {
	w := newWorld(t)
	r, twin := w.replica(patient), w.replica(patient)
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	_ = w.store.Put(t.Context(), "sources/acme/x", []byte("12345"), blob.Options{})
	done := w.finished("acme", job, "markdown", "# Title")
	done.Outputs[0].Key = schemas.ResultKey("acme", job, 0, "document.md")
	_ = w.store.Put(t.Context(), done.Outputs[0].Key, []byte("# Title"), blob.Options{})
	w.forgetful()
	w.archiving()
	w.lived(r, token, done)
	cold(t, "acme", job, r, twin)
	_ = twin.get(token, "/api/v1/jobs/"+job) // it is remembered there
	var was, now struct {
		Run     int
		Version int64
		Status  string
		Runs    []struct {
			Status    string
			ResultURL string `json:"result_url"`
		}
	}
	r.get(token, "/api/v1/jobs/"+job).into(t, &was)
	if a := r.send(token, "/api/v1/jobs/"+job+"/reprocess", "application/json", `{"ocr":"force"}`); a.StatusCode != http.StatusAccepted {
		t.Fatalf("reprocess: %d %s", a.StatusCode, a.body)
	}
	twin.get(token, "/api/v1/jobs/"+job).into(t, &now)
	if now.Run != 1 || now.Status != schemas.Pending || now.Version != was.Version+1 || len(now.Runs) != 1 || now.Runs[0].Status != schemas.Completed {
		t.Fatalf("was %+v, is %+v", was, now)
	}
	if a := twin.get(token, now.Runs[0].ResultURL); string(a.body) != "# Title" {
		t.Errorf("the result of its first run: %d %s", a.StatusCode, a.body)
	}
	if a := r.send(token, "/api/v1/jobs/"+job+"/cancel", "", ""); a.StatusCode != http.StatusAccepted {
		t.Fatalf("cancel: %d %s", a.StatusCode, a.body)
	}
	cold(t, "acme", job, r, twin)
	for _, replica := range []*replica{r, twin} {
		replica.get(token, "/api/v1/jobs/"+job).into(t, &now)
		if now.Run != 1 || now.Status != schemas.Cancelled || len(now.Runs) != 1 {
			t.Errorf("after its second run: %+v", now)
		}
	}
	if a := twin.ask(token, http.MethodDelete, "/api/v1/jobs/"+job); a.StatusCode != http.StatusNoContent {
		t.Fatalf("delete: %d %s", a.StatusCode, a.body)
	}
	cold(t, "acme", job, r, twin)
	for _, replica := range []*replica{r, twin, w.replica(patient)} {
		if a := replica.get(token, "/api/v1/jobs/"+job); a.code(t) != schemas.JobDeleted {
			t.Errorf("deleted: %d %s", a.StatusCode, a.body)
		}
	}
	eventually(t, "only the tombstone is left", func() bool { return len(w.store.keys()) == 1 && strings.HasPrefix(w.store.keys()[0], "jobs/acme/"+job) })
}

// TestADeadLetterOfAJobThatWasLetGoIsRedriven: the run that is asked for keeps the pages that were finished, as of a job the view still holds.
func TestADeadLetterOfAJobThatWasLetGoIsRedriven(t *testing.T) {
	w := newWorld(t)
	r, twin := w.replica(patient), w.replica(patient)
	for _, one := range []*replica{r, twin} {
		one.gateway.ServeDeadLetters(deadletters.Box{Conn: w.conn, Plan: w.plan, Codec: w.codec, Client: w.cl})
	}
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	_ = w.store.Put(t.Context(), "sources/acme/x", []byte("12345"), blob.Options{})
	s := w.finished("acme", job, "text", "words")
	s.Status, s.Finished = schemas.Partial, schemas.Bitmap(nil).Set(1).Set(2).Set(4)
	w.forgetful()
	w.archiving()
	w.lived(r, token, s)
	w.bury("acme", job, 3, "ENGINE_CRASHED")
	cold(t, "acme", job, r, twin)
	var l lettersBody
	twin.get(token, "/api/v1/dead-letters?job_id="+job).into(t, &l)
	if len(l.DeadLetters) != 1 {
		t.Fatalf("%+v", l)
	}
	if a := twin.send(token, "/api/v1/dead-letters/"+l.DeadLetters[0].ID+"/redrive", "", ""); a.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if sub := w.split(s.Priority, 1); sub.JobID != job || sub.Run != 1 || sub.BaseRun != 0 || sub.Kept != "1-2,4" || sub.Source.Key != "sources/acme/x" {
		t.Errorf("asked for %+v", sub)
	}
	for _, one := range []*replica{r, twin} {
		var now struct {
			Run  int
			Runs []struct{ Status string }
		}
		one.get(token, "/api/v1/jobs/"+job).into(t, &now)
		if now.Run != 1 || len(now.Runs) != 1 || now.Runs[0].Status != schemas.Partial {
			t.Errorf("it is %+v", now)
		}
	}
	if a := r.send(token, "/api/v1/dead-letters/"+l.DeadLetters[0].ID+"/redrive", "", ""); a.code(t) != schemas.DeadLetterNotRedrivable {
		t.Errorf("again: %d %s", a.StatusCode, a.body)
	}
}
