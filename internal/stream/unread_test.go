package stream_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/schemas"
)

func TestUnreadCountsWhatAReaderWouldBeGiven(t *testing.T) {
	w := newWorld(t)
	topic := w.plan.Name("pages.cpu.normal")
	tx, err := w.conn.Client(kgo.TransactionalID(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := tx.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	// Two records and a marker, three times: 0 1 m, aborted 3 4 m, 6 7 m.
	for _, c := range []struct{ from, to, want int64 }{{0, 9, 4}, {1, 9, 3}, {2, 6, 0}, {6, 9, 2}, {8, 9, 0}, {0, 1, 1}, {9, 9, 0}, {5, 2, 0}} {
		got, err := stream.Unread(t.Context(), w.conn, topic, map[int32]int64{0: c.from}, map[int32]int64{0: c.to})
		if err != nil || got[0] != c.want {
			t.Errorf("from %d to %d: %d, want %d (%v)", c.from, c.to, got[0], c.want, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := stream.Unread(ctx, w.conn, topic, map[int32]int64{0: 0}, map[int32]int64{0: 1000}); err == nil {
		t.Error("an end that never comes was reached")
	}
}

// TestRecordsThatWaitTooLongAreCounted: a lane whose reader stands still shows what is older than half of the retention, and a quiet lane
// shows nothing, though a marker lies behind its last record.
func TestRecordsThatWaitTooLongAreCounted(t *testing.T) {
	w := newWorld(t)
	w.publish(prepared(1, 1))
	tx, err := w.conn.Client(kgo.TransactionalID(w.plan.Prefix + "tx"))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := tx.ProduceSync(t.Context(), &kgo.Record{Topic: w.plan.Name("pages.cpu.high"), Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := tx.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	w.plan.Retention = 2 * time.Second // only this harness thinks so: half of it is one second
	reg := prometheus.NewRegistry()
	h := stream.New(w.conn, w.plan, stream.DefaultConfig(), w.codec, w.key, slog.New(slog.NewTextHandler(t.Output(), nil)), reg)
	block := make(chan struct{})
	stream.AddStage(h, topology.Layout, "cpu", func(ctx context.Context, e *schemas.PagePrepared, _ schemas.Delivery) ([]schemas.Event, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-block:
			return laidOut(e), nil
		}
	})
	stop := w.start(h)
	defer stop()
	defer close(block)
	gauge := func(lane string) float64 {
		all, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			if f.GetName() == "docstream_lane_overdue_records" {
				for _, m := range f.Metric {
					if label(m, "lane") == lane {
						return m.GetGauge().GetValue()
					}
				}
			}
		}
		return -1
	}
	for deadline := time.Now().Add(30 * time.Second); min(gauge("pages.cpu.high"), gauge("pages.cpu.normal")) < 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the gauge was never set")
		}
	}
	if n := gauge("pages.cpu.normal"); n != 1 {
		t.Errorf("a record whose work hangs: %v", n)
	}
	if n := gauge("pages.cpu.high"); n != 0 {
		t.Errorf("a quiet lane: %v", n)
	}
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.Label {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}
