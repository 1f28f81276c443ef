package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/stream"
	"docstream/internal/topology"
)

// many dead letters in an hour are a failing stage and not failing documents.
const many = 100

// countable is the distance of offsets up to which records are fetched to be counted.
const countable = 2000

// deadLetters looks at what was set aside in the last hour.
func (h House) deadLetters(ctx context.Context) []Finding {
	return h.with(ctx, func(_ *kgo.Client, adm *kadm.Client) ([]Finding, error) {
		var out []Finding
		hour, day := int64(0), int64(0)
		for _, stage := range topology.Readers {
			topic := h.Plan.Name(topology.DeadLetters(stage))
			last, err := h.since(ctx, adm, topic, time.Hour)
			if err != nil {
				return out, err
			}
			whole, err := h.since(ctx, adm, topic, 24*time.Hour)
			if err != nil {
				return out, err
			}
			hour, day = hour+last, day+whole
			found := fmt.Sprintf("%s set %d records aside in the last hour, %d in the last day", stage, last, whole)
			const do = `docstream sql "SELECT stage, class, error_code, count() FROM dead_letters WHERE dead_at > now() - INTERVAL 1 HOUR GROUP BY ALL"; see ops/runbooks/dead-letters-appear.md`
			switch {
			case last >= many:
				out = append(out, fail(found, "the stage fails, not the documents", do))
			case last > 0:
				out = append(out, warn(found, "these documents or pages failed, and their jobs say so", do))
			}
		}
		if hour == 0 {
			out = append(out, ok("no record was set aside in the last hour, %d in the last day", day))
		}
		return out, nil
	})
}

// since counts the records a topic got in the last while.
func (h House) since(ctx context.Context, adm *kadm.Client, topic string, ago time.Duration) (int64, error) {
	first, err := adm.ListOffsetsAfterMilli(ctx, time.Now().Add(-ago).UnixMilli(), topic)
	if err != nil {
		return 0, err
	}
	ends, err := adm.ListCommittedOffsets(ctx, topic)
	if err = errors.Join(err, first.Error(), ends.Error()); err != nil {
		return 0, err
	}
	from, to := map[int32]int64{}, map[int32]int64{}
	var distance int64
	for _, e := range ends[topic] {
		if f, ok := first.Lookup(topic, e.Partition); ok && f.Err == nil && e.Err == nil && f.Offset < e.Offset {
			from[e.Partition], to[e.Partition] = f.Offset, e.Offset
			distance += e.Offset - f.Offset
		}
	}
	if distance > countable {
		return distance, nil
	}
	counts, err := stream.Unread(ctx, h.Kafka, topic, from, to)
	if err != nil {
		return 0, errors.Join(err, ctx.Err())
	}
	n := int64(0)
	for _, c := range counts {
		n += c
	}
	return n, nil
}
