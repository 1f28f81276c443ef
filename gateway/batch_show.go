package gateway

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"docstream/schemas"
)

// What an item is before, or instead of, being a job.
const (
	itemWaiting = "waiting" // not submitted yet
	itemRefused = "refused" // it became no job
)

// itemStatuses are those of a batch's items: an item that is a job stands where its job does.
var itemStatuses = append([]string{itemWaiting, itemRefused}, schemas.Statuses...)

// batchBody is a batch as the API shows it.
type batchBody struct {
	BatchID    string           `json:"batch_id"`
	Status     string           `json:"status"`
	Cancelling bool             `json:"cancelling"`
	Items      int64            `json:"items"`
	Counts     map[string]int64 `json:"counts"` // of every status, waiting and refused included; they add up to items
	Pages      batchPages       `json:"pages"`
	Percent    float64          `json:"percent"`
	WaitingFor string           `json:"waiting_for,omitempty"`
	CreatedAt  string           `json:"created_at"`
	FinishedAt string           `json:"finished_at,omitempty"`
	StatusURL  string           `json:"status_url"`
	ItemsURL   string           `json:"items_url"`
	JobsURL    string           `json:"jobs_url"`
}

// batchPages are the pages of a batch's jobs, as far as they are known.
type batchPages struct {
	Total  int64 `json:"total"`
	Done   int64 `json:"done"`
	Failed int64 `json:"failed"`
}

func (g *Gateway) showBatch(e *schemas.BatchChanged) batchBody {
	at := g.link("/api/v1/batches/" + e.BatchID)
	b := batchBody{BatchID: e.BatchID, Status: e.Status, Cancelling: e.EndedAt.IsZero() && !e.CancelledAt.IsZero(), Items: e.Items, Counts: map[string]int64{},
		Pages: batchPages{e.PagesTotal, e.PagesDone, e.PagesFailed}, WaitingFor: e.WaitingFor, CreatedAt: timestamp(e.CreatedAt), FinishedAt: moment(e.EndedAt),
		StatusURL: at, ItemsURL: at + "/items", JobsURL: g.link("/api/v1/jobs?tag=" + batchLabel + ":" + e.BatchID)}
	for _, s := range itemStatuses {
		b.Counts[s] = 0
	}
	left, over := e.Items, int64(0)
	for _, n := range e.Counts {
		b.Counts[n.Status] = n.Jobs
		left -= n.Jobs
		if n.Status == itemRefused || schemas.Terminal(n.Status) {
			over += n.Jobs
		}
	}
	b.Counts[itemWaiting] = left
	switch {
	case !e.EndedAt.IsZero():
		b.Percent = 100
	case e.Items > 0:
		b.Percent = min(99.9, math.Round(1000*float64(over)/float64(e.Items))/10)
	}
	return b
}

// count looks where the items stand, and reports whether all of them have ended. What has ended is not looked at again.
func (f *feeding) count(ctx context.Context) (done bool, err error) {
	if err := f.g.view.Fresh(ctx); err != nil {
		return false, err
	}
	fed, cancelled := int(f.e.Fed), !f.e.CancelledAt.IsZero()
	look := fed
	if cancelled { // somebody who fed before may have submitted more than was noted
		look = min(fed/itemChunk*itemChunk+itemChunk, len(f.items))
	}
	done = cancelled || fed == len(f.items)
	for i := range look {
		if f.stands[i] == itemRefused || schemas.Terminal(f.stands[i]) {
			continue
		}
		s, known := f.g.view.Job(f.e.Tenant, f.items[i].JobID)
		status := f.stands[i]
		switch {
		case known:
			status, f.paged[i] = s.Status, [3]int{s.PagesExpected, s.PagesDone, s.PagesFailed}
		case i < fed:
			status = schemas.Pending // it is in the log, and the view is on its way
		}
		f.changed = f.changed || status != f.stands[i]
		f.stands[i] = status
		if schemas.Terminal(status) {
			f.g.metrics.items.WithLabelValues(status).Inc()
		}
		if f.stands[i] != "" && !schemas.Terminal(f.stands[i]) {
			done = false
			if cancelled && known {
				if err := f.halt(ctx, i, s); err != nil {
					return false, err
				}
			}
		}
	}
	f.pages()
	if cancelled && done {
		for i := range f.stands {
			if f.stands[i] == "" {
				f.stands[i] = schemas.Cancelled
				f.g.metrics.items.WithLabelValues(schemas.Cancelled).Inc()
			}
		}
		look = len(f.items)
	}
	f.tally(look)
	return done, f.rest(ctx, look)
}

// halt asks that the job of an item stop, once.
func (f *feeding) halt(ctx context.Context, i int, s *schemas.JobSnapshot) error {
	if f.told[i] {
		return nil
	}
	f.told[i] = true
	return f.g.producer.Publish(ctx, cancellation(s, f.e.RequestedBy), f.e.RequestID)
}

// pages sums the pages of the jobs that were seen.
func (f *feeding) pages() {
	var sum [3]int64
	for _, p := range f.paged {
		for k := range sum {
			sum[k] += int64(p[k])
		}
	}
	if total := [3]int64{f.e.PagesTotal, f.e.PagesDone, f.e.PagesFailed}; sum != total { // after a change of hands, jobs that were laid to rest are not seen again
		f.e.PagesTotal, f.e.PagesDone, f.e.PagesFailed = max(total[0], sum[0]), max(total[1], sum[1]), max(total[2], sum[2])
		f.changed = f.changed || total != [3]int64{f.e.PagesTotal, f.e.PagesDone, f.e.PagesFailed}
	}
}

// tally counts the items by where they stand.
func (f *feeding) tally(look int) {
	counts := map[string]int64{}
	for _, s := range f.stands[:look] {
		if s != "" {
			counts[s]++
		}
	}
	f.e.Counts = nil
	for _, s := range itemStatuses {
		if counts[s] > 0 {
			f.e.Counts = append(f.e.Counts, schemas.StatusCount{Status: s, Jobs: counts[s]})
		}
	}
}

// rest notes how the items of a chunk ended once all have: the jobs are laid to rest, the batch is still asked about.
func (f *feeding) rest(ctx context.Context, look int) error {
	for first := 0; first < look; first += itemChunk {
		to := min(first+itemChunk, len(f.items))
		n := f.chunks[first]
		if n != nil && n.Ended != nil || slices.ContainsFunc(f.stands[first:to], func(s string) bool { return s != itemRefused && !schemas.Terminal(s) }) {
			continue
		}
		if n == nil {
			n = &notes{}
			f.chunks[first] = n
		}
		n.Ended = map[int]string{}
		for i := first; i < to; i++ {
			if f.stands[i] != itemRefused {
				n.Ended[i] = f.stands[i]
			}
		}
		if err := f.note(ctx, first); err != nil {
			n.Ended = nil
			return err
		}
	}
	return nil
}

// itemBody is an item of a batch as the API shows it.
type itemBody struct {
	Item      int        `json:"item"` // from 1
	CustomID  string     `json:"custom_id"`
	Status    string     `json:"status"`
	JobID     string     `json:"job_id,omitempty"`
	StatusURL string     `json:"status_url,omitempty"`
	ResultURL string     `json:"result_url,omitempty"`
	Error     *itemError `json:"error,omitempty"`
}

// itemsBody is a page of a batch's items, in their order.
type itemsBody struct {
	Items      []itemBody `json:"items"`
	NextCursor string     `json:"next_cursor,omitempty"`
}

// batchItems lists the items of a batch. A page may be shorter than the limit and still have a next.
func (g *Gateway) batchItems(c *gin.Context) error {
	limit, err := limitOf(c)
	if err != nil {
		return err
	}
	from := 0
	if s := c.Query("cursor"); s != "" {
		if from, err = strconv.Atoi(s); err != nil || from < 0 || from > maxItems {
			return invalid("cursor", "The cursor is not one this API gave.")
		}
	}
	status := c.Query("status")
	if status != "" && !slices.Contains(itemStatuses, status) {
		return invalid("status", "There is no such status.").with("allowed", itemStatuses)
	}
	e, err := g.batch(c)
	if err != nil {
		return err
	}
	items, err := g.readIndex(c.Request.Context(), e)
	if err != nil {
		return err
	}
	body, read := itemsBody{Items: []itemBody{}}, 0
	known, chunk := notes{}, -1
	for i := from; i < len(items); i++ {
		if i/itemChunk != chunk {
			if read++; len(body.Items) >= limit || read > 10 { // so much is looked through for one answer
				body.NextCursor = strconv.Itoa(i)
				break
			}
			if chunk = i / itemChunk; i < int(e.Fed) || !e.EndedAt.IsZero() {
				if known, err = g.readNotes(c.Request.Context(), e, i); err != nil {
					return err
				}
			} else {
				known = notes{}
			}
		}
		if len(body.Items) >= limit {
			body.NextCursor = strconv.Itoa(i)
			break
		}
		if b := g.showItem(e, i, items[i], known); status == "" || b.Status == status {
			body.Items = append(body.Items, b)
		}
	}
	g.json(c, http.StatusOK, body)
	return nil
}

// showItem shows where an item stands.
func (g *Gateway) showItem(e *schemas.BatchChanged, i int, item batchItem, n notes) itemBody {
	b := itemBody{Item: i + 1, CustomID: item.CustomID, Status: itemWaiting}
	if why, refused := n.Refused[i]; refused {
		b.Status, b.Error = itemRefused, &why
		return b
	}
	s, known := g.view.Job(e.Tenant, item.JobID)
	if known && item.Direct && s.Metadata[batchLabel] != e.BatchID { // somebody else's job of the same upload
		known = false
	}
	switch {
	case known:
		b.Status, b.JobID = s.Status, item.JobID
	case n.Ended[i] != "" && i < int(e.Fed):
		b.Status, b.JobID = n.Ended[i], item.JobID
	case i < int(e.Fed):
		b.Status, b.JobID = schemas.Pending, item.JobID
	case !e.EndedAt.IsZero():
		b.Status = schemas.Cancelled
	}
	if b.JobID != "" {
		b.StatusURL = g.statusURL(b.JobID)
	}
	if served(b.Status) {
		b.ResultURL = g.resultURL(b.JobID)
	}
	return b
}
