package docstream

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Items are the documents of a batch to create: up to 10,000.
type Items struct {
	Body      io.ReaderAt       // a file or a bytes.Reader: it is read again where it must be sent again
	Size      int64             // in bytes
	MediaType string            // application/jsonl (the default): a line is an item; application/zip: a file is one; application/json: a prefix of a bucket
	Options   map[string]string // of the API, for every item that says nothing else: priority, output_formats, ocr, pages, webhook_url and so on

	// IdempotencyKey makes it one batch, however often it is created and by whichever process. Empty: one of this call.
	IdempotencyKey string
}

// Batch is a batch as the service shows it.
type Batch struct {
	ID         string           `json:"batch_id"`
	Status     string           `json:"status"` // running, completed or cancelled
	Cancelling bool             `json:"cancelling"`
	Items      int64            `json:"items"`
	Counts     map[string]int64 `json:"counts"` // of the items by status, waiting and refused included
	Pages      BatchPages       `json:"pages"`
	Percent    float64          `json:"percent"`
	WaitingFor string           `json:"waiting_for"` // what keeps the next item from being submitted; empty: nothing
	CreatedAt  time.Time        `json:"created_at"`
	FinishedAt time.Time        `json:"finished_at"`
}

// BatchPages are the pages of a batch's jobs, as far as they are known.
type BatchPages struct {
	Total  int64 `json:"total"`
	Done   int64 `json:"done"`
	Failed int64 `json:"failed"`
}

// Ended reports whether nothing more happens to the batch.
func (b Batch) Ended() bool { return b.Status != "" && b.Status != "running" }

// BatchItem is one document of a batch.
type BatchItem struct {
	Item     int      `json:"item"` // from 1
	CustomID string   `json:"custom_id"`
	Status   string   `json:"status"` // waiting, refused, or that of its job
	JobID    string   `json:"job_id"` // empty while it is no job
	Error    *Failure `json:"error"`  // why it was refused
}

func batchPath(id string) string { return "/api/v1/batches/" + url.PathEscape(id) }

// CreateBatch hands many documents in at once. It sends them again until it is certain that they were accepted, or that they are not.
func (c *Client) CreateBatch(ctx context.Context, items Items) (b Batch, err error) {
	query := url.Values{}
	for name, value := range items.Options {
		query.Set(name, value)
	}
	if items.MediaType == "" {
		items.MediaType = "application/jsonl"
	}
	header := http.Header{"Content-Type": {items.MediaType}}
	key(header, items.IdempotencyKey)
	return b, c.ask(ctx, call{method: http.MethodPost, path: "/api/v1/batches", query: query, header: header, body: items.Body, size: items.Size}, &b)
}

// Batch looks a batch up.
func (c *Client) Batch(ctx context.Context, id string) (b Batch, err error) {
	return b, c.ask(ctx, call{method: http.MethodGet, path: batchPath(id)}, &b)
}

// Batches returns the newest batches, newest first.
func (c *Client) Batches(ctx context.Context) ([]Batch, error) {
	var page struct{ Batches []Batch }
	err := c.ask(ctx, call{method: http.MethodGet, path: "/api/v1/batches", query: url.Values{"limit": {"100"}}}, &page)
	return page.Batches, err
}

// FollowBatch calls f with how the batch stands, and again whenever that is another, until it has ended, and returns it. An error of f ends it. f may
// be nil.
func (c *Client) FollowBatch(ctx context.Context, id string, f func(Batch) error) (b Batch, err error) {
	wait, said := time.Duration(0), -1.0
	for {
		select {
		case <-ctx.Done():
			return b, ctx.Err()
		case <-time.After(wait):
		}
		if b, err = c.Batch(ctx, id); err != nil {
			return b, err
		}
		if f != nil && (b.Percent != said || b.Ended()) {
			if err := f(b); err != nil {
				return b, err
			}
		}
		if b.Ended() {
			return b, nil
		}
		if wait = min(wait+500*time.Millisecond, 10*time.Second); b.Percent != said {
			wait = 500 * time.Millisecond
		}
		said = b.Percent
	}
}

// BatchItems lists the items of a batch in their order, as many pages of them as are asked for; status may be empty. It ends after the first error.
func (c *Client) BatchItems(ctx context.Context, id, status string) iter.Seq2[BatchItem, error] {
	query := url.Values{"limit": {"100"}}
	if status != "" {
		query.Set("status", status)
	}
	return listed[BatchItem](ctx, c, batchPath(id)+"/items", "items", query)
}

// CancelBatch submits no more items of a batch and cancels those under way. Doing it twice is no error.
func (c *Client) CancelBatch(ctx context.Context, id string) error {
	h := http.Header{}
	key(h, "")
	return c.ask(ctx, call{method: http.MethodPost, path: batchPath(id) + "/cancel", header: h}, nil)
}
