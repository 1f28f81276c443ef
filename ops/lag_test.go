package ops_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/stream"
	"docstream/internal/testenv"
	"docstream/internal/topology"
	"docstream/ops"
)

// lagOf returns what Lags says of a stage on a lane.
func lagOf(t *testing.T, conn stream.Connection, plan topology.Config, stage, lane string, over time.Duration) ops.Lag {
	t.Helper()
	lags, err := ops.Lags(t.Context(), conn, plan, over)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lags {
		if l.Stage == stage && l.Lane == lane {
			return l
		}
	}
	t.Fatalf("there is no %s on %s among %d", stage, lane, len(lags))
	return ops.Lag{}
}

// transact produces n records into a partition in one transaction.
func transact(t *testing.T, conn stream.Connection, topic string, n int, end kgo.TransactionEndTry) {
	t.Helper()
	c := client(t, conn, kgo.TransactionalID(topic+time.Now().String()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for range n {
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.EndTransaction(t.Context(), end); err != nil {
		t.Fatal(err)
	}
}

// commit moves a group to an offset of partition 0.
func commit(t *testing.T, c *kgo.Client, group, topic string, at int64) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: at, LeaderEpoch: -1})
	done, err := kadm.NewClient(c).CommitOffsets(t.Context(), group, offsets)
	if err == nil {
		err = done.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestLagCountsRecordsAndNotMarkers(t *testing.T) {
	conn, plan := testenv.Kafka(t), testenv.Plan(t)
	c := client(t, conn)
	if _, err := ops.Lags(t.Context(), conn, plan, 0); err == nil || !strings.Contains(err.Error(), "run docstream topics apply") {
		t.Errorf("before the topics were made: %v", err)
	}
	apply(t, c, plan)
	const lane = "pages.gpu.normal"
	topic, group := plan.Name(lane), plan.Group("layout", lane)

	if l := lagOf(t, conn, plan, "layout", lane, 0); l.Records != 0 || l.Pages == nil || *l.Pages != 0 || l.Readers != 0 || l.Partitions[0].Committed != -1 {
		t.Errorf("empty: %+v", l)
	}
	transact(t, conn, topic, 5, kgo.TryCommit)
	transact(t, conn, topic, 3, kgo.TryAbort)
	if l := lagOf(t, conn, plan, "layout", lane, 0); l.Records != 5 || *l.Pages != 5 || l.End < 10 {
		t.Errorf("five records, a marker, and an aborted transaction: %+v", l)
	}
	commit(t, c, group, topic, 4)
	if l := lagOf(t, conn, plan, "layout", lane, 0); l.Records != 1 || l.Committed != 4 || l.Seconds != nil {
		t.Errorf("one left: %+v", l)
	}
	commit(t, c, group, topic, 5)
	if l := lagOf(t, conn, plan, "layout", lane, 50*time.Millisecond); l.Records != 0 || l.Seconds == nil || *l.Seconds != 0 {
		t.Errorf("nothing left but markers: %+v", l)
	}
	if l := lagOf(t, conn, plan, "track", "facts", 0); l.Pages != nil {
		t.Errorf("a fact is no page: %+v", l)
	}
}

func TestLagEstimatesFromThePace(t *testing.T) {
	conn, plan := testenv.Kafka(t), testenv.Plan(t)
	c := client(t, conn)
	apply(t, c, plan)
	const lane = "compositions.low"
	topic, group := plan.Name(lane), plan.Group("compose", lane)
	transact(t, conn, topic, 200, kgo.TryCommit)
	commit(t, c, group, topic, 0)
	timer := time.AfterFunc(150*time.Millisecond, func() { commit(t, c, group, topic, 100) })
	defer timer.Stop()
	l := lagOf(t, conn, plan, "compose", lane, 2*time.Second)
	// 101 offsets are left and 100 were done in the two seconds.
	if l.Seconds == nil || *l.Seconds < 2 || *l.Seconds > 2.1 || l.Pages != nil {
		t.Errorf("%+v", l)
	}
	if l := lagOf(t, conn, plan, "compose", lane, 100*time.Millisecond); l.Seconds != nil {
		t.Errorf("nothing moved, and yet it takes %v s", *l.Seconds)
	}
}

func TestLagOfBrokersThatAreAway(t *testing.T) {
	conn := stream.DefaultConnection()
	conn.Brokers = []string{"127.0.0.1:1"}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := ops.Lags(ctx, conn, topology.DefaultConfig(), 0); err == nil || !strings.HasPrefix(err.Error(), "kafka: ") {
		t.Errorf("%v", err)
	}
}
