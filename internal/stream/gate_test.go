package stream

import (
	"context"
	"testing"
	"time"
)

// The gate has no door to the outside, so its promise is tested from within.
func TestGateSharesSlotsByWeightAndStarvesNobody(t *testing.T) {
	g := newGate(1, map[string]int{"high": 16, "normal": 4, "low": 1})
	if err := g.enter(t.Context(), "low"); err != nil {
		t.Fatal(err)
	}
	order := make(chan string, 300)
	for _, lane := range []string{"low", "normal", "high"} {
		for range 100 {
			go func() {
				if g.enter(context.Background(), lane) == nil {
					order <- lane
					g.leave()
				}
			}()
		}
	}
	for waiting(g) < 300 {
		time.Sleep(time.Millisecond)
	}
	g.leave()
	got := map[string]int{}
	for range 105 { // five rounds of 16 + 4 + 1
		got[<-order]++
	}
	for lane, want := range map[string]int{"high": 80, "normal": 20, "low": 5} {
		if n := got[lane]; n < want-3 || n > want+3 {
			t.Errorf("%s had %d of the first 105 slots, want about %d", lane, n, want)
		}
	}
	for range 195 {
		<-order
	}
}

func TestGatePassesOnTheTurnOfWhoGaveUp(t *testing.T) {
	g := newGate(1, map[string]int{"high": 1})
	_ = g.enter(t.Context(), "high")
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() { gone <- g.enter(ctx, "high") }()
	for waiting(g) < 1 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-gone; err == nil {
		t.Fatal("a waiter whose context ended was let in")
	}
	g.leave()
	if err := g.enter(t.Context(), "high"); err != nil {
		t.Fatal("the slot was lost")
	}
}

func waiting(g *gate) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, q := range g.wait {
		n += len(q)
	}
	return n
}
