package stream

import (
	"context"
	"sync"
)

// gate hands the worker's slots to lanes by weight: while every lane waits, high gets 16 slots for each 4 of normal and 1 of low; a slot
// is never idle while anybody waits, and nobody starves (P9). It is stride scheduling: each grant advances the lane's pass by
// 1/weight, and the lowest pass goes first.
type gate struct {
	mu     sync.Mutex
	free   int
	stride map[string]float64
	pass   map[string]float64
	wait   map[string][]chan struct{}
}

func newGate(slots int, weights map[string]int) *gate {
	g := &gate{free: slots, stride: map[string]float64{}, pass: map[string]float64{}, wait: map[string][]chan struct{}{}}
	for lane, w := range weights {
		g.stride[lane] = 1 / float64(w)
	}
	return g
}

// enter waits for a slot; leave gives it back.
func (g *gate) enter(ctx context.Context, lane string) error {
	g.mu.Lock()
	if g.free > 0 {
		g.free--
		g.grant(lane)
		g.mu.Unlock()
		return nil
	}
	if len(g.wait[lane]) == 0 {
		g.pass[lane] = max(g.pass[lane], g.lowest()) // a lane that was idle has saved up no credit
	}
	turn := make(chan struct{})
	g.wait[lane] = append(g.wait[lane], turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		return g.withdraw(lane, turn, ctx.Err())
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	best := ""
	for lane, q := range g.wait {
		if len(q) > 0 && (best == "" || g.pass[lane] < g.pass[best] || g.pass[lane] == g.pass[best] && g.stride[lane] < g.stride[best]) {
			best = lane
		}
	}
	if best == "" {
		g.free++
		return
	}
	turn := g.wait[best][0]
	g.wait[best] = g.wait[best][1:]
	g.grant(best)
	close(turn)
}

// withdraw takes a waiter out; one whose turn came in the same moment passes it on.
func (g *gate) withdraw(lane string, turn chan struct{}, err error) error {
	g.mu.Lock()
	for i, t := range g.wait[lane] {
		if t == turn {
			g.wait[lane] = append(g.wait[lane][:i:i], g.wait[lane][i+1:]...)
			g.mu.Unlock()
			return err
		}
	}
	g.mu.Unlock()
	g.leave()
	return err
}

func (g *gate) grant(lane string) { g.pass[lane] += g.stride[lane] }

// lowest is the smallest pass among lanes that wait, or 0.
func (g *gate) lowest() float64 {
	low, any := 0.0, false
	for lane, q := range g.wait {
		if len(q) > 0 && (!any || g.pass[lane] < low) {
			low, any = g.pass[lane], true
		}
	}
	return low
}
