package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"docstream/internal/pause"
)

// client speaks to the gateway's API.
type client struct {
	base   string
	key    string
	http   *http.Client
	insist time.Duration // above 0: a call is made again so long also where the service is away, or says that it is too much
}

// patience bounds the retries of one call while the service says 503.
const patience = time.Minute

// job is what the API says of a job.
type job struct {
	JobID    string `json:"job_id"`
	Status   string `json:"status"`
	Stage    string `json:"stage,omitempty"`
	Progress struct {
		PagesTotal  int     `json:"pages_total"`
		PagesDone   int     `json:"pages_done"`
		PagesFailed int     `json:"pages_failed"`
		Percent     float64 `json:"percent"`
	} `json:"progress"`
	Error *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error,omitempty"`

	raw json.RawMessage // the answer as it came
}

// newClient returns a client of one gateway. A call has no total deadline: an upload takes the time it takes.
//
// A result may lie behind a redirect to the object store, whose link is all it wants to see: the key is the gateway's.
func newClient(base, key string) *client {
	return &client{base: base, key: key, http: &http.Client{CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if r.Header.Del("Authorization"); len(via) > 3 {
			return errors.New("too many redirects")
		}
		return nil
	}}}
}

// submission is what a client asks for.
type submission struct {
	priority, formats, ocr, pages, languages, tables, figures, dpi, maxPages, metadata, deadline, cache string

	filename string // empty: the file's own
	once     string // Idempotency-Key; empty: one of this call
	dry      string // true: only ask what would become of it
}

func (s submission) name(path string) string {
	if s.filename != "" {
		return s.filename
	}
	return filepath.Base(path)
}

// client finds the service: --data, else DOCSTREAM_SERVER, else the default folder.
func (p *program) client() (*client, error) {
	c := newClient("", p.getenv("DOCSTREAM_API_KEY"))
	if server := p.getenv("DOCSTREAM_SERVER"); server != "" && p.data == "" {
		if u, err := url.Parse(server); err != nil || u.Host == "" {
			return nil, fail(exitUsage, "DOCSTREAM_SERVER is no URL: %s", server)
		}
		c.base = strings.TrimSuffix(server, "/")
		if c.key == "" {
			return nil, fail(exitUnauthorised, "DOCSTREAM_SERVER is set, but DOCSTREAM_API_KEY is not")
		}
		return c, nil
	}
	d, err := p.service()
	if err != nil {
		return nil, err
	}
	c.base = d.API
	if c.key == "" || p.data != "" {
		c.key = d.APIKey
	}
	return c, nil
}

// submit uploads a file and returns the accepted job. The file is streamed; one Idempotency-Key covers all tries, so that a retry after a
// lost answer is no second job.
func (c *client) submit(ctx context.Context, path string, s submission) (job, error) {
	var head bytes.Buffer
	w := multipart.NewWriter(&head)
	for _, f := range [][2]string{{"priority", s.priority}, {"output_formats", s.formats}, {"ocr", s.ocr}, {"pages", s.pages},
		{"languages", s.languages}, {"tables", s.tables}, {"figures", s.figures}, {"dpi", s.dpi}, {"max_pages", s.maxPages}, {"metadata", s.metadata}, {"deadline_seconds", s.deadline}, {"cache", s.cache}, {"dry_run", s.dry}} {
		if f[1] != "" {
			if err := w.WriteField(f[0], f[1]); err != nil {
				return job{}, err
			}
		}
	}
	if _, err := w.CreateFormFile("file", s.name(path)); err != nil {
		return job{}, err
	}
	cut := head.Len()
	if err := w.Close(); err != nil {
		return job{}, err
	}
	tail := head.Bytes()[cut:]
	info, err := os.Stat(path)
	if err != nil {
		return job{}, err
	}
	if info.IsDir() {
		return job{}, fail(exitUsage, "%s is a folder", path)
	}
	once := s.once
	if once == "" {
		once = rand.Text()
	}
	var accepted job
	return accepted, c.do(ctx, func() (*http.Request, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		body := struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(head.Bytes()[:cut]), f, bytes.NewReader(tail)), f}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/api/v1/documents", body)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		r.ContentLength = int64(head.Len()) + info.Size()
		r.Header.Set("Content-Type", w.FormDataContentType())
		r.Header.Set("Idempotency-Key", once)
		return r, nil
	}, accepted.read)
}

// job looks a job up.
func (c *client) job(ctx context.Context, id string) (job, error) {
	var j job
	return j, c.do(ctx, c.get(ctx, "/api/v1/jobs/"+url.PathEscape(id), nil), j.read)
}

// result writes what the query asks for of a job's result.
func (c *client) result(ctx context.Context, id string, query url.Values, w io.Writer) error {
	return c.do(ctx, c.get(ctx, "/api/v1/jobs/"+url.PathEscape(id)+"/result", query), func(r io.Reader) error {
		_, err := io.Copy(w, r)
		return err
	})
}

func (j *job) read(r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, 8<<20))
	if err != nil {
		return err
	}
	j.raw = b
	return json.Unmarshal(b, j)
}

func (c *client) get(ctx context.Context, path string, query url.Values) func() (*http.Request, error) {
	return func() (*http.Request, error) {
		target := c.base + path
		if len(query) > 0 {
			target += "?" + query.Encode()
		}
		return http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	}
}

// do makes a request until it is answered, waiting as the service asks while it is not available.
func (c *client) do(ctx context.Context, build func() (*http.Request, error), read func(io.Reader) error) error {
	for began := time.Now(); ; {
		r, err := build()
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+c.key)
		r.Header.Set("User-Agent", "docstream/"+version)
		res, err := c.http.Do(r)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			var broken *net.OpError
			if errors.As(err, &broken) && time.Since(began) < c.insist {
				if !pause.For(ctx, time.Second) {
					return ctx.Err()
				}
				continue
			}
			return fail(exitUnreachable, "the service at %s cannot be reached: %v", c.base, cause(err))
		}
		if wait, again := c.again(res, time.Since(began)); again {
			_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // only so that the connection can be used again
			res.Body.Close()
			if !pause.For(ctx, wait) {
				return ctx.Err()
			}
			continue
		}
		defer res.Body.Close()
		if res.StatusCode == http.StatusOK || (res.StatusCode == http.StatusAccepted && r.Method == http.MethodPost) {
			return read(res.Body)
		}
		return refusal(res)
	}
}

// again reports whether a call is to be made again, and after which time. What would have to wait beyond the client's patience is not: a quota
// that is used up until tomorrow.
func (c *client) again(res *http.Response, tried time.Duration) (time.Duration, bool) {
	switch res.StatusCode {
	case http.StatusServiceUnavailable:
		return after(res.Header.Get("Retry-After")), tried < max(patience, c.insist)
	case http.StatusConflict: // a twin of the request is in flight
		return after(res.Header.Get("Retry-After")), tried < c.insist && res.Header.Get("Retry-After") != ""
	case http.StatusTooManyRequests:
		n, err := strconv.Atoi(res.Header.Get("Retry-After"))
		return after(res.Header.Get("Retry-After")), tried < c.insist && err == nil && time.Duration(n)*time.Second < c.insist
	}
	return 0, false
}

// refused is an error answer: what a person reads, and what the service said.
type refused struct {
	exit
	status int
	code   string // of the closed table; empty where it was none of the service's own answers
}

// Unwrap is the error with its exit code.
func (r refused) Unwrap() error { return r.exit }

// after reads Retry-After, within bounds.
func after(header string) time.Duration {
	n, err := strconv.Atoi(header)
	if err != nil {
		n = 1
	}
	return min(max(time.Duration(n)*time.Second, 200*time.Millisecond), 15*time.Second)
}

// refusal turns an error answer into one line and an exit code.
func refusal(res *http.Response) error {
	var body struct {
		Error struct{ Code, Message string }
	}
	b, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20)) // the status says enough where the body cannot be read
	text := strings.TrimSpace(string(b))
	if json.Unmarshal(b, &body) == nil && body.Error.Code != "" {
		text = body.Error.Message + " (" + body.Error.Code + ")"
	}
	code := exitFailed
	switch res.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		code = exitUnauthorised
	case http.StatusNotFound:
		code = exitNotFound
	case http.StatusAccepted:
		code, text = exitNotReady, "the job has not ended yet"
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		code = exitUnreachable
	}
	if text == "" {
		text = res.Status
	}
	return refused{exit{code, text}, res.StatusCode, body.Error.Code}
}

// cause drops the method and address an HTTP error repeats.
func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// ended reports whether a status is terminal.
func ended(status string) bool {
	switch status {
	case "completed", "partial", "failed", "cancelled", "expired":
		return true
	}
	return false
}

// outcome is the error of a job that ended other than whole, nil for a whole one.
func (j job) outcome() error {
	text := fmt.Sprintf("job %s %s", j.JobID, j.Status)
	if j.Error != nil {
		text += ": " + j.Error.Message + " (" + j.Error.Code + ")"
	}
	switch j.Status {
	case "completed":
		return nil
	case "partial":
		return exit{exitPartial, text}
	case "failed", "cancelled", "expired":
		return exit{exitFailed, text}
	}
	return exit{exitNotReady, "the job has not ended yet"}
}
