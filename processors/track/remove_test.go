package track_test

import (
	"testing"

	"docstream/schemas"
)

func deletion(run int) schemas.Event {
	return &schemas.DeletionRequested{Head: head(run, "gateway", 0, "DeletionRequested", 950), RequestedBy: "k1", SourceKey: "sources/acme/x"}
}

// TestADeletedJobIsATombstone: whatever a job was and whatever still comes of it, what is left says how it ended and that it was deleted.
func TestADeletedJobIsATombstone(t *testing.T) {
	again := &schemas.RunRequested{Head: head(0, "", 0, "RunRequested", 990), Submission: wire}
	late := []schemas.Event{deletion(0), opened(0, 2), finished(0, 1), finished(0, 2), composed(0), again, failed(0, 2)}
	for _, c := range []struct {
		name   string
		facts  []schemas.Event
		status schemas.Status
		done   int
	}{
		{"nobody has opened it", nil, schemas.Cancelled, 0},
		{"it is being read", []schemas.Event{opened(0, 2), finished(0, 1)}, schemas.Cancelled, 1},
		{"it is being composed", history(2, nil), schemas.Cancelled, 2},
		{"it is completed", append(history(2, nil), composed(0)), schemas.Completed, 2},
		{"it failed", history(2, map[int]bool{1: true, 2: true}), schemas.Failed, 0},
	} {
		for _, apart := range []bool{true, false} { // the deletion in a transaction of its own, or in that of the end
			name := c.name
			if !apart {
				name += ", in one transaction"
			}
			t.Run(name, func(t *testing.T) {
				m := newMachine()
				told := func() (n int) {
					for _, e := range append(m.out, changes(m)...) {
						if j, ok := e.(*schemas.JobChanged); ok && schemas.Terminal(j.Status) {
							n++
							if j.Status != c.status {
								t.Errorf("the end is told as %s", j.Status)
							}
							if told := schemas.EventIDFor(j.JobID, j.Run, "track", 0, j.Kind(), j.Version); j.EventID != told || j.EndedAt.IsZero() {
								t.Errorf("version %d ended at %v and is told as event %s, want %s", j.Version, j.EndedAt, j.EventID, told)
							}
						}
					}
					return n
				}
				for _, f := range c.facts {
					m.apply(t, f)
				}
				before := 0
				if apart && m.state != nil {
					before = told()
					m.commit(t)
				}
				if apart {
					m.out = nil
				}
				var version int64
				open := m.state == nil || !schemas.Terminal(m.state.Status)
				if m.state != nil {
					version = m.state.Version
				}
				request := deletion(0)
				if !m.apply(t, request) {
					t.Fatal("the deletion changes nothing")
				}
				steps := int64(1) // the tombstone is a version of its own, after that of the end
				if open {
					steps = 2
				}
				if at := request.Envelope().At; m.state.Version != version+steps || !m.state.At.Equal(at) || !m.state.DeletedAt.Equal(at) ||
					m.state.EventID != schemas.EventIDFor(m.state.JobID, m.state.Run, "track", 0, m.state.Kind(), m.state.Version) || open && !m.state.EndedAt.Equal(at) {
					t.Errorf("deleted at %v after version %d: version %d, event %s, changed %v, ended %v", at, version, m.state.Version, m.state.EventID, m.state.At, m.state.EndedAt)
				}
				if n := before + told(); n != 1 {
					t.Errorf("the end is told %d times", n)
				}
				m.commit(t)
				kept := m.load(t)
				if kept.Status != c.status || kept.DeletedAt.IsZero() || kept.PagesDone != c.done || kept.Source != (schemas.Source{Key: "sources/acme/x"}) ||
					len(kept.Outputs)+len(kept.Metadata)+len(kept.Failures)+len(kept.Finished) > 0 || kept.WebhookURL != "" {
					t.Errorf("what is left: %+v", kept)
				}
				m.out = nil
				for _, f := range late {
					if m.apply(t, f) {
						t.Errorf("a late %s changes it", f.Kind())
					}
				}
				if len(m.out) > 0 {
					t.Errorf("after the deletion: %d events", len(m.out))
				}
			})
		}
	}
}

// changes is what the end of the transaction would tell of the state.
func changes(m *machine) []schemas.Event {
	if !m.dirty {
		return nil
	}
	return m.t.Changed(m.state)
}
