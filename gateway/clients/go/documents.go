package docstream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Document is a document to submit. Only Body and Size are needed.
type Document struct {
	Body      io.ReaderAt // a file or a bytes.Reader: it is read again where it must be sent again
	Size      int64       // in bytes
	Filename  string      // for display, and for the type where the bytes do not tell it
	MediaType string      // empty: found from the bytes

	Priority      string            // high, normal (the default) or low
	OutputFormats []string          // markdown, json, html, csv, text; empty: all
	OCR           string            // auto (the default), force or off
	Pages         string            // such as 1-3,7; empty: all
	Metadata      map[string]string // returned with the job
	WebhookURL    string            // told once the job has ended
	Deadline      time.Duration     // the job ends expired unless it has ended within it, waiting included; whole seconds; 0: none
	Fresh         bool              // read it even where it was read lately with the same options

	// IdempotencyKey makes the submission one job, however often it is made and by whichever process: an order's number, for example.
	// Empty: one of this call, which holds over its own attempts.
	IdempotencyKey string
}

// Job is a job as the service shows it.
type Job struct {
	ID         string            `json:"job_id"`
	Status     string            `json:"status"` // pending, processing, completed, partial, failed, cancelled or expired
	Stage      string            `json:"stage"`
	Run        int               `json:"run"`
	Version    int64             `json:"version"` // grows with every change
	Progress   Progress          `json:"progress"`
	CreatedAt  time.Time         `json:"created_at"`
	FinishedAt time.Time         `json:"finished_at"`
	Metadata   map[string]string `json:"metadata"`
	Formats    []string          `json:"formats"`     // that were composed
	Deadline   time.Time         `json:"deadline_at"` // zero: none
	CachedFrom string            `json:"cached_from"` // earlier job of the same document whose pages were taken over
	Error      *Failure          `json:"error"`       // why it failed
	Failures   []Failure         `json:"failures"`
}

// Progress counts pages.
type Progress struct {
	Total   int     `json:"pages_total"` // 0 while nobody knows
	Done    int     `json:"pages_done"`
	Failed  int     `json:"pages_failed"`
	Percent float64 `json:"percent"`
}

// Failure is why a job, or one page of it, failed.
type Failure struct {
	Page    int    `json:"page"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Ended reports whether nothing more happens to the job.
func (j Job) Ended() bool { return ended(j.Status) }

func ended(status string) bool { return status != "" && status != "pending" && status != "processing" }

// Submit hands a document in and returns its job, as far as the answer knows it. It sends the document again until it is certain that it
// was accepted, or that it is not.
func (c *Client) Submit(ctx context.Context, d Document) (j Job, err error) {
	query, err := d.options()
	if err != nil {
		return j, err
	}
	if d.Filename != "" {
		query.Set("filename", d.Filename)
	}
	if d.MediaType == "" {
		d.MediaType = "application/octet-stream"
	}
	header := http.Header{"Content-Type": {d.MediaType}}
	key(header, d.IdempotencyKey)
	err = c.ask(ctx, call{method: http.MethodPost, path: "/api/v1/documents", query: query, header: header, body: d.Body, size: d.Size}, &j)
	return j, err
}

// options are what is asked for, as the API names it.
func (d Document) options() (url.Values, error) {
	query := url.Values{}
	set := func(name, value string) {
		if value != "" {
			query.Set(name, value)
		}
	}
	set("priority", d.Priority)
	set("output_formats", strings.Join(d.OutputFormats, ","))
	set("ocr", d.OCR)
	set("pages", d.Pages)
	set("webhook_url", d.WebhookURL)
	if d.Deadline > 0 {
		set("deadline_seconds", strconv.Itoa(int((d.Deadline+time.Second-1)/time.Second)))
	}
	if d.Fresh {
		set("cache", "false")
	}
	if len(d.Metadata) > 0 {
		b, err := json.Marshal(d.Metadata)
		if err != nil {
			return nil, err
		}
		query.Set("metadata", string(b))
	}
	return query, nil
}

// key sets an Idempotency-Key: the one given, or a fresh one.
func key(h http.Header, given string) {
	if given == "" {
		given = rand.Text()
	}
	h.Set("Idempotency-Key", given)
}

// Job looks a job up. With wait above 0 the answer comes when the job has ended, or after that time, at most a minute.
func (c *Client) Job(ctx context.Context, id string, wait time.Duration) (j Job, err error) {
	query := url.Values{}
	if wait > 0 {
		query.Set("wait", wait.String())
	}
	return j, c.ask(ctx, call{method: http.MethodGet, path: path(id), query: query}, &j)
}

func path(id string) string { return "/api/v1/jobs/" + url.PathEscape(id) }

// Filter narrows a list; what is left empty holds nothing back.
type Filter struct {
	Status string
	Tags   map[string]string // of the metadata: all must hold
	From   time.Time         // accepted at or after
	To     time.Time         // accepted before
}

// Jobs lists jobs, newest first, as many pages of them as are asked for. It ends after the first error.
func (c *Client) Jobs(ctx context.Context, f Filter) iter.Seq2[Job, error] {
	query := url.Values{"limit": {"100"}}
	if f.Status != "" {
		query.Set("status", f.Status)
	}
	for name, value := range f.Tags {
		query.Add("tag", name+":"+value)
	}
	for name, at := range map[string]time.Time{"from": f.From, "to": f.To} {
		if !at.IsZero() {
			query.Set(name, at.Format(time.RFC3339Nano))
		}
	}
	return listed[Job](ctx, c, "/api/v1/jobs", "jobs", query)
}

// ErrNotReady is a result of a job that has not ended.
var ErrNotReady = errors.New("docstream: the job has not ended")

// ErrBrokenOff is a result that broke off and could not be gone on with.
var ErrBrokenOff = errors.New("docstream: the result broke off")

// Result writes a result in a format: markdown, json, html, csv or text. What breaks off is gone on with where it broke off.
func (c *Client) Result(ctx context.Context, id, format string, to io.Writer) error {
	q := call{method: http.MethodGet, path: path(id) + "/result", query: url.Values{"format": {format}}, header: http.Header{"Accept-Encoding": {"identity"}}}
	tag, got := "", int64(0)
	for n := 0; ; n++ {
		res, err := c.do(ctx, q)
		if err != nil {
			return err
		}
		if got > 0 && (res.StatusCode != http.StatusPartialContent || !strings.HasPrefix(res.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", got))) {
			res.Body.Close()
			return ErrBrokenOff // it is another one by now
		}
		if res.StatusCode == http.StatusAccepted {
			res.Body.Close()
			return ErrNotReady
		}
		came := &counted{from: res.Body}
		_, err = io.Copy(to, came)
		res.Body.Close()
		got += came.n
		switch {
		case err == nil || came.err == nil || ctx.Err() != nil: // whole, or the writer's own error, or nobody waits
			return err
		case n == 5:
			return errors.Join(ErrBrokenOff, err)
		}
		if tag == "" {
			tag = res.Header.Get("ETag")
		}
		if got > 0 {
			q.header.Set("Range", fmt.Sprintf("bytes=%d-", got))
			q.header.Set("If-Range", tag)
		}
	}
}

// counted tells an error of reading from one of writing.
type counted struct {
	from io.Reader
	n    int64
	err  error
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// Cancel stops a job. Of one that has ended otherwise it is an error with the code JOB_ENDED.
func (c *Client) Cancel(ctx context.Context, id string) error {
	return c.ask(ctx, call{method: http.MethodPost, path: path(id) + "/cancel"}, nil)
}

// Retry runs a job again that failed, expired, was cancelled or lacks pages, with the same options.
func (c *Client) Retry(ctx context.Context, id string) error {
	h := http.Header{}
	key(h, "")
	return c.ask(ctx, call{method: http.MethodPost, path: path(id) + "/retry", header: h}, nil)
}

// Delete removes source and results of a job now. Doing it twice is no error.
func (c *Client) Delete(ctx context.Context, id string) error {
	return c.ask(ctx, call{method: http.MethodDelete, path: path(id)}, nil)
}

// listed reads a list by its cursors, as far as it is asked for; the rows of a page lie in a field. It ends after the first error.
func listed[T any](ctx context.Context, c *Client, path, field string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		query := maps.Clone(query)
		for {
			var page map[string]json.RawMessage
			var rows []T
			err := c.ask(ctx, call{method: http.MethodGet, path: path, query: query}, &page)
			if err == nil {
				err = json.Unmarshal(page[field], &rows)
			}
			var next string
			if more, ok := page["next_cursor"]; ok && err == nil {
				err = json.Unmarshal(more, &next)
			}
			if err != nil {
				yield(none, err)
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			query.Set("cursor", next)
		}
	}
}
