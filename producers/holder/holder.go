// Package holder lets one replica of many hold a kind of work at a time.
//
// A consumer group on a topic of one partition elects the holder: the brokers know who lives, and nobody writes anything. That two never hold at
// once is not relied upon: a replica that stands still may go on a little after another was elected, so what a holder does must be harmless twice.
package holder

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/stream"
)

// Work is what one replica at a time holds.
type Work struct {
	Conn  stream.Connection
	Group string // elects the holder
	Topic string // of one partition; whatever is written to it wakes the holder
	Name  string // for the log
	Log   *slog.Logger
	// Hold works until ctx ends; wake says that something was written to the topic.
	Hold func(ctx context.Context, wake <-chan struct{})
}

// Run stands for election and holds the work while elected, until ctx ends. A failure of the world is waited out.
func (w Work) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := w.stand(ctx); err != nil && ctx.Err() == nil {
			w.Log.Warn("nobody can be elected here now", "work", w.Name, "error", err)
		}
		t := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
	return nil
}

// stand is one membership of the group.
func (w Work) stand(ctx context.Context) error {
	h := &hold{w: w, wake: make(chan struct{}, 1)}
	lost := func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
		if len(m[w.Topic]) > 0 { // a rebalance that takes nothing away says so as well
			h.end()
		}
	}
	cl, err := w.Conn.Client(kgo.ConsumerGroup(w.Group), kgo.ConsumeTopics(w.Topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(2*time.Second),
		kgo.RebalanceTimeout(20*time.Second), kgo.FetchMaxWait(2*time.Second),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
			if len(m[w.Topic]) > 0 {
				h.begin(ctx)
			}
		}),
		kgo.OnPartitionsRevoked(lost), kgo.OnPartitionsLost(lost))
	if err != nil {
		return err
	}
	defer cl.Close()
	defer h.end()
	for {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := f.Err(); err != nil {
			return err
		}
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
}

// hold is the one that works, while it does.
type hold struct {
	w    Work
	wake chan struct{}

	mu   sync.Mutex
	stop func()
}

func (h *hold) begin(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stop != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); h.w.Hold(ctx, h.wake) }()
	h.stop = func() { cancel(); <-done }
	h.w.Log.Info("this replica holds the work", "work", h.w.Name)
}

func (h *hold) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stop != nil {
		h.stop()
		h.stop = nil
	}
}
