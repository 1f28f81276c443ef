package track_test

import (
	"testing"

	"docstream/processors/track"
	"docstream/schemas"
)

// TestHistoriesThatChanceRarelyTells are those in which a rule matters that random histories seldom come to.
func TestHistoriesThatChanceRarelyTells(t *testing.T) {
	letter := &schemas.DeadLettered{Head: head(0, "prepare", 2, "DeadLettered", 500), Stage: "prepare", Class: "unknown", Code: "PREPARE_FAILED", Attempts: 4, FromPage: 2}
	stray := &schemas.RetryScheduled{Head: head(0, "ocr", 9, "RetryScheduled", 501), Page: 9, Stage: "ocr", Code: "OCR_FAILED", Attempt: 1, MaxRetries: 3, Due: t0}
	for name, c := range map[string]struct {
		facts []schemas.Event
		moves bool // the last of them
		stage string
	}{
		"a dead continuation whose last page was read":     {[]schemas.Event{opened(0, 4), finished(0, 4), letter}, true, track.StagePages},
		"a retry of no page of a run that is composed now": {[]schemas.Event{opened(0, 1), finished(0, 1), stray}, false, track.StageCompose},
	} {
		fold := track.New(track.DefaultConfig(), decode)
		var s *schemas.JobSnapshot
		var moved bool
		for _, f := range c.facts {
			var err error
			if s, moved, _, err = fold.Apply(t.Context(), s, f); err != nil {
				t.Fatal(err)
			}
		}
		if moved != c.moves || s.Stage != c.stage {
			t.Errorf("%s: the last fact counts: %t; the job is in %s", name, moved, s.Stage)
		}
	}
}

// TestHistoriesThatEndInARefusalKeepWhatWasOpened: what a refusal carries describes a job that nobody has opened, and no other.
func TestHistoriesThatEndInARefusalKeepWhatWasOpened(t *testing.T) {
	e, err := decode(t.Context(), wire)
	if err != nil {
		t.Fatal(err)
	}
	other := e.(*schemas.DocumentSubmitted)
	other.APIKeyID = "k2"
	carried, err := codec.Encode(other)
	if err != nil {
		t.Fatal(err)
	}
	refused := &schemas.DocumentRefused{Head: head(0, "prepare", 0, "DocumentRefused", 500), Submission: carried, Stage: "prepare", Code: "DOCUMENT_CORRUPT"}
	for key, facts := range map[string][]schemas.Event{"k1": {opened(0, 2), refused}, "k2": {refused}} {
		fold := track.New(track.DefaultConfig(), decode)
		var s *schemas.JobSnapshot
		for _, f := range facts {
			if s, _, _, err = fold.Apply(t.Context(), s, f); err != nil {
				t.Fatal(err)
			}
		}
		if s.Status != schemas.Failed || s.APIKeyID != key {
			t.Errorf("the job of %s ended as %s of %s", key, s.Status, s.APIKeyID)
		}
	}
}
