package e2e_test

import (
	"testing"

	"docstream/schemas"
)

// codesOf is the closed table, as text.
func codesOf(testing.TB) map[string]bool {
	out := map[string]bool{}
	for c := range schemas.Codes {
		out[string(c)] = true
	}
	return out
}
