package broker

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// cleanFilter is the state filter of the request by which the gate asks itself, inside the request loop, to clean.
const cleanFilter = "docstream.clean"

// growth is how the log stands when somebody asks whether to clean it.
type growth struct {
	left, size, max int64   // bytes: after the last cleaning, now, and where the broker refuses to append
	old             bool    // the last cleaning is long ago
	rate            float64 // produce requests a second of late
}

const (
	crowded  = 20        // requests a second from which on writers are many
	patience = 3         // how often again the log is written while many write
	little   = 128 << 20 // bytes that are not worth a stop while many write
)

// due reports whether a cleaning is worth its while: nobody is served meanwhile, and it takes the longer the more there is. As with Apache
// Kafka's cleaner that is where half as much again was written since the last one; what only grows old is seen to after ten periods. While
// many write it waits for a quieter moment, until the log has grown several times over. A log that is nearly full waits for nothing.
func (w growth) due() bool {
	grown := w.size - w.left
	switch {
	case w.size >= w.max/10*9:
		return true
	case w.rate >= crowded:
		return grown >= max(patience*w.left, little)
	}
	return grown >= w.left/2 || w.old
}

// cleanEvery looks each period, until ctx ends, whether to clean, and where many write each second from then on. A cleaning that finds a
// transaction open is asked for again at once: transactions are short, and between two of them is soon enough.
func (g *gate) cleanEvery(ctx context.Context, every time.Duration) {
	w, cleaned := growth{left: g.limit.size.Load(), max: g.limit.max}, time.Now() // at the start, as if there had been a cleaning
	watch := min(every, lately)
	for wait := every; sleep(ctx, wait-watch); {
		before := g.appends.Load()
		if !sleep(ctx, watch) {
			return
		}
		w.rate = float64(g.appends.Load()-before) / watch.Seconds()
		w.size, w.old = g.limit.size.Load(), time.Since(cleaned) >= idlePeriods*every
		if !w.due() {
			if wait = every; w.rate >= crowded {
				wait = watch
			}
			continue
		}
		for g.askToClean(ctx) {
			if !sleep(ctx, 20*time.Millisecond) {
				return
			}
		}
		g.limit.measure()
		w.left, cleaned, wait = g.limit.size.Load(), time.Now(), every
	}
}

// idlePeriods is how many periods pass at most without a cleaning, unless many write.
const idlePeriods = 10

// lately is the time over which the rate of produce requests is taken.
const lately = time.Second

// sleep waits and reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// askToClean reports whether a transaction was in the way.
func (g *gate) askToClean(ctx context.Context) bool {
	req := kmsg.NewListTransactionsRequest()
	req.StateFilters = []string{cleanFilter}
	resp, err := g.client.Request(ctx, &req)
	if err != nil {
		return false
	}
	return resp.(*kmsg.ListTransactionsResponse).ErrorCode == kerr.ConcurrentTransactions.Code
}

// clean answers the gate's own request. It runs inside the request loop, so no record is appended meanwhile; the fake
// takes administrative calls from in here.
func (g *gate) clean(req kmsg.Request) kmsg.Response {
	list := req.(*kmsg.ListTransactionsRequest)
	if len(list.StateFilters) != 1 || list.StateFilters[0] != cleanFilter {
		return nil
	}
	resp := list.ResponseKind().(*kmsg.ListTransactionsResponse)
	if !g.txns.none() {
		resp.ErrorCode = kerr.ConcurrentTransactions.Code
		return resp
	}
	began := time.Now()
	if err := g.keeper.clean(g.cluster); err != nil {
		g.log.Error("cleaning the log", "error", err.Error())
		resp.ErrorCode = kerr.UnknownServerError.Code
		return resp
	}
	g.log.Info("the log was cleaned", "bytes_before", g.limit.size.Load(), "seconds", time.Since(began).Seconds())
	return resp
}
