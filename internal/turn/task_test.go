package turn_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"docstream/internal/turn"
)

func TestATaskEndsWhenItsClockHasRun(t *testing.T) {
	q := turn.New(1, weights)
	ctx, task := turn.Begin(t.Context(), enter(t, q, "low", "a"), 10*time.Millisecond)
	defer task.End()
	early, cancel := context.WithCancel(ctx)
	defer cancel()
	<-early.Done()
	<-ctx.Done()
	late, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	for name, c := range map[string]context.Context{"its own": ctx, "one made early": early, "one made late": late} {
		if !errors.Is(c.Err(), context.DeadlineExceeded) || !errors.Is(context.Cause(c), context.DeadlineExceeded) {
			t.Errorf("%s says %v because of %v", name, c.Err(), context.Cause(c))
		}
	}
}

func TestATaskThatIsOverOrStoppedSaysSo(t *testing.T) {
	q := turn.New(2, weights)
	outer, cancel := context.WithCancel(t.Context())
	ctx, task := turn.Begin(outer, enter(t, q, "low", "a"), time.Hour)
	cancel()
	<-ctx.Done()
	if !errors.Is(ctx.Err(), context.Canceled) || task.Worked() > time.Minute {
		t.Errorf("stopped: %v after %s", ctx.Err(), task.Worked())
	}
	ctx, task = turn.Begin(t.Context(), enter(t, q, "low", "a"), time.Hour)
	task.End()
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("over: %v", ctx.Err())
	}
}

func TestTheClockStandsWhileATaskGivesWay(t *testing.T) {
	const limit = 100 * time.Millisecond
	q := turn.New(1, weights)
	ctx, task := turn.Begin(claim("low", "a"), enter(t, q, "low", "a"), limit)
	defer task.End()
	if err := turn.Between(ctx); err != nil || q.Waiting() != 0 {
		t.Fatalf("nobody waits: %v", err)
	}
	l := &line{t, q, make(chan string, 1)}
	urgent := make(chan *turn.Place)
	go func() {
		p, _ := q.Enter(claim("high", "b"))
		urgent <- p
	}()
	l.waiting(1)
	done := make(chan error)
	go func() { done <- turn.Between(ctx) }()
	p := <-urgent // the task gave way
	l.waiting(1)
	time.Sleep(2 * limit)
	p.Leave()
	if err := <-done; err != nil {
		t.Fatalf("the time in which it gave way was counted: %v", err)
	}
	if task.Worked() > limit && ctx.Err() == nil {
		t.Errorf("it is said to have worked for %s", task.Worked())
	}
	<-ctx.Done() // the clock runs again
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Error(ctx.Err())
	}
}

func TestATaskThatIsStoppedWhileItGivesWayHoldsNothing(t *testing.T) {
	q := turn.New(1, weights)
	outer, cancel := context.WithCancel(claim("low", "a"))
	place := enter(t, q, "low", "a")
	ctx, task := turn.Begin(outer, place, time.Hour)
	defer task.End()
	l := &line{t, q, make(chan string, 1)}
	urgent := make(chan *turn.Place)
	go func() {
		p, _ := q.Enter(claim("high", "b"))
		urgent <- p
	}()
	l.waiting(1)
	gave, taken := 0, 0
	done := make(chan error)
	go func() {
		done <- turn.Of(ctx).Aside(ctx, func() { gave++ }, func(context.Context) error { taken++; return nil })
	}()
	p := <-urgent
	l.waiting(1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || gave != 1 || taken != 0 {
		t.Errorf("%v; gave %d, taken %d", err, gave, taken)
	}
	place.Leave() // does nothing: the place is the other's
	if q.Try(t.Context()) != nil {
		t.Fatal("there are two holders of one place")
	}
	p.Leave()
	if q.Try(t.Context()) == nil {
		t.Fatal("the place is lost")
	}
}

func TestWorkWithoutATaskGivesWayToNobody(t *testing.T) {
	if err := turn.Between(t.Context()); err != nil {
		t.Error(err)
	}
	calls := ""
	err := turn.Of(t.Context()).Aside(t.Context(), func() { calls += "give " }, func(context.Context) error { calls += "take"; return nil })
	if err != nil || calls != "give take" {
		t.Errorf("%v, %s", err, calls)
	}
}
