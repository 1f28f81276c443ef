// Package deliver sends webhooks: signed, at least once each, under one stable id, each receiver on its own.
//
// The webhooks topic is its memory. A message is due, delivered or given up, and its newest record says which, how often it was tried and
// when it is due again; what is due in its partitions a worker holds in memory, bounded for each receiver (P6). It never changes what it
// holds but by reading back what it wrote, so whoever takes a partition over, after whatever end of the worker before, goes on where the
// topic stands: a message is sent once more at worst, under the same id. A receiver that is slow or away holds up its own messages and
// nobody else's (P7).
package deliver

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docstream/internal/blob"
	"docstream/internal/failpoint"
	"docstream/internal/outbound"
	"docstream/schemas"
)

// Objects is what deliver needs of the object store.
type Objects interface {
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error)
}

// Around is the rest of the house as deliver sees it.
type Around struct {
	// Publish makes events durable.
	Publish func(context.Context, ...schemas.Event) error
	// End says where a partition ends: nothing is sent before it was read so far, for a message may have been delivered long ago.
	End func(context.Context, schemas.Partition) (int64, error)
	// Fresh waits until the endpoints are as the settings have them now.
	Fresh func(context.Context) error
	// Objects holds the results; nil: none travel in messages.
	Objects Objects
	// Lookup resolves the names of receivers; nil: the system's resolver.
	Lookup outbound.Lookup
}

// Deliver is the log of the webhooks topic. Safe for concurrent use.
type Deliver struct {
	cfg       Config
	around    Around
	objects   Objects
	endpoints *Endpoints
	guard     *outbound.Guard
	client    *http.Client
	log       *slog.Logger
	metrics   *metrics

	mu     sync.Mutex
	parts  map[int32]*part
	queues map[string]*queue // by receiver
	slots  chan struct{}     // attempts at once to all receivers
	wake   chan struct{}
}

// New returns deliver; it does nothing before Run. The error is of the configuration.
func New(cfg Config, endpoints *Endpoints, around Around, log *slog.Logger, reg prometheus.Registerer) (*Deliver, error) {
	guard, err := outbound.New(cfg.Outbound, around.Lookup)
	if err != nil {
		return nil, err
	}
	if len(cfg.Schedule) == 0 {
		cfg.Schedule = schedule
	}
	return &Deliver{
		cfg: cfg, around: around, objects: around.Objects, endpoints: endpoints, guard: guard, client: guard.Client(0), log: log, metrics: newMetrics(reg),
		parts: map[int32]*part{}, queues: map[string]*queue{}, slots: make(chan struct{}, cfg.Concurrent), wake: make(chan struct{}, 1),
	}, nil
}

// Run sends what is due until ctx ends; attempts under way are then cut off, and are made again by whoever comes next.
func (d *Deliver) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		next := d.start(ctx, &all, time.Now())
		t := time.NewTimer(next)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-d.wake:
			t.Stop()
		case <-t.C:
		}
	}
}

// nudge makes Run look again.
func (d *Deliver) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// start begins every attempt that is due and has a place, and returns when to look again at the latest.
func (d *Deliver) start(ctx context.Context, all *sync.WaitGroup, now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := time.Minute
	for _, q := range d.queues {
		for q.active < d.cfg.PerEndpoint {
			e, wait := q.next(now)
			if e == nil {
				next = min(next, wait)
				break
			}
			select {
			case d.slots <- struct{}{}:
			default:
				q.push(e)
				return time.Minute // whoever ends nudges
			}
			q.active++
			e.state = sending
			all.Go(func() {
				d.work(ctx, e)
				<-d.slots
				d.mu.Lock()
				q.active--
				d.mu.Unlock()
				d.nudge()
			})
		}
	}
	return next
}

// work makes one attempt, or looks the endpoints of an event up, and writes what came of it. It writes until it is written: the entry
// itself changes only when the record comes back.
func (d *Deliver) work(ctx context.Context, e *entry) {
	for _, events := range d.outcome(ctx, e.due) {
		d.publish(ctx, e, events)
	}
}

// publish writes events until they are written or ctx ends. Those of one call lie in several partitions: in which order, and whether all of
// them where the process is killed meanwhile, is not known.
func (d *Deliver) publish(ctx context.Context, e *entry, events []schemas.Event) {
	for wait := 200 * time.Millisecond; len(events) > 0 && ctx.Err() == nil; wait = min(2*wait, 10*time.Second) {
		err := d.around.Publish(ctx, events...)
		if err == nil {
			failpoint.At(failpoint.Told)
			return
		}
		d.log.WarnContext(ctx, "what became of a webhook cannot be written yet", "delivery", e.due.DeliveryID, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// outcome does the work of one entry and says what is to be written of it, step by step: a step only when the one before is written. It is
// nothing where ctx ended first.
func (d *Deliver) outcome(ctx context.Context, w *schemas.WebhookDue) [][]schemas.Event {
	if w.DeliveryID == "" {
		return d.spread(ctx, w)
	}
	began := time.Now()
	o := d.attempt(ctx, w)
	failpoint.At(failpoint.Answered)
	if ctx.Err() != nil {
		return nil
	}
	after := d.after(w, o, time.Now())
	word := after.State
	if word == Due {
		word = "retried"
	}
	d.metrics.attempts.WithLabelValues(word).Inc()
	d.metrics.seconds.Observe(time.Since(began).Seconds())
	d.log.InfoContext(ctx, "webhook attempt", "tenant", w.Tenant, "job_id", w.JobID, "delivery", w.DeliveryID, "endpoint", w.EndpointID, "attempt", after.Attempts,
		"status", o.status, "outcome", word, "why", o.why)
	events := []schemas.Event{after}
	if p, ok := d.endpoints.get(w.Tenant, w.EndpointID); ok && o.gone && w.EndpointID != "" {
		gone := *p
		gone.At = time.Now().UTC()
		gone.DisabledAt, gone.DisabledReason, gone.By = gone.At, "it answered 410", "deliver"
		gone.EventID = schemas.EventIDFor(p.EndpointID, 0, "deliver", 0, p.Kind(), gone.At.UnixMicro())
		events = append(events, &gone)
	}
	return [][]schemas.Event{events}
}

// spread makes one message for each endpoint that wants the event and for the address the job named, then closes the event: it is closed
// when they are written, so that none is forgotten. Done twice it makes the same messages.
func (d *Deliver) spread(ctx context.Context, w *schemas.WebhookDue) [][]schemas.Event {
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := d.around.Fresh(ctx)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
	var out []schemas.Event
	add := func(endpoint, address string) {
		m := *w
		m.DeliveryID = schemas.MessageIDFor(w.Tenant, w.JobID, w.Run, w.Version, endpoint, address)
		m.EndpointID, m.URL = endpoint, address
		m.EventID = schemas.EventIDFor(m.DeliveryID, 0, "deliver", 0, m.Kind(), 0)
		out = append(out, &m)
	}
	for _, id := range d.endpoints.wanting(w.Tenant, w.Type) {
		add(id, "")
	}
	if w.URL != "" {
		add("", w.URL)
	}
	done := *w
	done.At = time.Now().UTC()
	done.State, done.EndedAt, done.Outputs, done.Metadata = Delivered, done.At, nil, nil
	failpoint.At(failpoint.Spread)
	return [][]schemas.Event{out, {&done}}
}
