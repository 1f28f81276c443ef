package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/internal/blob"
	"docstream/schemas"
)

// promise is what stands under an Idempotency-Key: which request it was, the submission that made its job, and the first answer. It lies
// in the object store, so that any replica finds it, and lives as long as the source beside it.
type promise struct {
	Fingerprint string                     `json:"fingerprint"`
	Submission  *schemas.DocumentSubmitted `json:"submission,omitempty"`
	Batch       *schemas.BatchChanged      `json:"batch,omitempty"`
	Answer      accepted                   `json:"answer"`

	Status int               `json:"status,omitempty"` // of any other request
	Header map[string]string `json:"header,omitempty"`
	Body   json.RawMessage   `json:"body,omitempty"`
}

// once is one request that came with an Idempotency-Key. nil is a request that came without: it costs nothing.
type once struct {
	g      *Gateway
	tenant string
	key    string
}

// maxPromise bounds what is read back of a promise.
const maxPromise = 1 << 20

// keyed reads the key. A twin that is in flight on this replica is refused; twins on two replicas meet at the object, and one job comes of
// both.
func (g *Gateway) keyed(c *gin.Context) (*once, error) {
	keys := c.Request.Header.Values("Idempotency-Key")
	if len(keys) == 0 {
		return nil, nil
	}
	key := keys[0]
	if len(keys) > 1 || len(key) < 1 || len(key) > 255 || !printable(key) {
		return nil, refuse(schemas.InvalidRequest, "An Idempotency-Key is 1 to 255 printable ASCII characters.")
	}
	o := &once{g: g, tenant: tenant(c), key: key}
	if _, busy := g.flights.LoadOrStore(o.name(), nil); busy {
		r := refuse(schemas.IdempotencyInFlight, "")
		r.after = time.Second
		return nil, r
	}
	return o, nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// job is the id of the job that comes of the key.
func (o *once) job() string { return schemas.JobIDFor("idempotency", o.tenant, o.key) }

// end lets the next request of the key in.
func (o *once) end() {
	if o != nil {
		o.g.flights.Delete(o.name())
	}
}

// name is where the promise lies; the key itself is never part of it.
func (o *once) name() string {
	sum := sha256.Sum256([]byte(o.key))
	return schemas.IdempotencyKey(o.tenant, hex.EncodeToString(sum[:]))
}

// find returns the promise that stands, nil where none does.
func (o *once) find(ctx context.Context) (*promise, error) {
	body, _, err := o.g.objects.Get(ctx, o.name(), 0, 0)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, maxPromise))
	if err != nil {
		return nil, err
	}
	var p promise
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("reading %s: %w", o.name(), err)
	}
	return &p, nil
}

// keep writes the promise unless one stands already, and returns the one that holds from here on. A promise of another request under the
// same key is refused.
func (o *once) keep(ctx context.Context, p *promise) (*promise, error) {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // our own types: cannot fail
	}
	err = o.g.objects.Put(ctx, o.name(), b, blob.Options{MediaType: "application/json", Once: true})
	if !errors.Is(err, blob.ErrExists) {
		return p, err
	}
	found, err := o.find(ctx)
	if err != nil {
		return nil, err
	}
	if found == nil { // it expired between the two: the next try is the first again
		return nil, refuse(schemas.ServiceUnavailable, "")
	}
	return found, found.same(p.Fingerprint)
}

// same refuses a key that was used for something else.
func (p *promise) same(fingerprint string) error {
	if p.Fingerprint != fingerprint {
		return refuse(schemas.IdempotencyKeyReused, "")
	}
	return nil
}

// settle makes the promise of an upload, or finds the one made before: then this upload's bytes are dropped, and the first submission is
// produced again, for nobody knows whether it ever came into the log (P1).
func (u *upload) settle(ctx context.Context, once *once, p *promise) (_ *promise, again bool, err error) {
	if once == nil {
		return p, false, nil
	}
	held, err := once.keep(ctx, p)
	if err != nil {
		if held != nil && held.Fingerprint != p.Fingerprint {
			u.discard(ctx)
		}
		return nil, false, err
	}
	if held.Submission == nil {
		return nil, false, refuse(schemas.IdempotencyKeyReused, "")
	}
	if held.Submission.EventID == p.Submission.EventID && held.Submission.Source.Key == p.Submission.Source.Key && held.Submission.At.Equal(p.Submission.At) {
		return held, false, nil // ours: only the answer to the write was lost
	}
	u.discard(ctx)
	return held, true, nil
}

// maxIdempotentBody bounds the body of any other POST with a key: it is held to be told apart.
const maxIdempotentBody = 1 << 20

// idempotent makes any other POST repeatable under a key: the first answer that was a success is said again. The routes behind it derive
// what they make from what they are asked, so that a crash between the deed and the promise repeats it without harm.
func (g *Gateway) idempotent(handle func(*gin.Context) error) func(*gin.Context) error {
	return func(c *gin.Context) error {
		once, err := g.keyed(c)
		if err != nil {
			return err
		}
		if once == nil {
			return handle(c)
		}
		defer once.end()
		body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxIdempotentBody))
		if err != nil {
			return refuse(schemas.InvalidRequest, "The body is too large.").because(err)
		}
		sum := sha256.Sum256(append([]byte(c.Request.Method+" "+c.Request.URL.RequestURI()+"\n"), body...))
		p := &promise{Fingerprint: hex.EncodeToString(sum[:])}
		held, err := once.find(c.Request.Context())
		if err != nil {
			return err
		}
		if held != nil {
			if err := held.same(p.Fingerprint); err != nil {
				return err
			}
			return g.again(c, held)
		}
		c.Request.Body = io.NopCloser(bytes.NewReader(body))
		said := &overheard{ResponseWriter: c.Writer}
		c.Writer = said
		if err := handle(c); err != nil {
			return err
		}
		if s := said.Status(); s < 200 || s > 299 || s == http.StatusNoContent || !json.Valid(said.body.Bytes()) {
			return nil
		}
		p.Status, p.Body = said.Status(), said.body.Bytes()
		if at := said.Header().Get("Location"); at != "" {
			p.Header = map[string]string{"Location": at}
		}
		if _, err := once.keep(context.WithoutCancel(c.Request.Context()), p); err != nil {
			g.log.WarnContext(c.Request.Context(), "an answer was not kept for its Idempotency-Key", "error", err)
		}
		return nil
	}
}

// again says the first answer again.
func (g *Gateway) again(c *gin.Context, p *promise) error {
	if p.Status == 0 { // a submission's
		return refuse(schemas.IdempotencyKeyReused, "")
	}
	c.Header("Idempotency-Replayed", "true")
	for name, v := range p.Header {
		c.Header(name, v)
	}
	g.json(c, p.Status, p.Body)
	return nil
}

// overheard keeps what an answer says while it is said.
type overheard struct {
	gin.ResponseWriter
	body bytes.Buffer
}

// Write passes on and keeps.
func (o *overheard) Write(b []byte) (int, error) {
	o.body.Write(b)
	return o.ResponseWriter.Write(b)
}

// WriteString passes on and keeps.
func (o *overheard) WriteString(s string) (int, error) {
	o.body.WriteString(s)
	return o.ResponseWriter.WriteString(s)
}

// Unwrap lets deadlines be set on the connection behind.
func (o *overheard) Unwrap() http.ResponseWriter { return o.ResponseWriter }
