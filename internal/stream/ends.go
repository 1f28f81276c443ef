package stream

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"

	"docstream/internal/topology"
	"docstream/schemas"
)

// Ends returns what says where a partition ends now, by high watermark: whoever has read so far has missed nothing that was written before
// he asked.
func Ends(conn Connection, plan topology.Config) func(context.Context, schemas.Partition) (int64, error) {
	return func(ctx context.Context, p schemas.Partition) (int64, error) {
		cl, err := conn.Client()
		if err != nil {
			return 0, err
		}
		defer cl.Close()
		_, end, err := bounds(ctx, kadm.NewClient(cl), plan.Name(p.Topic), p.Number)
		return end, err
	}
}
