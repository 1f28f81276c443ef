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
	r, err := p.writer.Record(ctx, e, requestID)
	if err != nil {
		return fault.Puzzle(schemas.Internal, "%s", schemas.Codes[schemas.Internal].Meaning).Because(err)
	}
	if err := p.client.ProduceSync(ctx, r).FirstErr(); err != nil {
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
