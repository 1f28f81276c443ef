package stream

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// pending makes a sink's batches the same after a crash as before it. The committed offset of a partition is the mark up to which its store
// has everything; before a batch is written, the offset's metadata say how far the batch goes. Whoever is given the partition next reads
// that and forms the very batch again, so that a store which knows a batch by its identity sees that it has it (P2). Where the broker
// did not take the announcement, the batch may come again with other bounds: the rows' own identities are what remains then.
type pending struct {
	mu   sync.Mutex
	last map[int32]int64 // partition → offset of the last record of the batch that was begun
}

// pendingMark is what the metadata of an offset begin with; the offset of the batch's last record follows.
const pendingMark = "pending:"

// assigned learns, before the first record of the partitions is read, which of them have a batch that was begun.
func (p *pending) assigned(ctx context.Context, cl *kgo.Client, group, topic string, partitions []int32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range partitions {
		delete(p.last, n)
	}
	offsets, err := kadm.NewClient(cl).FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	for _, n := range partitions {
		o, ok := offsets.Lookup(topic, n)
		if !ok || o.Err != nil {
			continue
		}
		last, found := strings.CutPrefix(o.Metadata, pendingMark)
		if at, err := strconv.ParseInt(last, 10, 64); found && err == nil && at >= o.At {
			p.last[n] = at
		}
	}
	return nil
}

// split returns the records that may be written now, what belongs into a later batch, and whether a batch that was begun is not all there.
func (p *pending) split(records []*kgo.Record) (now, later []*kgo.Record, short bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	reached := map[int32]int64{}
	for _, r := range records {
		if last, ok := p.last[r.Partition]; ok && r.Offset > last {
			// A batch whose records are gone, all of them, is not waited for.
			if _, begun := reached[r.Partition]; begun {
				reached[r.Partition] = r.Offset
				later = append(later, r)
				continue
			}
			delete(p.last, r.Partition)
		}
		reached[r.Partition] = r.Offset
		now = append(now, r)
	}
	for n, at := range reached {
		if last, ok := p.last[n]; ok && at < last {
			short = true
		}
	}
	return now, later, short
}

// announce makes durable how far the batches of the records go; one for each partition.
func (p *pending) announce(ctx context.Context, cl *kgo.Client, records []*kgo.Record) (err error) {
	first, last := map[int32]kgo.EpochOffset{}, map[int32]int64{}
	for _, r := range records {
		if _, ok := first[r.Partition]; !ok {
			first[r.Partition] = kgo.EpochOffset{Epoch: r.LeaderEpoch, Offset: r.Offset}
		}
		last[r.Partition] = r.Offset
	}
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				at := &req.Topics[i].Partitions[j]
				at.Metadata = kmsg.StringPtr(fmt.Sprint(pendingMark, last[at.Partition]))
			}
		}
		return nil
	})
	return commitOffsets(ctx, cl, map[string]map[int32]kgo.EpochOffset{records[0].Topic: first})
}

// written forgets the batches that were begun in an earlier life: they are in the store.
func (p *pending) written(records []*kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range records {
		if last, ok := p.last[r.Partition]; ok && r.Offset >= last {
			delete(p.last, r.Partition)
		}
	}
}
