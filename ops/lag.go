package ops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/stream"
	"docstream/internal/topology"
)

// Lag is how far a node of the graph is behind on one topic it reads.
type Lag struct {
	Stage      string         `json:"stage"`
	Lane       string         `json:"lane"`      // topic, without the prefix
	Readers    int            `json:"readers"`   // members of its group now
	Committed  int64          `json:"committed"` // all partitions together
	End        int64          `json:"end"`       // what a reader can see, all partitions together
	Records    int64          `json:"records"`   // between the two; the markers of transactions are left out where that is near
	Pages      *int64         `json:"pages,omitempty"`
	Seconds    *float64       `json:"seconds,omitempty"` // until it is worked off at the pace of this moment; absent where nothing moved
	Partitions []PartitionLag `json:"partitions"`
}

// PartitionLag is Lag of one partition.
type PartitionLag struct {
	Partition int32 `json:"partition"`
	Start     int64 `json:"start"`
	Committed int64 `json:"committed"` // -1: nothing was ever committed
	End       int64 `json:"end"`
	Records   int64 `json:"records"`
}

// near is the distance of offsets up to which records are counted instead.
const near = 64

// countPatience bounds the counting; where it is over, distances of offsets stand.
const countPatience = 5 * time.Second

// Lags looks at every node on every topic it reads, twice, over apart, so that it can say how long the work will take; over 0 looks once.
func Lags(ctx context.Context, conn stream.Connection, plan topology.Config, over time.Duration) ([]Lag, error) {
	client, err := conn.Client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	first, err := look(ctx, client, plan)
	if err != nil || over <= 0 {
		return count(ctx, conn, plan, first), err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(over):
	}
	second, err := look(ctx, client, plan)
	if err != nil {
		return nil, err
	}
	second = count(ctx, conn, plan, second)
	for i := range second {
		l := &second[i]
		switch done := l.Committed - first[i].Committed; {
		case l.Records == 0:
			l.Seconds = new(float64)
		case done > 0:
			s := float64(l.Records) / (float64(done) / over.Seconds())
			l.Seconds = &s
		}
	}
	return second, nil
}

// settling bounds how long a coordinator that has just started is waited for.
const settling = 5 * time.Second

// look reads committed and last offsets of everything at once. It waits a moment for brokers that have only started.
func look(ctx context.Context, client *kgo.Client, plan topology.Config) ([]Lag, error) {
	for until := time.Now().Add(settling); ; {
		out, err := lookOnce(ctx, client, plan)
		unsettled := errors.Is(err, kerr.CoordinatorNotAvailable) || errors.Is(err, kerr.CoordinatorLoadInProgress) || errors.Is(err, kerr.NotCoordinator)
		if !unsettled || time.Now().After(until) {
			return out, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func lookOnce(ctx context.Context, client *kgo.Client, plan topology.Config) ([]Lag, error) {
	adm := kadm.NewClient(client)
	readers := plan.Consumers()
	var topics, groups []string
	for _, r := range readers {
		topics, groups = append(topics, r.Topic), append(groups, r.Group)
	}
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			return nil, fmt.Errorf("kafka: topics of the plan are missing: run docstream topics apply: %w", err)
		}
		return nil, failed("listing first offsets", err)
	}
	ends, err := adm.ListCommittedOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, failed("listing last offsets", err)
	}
	done := adm.FetchManyOffsets(ctx, groups...)
	members, err := adm.DescribeGroups(ctx, groups...)
	if err != nil {
		return nil, failed("describing groups", err)
	}
	out := make([]Lag, 0, len(readers))
	for _, r := range readers {
		l := Lag{Stage: r.Node, Lane: r.Spec.Name, Readers: len(members[r.Group].Members)}
		if err := done[r.Group].Err; err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return nil, failed("looking up the offsets of "+r.Group, err)
		}
		for _, e := range ends[r.Topic] {
			p := PartitionLag{Partition: e.Partition, Committed: -1, End: e.Offset}
			if s, ok := starts.Lookup(r.Topic, e.Partition); ok {
				p.Start = s.Offset
			}
			if o, ok := done[r.Group].Fetched.Lookup(r.Topic, e.Partition); ok {
				p.Committed = o.At
			}
			p.Records = max(0, p.End-p.from())
			l.Partitions = append(l.Partitions, p)
		}
		slices.SortFunc(l.Partitions, func(a, b PartitionLag) int { return int(a.Partition - b.Partition) })
		l.sum(r.Spec)
		out = append(out, l)
	}
	return out, nil
}

// from is where a reader goes on.
func (p PartitionLag) from() int64 { return max(p.Committed, p.Start) }

func (l *Lag) sum(s topology.Spec) {
	l.Committed, l.End, l.Records, l.Pages = 0, 0, 0, nil
	for _, p := range l.Partitions {
		l.Committed += p.from()
		l.End += p.End
		l.Records += p.Records
	}
	if s.Key == topology.Pages.Spec.Key { // a record is a page
		n := l.Records
		l.Pages = &n
	}
}

// count replaces small distances by the records that lie there. Where that fails the distances stand: they are never too small.
func count(ctx context.Context, conn stream.Connection, plan topology.Config, lags []Lag) []Lag {
	ctx, cancel := context.WithTimeoutCause(ctx, countPatience, errors.New("the brokers are slow"))
	defer cancel()
	for i, r := range plan.Consumers() {
		if i >= len(lags) {
			break
		}
		l := &lags[i]
		from, to := map[int32]int64{}, map[int32]int64{}
		for _, p := range l.Partitions {
			if p.Records > 0 && p.Records <= near {
				from[p.Partition], to[p.Partition] = p.from(), p.End
			}
		}
		unread, err := stream.Unread(ctx, conn, r.Topic, from, to)
		if err != nil {
			continue
		}
		for j, p := range l.Partitions {
			if _, counted := from[p.Partition]; counted {
				l.Partitions[j].Records = unread[p.Partition]
			}
		}
		l.sum(r.Spec)
	}
	return lags
}
