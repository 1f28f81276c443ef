package view

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/pause"
	"docstream/internal/topology"
	"docstream/schemas"
)

// Positions says how far somebody has read the log of job events: of each partition that matters to him, the offset of the last record.
// It names the same place on every replica.
type Positions map[int32]int64

// String writes positions such as 0-11.3-120.
func (p Positions) String() string {
	parts := make([]string, 0, len(p))
	for _, n := range slices.Sorted(maps.Keys(p)) {
		parts = append(parts, fmt.Sprintf("%d-%d", n, p[n]))
	}
	return strings.Join(parts, ".")
}

// maxPartitions bounds what is read of positions.
const maxPartitions = 1024

// ParsePositions reads what String wrote; false where it is something else.
func ParsePositions(s string) (Positions, bool) {
	out := Positions{}
	for part := range strings.SplitSeq(s, ".") {
		a, b, _ := strings.Cut(part, "-")
		n, err := strconv.ParseInt(a, 10, 32)
		o, err2 := strconv.ParseInt(b, 10, 64)
		if _, twice := out[int32(n)]; twice || err != nil || err2 != nil || n < 0 || o < -1 || len(out) == maxPartitions {
			return nil, false
		}
		out[int32(n)] = o
	}
	return out, true
}

// Told is one event of the log and where it stands.
type Told struct {
	Partition int32
	Offset    int64
	Event     *schemas.JobChanged
}

// Following is one follower's part of the log from the moment he came.
type Following struct {
	Since  Positions   // what he follows, and what lies before it
	Events <-chan Told // closed when he was too slow, or the view ends: he may come again and go on from where he was
	Close  func()
	whose  string
	job    string
	events chan Told
}

// backlog bounds what one follower may be behind (P6).
const backlog = 256

// hub hands the live events to those who follow.
type hub struct {
	mu      sync.Mutex
	at      map[int32]int64 // next offset of each partition
	jobs    map[string]map[*Following]bool
	tenants map[string]map[*Following]bool
	begun   chan struct{}
	over    bool
}

func newHub() *hub {
	return &hub{at: map[int32]int64{}, jobs: map[string]map[*Following]bool{}, tenants: map[string]map[*Following]bool{}, begun: make(chan struct{})}
}

// tell reads the job events from their present end on and hands them out.
func (r *reader) tell(ctx context.Context) error {
	topic, h := r.v.plan.Name(topology.JobEvents.Spec.Name), r.v.hub
	defer h.end()
	var at map[place]int64
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		counts, err := r.ask.partitions(ctx, []string{topic})
		if err == nil {
			at, err = r.ask.offsets(ctx, places(counts, topic), latest, committed)
		}
		if err == nil {
			break
		}
		r.v.log.Warn("the job events cannot be followed yet", "error", err)
		if !pause.For(ctx, wait) {
			return ctx.Err()
		}
	}
	cl, err := r.assign(at, kgo.ReadCommitted())
	if err != nil {
		return err
	}
	r.events = cl
	h.begin(at)
	for {
		f := cl.PollRecords(ctx, 1000)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range f.Errors() {
			r.v.log.Warn("the job events cannot be read now", "partition", e.Partition, "error", e.Err)
		}
		if f.NumRecords() == 0 && !pause.For(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
		for it := f.RecordIter(); !it.Done(); {
			rec := it.Next()
			var e *schemas.JobChanged
			if h.wanted(rec) {
				any, err := r.decode(ctx, rec, topology.JobEvents.Spec.Name)
				if err != nil {
					return err
				}
				e, _ = any.(*schemas.JobChanged)
			}
			h.tell(rec, e)
		}
	}
}

func (h *hub) begin(at map[place]int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p, o := range at {
		h.at[p.partition] = o
	}
	close(h.begun)
}

// wanted reports whether anybody may follow the record: it need not be decoded for nobody.
func (h *hub) wanted(rec *kgo.Record) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !rec.Attrs.IsControl() && (len(h.tenants) > 0 || len(h.jobs[string(rec.Key)]) > 0)
}

// tell hands out one record. Whoever came between wanted and now has not lost it: he is given the place before it.
func (h *hub) tell(rec *kgo.Record, e *schemas.JobChanged) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at[rec.Partition] = rec.Offset + 1
	t := Told{rec.Partition, rec.Offset, e}
	if e == nil && !rec.Attrs.IsControl() { // whose it is nobody knows: let those who came meanwhile read it from the log
		for _, group := range h.tenants {
			for f := range group {
				h.drop(f)
			}
		}
	}
	for _, group := range []map[*Following]bool{h.jobs[string(rec.Key)], h.tenants[tenantOf(e)]} {
		for f := range group {
			if e == nil { // undecoded although somebody follows: let him read it from the log
				h.drop(f)
				continue
			}
			if f.whose != e.Tenant {
				continue
			}
			select {
			case f.events <- t:
			default:
				h.drop(f)
			}
		}
	}
}

func tenantOf(e *schemas.JobChanged) string {
	if e == nil {
		return ""
	}
	return e.Tenant
}

// drop ends a following. The lock is held.
func (h *hub) drop(f *Following) {
	group, key := h.tenants, f.whose
	if f.job != "" {
		group, key = h.jobs, f.job
	}
	if !group[key][f] {
		return
	}
	delete(group[key], f)
	if len(group[key]) == 0 {
		delete(group, key)
	}
	close(f.events)
}

func (h *hub) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	for _, groups := range []map[string]map[*Following]bool{h.jobs, h.tenants} {
		for _, group := range groups {
			for f := range group {
				h.drop(f)
			}
		}
	}
}

// Follow gives the events of a tenant's job, or of all of them where job is empty, from now on.
func (v *View) Follow(ctx context.Context, tenant, job string) (*Following, error) {
	h := v.hub
	select {
	case <-h.begun:
	case <-v.stopped:
		return nil, ErrStale
	case <-ctx.Done():
		return nil, ErrStale
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return nil, ErrStale
	}
	f := &Following{whose: tenant, job: job, events: make(chan Told, backlog), Since: Positions{}}
	f.Events = f.events
	f.Close = func() { h.mu.Lock(); defer h.mu.Unlock(); h.drop(f) }
	groups, key := h.tenants, tenant
	if job != "" {
		groups, key = h.jobs, job
		p := partition(job, len(h.at))
		f.Since[p] = h.at[p] - 1
	} else {
		for p, o := range h.at {
			f.Since[p] = o - 1
		}
	}
	if groups[key] == nil {
		groups[key] = map[*Following]bool{}
	}
	groups[key][f] = true
	return f, nil
}

// partition is where the events of a job lie: by the partitioner that every producer of ours uses.
func partition(job string, of int) int32 {
	if of == 0 {
		return 0
	}
	return int32(kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: []byte(job)}, of))
}

// ErrForgotten says that the log no longer reaches back to where a follower was.
var ErrForgotten = errors.New("view: the log of job events does not reach back so far")

// Missed calls f for what a follower has not seen: the events after from, up to where his following began.
func (v *View) Missed(ctx context.Context, follow *Following, from Positions, f func(Told) error) error {
	ask := v.asking.Load()
	if ask == nil {
		return ErrStale
	}
	r := &reader{v: v, ask: ask}
	topic := v.plan.Name(topology.JobEvents.Spec.Name)
	for _, p := range slices.Sorted(maps.Keys(follow.Since)) {
		seen, ok := from[p]
		if !ok {
			continue // a partition that did not exist for him
		}
		at := seen + 1
		for at <= follow.Since[p] {
			part, err := r.ask.fetch(ctx, place{topic, p}, at, committed)
			if err != nil {
				return err
			}
			if err := kerr.ErrorForCode(part.ErrorCode); errors.Is(err, kerr.OffsetOutOfRange) {
				return ErrForgotten
			} else if err != nil {
				return err
			}
			got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: at, IsolationLevel: kgo.ReadCommitted(), Topic: topic, Partition: p,
				KeepControlRecords: true}, part, kgo.DefaultDecompressor(), nil)
			if got.Err != nil {
				return got.Err
			}
			for _, rec := range got.Records {
				if rec.Attrs.IsControl() || rec.Offset > follow.Since[p] || follow.job != "" && string(rec.Key) != follow.job {
					continue
				}
				e, err := r.decode(ctx, rec, topology.JobEvents.Spec.Name)
				if err != nil {
					return err
				}
				if c, ok := e.(*schemas.JobChanged); ok && c.Tenant == follow.whose {
					if err := f(Told{p, rec.Offset, c}); err != nil {
						return err
					}
				}
			}
			if next <= at && len(got.Records) == 0 && !pause.For(ctx, 20*time.Millisecond) {
				return ctx.Err()
			}
			at = max(at, next)
		}
	}
	return nil
}

// Covered waits until the view holds every state whose event was readable when it was called. It waits for the high watermark of the jobs:
// the marker that commits a state may come later than the one that commits its event.
func (v *View) Covered(ctx context.Context) error {
	ask := v.asking.Load()
	if ask == nil {
		return ErrStale
	}
	r := &reader{v: v, ask: ask}
	_, jobs := r.followed()
	ends, err := r.ask.offsets(ctx, jobs, latest, uncommitted)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStale, err)
	}
	if v.reach.wait(ctx, ends) != nil {
		return fmt.Errorf("%w: it has not read to the end", ErrStale)
	}
	return nil
}
