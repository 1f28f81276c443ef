package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"docstream/internal/blob"
	"docstream/schemas"
)

const (
	liveBatches  = 8 // worked on at once; the others wait
	itemsAtOnce  = 8 // of all batches: a line may hold a whole document (P6)
	feedPause    = time.Second
	longestPause = 10 * time.Second // between two looks whether what keeps an item waiting is over
)

// FeedBatches submits the items of the batches and counts what becomes of them, until ctx ends; call it on one replica at a time, see
// producers/holder. wake says that a batch may have changed. What it does it may do twice: an item is one job, whoever submits it.
func (g *Gateway) FeedBatches(ctx context.Context, wake <-chan struct{}) {
	var all sync.WaitGroup
	defer all.Wait()
	defer g.metrics.batches.Set(0)
	var mu sync.Mutex
	working, slots := map[string]bool{}, make(chan struct{}, itemsAtOnce)
	for {
		live, err := g.liveBatches(ctx)
		if err != nil && ctx.Err() == nil {
			g.log.Warn("the batches cannot be looked up now", "error", err)
		}
		if err == nil {
			g.metrics.batches.Set(float64(len(live)))
		}
		for _, e := range live {
			mu.Lock()
			begin := !working[e.BatchID] && len(working) < liveBatches
			if begin {
				working[e.BatchID] = true
			}
			mu.Unlock()
			if begin {
				all.Go(func() {
					g.feed(ctx, e, slots)
					mu.Lock()
					delete(working, e.BatchID)
					mu.Unlock()
				})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-time.After(5 * time.Second):
		}
	}
}

func (g *Gateway) liveBatches(ctx context.Context) ([]*schemas.BatchChanged, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := g.view.Fresh(ctx); err != nil {
		return nil, err
	}
	return g.view.LiveBatches()
}

// feed works on a batch until it has ended or ctx has; what fails is tried again from where it stands.
func (g *Gateway) feed(ctx context.Context, e *schemas.BatchChanged, slots chan struct{}) {
	log := g.log.With("batch", e.BatchID, "tenant", e.Tenant)
	log.Info("a batch is worked on", "items", e.Items, "fed", e.Fed)
	own := *e
	f := &feeding{g: g, e: &own, slots: slots, log: log}
	for wait := time.Second; ctx.Err() == nil; wait = min(2*wait, 30*time.Second) {
		err := f.run(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			log.Info("a batch has ended", "status", f.e.Status)
			return
		}
		log.Warn("a batch waits", "error", err, "wait", wait.String())
		pause(ctx, wait, nil)
	}
}

// notes is what is remembered of a chunk of items beyond what the jobs say themselves: why items were refused, and how the jobs of a chunk that is
// done ended, which outlasts the jobs.
type notes struct {
	Refused map[int]itemError `json:"refused,omitempty"` // by number of the item, from 0
	Ended   map[int]string    `json:"ended,omitempty"`
}

// itemError says why an item became no job.
type itemError struct {
	Code    schemas.Code   `json:"code"`
	Message string         `json:"message"`
	Details map[string]any `json:"details,omitempty"`
}

// notesKey is where the notes on the chunk of an item lie.
func notesKey(e *schemas.BatchChanged, item int) string {
	return schemas.BatchKey(e.Tenant, e.BatchID, "notes/"+strconv.Itoa(item/itemChunk)+".json")
}

// readNotes reads the notes on a chunk; none where nothing was noted.
func (g *Gateway) readNotes(ctx context.Context, e *schemas.BatchChanged, item int) (n notes, err error) {
	body, _, err := g.objects.Get(ctx, notesKey(e, item), 0, 0)
	if errors.Is(err, blob.ErrNotFound) {
		return n, nil
	}
	if err != nil {
		return n, err
	}
	defer body.Close()
	return n, json.NewDecoder(body).Decode(&n)
}

// indexes keeps those that were read lately: who lists the items of a batch comes for page after page. An index is written once, under a key of its
// own. What is kept is not to be changed.
type indexes struct {
	mu   sync.Mutex
	kept halves[string, []batchItem]
}

// maxIndexes bounds the bytes of the young half: a few of the largest.
const maxIndexes = 8 << 20

// readIndex reads the items of a batch.
func (g *Gateway) readIndex(ctx context.Context, e *schemas.BatchChanged) ([]batchItem, error) {
	x := &g.indexes
	x.mu.Lock()
	items, ok := x.kept.find(e.Index)
	x.mu.Unlock()
	if ok {
		return items, nil
	}
	items, err := g.fetchIndex(ctx, e)
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.kept.most = maxIndexes
	size := 0
	for _, i := range items {
		size += 64 + len(i.CustomID) + len(i.JobID)
	}
	x.kept.add(e.Index, items, size)
	return items, nil
}

func (g *Gateway) fetchIndex(ctx context.Context, e *schemas.BatchChanged) ([]batchItem, error) {
	body, _, err := g.objects.Get(ctx, e.Index, 0, 0)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, refuse(schemas.ResultExpired, "The items of the batch are no longer kept.").because(err)
	}
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return readItems(body)
}

// feeding is one batch being worked on.
type feeding struct {
	g     *Gateway
	e     *schemas.BatchChanged // how it stands: what is durable, and what has come since
	slots chan struct{}
	log   interface{ Warn(string, ...any) }

	items   []batchItem
	stands  []string // where each item stands; empty: nobody knows yet
	chunks  map[int]*notes
	told    map[int]bool  // items whose job was asked to stop
	paged   [][3]int      // total, done and failed pages of each item's job
	took    time.Duration // to count
	zip     *zipSource
	changed bool // what is durable is older than e
	dropped bool
	saved   time.Time
}

// run feeds what is left and waits for the ends.
func (f *feeding) run(ctx context.Context) error {
	if err := f.load(ctx); err != nil {
		return f.lost(ctx, err)
	}
	for ctx.Err() == nil {
		f.heed()
		if f.e.CancelledAt.IsZero() && f.e.Fed < f.e.Items {
			if err := f.chunk(ctx); err != nil {
				return err
			}
		} else {
			pause(ctx, max(feedPause, 10*f.took), nil) // a large batch is not looked at all the time
		}
		began := time.Now()
		done, err := f.count(ctx)
		f.took = time.Since(began)
		if err != nil {
			return err
		}
		if done {
			f.e.Status, f.e.EndedAt, f.e.WaitingFor, f.changed = batchCompleted, time.Now().UTC().Truncate(time.Microsecond), "", true
			if !f.e.CancelledAt.IsZero() {
				f.e.Status = batchCancelled
			}
		}
		if err := f.save(ctx, done || f.e.Fed < f.e.Items); err != nil {
			return err
		}
		if err := f.drop(ctx, done); err != nil || done {
			return err
		}
	}
	return ctx.Err()
}

// lost ends a batch whose objects have gone: their age has removed them.
func (f *feeding) lost(ctx context.Context, err error) error {
	var r *refusal
	if !errors.As(err, &r) || r.code != schemas.ResultExpired {
		return err
	}
	f.e.Status, f.e.EndedAt, f.changed = batchCancelled, time.Now().UTC().Truncate(time.Microsecond), true
	return f.save(ctx, true)
}

// load reads the index and what was noted.
func (f *feeding) load(ctx context.Context) (err error) {
	if f.items != nil {
		return nil
	}
	items, err := f.g.readIndex(ctx, f.e)
	if err != nil {
		return err
	}
	f.stands, f.paged, f.chunks, f.told = make([]string, len(items)), make([][3]int, len(items)), map[int]*notes{}, map[int]bool{}
	for first := 0; first < min(int(f.e.Fed)+itemChunk, len(items)); first += itemChunk {
		n, err := f.g.readNotes(ctx, f.e, first)
		if err != nil {
			return err
		}
		f.chunks[first] = &n
		if first+itemChunk > int(f.e.Fed) && first >= int(f.e.Fed) {
			continue // it will be looked at anew
		}
		for i := range n.Refused {
			f.stands[i] = itemRefused
		}
		for i, status := range n.Ended {
			f.stands[i] = status
		}
	}
	if f.e.Form == formZip {
		f.zip = &zipSource{g: f.g, e: f.e}
	}
	f.items = items
	return nil
}

// heed takes over a cancellation.
func (f *feeding) heed() {
	if now, ok := f.g.view.Batch(f.e.Tenant, f.e.BatchID); ok && now.Version > f.e.Version {
		f.e.Version, f.e.CancelledAt = now.Version, now.CancelledAt
	}
}

// save makes durable how the batch stands, at most once in a while unless it must.
func (f *feeding) save(ctx context.Context, must bool) error {
	if !f.changed || !must && time.Since(f.saved) < feedPause {
		return nil
	}
	f.heed()
	stampBatch(f.e)
	own := *f.e // an event that is being written is not written on
	if err := f.g.producer.Publish(ctx, &own, ""); err != nil {
		return err
	}
	f.changed, f.saved = false, time.Now()
	return nil
}

// drop removes what was sent once nobody will read it any more, so that a document is gone with its job. Who the items are stays.
func (f *feeding) drop(ctx context.Context, done bool) error {
	if f.changed || f.dropped || !done && f.e.Fed < f.e.Items {
		return nil
	}
	err := f.g.objects.Delete(ctx, f.e.Object)
	f.dropped = err == nil
	return err
}

// chunk submits the next items, up to the end of their chunk, and notes which were refused.
func (f *feeding) chunk(ctx context.Context) error {
	from := int(f.e.Fed)
	first := from / itemChunk * itemChunk
	to := min(first+itemChunk, len(f.items))
	if f.chunks[first] == nil {
		f.chunks[first] = &notes{}
	}
	refused := make([]*refusal, to-from)
	each, within := errgroup.WithContext(ctx)
	for i := from; i < to; i++ {
		select {
		case f.slots <- struct{}{}:
		case <-within.Done():
		}
		if within.Err() != nil {
			break
		}
		each.Go(func() (err error) {
			defer func() { <-f.slots }()
			refused[i-from], err = f.persist(within, i)
			return err
		})
	}
	if err := each.Wait(); err != nil || ctx.Err() != nil {
		if errors.Is(err, errStopped) {
			return nil
		}
		return errors.Join(err, ctx.Err())
	}
	n := f.chunks[first]
	for k, r := range refused {
		if r == nil {
			continue
		}
		if n.Refused == nil {
			n.Refused = map[int]itemError{}
		}
		n.Refused[from+k] = itemError{Code: r.code, Message: r.message, Details: r.details}
		f.stands[from+k] = itemRefused
		f.g.metrics.items.WithLabelValues(itemRefused).Inc()
	}
	if len(n.Refused) > 0 {
		if err := f.note(ctx, first); err != nil {
			return err
		}
	}
	f.e.Fed, f.e.WaitingFor, f.changed = int64(to), "", true
	return nil
}

func (f *feeding) note(ctx context.Context, first int) error {
	b, err := json.Marshal(f.chunks[first])
	if err != nil {
		panic(err) // our own types: cannot fail
	}
	return f.g.objects.Put(ctx, notesKey(f.e, first), b, blob.Options{MediaType: "application/json"})
}

// errStopped says that a batch was cancelled while an item waited.
var errStopped = errors.New("cancelled")

// persist submits an item, and waits where it cannot be taken now: for a place, for the tenant's quota, for a part of the service. What an
// item itself is refused for comes back.
func (f *feeding) persist(ctx context.Context, i int) (*refusal, error) {
	for unforeseen := 0; ; {
		err := f.submit(ctx, i)
		if err == nil {
			return nil, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r := refusalOf(err)
		switch r.code {
		case schemas.ServiceUnavailable, schemas.TooManyJobs, schemas.QuotaExceeded, schemas.RateLimited:
		case schemas.Internal:
			if unforeseen++; unforeseen > 3 {
				f.log.Warn("an item of a batch fails for a reason nobody foresaw", "item", i, "error", err)
				return r, nil
			}
		default:
			return r, nil
		}
		if err := f.wait(ctx, r); err != nil {
			return nil, err
		}
	}
}

// wait says why the batch waits, and waits a little.
func (f *feeding) wait(ctx context.Context, r *refusal) error {
	pause(ctx, min(max(r.after, 100*time.Millisecond), longestPause), nil)
	if now, ok := f.g.view.Batch(f.e.Tenant, f.e.BatchID); ok && !now.CancelledAt.IsZero() {
		return errStopped
	}
	return ctx.Err()
}

// submit makes an item the job that its name stands for; one that is a job already is left alone.
func (f *feeding) submit(ctx context.Context, i int) error {
	g, item := f.g, f.items[i]
	if s, known := g.view.Job(f.e.Tenant, item.JobID); known && s.Metadata[batchLabel] == f.e.BatchID {
		return nil
	}
	if err := g.room(ctx, f.e.Tenant); err != nil {
		return err
	}
	u := &upload{g: g, tenant: f.e.Tenant, options: defaultOptions(), asked: f.e.CreatedAt}
	for name, value := range f.e.Defaults {
		if err := u.options.set(name, value); err != nil {
			return err
		}
	}
	if err := f.receive(ctx, u, item); err != nil {
		u.discard(ctx)
		return err
	}
	if err := u.label(f.e.BatchID, item.CustomID); err != nil {
		u.discard(ctx)
		return err
	}
	who := asker{requestID: f.e.RequestID, apiKey: f.e.RequestedBy, path: "batch", named: func(string) {},
		once: &once{g: g, tenant: f.e.Tenant, key: itemKey(f.e.BatchID, item.CustomID)}}
	_, _, _, err := g.promised(ctx, u, who)
	return err
}

// receive takes the document of an item, from its line or from the zip.
func (f *feeding) receive(ctx context.Context, u *upload, item batchItem) error {
	if f.e.Form == formZip {
		return f.zip.receive(ctx, u, item)
	}
	body, _, err := f.g.objects.Get(ctx, f.e.Object, item.At, item.Length)
	if err != nil {
		return err
	}
	line, err := io.ReadAll(io.LimitReader(body, item.Length))
	if err = errors.Join(err, body.Close()); err != nil {
		return err
	}
	fields, err := object(line)
	if err != nil {
		return err
	}
	delete(fields, "custom_id")
	if _, dry := fields["dry_run"]; dry {
		return invalid("dry_run", "A batch has no dry run.")
	}
	return u.fields(ctx, fields)
}

// What a job of a batch is labelled with, so that a list of jobs can be narrowed to the batch.
const (
	batchLabel = "batch_id"
	itemLabel  = "custom_id"
)

// label adds the labels of an item to those it came with.
func (u *upload) label(batch, custom string) error {
	own := map[string]string{batchLabel: batch, itemLabel: custom}
	for name, v := range u.options.metadata {
		if _, taken := own[name]; taken {
			return invalid("metadata", "The labels batch_id and custom_id are the batch's own.")
		}
		own[name] = v
	}
	u.options.metadata = own
	return nil
}
