package structure_test

import (
	"slices"
	"testing"

	"docstream/ops/bench/structure"
)

func TestBehindNamesOnlyWhatIsWorse(t *testing.T) {
	mine := structure.Scores{Words: .9, Order: .8, Headings: 1, Lists: structure.None, Cells: .5, Fields: .7, CER: .2}
	other := structure.Scores{Words: .9, Order: .9, Headings: .5, Lists: 1, Cells: .6, Fields: structure.None, CER: .1}
	if got := structure.Behind(mine, other); !slices.Equal(got, []string{"order", "cells", "cer"}) {
		t.Errorf("behind by %v", got)
	}
	if got := structure.Behind(other, mine); !slices.Equal(got, []string{"headings"}) {
		t.Errorf("the other way: %v", got)
	}
}
