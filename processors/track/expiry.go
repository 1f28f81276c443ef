package track

import (
	"context"
	"time"

	"docstream/schemas"
)

// Due is when a run expires, or when one that has ended may be let go; zero for one that waits for neither.
func (t *Track) Due(s *schemas.JobSnapshot) time.Time {
	if schemas.Terminal(s.Status) {
		return t.gone(s)
	}
	return s.Deadline
}

// Elapsed ends a run whose deadline has passed by the fold's clock, and lets go of one that ended long enough ago. It is called for states that
// are due, and no others.
func (*Track) Elapsed(s *schemas.JobSnapshot, now time.Time) (*schemas.JobSnapshot, []schemas.Event) {
	if schemas.Terminal(s.Status) {
		return nil, nil
	}
	c := change{s: s, at: now}
	c.expire()
	c.close()
	return s, c.out
}

// expire ends the run because its time is over.
func (c *change) expire() bool {
	return c.end(schemas.Expired, string(schemas.DeadlineExceeded), schemas.Codes[schemas.DeadlineExceeded].Meaning)
}

// announced hears of a job before anybody has opened it: while it waits for its turn its time runs, and everybody knows of it.
func (c *change) announced(ctx context.Context, wire []byte) (bool, error) {
	if c.described() {
		return false, nil
	}
	sub, err := c.track.submission(ctx, wire)
	if err != nil {
		return false, err
	}
	describe(c.s, sub)
	return true, nil
}
