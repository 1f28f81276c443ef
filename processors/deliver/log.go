package deliver

import (
	"container/heap"
	"context"
	"time"

	"docstream/internal/fault"
	"docstream/schemas"
)

// part is a partition this worker has.
type part struct {
	next int64 // the first offset that was not read
	of   schemas.Partition
	end  int64 // where it ended when it was opened: nothing is sent before it was read so far
	due  map[string]*entry
}

// What an entry is doing.
const (
	waiting = iota // in its queue
	sending        // an attempt is under way, or what came of it has not come back yet
	dropped        // newer is known, or another worker has it
)

// entry is one message that is due.
type entry struct {
	due   *schemas.WebhookDue
	part  *part
	queue *queue
	state int
	index int // in the heap of its queue
}

// queue is what waits for one receiver, the earliest first. Its entries are ordered by time; active counts attempts under way.
type queue struct {
	entries []*entry
	active  int
}

func (q *queue) Len() int           { return len(q.entries) }
func (q *queue) Less(i, j int) bool { return q.entries[i].due.NextAt.Before(q.entries[j].due.NextAt) }
func (q *queue) Swap(i, j int) {
	q.entries[i], q.entries[j] = q.entries[j], q.entries[i]
	q.entries[i].index, q.entries[j].index = i, j
}

// Push is the heap's; use push.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.index = len(q.entries)
	q.entries = append(q.entries, e)
}

// Pop is the heap's; use next.
func (q *queue) Pop() any {
	e := q.entries[len(q.entries)-1]
	q.entries = q.entries[:len(q.entries)-1]
	return e
}

func (q *queue) push(e *entry) { e.state = waiting; heap.Push(q, e) }

// next takes the earliest entry that is due and may be sent; where none is, it says how long to wait.
func (q *queue) next(now time.Time) (*entry, time.Duration) {
	if len(q.entries) == 0 {
		return nil, time.Minute
	}
	e := q.entries[0]
	if e.part.next < e.part.end {
		return nil, 100 * time.Millisecond
	}
	if wait := e.due.NextAt.Sub(now); wait > 0 {
		return nil, wait
	}
	heap.Pop(q)
	return e, 0
}

// Open begins a partition from its first record: the topic is all there is to know.
func (d *Deliver) Open(ctx context.Context, p schemas.Partition) (int64, error) {
	end, err := d.around.End(ctx, p)
	if err != nil {
		return 0, err
	}
	d.Drop(p)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.parts[p.Number] = &part{of: p, end: end, due: map[string]*entry{}}
	return -1, nil
}

// Drop forgets a partition that another worker has now. An attempt under way ends; its outcome is the same whoever writes it.
func (d *Deliver) Drop(p schemas.Partition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.parts[p.Number]; old != nil {
		for _, e := range old.due {
			d.remove(e)
		}
		delete(d.parts, p.Number)
	}
}

// remove takes an entry out of its queue.
func (d *Deliver) remove(e *entry) {
	if e.state == waiting {
		heap.Remove(e.queue, e.index)
	}
	e.state = dropped
}

// Append takes the newest record of a message.
func (d *Deliver) Append(r schemas.Record) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.parts[r.Partition]
	if p == nil {
		return nil
	}
	p.next = r.Offset + 1
	defer d.nudge()
	key := string(r.Key)
	if old := p.due[key]; old != nil {
		d.remove(old)
		delete(p.due, key)
	}
	if len(r.Value) == 0 {
		return nil
	}
	w, ok := r.Event.(*schemas.WebhookDue)
	if !ok || !schemas.ValidTenant(w.Tenant) {
		return fault.Document(schemas.RecordUndecodable, "%s", schemas.Codes[schemas.RecordUndecodable].Meaning)
	}
	if w.State != Due {
		return nil
	}
	q := d.queue(w)
	e := &entry{due: w, part: p, queue: q}
	if q.Len() >= d.cfg.Pending { // a receiver that is away for long does not fill the memory: the newest is given up, and can be sent again
		return d.overflow(e)
	}
	p.due[key] = e
	q.push(e)
	return nil
}

// overflow gives a message up at once, in its turn: it is due now, and attempt finds its queue too long.
func (d *Deliver) overflow(e *entry) error {
	d.metrics.attempts.WithLabelValues("overflowed").Inc()
	w := *e.due
	w.At = time.Now().UTC()
	w.State, w.EndedAt, w.LastError = Failed, w.At, "too many messages wait for this receiver"
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), d.cfg.Timeout)
		defer cancel()
		if err := d.around.Publish(ctx, &w); err != nil { // it stays due, and the next worker finds it
			d.log.Warn("a webhook that was given up could not be written so", "delivery", w.DeliveryID, "error", err)
		}
	}()
	return nil
}

// queue is where messages for the same receiver wait: an endpoint, or a host that jobs of one tenant name. Events whose endpoints are to be
// looked up wait for nobody but their tenant's.
func (d *Deliver) queue(w *schemas.WebhookDue) *queue {
	name := w.Tenant + "/"
	switch {
	case w.DeliveryID == "":
		name += "spread"
	case w.EndpointID != "":
		name += "endpoint/" + w.EndpointID
	default:
		name += "host/" + host(w.URL)
	}
	q := d.queues[name]
	if q == nil {
		q = &queue{}
		d.queues[name] = q
		d.metrics.receivers.Set(float64(len(d.queues)))
	}
	return q
}

// Pass says that an offset holds no record.
func (d *Deliver) Pass(p schemas.Partition, offset int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at := d.parts[p.Number]; at != nil {
		at.next = offset + 1
		d.nudge()
	}
}

// Store tells how far the topic was read, for those who watch; there is nothing to write. Queues that are idle are forgotten.
func (d *Deliver) Store(context.Context, bool) ([]schemas.Progress, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []schemas.Progress
	for _, at := range d.parts {
		if at.next > 0 {
			out = append(out, schemas.Progress{Partition: at.of, Next: at.next})
		}
	}
	waitingNow := 0
	for name, q := range d.queues {
		waitingNow += q.Len()
		if q.Len() == 0 && q.active == 0 {
			delete(d.queues, name)
		}
	}
	d.metrics.waiting.Set(float64(waitingNow))
	d.metrics.receivers.Set(float64(len(d.queues)))
	return out, nil
}

// Full is never so: what waits is bounded for each receiver.
func (d *Deliver) Full() bool { return false }
