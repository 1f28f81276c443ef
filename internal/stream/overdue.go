package stream

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// markers is the distance of offsets that may be nothing but the markers of transactions.
const markers = 64

// overdue counts the records of a lane that nobody has finished and that are older than half of what the topic keeps: at twice that age they
// are gone.
func (h *Harness) overdue(ctx context.Context, adm *kadm.Client, l observed) (int64, error) {
	young, err := adm.ListOffsetsAfterMilli(ctx, time.Now().Add(-h.plan.Retention/2).UnixMilli(), l.topic)
	if err != nil {
		return 0, err
	}
	starts, err := adm.ListStartOffsets(ctx, l.topic)
	if err != nil {
		return 0, err
	}
	done, err := adm.FetchOffsetsForTopics(ctx, l.group, l.topic)
	if err != nil {
		return 0, err
	}
	from, to := map[int32]int64{}, map[int32]int64{}
	distance := int64(0)
	starts.Each(func(s kadm.ListedOffset) {
		y, ok := young.Lookup(l.topic, s.Partition)
		first := s.Offset
		if o, found := done.Lookup(l.topic, s.Partition); found {
			first = max(first, o.At)
		}
		if ok && y.Err == nil && first < y.Offset {
			from[s.Partition], to[s.Partition] = first, y.Offset
			distance += y.Offset - first
		}
	})
	if distance == 0 || distance > markers*int64(len(from)) {
		return distance, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	counts, err := Unread(ctx, h.conn, l.topic, from, to)
	n := int64(0)
	for _, c := range counts {
		n += c
	}
	return n, err
}
