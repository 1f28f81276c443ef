package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"docstream/internal/engine"
)

// doubler computes twice its input, and remembers the batches it saw. A row that begins with bad fails the whole batch.
type doubler struct {
	mu      sync.Mutex
	shapes  [][]int64
	entered chan struct{} // gets a token when a batch begins; nil: not asked for
	gate    chan struct{} // a batch waits here; nil: it does not
}

const bad = -1

func (d *doubler) Run(shape []int64, in []float32, use func([]engine.Tensor) error) error {
	if d.entered != nil {
		d.entered <- struct{}{}
		<-d.gate
	}
	d.mu.Lock()
	d.shapes = append(d.shapes, slices.Clone(shape))
	d.mu.Unlock()
	size := len(in) / int(shape[0])
	out := make([]float32, len(in))
	for i, v := range in {
		if v == bad && i%size == 0 {
			return errors.New("bad row")
		}
		out[i] = 2 * v
	}
	return use([]engine.Tensor{{Shape: shape, Float: out}, {Shape: []int64{shape[0]}, Int: make([]int64, shape[0])}})
}

func (d *doubler) rows() (n []int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.shapes {
		n = append(n, s[0])
	}
	return n
}

func startBatcher(t *testing.T, limits engine.Batching) *engine.Batcher {
	t.Helper()
	b, stop, ended := engine.NewBatcher(limits), make(chan struct{}), make(chan struct{})
	go func() { b.Run(stop); close(ended) }()
	t.Cleanup(func() { close(stop); <-ended })
	return b
}

// doubled calls the batcher with rows whose values tell caller and row, and checks what comes back.
func doubled(b *engine.Batcher, d *doubler, caller, rows, width int) error {
	in := make([]float32, rows*width)
	for i := range in {
		in[i] = float32(1000*caller + i)
	}
	out, err := b.Do(d, "doubler", false, []int64{int64(rows), int64(width)}, in)
	if err != nil {
		return err
	}
	if len(out) != 2 || !slices.Equal(out[0].Shape, []int64{int64(rows), int64(width)}) || len(out[1].Int) != rows {
		return fmt.Errorf("caller %d got the shapes of %v", caller, out)
	}
	for i, v := range out[0].Float {
		if v != 2*in[i] {
			return fmt.Errorf("caller %d got %v at %d, want %v", caller, v, i, 2*in[i])
		}
	}
	return nil
}

func TestRowsOfManyCallersGoTogetherAndComeBackToTheirs(t *testing.T) {
	for _, pad := range []bool{false, true} {
		b, d := startBatcher(t, engine.Batching{Rows: 4, Wait: time.Hour, Pad: pad}), &doubler{}
		const callers = 6
		for range callers {
			b.Enter()
		}
		var all sync.WaitGroup
		for c := range callers {
			all.Go(func() {
				defer b.Leave()
				for k := range 20 {
					if err := doubled(b, d, c, 1+(c+k)%7, 8*(1+k%2)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait() // an hour's wait ends as soon as nobody is left who could bring rows
		seen := d.rows()
		if slices.Max(seen) != 4 {
			t.Errorf("batches of %v rows, at most 4 are allowed and some must be full", seen)
		}
		if pad && slices.Min(seen) != 4 {
			t.Errorf("a batch was not padded: %v", seen)
		}
		s := b.Stats()
		m := s.Models["doubler"]
		if m.Rows.Count != uint64(len(seen)) || m.Wait.Count != callers*20 || s.Busy <= 0 || s.Callers != 0 {
			t.Errorf("figures %+v of %d batches", m, len(seen))
		}
	}
}

func TestARowWaitsNoLongerThanItMay(t *testing.T) {
	b, d := startBatcher(t, engine.Batching{Rows: 4, Wait: time.Millisecond}), &doubler{}
	b.Enter()
	b.Enter() // the other one never comes
	if err := doubled(b, d, 1, 1, 8); err != nil {
		t.Error(err)
	}
}

func TestRowsThatComeWhileTheDeviceIsBusyGoTogether(t *testing.T) {
	b, d := startBatcher(t, engine.Batching{Rows: 8}), &doubler{entered: make(chan struct{}, 9), gate: make(chan struct{})}
	const callers = 5
	var all sync.WaitGroup
	call := func(c int) {
		b.Enter()
		all.Go(func() {
			defer b.Leave()
			if err := doubled(b, d, c, 1, 8); err != nil {
				t.Error(err)
			}
		})
	}
	call(0)
	<-d.entered
	for c := 1; c < callers; c++ {
		call(c)
	}
	for b.Waiting() < callers {
		time.Sleep(time.Millisecond)
	}
	if b.Stats().Running <= 0 {
		t.Error("a batch that runs is not seen")
	}
	close(d.gate)
	all.Wait()
	if got := d.rows(); !slices.Equal(got, []int64{1, callers - 1}) {
		t.Errorf("batches of %v rows", got)
	}
}

func TestABadRowFailsItsCallerOnly(t *testing.T) {
	b, d := startBatcher(t, engine.Batching{Rows: 8, Wait: time.Hour}), &doubler{}
	const callers = 4
	for range callers {
		b.Enter()
	}
	var all sync.WaitGroup
	var failed atomic.Int32
	for c := range callers {
		all.Go(func() {
			defer b.Leave()
			if c > 0 {
				if err := doubled(b, d, c, 2, 8); err != nil {
					t.Error(err)
				}
				return
			}
			in := make([]float32, 16)
			in[8] = bad // the first value of the second row
			if _, err := b.Do(d, "doubler", false, []int64{2, 8}, in); err != nil {
				failed.Add(1)
			}
		})
	}
	all.Wait()
	if failed.Load() != 1 {
		t.Errorf("%d callers failed, want the one with the bad row", failed.Load())
	}
}

func TestAStoppedBatcherRefuses(t *testing.T) {
	b, stop := engine.NewBatcher(engine.Batching{Rows: 1}), make(chan struct{})
	close(stop)
	b.Run(stop)
	if err := doubled(b, &doubler{}, 0, 1, 8); err == nil {
		t.Error("a stopped batcher computed")
	}
	if _, err := b.Do(&doubler{}, "doubler", false, []int64{3}, make([]float32, 4)); err == nil {
		t.Error("four values were taken for three rows")
	}
}
