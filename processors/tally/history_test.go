package tally_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"docstream/internal/testenv/mutants"
	"docstream/processors/tally"
	"docstream/schemas"
)

// TestEveryHistoryOfRowsIsSummed: whatever rows come, in any order, with crashes between any two of them, the sum of each tenant and day is
// that of the rows, worked out again from all of them; a state that was handed out stays as it was.
func TestEveryHistoryOfRowsIsSummed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := tally.New()
		crowd := rapid.SampledFrom([]int{2, 4, 4, 4, 4, 4, 4, 2100}).Draw(rt, "keys")
		few := crowd < 100
		states, rows := map[string]*schemas.UsageSummed{}, map[string][]*schemas.UsageRecorded{}
		fold := func(states map[string]*schemas.UsageSummed, u *schemas.UsageRecorded) {
			key := f.Key(u)
			given := states[key]
			before := ""
			if few {
				before = fmt.Sprintf("%+v", given)
			}
			next, moved, out, err := f.Apply(t.Context(), given, u)
			if err != nil || !moved || out != nil || f.StateKey(next) != key || f.Changed(next) != nil {
				rt.Fatalf("%v %t %v %v", next, moved, out, err)
			}
			if few && fmt.Sprintf("%+v", given) != before {
				rt.Fatalf("the state that was given became %+v, it was %s", given, before)
			}
			states[key] = next
		}
		n := 0
		transactions, size := rapid.IntRange(1, 12).Draw(rt, "transactions"), rapid.IntRange(1, 6).Draw(rt, "rows")
		if !few {
			transactions, size = 1, 2130 // the last ones are of lines that are there
		}
		for range transactions {
			var batch []*schemas.UsageRecorded
			for range size {
				n++
				batch = append(batch, anyRow(rt, n, crowd))
			}
			crash := rapid.IntRange(0, len(batch)).Draw(rt, "crash after")
			lost := maps.Clone(states)
			for _, u := range batch[:min(crash, 6)] {
				fold(lost, u)
			}
			for _, u := range batch {
				fold(states, u)
				rows[f.Key(u)] = append(rows[f.Key(u)], u)
			}
			for key, s := range states {
				rest := f.Rest(s)
				if rest == s {
					rt.Fatal("what rests is the state itself")
				}
				states[key] = rest
			}
		}
		if len(states) != len(rows) {
			rt.Fatalf("%d sums of %d days", len(states), len(rows))
		}
		for key, all := range rows {
			if got, want := states[key], summed(all); !reflect.DeepEqual(got, want) {
				rt.Fatalf("%s is summed as\n%+v\nwant\n%+v", key, got, want)
			}
		}
	})
}

// anyRow draws a row; a great crowd of keys comes one after the other.
func anyRow(rt *rapid.T, n, crowd int) *schemas.UsageRecorded {
	key, tenant, hours := n%crowd, 0, 0
	stage, page, units := "prepare", n%2, n%3
	if crowd < 100 {
		key, tenant, hours = rapid.IntRange(0, crowd).Draw(rt, "key"), rapid.IntRange(0, 1).Draw(rt, "tenant"), rapid.IntRange(0, 20).Draw(rt, "hours")
		stage = rapid.SampledFrom([]string{"prepare", "layout", "ocr"}).Draw(rt, "stage")
		page, units = rapid.IntRange(0, 2).Draw(rt, "page"), rapid.IntRange(0, 1).Draw(rt, "units")
	}
	return &schemas.UsageRecorded{Head: schemas.Head{EventID: fmt.Sprint("e", n), Tenant: []string{"acme", "globex"}[tenant], At: noon.Add(time.Duration(hours) * time.Hour)},
		APIKeyID: fmt.Sprintf("k%04d", key), Stage: stage, Device: []string{"cpu", "cuda"}[n%2], Page: page, Units: units, CPUMicros: int64(n), WallMicros: int64(2 * n)}
}

// summed is what the rows of a tenant and day come to: lines in order, and beyond two thousand lines one without a name for each stage and device.
func summed(rows []*schemas.UsageRecorded) *schemas.UsageSummed {
	lines := map[string]*schemas.UsageLine{}
	last := rows[len(rows)-1]
	s := &schemas.UsageSummed{Head: schemas.Head{Tenant: last.Tenant, At: last.At}, Day: last.At.Format(time.DateOnly)}
	s.EventID = schemas.EventIDFor(last.EventID, 0, "tally", 0, "UsageSummed", 0)
	for _, u := range rows {
		name := func(key string) string { return strings.Join([]string{key, u.Stage, u.Device}, "\x00") }
		key := u.APIKeyID
		if lines[name(key)] == nil && len(lines) >= 2000 {
			key = ""
		}
		if lines[name(key)] == nil {
			lines[name(key)] = &schemas.UsageLine{APIKeyID: key, Stage: u.Stage, Device: u.Device}
		}
		l := lines[name(key)]
		l.Pages, l.CPUMicros, l.WallMicros = l.Pages+int64(u.Units), l.CPUMicros+u.CPUMicros, l.WallMicros+u.WallMicros
		if u.Stage == "prepare" {
			s.Pages += int64(u.Units)
		}
		if u.Stage == "prepare" && u.Page == 0 {
			l.Documents++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		s.Lines = append(s.Lines, *lines[name])
	}
	return s
}

// TestNoRuleCanBeDropped drops every rule of the fold, one at a time: some random history must notice.
func TestNoRuleCanBeDropped(t *testing.T) {
	mutants.Hold(t, mutants.Proof{Tests: "EveryHistory", Args: []string{"-rapid.seed=1", "-rapid.checks=60", "-rapid.nofailfile", "-rapid.shrinktime=0s"}})
}
