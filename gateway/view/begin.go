package view

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/pause"
	"docstream/internal/topology"
)

// begun is what a fresh view waits for: once track has passed these ends of facts, the jobs topic knows every submission that lies before
// the place where the view began to read the lanes.
type begun struct{ facts map[place]int64 }

// begin finds where to read from and starts reading. It waits for brokers and topics, and says so.
func (r *reader) begin(ctx context.Context) (begun, error) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		b, err := r.start(ctx)
		if err == nil {
			return b, r.recount()
		}
		if ctx.Err() != nil {
			return b, ctx.Err()
		}
		r.v.log.Warn("the view cannot start yet", "error", err)
		if !pause.For(ctx, wait) {
			return b, ctx.Err()
		}
	}
}

// start takes, in this order, what prepare has committed on the lanes, then the ends of facts. A submission before the first is in a fact
// before the second: prepare commits its offset and its facts in one transaction.
func (r *reader) start(ctx context.Context) (begun, error) {
	plan := r.v.plan
	facts, settings := plan.Name(topology.Facts.Spec.Name), []string{plan.Name(topology.Settings.Spec.Name), plan.Name(topology.Audit.Spec.Name)}
	lanes := laneTopics(plan)
	counts, err := r.ask.partitions(ctx, slices.Concat([]string{facts}, settings, committedTopics(plan), lanes))
	if err != nil {
		return begun{}, err
	}
	tail, err := r.ask.offsets(ctx, places(counts, slices.Concat(settings, lanes)...), earliest, uncommitted)
	if err != nil {
		return begun{}, err
	}
	if err := r.skipPrepared(ctx, tail); err != nil {
		return begun{}, err
	}
	ends, err := r.ask.offsets(ctx, places(counts, facts), latest, uncommitted)
	if err != nil {
		return begun{}, err
	}
	state, err := r.ask.offsets(ctx, places(counts, committedTopics(plan)...), earliest, uncommitted)
	if err != nil {
		return begun{}, err
	}
	if err := r.goOn(ctx, tail, state); err != nil {
		return begun{}, err
	}
	if r.tail, err = r.assign(tail, kgo.ReadUncommitted()); err != nil {
		return begun{}, err
	}
	if r.jobs, err = r.assign(state, kgo.ReadCommitted()); err != nil {
		r.tail.Close()
		return begun{}, err
	}
	r.v.reach.advance(tail)
	r.v.reach.advance(state)
	return begun{ends}, nil
}

// goOn moves what is kept in the store on to where the store stands.
func (r *reader) goOn(ctx context.Context, tail, state map[place]int64) error {
	ids, err := r.ask.ids(ctx, keptTopics(r.v.plan))
	if err != nil {
		return err
	}
	kept := map[place]int64{}
	for _, of := range []map[place]int64{tail, state} {
		for p, o := range of {
			if _, ok := ids[p.topic]; ok {
				kept[p] = o
			}
		}
	}
	ends, err := r.ask.offsets(ctx, slices.Collect(maps.Keys(kept)), latest, uncommitted)
	if err != nil {
		return err
	}
	if err := r.resume(kept, ends, ids); err != nil {
		return err
	}
	for p, o := range kept {
		if _, ok := tail[p]; ok {
			tail[p] = o
		} else {
			state[p] = o
		}
	}
	r.kept = ids
	return nil
}

// skipPrepared moves the lanes on to what prepare has committed; where it has committed nothing they are read from the start. An offset
// that the log does not have, as after a topic was made anew, is not believed.
func (r *reader) skipPrepared(ctx context.Context, at map[place]int64) error {
	ends, err := r.ask.offsets(ctx, slices.Collect(maps.Keys(at)), latest, uncommitted)
	if err != nil {
		return err
	}
	for _, lane := range topology.Documents.All() {
		done, err := r.ask.committed(ctx, r.v.plan.Group(topology.Prepare.Name, lane.Topic), r.v.plan.Name(lane.Topic))
		if err != nil {
			return err
		}
		for p, o := range done {
			if first, ok := at[p]; ok && o > first && o <= ends[p] {
				at[p] = o
			}
		}
	}
	return nil
}

func laneTopics(plan topology.Config) []string {
	var out []string
	for _, l := range topology.Documents.All() {
		out = append(out, plan.Name(l.Topic))
	}
	return out
}

// committedTopics are those that are written in transactions: full names.
func committedTopics(plan topology.Config) []string {
	return []string{plan.Name(topology.Jobs.Spec.Name), plan.Name(topology.UsageDays.Spec.Name), plan.Name(topology.Webhooks.Spec.Name)}
}

// keptTopics are those whose place the store keeps: all but the lanes.
func keptTopics(plan topology.Config) []string {
	return append(committedTopics(plan), plan.Name(topology.Settings.Spec.Name), plan.Name(topology.Audit.Spec.Name))
}

func places(counts map[string]int32, topics ...string) []place {
	var out []place
	for _, t := range topics {
		for p := range counts[t] {
			out = append(out, place{t, p})
		}
	}
	return out
}

// settle makes the view ready: first track must have passed the ends of facts, then jobs and settings are read to ends taken after that.
// The jobs' end is the high watermark here: track's offset can be seen before the marker that commits its snapshot.
func (r *reader) settle(ctx context.Context, b begun) error {
	if err := r.passed(ctx, b.facts); err != nil {
		return err
	}
	ends, err := r.finalEnds(ctx)
	if err != nil {
		return err
	}
	if err := r.v.reach.wait(ctx, ends); err != nil {
		return err
	}
	r.v.ready.Store(true)
	r.v.metrics.ready.Set(1)
	close(r.v.readied)
	r.v.log.Info("the view is ready", "partitions", len(r.v.reach.now()))
	return nil
}

func (r *reader) finalEnds(ctx context.Context) (map[place]int64, error) {
	tail, jobs := r.followed()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		ends, err := r.ask.offsets(ctx, append(tail, jobs...), latest, uncommitted)
		if err == nil {
			return ends, nil
		}
		r.v.log.Warn("the view is not ready: the brokers do not answer", "error", err)
		if !pause.For(ctx, wait) {
			return nil, ctx.Err()
		}
	}
}

// passed waits until track has worked off facts up to the ends, and says every few seconds that and why it waits.
func (r *reader) passed(ctx context.Context, ends map[place]int64) error {
	group, topic := r.v.plan.Group(topology.Track.Name, topology.Facts.Spec.Name), r.v.plan.Name(topology.Facts.Spec.Name)
	said := time.Now()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		why, err := r.behind(ctx, group, topic, ends)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && why == "":
			return nil
		case time.Since(said) > 5*time.Second:
			said = time.Now()
			r.v.log.Warn("the view is not ready: it waits for track to pass the facts written before it started", "group", group, "behind", why, "error", err)
		}
		if !pause.For(ctx, wait) {
			return ctx.Err()
		}
	}
}

// behind says where track has not passed the ends; empty where it has. It drops from ends what is passed. The group's offset stands after
// the last record it was given, while the log may end in markers and aborted records: those are looked at, not waited for.
func (r *reader) behind(ctx context.Context, group, topic string, ends map[place]int64) (string, error) {
	done, err := r.ask.committed(ctx, group, topic)
	if err != nil {
		return "", err
	}
	starts, err := r.ask.offsets(ctx, slices.Collect(maps.Keys(ends)), earliest, uncommitted)
	if err != nil {
		return "", err
	}
	for p, end := range ends {
		at := max(done[p], starts[p])
		for at < end {
			data, next, _, err := r.ask.peek(ctx, p, at, committed)
			if err != nil {
				return "", err
			}
			if data >= 0 && data < end || next <= at {
				return fmt.Sprintf("%s/%d at %d of %d", p.topic, p.partition, max(at, data), end), nil
			}
			at = next
		}
		delete(ends, p)
	}
	return "", nil
}
