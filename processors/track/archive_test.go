package track_test

import (
	"context"
	"testing"
	"time"

	"docstream/internal/fault"
	"docstream/processors/track"
	"docstream/schemas"
)

// hot is how long these tests keep a job that has ended.
const hot = time.Hour

// folded is what a fold makes of facts, each in a transaction of its own.
func folded(t *testing.T, fold *track.Track, s *schemas.JobSnapshot, facts ...schemas.Event) *schemas.JobSnapshot {
	t.Helper()
	for _, f := range facts {
		next, _, _, err := fold.Apply(t.Context(), s, f)
		if err != nil {
			t.Fatalf("%s: %v", f.Kind(), err)
		}
		s = next
	}
	return s
}

// kept says that a state lies in the object store.
func kept(t *testing.T, s *schemas.JobSnapshot) *schemas.JobArchived {
	t.Helper()
	b, err := codec.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	h := s.Head
	h.At = t0.Add(2 * time.Hour)
	return &schemas.JobArchived{Head: h, Version: s.Version, State: b}
}

// TestRunsThatEndedAreLetGoOnceTheyAreArchived: never a live one, never before its time, never while nobody said that it lies elsewhere.
func TestRunsThatEndedAreLetGoOnceTheyAreArchived(t *testing.T) {
	fold := track.New(track.Config{Hot: hot}, decode)
	for name, facts := range map[string][]schemas.Event{
		"completed": append(history(2, nil), composed(0)),
		"failed":    history(2, map[int]bool{1: true, 2: true}),
		"cancelled": {opened(0, 2), &schemas.CancelRequested{Head: head(0, "gateway", 0, "CancelRequested", 500)}},
		"deleted":   append(append(history(2, nil), composed(0)), deletion(0)),
	} {
		t.Run(name, func(t *testing.T) {
			s := folded(t, fold, nil, facts...)
			if !fold.Due(s).IsZero() {
				t.Fatalf("nobody knows of it elsewhere, and it waits for %s", fold.Due(s))
			}
			ends := s.EndedAt
			if s.DeletedAt.After(ends) {
				ends = s.DeletedAt
			}
			next, moved, out, err := fold.Apply(t.Context(), fold.Rest(s), kept(t, s))
			if err != nil || !moved || len(out) > 0 || len(fold.Changed(next)) > 0 {
				t.Fatalf("moved %t, %d events and %d more: %v", moved, len(out), len(fold.Changed(next)), err)
			}
			if next.ArchivedAt.IsZero() || next.Version != s.Version || next.EventID != s.EventID || len(next.Outputs) != len(s.Outputs) || next.PagesDone != s.PagesDone {
				t.Errorf("what was %+v is %+v", s, next)
			}
			if at := fold.Due(fold.Rest(next)); !at.Equal(ends.Add(hot)) {
				t.Errorf("it ended at %s and is let go at %s", ends, at)
			}
			if again, moved, _, _ := fold.Apply(t.Context(), next, kept(t, s)); moved || again != next {
				t.Error("it is archived twice")
			}
			if gone, out := fold.Elapsed(next, ends.Add(hot)); gone != nil || len(out) > 0 {
				t.Errorf("its time is over and it is %+v", gone)
			}
		})
	}
	live := folded(t, fold, nil, opened(0, 2))
	if s, moved, _, err := fold.Apply(t.Context(), live, kept(t, live)); moved || err != nil || !fold.Due(s).IsZero() {
		t.Errorf("a live one: %t %v", moved, err)
	}
}

// TestARunAfterOneThatWasLetGoGoesOnFromWhereItWas: the request says what the fold has forgotten.
func TestARunAfterOneThatWasLetGoGoesOnFromWhereItWas(t *testing.T) {
	fold := track.New(track.Config{Hot: hot}, decode)
	was := folded(t, fold, nil, append(history(2, nil), composed(0))...)
	request := &schemas.RunRequested{Head: head(0, "reprocess", 0, "RunRequested", 99_000), Submission: wire, Version: was.Version, Runs: schemas.Lineage(was)}
	known, forgotten := folded(t, fold, fold.Rest(was), request), folded(t, fold, nil, request)
	if a, b := plainly(t, known), plainly(t, forgotten); a != b {
		t.Errorf("known it becomes\n%s\nlet go\n%s", a, b)
	}
}

// TestADeletedRunThatWasLetGoStaysNewerThanWhatLiesInTheStore: the tombstone says how the job ended, and is a version later.
func TestADeletedRunThatWasLetGoStaysNewerThanWhatLiesInTheStore(t *testing.T) {
	fold := track.New(track.Config{Hot: hot}, decode)
	was := folded(t, fold, nil, append(history(2, nil), composed(0))...)
	d := deletion(0).(*schemas.DeletionRequested)
	d.Version, d.Status, d.EndedAt = was.Version, was.Status, was.EndedAt
	s, moved, out, err := fold.Apply(t.Context(), nil, d)
	if err != nil || !moved || len(out) > 0 {
		t.Fatalf("moved %t and told %d events: %v", moved, len(out), err)
	}
	if s.Status != schemas.Completed || s.Version != was.Version+1 || !s.EndedAt.Equal(was.EndedAt) || s.DeletedAt.IsZero() || s.Source.Key != d.SourceKey || s.Stage != "" {
		t.Errorf("it is %+v", s)
	}
}

// TestRunsThatWereLetGoHaveNoEcho: what is left of a job that nobody knows any more opens nothing; what says what its job is always does, for
// a document may wait for longer.
func TestRunsThatWereLetGoHaveNoEcho(t *testing.T) {
	fold := track.New(track.Config{Hot: hot}, decode)
	at := func(e schemas.Event, age time.Duration) schemas.Event {
		e.Envelope().At = e.Envelope().SubmittedAt.Add(age)
		return e
	}
	retry := func(wire []byte) schemas.Event {
		return &schemas.RetryScheduled{Head: head(0, "prepare", 0, "RetryScheduled", 0), Stage: "prepare", FromPage: 1, Attempt: 1, Due: t0, Submission: wire}
	}
	letter := func(wire []byte) schemas.Event {
		return &schemas.DeadLettered{Head: head(0, "prepare", 0, "DeadLettered", 0), Stage: "prepare", FromPage: 2, Submission: wire}
	}
	refusal := func(wire []byte) schemas.Event {
		return &schemas.DocumentRefused{Head: head(0, "prepare", 0, "DocumentRefused", 0), Stage: "prepare", Submission: wire}
	}
	undated := finished(0, 1)
	undated.Envelope().SubmittedAt = time.Time{}
	for name, c := range map[string]struct {
		fact  schemas.Event
		opens bool
	}{
		"a page in time":            {at(finished(0, 1), hot), true},
		"a late page":               {at(finished(0, 1), hot+1), false},
		"a late failure":            {at(failed(0, 1), 2*hot), false},
		"late outputs":              {at(composed(0), 2*hot), false},
		"a page of an unknown time": {undated, true},
		"a late opening":            {at(opened(0, 1), 2*hot), true},
		"a late cancellation":       {at(&schemas.CancelRequested{Head: head(0, "", 0, "CancelRequested", 0)}, 2*hot), true},
		"a late deadline":           {at(limited(t), 2*hot), true},
		"a late deferral":           {at(&schemas.DocumentDeferred{Head: head(0, "", 0, "DocumentDeferred", 0), Submission: wire}, 2*hot), true},
		"a late fetch":              {at(&schemas.FetchScheduled{Head: head(0, "", 0, "FetchScheduled", 0), Submission: wire}, 2*hot), true},
		"a late retry that says":    {at(retry(wire), 2*hot), true},
		"a late retry":              {at(retry(nil), 2*hot), false},
		"a late letter that says":   {at(letter(wire), 2*hot), true},
		"a late letter":             {at(letter(nil), 2*hot), false},
		"a late refusal that says":  {at(refusal(wire), 2*hot), true},
		"a late refusal":            {at(refusal(nil), 2*hot), false},
	} {
		s, _, _, err := fold.Apply(context.Background(), nil, c.fact)
		if err != nil || (s != nil) != c.opens {
			t.Errorf("%s: %+v %v", name, s, err)
		}
	}
}

// TestADeletedRunThatWasArchivedIsArchivedAnew: what lies in the store is not what the job is now.
func TestADeletedRunThatWasArchivedIsArchivedAnew(t *testing.T) {
	fold := track.New(track.Config{Hot: hot}, decode)
	was := folded(t, fold, nil, append(history(2, nil), composed(0))...)
	for name, rests := range map[string]bool{"in one transaction": false, "later": true} {
		s := folded(t, fold, fold.Rest(was), kept(t, was))
		if rests {
			s = fold.Rest(s)
		}
		s = folded(t, fold, s, deletion(0))
		if !s.ArchivedAt.IsZero() || !fold.Due(s).IsZero() || s.DeletedAt.IsZero() {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// TestRunsAreAskedForAgainWhereTheRegistryIsAway: a fact whose submission cannot be read now is the world's fault, and folded later.
func TestRunsAreAskedForAgainWhereTheRegistryIsAway(t *testing.T) {
	fold := track.New(track.DefaultConfig(), decode)
	for name, f := range map[string]schemas.Event{
		"a refusal": &schemas.DocumentRefused{Head: head(0, "prepare", 0, "DocumentRefused", 5), Stage: "prepare", Submission: away},
		"a request": &schemas.RunRequested{Head: head(0, "", 0, "RunRequested", 5), Submission: away},
	} {
		if _, moved, _, err := fold.Apply(t.Context(), nil, f); moved || fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s: %t %v", name, moved, err)
		}
	}
}

// TestRunsThatEndedStayKnownForASecondAtLeast: less is a mistake.
func TestRunsThatEndedStayKnownForASecondAtLeast(t *testing.T) {
	if track.DefaultConfig().Validate() != nil || (track.Config{Hot: time.Second}).Validate() != nil || (track.Config{Hot: time.Millisecond}).Validate() == nil {
		t.Error("the bound is not where it is said to be")
	}
}

// plainly is a state as its readers get it.
func plainly(t *testing.T, s *schemas.JobSnapshot) string {
	t.Helper()
	b, err := schemas.Text(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
