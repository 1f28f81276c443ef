package tally_test

import (
	"fmt"
	"testing"
	"time"

	"docstream/processors/tally"
	"docstream/schemas"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func row(key, stage string, page, units int, at time.Time) *schemas.UsageRecorded {
	return &schemas.UsageRecorded{Head: schemas.Head{EventID: fmt.Sprint(key, stage, page), Tenant: "acme", At: at}, APIKeyID: key, Stage: stage, Device: "cpu", Page: page,
		Units: units, CPUMicros: 10, WallMicros: 20}
}

func fold(t *testing.T, rows ...*schemas.UsageRecorded) map[string]*schemas.UsageSummed {
	t.Helper()
	f, states := tally.New(), map[string]*schemas.UsageSummed{}
	for _, r := range rows {
		next, moved, out, err := f.Apply(t.Context(), states[f.Key(r)], r)
		if err != nil || !moved || len(out) != 0 || f.StateKey(next) != f.Key(r) {
			t.Fatalf("%v %t %v %v", next, moved, out, err)
		}
		states[f.Key(r)] = f.Rest(next)
	}
	return states
}

func TestAPageCountsOnceHoweverManyStagesReadIt(t *testing.T) {
	s := fold(t, row("k1", "prepare", 0, 0, noon), row("k1", "prepare", 1, 1, noon), row("k1", "layout", 1, 1, noon), row("k1", "ocr", 1, 1, noon),
		row("k1", "prepare", 2, 0, noon))["acme/2026-03-04"]
	if s.Pages != 1 || len(s.Lines) != 3 {
		t.Fatalf("%+v", s)
	}
	if l := s.Lines[2]; l.Stage != "prepare" || l.Documents != 1 || l.Pages != 1 || l.CPUMicros != 30 || l.WallMicros != 60 {
		t.Errorf("%+v", l)
	}
}

func TestDaysKeysAndTenantsAreSummedApart(t *testing.T) {
	other := row("k1", "prepare", 1, 1, noon)
	other.Tenant = "globex"
	states := fold(t, row("k1", "prepare", 1, 1, noon), row("k2", "prepare", 1, 1, noon), row("k1", "prepare", 2, 1, noon.Add(13*time.Hour)), other)
	if len(states) != 3 || len(states["acme/2026-03-04"].Lines) != 2 || states["acme/2026-03-05"].Pages != 1 || states["globex/2026-03-04"].Pages != 1 {
		t.Errorf("%+v", states)
	}
}

func TestAStateThatWasGivenIsNotChanged(t *testing.T) {
	f := tally.New()
	s, _, _, _ := f.Apply(t.Context(), nil, row("k1", "prepare", 1, 1, noon))
	if _, _, _, err := f.Apply(t.Context(), s, row("k1", "prepare", 2, 1, noon)); err != nil || s.Pages != 1 || s.Lines[0].Pages != 1 {
		t.Errorf("%+v %v", s, err)
	}
}

func TestTheStateOfADayIsBounded(t *testing.T) {
	var rows []*schemas.UsageRecorded
	for i := range 3000 {
		rows = append(rows, row(fmt.Sprintf("k%04d", i), "prepare", 1, 1, noon))
	}
	s := fold(t, rows...)["acme/2026-03-04"]
	if s.Pages != 3000 || len(s.Lines) != 2001 {
		t.Errorf("%d pages on %d lines", s.Pages, len(s.Lines))
	}
}
