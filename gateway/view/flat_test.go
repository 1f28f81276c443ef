package view_test

import (
	"crypto/rand"
	"io/fs"
	"path/filepath"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/gateway/view"
	"docstream/schemas"
)

// onDisk is how many bytes lie in a folder.
func onDisk(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// ended writes jobs that have ended, each with text that is like no other's, and returns them.
func (w *world) ended(n int) (jobs []string) {
	w.t.Helper()
	var all []*kgo.Record
	for range n {
		s := snapshot("acme", newJob(), 0, 3, schemas.Completed)
		s.Source = schemas.Source{SHA256: rand.Text(), MediaType: "text/plain"}
		s.Metadata = map[string]string{"note": rand.Text() + rand.Text() + rand.Text() + rand.Text()}
		all, jobs = append(all, w.record(s, 0)), append(jobs, s.JobID)
	}
	w.produce(all...)
	return jobs
}

// laidToRest writes what the fold writes of jobs that nobody need remember.
func (w *world) laidToRest(jobs []string) {
	w.t.Helper()
	var all []*kgo.Record
	for _, job := range jobs {
		all = append(all, &kgo.Record{Topic: w.plan.Name("jobs"), Key: []byte("acme/" + job)})
	}
	w.produce(all...)
}

// TestTheDiskIsThatOfTheJobsHeld: of many jobs that ended and were let go nothing is left, however many there were (P6).
func TestTheDiskIsThatOfTheJobsHeld(t *testing.T) {
	const held, rounds = 1500, 8
	w := newWorld(t)
	cfg := view.DefaultConfig()
	cfg.Dir = t.TempDir()
	round := func(do func(r *running)) int64 {
		r := w.viewWith(cfg, w.conn)
		do(r)
		r.fresh(t)
		r.stop() // brings to disk what was written last
		return onDisk(t, cfg.Dir)
	}
	jobs := w.ended(held)
	full := round(func(*running) {})
	var last int64
	for range rounds {
		last = round(func(r *running) {
			w.laidToRest(jobs)
			r.fresh(t)
			if _, there := r.Job("acme", jobs[0]); there {
				t.Fatal("a job is held that was let go")
			}
			jobs = w.ended(held)
		})
	}
	empty := round(func(*running) { w.laidToRest(jobs) })
	t.Logf("%d bytes with %d jobs; %d after %d others came and went; %d without any", full, held, last, rounds*held, empty)
	if last > 3*full {
		t.Errorf("%d bytes hold %d jobs after %d others came and went; %d held them before", last, held, rounds*held, full)
	}
}

// TestALookUpNeverGoesBack: whoever reads a job and a key while they change sees them change forwards alone, and at last as they are (P4).
func TestALookUpNeverGoesBack(t *testing.T) {
	const versions = 300
	w := newWorld(t)
	r := w.view()
	r.fresh(t)
	job := newJob()
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			last := int64(0)
			for {
				select {
				case <-done:
					return
				default:
				}
				if s, ok := r.Job("acme", job); ok && s.Version < last {
					t.Errorf("version %d after %d", s.Version, last)
					return
				} else if ok {
					last = s.Version
				} else if last > 0 {
					t.Error("it is gone")
					return
				}
			}
		})
	}
	for v := range int64(versions) {
		w.publish(snapshot("acme", job, 0, v+1, schemas.Processing))
	}
	r.fresh(t)
	close(done)
	readers.Wait()
	if s, ok := r.Job("acme", job); !ok || s.Version != versions {
		t.Errorf("at last %+v", s)
	}
	w.laidToRest([]string{job})
	r.fresh(t)
	if s, ok := r.Job("acme", job); ok {
		t.Errorf("gone, it is %+v", s)
	}
	w.publish(snapshot("acme", job, 1, 1, schemas.Processing))
	r.fresh(t)
	if s, ok := r.Job("acme", job); !ok || s.Run != 1 {
		t.Errorf("come again, it is %+v", s)
	}
}
