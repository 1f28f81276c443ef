package s3

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"docstream/internal/blob"
	"docstream/schemas"
)

// Store writes the files that are full or old enough, and the largest ones where the sink holds more than it may; with all, every file. It
// tells how far each partition came, also where it fails in the end: what was not written is still held.
func (s *Sink) Store(ctx context.Context, all bool) ([]schemas.Progress, error) {
	due := s.due(all)
	var mu sync.Mutex
	var done []schemas.Progress
	var failed []error
	var g errgroup.Group
	g.SetLimit(s.cfg.Uploads)
	for _, p := range due {
		g.Go(func() error {
			progress, err := s.drain(ctx, p)
			mu.Lock()
			defer mu.Unlock()
			done, failed = append(done, progress...), append(failed, err)
			return nil
		})
	}
	_ = g.Wait() // no function returns an error
	return done, errors.Join(failed...)
}

// due seals what is to be written and lists the partitions that have something of it.
func (s *Sink) due(all bool) []*partition {
	var out, open []*partition
	sizes := map[*partition]int64{}
	over := s.held.Load() - s.cfg.BufferBytes
	for _, p := range s.open() {
		p.mu.Lock()
		if n := len(p.files); n > 0 {
			last := p.files[n-1]
			if all || time.Since(last.begun) >= s.cfg.FileAge {
				s.ended(last)
			}
			if p.files[0].sealed {
				out = append(out, p)
			} else {
				sizes[p] = last.size()
				open = append(open, p)
			}
			for _, f := range p.files {
				if f.sealed {
					over -= f.size()
				}
			}
		}
		p.mu.Unlock()
	}
	slices.SortFunc(open, func(a, b *partition) int { return cmp.Compare(sizes[b], sizes[a]) })
	for _, p := range open {
		if over <= 0 {
			break
		}
		p.mu.Lock()
		if n := len(p.files); n > 0 {
			over -= p.files[n-1].size()
			s.ended(p.files[n-1])
			out = append(out, p)
		}
		p.mu.Unlock()
	}
	return out
}

// ended seals a file; where that fails, drain gives it up.
func (s *Sink) ended(f *file) { f.broken = s.seal(f) }

// drain writes the sealed files of a partition, one after the other: each begins where the one before it ends.
func (s *Sink) drain(ctx context.Context, p *partition) (done []schemas.Progress, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.files) > 0 && p.files[0].sealed {
		f := p.files[0]
		if f.broken != nil { // its records are read again
			s.forget(p)
			p.next = f.First
			return append(done, schemas.Progress{Partition: p.at, Next: p.next, Moved: true}), f.broken
		}
		won, err := s.upload(ctx, f)
		if err != nil {
			return done, err
		}
		if !won {
			if err := s.adopt(ctx, p, f.key()); err != nil {
				return done, err
			}
			return append(done, schemas.Progress{Partition: p.at, Next: p.next, Moved: true}), nil
		}
		s.held.Add(-f.size())
		p.files = slices.Delete(p.files, 0, 1)
		done = append(done, schemas.Progress{Partition: p.at, Next: f.Next})
		if err := s.note(ctx, f.key(), f.span); err != nil {
			return done, err
		}
	}
	return done, nil
}

// upload writes a file unless there is one of its name already. A write whose answer got lost finds itself, which is as good.
func (s *Sink) upload(ctx context.Context, f *file) (won bool, err error) {
	body, err := f.reader()
	if err != nil {
		return false, err
	}
	err = s.objects.Upload(ctx, f.key(), body, blob.Options{MediaType: "application/avro", Once: true})
	switch {
	case elsewhere(err):
		s.metrics.files.WithLabelValues(f.Topic, "found").Inc()
		return false, nil
	case err != nil:
		return false, err
	}
	s.metrics.files.WithLabelValues(f.Topic, "written").Inc()
	s.metrics.bytes.WithLabelValues(f.Topic).Add(float64(f.body.n))
	s.log.DebugContext(ctx, "archived", "file", f.key(), "records", f.Records, "next", f.Next, "bytes", f.body.n)
	return true, nil
}

// adopt takes over the file that stands where ours would: all that is held of the partition is forgotten, and reading goes on where that
// file ends. A file of another topic of the same name means that this topic was made anew: its chain begins in the next epoch.
func (s *Sink) adopt(ctx context.Context, p *partition, key string) error {
	theirs, err := look(ctx, s.objects, key)
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "this part of the log is archived already", "file", key, "next", theirs.Next)
	if theirs.TopicID != p.at.TopicID {
		pos, _, err := s.locate(ctx, p.at)
		if err != nil {
			return err
		}
		s.forget(p)
		p.epoch, p.next = pos.Epoch, pos.Next
		return nil
	}
	if err := s.note(ctx, key, theirs); err != nil {
		return err
	}
	s.forget(p)
	p.next = theirs.Next
	return nil
}
