package stream_test

import (
	"context"
	"testing"
	"time"

	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/internal/turn"
	"docstream/schemas"
)

// in returns the event of a page in a lane.
func in(priority string, page int) *schemas.PagePrepared {
	e := prepared(page, page)
	e.Priority = priority
	return e
}

// TestUrgentWorkBeginsWhileEverySlotIsHeldByLighterWork: the light task ends only after the urgent one has.
func TestUrgentWorkBeginsWhileEverySlotIsHeldByLighterWork(t *testing.T) {
	w := newWorld(t)
	h := w.harness(func(c *stream.Config) { c.Slots = 1 })
	began, urgent := make(chan struct{}), make(chan struct{})
	stream.AddStage(h, topology.Layout, "cpu", func(ctx context.Context, e *schemas.PagePrepared, _ schemas.Delivery) ([]schemas.Event, error) {
		if e.Priority == "high" {
			close(urgent)
			return laidOut(e), nil
		}
		close(began)
		select {
		case <-urgent:
			return laidOut(e), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	w.start(h)
	w.publish(in("low", 1))
	<-began
	w.publish(in("high", 2))
	w.read("layouts.cpu.high", 1)
	w.read("layouts.cpu.low", 1)
}

// TestATaskOfManyUnitsGivesItsSlotUpBetweenTwo: a task of a heavy lane goes on until one of a light lane, which waits for the only slot, has run.
func TestATaskOfManyUnitsGivesItsSlotUpBetweenTwo(t *testing.T) {
	w := newWorld(t)
	h := w.harness(func(c *stream.Config) { c.Slots = 1 })
	began, light := make(chan struct{}), make(chan struct{})
	stream.AddStage(h, topology.Layout, "cpu", func(ctx context.Context, e *schemas.PagePrepared, _ schemas.Delivery) ([]schemas.Event, error) {
		if e.Priority == "low" {
			close(light)
			return laidOut(e), nil
		}
		close(began)
		for {
			select {
			case <-light:
				return laidOut(e), nil
			case <-time.After(time.Millisecond): // a unit
			}
			if err := turn.Between(ctx); err != nil {
				return nil, err
			}
		}
	})
	w.start(h)
	w.publish(in("high", 1))
	<-began
	w.publish(in("low", 2))
	w.read("layouts.cpu.low", 1)
	w.read("layouts.cpu.high", 1)
}
