package view

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/pause"
)

// reader is one run of a view: the clients it reads with and where they began.
type reader struct {
	v    *View
	ask  *broker
	tail *kgo.Client // lanes, settings and audit, read uncommitted
	jobs *kgo.Client // jobs and what else is written in transactions, read committed

	events *kgo.Client // job-events from now on, read committed

	kept map[string]topicID // topics whose place the store keeps

	question question // of those who look up

	mu sync.Mutex // one writer to a job's row at a time
}

// reader connects; nothing is read yet.
func (v *View) reader() (*reader, error) {
	cl, err := v.conn.Client()
	if err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	r := &reader{v: v, ask: &broker{cl: cl, adm: kadm.NewClient(cl)}}
	r.question.r = r
	return r, nil
}

func (r *reader) close() {
	for _, cl := range []*kgo.Client{r.tail, r.jobs, r.events, r.ask.cl} {
		if cl != nil {
			cl.Close()
		}
	}
}

// assign starts reading partitions at offsets, in no group.
//
// Jobs are written in transactions and read committed. The lanes are written without: there, whoever leaves a transaction of his own open
// must not hold up the answers for everybody else (P7).
func (r *reader) assign(at map[place]int64, level kgo.IsolationLevel) (*kgo.Client, error) {
	fetch := r.v.cfg.FetchBytes
	return r.v.conn.Client(
		kgo.ConsumePartitions(assignment(at)),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(level),
		kgo.KeepControlRecords(), // positions must pass the markers of transactions, or they would never reach the end
		kgo.FetchMaxBytes(int32(fetch)), kgo.FetchMaxPartitionBytes(int32(min(fetch, 4<<20))),
		kgo.FetchMaxWait(2*time.Second), kgo.MaxConcurrentFetches(2),
	)
}

func assignment(at map[place]int64) map[string]map[int32]kgo.Offset {
	out := map[string]map[int32]kgo.Offset{}
	for p, o := range at {
		if out[p.topic] == nil {
			out[p.topic] = map[int32]kgo.Offset{}
		}
		out[p.topic][p.partition] = kgo.NewOffset().At(o)
	}
	return out
}

// follow takes records until ctx ends.
func (r *reader) follow(ctx context.Context, cl *kgo.Client) error {
	for {
		f := cl.PollRecords(ctx, 1000)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range f.Errors() {
			r.v.log.Warn("the view cannot read a partition now", "topic", e.Topic, "partition", e.Partition, "error", e.Err)
		}
		if f.NumRecords() == 0 && !pause.For(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
		next, polled := map[place]int64{}, time.Now()
		for it := f.RecordIter(); !it.Done(); {
			rec := it.Next()
			if !rec.Attrs.IsControl() {
				if err := r.apply(ctx, rec, polled); err != nil {
					return err
				}
			}
			next[place{rec.Topic, rec.Partition}] = rec.Offset + 1
		}
		if err := r.v.store.reached(next, r.kept); err != nil {
			return err
		}
		r.v.reach.advance(next) // only now: what is said to be held is held
	}
}

// ends asks how far everything that is followed reaches: the lanes and settings by their high watermark, the jobs by the last stable
// offset, which is as far as any replica can have shown to anybody.
func (r *reader) ends(ctx context.Context) (map[place]int64, error) {
	tail, jobs := r.followed()
	type answer struct {
		ends map[place]int64
		err  error
	}
	second := make(chan answer, 1)
	go func() {
		ends, err := r.ask.offsets(ctx, jobs, latest, committed)
		second <- answer{ends, err}
	}()
	ends, err := r.ask.offsets(ctx, tail, latest, uncommitted)
	also := <-second
	if err != nil {
		return nil, err
	}
	if also.err != nil {
		return nil, also.err
	}
	for p, o := range also.ends {
		ends[p] = o
	}
	return ends, nil
}

// missing asks for the ends and looks, once for all who wait, which of them are not reached.
func (r *reader) missing(ctx context.Context) (map[place]int64, error) {
	r.v.metrics.lookups.Inc()
	ends, err := r.question.ends(ctx)
	if err != nil { // the client's own way knows when to try again, and when not
		ends, err = r.ends(ctx)
	}
	if err != nil {
		return nil, err
	}
	short, _ := r.v.reach.short(ends)
	out := make(map[place]int64, len(short))
	for _, p := range short {
		out[p] = ends[p]
	}
	return out, nil
}

// followed lists what is read, the jobs apart.
func (r *reader) followed() (tail, jobs []place) {
	transactional := committedTopics(r.v.plan)
	for p := range r.v.reach.now() {
		if slices.Contains(transactional, p.topic) {
			jobs = append(jobs, p)
		} else {
			tail = append(tail, p)
		}
	}
	return tail, jobs
}
