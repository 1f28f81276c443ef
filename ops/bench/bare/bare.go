// Package bare reads a log with nothing but the client: what a reader of ours is held against. It lays the very records into a topic of its
// own, so that it reads as many bytes as they do, and removes that again.
package bare

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/stream"
)

// Log is a topic that was laid for a measurement.
type Log struct {
	conn    stream.Connection
	topic   string
	records int64
}

// partitions is how many the topic has: as many as a lane.
const partitions = 4

// Lay makes the topic. The records go in as they are, but for the topic and the partition they name.
func Lay(ctx context.Context, conn stream.Connection, prefix string, each func(add func(*kgo.Record)) error) (l *Log, err error) {
	l = &Log{conn: conn, topic: prefix + "bench-bare-" + rand.Text()}
	cl, err := conn.Client(kgo.DefaultProduceTopic(l.topic), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.MaxBufferedRecords(10_000))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, -1, nil, l.topic); err != nil {
		return nil, fmt.Errorf("making the topic of a measurement: %w", err)
	}
	failed := kgo.AbortingFirstErrPromise(cl)
	err = each(func(r *kgo.Record) {
		l.records++
		r.Topic = ""
		cl.Produce(ctx, r, failed.Promise())
	})
	err = errors.Join(err, cl.Flush(ctx), failed.Err())
	if err != nil {
		return nil, errors.Join(err, l.Remove(context.WithoutCancel(ctx)))
	}
	return l, nil
}

// Read consumes every record once and returns how long that took, the client's start included.
func (l *Log) Read(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	cl, err := l.conn.Client(kgo.ConsumeTopics(l.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	for n := int64(0); n < l.records; {
		f := cl.PollRecords(ctx, 10_000)
		if err := f.Err(); err != nil {
			return 0, fmt.Errorf("reading the topic of a measurement: %w", err)
		}
		n += int64(f.NumRecords())
	}
	return time.Since(began), nil
}

// Remove removes the topic.
func (l *Log) Remove(ctx context.Context) error {
	cl, err := l.conn.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	_, err = kadm.NewClient(cl).DeleteTopic(ctx, l.topic)
	return err
}
