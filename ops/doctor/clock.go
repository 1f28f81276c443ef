package doctor

import (
	"context"
	"fmt"
	"time"

	"docstream/internal/blob"
)

// Differences of clocks: the first is seen in every time shown, at the second an S3 request is about to be refused.
const (
	skewed  = 5 * time.Second
	refused = 5 * time.Minute
)

// clock compares this machine's clock with those of the object store and of ClickHouse.
func (h House) clock(ctx context.Context) []Finding {
	var out []Finding
	for _, c := range []struct {
		name string
		ask  func(context.Context) (time.Time, error)
		fine time.Duration // its resolution
	}{{"the object store", h.objectsClock, time.Second}, {"ClickHouse", h.analyticsClock, 0}} {
		before := time.Now()
		there, err := c.ask(ctx)
		if err != nil || there.IsZero() {
			continue // the part's own check says what is wrong with it
		}
		out = append(out, skew(c.name, before, time.Now(), there, c.fine))
	}
	if len(out) == 0 {
		return []Finding{warn("no other clock could be asked", "nobody knows whether this machine's clock is right", "see the findings about objects and analytics")}
	}
	return out
}

// skew compares a clock read between two moments of ours.
func skew(name string, before, after, there time.Time, fine time.Duration) Finding {
	var off time.Duration
	switch {
	case there.Before(before.Add(-fine)):
		off = before.Sub(there)
	case there.After(after):
		off = there.Sub(after)
	}
	said := fmt.Sprintf("the clock differs from that of %s by %s", name, off.Round(time.Second))
	const means, do = "times in answers and rows are off; from 15 min on S3 refuses every request", "let both machines keep time by NTP"
	switch {
	case off >= refused:
		return fail(said, means, do)
	case off >= skewed:
		return warn(said, means, do)
	}
	return ok("the clock agrees with that of %s", name)
}

func (h House) objectsClock(ctx context.Context) (time.Time, error) {
	if h.Objects == nil {
		return time.Time{}, nil
	}
	key := probeKey()
	if err := h.Objects.Put(ctx, key, []byte("clock"), blob.Options{}); err != nil {
		return time.Time{}, err
	}
	o, err := h.Objects.Head(ctx, key)
	if err := h.Objects.Delete(ctx, key); err != nil {
		return time.Time{}, err
	}
	return o.Modified, err
}

func (h House) analyticsClock(ctx context.Context) (time.Time, error) {
	if h.Analytics == nil {
		return time.Time{}, nil
	}
	rows, err := h.rows(ctx, "SELECT toString(toUnixTimestamp64Milli(now64(3))) AS now")
	if err != nil || len(rows) != 1 {
		return time.Time{}, err
	}
	var ms int64
	if _, err := fmt.Sscan(rows[0]["now"], &ms); err != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(ms), nil
}
