package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/producers"
	"docstream/schemas"
)

// runAccepted is the answer to who asked for another run of a job.
type runAccepted struct {
	JobID     string `json:"job_id"`
	Run       int    `json:"run"`
	AfterRun  int    `json:"after_run"`
	Status    string `json:"status"`
	StatusURL string `json:"status_url"`
	ResultURL string `json:"result_url"`
}

// reprocess asks for another run of a job that has ended, with other options: nothing is uploaded again. What the body names replaces what
// the newest run was asked for, all else stays. The results of earlier runs stay where they are.
func (g *Gateway) reprocess(c *gin.Context) error {
	s, err := g.ended(c)
	if err != nil {
		return err
	}
	o := options{priority: s.Priority, asked: s.Options, metadata: s.Metadata, webhook: s.WebhookURL}
	if err := o.change(c); err != nil {
		return err
	}
	if o.webhook != "" && o.webhook != s.WebhookURL {
		if err := g.webhookAddress("webhook_url", o.webhook); err != nil {
			return err
		}
	}
	return g.rerun(c, s, "reprocess", func(sub *schemas.DocumentSubmitted) {
		sub.Priority, sub.Options, sub.Metadata, sub.WebhookURL = o.priority, o.asked, o.metadata, o.webhook
	})
}

// retry asks for another run, with the same options, of a job that did not end with every page. Pages that have a result are taken over.
func (g *Gateway) retry(c *gin.Context) error {
	s, err := g.ended(c)
	if err != nil {
		return err
	}
	if s.Status == schemas.Completed {
		return refuse(schemas.JobEnded, "The job is completed: nothing is left to try again. Reprocess takes other options.").with("status", s.Status)
	}
	if b, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxField)); err != nil || strings.TrimSpace(string(b)) != "" && strings.TrimSpace(string(b)) != "{}" {
		return refuse(schemas.InvalidRequest, "A retry takes no options; reprocess does.").because(err)
	}
	return g.rerun(c, s, "retry", func(sub *schemas.DocumentSubmitted) {
		if s.Status != schemas.Cancelled { // what a cancelled run has read is never served
			producers.Keep(sub, s)
		}
	})
}

// ended finds the job of the path, which has ended.
func (g *Gateway) ended(c *gin.Context) (*schemas.JobSnapshot, error) {
	s, err := g.find(c)
	if err == nil && !schemas.Terminal(s.Status) {
		r := refuse(schemas.JobNotEnded, "").with("status", s.Status)
		r.after = g.notReady(s).after
		return nil, r
	}
	return s, err
}

// change takes the options of a JSON body; one that is there replaces what was asked before, as a whole.
func (o *options) change(c *gin.Context) error {
	b, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxMetadataBytes+maxField))
	if err != nil {
		return refuse(schemas.InvalidRequest, "The body is too large.").because(err)
	}
	if strings.TrimSpace(string(b)) == "" {
		b = []byte("{}")
	}
	fields, err := object(b)
	if err != nil {
		return err
	}
	fresh := defaultOptions()
	for name, into := range map[string]func(){
		"priority":       func() { o.priority = fresh.priority },
		"ocr":            func() { o.asked.OCR = fresh.asked.OCR },
		"pages":          func() { o.asked.Pages = "" },
		"output_formats": func() { o.asked.OutputFormats = nil },
		"languages":      func() { o.asked.Languages = nil },
		"dpi":            func() { o.asked.DPI = 0 },
		"max_pages":      func() { o.asked.MaxPages = 0 },
		"metadata":       func() { o.metadata = nil },
		"tables":         func() {}, "figures": func() {}, "webhook_url": func() {},
	} {
		v, ok := fields[name]
		if !ok {
			continue
		}
		delete(fields, name)
		into()
		text, err := optionText(v)
		if err != nil || len(text) > maxField {
			return invalid(name, "The value does not have the documented form.")
		}
		if err := o.set(name, text); err != nil {
			return err
		}
	}
	for name := range fields {
		return invalid(name, "There is no such option.")
	}
	return nil
}

// rerun asks for the next run of a job, once what it needs is there and the tenant's plan has room.
func (g *Gateway) rerun(c *gin.Context, s *schemas.JobSnapshot, by string, change func(*schemas.DocumentSubmitted)) error {
	ctx := c.Request.Context()
	var asked *schemas.DocumentSubmitted
	r, err := producers.Again(g.producer.Encode, s, by, time.Now(), func(sub *schemas.DocumentSubmitted) {
		sub.RequestID, sub.APIKeyID = requestID(c), whoAsks(c).id
		change(sub)
		asked = sub
	})
	if err != nil {
		return err
	}
	if p := g.plan(s.Tenant); len(p.Priorities) > 0 && !slices.Contains(p.Priorities, asked.Priority) {
		return refuse(schemas.Forbidden, "The plan does not allow this priority.").with("allowed", p.Priorities).with("plan", p.Name)
	}
	if err := g.room(ctx, s.Tenant); err != nil {
		return err
	}
	if err := g.there(ctx, s.Source); err != nil {
		return err
	}
	if err := g.producer.Publish(ctx, r, asked.RequestID); err != nil {
		return err
	}
	// Who asks at the same time for something else may be first: then this run is not the one that was opened. Where the fold says nothing in
	// time, the request lies in the log all the same.
	now, err := g.until(c, g.cfg.MaxWait, func(now *schemas.JobSnapshot) bool { return now.Run > s.Run || !now.DeletedAt.IsZero() })
	if err == nil && now.Run == s.Run+1 && now.RequestID != asked.RequestID {
		return refuse(schemas.JobNotEnded, "Another run of the job was asked for at the same time.").with("run", now.Run)
	}
	c.Header("Location", g.statusURL(s.JobID))
	g.json(c, http.StatusAccepted, runAccepted{JobID: s.JobID, Run: s.Run + 1, AfterRun: s.Run, Status: schemas.Pending,
		StatusURL: g.statusURL(s.JobID), ResultURL: g.resultURL(s.JobID)})
	return nil
}

// there reports whether a source still is where it was, and as large.
func (g *Gateway) there(ctx context.Context, s schemas.Source) error {
	var o blob.Object
	var err error
	switch {
	case s.Bucket == "":
		o, err = g.objects.Head(ctx, s.Key)
	case g.foreign == nil:
		return refuse(schemas.SourceForbidden, "")
	default:
		o, err = g.foreign.HeadFrom(ctx, blob.Place{Bucket: s.Bucket, Key: s.Key, Version: s.Version})
	}
	var f *fault.Error
	switch {
	case errors.Is(err, blob.ErrNotFound), errors.As(err, &f) && f.Kind == fault.Permanent, err == nil && s.Size > 0 && o.Size != s.Size:
		return refuse(schemas.SourceMissing, "").because(err)
	}
	return err
}
