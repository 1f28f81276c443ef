// Package tally is the fold that sums what tenants use, by day, API key, stage and device: one state for each tenant and day. Quotas and
// the usage report are read from it. It reads no clock: a row counts for the day its work was done.
package tally

import (
	"context"
	"slices"
	"strings"
	"time"

	"docstream/schemas"
)

// maxLines bounds the state of a day (P6): keys beyond it are summed together, under no name.
const maxLines = 2000

// Tally is the fold. It keeps nothing itself.
type Tally struct{}

// New returns the fold.
func New() *Tally { return &Tally{} }

// Key names the day of a row: tenant first, so that one tenant's row can never reach another's sum (P8).
func (*Tally) Key(u *schemas.UsageRecorded) string { return u.Tenant + "/" + day(u) }

// StateKey names the day of a sum.
func (*Tally) StateKey(s *schemas.UsageSummed) string { return s.Tenant + "/" + s.Day }

// Rest keeps a sum as it is: the next row adds to it.
func (*Tally) Rest(s *schemas.UsageSummed) *schemas.UsageSummed { return clone(s) }

// Changed tells nobody: the state says it all.
func (*Tally) Changed(*schemas.UsageSummed) []schemas.Event { return nil }

// Apply adds one row. Every row is written once, in the transaction that closed its page (P2).
func (t *Tally) Apply(_ context.Context, s *schemas.UsageSummed, u *schemas.UsageRecorded) (*schemas.UsageSummed, bool, []schemas.Event, error) {
	if s == nil {
		s = &schemas.UsageSummed{Head: schemas.Head{Tenant: u.Tenant}, Day: day(u)}
	} else {
		s = clone(s)
	}
	s.At = u.At
	s.EventID = schemas.EventIDFor(u.EventID, 0, "tally", 0, s.Kind(), 0)
	l := line(s, u)
	l.CPUMicros += u.CPUMicros
	l.WallMicros += u.WallMicros
	l.Pages += int64(u.Units)
	if u.Stage == first {
		s.Pages += int64(u.Units) // each page goes through it once
		if u.Page == 0 {
			l.Documents++
		}
	}
	return s, true, nil, nil
}

// first is the stage every document and every page goes through once.
const first = "prepare"

func day(u *schemas.UsageRecorded) string { return u.At.UTC().Format(time.DateOnly) }

// line finds, or begins, what a row adds to; lines are kept in order, so that the same rows make the same state.
func line(s *schemas.UsageSummed, u *schemas.UsageRecorded) *schemas.UsageLine {
	key := schemas.UsageLine{APIKeyID: u.APIKeyID, Stage: u.Stage, Device: u.Device}
	i, found := slices.BinarySearchFunc(s.Lines, key, order)
	if !found && len(s.Lines) >= maxLines {
		key.APIKeyID = ""
		i, found = slices.BinarySearchFunc(s.Lines, key, order)
	}
	if !found {
		s.Lines = slices.Insert(s.Lines, i, key)
	}
	return &s.Lines[i]
}

func order(a, b schemas.UsageLine) int {
	if c := strings.Compare(a.APIKeyID, b.APIKeyID); c != 0 {
		return c
	}
	if c := strings.Compare(a.Stage, b.Stage); c != 0 {
		return c
	}
	return strings.Compare(a.Device, b.Device)
}

func clone(s *schemas.UsageSummed) *schemas.UsageSummed {
	c := *s
	c.Lines = slices.Clone(s.Lines)
	return &c
}
