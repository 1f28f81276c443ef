package turn

import (
	"context"
	"slices"
)

// Place is a place of a queue, held or given up for a while. It is for one goroutine at a time.
type Place struct {
	queue *Queue
	claim Claim
	held  bool
	units int // since it was entered
}

// Claim is for whom it was claimed.
func (p *Place) Claim() Claim { return p.claim }

// Keep is asked between two units, and counts the next. False says that somebody who waits goes first: the holder has to leave, and may return.
func (p *Place) Keep() bool {
	q := p.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	mine := q.lane(p.claim.Lane)
	if q.precedes(p, mine) {
		return false
	}
	p.units++
	q.charge(mine)
	return true
}

// precedes reports whether somebody who waits goes before another unit of a holder.
func (q *Queue) precedes(p *Place, mine *lane) bool {
	equal := slices.ContainsFunc(mine.tenants, func(t *tenant) bool { return t.name != p.claim.Tenant })
	for _, l := range q.lanes {
		if l == mine || len(l.tenants) == 0 || !q.before(l, mine) {
			continue
		}
		if l.stride < mine.stride {
			return true
		}
		equal = true
	}
	return equal && p.units >= patience
}

// Leave gives the place up. To leave twice is to leave once.
func (p *Place) Leave() {
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	if p.held {
		p.held = false
		p.queue.leave(p.queue.lane(p.claim.Lane))
	}
}

// Return waits for a place again.
func (p *Place) Return(ctx context.Context) error {
	q := p.queue
	q.mu.Lock()
	if p.held {
		q.mu.Unlock()
		return nil
	}
	if mine := q.lane(p.claim.Lane); q.open(mine) {
		q.free--
		q.give(mine)
		p.held, p.units = true, 1
		q.mu.Unlock()
		return nil
	}
	turn := q.join(p.claim)
	q.mu.Unlock()
	select {
	case <-turn:
		p.held, p.units = true, 1
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.withdraw(p.claim, turn) {
		q.leave(q.lane(p.claim.Lane)) // a turn that came in the same moment goes to the next
	}
	return ctx.Err()
}
