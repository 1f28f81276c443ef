package docstream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// put is one request that an upload is made of, as the service tells it.
type put struct {
	Size    int64             `json:"size"`
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
}

// Upload hands a document in as Submit does, but sends its bytes straight to the object store: a large one does not pass through a gateway, and
// of what breaks off only that part is sent again. progress, which may be nil, is called with the bytes sent so far; a part that is sent again
// makes them fewer. An Idempotency-Key holds while the requests of the upload do, an hour unless the service says otherwise.
func (c *Client) Upload(ctx context.Context, d Document, progress func(sent int64)) (j Job, err error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(d.Body, 0, d.Size)); err != nil {
		return j, err
	}
	about := map[string]any{"size": d.Size, "sha256": hex.EncodeToString(sum.Sum(nil))}
	for name, value := range map[string]string{"filename": d.Filename, "media_type": d.MediaType} {
		if value != "" {
			about[name] = value
		}
	}
	var u struct {
		ID    string `json:"upload_id"`
		Put   *put   `json:"put"`
		Parts []put  `json:"parts"`
	}
	header := http.Header{}
	key(header, d.IdempotencyKey)
	if err := c.say(ctx, "/api/v1/uploads", header, about, &u); err != nil {
		return j, err
	}
	parts := u.Parts
	if u.Put != nil {
		parts = []put{*u.Put}
	}
	at, m := int64(0), &meter{tell: progress}
	for _, p := range parts {
		if err := c.store(ctx, p, d.Body, at, u.Put != nil, m); err != nil {
			return j, err
		}
		at += p.Size
	}
	query, err := d.options()
	if err != nil {
		return j, err
	}
	options := map[string]string{}
	for name := range query {
		options[name] = query.Get(name)
	}
	return j, c.say(ctx, "/api/v1/uploads/"+url.PathEscape(u.ID)+"/complete", http.Header{}, options, &j) // one upload is one job: it needs no key
}

// say makes a request whose body is JSON.
func (c *Client) say(ctx context.Context, path string, header http.Header, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	header.Set("Content-Type", "application/json")
	return c.ask(ctx, call{method: http.MethodPost, path: path, header: header, body: bytes.NewReader(text), size: int64(len(text))}, into)
}

// store sends bytes to the object store until they are there. once: the store takes them a single time, so that it refuses what arrived already.
func (c *Client) store(ctx context.Context, p put, body io.ReaderAt, at int64, once bool, m *meter) error {
	for began, n := time.Now(), 0; ; n++ {
		err := c.sendTo(ctx, p, &counting{from: io.NewSectionReader(body, at, p.Size), at: at, to: m, turn: m.next()})
		m.next() // what still reads for this attempt tells nothing more
		var said *Error
		switch {
		case err == nil, once && errors.As(err, &said) && said.Status == http.StatusPreconditionFailed:
			return nil
		case ctx.Err() != nil, errors.As(err, &said) && said.Status < 500 && said.Status != http.StatusTooManyRequests:
			return err
		}
		wait := backoff(n)
		if time.Since(began)+wait > c.Patience {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// sendTo makes the request once, without the key: it is for the service alone.
func (c *Client) sendTo(ctx context.Context, p put, body io.Reader) error {
	r, err := http.NewRequestWithContext(ctx, p.Method, p.URL, body)
	if err != nil {
		return err
	}
	r.ContentLength = p.Size
	for name, value := range p.Headers {
		if http.CanonicalHeaderKey(name) != "Content-Length" { // it is said by the body
			r.Header.Set(name, value)
		}
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return refused(res)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// meter tells how far an upload is, one call at a time, and only of the attempt whose turn it is: the one before may still be read for.
type meter struct {
	mu   sync.Mutex
	turn int
	tell func(sent int64) // nil: nobody wants to know
}

// next begins another turn.
func (m *meter) next() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn++
	return m.turn
}

func (m *meter) at(turn int, sent int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tell != nil && turn == m.turn {
		m.tell(sent)
	}
}

// counting tells the meter how far a body was read.
type counting struct {
	from io.Reader
	at   int64
	to   *meter
	turn int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	if c.at += int64(n); n > 0 {
		c.to.at(c.turn, c.at)
	}
	return n, err
}
