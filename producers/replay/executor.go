package replay

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/blob"
	"docstream/internal/proof"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/schemas"
)

// Jobs is what the executor needs to know of jobs and replays: a gateway's view of them.
type Jobs interface {
	// Fresh waits until the view holds everything that was durable when it was called.
	Fresh(context.Context) error
	// Caught waits until every fact written before the call was folded, and the view holds the outcome.
	Caught(context.Context) error
	Job(tenant, job string) (*schemas.JobSnapshot, bool)
	Replay(tenant, id string) (*schemas.ReplayChanged, bool)
	LiveReplays() ([]*schemas.ReplayChanged, error)
}

// Objects is what the executor needs of the object store.
type Objects interface {
	Head(ctx context.Context, key string) (blob.Object, error)
	List(ctx context.Context, prefix string, f func(blob.Object) bool) error
	// In is the same on another bucket, for sources that were submitted by reference.
	In(bucket string) blob.Store
}

// Publisher makes events durable.
type Publisher interface {
	PublishAll(ctx context.Context, events []schemas.Event, requestID string) error
}

// Executor works off the replays. Every gateway runs one; the consumer group of the settings, which have one partition, lets one of them
// hold the work at a time. That two of them never work at once is not relied upon: both would ask for the same runs, and the fold opens
// each once.
type Executor struct {
	Conn      stream.Connection
	Plan      topology.Config
	Codec     *schemas.Codec
	Jobs      Jobs
	Objects   Objects
	Publisher Publisher
	Source    Source
	Proof     *proof.Verifier
	Dir       string // for the plans; empty: a temporary one
	Log       *slog.Logger

	asked *prometheus.CounterVec
}

// slots bounds the replays worked on at once; the others wait.
const slots = 8

// Register adds the executor's metrics.
func (x *Executor) Register(reg prometheus.Registerer) {
	x.asked = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "docstream_replay_jobs_total",
		Help: "Jobs a replay came to, by outcome: asked, source_expired or skipped."}, []string{"outcome"})
	reg.MustRegister(x.asked)
}

// Run waits to be elected and works while it is, until ctx ends. A failure of the world is waited out.
func (x *Executor) Run(ctx context.Context) error {
	sweep(x.Dir)
	for ctx.Err() == nil {
		if err := x.stand(ctx); err != nil && ctx.Err() == nil {
			x.Log.Warn("the replays have no executor here now", "error", err)
		}
		sleep(ctx, time.Second)
	}
	return nil
}

// stand is one membership of the group.
func (x *Executor) stand(ctx context.Context) error {
	topic := x.Plan.Name(topology.Settings.Spec.Name)
	h := &holder{x: x, kick: make(chan struct{}, 1)}
	lost := func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
		if len(m[topic]) > 0 { // a rebalance that takes nothing away says so as well
			h.end()
		}
	}
	cl, err := x.Conn.Client(kgo.ConsumerGroup(x.Plan.Group("replay", topic)), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(2*time.Second),
		kgo.RebalanceTimeout(20*time.Second), kgo.FetchMaxWait(2*time.Second),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
			if len(m[topic]) > 0 {
				h.begin(ctx)
			}
		}),
		kgo.OnPartitionsRevoked(lost), kgo.OnPartitionsLost(lost))
	if err != nil {
		return err
	}
	defer cl.Close()
	defer h.end()
	for {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := f.Err(); err != nil {
			return err
		}
		h.wake()
	}
}

// holder is the one that works, while it does.
type holder struct {
	x    *Executor
	kick chan struct{}

	mu   sync.Mutex
	stop func()
}

func (h *holder) wake() {
	select {
	case h.kick <- struct{}{}:
	default:
	}
}

func (h *holder) begin(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stop != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); h.hold(ctx) }()
	h.stop = func() { cancel(); <-done }
	h.x.Log.Info("this replica holds the replays")
}

func (h *holder) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stop != nil {
		h.stop()
		h.stop = nil
	}
}

// hold starts whatever is live and not being worked on, until ctx ends and all of it has stopped.
func (h *holder) hold(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	var mu sync.Mutex
	working := map[string]bool{}
	for {
		live, err := h.live(ctx)
		if err != nil && ctx.Err() == nil {
			h.x.Log.Warn("the replays cannot be looked up now", "error", err)
		}
		for _, e := range live {
			mu.Lock()
			if working[e.ReplayID] || len(working) >= slots {
				mu.Unlock()
				continue
			}
			working[e.ReplayID] = true
			mu.Unlock()
			all.Go(func() {
				h.x.one(ctx, e)
				mu.Lock()
				delete(working, e.ReplayID)
				mu.Unlock()
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-h.kick:
		case <-time.After(5 * time.Second):
		}
	}
}

// live looks up what there is to do, as of now.
func (h *holder) live(ctx context.Context) ([]*schemas.ReplayChanged, error) {
	fresh, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := h.x.Jobs.Fresh(fresh); err != nil {
		return nil, err
	}
	return h.x.Jobs.LiveReplays()
}

// one works on a replay until it has ended or ctx has; what fails is tried again from where it stands.
func (x *Executor) one(ctx context.Context, e *schemas.ReplayChanged) {
	log := x.Log.With("replay", e.ReplayID, "tenant", e.Tenant)
	log.Info("a replay is worked on", "status", e.Status, "mode", e.Mode, "selection", describe(e), "asked", e.JobsAsked)
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		w, err := x.work(e, log)
		if err == nil {
			err = w.run(ctx)
			e = w.e
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			log.Info("a replay has ended", "status", e.Status, "asked", e.JobsAsked, "source_expired", e.SourceExpired, "skipped", e.Skipped)
			return
		}
		log.Warn("a replay waits", "error", err, "wait", wait.String())
		if !sleep(ctx, wait) {
			return
		}
	}
}

// sleep waits and reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
