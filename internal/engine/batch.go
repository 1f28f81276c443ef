package engine

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Batching bounds how rows of many callers go through a model together. A row is one line of text, or one page.
type Batching struct {
	Rows int           // of one batch, at most
	Wait time.Duration // of a row for others, at most
	// Pad fills every batch of one row's shape up to the same number of rows. A device that picks its kernels by the number of rows may
	// round differently for another number; padded, the neighbours of a row cannot change it (P5). A CPU needs no padding.
	Pad bool
}

// batchFloats bounds the input of one batch: rows above a quarter of it, such as a page that lines are looked for on, go nearly alone,
// because one of them fills a device.
const batchFloats = 4 << 20

// Computer computes the outputs of one input whose first dimension counts rows, as [Model] does.
type Computer interface {
	Run(shape []int64, in []float32, use func(out []Tensor) error) error
}

// Batcher gathers rows of one shape from all callers and computes them together, one batch at a time: pages and documents share a device.
// It waits for more rows only while somebody is left who could bring some. Its methods are for any goroutine.
type Batcher struct {
	limits Batching

	mu      sync.Mutex
	changed chan struct{} // holds a token while there is news for the pump
	groups  []*batchGroup // with rows that wait, the longest waiting first
	callers int
	waiting int // callers without their result
	closed  bool
	since   time.Time // when the batch that runs began; zero: none
	stats   DeviceStats
	input   []float32
}

// batchGroup are the rows that can go together.
type batchGroup struct {
	model Computer
	name  string
	shape []int64 // of one row: its first dimension is 1
	rows  int     // of a batch
	asks  []*ask
}

// ask is what one caller wants.
type ask struct {
	in      []float32
	rows    int
	sent    int // rows that are in a batch or behind one
	left    int // rows without a result
	arrived time.Time
	out     []Tensor
	err     error
	done    chan struct{}
}

// NewBatcher makes a batcher; [Batcher.Run] must run for it to work.
func NewBatcher(limits Batching) *Batcher {
	return &Batcher{limits: limits, changed: make(chan struct{}, 1), stats: DeviceStats{Models: map[string]*ModelStats{}}}
}

// Enter announces a caller, Leave takes it back: a caller has at most one call under way.
func (b *Batcher) Enter() { b.count(1) }

// Leave is the end of a caller.
func (b *Batcher) Leave() { b.count(-1) }

func (b *Batcher) count(n int) {
	b.mu.Lock()
	b.callers += n
	b.mu.Unlock()
	b.wake()
}

func (b *Batcher) wake() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// Do computes rows of a model; the first dimension of shape counts them. name is the model's in the figures; alone says that its graph
// takes one row at a time. The tensors are the caller's own. An error of a batch concerns each of its callers only if its rows fail
// without the others too (P7).
func (b *Batcher) Do(model Computer, name string, alone bool, shape []int64, in []float32) ([]Tensor, error) {
	if len(shape) == 0 || shape[0] < 1 || len(in) == 0 || len(in)%int(shape[0]) != 0 {
		return nil, fmt.Errorf("%d floats are not rows of %v", len(in), shape)
	}
	a := &ask{in: in, rows: int(shape[0]), left: int(shape[0]), arrived: time.Now(), done: make(chan struct{})}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil, errors.New("the device is stopping")
	}
	b.waiting++
	g := b.group(model, name, alone, shape, len(in)/a.rows)
	g.asks = append(g.asks, a)
	b.mu.Unlock()
	b.wake()
	<-a.done
	return a.out, a.err
}

// group finds or makes the group of a model and shape. b.mu is held.
func (b *Batcher) group(model Computer, name string, alone bool, shape []int64, size int) *batchGroup {
	one := slices.Clone(shape)
	one[0] = 1
	for _, g := range b.groups {
		if g.model == model && slices.Equal(g.shape, one) {
			return g
		}
	}
	g := &batchGroup{model: model, name: name, shape: one, rows: max(1, min(b.limits.Rows, batchFloats/size))}
	if alone {
		g.rows = 1
	}
	b.groups = append(b.groups, g)
	return g
}

// Run computes batches until stop is closed, then fails what waits.
func (b *Batcher) Run(stop <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		part, wait := b.next(time.Now())
		if part != nil {
			b.compute(part)
			continue
		}
		timer.Reset(wait)
		select {
		case <-stop:
			b.end()
			return
		case <-b.changed:
		case <-timer.C:
		}
	}
}

// batchPart is rows of one group that are computed together.
type batchPart struct {
	group *batchGroup
	asks  []*ask
	from  []int // the first row of each ask
	rows  []int // how many of each
}

// next takes the rows of the next batch, or says how long to wait for more.
func (b *Batcher) next(now time.Time) (*batchPart, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wait := time.Hour
	for i, g := range b.groups {
		rows := 0
		for _, a := range g.asks {
			rows += a.rows - a.sent
		}
		left := b.limits.Wait - now.Sub(g.asks[0].arrived)
		if rows < g.rows && left > 0 && b.waiting < b.callers {
			wait = min(wait, left)
			continue
		}
		p := b.take(g, now)
		if len(g.asks) == 0 {
			b.groups = slices.Delete(b.groups, i, i+1)
		}
		b.since = now
		return p, 0
	}
	return nil, wait
}

// take moves rows from a group into a batch. b.mu is held.
func (b *Batcher) take(g *batchGroup, now time.Time) *batchPart {
	p, room := &batchPart{group: g}, g.rows
	m := b.stats.model(g.name)
	for room > 0 && len(g.asks) > 0 {
		a := g.asks[0]
		n := min(room, a.rows-a.sent)
		p.asks, p.from, p.rows = append(p.asks, a), append(p.from, a.sent), append(p.rows, n)
		if a.sent == 0 {
			m.Wait.observe(now.Sub(a.arrived).Seconds())
		}
		a.sent, room = a.sent+n, room-n
		if a.sent == a.rows {
			g.asks = g.asks[1:]
		}
	}
	m.Rows.observe(float64(g.rows - room))
	return p
}

// compute runs a batch and hands its rows out.
func (b *Batcher) compute(p *batchPart) {
	start := time.Now()
	err := b.attempt(p)
	if err != nil && len(p.asks) > 1 {
		for i, a := range p.asks { // whose fault is it?
			if e := b.attempt(&batchPart{p.group, p.asks[i : i+1], p.from[i : i+1], p.rows[i : i+1]}); e != nil {
				a.err = e
			}
		}
	} else if err != nil {
		p.asks[0].err = err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.since = time.Time{}
	b.stats.Busy += time.Since(start)
	for i, a := range p.asks {
		if a.left -= p.rows[i]; a.left == 0 {
			b.waiting--
			close(a.done)
		}
	}
}

// attempt computes a batch once.
func (b *Batcher) attempt(p *batchPart) error {
	size := len(p.asks[0].in) / p.asks[0].rows
	rows := 0
	for _, n := range p.rows {
		rows += n
	}
	all := rows
	if b.limits.Pad {
		all = p.group.rows
	}
	in := p.asks[0].in // of a single ask nothing is copied
	if len(p.asks) > 1 || all > rows {
		if cap(b.input) < all*size {
			b.input = make([]float32, all*size)
		}
		in = b.input[:all*size]
		at := 0
		for i, a := range p.asks {
			at += copy(in[at:], a.in[p.from[i]*size:(p.from[i]+p.rows[i])*size])
		}
		clear(in[at:])
	} else {
		in = in[p.from[0]*size : (p.from[0]+rows)*size]
	}
	shape := slices.Clone(p.group.shape)
	shape[0] = int64(all)
	return p.group.model.Run(shape, in, func(out []Tensor) error {
		at := 0
		for i, a := range p.asks {
			if err := a.fill(out, all, at, p.from[i], p.rows[i]); err != nil {
				return err
			}
			at += p.rows[i]
		}
		return nil
	})
}

// fill copies n rows of the outputs of a batch of all rows, those from at on, to the rows from to on of an ask.
func (a *ask) fill(out []Tensor, all, at, to, n int) error {
	if all == 1 && a.rows == 1 { // whatever its shape, it is all this ask's
		a.out = make([]Tensor, len(out))
		for i, t := range out {
			a.out[i] = Tensor{slices.Clone(t.Shape), slices.Clone(t.Float), slices.Clone(t.Int)}
		}
		return nil
	}
	for _, t := range out {
		if len(t.Shape) == 0 || int(t.Shape[0]) != all {
			return fmt.Errorf("an output of the shape %v is not %d rows", t.Shape, all)
		}
	}
	if a.out == nil {
		a.out = make([]Tensor, len(out))
		for i, t := range out {
			shape := slices.Clone(t.Shape)
			shape[0] = int64(a.rows)
			a.out[i] = Tensor{shape, make([]float32, len(t.Float)/all*a.rows), make([]int64, len(t.Int)/all*a.rows)}
		}
	}
	for i, t := range out {
		f, k := len(t.Float)/all, len(t.Int)/all
		copy(a.out[i].Float[to*f:], t.Float[at*f:(at+n)*f])
		copy(a.out[i].Int[to*k:], t.Int[at*k:(at+n)*k])
	}
	return nil
}

// end fails every ask that waits.
func (b *Batcher) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, g := range b.groups {
		for _, a := range g.asks {
			a.err = errors.New("the device is stopping")
			close(a.done)
		}
	}
	b.groups = nil
}

// Stats are the figures so far.
func (b *Batcher) Stats() DeviceStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := DeviceStats{Callers: b.callers, Busy: b.stats.Busy, Models: map[string]*ModelStats{}}
	if !b.since.IsZero() {
		out.Running = time.Since(b.since)
	}
	for name, m := range b.stats.Models {
		out.Models[name] = &ModelStats{m.Rows.clone(), m.Wait.clone()}
	}
	return out
}
