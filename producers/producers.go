// Package producers is the door in: it makes a submission durable on the stream, signed, before anybody is told that it was accepted (P1).
package producers

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/fault"
	"docstream/internal/stream"
	"docstream/schemas"
)

// Producer writes submissions and requests; safe for concurrent use.
type Producer struct {
	client *kgo.Client
	writer *stream.Writer
}

// New returns a producer on a client that is not transactional: a submission is one record, and idempotent production is its only guard.
func New(client *kgo.Client, writer *stream.Writer) *Producer { return &Producer{client, writer} }

// Publish appends one event and returns when every in-sync replica has it. A failure whose outcome is unknown is the world's fault: the
// caller answers "try again" and deletes nothing.
func (p *Producer) Publish(ctx context.Context, e schemas.Event, requestID string) error {
	return p.PublishAll(ctx, []schemas.Event{e}, requestID)
}

// Submit makes a submission durable, and tells the fold of one that has a deadline: its time runs while it waits. Told second, for what was
// not accepted must not expire; where only that fails, the fold hears of the deadline when the job is opened.
func (p *Producer) Submit(ctx context.Context, e *schemas.DocumentSubmitted) error {
	if err := p.Publish(ctx, e, e.RequestID); err != nil || e.Deadline.IsZero() {
		return err
	}
	wire, err := p.Encode(e)
	if err != nil {
		return fault.Puzzle(schemas.Internal, "%s", schemas.Codes[schemas.Internal].Meaning).Because(err)
	}
	f := &schemas.DeadlineSet{Head: e.Head, Submission: wire}
	f.EventID = schemas.EventIDFor(f.JobID, f.Run, "gateway", 0, f.Kind(), 0)
	return p.Publish(ctx, f, e.RequestID)
}

// PublishAll is Publish for several events at once. After a failure some of them may have been appended.
func (p *Producer) PublishAll(ctx context.Context, events []schemas.Event, requestID string) error {
	records := make([]*kgo.Record, 0, len(events))
	for _, e := range events {
		r, err := p.writer.Record(ctx, e, requestID)
		if err != nil {
			return fault.Puzzle(schemas.Internal, "%s", schemas.Codes[schemas.Internal].Meaning).Because(err)
		}
		records = append(records, r)
	}
	if err := p.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fault.World(schemas.ServiceUnavailable, "The event log does not answer; try again.").Because(err)
	}
	return nil
}

// Ready reports whether the brokers answer.
func (p *Producer) Ready(ctx context.Context) error {
	if err := p.client.Ping(ctx); err != nil {
		return errors.New("kafka does not answer")
	}
	return nil
}
