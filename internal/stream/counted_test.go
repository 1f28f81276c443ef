package stream_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/ops"
	"docstream/processors/tally"
	"docstream/schemas"
)

// row is one page of a tenant's usage.
func row(n int) *schemas.UsageRecorded {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	return &schemas.UsageRecorded{Head: schemas.Head{EventID: fmt.Sprint("evt_row", n), Tenant: "acme", JobID: job(n), At: at}, Page: 1, Stage: "prepare", Device: "cpu", Units: 1}
}

// sum is how many pages the newest state counts.
func (w *world) sum() (pages int64) {
	w.t.Helper()
	err := stream.Scan{Conn: w.conn, Plan: w.plan, Codec: w.codec, Yield: func(r schemas.Record) error {
		pages = r.Event.(*schemas.UsageSummed).Pages
		return nil
	}}.Read(w.t.Context(), topology.UsageDays.Spec.Name)
	if err != nil {
		w.t.Fatal(err)
	}
	return pages
}

// TestARowCountsOnceWhereverReadingBegins: the offsets of the group go back, the topic is made anew: what was counted is not counted again, and
// what is new is.
func TestARowCountsOnceWhereverReadingBegins(t *testing.T) {
	w := newWorld(t)
	adm := kadm.NewClient(w.cl)
	usage, group := w.plan.Name(topology.Usage.Spec.Name), w.plan.Group(topology.Tally.Name, topology.Usage.Spec.Name)
	n := 0
	until := func(want int64) {
		t.Helper()
		stop := w.start(func() *stream.Harness {
			h := w.harness(nil)
			stream.AddFold(h, topology.Tally, tally.New())
			return h
		}())
		defer stop()
		for end := time.Now().Add(30 * time.Second); w.sum() < want; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d rows are counted, want %d", w.sum(), want)
			}
		}
	}
	add := func(rows int) {
		t.Helper()
		for range rows {
			n++
			w.publish(row(n))
		}
	}
	add(7)
	until(7)
	for _, back := range []int64{0, 3} {
		offsets := kadm.Offsets{}
		for partition := range int32(w.plan.State) {
			offsets.AddOffset(usage, partition, back, -1)
		}
		if err := adm.CommitAllOffsets(t.Context(), group, offsets); err != nil {
			t.Fatal(err)
		}
		add(1)
		until(int64(n))
		if got := w.sum(); got != int64(n) {
			t.Fatalf("from offset %d on %d rows were counted, of %d", back, got, n)
		}
	}
	if _, err := adm.DeleteTopics(t.Context(), usage); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.DeleteGroups(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) { // a real broker deletes a little later
		if _, err := ops.Apply(t.Context(), w.cl, w.plan); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	var err error
	if w.cl, err = w.conn.Client(); err != nil { // the other one knows the topic that is gone
		t.Fatal(err)
	}
	t.Cleanup(w.cl.Close)
	add(2)
	until(int64(n))
}
