package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/topology"
	"docstream/ops"
)

// groups looks at who reads what: lanes with work and no reader, records that went unread, groups the plan does not know.
func (h House) groups(ctx context.Context) []Finding {
	return h.with(ctx, func(_ *kgo.Client, adm *kadm.Client) ([]Finding, error) {
		lags, err := ops.Lags(ctx, h.Kafka, h.Plan, 0)
		if err != nil {
			return nil, err
		}
		out := append(unread(lags), absent(lags)...)
		late, err := h.late(ctx, adm, lags)
		if err != nil {
			return out, err
		}
		out = append(out, late...)
		foreign, err := h.foreign(ctx, adm)
		if err != nil {
			return out, err
		}
		out = append(out, foreign...)
		if len(out) == 0 {
			var waiting int64
			for _, l := range lags {
				waiting += l.Records
			}
			out = append(out, ok("every stage has a reader; %d records wait", waiting))
		}
		return out, nil
	})
}

// unread finds lanes whose records nobody reads, and records that expired before anybody did.
func unread(lags []ops.Lag) (out []Finding) {
	for _, l := range lags {
		if l.Records > 0 && l.Readers == 0 {
			out = append(out, fail(fmt.Sprintf("%d records wait in %s and no %s reads them", l.Records, l.Lane, l.Stage), "their jobs stand still",
				"start a docstream process of this stage and class"))
		}
		for _, p := range l.Partitions {
			if p.Committed >= 0 && p.Committed < p.Start {
				out = append(out, fail(fmt.Sprintf("%d offsets of %s/%d expired before %s read them", p.Start-p.Committed, l.Lane, p.Partition, l.Stage),
					"what they carried is lost to this stage", "raise topics.retention, add workers, and replay the time that is missing"))
			}
		}
	}
	return out
}

// absent finds nodes of the graph that nobody runs.
func absent(lags []ops.Lag) (out []Finding) {
	for _, n := range topology.Nodes() {
		readers, waiting := 0, int64(0)
		for _, l := range lags {
			if l.Stage == n.Name {
				readers += l.Readers
				waiting += l.Records
			}
		}
		if readers == 0 && waiting == 0 { // with records waiting it was said already
			out = append(out, fail("nobody runs "+n.Name, "a document that comes will wait there", "start docstream "+map[bool]string{true: "sink", false: "processor --stages " + n.Name}[n.Role == "sink"]))
		}
	}
	return out
}

// late finds lanes with records older than half of what the topic keeps.
func (h House) late(ctx context.Context, adm *kadm.Client, lags []ops.Lag) (out []Finding, _ error) {
	half := time.Now().Add(-h.Plan.Retention / 2).UnixMilli()
	for _, l := range lags {
		if l.Records == 0 {
			continue
		}
		young, err := adm.ListOffsetsAfterMilli(ctx, half, h.Plan.Name(l.Lane))
		if err != nil {
			return nil, err
		}
		var old int64
		for _, p := range l.Partitions {
			if o, ok := young.Lookup(h.Plan.Name(l.Lane), p.Partition); ok && o.Err == nil && p.Records > 0 {
				old += max(0, min(o.Offset, p.End)-max(p.Committed, p.Start))
			}
		}
		if old > 0 {
			out = append(out, fail(fmt.Sprintf("%d records of %s are older than half of the %s the topic keeps and %s has not read them", old, l.Lane, h.Plan.Retention, l.Stage),
				"they expire unread when they are twice as old", "add workers of this stage now, or raise topics.retention"))
		}
	}
	return out, nil
}

// foreign finds groups below our prefix that the plan does not name.
func (h House) foreign(ctx context.Context, adm *kadm.Client) (out []Finding, _ error) {
	if h.Plan.Prefix == "" {
		return nil, nil // any group of the cluster would be below it
	}
	listed, err := adm.ListGroups(ctx)
	if err != nil {
		return nil, err
	}
	ours := h.Plan.Consumers()
	for _, g := range listed.Sorted() {
		known := slices.ContainsFunc(ours, func(r topology.Reader) bool { return r.Group == g.Group })
		switch {
		case !strings.HasPrefix(g.Group, h.Plan.Prefix) || known || h.Plan.Passing(g.Group):
		case g.State == "Empty" || g.State == "Dead":
			out = append(out, warn("the group "+g.Group+" has no members and is not in the plan", "it is left over from another plan; it costs nothing and hides nothing",
				"kafka-consumer-groups.sh --delete --group "+g.Group))
		default:
			out = append(out, warn("the group "+g.Group+" reads here and is not in the plan", "somebody else reads the house's topics, or another version of it runs", "find out whose it is"))
		}
	}
	return out, nil
}
