// Package track is the fold that follows every job: (state, fact) → (state, events). It reads no clock, no lane and no store; time enters
// only as the facts' own and as ticks, which are facts. Duplicates and the order of pages change nothing, facts of a terminal run change nothing, and the first terminal
// transition in partition order wins (P2).
package track

import (
	"context"

	"docstream/internal/fault"
	"docstream/schemas"
)

// Decode reads a submission in its wire format; an error of the world makes the harness wait.
type Decode func(context.Context, []byte) (schemas.Event, error)

// Track is the fold. It keeps nothing itself.
type Track struct {
	cfg    Config
	decode Decode
}

// New returns the fold.
func New(cfg Config, decode Decode) *Track { return &Track{cfg: cfg, decode: decode} }

// Key names the job of a fact: tenant first, so that one tenant's fact can never reach another's job (P8).
func (*Track) Key(f schemas.Event) string { return key(f) }

// StateKey names the job of a snapshot.
func (*Track) StateKey(s *schemas.JobSnapshot) string { return key(s) }

func key(e schemas.Event) string { h := e.Envelope(); return h.Tenant + "/" + h.JobID }

// Rest drops what a terminal job no longer needs: a later fact can only open the next run, which remembers how this one ended.
func (*Track) Rest(s *schemas.JobSnapshot) *schemas.JobSnapshot {
	if !schemas.Terminal(s.Status) {
		return s
	}
	return &schemas.JobSnapshot{Head: s.Head, Status: s.Status, Version: s.Version, Code: s.Code, Pipeline: s.Pipeline, ReplayID: s.ReplayID,
		PagesDone: s.PagesDone, PagesFailed: s.PagesFailed, EndedAt: s.EndedAt, Runs: s.Runs, DeletedAt: s.DeletedAt, ArchivedAt: s.ArchivedAt}
}

// Apply folds one fact. The state may be changed in place: the harness throws it away when the transaction aborts.
func (t *Track) Apply(ctx context.Context, s *schemas.JobSnapshot, f schemas.Event) (*schemas.JobSnapshot, bool, []schemas.Event, error) {
	h := f.Envelope()
	switch f := f.(type) {
	case *schemas.RunRequested:
		return t.open(ctx, s, f)
	case *schemas.DeletionRequested:
		next, moved, out := t.remove(s, f)
		return next, moved, out, nil
	case *schemas.JobArchived:
		next, moved, err := t.archived(ctx, s, f)
		return next, moved, nil, err
	}
	if s == nil {
		if _, cancel := f.(*schemas.CancelRequested); h.Run != 0 && !cancel || t.echo(f) {
			return nil, false, nil, nil // a run nobody opened, or what is left of one that was let go
		}
		s = begin(h)
	}
	if h.Run != s.Run || schemas.Terminal(s.Status) {
		return s, false, nil, nil
	}
	c := change{track: t, s: s, at: h.At}
	moved, err := c.fold(ctx, f)
	if err != nil {
		return s, false, nil, err
	}
	if moved {
		c.close()
	}
	return s, moved, c.out, nil
}

// begin is the state of a job at the first fact heard of it, whichever that is: pages may come before the opening.
func begin(h *schemas.Head) *schemas.JobSnapshot {
	return &schemas.JobSnapshot{
		Head:   schemas.Head{Tenant: h.Tenant, JobID: h.JobID, Run: h.Run, SubmittedAt: h.SubmittedAt},
		Status: schemas.Pending, Stage: StagePrepare, Class: "cpu", Priority: "normal",
	}
}

// open starts the run after the one asked about, if that is still the newest and has ended; anything else is a duplicate. Of an unknown job
// the request is believed, and says where the job goes on from. The end of the run before is told once more where it may not have been: it can lie in the same transaction.
func (t *Track) open(ctx context.Context, s *schemas.JobSnapshot, r *schemas.RunRequested) (*schemas.JobSnapshot, bool, []schemas.Event, error) {
	if s != nil && (s.Run != r.AfterRun || !schemas.Terminal(s.Status) || !s.DeletedAt.IsZero()) {
		return s, false, nil, nil
	}
	sub, err := t.submission(ctx, r.Submission)
	if err != nil {
		return s, false, nil, err
	}
	n := begin(&r.Head)
	n.Run, n.At, n.ReplayID, n.Version, n.Runs = r.AfterRun+1, r.At, r.ReplayID, r.Version, r.Runs
	var out []schemas.Event
	if s != nil {
		n.Version, n.SubmittedAt, n.Runs = s.Version, s.SubmittedAt, schemas.Lineage(s)
		if s.Stage != "" { // not what Rest leaves: it ended in this very transaction
			out = t.Changed(s)
		}
	}
	n.Version++
	n.EventID = schemas.EventIDFor(n.JobID, n.Run, "track", 0, n.Kind(), n.Version)
	describe(n, sub)
	split := *sub
	split.Head = schemas.Head{Tenant: n.Tenant, JobID: n.JobID, Run: n.Run, At: r.At, SubmittedAt: n.SubmittedAt,
		EventID: schemas.EventIDFor(n.JobID, n.Run, "track", 0, sub.Kind(), 0)}
	split.FromPage = 1
	return n, true, append(out, &split), nil
}

func (t *Track) submission(ctx context.Context, wire []byte) (*schemas.DocumentSubmitted, error) {
	e, err := t.decode(ctx, wire)
	if err != nil {
		return nil, err
	}
	sub, ok := e.(*schemas.DocumentSubmitted)
	if !ok {
		return nil, fault.Document(schemas.RecordUndecodable, "The fact carries no submission.")
	}
	return sub, nil
}

// described reports whether it is known what the job is.
func (c *change) described() bool { return c.s.Source.Key != "" || c.s.Source.URL != "" }

// describe copies into the state what the submission says of the job.
func describe(s *schemas.JobSnapshot, sub *schemas.DocumentSubmitted) {
	s.RequestID, s.APIKeyID = sub.RequestID, sub.APIKeyID
	s.Class, s.Priority = sub.Class, sub.Priority
	s.Source, s.Options, s.Metadata, s.WebhookURL = sub.Source, sub.Options, sub.Metadata, sub.WebhookURL
	if s.Run == 0 { // it was set for the job as it was submitted
		s.Deadline, s.BaseJob = sub.Deadline, sub.BaseJob
	}
}

// Changed returns the event that tells the world of a changed job. That one was deleted, or is archived, is told to nobody but those who hold its
// state.
func (*Track) Changed(s *schemas.JobSnapshot) []schemas.Event {
	if !s.DeletedAt.IsZero() || !s.ArchivedAt.IsZero() {
		return nil
	}
	c := &schemas.JobChanged{
		Head: s.Head, Version: s.Version, Status: s.Status, Stage: s.Stage,
		PagesExpected: s.PagesExpected, PagesDone: s.PagesDone, PagesFailed: s.PagesFailed,
		MediaType: s.Source.MediaType, Size: s.Source.Size, Class: s.Class, Priority: s.Priority, Code: s.Code, Pipeline: s.Pipeline,
		Words: s.Words, CPUMicros: s.CPUMicros, OpenedAt: s.OpenedAt, EndedAt: s.EndedAt, ReplayID: s.ReplayID,
	}
	c.EventID = schemas.EventIDFor(s.JobID, s.Run, "track", 0, c.Kind(), s.Version)
	if !schemas.Terminal(s.Status) {
		return []schemas.Event{c}
	}
	if s.Status == schemas.Cancelled || s.Status == schemas.Expired {
		return []schemas.Event{c, due(s), stopped(s)}
	}
	return []schemas.Event{c, due(s)}
}

// stopped tells the workers that nobody needs what is left of a run. They may drop it; that they do changes nothing here.
func stopped(s *schemas.JobSnapshot) *schemas.RunStopped {
	r := &schemas.RunStopped{Head: s.Head, Status: s.Status}
	r.EventID = schemas.EventIDFor(s.JobID, s.Run, "track", 0, r.Kind(), 0)
	return r
}

// due is the end of a run as webhooks tell it. Who wants to hear of it is not the fold's to know: deliver looks that up.
func due(s *schemas.JobSnapshot) *schemas.WebhookDue {
	w := &schemas.WebhookDue{
		Head: s.Head, URL: s.WebhookURL, Type: "job." + s.Status, Version: s.Version, State: "due", FirstAt: s.EndedAt, NextAt: s.EndedAt,
		Status: s.Status, Code: s.Code, Message: s.Message, PagesExpected: s.PagesExpected, PagesDone: s.PagesDone, PagesFailed: s.PagesFailed,
		Outputs: s.Outputs, Metadata: s.Metadata, RequestID: s.RequestID,
	}
	w.EventID = schemas.EventIDFor(s.JobID, s.Run, "track", 0, w.Kind(), s.Version)
	return w
}
