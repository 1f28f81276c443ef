package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/internal/pause"
	"docstream/internal/stream"
	"docstream/internal/telemetry"
	"docstream/schemas"
)

// message is one message as it came, with where it came from in the fields a dead letter keeps.
type message struct{ *kgo.Record }

// result is what a batch of messages comes to.
type result struct {
	submissions []*schemas.DocumentSubmitted
	letters     []*kgo.Record // dead ones
	filtered    map[string]int
}

// take makes everything that follows from the messages durable. It waits for a log or a store that does not answer, and fails only when
// ctx ends: nothing may be acknowledged then.
func (c *Connector) take(ctx context.Context, messages []message) error {
	began := time.Now()
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, longest) {
		err := c.try(ctx, messages)
		if err == nil {
			c.metrics.seconds.Observe(time.Since(began).Seconds())
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.metrics.retries.Inc()
		c.log.WarnContext(ctx, "a batch of notifications waits", "messages", len(messages), "error", err, "wait", wait.String())
		if !pause.For(ctx, wait) {
			return ctx.Err()
		}
	}
}

// try reads the messages and appends what they come to.
func (c *Connector) try(ctx context.Context, messages []message) error {
	res, err := c.read(ctx, messages)
	if err != nil {
		return err
	}
	if err := c.append(ctx, res.submissions, res.letters); err != nil {
		return err
	}
	c.metrics.messages.Add(float64(len(messages)))
	c.metrics.count("submitted", len(res.submissions))
	c.metrics.count("dead", len(res.letters))
	for reason, n := range res.filtered {
		c.metrics.count(reason, n)
	}
	return nil
}

// read decides about every record of the messages.
func (c *Connector) read(ctx context.Context, messages []message) (result, error) {
	res := result{filtered: map[string]int{}}
	var created []record
	for _, m := range messages {
		if m.Value == nil {
			res.filtered[reasonDeleted]++ // a tombstone: some servers say so that an object is gone
			continue
		}
		records, errs := guarded(m.Value)
		if len(errs) > 0 {
			res.letters = append(res.letters, c.bury(ctx, m, errors.Join(errs...)))
		}
		for _, r := range records {
			if r.filtered != "" {
				res.filtered[r.filtered]++
				continue
			}
			created = append(created, r)
		}
	}
	// Of the versions of one object that are at hand, the older ones are submitted first.
	slices.SortStableFunc(created, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.bucket, b.bucket), cmp.Compare(a.key, b.key), later(a.sequencer, b.sequencer))
	})
	now := time.Now().UTC()
	batch := map[string]bool{}
	for _, r := range created {
		e, reason, err := c.decide(ctx, r.object, now)
		switch {
		case err != nil:
			return res, err
		case reason == "" && batch[e.JobID]:
			reason = reasonDuplicate
		}
		if reason != "" {
			res.filtered[reason]++
			continue
		}
		batch[e.JobID] = true
		res.submissions = append(res.submissions, e)
	}
	return res, nil
}

// decide returns the submission of an object, or why there is none.
func (c *Connector) decide(ctx context.Context, o object, now time.Time) (*schemas.DocumentSubmitted, string, error) {
	r, ok := c.cfg.rule(o)
	if !ok {
		return nil, reasonNoRule, nil
	}
	e := c.cfg.submission(o, r, now)
	if c.recent.has(e.JobID) {
		return nil, reasonDuplicate, nil
	}
	if !o.at.IsZero() && now.Sub(o.at) > c.cfg.LookUpAfter {
		left, err := c.left(ctx, e)
		if err != nil {
			return nil, "", err
		}
		if left {
			return nil, reasonDuplicate, nil
		}
	}
	return e, "", nil
}

// left reports whether a job has left anything in the object store.
func (c *Connector) left(ctx context.Context, e *schemas.DocumentSubmitted) (found bool, err error) {
	for _, prefix := range []string{schemas.JobFilesPrefix(e.Tenant, e.JobID), schemas.ResultPrefix(e.Tenant, e.JobID)} {
		if err = c.objects.List(ctx, prefix, func(blob.Object) bool { found = true; return false }); found || err != nil {
			break
		}
	}
	return found, err
}

// guarded turns a panic over hostile bytes into a dead letter.
func guarded(body []byte) (records []record, errs []error) {
	defer func() {
		if p := recover(); p != nil {
			records, errs = nil, []error{fmt.Errorf("reading the message panicked: %v", p)}
		}
	}()
	return parse(body)
}

// appendTimeout bounds one attempt to append a batch.
const appendTimeout = 30 * time.Second

// append makes submissions and dead letters durable: when it returns nil, every in-sync replica has them (P1). What was appended before a
// failure is appended again, and changes nothing the second time.
func (c *Connector) append(ctx context.Context, submissions []*schemas.DocumentSubmitted, letters []*kgo.Record) error {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	records := slices.Clone(letters)
	for _, e := range submissions {
		r, err := c.writer.Record(telemetry.With(ctx, telemetry.Job{RequestID: e.RequestID, JobID: e.JobID, Tenant: e.Tenant}), e, e.RequestID)
		if err != nil {
			return err
		}
		records = append(records, r)
	}
	if len(records) == 0 {
		return nil
	}
	for _, res := range c.client.ProduceSync(ctx, records...) {
		switch {
		case errors.Is(res.Err, kerr.MessageTooLarge):
			if err := c.client.ProduceSync(ctx, shortened(res.Record)).FirstErr(); err != nil {
				return fault.World(schemas.ServiceUnavailable, "The event log does not answer; try again.").Because(err)
			}
		case res.Err != nil:
			return fault.World(schemas.ServiceUnavailable, "The event log does not answer; try again.").Because(res.Err)
		}
	}
	for _, e := range submissions {
		c.recent.add(e.JobID)
		c.log.DebugContext(ctx, "submitted", "job_id", e.JobID, "tenant", e.Tenant, "bucket", e.Source.Bucket, "key", e.Source.Key, "version", e.Source.Version)
	}
	return nil
}

// bury makes the dead letter of a message: its bytes and headers whole, and why.
func (c *Connector) bury(ctx context.Context, m message, why error) *kgo.Record {
	f := fault.Document(schemas.RecordUndecodable, "%s", schemas.Codes[schemas.RecordUndecodable].Meaning).Because(why)
	c.metrics.dead.WithLabelValues(Name, string(f.Code)).Inc()
	c.log.ErrorContext(ctx, "dead letter", "stage", Name, "from", m.Topic, "partition", m.Partition, "offset", m.Offset, "code", f.Code, "error", why)
	return stream.DeadLetter(c.plan, Name, m.Record, f, 1)
}

// maxLetter is what is kept of a message that no topic of ours can hold; where it came from still has the whole.
const maxLetter = 256 << 10

func shortened(r *kgo.Record) *kgo.Record {
	short := &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value[:min(len(r.Value), maxLetter)], Headers: slices.Clone(r.Headers)}
	short.Headers = append(short.Headers, kgo.RecordHeader{Key: headerCut, Value: fmt.Append(nil, len(r.Value))})
	return short
}
