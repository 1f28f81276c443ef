package view

import (
	"math/bits"
	"sync"
	"time"

	"docstream/schemas"
)

// pace learns from the jobs that end how long one takes. All of it is measured: the estimate follows the machines and the documents.
type pace struct {
	mu      sync.Mutex
	live    int                       // jobs that have not ended
	service map[string][sizes]average // seconds from opened to ended, by class and size
	drain   average                   // seconds between two ends while there was work
	ended   time.Time                 // the last end seen
}

// sizes is how many size classes there are: up to 64 KiB, then four times as much each.
const sizes = 8

func sizeClass(bytes int64) int { return min(bits.Len64(uint64(max(0, bytes))>>16)/2, sizes-1) }

// average is a moving average whose first values weigh in full.
type average struct {
	value float64
	n     int
}

func (a *average) add(x float64) {
	a.n++
	a.value += (x - a.value) / float64(min(a.n, 8))
}

// moved notes that a job's row changed; s is its snapshot, nil for a submission. Only what ends while the view is live tells how fast the
// backlog drains: what was read at the start came out of order.
func (p *pace) moved(old *row, next row, s *schemas.JobSnapshot, live bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := old != nil && !schemas.Terminal(old.status), !schemas.Terminal(next.status)
	switch {
	case after && !before:
		p.live++
	case before && !after:
		p.live--
	}
	if s == nil || after || s.EndedAt.IsZero() {
		return
	}
	if !s.OpenedAt.IsZero() && (s.Status == schemas.Completed || s.Status == schemas.Partial) {
		p.learn(s.Class, s.Source.Size, s.EndedAt.Sub(s.OpenedAt))
	}
	if !s.EndedAt.After(p.ended) {
		return
	}
	from := s.SubmittedAt
	if p.ended.After(from) {
		from = p.ended
	}
	p.ended = s.EndedAt
	if live {
		p.drain.add(max(0, s.EndedAt.Sub(from).Seconds()))
	}
}

// gone notes that a job was dropped.
func (p *pace) gone(old row) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !schemas.Terminal(old.status) {
		p.live--
	}
}

func (p *pace) learn(class string, size int64, took time.Duration) {
	if p.service == nil {
		p.service = map[string][sizes]average{}
	}
	all := p.service[class]
	all[sizeClass(size)].add(max(0, took.Seconds()))
	p.service[class] = all
}

// Estimate says how long a document accepted now will take: the backlog at the pace it drains, then the document itself at the pace of
// recent ones of its class and size. A size nobody has sent yet is taken from the nearest one that was; before anything has ended it is a
// guess of a second and another for every 100 kB.
func (v *View) Estimate(class string, size int64) time.Duration {
	p := &v.pace
	p.mu.Lock()
	defer p.mu.Unlock()
	seconds := float64(p.live) * p.drain.value
	if own, ok := p.nearest(class, sizeClass(size)); ok {
		seconds += own
	} else {
		seconds += 1 + float64(size)/100e3
	}
	return time.Duration(seconds * float64(time.Second))
}

func (p *pace) nearest(class string, size int) (float64, bool) {
	all := p.service[class]
	for d := range sizes {
		for _, i := range []int{size - d, size + d} {
			if i >= 0 && i < sizes && all[i].n > 0 {
				return all[i].value, true
			}
		}
	}
	return 0, false
}
