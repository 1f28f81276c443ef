package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/internal/failpoint"
	"docstream/internal/fault"
	"docstream/schemas"
)

// accepted is the answer to a submission. estimated_time_ms is how long documents of this class and size took lately, behind the present
// backlog.
type accepted struct {
	JobID           string `json:"job_id"`
	Status          string `json:"status"`
	EstimatedTimeMS int64  `json:"estimated_time_ms"`
	StatusURL       string `json:"status_url"`
	ResultURL       string `json:"result_url"`
}

// submit takes a document. The order is P1's: the bytes are in the store, then the event is in the log, then the client hears 202.
func (g *Gateway) submit(c *gin.Context) error {
	u := &upload{g: g, tenant: tenant(c), options: defaultOptions()}
	p, err := g.take(c, u)
	switch {
	case err != nil:
		return err
	case p == nil:
		g.json(c, http.StatusOK, g.foresee(u))
	default:
		g.accept(c, p)
	}
	return nil
}

// take takes the document of a request in, whichever door it comes to, up to where it is accepted; nil where the client only asked what
// would become of it.
func (g *Gateway) take(c *gin.Context, u *upload) (*promise, error) {
	if err := g.bounded(c); err != nil {
		return nil, err
	}
	once, err := g.keyed(c)
	if err != nil {
		return nil, err
	}
	defer once.end()
	if err := g.room(c.Request.Context(), tenant(c)); err != nil {
		return nil, err
	}
	release, err := g.slot(c)
	if err != nil {
		return nil, err
	}
	defer func() { release() }()
	if err := u.receive(c); err != nil {
		u.discard(c.Request.Context())
		return nil, err
	}
	failpoint.At(failpoint.Stored)
	if u.options.webhook != "" {
		if err := g.webhookAddress("webhook_url", u.options.webhook); err != nil {
			u.discard(c.Request.Context())
			return nil, err
		}
	}
	if u.options.dry {
		u.discard(c.Request.Context())
		return nil, nil
	}
	p := &promise{Fingerprint: u.fingerprint(c), Submission: g.submission(c, u, once)}
	p.Answer = g.accepted(p.Submission)
	about(c, p.Submission.JobID)
	if p, err = u.settle(c, once, p); err != nil {
		return nil, err
	}
	failpoint.At(failpoint.Promised)
	pending, err := g.publish(c.Request.Context(), p.Submission)
	if pending != nil { // the slot is free when the log has made up its mind: what hangs stays bounded
		free := release
		release = func() {}
		go func() { <-pending; free() }()
	}
	if err != nil {
		// An outcome nobody knows deletes nothing: the event may be in the log, and then the job is accepted (P1). Nor does a promise: its
		// key finds it again.
		if once == nil && fault.KindOf(err) != fault.Unavailable {
			u.discard(c.Request.Context())
		}
		return nil, err
	}
	failpoint.At(failpoint.Published)
	return p, nil
}

// bounded refuses by its head what cannot be taken, before a byte of the body is read.
func (g *Gateway) bounded(c *gin.Context) error {
	if e := c.GetHeader("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return refuse(schemas.UnsupportedMediaType, "Compressed request bodies are not taken.").with("content_encoding", clip(e, 40))
	}
	if c.Request.ContentLength > g.maxFile(tenant(c))+bodyOverhead {
		return g.tooLarge(c)
	}
	return nil
}

// tooLarge refuses a file above the limit; the connection is closed rather than read to its end.
func (g *Gateway) tooLarge(c *gin.Context) error {
	c.Header("Connection", "close")
	return refuse(schemas.FileTooLarge, "").with("max_bytes", g.maxFile(tenant(c)))
}

// slot waits, shortly, for a place among the uploads in flight.
func (g *Gateway) slot(c *gin.Context) (release func(), err error) {
	ctx, began := c.Request.Context(), time.Now()
	bytes := c.Request.ContentLength
	if bytes < 0 { // nobody knows: as much as it may be
		bytes = g.maxFile(tenant(c))
	}
	wait := time.NewTimer(g.cfg.UploadWait)
	defer wait.Stop()
	select {
	case g.slots <- struct{}{}:
	case <-wait.C:
		return nil, g.busy()
	case <-ctx.Done():
		return nil, refuse(schemas.UploadInterrupted, "").because(ctx.Err())
	}
	if !g.intake.enter(bytes, g.cfg.UploadBytes) {
		<-g.slots
		return nil, g.busy()
	}
	g.metrics.active.Inc()
	return func() {
		g.intake.leave(bytes, time.Since(began))
		g.metrics.active.Dec()
		<-g.slots
	}, nil
}

// submission is the event of an upload: version 0 of its job.
func (g *Gateway) submission(c *gin.Context, u *upload, once *once) *schemas.DocumentSubmitted {
	now := time.Now().UTC()
	job := schemas.NewJobID(now)
	if once != nil {
		job = schemas.JobIDFor("idempotency", u.tenant, once.key)
	}
	e := &schemas.DocumentSubmitted{
		Head:      schemas.Head{Tenant: u.tenant, JobID: job, At: now, SubmittedAt: now},
		RequestID: requestID(c), APIKeyID: c.GetString(apiKeyKey), FromPage: 1, Class: g.cfg.class(u.media), Priority: u.options.priority,
		Source: u.source(), Options: u.options.asked, Metadata: u.options.metadata, WebhookURL: u.options.webhook,
	}
	e.EventID = schemas.EventIDFor(e.JobID, 0, "gateway", 0, e.Kind(), 0)
	return e
}

// publish admits the submission and makes its event durable. A client that leaves meanwhile changes nothing. Where the log does not answer in time the outcome is
// unknown: the answer is 503, and pending is closed when the attempt has ended.
func (g *Gateway) publish(ctx context.Context, e *schemas.DocumentSubmitted) (pending <-chan struct{}, err error) {
	if err := g.admit(ctx, e); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.cfg.PublishTimeout)
	done, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer cancel()
		defer close(ended)
		done <- g.producer.Publish(ctx, e, e.RequestID)
	}()
	select {
	case err := <-done:
		if err != nil && fault.KindOf(err) != fault.Unavailable {
			g.admitted.drop(e.Tenant, e.JobID)
		}
		return nil, err
	case <-time.After(g.cfg.PublishTimeout + time.Second):
		return ended, fault.World(schemas.ServiceUnavailable, "The event log does not answer; try again.").Because(errors.New("publish timed out"))
	}
}

// accepted is the answer to a submission, made before it is durable so that a promise can hold it.
func (g *Gateway) accepted(e *schemas.DocumentSubmitted) accepted {
	estimate := g.view.Estimate(e.Class, e.Source.Size)
	return accepted{
		JobID: e.JobID, Status: schemas.Pending, EstimatedTimeMS: max(1, estimate.Milliseconds()),
		StatusURL: g.statusURL(e.JobID), ResultURL: g.resultURL(e.JobID),
	}
}

// accept answers 202.
func (g *Gateway) accept(c *gin.Context, p *promise) {
	c.Header("Location", p.Answer.StatusURL)
	c.Header("Retry-After", seconds(min(time.Duration(p.Answer.EstimatedTimeMS)*time.Millisecond/2, maxRetryAfter)))
	g.json(c, http.StatusAccepted, p.Answer)
}

// maxRetryAfter bounds how long a client is told to wait before it asks again.
const maxRetryAfter = 30 * time.Second

func (g *Gateway) statusURL(job string) string { return g.link("/api/v1/jobs/" + job) }
func (g *Gateway) resultURL(job string) string { return g.link("/api/v1/jobs/" + job + "/result") }
