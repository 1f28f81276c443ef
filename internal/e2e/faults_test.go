package e2e_test

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/schemas"
)

// twice the time after which the brokers give a silent worker's partitions to others.
const twice = 2 * 6 * time.Second

// sleep stops a worker for twice its session, so that it wakes as one whose work others have, and lets what it had read be read again: the
// groups that have lost their members meanwhile go back.
func (c *chaos) sleep(d devFile) {
	name, pid := c.one(d, func(name string) bool {
		return !slices.Contains([]string{"dev", "gateway", "broker", "s3", "clickhouse"}, name)
	})
	if pid == 0 || syscall.Kill(pid, syscall.SIGSTOP) != nil {
		return
	}
	c.slept = append(c.slept, name)
	back := 1 + c.random.Int64N(30)
	c.away.Go(func() {
		time.Sleep(twice * 3 / 4)
		c.rewound.Add(int64(d.rewind(back)))
		time.Sleep(twice / 4)
		_ = syscall.Kill(pid, syscall.SIGCONT)
	})
}

// connection is the way to the platform's brokers, and the plan of its topics.
func (d devFile) connection() (stream.Connection, topology.Config) {
	conn, plan := stream.DefaultConnection(), topology.DefaultConfig()
	conn.Brokers, conn.Registry, plan.Prefix = strings.Split(d.Kafka, ","), d.Registry, d.Prefix
	return conn, plan
}

// rewind moves the groups without members back by some records, and returns how many it moved.
func (d devFile) rewind(back int64) (moved int) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, plan := d.connection()
	cl, err := conn.Client()
	if err != nil {
		return 0
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	groups, err := adm.DescribeGroups(ctx)
	if err != nil {
		return 0 // the broker has just been killed
	}
	for _, g := range groups.Sorted() {
		if !strings.HasPrefix(g.Group, plan.Prefix) || g.State != "Empty" {
			continue
		}
		at, err := adm.FetchOffsets(ctx, g.Group)
		if err != nil {
			continue
		}
		offsets := kadm.Offsets{}
		at.Offsets().Each(func(o kadm.Offset) { offsets.AddOffset(o.Topic, o.Partition, max(0, o.At-back), -1) })
		if adm.CommitAllOffsets(ctx, g.Group, offsets) == nil {
			moved++
		}
	}
	return moved
}

// again writes the newest records of the facts and of some lanes once more, backwards.
func (c *chaos) again(d devFile) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, plan := d.connection()
	codec, err := conn.Codec()
	if err != nil {
		return
	}
	cl, err := conn.Client()
	if err != nil {
		return
	}
	defer cl.Close()
	topics := []string{topology.Facts.Spec.Name}
	for _, lanes := range [][]topology.Lane{topology.Documents.All(), topology.Splits.All(), topology.Pages.All(), topology.Layouts.All(), topology.Compositions.All()} {
		for _, lane := range lanes {
			topics = append(topics, lane.Topic)
		}
	}
	c.random.Shuffle(len(topics)-1, func(i, j int) { topics[i+1], topics[j+1] = topics[j+1], topics[i+1] })
	topics = topics[:5]
	for _, topic := range topics {
		var newest []*kgo.Record
		err := stream.Scan{Conn: conn, Plan: plan, Codec: codec, Since: time.Now().Add(-time.Minute), Yield: func(r schemas.Record) error {
			twin := &kgo.Record{Topic: plan.Name(topic), Key: r.Key, Value: r.Value}
			for _, h := range r.Headers {
				twin.Headers = append(twin.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
			}
			newest = append(newest, twin)
			return nil
		}}.Read(ctx, topic)
		if err != nil {
			return
		}
		newest = newest[max(0, len(newest)-20):]
		slices.Reverse(newest)
		if cl.ProduceSync(ctx, newest...).FirstErr() != nil {
			return
		}
		c.repeated += len(newest)
	}
}
