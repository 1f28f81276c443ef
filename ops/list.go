package ops

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/topology"
)

// TopicState is a topic of the plan as the brokers have it.
type TopicState struct {
	Name       string        `json:"name"`
	Partitions int           `json:"partitions"` // 0: the topic is missing
	Replicas   int           `json:"replicas"`
	Compact    bool          `json:"compact"`
	Retention  time.Duration `json:"retention"` // 0: for ever
	Records    int64         `json:"records"`   // between the first and the last offset; less what compaction and aborts left out
	Drift      []string      `json:"drift,omitempty"`
}

// List describes every topic of the plan, in the plan's order, and how it differs from the plan. It changes nothing.
func List(ctx context.Context, client *kgo.Client, plan topology.Config) ([]TopicState, error) {
	adm := kadm.NewClient(client)
	a := &applier{adm: adm, plan: plan}
	if err := a.look(ctx); err != nil {
		return nil, err
	}
	var there []string
	for _, s := range plan.Specs() {
		if name := plan.Name(s.Name); a.exists(name) {
			there = append(there, name)
		}
	}
	current, err := describe(ctx, adm, there)
	if err != nil {
		return nil, err
	}
	records, err := counts(ctx, adm, there)
	if err != nil {
		return nil, err
	}
	var out []TopicState
	for _, s := range plan.Specs() {
		name := plan.Name(s.Name)
		t := TopicState{Name: name, Compact: s.Compact}
		if !a.exists(name) {
			t.Drift = []string{"missing"}
			out = append(out, t)
			continue
		}
		t.Partitions, t.Replicas, t.Records = len(a.found[name].Partitions), replicas(a.found[name]), records[name]
		t.Compact = strings.HasPrefix(current[name]["cleanup.policy"], "compact")
		if ms, err := strconv.ParseInt(current[name]["retention.ms"], 10, 64); err == nil && ms > 0 && current[name]["cleanup.policy"] != "compact" {
			t.Retention = time.Duration(ms) * time.Millisecond
		}
		t.Drift = drift(s, plan, t, current[name])
		out = append(out, t)
	}
	return out, nil
}

// drift lists how a topic differs from the plan, as "what: is, plan says".
func drift(s topology.Spec, plan topology.Config, t TopicState, current map[string]string) (out []string) {
	if want := plan.Partitions(s.Shape); t.Partitions != want {
		out = append(out, fmt.Sprintf("partitions: %d, the plan says %d", t.Partitions, want))
	}
	if plan.Replication > 0 && t.Replicas != plan.Replication {
		out = append(out, fmt.Sprintf("replicas: %d, the plan says %d", t.Replicas, plan.Replication))
	}
	want := settings(s, plan)
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if current[key] != want[key] {
			out = append(out, fmt.Sprintf("%s: %s, the plan says %s", key, current[key], want[key]))
		}
	}
	return out
}

// counts returns how many offsets each topic spans. No names means no topics, where Kafka would take it for all.
func counts(ctx context.Context, adm *kadm.Client, names []string) (map[string]int64, error) {
	out := map[string]int64{}
	if len(names) == 0 {
		return out, nil
	}
	first, err := adm.ListStartOffsets(ctx, names...)
	if err == nil {
		err = first.Error()
	}
	if err != nil {
		return nil, failed("listing first offsets", err)
	}
	last, err := adm.ListEndOffsets(ctx, names...)
	if err == nil {
		err = last.Error()
	}
	if err != nil {
		return nil, failed("listing last offsets", err)
	}
	last.Each(func(o kadm.ListedOffset) {
		if f, ok := first.Lookup(o.Topic, o.Partition); ok {
			out[o.Topic] += o.Offset - f.Offset
		}
	})
	return out, nil
}
