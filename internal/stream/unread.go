package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Unread counts the records of a topic that a read-committed reader would still be given between two offsets of each partition. Offsets
// alone count the markers of transactions too, one of which lies behind the last record of every quiet lane. The records are fetched to be
// counted: use it for short distances.
func Unread(ctx context.Context, conn Connection, topic string, from, to map[int32]int64) (map[int32]int64, error) {
	at := map[int32]kgo.Offset{}
	next := map[int32]int64{}
	for p, first := range from {
		if first < to[p] {
			at[p], next[p] = kgo.NewOffset().At(first), first
		}
	}
	counts := map[int32]int64{}
	if len(at) == 0 {
		return counts, nil
	}
	cl, err := conn.Client(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.FetchMaxBytes(8<<20), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	for {
		behind := false
		for p := range next {
			behind = behind || next[p] < to[p]
		}
		if !behind {
			return counts, nil
		}
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("counting the records of %s: %w", topic, context.Cause(ctx))
		}
		if err := f.Err(); err != nil {
			return nil, fmt.Errorf("counting the records of %s: %w", topic, err)
		}
		for r := range f.RecordsAll() {
			next[r.Partition] = r.Offset + 1
			if r.Offset < to[r.Partition] && !r.Attrs.IsControl() {
				counts[r.Partition]++
			}
		}
	}
}
