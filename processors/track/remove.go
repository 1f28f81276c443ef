package track

import "docstream/schemas"

// remove leaves of a job what says that there was one, for all its runs: later facts change nothing, and no run comes after it. A run under
// way ends cancelled, and that is told as every end is; of one that has ended the numbers stay as they were told.
func (t *Track) remove(s *schemas.JobSnapshot, d *schemas.DeletionRequested) (next *schemas.JobSnapshot, moved bool, out []schemas.Event) {
	if s == nil {
		s = begin(&d.Head)
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
	c.s.DeletedAt, c.s.Source = d.At, schemas.Source{Key: d.SourceKey}
	c.close()
	return c.s, true, out
}
