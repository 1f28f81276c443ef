package track_test

import (
	"testing"

	"docstream/internal/testenv/mutants"
)

// TestNoRuleCanBeDropped drops every rule of the fold, one at a time: some random history must notice.
func TestNoRuleCanBeDropped(t *testing.T) {
	mutants.Hold(t, mutants.Proof{
		Tests: "History|Histories|Order|Run|Deleted",
		Args:  []string{"-rapid.seed=1", "-rapid.nofailfile", "-rapid.shrinktime=0s"},
	})
}
