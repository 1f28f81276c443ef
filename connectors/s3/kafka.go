package s3

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/pause"
)

// headerCut says, on a dead letter whose bytes were too many, how many there were.
const headerCut = "docstream-dead-bytes"

// FromKafka reads the configured topic as one member of a group until ctx ends. Offsets are committed after what follows from the records
// is durable: a record may be read twice, and none is passed over.
func (c *Connector) FromKafka(ctx context.Context) error {
	if c.cfg.Topic == "" {
		return errors.New("connectors.s3.topic is not set: name the topic of the notifications")
	}
	cl, err := c.conn.Client(
		kgo.ConsumerGroup(c.plan.Group(Name, c.cfg.Topic)), kgo.ConsumeTopics(c.cfg.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.SessionTimeout(session), kgo.HeartbeatInterval(session/3), kgo.RebalanceTimeout(3*session),
		kgo.FetchMaxBytes(16<<20), kgo.FetchMaxWait(time.Second))
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	for {
		if err := cl.Ping(ctx); err == nil {
			c.open.Store(true)
			break
		} else if !pause.For(ctx, time.Second) {
			return nil
		}
		c.log.Warn("waiting for kafka")
	}
	for ctx.Err() == nil {
		c.poll(ctx, cl)
		cl.AllowRebalance()
	}
	return nil
}

// session is how long a killed connector holds its partitions.
const session = 10 * time.Second

// poll takes one batch and commits it.
func (c *Connector) poll(ctx context.Context, cl *kgo.Client) {
	f := cl.PollRecords(ctx, c.cfg.Batch)
	records := f.Records()
	if err := f.Err(); err != nil && ctx.Err() == nil && len(records) == 0 {
		c.log.Warn("notifications cannot be read now", "topic", c.cfg.Topic, "error", err)
		pause.For(ctx, time.Second)
	}
	if len(records) == 0 {
		return
	}
	messages := make([]message, len(records))
	for i, r := range records {
		messages[i] = message{r}
	}
	// What was read is finished even while stopping, but not for ever.
	working, cancel := lingering(ctx)
	defer cancel()
	if err := c.take(working, messages); err != nil {
		c.log.Warn("stopped before a batch was durable; it comes again", "records", len(records))
		return
	}
	if err := cl.CommitRecords(working, records...); err != nil {
		c.log.Warn("offsets not committed; the batch comes again", "error", err)
	}
}

// grace is how long work in flight may take once the connector is told to stop.
const grace = 10 * time.Second

// lingering is a context that ends a while after ctx does.
func lingering(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(grace, cancel)
		context.AfterFunc(out, func() { t.Stop() })
	})
	return out, func() { stop(); cancel() }
}
