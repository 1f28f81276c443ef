package ops

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/topology"
)

// settleTime is how long Apply waits for the brokers to agree on what it asked for.
const settleTime = 30 * time.Second

// Apply brings the topics of the plan into being: it creates what is missing, gives lanes more partitions and every topic its settings. It
// deletes nothing and takes nothing away; running it again, or twice at once, changes nothing more. It returns when every partition has a
// leader.
//
// It refuses to change how many partitions facts, jobs and what goes with them have: the fold's state would be split from its facts.
func Apply(ctx context.Context, client *kgo.Client, plan topology.Config) (Report, error) {
	return apply(ctx, client, plan, false)
}

// Compare says what Apply would do and changes nothing.
func Compare(ctx context.Context, client *kgo.Client, plan topology.Config) (Report, error) {
	return apply(ctx, client, plan, true)
}

func apply(ctx context.Context, client *kgo.Client, plan topology.Config, dry bool) (Report, error) {
	if err := plan.Validate(); err != nil {
		return Report{}, err
	}
	a := &applier{adm: kadm.NewClient(client), plan: plan, dry: dry}
	a.adm.SetTimeoutMillis(10_000)
	ctx, cancel := context.WithTimeoutCause(ctx, settleTime, errors.New("the brokers did not settle in time"))
	defer cancel()
	for _, step := range []func(context.Context) error{a.create, a.compare, a.grow, a.alter, a.settle} {
		if err := step(ctx); err != nil {
			return a.report, err
		}
	}
	return a.report, nil
}

type applier struct {
	adm    *kadm.Client
	plan   topology.Config
	dry    bool // only say what would be done
	found  kadm.TopicDetails
	report Report
}

// create asks for every missing topic; one that somebody else creates at this moment is no error.
func (a *applier) create(ctx context.Context) error {
	if err := a.look(ctx); err != nil {
		return err
	}
	for _, s := range a.plan.Specs() {
		name := a.plan.Name(s.Name)
		if a.exists(name) {
			continue
		}
		if a.dry {
			a.report.Created = append(a.report.Created, name)
			continue
		}
		_, err := a.adm.CreateTopic(ctx, int32(a.plan.Partitions(s.Shape)), int16(a.plan.Replication), pointers(settings(s, a.plan)), name)
		switch {
		case err == nil:
			a.report.Created = append(a.report.Created, name)
		case !errors.Is(err, kerr.TopicAlreadyExists):
			return failed("creating "+name, err)
		}
	}
	if a.dry {
		return nil
	}
	return again(ctx, func() (bool, error) {
		err := a.look(ctx)
		return err == nil && len(a.missing()) == 0, err
	})
}

// compare refuses a plan that the existing topics contradict.
func (a *applier) compare(context.Context) error {
	var wrong []error
	for _, s := range a.plan.Specs() {
		name := a.plan.Name(s.Name)
		have, want := len(a.found[name].Partitions), a.plan.Partitions(s.Shape)
		if a.dry && !a.exists(name) {
			continue
		}
		switch {
		case have == want:
		case s.Shape == topology.State:
			wrong = append(wrong, fmt.Errorf("%s has %d partitions and the plan says %d: this number never changes; set state to %d", name, have, want, have))
		case have > want || s.Shape == topology.Small:
			a.warn("%s has %d partitions, the plan says %d: partitions cannot be taken away", name, have, want)
		}
		if r := a.plan.Replication; r > 0 {
			if least := replicas(a.found[name]); least != r {
				a.warn("%s has %d replicas, the plan says %d: reassign its partitions with Kafka's own tools", name, least, r)
			}
		}
	}
	return errors.Join(wrong...)
}

// grow gives lanes more partitions: nothing depends on how a lane is partitioned.
func (a *applier) grow(ctx context.Context) error {
	for _, s := range a.plan.Specs() {
		name, want := a.plan.Name(s.Name), a.plan.Partitions(s.Shape)
		if s.Shape != topology.Work || len(a.found[name].Partitions) >= want || !a.exists(name) {
			continue
		}
		a.change("%s partitions: %d, the plan says %d", name, len(a.found[name].Partitions), want)
		if a.dry {
			a.report.Grown = append(a.report.Grown, name)
			continue
		}
		responses, err := a.adm.UpdatePartitions(ctx, want, name)
		if err == nil {
			err = responses.Error()
		}
		switch {
		case err == nil:
			a.report.Grown = append(a.report.Grown, name)
		case !errors.Is(err, kerr.InvalidPartitions): // somebody else was first; settle sees to it
			return failed("growing "+name, err)
		}
	}
	return nil
}

// alter sets what differs from the plan. The settings of a topic created a moment ago may not be known to every broker yet.
func (a *applier) alter(ctx context.Context) error {
	var specs []topology.Spec
	var names []string
	for _, s := range a.plan.Specs() {
		if name := a.plan.Name(s.Name); a.exists(name) {
			specs, names = append(specs, s), append(names, name)
		}
	}
	if len(names) == 0 {
		return nil // no names would stand for all topics
	}
	var current map[string]map[string]string
	if err := again(ctx, func() (_ bool, err error) { current, err = describe(ctx, a.adm, names); return err == nil, err }); err != nil {
		return err
	}
	for i, s := range specs {
		var changes []kadm.AlterConfig
		want := settings(s, a.plan)
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if current[names[i]][key] != want[key] {
				value := want[key]
				changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &value})
				a.change("%s %s: %s, the plan says %s", names[i], key, current[names[i]][key], value)
			}
		}
		if len(changes) == 0 {
			continue
		}
		if a.dry {
			a.report.Altered = append(a.report.Altered, names[i])
			continue
		}
		responses, err := a.adm.AlterTopicConfigs(ctx, changes, names[i])
		if err == nil && len(responses) > 0 {
			err = responses[0].Err
		}
		if err != nil {
			return failed("altering "+names[i], err)
		}
		a.report.Altered = append(a.report.Altered, names[i])
	}
	return nil
}

// settle waits until every partition has a leader.
func (a *applier) settle(ctx context.Context) error {
	if a.dry {
		return nil
	}
	return again(ctx, func() (bool, error) {
		if err := a.look(ctx); err != nil {
			return false, err
		}
		for _, s := range a.plan.Specs() {
			d := a.found[a.plan.Name(s.Name)]
			if len(d.Partitions) < a.plan.Partitions(s.Shape) {
				return false, nil
			}
			for _, p := range d.Partitions {
				if p.Leader < 0 || p.Err != nil {
					return false, nil
				}
			}
		}
		return true, nil
	})
}

// look asks for the topics of the plan, all of them by listing: naming them could create them on a broker that creates topics by itself.
func (a *applier) look(ctx context.Context) (err error) {
	if a.found, err = a.adm.ListTopics(ctx); err != nil {
		return failed("listing topics", err)
	}
	return nil
}

func (a *applier) exists(name string) bool {
	d, ok := a.found[name]
	return ok && !errors.Is(d.Err, kerr.UnknownTopicOrPartition)
}

func (a *applier) missing() (names []string) {
	for _, s := range a.plan.Specs() {
		if n := a.plan.Name(s.Name); !a.exists(n) || len(a.found[n].Partitions) == 0 {
			names = append(names, n)
		}
	}
	return names
}

func (a *applier) warn(format string, v ...any) {
	a.report.Warnings = append(a.report.Warnings, fmt.Sprintf(format, v...))
}

func (a *applier) change(format string, v ...any) {
	a.report.Changes = append(a.report.Changes, fmt.Sprintf(format, v...))
}

// again calls f until it is done, at growing intervals; the last error is the one to show when time runs out.
func again(ctx context.Context, f func() (done bool, err error)) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		done, err := f()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return failed("waiting for the brokers", errors.Join(err, context.Cause(ctx)))
		case <-time.After(wait):
		}
	}
}

// failed names what was being done; the broker's own error stays in the chain.
func failed(what string, err error) error { return fmt.Errorf("kafka: %s: %w", what, err) }

func replicas(d kadm.TopicDetail) int {
	least := 0
	for _, p := range d.Partitions {
		if least == 0 || len(p.Replicas) < least {
			least = len(p.Replicas)
		}
	}
	return least
}

func pointers(m map[string]string) map[string]*string {
	out := make(map[string]*string, len(m))
	for k, v := range m {
		out[k] = &v
	}
	return out
}

// describe returns the settings of topics, by topic and name.
func describe(ctx context.Context, adm *kadm.Client, names []string) (map[string]map[string]string, error) {
	configs, err := adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, failed("describing topics", err)
	}
	out := make(map[string]map[string]string, len(configs))
	for _, c := range configs {
		if c.Err != nil {
			return nil, failed("describing "+c.Name, c.Err)
		}
		out[c.Name] = map[string]string{}
		for _, kv := range c.Configs {
			if kv.Value != nil {
				out[c.Name][kv.Key] = *kv.Value
			}
		}
	}
	return out, nil
}
