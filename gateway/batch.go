package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/internal/blob"
	"docstream/schemas"
)

// What the object of a batch is.
const (
	formLines = "lines"
	formZip   = "zip"
)

// The statuses of a batch.
const (
	batchRunning   = "running"
	batchCompleted = "completed"
	batchCancelled = "cancelled"
)

// linesTypes are the media types of JSON lines.
var linesTypes = []string{"application/jsonl", "application/x-ndjson", "application/x-jsonlines"}

// intakeOfBatch is a batch being taken in.
type intakeOfBatch struct {
	g        *Gateway
	e        *schemas.BatchChanged
	items    *items
	defaults options
	hash     string // of the body
	stored   []string
}

// startBatch takes a batch: its items and its index are in the store, then its record is in the log, then the client hears 202 (P1). Nothing is
// submitted here; whichever gateway holds the batches feeds it.
func (g *Gateway) startBatch(c *gin.Context) error {
	if e := c.GetHeader("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return refuse(schemas.UnsupportedMediaType, "Compressed request bodies are not taken.").with("content_encoding", clip(e, 40))
	}
	if c.Request.ContentLength > g.cfg.BatchBytes {
		return refuse(schemas.BatchTooLarge, "").with("max_bytes", g.cfg.BatchBytes).hangUp()
	}
	once, err := g.keyed(c)
	if err != nil {
		return err
	}
	defer once.end()
	if err := g.overloaded(); err != nil {
		return err
	}
	release, err := g.slot(c)
	if err != nil {
		return err
	}
	defer release()
	b := g.newBatch(c, once)
	if err := b.receive(c); err != nil {
		b.discard(c.Request.Context())
		return err
	}
	e, again, err := b.settle(c.Request.Context(), once)
	if err != nil {
		return err
	}
	if again {
		c.Header("Idempotency-Replayed", "true")
	}
	c.Header("Location", g.link("/api/v1/batches/"+e.BatchID))
	g.json(c, http.StatusAccepted, g.showBatch(e))
	return nil
}

func (g *Gateway) newBatch(c *gin.Context, once *once) *intakeOfBatch {
	now := time.Now().UTC().Truncate(time.Microsecond)
	id := schemas.NewBatchID(now)
	if once != nil {
		id = schemas.BatchIDFor(tenant(c), once.key)
	}
	place := schemas.NewUploadID(now) // a twin under the same key writes beside it
	e := &schemas.BatchChanged{Head: schemas.Head{Tenant: tenant(c), At: now, SubmittedAt: now}, BatchID: id, Version: 1, Status: batchRunning, Form: formLines,
		Object: schemas.BatchKey(tenant(c), id, place+"/items"), Index: schemas.BatchKey(tenant(c), id, place+"/index.jsonl"), Defaults: map[string]string{},
		RequestID: requestID(c), RequestedBy: whoAsks(c).id, CreatedAt: now}
	e.EventID = schemas.EventIDFor(id, 0, "gateway", 0, e.Kind(), e.Version)
	return &intakeOfBatch{g: g, e: e, items: newItems(tenant(c), id), defaults: defaultOptions()}
}

// receive reads the batch in the way its type says and stores it with its index.
func (b *intakeOfBatch) receive(c *gin.Context) error {
	kind, _, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	for name, values := range c.Request.URL.Query() {
		if err := b.option(name, strings.Join(values, ",")); err != nil {
			return err
		}
	}
	body := newPaced(c, b.g.cfg)
	body.allow(math.MaxInt64)
	defer body.done()
	read := newSource(body, b.g.cfg.BatchBytes)
	ctx := c.Request.Context()
	switch {
	case err == nil && slices.Contains(linesTypes, kind):
		err = b.lines(ctx, read)
	case err == nil && kind == zipType:
		err = b.zip(ctx, read)
	case err == nil && kind == "application/json":
		err = b.bucket(ctx, read)
	default:
		return refuse(schemas.InvalidRequest, "Send JSON lines as application/jsonl, a zip as application/zip, or JSON that names a prefix of a bucket.")
	}
	switch {
	case errors.Is(read.failed, errTooLarge):
		return refuse(schemas.BatchTooLarge, "").with("max_bytes", b.g.cfg.BatchBytes).hangUp()
	case read.failed != nil:
		return refuse(schemas.UploadInterrupted, "").because(read.failed).hangUp()
	case err != nil:
		return err
	case len(b.items.all) == 0:
		return invalidBatch("The batch has no items.")
	}
	b.e.Items, b.hash = int64(len(b.items.all)), read.digest()
	return b.store(ctx, b.e.Index, b.items.bytes())
}

// option takes an option that holds for every item that does not say otherwise.
func (b *intakeOfBatch) option(name, value string) error {
	if name == "dry_run" {
		return invalid(name, "A batch has no dry run.")
	}
	if err := b.defaults.set(name, value); err != nil {
		return err
	}
	if name == "webhook_url" && value != "" {
		if err := b.g.webhookAddress(name, strings.TrimSpace(value)); err != nil {
			return err
		}
	}
	b.e.Defaults[name] = value
	return nil
}

// lines streams JSON lines into the store while it looks at them.
func (b *intakeOfBatch) lines(ctx context.Context, body io.Reader) error {
	l := newLines(body, b.g.cfg.MaxInlineBytes/3*4+bodyOverhead, b.items)
	b.stored = append(b.stored, b.e.Object)
	err := b.g.objects.Upload(ctx, b.e.Object, l, blob.Options{MediaType: linesTypes[0]})
	if l.err != nil && !errors.Is(l.err, io.EOF) {
		return l.err
	}
	return err
}

// zip streams a zip into the store, then reads its directory there.
func (b *intakeOfBatch) zip(ctx context.Context, body *source) error {
	b.e.Form, b.stored = formZip, append(b.stored, b.e.Object)
	if err := b.g.objects.Upload(ctx, b.e.Object, body, blob.Options{MediaType: zipType}); err != nil {
		return err
	}
	z, _, err := openZip(ctx, b.g.objects, b.e.Object, body.size)
	if err != nil {
		return err
	}
	return b.items.entries(z, b.g.cfg.BatchUnpacked)
}

// bucket lists what lies below a prefix.
func (b *intakeOfBatch) bucket(ctx context.Context, body io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(body, maxAnnouncement))
	if err != nil {
		return err
	}
	fields, err := object(text)
	if err != nil {
		return err
	}
	var p place
	d := json.NewDecoder(bytes.NewReader(fields["s3"]))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return refuse(schemas.InvalidRequest, "The body names an s3 bucket and a prefix.").because(err)
	}
	delete(fields, "s3")
	for field, v := range fields {
		text, err := optionText(v)
		if err != nil || len(text) > maxField {
			return invalid(field, "The value does not have the documented form.")
		}
		if err := b.option(field, text); err != nil {
			return err
		}
	}
	written, err := b.g.prefix(ctx, b.items, p)
	if err != nil {
		return err
	}
	return b.store(ctx, b.e.Object, written)
}

func (b *intakeOfBatch) store(ctx context.Context, key string, body []byte) error {
	b.stored = append(b.stored, key)
	return b.g.objects.Put(ctx, key, body, blob.Options{MediaType: linesTypes[0]})
}

// discard removes what a refused batch has stored, also where the client has gone.
func (b *intakeOfBatch) discard(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for _, key := range b.stored {
		if err := b.g.objects.Delete(ctx, key); err != nil {
			b.g.log.WarnContext(ctx, "a refused batch was not removed; its age will", "key", key, "error", err)
		}
	}
}

// fingerprint tells one batch from another under the same Idempotency-Key.
func (b *intakeOfBatch) fingerprint() string {
	text, err := json.Marshal([]any{"batch", b.e.Form, b.e.Defaults, b.hash})
	if err != nil {
		panic(err) // our own types: cannot fail
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// settle makes the batch durable, or finds the one that its key made before.
func (b *intakeOfBatch) settle(ctx context.Context, once *once) (_ *schemas.BatchChanged, again bool, err error) {
	if once == nil {
		return b.e, false, b.g.producer.Publish(ctx, b.e, b.e.RequestID)
	}
	held, err := once.keep(ctx, &promise{Fingerprint: b.fingerprint(), Batch: b.e})
	if err == nil && held.Batch == nil {
		err = refuse(schemas.IdempotencyKeyReused, "")
	}
	if err != nil {
		if held != nil {
			b.discard(ctx)
		}
		return nil, false, err
	}
	e := held.Batch
	if again = e.Object != b.e.Object; again {
		b.discard(ctx)
	}
	if err := b.g.fresh(ctx); err != nil {
		return nil, again, err
	}
	if known, ok := b.g.view.Batch(e.Tenant, e.BatchID); ok {
		return known, again, nil
	}
	return e, again, b.g.producer.Publish(ctx, e, e.RequestID)
}

// cancelAhead is how far a cancellation goes ahead of the versions that the feeding gateway writes meanwhile.
const cancelAhead = 1000

// cancelBatch asks that a batch stop: no more items are submitted, and the jobs that are under way are cancelled. One that has ended stays as it is.
func (g *Gateway) cancelBatch(c *gin.Context) error {
	e, err := g.batch(c)
	if err != nil {
		return err
	}
	if e.EndedAt.IsZero() && e.CancelledAt.IsZero() {
		next := *e
		next.CancelledAt, next.Version = time.Now().UTC().Truncate(time.Microsecond), e.Version+cancelAhead
		stampBatch(&next)
		if err := g.producer.Publish(c.Request.Context(), &next, requestID(c)); err != nil {
			return err
		}
		e = &next
	}
	c.Header("Location", g.link("/api/v1/batches/"+e.BatchID))
	g.json(c, http.StatusAccepted, g.showBatch(e))
	return nil
}

// stampBatch makes a changed batch its own next version.
func stampBatch(e *schemas.BatchChanged) {
	e.Version++
	e.At = time.Now().UTC().Truncate(time.Microsecond)
	e.EventID = schemas.EventIDFor(e.BatchID, 0, "gateway", 0, e.Kind(), e.Version)
}

// batch finds the batch that the path names.
func (g *Gateway) batch(c *gin.Context) (*schemas.BatchChanged, error) {
	id := c.Param("batch_id")
	if !schemas.ValidBatchID(id) {
		return nil, refuse(schemas.BatchNotFound, "")
	}
	if err := g.fresh(c.Request.Context()); err != nil {
		return nil, err
	}
	e, ok := g.view.Batch(tenant(c), id)
	switch {
	case ok:
		return e, nil
	case !g.view.Ready():
		return nil, refuse(schemas.ServiceUnavailable, "")
	}
	return nil, refuse(schemas.BatchNotFound, "")
}

// batches lists a tenant's newest batches.
func (g *Gateway) batches(c *gin.Context) error {
	limit, err := limitOf(c)
	if err != nil {
		return err
	}
	if err := g.fresh(c.Request.Context()); err != nil {
		return err
	}
	all, err := g.view.Batches(tenant(c), limit)
	if err != nil {
		return refuse(schemas.ServiceUnavailable, "").because(err)
	}
	out := make([]batchBody, 0, len(all))
	for _, e := range all {
		out = append(out, g.showBatch(e))
	}
	g.json(c, http.StatusOK, gin.H{"batches": out})
	return nil
}

// oneBatch answers how far a batch is.
func (g *Gateway) oneBatch(c *gin.Context) error {
	e, err := g.batch(c)
	if err != nil {
		return err
	}
	g.json(c, http.StatusOK, g.showBatch(e))
	return nil
}
