package replay

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docstream/internal/blob"
	"docstream/internal/pause"
	"docstream/internal/proof"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/producers/holder"
	"docstream/schemas"
)

// Jobs is what the executor needs to know of jobs and replays: a gateway's view of them.
type Jobs interface {
	// Fresh waits until the view holds everything that was durable when it was called.
	Fresh(context.Context) error
	// Caught waits until every fact written before the call was folded, and the view holds the outcome.
	Caught(context.Context) error
	Job(tenant, job string) (*schemas.JobSnapshot, bool)
	// Glance is Job of many, each named as tenant/job; nil for those that are not known.
	Glance(jobs []string) []*schemas.JobSnapshot
	Replay(tenant, id string) (*schemas.ReplayChanged, bool)
	LiveReplays() ([]*schemas.ReplayChanged, error)
}

// Objects is what the executor needs of the object store.
type Objects interface {
	Head(ctx context.Context, key string) (blob.Object, error)
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error)
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
	topic := x.Plan.Name(topology.Settings.Spec.Name)
	return holder.Work{Conn: x.Conn, Group: x.Plan.Group("replay", topic), Topic: topic, Name: "replays", Log: x.Log, Hold: x.hold}.Run(ctx)
}

// hold starts whatever is live and not being worked on, until ctx ends and all of it has stopped.
func (x *Executor) hold(ctx context.Context, wake <-chan struct{}) {
	var all sync.WaitGroup
	defer all.Wait()
	var mu sync.Mutex
	working, rests := map[string]bool{}, map[string]int64{} // rests: the version at which a paused replay was left alone
	for {
		live, err := x.live(ctx)
		if err != nil && ctx.Err() == nil {
			x.Log.Warn("the replays cannot be looked up now", "error", err)
		}
		for _, e := range live {
			mu.Lock()
			if working[e.ReplayID] || len(working) >= slots || e.Status == Paused && e.Version <= rests[e.ReplayID] {
				mu.Unlock()
				continue
			}
			working[e.ReplayID] = true
			mu.Unlock()
			all.Go(func() {
				last := x.one(ctx, e)
				mu.Lock()
				delete(working, e.ReplayID)
				if delete(rests, e.ReplayID); last.Status == Paused {
					rests[e.ReplayID] = last.Version
				}
				mu.Unlock()
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-time.After(5 * time.Second):
		}
	}
}

// live looks up what there is to do, as of now.
func (x *Executor) live(ctx context.Context) ([]*schemas.ReplayChanged, error) {
	fresh, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := x.Jobs.Fresh(fresh); err != nil {
		return nil, err
	}
	return x.Jobs.LiveReplays()
}

// one works on a replay until it has ended, rests, or ctx has ended, and returns how it stands; what fails is tried again from there.
func (x *Executor) one(ctx context.Context, e *schemas.ReplayChanged) *schemas.ReplayChanged {
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
			return e
		case err == nil:
			log.Info("a replay is let go of", "status", e.Status, "asked", e.JobsAsked, "source_expired", e.SourceExpired, "skipped", e.Skipped)
			return e
		}
		log.Warn("a replay waits", "error", err, "wait", wait.String())
		if !pause.For(ctx, wait) {
			return e
		}
	}
}
