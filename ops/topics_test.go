package ops_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/stream"
	"docstream/internal/testenv"
	"docstream/internal/topology"
	"docstream/ops"
)

func client(t *testing.T, conn stream.Connection, extra ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := conn.Client(extra...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func apply(t *testing.T, c *kgo.Client, plan topology.Config) ops.Report {
	t.Helper()
	r, err := ops.Apply(t.Context(), c, plan)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func list(t *testing.T, c *kgo.Client, plan topology.Config) map[string]ops.TopicState {
	t.Helper()
	all, err := ops.List(t.Context(), c, plan)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]ops.TopicState{}
	for _, s := range all {
		out[strings.TrimPrefix(s.Name, plan.Prefix)] = s
	}
	return out
}

func TestApplyCreatesThePlanOnce(t *testing.T) {
	c, plan := client(t, testenv.Kafka(t)), testenv.Plan(t)
	plan.Lanes, plan.State = 3, 2
	for _, s := range list(t, c, plan) {
		if !slices.Equal(s.Drift, []string{"missing"}) {
			t.Fatalf("before: %+v", s)
		}
	}
	if r := apply(t, c, plan); len(r.Created) != len(plan.Specs()) || len(r.Warnings) > 0 {
		t.Errorf("first: %+v", r)
	}
	if r := apply(t, c, plan); r.Changed() || len(r.Warnings) > 0 {
		t.Errorf("second: %+v", r)
	}
	states := list(t, c, plan)
	for _, s := range plan.Specs() {
		got := states[s.Name]
		if len(got.Drift) > 0 || got.Partitions != plan.Partitions(s.Shape) || got.Compact != s.Compact || got.Retention != s.Retention || got.Records != 0 {
			t.Errorf("%s: %+v", s.Name, got)
		}
	}
}

func TestApplyByManyAtOnceIsSafe(t *testing.T) {
	conn, plan := testenv.Kafka(t), testenv.Plan(t)
	var all sync.WaitGroup
	for range 4 {
		c := client(t, conn)
		all.Go(func() {
			if _, err := ops.Apply(t.Context(), c, plan); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for name, s := range list(t, client(t, conn), plan) {
		if len(s.Drift) > 0 {
			t.Errorf("%s: %v", name, s.Drift)
		}
	}
}

func TestLanesGrowAndNeverShrink(t *testing.T) {
	c, plan := client(t, testenv.Kafka(t)), testenv.Plan(t)
	apply(t, c, plan)
	plan.Lanes += 2
	if r := apply(t, c, plan); len(r.Grown) == 0 || len(r.Warnings) > 0 {
		t.Errorf("growing: %+v", r)
	}
	if s := list(t, c, plan)["pages.gpu.high"]; s.Partitions != plan.Lanes {
		t.Errorf("%+v", s)
	}
	plan.Lanes -= 3
	if r := apply(t, c, plan); r.Changed() || len(r.Warnings) == 0 {
		t.Errorf("shrinking: %+v", r)
	}
	if s := list(t, c, plan)["pages.gpu.high"]; s.Partitions != plan.Lanes+3 || len(s.Drift) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestTheStatesPartitionsNeverChange(t *testing.T) {
	c, plan := client(t, testenv.Kafka(t)), testenv.Plan(t)
	apply(t, c, plan)
	for _, n := range []int{plan.State + 1, plan.State - 1} {
		other := plan
		other.State, other.Lanes = n, plan.Lanes+1
		r, err := ops.Apply(t.Context(), c, other)
		if err == nil || !strings.Contains(err.Error(), "facts") || r.Changed() {
			t.Errorf("%d: %+v, %v", n, r, err)
		}
	}
	if s := list(t, c, plan); s["facts"].Partitions != plan.State || s["pages.gpu.high"].Partitions != plan.Lanes {
		t.Errorf("%+v", s["facts"])
	}
}

func TestSettingsFollowThePlan(t *testing.T) {
	c, plan := client(t, testenv.Kafka(t)), testenv.Plan(t)
	apply(t, c, plan)
	plan.Retention += 24 * time.Hour
	r := apply(t, c, plan)
	if !slices.Contains(r.Altered, plan.Name("facts")) || slices.Contains(r.Altered, plan.Name("jobs")) {
		t.Errorf("altered: %v", r.Altered)
	}
	s := list(t, c, plan)
	if got := s["facts"]; got.Retention != plan.Retention || len(got.Drift) > 0 {
		t.Errorf("%+v", got)
	}
	if got := s["jobs"]; !got.Compact || got.Retention != 0 {
		t.Errorf("%+v", got)
	}
}

func TestListCountsRecords(t *testing.T) {
	c, plan := client(t, testenv.Kafka(t)), testenv.Plan(t)
	apply(t, c, plan)
	for range 7 {
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: plan.Name("usage"), Value: make([]byte, 100)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if s := list(t, c, plan)["usage"]; s.Records != 7 {
		t.Errorf("%+v", s)
	}
}

func TestALargeBatchFits(t *testing.T) {
	c, plan := client(t, testenv.Kafka(t)), testenv.Plan(t)
	apply(t, c, plan)
	if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: plan.Name("facts"), Value: make([]byte, 7<<20)}).FirstErr(); err != nil {
		t.Error(err)
	}
}

func TestAgeIsCountedFromArrival(t *testing.T) {
	if os.Getenv("DOCSTREAM_TEST_KAFKA") == "" {
		t.Skip("the embedded broker takes the setting and keeps the producer's timestamps; Apache Kafka runs this test")
	}
	c, plan := client(t, testenv.Kafka(t)), testenv.Plan(t)
	apply(t, c, plan)
	r := &kgo.Record{Topic: plan.Name("documents.cpu.normal"), Value: []byte("x"), Timestamp: time.Unix(0, 0)}
	if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	offsets, err := kadm.NewClient(c).ListOffsetsAfterMilli(t.Context(), time.Now().Add(-time.Hour).UnixMilli(), r.Topic)
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := offsets.Lookup(r.Topic, r.Partition); !ok || o.Offset != r.Offset {
		t.Errorf("the record is as old as its producer says: %+v", o)
	}
}

func TestABrokerThatIsAwayEndsInAnError(t *testing.T) {
	c, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:1"), kgo.RetryTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := ops.Apply(ctx, c, topology.DefaultConfig()); err == nil || !strings.HasPrefix(err.Error(), "kafka: listing topics: ") || ctx.Err() != nil {
		t.Errorf("%v", err)
	}
	if _, err := ops.List(ctx, c, topology.DefaultConfig()); err == nil || ctx.Err() != nil {
		t.Errorf("%v", err)
	}
}

func TestAPlanThatCannotKeepThePromisesIsRefused(t *testing.T) {
	plan := topology.DefaultConfig()
	plan.Retention = time.Hour
	if _, err := ops.Apply(t.Context(), nil, plan); err == nil {
		t.Error("accepted")
	}
}
