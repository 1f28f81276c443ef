package view

import (
	"slices"
	"sync"
	"time"

	"docstream/internal/topology"
	"docstream/schemas"
)

// lane is a hardware class and a priority, as the lanes of the plan have them.
type lane byte

func laneOf(class, priority string) lane {
	return lane(max(0, slices.Index(topology.Classes, class))*len(topology.Priorities) + max(0, slices.Index(topology.Priorities, priority)))
}

// queue counts the jobs that nobody has opened yet, by lane and by the second they were accepted in. It grows with the time the oldest one has
// waited, not with their number (P6).
type queue struct {
	mu    sync.Mutex
	lanes map[lane]map[int64]*minute
}

// minute counts the jobs of one minute.
type minute struct {
	all     int
	seconds [60]int
}

// moved notes that a job's row changed from old to next; either may be nil. A later run comes through lanes of its own and is not counted.
func (q *queue) moved(old, next *row) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range []struct {
		r *row
		n int
	}{{old, -1}, {next, 1}} {
		if m.r != nil && m.r.status == schemas.Pending && m.r.run == 0 {
			q.add(m.r.lane, m.r.submitted, m.n)
		}
	}
}

func (q *queue) add(l lane, at time.Time, n int) {
	if q.lanes == nil {
		q.lanes = map[lane]map[int64]*minute{}
	}
	if q.lanes[l] == nil {
		q.lanes[l] = map[int64]*minute{}
	}
	name, second := split(at)
	m := q.lanes[l][name]
	if m == nil {
		m = &minute{}
		q.lanes[l][name] = m
	}
	m.all += n
	m.seconds[second] += n
	if m.all == 0 {
		delete(q.lanes[l], name)
	}
}

func split(at time.Time) (minute, second int64) {
	s := max(0, at.Unix())
	return s / 60, s % 60
}

// Position is how many jobs of its lane come before a job that nobody has opened yet, itself included: those that were accepted in an earlier
// second and wait too. 0 where it does not wait, or waits for a later run.
func (v *View) Position(s *schemas.JobSnapshot) int {
	if s.Status != schemas.Pending || s.Run != 0 {
		return 0
	}
	name, second := split(s.SubmittedAt)
	n := 1
	v.queue.mu.Lock()
	defer v.queue.mu.Unlock()
	for at, m := range v.queue.lanes[laneOf(s.Class, s.Priority)] {
		if at < name {
			n += m.all
		}
		if at == name {
			for _, k := range m.seconds[:second] {
				n += k
			}
		}
	}
	return n
}
