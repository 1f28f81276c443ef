package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// The ways in which an answer is no use. Who fetches a document tells its client so.
var (
	ErrTooLarge = errors.New("outbound: the answer is above the limit")
	ErrRefused  = errors.New("outbound: the address does not give the document")      // an answer other than 200 that will stay so
	ErrNoAnswer = errors.New("outbound: the address does not answer now")             // worth asking again
	ErrEncoded  = errors.New("outbound: the answer is packed although it may not be") // what it unpacks to has no bound
)

// Answer is what an address gave.
type Answer struct {
	Body      io.ReadCloser // bounded: reading past the limit is ErrTooLarge, a broken connection ErrNoAnswer
	MediaType string        // as declared
	Filename  string        // as the answer or the address calls it; not to be trusted as a path
	URL       *url.URL      // after redirects
}

// Get fetches an address. The error is one of this package's or ctx's; the caller closes the body.
func (g *Guard) Get(ctx context.Context, address string) (*Answer, error) {
	u, err := g.Parse(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	a, err := g.get(ctx, u)
	if err != nil {
		cancel()
		return nil, err
	}
	a.Body = &bounded{from: a.Body, left: g.cfg.MaxBytes, done: cancel}
	return a, nil
}

func (g *Guard) get(ctx context.Context, u *url.URL) (*Answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	r.Header.Set("User-Agent", "docstream")
	r.Header.Set("Accept", "*/*")
	r.Header.Set("Accept-Encoding", "identity")
	res, err := g.client.Do(r)
	if where := (*url.Error)(nil); errors.As(err, &where) {
		err = where.Err // an address may hold a secret: it comes into no log (P8)
	}
	switch {
	case errors.Is(err, ErrForbidden):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	if err := usable(res, g.cfg.MaxBytes); err != nil {
		res.Body.Close()
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	return &Answer{Body: res.Body, MediaType: kind, Filename: filename(res), URL: res.Request.URL}, nil
}

func usable(res *http.Response, limit int64) error {
	s := res.StatusCode
	switch {
	case s == http.StatusRequestTimeout || s == http.StatusTooManyRequests || s >= 500:
		return fmt.Errorf("%w: status %d", ErrNoAnswer, s)
	case s != http.StatusOK:
		return fmt.Errorf("%w: status %d", ErrRefused, s)
	case res.ContentLength > limit:
		return ErrTooLarge
	}
	if e := res.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return ErrEncoded
	}
	return nil
}

// filename is what the answer is called, else the last element of its address.
func filename(res *http.Response) string {
	if _, params, err := mime.ParseMediaType(res.Header.Get("Content-Disposition")); err == nil && params["filename"] != "" {
		return params["filename"]
	}
	if name := path.Base(res.Request.URL.Path); name != "." && name != "/" {
		return name
	}
	return ""
}

// bounded is a body that ends at its limit with an error, not as if it were whole.
type bounded struct {
	from io.ReadCloser
	left int64
	done context.CancelFunc
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.from.Read(p[:min(int64(len(p)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrTooLarge
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	return n, err
}

func (b *bounded) Close() error {
	defer b.done()
	return b.from.Close()
}
