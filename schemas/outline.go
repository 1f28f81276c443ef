package schemas

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/avro"
)

// outline is what an outline reads of a submission. What a writer does not say stays as it is.
type outline struct {
	Tenant      string `avro:"tenant"`
	JobID       string `avro:"job_id"`
	Run         int32  `avro:"run"`
	SubmittedAt int64  `avro:"submitted_at"`
	FromPage    int32  `avro:"from_page"`
	Source      struct {
		MediaType string `avro:"media_type"`
	} `avro:"source"`
}

// outlines are the schemas of submissions by their id; nil: of that schema there is no outline.
type outlines struct {
	mu   sync.RWMutex
	read map[int]*avro.Schema
}

// Outline reads of a submission whose job it is, when it was accepted, from which page on and of which media type, and nothing else of s is
// touched; the rest is passed over, which takes a fraction of the time of [Codec.Decode]. The texts lie in b, which is not to be changed. An
// error that is [ErrUndecodable] lies in the bytes: they are no submission.
func (c *Codec) Outline(ctx context.Context, b []byte, s *DocumentSubmitted) (err error) {
	id, body, err := c.header.DecodeID(b)
	if err != nil {
		return fmt.Errorf("%w: no wire format header", ErrUndecodable)
	}
	from, err := c.outline(ctx, id)
	if err != nil {
		return err
	}
	defer func() { // bytes and schema are other people's
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrUndecodable, p)
		}
	}()
	o := outline{FromPage: 1}
	rest, err := from.Decode(body, &o, avro.SkipUnknown(), avro.AliasInput())
	if err != nil || len(rest) > 0 {
		return fmt.Errorf("%w: a submission with %d bytes left over: %w", ErrUndecodable, len(rest), err)
	}
	s.Tenant, s.JobID, s.Run, s.FromPage, s.Source.MediaType = o.Tenant, o.JobID, int(o.Run), int(o.FromPage), o.Source.MediaType
	if s.SubmittedAt = (time.Time{}); o.SubmittedAt != 0 {
		s.SubmittedAt = time.UnixMicro(o.SubmittedAt).UTC()
	}
	return nil
}

// outline returns the schema of a submission.
func (c *Codec) outline(ctx context.Context, id int) (*avro.Schema, error) {
	c.outlines.mu.RLock()
	from, known := c.outlines.read[id]
	c.outlines.mu.RUnlock()
	if !known {
		r, err := c.reader(ctx, id)
		if err != nil {
			return nil, err
		}
		if r.kind == (&DocumentSubmitted{}).Kind() {
			from, _ = avro.Parse(r.codec.Schema())
		}
		c.outlines.mu.Lock()
		if c.outlines.read == nil {
			c.outlines.read = map[int]*avro.Schema{}
		}
		c.outlines.read[id] = from
		c.outlines.mu.Unlock()
	}
	if from == nil {
		return nil, fmt.Errorf("%w: schema id %d is that of no submission", ErrUndecodable, id)
	}
	return from, nil
}
