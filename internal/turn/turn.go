// Package turn says whose turn it is: it hands a fixed number of places to those who wait for them, by the weight of their lane, and within
// a lane to one tenant after the other.
//
// The unit is what a holder does between two questions to [Place.Keep]: a page. So a document of a thousand pages holds up another one for as
// long as a page takes, and not for as long as it takes itself (P9). The places are a worker's slots and an engine's children alike.
package turn

import (
	"context"
	"slices"
	"sync"
)

// patience is how many units a holder goes on for, once it has a place, before it gives way to its equals: changing over costs something,
// opening a document again for one. To a heavier lane it gives way after each.
const patience = 4

// Claim says for whom a place is wanted. The job counts for nobody's turn.
type Claim struct{ Lane, Tenant, Job string }

type claimKey struct{}

// With returns a context whose claim this is.
func With(ctx context.Context, c Claim) context.Context {
	return context.WithValue(ctx, claimKey{}, c)
}

// claimOf is the claim of a context; the zero one, a lane of weight 1, where it has none.
func claimOf(ctx context.Context) Claim {
	c, _ := ctx.Value(claimKey{}).(Claim)
	return c
}

// Queue hands out places. While every lane waits, each has as many units as its weight in a round; a place is never free while anybody waits,
// and nobody starves. It is stride scheduling: each unit advances the pass of its lane by 1/weight, and the lowest pass goes first.
type Queue struct {
	mu    sync.Mutex
	spare int
	free  int     // below 0: so many hold a spare place
	now   float64 // the pass of the last unit: a lane that was idle begins here and has saved up no credit
	lanes map[string]*lane
}

// lane is one of those that share by weight.
type lane struct {
	stride, pass float64
	held         int       // places
	tenants      []*tenant // that wait, in the order of their turns
}

// tenant is who waits within a lane.
type tenant struct {
	name    string
	waiting []chan struct{}
}

// New returns a queue for so many places. A lane without a weight has 1.
func New(places int, weights map[string]int) *Queue {
	q := &Queue{free: places, lanes: map[string]*lane{}}
	for name, weight := range weights {
		q.lanes[name] = &lane{stride: 1 / float64(max(1, weight))}
	}
	return q
}

// Spare gives the queue places over and above, for those of a lane that is heavier than the lanes of all who hold one. Where the places are
// there to bound what is in memory, and not what is scarce, urgent work so comes to wait for the scarce thing at once, before others do.
func (q *Queue) Spare(places int) *Queue {
	q.spare = places
	return q
}

// Enter waits for a place. Who has it must leave it.
func (q *Queue) Enter(ctx context.Context) (*Place, error) {
	p := &Place{queue: q, claim: claimOf(ctx)}
	return p, p.Return(ctx)
}

// Try takes a place that is free; nil: none is.
func (q *Queue) Try(ctx context.Context) *Place {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.free == 0 {
		return nil
	}
	p := &Place{queue: q, claim: claimOf(ctx), held: true, units: 1}
	q.free--
	q.give(q.lane(p.claim.Lane))
	return p
}

// Waiting is how many wait for a place.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, l := range q.lanes {
		for _, t := range l.tenants {
			n += len(t.waiting)
		}
	}
	return n
}

func (q *Queue) lane(name string) *lane {
	l := q.lanes[name]
	if l == nil {
		l = &lane{stride: 1}
		q.lanes[name] = l
	}
	return l
}

// open reports whether a lane may have a place at once.
func (q *Queue) open(mine *lane) bool {
	if q.free > 0 || q.free <= -q.spare {
		return q.free > 0
	}
	for _, l := range q.lanes {
		if l.held > 0 && l.stride <= mine.stride {
			return false
		}
	}
	return true
}

// give counts a place of a lane, and its first unit.
func (q *Queue) give(l *lane) {
	l.held++
	q.charge(l)
}

// charge counts a unit of a lane.
func (q *Queue) charge(l *lane) {
	l.pass = q.standing(l)
	q.now = max(q.now, l.pass)
	l.pass += l.stride
}

// standing is the pass a lane has among those that wait. One that was left behind while it was idle waits for one unit, as if it had had one now.
func (q *Queue) standing(l *lane) float64 {
	if len(l.tenants) > 0 || l.pass > q.now {
		return l.pass
	}
	return q.now + l.stride
}

// first is the lane whose turn is next; nil: nobody waits.
func (q *Queue) first() *lane {
	var best *lane
	for _, l := range q.lanes {
		if len(l.tenants) > 0 && (best == nil || q.before(l, best)) {
			best = l
		}
	}
	return best
}

// before reports whether one lane goes before another; of two that stand equal the heavier does.
func (q *Queue) before(l, other *lane) bool {
	a, b := q.standing(l), q.standing(other)
	return a < b || a == b && l.stride < other.stride
}

// join puts a waiter behind those of its tenant, and a tenant that did not wait behind the others of its lane.
func (q *Queue) join(c Claim) chan struct{} {
	l, turn := q.lane(c.Lane), make(chan struct{})
	l.pass = q.standing(l)
	i := slices.IndexFunc(l.tenants, func(t *tenant) bool { return t.name == c.Tenant })
	if i < 0 {
		i = len(l.tenants)
		l.tenants = append(l.tenants, &tenant{name: c.Tenant})
	}
	l.tenants[i].waiting = append(l.tenants[i].waiting, turn)
	return turn
}

// leave takes a place back from a lane and hands it on; a spare one is gone with it.
func (q *Queue) leave(from *lane) {
	from.held--
	l := q.first()
	if l == nil || q.free < 0 {
		q.free++
		return
	}
	t := l.tenants[0]
	turn := t.waiting[0]
	q.give(l)
	t.waiting = t.waiting[1:]
	l.tenants = l.tenants[1:]
	if len(t.waiting) > 0 {
		l.tenants = append(l.tenants, t)
	}
	close(turn)
}

// withdraw takes a waiter out; false says that its turn has come meanwhile.
func (q *Queue) withdraw(c Claim, turn chan struct{}) bool {
	l := q.lane(c.Lane)
	for i, t := range l.tenants {
		if at := slices.Index(t.waiting, turn); at >= 0 {
			if t.waiting = slices.Delete(t.waiting, at, at+1); len(t.waiting) == 0 {
				l.tenants = slices.Delete(l.tenants, i, i+1)
			}
			return true
		}
	}
	return false
}
