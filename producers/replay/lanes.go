package replay

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/proof"
	"docstream/internal/stream"
	"docstream/internal/topology"
)

// Record is a submission as it was written into a documents lane.
type Record = proof.Record

// Source yields every submission of the documents lanes that may have been accepted between two times; a zero time has no bound. It may
// yield others, and the same one twice. It stops at the first error of yield.
type Source func(ctx context.Context, from, to time.Time, yield func(Record) error) error

// Slack is how far the clock of a broker or a producer may be behind that of the gateway that accepted a job.
const Slack = 10 * time.Minute

// idle is how long a read may bring nothing before it is given up.
const idle = time.Minute

// Lanes reads what the brokers keep: in no group, from the offset of the time, to the ends the lanes have when it starts. It holds one
// fetch in memory (P6).
func Lanes(conn stream.Connection, plan topology.Config) Source {
	return func(ctx context.Context, from, _ time.Time, yield func(Record) error) error {
		at, ends, err := bounds(ctx, conn, plan, from)
		if err != nil || len(at) == 0 {
			return err
		}
		cl, err := conn.Client(kgo.ConsumePartitions(at), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords(),
			kgo.FetchMaxBytes(8<<20), kgo.FetchMaxPartitionBytes(1<<20), kgo.FetchMaxWait(500*time.Millisecond), kgo.MaxConcurrentFetches(1))
		if err != nil {
			return err
		}
		defer cl.Close()
		for left := len(ends); left > 0; {
			pctx, cancel := context.WithTimeout(ctx, idle)
			f := cl.PollRecords(pctx, 1000)
			cancel()
			if err := f.Err(); err != nil {
				return fmt.Errorf("reading the documents lanes: %w", err)
			}
			for it := f.RecordIter(); !it.Done(); {
				r := it.Next()
				p := place{r.Topic, r.Partition}
				end, open := ends[p]
				if open && r.Offset >= end-1 {
					delete(ends, p)
					cl.PauseFetchPartitions(map[string][]int32{p.topic: {p.partition}})
					left--
				}
				if !open || r.Offset >= end || r.Attrs.IsControl() {
					continue
				}
				if err := yield(stream.Claim(r)); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

type place struct {
	topic     string
	partition int32
}

// bounds finds where to read from and to; a partition that has nothing in between is left out.
func bounds(ctx context.Context, conn stream.Connection, plan topology.Config, from time.Time) (map[string]map[int32]kgo.Offset, map[place]int64, error) {
	cl, err := conn.Client()
	if err != nil {
		return nil, nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	var topics []string
	for _, l := range topology.Documents.All() {
		topics = append(topics, plan.Name(l.Topic))
	}
	stop, err := adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, nil, fmt.Errorf("asking for the ends of the lanes: %w", err)
	}
	start, err := adm.ListStartOffsets(ctx, topics...)
	if err == nil && !from.IsZero() {
		start, err = adm.ListOffsetsAfterMilli(ctx, from.Add(-Slack).UnixMilli(), topics...)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("asking where the lanes begin: %w", err)
	}
	at, ends := map[string]map[int32]kgo.Offset{}, map[place]int64{}
	for topic, parts := range stop {
		for partition, end := range parts {
			begin, ok := start.Lookup(topic, partition)
			if !ok || begin.Err != nil || end.Err != nil {
				return nil, nil, fmt.Errorf("asking for the bounds of %s/%d: %w", topic, partition, firstErr(begin.Err, end.Err))
			}
			if begin.Offset < 0 || begin.Offset >= end.Offset {
				continue
			}
			if at[topic] == nil {
				at[topic] = map[int32]kgo.Offset{}
			}
			at[topic][partition] = kgo.NewOffset().At(begin.Offset)
			ends[place{topic, partition}] = end.Offset
		}
	}
	return at, ends, nil
}

func firstErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return context.Canceled
}
