package track

import (
	"time"

	"docstream/schemas"
)

// remove leaves of a job what says that there was one, for all its runs: later facts change nothing, and no run comes after it. A run under
// way ends cancelled, and that is told as every end is; of one that has ended the numbers stay as they were told.
func (t *Track) remove(s *schemas.JobSnapshot, d *schemas.DeletionRequested) (next *schemas.JobSnapshot, moved bool, out []schemas.Event) {
	if s == nil {
		s = begin(&d.Head)
		s.Version, s.Status, s.EndedAt, s.Stage = d.Version, d.Status, d.EndedAt, "" // of one that was let go the request says how it ended
	}
	if !s.DeletedAt.IsZero() {
		return s, false, nil
	}
	if !schemas.Terminal(s.Status) {
		c := change{s: s, at: d.At}
		c.end(schemas.Cancelled, "", "")
		c.close()
	}
	if s.Stage != "" { // not what Rest leaves: it ended now, or in this very transaction
		out = t.Changed(s)
	}
	c := change{s: t.Rest(s), at: d.At}
	c.s.DeletedAt, c.s.ArchivedAt, c.s.Source = d.At, time.Time{}, schemas.Source{Key: d.SourceKey}
	c.close()
	return c.s, true, out
}
