// Package s3 is the sink that keeps the log: every record of the lanes, facts, job events and usage, byte for byte, as Avro object
// container files that any Avro tool reads.
//
// Each partition of a topic is a chain of files. A file is named by the offset it begins with, which is where the one before it ends, and is
// written once or not at all: so whoever may write at a time, there is one file for each stretch of the log, with no gap and no overlap. Who
// finds its file written already takes that one for its own and goes on where it ends.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/schemas"
)

// Objects is what the archive needs of an object store.
type Objects interface {
	Put(ctx context.Context, key string, body []byte, o blob.Options) error
	Upload(ctx context.Context, key string, body io.Reader, o blob.Options) error
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error)
	List(ctx context.Context, prefix string, f func(blob.Object) bool) error
}

// Sink archives the partitions that are opened. Calls for different partitions may run at once.
type Sink struct {
	cfg     Config
	objects Objects
	log     *slog.Logger
	metrics *metrics
	held    atomic.Int64

	mu    sync.Mutex
	parts map[place]*partition
}

// place is where a partition's records are appended to, whatever the topic's id.
type place struct {
	topic  string
	number int32
}

// partition is a chain that is being written.
type partition struct {
	mu    sync.Mutex
	at    schemas.Partition
	epoch int
	next  int64   // the offset after the last record that is held or stored
	files []*file // in their order; only the last one may grow
}

// New returns a sink that makes no call yet. reg may be nil.
func New(cfg Config, objects Objects, log *slog.Logger, reg prometheus.Registerer) *Sink {
	s := &Sink{cfg: cfg, objects: objects, log: log, parts: map[place]*partition{}}
	s.metrics = newMetrics(reg, func() float64 { return float64(s.held.Load()) }, func() float64 { return s.age().Seconds() })
	return s
}

// Open begins a partition and returns the offset it is archived up to, -1 where nothing of it is. What was held of it is forgotten.
func (s *Sink) Open(ctx context.Context, at schemas.Partition) (int64, error) {
	s.Drop(at)
	pos, found, err := s.position(ctx, at)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts[place{at.Topic, at.Number}] = &partition{at: at, epoch: pos.Epoch, next: pos.Next}
	if !found {
		return -1, nil
	}
	return pos.Next, nil
}

// Drop forgets a partition and what is held of it: another worker has it now and reads those records again.
func (s *Sink) Drop(at schemas.Partition) {
	s.mu.Lock()
	p := s.parts[place{at.Topic, at.Number}]
	delete(s.parts, place{at.Topic, at.Number})
	s.mu.Unlock()
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		s.forget(p)
	}
}

// forget lets go of the files of a partition.
func (s *Sink) forget(p *partition) {
	for _, f := range p.files {
		s.held.Add(-f.size())
	}
	p.files = nil
}

// Append takes the next record of an open partition; one that is archived already is passed over. An error says that no file can hold the
// record; the next ones can be appended all the same.
func (s *Sink) Append(r schemas.Record) error {
	s.mu.Lock()
	p := s.parts[place{r.Topic, r.Partition}]
	s.mu.Unlock()
	if p == nil {
		return nil // another worker has it
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Offset < p.next {
		return nil
	}
	for _, h := range r.Headers {
		if !utf8.ValidString(h.Key) {
			return fault.Document(schemas.RecordUndecodable, "The name of a header is no UTF-8.")
		}
	}
	f, err := s.growing(p, dayOf(r.Timestamp))
	if err != nil {
		return err
	}
	before := f.size()
	err = f.add(&r)
	s.held.Add(f.size() - before)
	if err != nil {
		return fault.Puzzle(schemas.StageFailed, "The record cannot be archived.").Because(err)
	}
	p.next = f.Next
	if f.full(s.cfg.FileBytes) {
		s.ended(f)
	}
	return nil
}

// Pass notes that no record lies at an offset. Only a file that is not stored yet can say so: where there is none, the next one begins
// before the offset, as it does for everybody.
func (s *Sink) Pass(at schemas.Partition, offset int64) {
	s.mu.Lock()
	p := s.parts[place{at.Topic, at.Number}]
	s.mu.Unlock()
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.files); n > 0 && offset >= p.next {
		p.next = offset + 1
		p.files[n-1].Next = p.next
	}
}

// growing returns the file that takes the next record: a file never spans days.
func (s *Sink) growing(p *partition, day string) (*file, error) {
	if n := len(p.files); n > 0 {
		last := p.files[n-1]
		if !last.sealed && last.day == day {
			return last, nil
		}
		if !last.sealed {
			s.ended(last)
		}
	}
	f, err := newFile(span{Topic: p.at.Topic, TopicID: p.at.TopicID, Partition: p.at.Number, Epoch: p.epoch, First: p.next, Next: p.next}, day, time.Now())
	if err != nil {
		return nil, err
	}
	p.files = append(p.files, f)
	s.held.Add(f.size())
	return f, nil
}

func (s *Sink) seal(f *file) error {
	before := f.size()
	err := f.seal()
	s.held.Add(f.size() - before)
	return err
}

// Full reports whether the sink holds as much as it may: nothing should be appended before Store has succeeded.
func (s *Sink) Full() bool { return s.held.Load() > s.cfg.BufferBytes }

// age is how long the file that waits longest has waited.
func (s *Sink) age() time.Duration {
	var oldest time.Duration
	for _, p := range s.open() {
		p.mu.Lock()
		if len(p.files) > 0 {
			oldest = max(oldest, time.Since(p.files[0].begun))
		}
		p.mu.Unlock()
	}
	return oldest
}

func (s *Sink) open() []*partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*partition, 0, len(s.parts))
	for _, p := range s.parts {
		out = append(out, p)
	}
	return out
}

// broken says that a stored file is not what its name says.
func broken(key string, err error) error {
	return fault.World(schemas.ServiceUnavailable, "A file of the archive cannot be read.").Because(fmt.Errorf("archive: %s: %w", key, err))
}

// elsewhere reports whether an error only says that somebody wrote the object before.
func elsewhere(err error) bool { return errors.Is(err, blob.ErrExists) }
