package view

import (
	"context"

	"docstream/internal/topology"
)

// Caught waits until track has worked off every fact that was written before the call, and the view holds what came of it. Track's offset can
// be seen before the marker that commits its snapshot, so this waits for the high watermark of the jobs.
func (v *View) Caught(ctx context.Context) error {
	r, err := v.reader()
	if err != nil {
		return err
	}
	defer r.close()
	facts := v.plan.Name(topology.Facts.Spec.Name)
	counts, err := r.ask.partitions(ctx, []string{facts})
	if err != nil {
		return err
	}
	ends, err := r.ask.offsets(ctx, places(counts, facts), latest, uncommitted)
	if err != nil {
		return err
	}
	if err := r.passed(ctx, ends); err != nil {
		return err
	}
	if err := v.Fresh(ctx); err != nil {
		return err
	}
	return v.Covered(ctx)
}
