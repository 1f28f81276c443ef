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
	return g.receive(c, &upload{g: g, tenant: tenant(c), options: defaultOptions()})
}

// receive takes the document of a request and answers: what was accepted, or what would become of it.
func (g *Gateway) receive(c *gin.Context, u *upload) error {
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
	who := asker{requestID: requestID(c), apiKey: whoAsks(c).id, path: c.FullPath(), once: once, named: func(job string) { about(c, job) }}
	p, again, pending, err := g.promised(c.Request.Context(), u, who)
	if pending != nil { // the slot is free when the log has made up its mind: what hangs stays bounded
		free := release
		release = func() {}
		go func() { <-pending; free() }()
	}
	if again {
		c.Header("Idempotency-Replayed", "true")
	}
	return p, err
}

// asker says who asks for a document to be read, and what makes the asking repeatable.
type asker struct {
	requestID, apiKey string
	path              string // of the request
	once              *once
	named             func(job string) // told the job's id as soon as it has one
}

// promised turns a document that was taken in into an accepted job: its promise where there is a key, then its event (P1). nil where the client
// only asked what would become of it. again says that the promise was made before, and is only kept once more. Where the outcome is unknown
// pending is closed when the attempt has ended.
func (g *Gateway) promised(ctx context.Context, u *upload, who asker) (p *promise, again bool, pending <-chan struct{}, err error) {
	if u.options.webhook != "" {
		if err := g.webhookAddress("webhook_url", u.options.webhook); err != nil {
			u.discard(ctx)
			return nil, false, nil, err
		}
	}
	if u.options.dry {
		u.discard(ctx)
		return nil, false, nil, nil
	}
	p = &promise{Fingerprint: u.fingerprint(who.path), Submission: g.submission(u, who)}
	p.Answer = g.accepted(p.Submission)
	who.named(p.Submission.JobID)
	if p, again, err = u.settle(ctx, who.once, p); err != nil {
		return nil, again, nil, err
	}
	if p, again, err = u.claim(ctx, p, again); err != nil {
		return nil, again, nil, err
	}
	failpoint.At(failpoint.Promised)
	if again {
		if done, err := g.over(ctx, p); done || err != nil {
			return p, again, nil, err
		}
	}
	if pending, err = g.publish(ctx, p.Submission); err != nil {
		// An outcome nobody knows deletes nothing: the event may be in the log, and then the job is accepted (P1). Nor does a promise: its
		// key finds it again.
		if who.once == nil && fault.KindOf(err) != fault.Unavailable {
			u.discard(ctx)
		}
		return nil, again, pending, err
	}
	failpoint.At(failpoint.Published)
	return p, again, nil, nil
}

// over reports whether the job of a promise made earlier has ended and was let go: then its event was in the log, and is not said again. It
// would be a job that nobody knows, and read once more.
func (g *Gateway) over(ctx context.Context, p *promise) (bool, error) {
	if err := g.fresh(ctx); err != nil {
		return false, err
	}
	s, err := g.lookFor(ctx, p.Submission.Tenant, p.Submission.JobID)
	return s != nil && schemas.Terminal(s.Status), err
}

// bounded refuses by its head what cannot be taken, before a byte of the body is read.
func (g *Gateway) bounded(c *gin.Context) error {
	if e := c.GetHeader("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return refuse(schemas.UnsupportedMediaType, "Compressed request bodies are not taken.").with("content_encoding", clip(e, 40))
	}
	if c.Request.ContentLength > g.maxFile(tenant(c))+bodyOverhead {
		return g.tooLarge(tenant(c))
	}
	return nil
}

// tooLarge refuses a file above the limit; the connection is closed rather than read to its end.
func (g *Gateway) tooLarge(tenant string) error {
	return refuse(schemas.FileTooLarge, "").with("max_bytes", g.maxFile(tenant)).hangUp()
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
func (g *Gateway) submission(u *upload, who asker) *schemas.DocumentSubmitted {
	now := time.Now().UTC()
	job := schemas.NewJobID(now)
	switch {
	case u.direct != "":
		job = schemas.JobIDForUpload(u.tenant, u.direct)
	case who.once != nil:
		job = who.once.job()
	}
	e := &schemas.DocumentSubmitted{
		Head:      schemas.Head{Tenant: u.tenant, JobID: job, At: now, SubmittedAt: now},
		RequestID: who.requestID, APIKeyID: who.apiKey, FromPage: 1, Class: g.cfg.class(u.media), Priority: u.options.priority,
		Source: u.source(), Options: u.options.asked, Metadata: u.options.metadata, WebhookURL: u.options.webhook,
	}
	if u.options.deadline > 0 {
		e.Deadline = now.Add(time.Duration(u.options.deadline) * time.Second)
	}
	g.reuse(e, u.options.fresh)
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
		done <- g.producer.Submit(ctx, e)
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
