// Package pace sends requests to a service at a pace of its own and keeps how long each took.
//
// An open loop does not wait for answers before it sends more, as the world does not: each request has the time at which it is due, and
// what it waits from then on counts, also for a place among those in flight. A slow service cannot hide behind a slow client.
package pace

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Sample is one request.
type Sample struct {
	Due    time.Duration `json:"due"`    // since the start of the run
	Waited time.Duration `json:"waited"` // from due to sending
	Took   time.Duration `json:"took"`   // from due to the end of the answer
	Status int           `json:"status"` // 0: there was no answer
}

// Do makes one request and returns its status once the answer is read, 0 where there is none.
type Do func(ctx context.Context) (status int)

// Bounds of a run.
type Bounds struct {
	InFlight int           // requests at a time
	Time     time.Duration // in which requests are due
	Count    int64         // requests in all
}

// Open makes rate requests a second, evenly, whatever becomes of them. An idle worker takes the next request and sleeps until it is due;
// where no worker is idle, the request waits.
func Open(ctx context.Context, rate float64, b Bounds, do Do) []Sample {
	return run(ctx, b, do, func(n int64) time.Duration { return time.Duration(float64(n) / rate * float64(time.Second)) })
}

// Closed makes a request as soon as one is answered: it finds what the service can take. Its latencies say little.
func Closed(ctx context.Context, b Bounds, do Do) []Sample { return run(ctx, b, do, nil) }

// run has workers make the requests; without a schedule each is due when its worker is free. The samples come in the order of their dues.
func run(ctx context.Context, b Bounds, do Do, due func(n int64) time.Duration) []Sample {
	var next atomic.Int64
	var mu sync.Mutex
	var all []Sample
	began := time.Now()
	worker := func() {
		var own []Sample
		for {
			n := next.Add(1) - 1
			at := time.Since(began)
			if due != nil {
				at = due(n)
			}
			if n >= b.Count || at >= b.Time || !sleep(ctx, at-time.Since(began)) {
				break
			}
			s := Sample{Due: at, Waited: time.Since(began) - at}
			s.Status = do(ctx)
			s.Took = time.Since(began) - at
			own = append(own, s)
		}
		mu.Lock()
		all = append(all, own...)
		mu.Unlock()
	}
	var wg sync.WaitGroup
	for range b.InFlight {
		wg.Go(worker)
	}
	wg.Wait()
	slices.SortFunc(all, func(a, b Sample) int { return int(a.Due - b.Due) })
	return all
}

// sleep reports whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
