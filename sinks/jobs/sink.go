// Package jobs is the sink that keeps how every run of every job ended: one object a run and version, job.json, written from the terminal
// snapshot whatever the status. Once it is durable the sink says so, JobArchived, and from then on nobody needs to remember the job.
//
// Writing twice equals writing once: the key derives from run and version, and nothing is ever written over what lies there.
package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"docstream/internal/blob"
	"docstream/internal/failpoint"
	"docstream/schemas"
)

// Objects is the part of the store that is needed here.
type Objects interface {
	Put(ctx context.Context, key string, body []byte, o blob.Options) error
	List(ctx context.Context, prefix string, f func(blob.Object) bool) error
	Delete(ctx context.Context, key string) error
}

// Around is what the sink needs of the stream.
type Around struct {
	Encode  func(schemas.Event) ([]byte, error)
	Publish func(context.Context, ...schemas.Event) error // durable when it returns
}

// Sink writes job.json. Safe for concurrent use.
type Sink struct {
	objects Objects
	around  Around
	files   *prometheus.CounterVec
	lag     prometheus.Histogram
}

// New returns the sink; reg may be nil.
func New(objects Objects, around Around, reg prometheus.Registerer) *Sink {
	s := &Sink{objects: objects, around: around,
		files: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "docstream_jobs_archived_total",
			Help: "Ends of runs by what became of their job.json: written, or found where it was written before."}, []string{"outcome"}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "docstream_jobs_archive_lag_seconds",
			Help: "Time from the end of a run, or from its deletion, to its job.json being durable.", Buckets: []float64{.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200}}),
	}
	if reg != nil {
		reg.MustRegister(s.files, s.lag)
	}
	return s
}

// writing bounds how many objects are written at once.
const writing = 16

// Write keeps the ends among a batch of snapshots: all of them are durable before the first is said to be.
func (s *Sink) Write(ctx context.Context, b schemas.Batch) error {
	var ends []*schemas.JobSnapshot
	for _, e := range b.Events {
		if j, ok := e.(*schemas.JobSnapshot); ok && schemas.Terminal(j.Status) && j.ArchivedAt.IsZero() && schemas.ValidTenant(j.Tenant) && schemas.ValidJobID(j.JobID) {
			ends = append(ends, j)
		}
	}
	if len(ends) == 0 {
		return nil
	}
	each, bounded := errgroup.WithContext(ctx)
	each.SetLimit(writing)
	for _, j := range ends {
		each.Go(func() error { return s.keep(bounded, j) })
	}
	if err := each.Wait(); err != nil {
		return err
	}
	failpoint.At(failpoint.Kept)
	said := make([]schemas.Event, len(ends))
	for i, j := range ends {
		var err error
		if said[i], err = s.archived(j); err != nil {
			return err
		}
	}
	return s.around.Publish(ctx, said...)
}

// keep writes how a run ended. Of a deleted job what was written before goes: it names what the document was called and how it was labelled.
func (s *Sink) keep(ctx context.Context, j *schemas.JobSnapshot) error {
	body, err := schemas.Text(j)
	if err != nil {
		return err
	}
	key, outcome := schemas.JobFileKey(j.Tenant, j.JobID, j.Run, j.Version), "written"
	err = s.objects.Put(ctx, key, body, blob.Options{MediaType: "application/json", Once: true})
	if errors.Is(err, blob.ErrExists) {
		err, outcome = nil, "found"
	}
	if err != nil {
		return err
	}
	if !j.DeletedAt.IsZero() {
		if err := s.clear(ctx, j, key); err != nil {
			return err
		}
	}
	if s.files.WithLabelValues(outcome).Inc(); outcome == "written" {
		ended := j.EndedAt
		if j.DeletedAt.After(ended) {
			ended = j.DeletedAt
		}
		s.lag.Observe(max(0, time.Since(ended).Seconds()))
	}
	return nil
}

// clear removes what was kept of a job before a key.
func (s *Sink) clear(ctx context.Context, j *schemas.JobSnapshot, key string) error {
	var old []string
	err := s.objects.List(ctx, schemas.JobFilesPrefix(j.Tenant, j.JobID), func(o blob.Object) bool {
		if o.Key < key {
			old = append(old, o.Key)
		}
		return true
	})
	for _, k := range old {
		err = errors.Join(err, s.objects.Delete(ctx, k))
	}
	return err
}

// archived is the fact that says so.
func (s *Sink) archived(j *schemas.JobSnapshot) (*schemas.JobArchived, error) {
	state, err := s.around.Encode(j)
	if err != nil {
		return nil, err
	}
	f := &schemas.JobArchived{Head: j.Head, Version: j.Version, State: state}
	f.At = time.Now().UTC().Truncate(time.Microsecond)
	f.EventID = schemas.EventIDFor(j.JobID, j.Run, "jobs", 0, f.Kind(), j.Version)
	return f, nil
}
