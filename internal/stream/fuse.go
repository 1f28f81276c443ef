package stream

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"docstream/internal/pause"
)

// fuse stops a stage that fails instead of its documents, before it has emptied its lanes into the dead letters. It looks at the last records
// that ended and counts the jobs among them that ended in a dead letter whose fault nobody could place. A document that is refused for
// what it is shows that the stage works, and one document counts once however many pages it has: neither may stop the others (P7).
type fuse struct {
	stage         string
	limit, window int
	log           *slog.Logger

	mu    sync.Mutex
	last  []ending
	blown error
	stop  chan struct{}
}

// ending is how a record ended; job is empty where it ended well.
type ending struct{ job, code string }

func newFuse(stage string, limit, window int, log *slog.Logger) *fuse {
	return &fuse{stage: stage, limit: limit, window: window, log: log, stop: make(chan struct{})}
}

// well notes a record that ended as output, filtered on purpose, or refused for its own fault.
func (f *fuse) well() { f.note(ending{}) }

// badly notes a dead letter nobody could place.
func (f *fuse) badly(job, code string) { f.note(ending{job, code}) }

func (f *fuse) note(e ending) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.limit == 0 || f.blown != nil || (e.job != "" && slices.ContainsFunc(f.last, func(x ending) bool { return x.job == e.job })) {
		return
	}
	f.last = append(f.last, e)
	f.last = f.last[max(0, len(f.last)-f.window):]
	codes, bad := map[string]int{}, 0
	for _, x := range f.last {
		if x.job != "" {
			codes[x.code]++
			bad++
		}
	}
	if bad < f.limit {
		return
	}
	var named []string
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		named = append(named, fmt.Sprintf("%s %d times", code, codes[code]))
	}
	f.blown = fmt.Errorf("stage %s stopped: %d of its last %d records became dead letters of different jobs (%s). The rest stays in its lanes; "+
		"find the cause, then start this worker again and redrive the dead letters", f.stage, bad, len(f.last), strings.Join(named, ", "))
	close(f.stop)
}

// err is why the stage has stopped; nil while it works.
func (f *fuse) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.blown
}

// run runs a lane until ctx ends or the stage stops. A stopped stage leaves its groups, says why every minute, and ends with ctx: the other
// stages of the worker go on.
func (f *fuse) run(ctx context.Context, lane func(context.Context) error) error {
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-f.stop:
			cancel(errStopped)
		case <-working.Done():
		}
	}()
	err := lane(working)
	if context.Cause(working) != errStopped || ctx.Err() != nil {
		return err
	}
	for {
		f.log.Error(f.err().Error(), "stage", f.stage)
		if !pause.For(ctx, time.Minute) {
			return ctx.Err()
		}
	}
}
