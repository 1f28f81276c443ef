package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ReadToEnd calls f for every record of a topic that is there now, appended since a time or, where that is zero, from the first one kept,
// outside of any group. Partitions are read side by side; f is called by one goroutine. Aborted records are among them.
func ReadToEnd(ctx context.Context, conn Connection, topic string, since time.Time, f func(*kgo.Record)) error {
	cl, err := conn.Client(kgo.KeepControlRecords(), kgo.FetchMaxWait(500*time.Millisecond), kgo.FetchMaxBytes(16<<20))
	if err != nil {
		return err
	}
	defer cl.Close()
	left, from, err := span(ctx, kadm.NewClient(cl), topic, since)
	if err != nil {
		return fmt.Errorf("%s: %w", topic, err)
	}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	for len(left) > 0 {
		fetches := cl.PollRecords(ctx, 10_000)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%s: %w", topic, err)
		}
		for _, r := range fetches.Records() {
			end, reading := left[r.Partition]
			if !reading {
				continue
			}
			if r.Offset < end && !r.Attrs.IsControl() {
				f(r)
			}
			if r.Offset >= end-1 {
				delete(left, r.Partition)
			}
		}
	}
	return nil
}

// span returns the ends of the partitions that have anything to read, and where to begin.
func span(ctx context.Context, adm *kadm.Client, topic string, since time.Time) (ends map[int32]int64, from map[int32]kgo.Offset, err error) {
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err == nil && !since.IsZero() {
		starts, err = adm.ListOffsetsAfterMilli(ctx, since.UnixMilli(), topic)
	}
	if err != nil {
		return nil, nil, err
	}
	high, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, nil, err
	}
	if err := high.Error(); err != nil {
		return nil, nil, err
	}
	if err := starts.Error(); err != nil {
		return nil, nil, err
	}
	ends, from = map[int32]int64{}, map[int32]kgo.Offset{}
	high.Each(func(e kadm.ListedOffset) {
		if s, ok := starts.Lookup(topic, e.Partition); ok && s.Offset < e.Offset {
			ends[e.Partition], from[e.Partition] = e.Offset, kgo.NewOffset().At(s.Offset)
		}
	})
	return ends, from, nil
}
