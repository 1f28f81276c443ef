package stream_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/schemas"
)

// submit puts documents of tenants into one partition of a lane, in order.
func (w *world) submit(tenants ...string) {
	w.t.Helper()
	cl, err := w.conn.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	wr := stream.NewWriter(w.plan, w.codec, "gateway", w.key)
	var records []*kgo.Record
	for _, tenant := range tenants {
		now := time.Now()
		e := &schemas.DocumentSubmitted{Head: schemas.Head{Tenant: tenant, JobID: schemas.NewJobID(now), At: now, SubmittedAt: now}, FromPage: 1, Class: "cpu",
			Priority: "normal", Source: schemas.Source{Key: "sources/" + tenant + "/x", Size: 3}}
		r, err := wr.Record(w.t.Context(), e, "")
		if err != nil {
			w.t.Fatal(err)
		}
		records = append(records, r)
	}
	if err := cl.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// prepares works submissions one by one and notes whose they are, by their order.
func (w *world) prepares() (order func() []string) {
	var mu sync.Mutex
	var done []string
	seen := map[string]bool{}
	h := w.harness(func(c *stream.Config) { c.Slots = 1 })
	stream.AddStage(h, topology.Prepare, "cpu", func(_ context.Context, e *schemas.DocumentSubmitted, _ schemas.Delivery) ([]schemas.Event, error) {
		mu.Lock()
		defer mu.Unlock()
		if !seen[e.JobID] { // a transaction that aborts has its records worked on again
			seen[e.JobID] = true
			done = append(done, e.Tenant+" "+e.Priority)
		}
		return nil, nil
	})
	w.start(h)
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(done)
	}
}

// awaitDone waits for so many documents.
func awaitDone(t *testing.T, order func() []string, n int) []string {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if got := order(); len(got) >= n {
			return got
		}
		if time.Now().After(end) {
			t.Fatalf("%d documents are done, want %d", len(order()), n)
		}
	}
}

// TestAFloodOfOneTenantHoldsNobodyElseUp: of what lies before a document of another tenant only the flood's share is worked on first; the rest
// moves to the lane of low priority, the fold is told of each, and all are worked on.
func TestAFloodOfOneTenantHoldsNobodyElseUp(t *testing.T) {
	const flood = 300
	w := newWorld(t)
	order := w.prepares()
	w.submit("small")
	awaitDone(t, order, 1)
	w.submit(append(slices.Repeat([]string{"large"}, flood), "small")...)
	got := awaitDone(t, order, flood+2)
	at := 1 + slices.Index(got[1:], "small normal")
	before := 0
	for _, who := range got[1:at] {
		if who == "large normal" {
			before++
		}
	}
	batch := stream.DefaultConfig().Batch
	if at < 1 || before > 2*batch { // a batch that was fetched before the rest of the flood came, and one that has the small document
		t.Errorf("%d documents of the flood were worked on before the small one, at place %d; a batch has %d", before, at, batch)
	}
	low := 0
	for _, who := range got {
		if who == "large low" {
			low++
		}
	}
	if low < flood-2*batch {
		t.Errorf("%d documents of %d gave way", low, flood)
	}
	moved := w.read("splits.low", low)
	facts := w.read("facts", low)
	if len(moved) != low || len(facts) != low || stream.Header(moved[0], schemas.HeaderSignature) != "" {
		t.Errorf("%d records moved and the fold was told of %d, want %d", len(moved), len(facts), low)
	}
	f, ok := w.decode(facts[0]).(*schemas.DocumentDeferred)
	if !ok {
		t.Fatalf("the fold was told %+v", w.decode(facts[0]))
	}
	e, err := w.codec.Decode(t.Context(), f.Submission)
	if err != nil || e.(*schemas.DocumentSubmitted).Priority != "low" || f.JobID != e.Envelope().JobID || f.Tenant != "large" {
		t.Errorf("the fold was told of %+v %v", e, err)
	}
}

// TestATenantThatIsAloneGivesWayToNobody: its documents stay in the lane they were sent to.
func TestATenantThatIsAloneGivesWayToNobody(t *testing.T) {
	w := newWorld(t)
	order := w.prepares()
	w.submit(slices.Repeat([]string{"only"}, 100)...)
	if got := awaitDone(t, order, 100); slices.Contains(got, "only low") {
		t.Errorf("documents gave way to nobody: %v", got)
	}
}
