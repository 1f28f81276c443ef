package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/topology"
	"docstream/ops"
)

// topics compares every topic with the plan.
func (h House) topics(ctx context.Context) []Finding {
	return h.with(ctx, func(c *kgo.Client, _ *kadm.Client) ([]Finding, error) {
		states, err := ops.List(ctx, c, h.Plan)
		if err != nil {
			return nil, err
		}
		var out []Finding
		var missing []string
		specs := h.Plan.Specs()
		for i, t := range states {
			switch {
			case len(t.Drift) == 0:
			case t.Partitions == 0:
				missing = append(missing, t.Name)
			case specs[i].Shape == topology.State && t.Partitions != h.Plan.State:
				out = append(out, fail(fmt.Sprintf("%s has %d partitions, the plan says %d", t.Name, t.Partitions, h.Plan.State),
					"the fold's state would be split from its facts", fmt.Sprintf("set topics.state to %d; this number never changes", t.Partitions)))
			default:
				out = append(out, warn(t.Name+" differs from the plan: "+strings.Join(t.Drift, "; "), "the promises that rest on these settings do not hold",
					"docstream topics apply --dry-run, then docstream topics apply"))
			}
		}
		if len(missing) > 0 {
			out = append(out, fail(few(missing)+" are missing", "whoever writes or reads them waits", "docstream topics apply"))
		}
		if len(out) == 0 {
			out = append(out, ok("%d topics are as the plan has them", len(states)))
		}
		return out, nil
	})
}

// access compares the rights on the brokers with the plan, where principals are configured.
func (h House) access(ctx context.Context) []Finding {
	if !h.Principals.Any() {
		return []Finding{ok("no principals are configured: the brokers' own rules hold")}
	}
	return h.with(ctx, func(c *kgo.Client, _ *kadm.Client) ([]Finding, error) {
		lacking, beyond, err := ops.Grant(ctx, c, h.Plan, h.Principals, true)
		if err != nil {
			return []Finding{fail("access rights cannot be compared: "+err.Error(), "nobody knows who may write what", "run the doctor as a user that may describe the cluster")}, nil
		}
		var out []Finding
		if len(lacking) > 0 {
			out = append(out, fail(few(lacking)+": not granted", "these roles cannot do their work", "docstream topics apply"))
		}
		for _, b := range beyond {
			out = append(out, warn(b, "a topic is open to somebody the plan does not name", "kafka-acls.sh --remove"))
		}
		if len(out) == 0 {
			out = append(out, ok("every role has the rights of the plan and nobody else has them"))
		}
		return out, nil
	})
}
