package s3

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"docstream/internal/pause"
)

// SQS's own bounds.
const (
	maxMessages = 10
	longPoll    = 20 * time.Second
)

// Headers of a dead letter that came from a queue.
const (
	headerMessageID = "sqs-message-id"
	headerReceived  = "sqs-receive-count"
)

// FromSQS reads the configured queue until ctx ends. A message is deleted after what follows from it is durable, and hidden from others
// meanwhile: what a killed connector had in hand comes again once its visibility has run out.
func (c *Connector) FromSQS(ctx context.Context) error {
	if c.cfg.Queue == "" {
		return errors.New("connectors.s3.queue is not set: name the URL of the queue")
	}
	client, err := c.cfg.sqs(ctx)
	if err != nil {
		return err
	}
	q := &queue{Connector: c, client: client}
	g, gctx := errgroup.WithContext(ctx)
	for range c.cfg.Receivers {
		g.Go(func() error { return q.receive(gctx) })
	}
	return g.Wait()
}

// sqs returns a client; it makes no call.
func (c Config) sqs(ctx context.Context) (*sqs.Client, error) {
	o := []func(*config.LoadOptions) error{
		config.WithRegion(c.Region),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = 3, 2*time.Second })
		}),
	}
	if c.AccessKey != "" {
		o = append(o, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, "")))
	}
	loaded, err := config.LoadDefaultConfig(ctx, o...)
	if err != nil {
		return nil, fmt.Errorf("sqs: %w", err)
	}
	return sqs.NewFromConfig(loaded, func(o *sqs.Options) {
		if c.Endpoint != "" {
			o.BaseEndpoint = &c.Endpoint
		}
	}), nil
}

// queue is the connector on its SQS queue.
type queue struct {
	*Connector
	client *sqs.Client
}

// receive takes messages, ten at a time, until ctx ends.
func (q *queue) receive(ctx context.Context) error {
	for wait := time.Second; ctx.Err() == nil; {
		out, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &q.cfg.Queue, MaxNumberOfMessages: maxMessages,
			WaitTimeSeconds: int32(longPoll.Seconds()), VisibilityTimeout: int32(q.cfg.Visibility.Seconds()),
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll}})
		if err != nil {
			if ctx.Err() == nil {
				q.log.Warn("the queue does not answer", "error", err, "wait", wait.String())
				pause.For(ctx, wait)
				wait = min(2*wait, longest)
			}
			continue
		}
		wait = time.Second
		q.open.Store(true)
		if len(out.Messages) > 0 {
			q.work(ctx, out.Messages)
		}
	}
	return nil
}

// work takes a batch and deletes it; what could not be finished is shown to others at once.
func (q *queue) work(ctx context.Context, batch []types.Message) {
	working, cancel := lingering(ctx)
	defer cancel()
	extending, done := context.WithCancel(working)
	defer done()
	go q.extend(extending, batch)

	messages := make([]message, len(batch))
	for i, m := range batch {
		messages[i] = message{q.record(m)}
	}
	err := q.take(working, messages)
	done()
	after, stop := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer stop()
	if err != nil {
		q.log.Warn("stopped before a batch was durable; it comes again", "messages", len(batch))
		q.hide(after, batch, 0)
		return
	}
	q.delete(after, batch)
}

// record is a message in the form a dead letter keeps.
func (q *queue) record(m types.Message) *kgo.Record {
	r := &kgo.Record{Topic: "sqs:" + path.Base(q.cfg.Queue), Partition: -1, Offset: -1, Value: []byte(aws.ToString(m.Body)), Timestamp: time.Now()}
	r.Headers = []kgo.RecordHeader{{Key: headerMessageID, Value: []byte(aws.ToString(m.MessageId))}}
	if n := m.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)]; n != "" {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headerReceived, Value: []byte(n)})
	}
	if ms, err := strconv.ParseInt(m.Attributes[string(types.MessageSystemAttributeNameSentTimestamp)], 10, 64); err == nil {
		r.Timestamp = time.UnixMilli(ms)
	}
	return r
}

// extend keeps the messages hidden while they are worked on, however long the log is away.
func (q *queue) extend(ctx context.Context, batch []types.Message) {
	for pause.For(ctx, q.cfg.Visibility/3) {
		q.hide(ctx, batch, q.cfg.Visibility)
	}
}

// hide sets for how long the messages stay hidden from now on.
func (q *queue) hide(ctx context.Context, batch []types.Message, d time.Duration) {
	in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &q.cfg.Queue}
	for i, m := range batch {
		in.Entries = append(in.Entries, types.ChangeMessageVisibilityBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle,
			VisibilityTimeout: int32(d.Seconds())})
	}
	out, err := q.client.ChangeMessageVisibilityBatch(ctx, in)
	switch {
	case err != nil && ctx.Err() == nil:
		q.log.Warn("the visibility of messages was not changed", "error", err)
	case err == nil && len(out.Failed) > 0:
		q.log.Warn("the visibility of some messages was not changed", "failed", len(out.Failed), "first", aws.ToString(out.Failed[0].Message))
	}
}

// delete acknowledges the messages. One that stays comes again and changes nothing.
func (q *queue) delete(ctx context.Context, batch []types.Message) {
	in := &sqs.DeleteMessageBatchInput{QueueUrl: &q.cfg.Queue}
	for i, m := range batch {
		in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle})
	}
	out, err := q.client.DeleteMessageBatch(ctx, in)
	switch {
	case err != nil:
		q.log.Warn("messages were not deleted; they come again", "messages", len(batch), "error", err)
	case len(out.Failed) > 0:
		q.log.Warn("some messages were not deleted; they come again", "failed", len(out.Failed), "first", aws.ToString(out.Failed[0].Message))
	}
}
