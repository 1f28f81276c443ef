package track_test

import (
	"testing"
	"time"

	"docstream/processors/track"
	"docstream/schemas"
)

// limited is a job that must have ended a minute after it was submitted.
func limited(t *testing.T) *schemas.DeadlineSet {
	t.Helper()
	e, err := decode(t.Context(), wire)
	if err != nil {
		t.Fatal(err)
	}
	sub := e.(*schemas.DocumentSubmitted)
	sub.Deadline = t0.Add(time.Minute)
	b, err := codec.Encode(sub)
	if err != nil {
		t.Fatal(err)
	}
	return &schemas.DeadlineSet{Head: head(0, "gateway", 0, "DeadlineSet", 0), Submission: b}
}

func TestDeadlinesOfRunsCountWaiting(t *testing.T) {
	fold := track.New(track.DefaultConfig(), decode)
	apply := func(s *schemas.JobSnapshot, f schemas.Event) *schemas.JobSnapshot {
		next, _, _, err := fold.Apply(t.Context(), s, f)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	s := apply(nil, limited(t)) // nobody has opened it
	if s.Status != schemas.Pending || s.Source.Key == "" || !fold.Due(s).Equal(t0.Add(time.Minute)) {
		t.Fatalf("before anybody opened it the job is %+v", s)
	}
	now := t0.Add(2 * time.Minute)
	s, _ = fold.Elapsed(s, now)
	if s.Status != schemas.Expired || s.Code != string(schemas.DeadlineExceeded) || !s.EndedAt.Equal(now) || s.Version != 2 || !fold.Due(s).IsZero() {
		t.Errorf("it ended as %+v", s)
	}
	var kinds []string
	for _, e := range fold.Changed(s) {
		kinds = append(kinds, e.Kind())
		if w, ok := e.(*schemas.WebhookDue); ok && (w.Type != "job.expired" || w.Code != string(schemas.DeadlineExceeded)) {
			t.Errorf("webhooks are told %+v", w)
		}
		if r, ok := e.(*schemas.RunStopped); ok && r.Status != schemas.Expired {
			t.Errorf("workers are told %+v", r)
		}
	}
	if len(kinds) != 3 || kinds[2] != "RunStopped" {
		t.Errorf("the world is told %v", kinds)
	}
	if late := apply(s, opened(0, 1)); late.Version != 2 || late.Status != schemas.Expired {
		t.Errorf("a late opening made it %+v", late)
	}
	// A later run has no deadline: what the client set has passed.
	next := apply(s, again(0, ""))
	if !fold.Due(next).IsZero() || !fold.Due(apply(next, opened(1, 1))).IsZero() {
		t.Errorf("the next run is due at %s", fold.Due(next))
	}
}
