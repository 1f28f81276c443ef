// Package doctor looks at a running house and says what is wrong with it, what that means and what to do.
//
// Each file is one group of checks. A check asks real parts, changes nothing that stays, and is bounded: a part that is silent makes a
// finding, never a doctor that hangs.
package doctor

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"docstream/internal/blob"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/ops"
)

// Level is how bad a finding is.
type Level string

// The levels, better ones first.
const (
	OK   Level = "ok"
	Warn Level = "warn" // it works, and somebody should look
	Fail Level = "fail" // something does not work, or will not
)

var levels = []Level{OK, Warn, Fail}

// Finding is one thing the doctor saw.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Found string `json:"found"`           // what is so
	Means string `json:"means,omitempty"` // what that does to the house
	Do    string `json:"do,omitempty"`
}

// Check is one group of questions.
type Check struct {
	Name string
	Ask  func(context.Context) []Finding
}

// House is what the doctor looks at. A part that is nil is not looked at.
type House struct {
	Kafka      stream.Connection
	Plan       topology.Config
	Principals ops.Principals
	Objects    Objects
	Models     Models
	Analytics  Analytics
	NoAnalysis string // why there is no Analytics
	Folders    []Folder
	Stuck      time.Duration // a job that has not changed for so long is stuck
}

// Objects is what is asked of the object store.
type Objects interface {
	Put(ctx context.Context, key string, body []byte, o blob.Options) error
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error)
	Head(ctx context.Context, key string) (blob.Object, error)
	Delete(ctx context.Context, key string) error
}

// Models reads every model and compares its digest with the pinned one.
type Models interface{ Check() error }

// Analytics is what is asked of ClickHouse.
type Analytics interface {
	// Query writes rows as JSON, one object a line.
	Query(ctx context.Context, sql string, w io.Writer, format string) error
	// Migrations returns the newest migration the database has and the newest this build knows.
	Migrations(ctx context.Context) (have, want int64, err error)
}

// Checks lists every group, in the order they are printed.
func (h House) Checks() []Check {
	return []Check{
		{"kafka", h.brokers}, {"topics", h.topics}, {"access", h.access}, {"registry", h.registry}, {"groups", h.groups}, {"dead letters", h.deadLetters},
		{"objects", h.objects}, {"models", h.models}, {"disk", h.disk}, {"clock", h.clock}, {"analytics", h.analytics}, {"jobs", h.jobs},
	}
}

// Run asks all checks at once, each no longer than limit, and returns their findings in the checks' order. A check that ignores its
// context is left behind.
func Run(ctx context.Context, checks []Check, limit time.Duration) []Finding {
	found := make([][]Finding, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() { found[i] = ask(ctx, c, limit) })
	}
	all.Wait()
	return slices.Concat(found...)
}

func ask(ctx context.Context, c Check, limit time.Duration) []Finding {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer := make(chan []Finding, 1)
	go func() { answer <- c.Ask(ctx) }()
	// A check whose context ended says best itself what it waited for: it gets a moment more.
	grace := time.NewTimer(limit + time.Second)
	defer grace.Stop()
	var out []Finding
	select {
	case out = <-answer:
	case <-grace.C:
		out = []Finding{fail(fmt.Sprintf("no answer within %s", limit), "the part is silent, which is worse than away: callers wait for it",
			"look at the part itself and at the network between")}
	}
	for i := range out {
		out[i].Check = c.Name
	}
	return out
}

// Worst returns the worst level found.
func Worst(findings []Finding) Level {
	worst := OK
	for _, f := range findings {
		if slices.Index(levels, f.Level) > slices.Index(levels, worst) {
			worst = f.Level
		}
	}
	return worst
}

func ok(format string, a ...any) Finding { return Finding{Level: OK, Found: fmt.Sprintf(format, a...)} }

func warn(found, means, do string) Finding {
	return Finding{Level: Warn, Found: found, Means: means, Do: do}
}

func fail(found, means, do string) Finding {
	return Finding{Level: Fail, Found: found, Means: means, Do: do}
}
