package view

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/pause"
	"docstream/internal/topology"
)

const (
	memberTimeout = 6 * time.Second // after which a replica that says nothing is dead
	countEvery    = 2 * time.Second
)

// beCounted makes this replica a member of the group of all gateways and counts the members: the brokers know who lives, and no replica
// needs to write anything. The group reads nothing.
func (r *reader) beCounted(ctx context.Context) error {
	group, topic := r.v.plan.Replicas(), r.v.plan.Name(topology.Settings.Spec.Name)
	cl, err := r.v.conn.Client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), kgo.SessionTimeout(memberTimeout),
		kgo.HeartbeatInterval(memberTimeout/3), kgo.RebalanceTimeout(memberTimeout), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
	if err != nil {
		return err
	}
	defer cl.Close()
	cl.PauseFetchTopics(topic)
	for {
		if n, err := r.count(ctx, group); err == nil && n > 0 {
			r.v.members.Store(int64(n))
			r.v.metrics.replicas.Set(float64(n))
		} else if err != nil && ctx.Err() == nil {
			r.v.log.Debug("the gateways cannot be counted now", "error", err)
		}
		if !pause.For(ctx, countEvery) {
			return ctx.Err()
		}
	}
}

func (r *reader) count(ctx context.Context, group string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, memberTimeout)
	defer cancel()
	groups, err := r.ask.adm.DescribeGroups(ctx, group)
	if err != nil {
		return 0, err
	}
	return len(groups[group].Members), groups[group].Err
}

// Replicas returns how many gateways live, this one included. Limits of a tenant are shared among them.
func (v *View) Replicas() int { return max(1, int(v.members.Load())) }
