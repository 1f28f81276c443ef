package track

import (
	"context"
	"errors"
	"time"

	"docstream/internal/fault"
	"docstream/schemas"
)

// Config says how long the fold remembers jobs that have ended.
type Config struct {
	Hot time.Duration `koanf:"hot"` // a job stays known for so long after it ended, or was deleted; then its job.json answers
}

// DefaultConfig keeps jobs for a day.
func DefaultConfig() Config { return Config{Hot: 24 * time.Hour} }

// Validate refuses settings that cannot work.
func (c Config) Validate() error {
	if c.Hot < time.Second {
		return errors.New("track: hot is below 1s")
	}
	return nil
}

// archived notes that how the run ended lies in the object store, this very version. What the fold keeps of an ended job is little, so the fact
// brings the state along and it is written back whole: who reads it next finds what was told, and that it may be let go. It moves no version
// and is told to nobody, for the job is what it was. A job nobody knows any more is laid to rest once more: somebody still has a row of it.
func (t *Track) archived(ctx context.Context, s *schemas.JobSnapshot, f *schemas.JobArchived) (next *schemas.JobSnapshot, moved bool, err error) {
	switch {
	case s == nil:
		return nil, true, nil
	case s.Run != f.Run || s.Version != f.Version || !schemas.Terminal(s.Status) || !s.ArchivedAt.IsZero():
		return s, false, nil
	}
	e, err := t.decode(ctx, f.State)
	if err != nil {
		return s, false, err
	}
	whole, ok := e.(*schemas.JobSnapshot)
	if !ok || whole.EventID != s.EventID || key(whole) != key(s) {
		return s, false, fault.Document(schemas.RecordUndecodable, "The fact carries another state.")
	}
	whole.ArchivedAt = f.At
	return whole, true, nil
}

// gone is when an ended job may be let go; zero while nobody has said that it lies in the object store.
func (t *Track) gone(s *schemas.JobSnapshot) time.Time {
	switch {
	case s.ArchivedAt.IsZero():
		return time.Time{}
	case s.DeletedAt.After(s.EndedAt):
		return s.DeletedAt.Add(t.cfg.Hot)
	}
	return s.EndedAt.Add(t.cfg.Hot)
}

// echo reports whether a fact of a job nobody knows is what is left of one that was let go: it comes later than any job is let go, and
// does not say what the job is, as the first fact of every job does. One that says so is never filtered: a document may wait in its lane for
// longer than ended jobs stay known (P1).
func (t *Track) echo(f schemas.Event) bool {
	h := f.Envelope()
	if h.SubmittedAt.IsZero() || h.At.Sub(h.SubmittedAt) <= t.cfg.Hot {
		return false
	}
	switch f := f.(type) {
	case *schemas.DocumentOpened, *schemas.DeadlineSet, *schemas.DocumentDeferred, *schemas.FetchScheduled, *schemas.CancelRequested:
		return false
	case *schemas.DocumentRefused:
		return len(f.Submission) == 0
	case *schemas.RetryScheduled:
		return len(f.Submission) == 0
	case *schemas.DeadLettered:
		return len(f.Submission) == 0
	}
	return true
}
