package s3

import (
	"context"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/schemas"
)

// known is a bounded set of job ids.
type known struct {
	ids  map[string]struct{}
	most int
}

func (k *known) has(id string) bool { _, ok := k.ids[id]; return ok }

// add forgets nothing; a set that is full takes no more, and those jobs are looked for elsewhere.
func (k *known) add(id string) {
	if len(k.ids) < k.most {
		k.ids[strings.Clone(id)] = struct{}{}
	}
}

// skew is how far the clocks of bucket and brokers may be apart.
const skew = 10 * time.Minute

// announced reads which jobs the log has heard of: the submissions in the documents lanes that the house signed, and the states of jobs.
// No submission is older than its object, so that lanes are read from since on.
func (c *Connector) announced(ctx context.Context, since time.Time) (*known, error) {
	k := &known{ids: map[string]struct{}{}, most: c.cfg.ScanKnown}
	for _, lane := range topology.Documents.All() {
		from := since
		if !from.IsZero() {
			from = from.Add(-skew)
		}
		err := stream.ReadToEnd(ctx, c.conn, c.plan.Name(lane.Topic), from, func(r *kgo.Record) {
			if c.key.Verify(stream.Header(r, schemas.HeaderSignature), r.Topic, r.Value) {
				k.add(string(r.Key))
			}
		})
		if err != nil {
			return nil, err
		}
	}
	err := stream.ReadToEnd(ctx, c.conn, c.plan.Name(topology.Jobs.Spec.Name), time.Time{}, func(r *kgo.Record) {
		if _, id, ok := strings.Cut(string(r.Key), "/"); ok {
			k.add(id)
		}
	})
	return k, err
}
