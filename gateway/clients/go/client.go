// Package docstream is a client of Docstream's REST API: submit a document, follow its job, fetch its result.
//
// What the service promises it makes use of. A request that got no answer, or a 429 or 503, is made again after Retry-After; a submission
// goes under one Idempotency-Key, so that sending it again is never a second job; a job is followed through the end of any gateway, with no
// event missing and none twice. It needs nothing but the standard library.
//
//	c := docstream.New("https://docs.example.com", os.Getenv("DOCSTREAM_API_KEY"))
//	job, err := c.Submit(ctx, docstream.Document{Body: file, Size: size, Filename: "a.pdf"})
//	job, err = c.Follow(ctx, job.ID, func(e docstream.Event) error { fmt.Println(e.Status, e.Progress.Percent); return nil })
//	err = c.Result(ctx, job.ID, "markdown", os.Stdout)
package docstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client asks one service in the name of one API key. Safe for concurrent use.
type Client struct {
	HTTP     *http.Client  // nil: http.DefaultClient. It must have no Timeout: streams of events last
	Patience time.Duration // how long one call is made again at most; a Retry-After that ends later is an error at once

	server, key string
}

// New returns a client of the service at an address, with two minutes of patience.
func New(server, key string) *Client {
	return &Client{Patience: 2 * time.Minute, server: strings.TrimSuffix(server, "/"), key: key}
}

// Error is an error the service answered with.
type Error struct {
	Status    int            // of HTTP
	Code      string         // of the closed table, such as JOB_NOT_FOUND; empty where it was none of the service's own answers
	Message   string         // for people
	Details   map[string]any // what the code says more
	RequestID string         // by which the operator finds the request
	After     time.Duration  // to wait before the same again can help; 0: not said
}

func (e *Error) Error() string {
	return fmt.Sprintf("docstream: %d %s: %s (%s)", e.Status, e.Code, e.Message, e.RequestID)
}

// passing reports whether the same request may be answered otherwise later.
func (e *Error) passing() bool {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return e.Code == "IDEMPOTENCY_IN_FLIGHT"
}

// call is one request, which can be made again.
type call struct {
	method, path string
	query        url.Values
	header       http.Header
	body         io.ReaderAt // nil: none
	size         int64
}

// do makes a request until it has an answer that is final: below 400, or an error that the same again would get again. The caller closes
// the body.
func (c *Client) do(ctx context.Context, q call) (*http.Response, error) {
	for began, n := time.Now(), 0; ; n++ {
		res, err := c.once(ctx, q)
		if err == nil {
			return res, nil
		}
		var said *Error
		if ctx.Err() != nil || errors.As(err, &said) && !said.passing() {
			return nil, err
		}
		wait := backoff(n)
		if said != nil && said.After > 0 {
			wait = said.After
		}
		if time.Since(began)+wait > c.Patience {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(wait):
		}
	}
}

// backoff is how long to wait after the nth failure where nobody said: from 0.1 s up to 10 s, each half of it by chance.
func backoff(n int) time.Duration {
	d := min(100*time.Millisecond<<min(n, 10), 10*time.Second)
	return d/2 + rand.N(d/2)
}

func (c *Client) once(ctx context.Context, q call) (*http.Response, error) {
	var body io.Reader
	if q.body != nil {
		body = io.NewSectionReader(q.body, 0, q.size) // of its own: the request before may still be reading
	}
	at := c.server + q.path
	if len(q.query) > 0 {
		at += "?" + q.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, q.method, at, body)
	if err != nil {
		return nil, err
	}
	if q.body != nil {
		r.ContentLength = q.size
	}
	for k, v := range q.header {
		r.Header[k] = v
	}
	r.Header.Set("Authorization", "Bearer "+c.key)
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(r)
	if err != nil || res.StatusCode < 400 {
		return res, err
	}
	defer res.Body.Close()
	return nil, refused(res)
}

// refused reads an error. An answer in another shape, such as a proxy's, is one without a code.
func refused(res *http.Response) error {
	var b struct {
		Error struct {
			Code, Message string
			Details       map[string]any
		}
		RequestID string `json:"request_id"`
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if json.Unmarshal(text, &b) != nil || b.Error.Message == "" {
		b.Error.Message = http.StatusText(res.StatusCode)
	}
	e := &Error{Status: res.StatusCode, Code: b.Error.Code, Message: b.Error.Message, Details: b.Error.Details, RequestID: b.RequestID}
	if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && n >= 0 {
		e.After = time.Duration(n) * time.Second
	}
	return e
}

// ask makes a request whose answer is JSON, or nothing where into is nil.
func (c *Client) ask(ctx context.Context, q call, into any) error {
	res, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if into == nil {
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	return json.NewDecoder(res.Body).Decode(into)
}
