package turn_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"docstream/internal/turn"
)

var weights = map[string]int{"high": 16, "normal": 4, "low": 1}

func claim(lane, tenant string) context.Context {
	return turn.With(context.Background(), turn.Claim{Lane: lane, Tenant: tenant})
}

func enter(t *testing.T, q *turn.Queue, lane, tenant string) *turn.Place {
	t.Helper()
	p, err := q.Enter(claim(lane, tenant))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// line lets waiters line up in a known order, each of whom says that its turn came and leaves.
type line struct {
	t     *testing.T
	q     *turn.Queue
	order chan string
}

func newLine(t *testing.T, places int) *line {
	return &line{t, turn.New(places, weights), make(chan string, 1000)}
}

func (l *line) up(lane, tenant string) {
	n := l.q.Waiting()
	go func() {
		p, err := l.q.Enter(claim(lane, tenant))
		if err != nil {
			l.order <- err.Error()
			return
		}
		l.order <- lane + " " + tenant
		p.Leave()
	}()
	l.waiting(n + 1)
}

func (l *line) waiting(n int) {
	l.t.Helper()
	for end := time.Now().Add(10 * time.Second); l.q.Waiting() != n; time.Sleep(50 * time.Microsecond) {
		if time.Now().After(end) {
			l.t.Fatalf("%d wait, want %d", l.q.Waiting(), n)
		}
	}
}

// next are those whose turns came next.
func (l *line) next(n int) []string {
	var out []string
	for range n {
		out = append(out, <-l.order)
	}
	return out
}

func TestLanesShareByWeightAndNobodyStarves(t *testing.T) {
	l := newLine(t, 1)
	held := enter(t, l.q, "low", "a")
	for _, lane := range []string{"low", "normal", "high"} {
		for range 100 {
			l.up(lane, "a")
		}
	}
	held.Leave()
	got := map[string]int{}
	for _, who := range l.next(105) { // five rounds of 16 + 4 + 1
		got[who]++
	}
	for who, want := range map[string]int{"high a": 80, "normal a": 20, "low a": 5} {
		if n := got[who]; n < want-3 || n > want+3 {
			t.Errorf("%s had %d of the first 105 turns, want about %d", who, n, want)
		}
	}
	if rest := l.next(195); slices.ContainsFunc(rest, func(s string) bool { return s == "" }) {
		t.Error(rest)
	}
}

func TestWhoHoldsForManyUnitsIsChargedForEach(t *testing.T) {
	q := turn.New(1, weights)
	var mu sync.Mutex
	units := map[string]int{}
	total := 0
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	start := enter(t, q, "high", "a")
	var all sync.WaitGroup
	for _, lane := range []string{"high", "normal", "low"} {
		all.Go(func() {
			p, err := q.Enter(turn.With(ctx, turn.Claim{Lane: lane, Tenant: "a"}))
			for err == nil {
				mu.Lock()
				units[lane]++
				if total++; total == 21*50 {
					stop()
				}
				mu.Unlock()
				if ctx.Err() != nil {
					break
				}
				// The place is left while the others wait for it, as they do while a page is read.
				for q.Waiting() < 2 && ctx.Err() == nil {
					time.Sleep(10 * time.Microsecond)
				}
				if p.Keep() {
					continue
				}
				p.Leave()
				err = p.Return(ctx)
			}
			p.Leave()
		})
	}
	for q.Waiting() < 3 {
		time.Sleep(50 * time.Microsecond)
	}
	start.Leave()
	all.Wait()
	for lane, want := range map[string]int{"high": 800, "normal": 200, "low": 50} {
		if n := units[lane]; n < want*9/10-8 || n > want*11/10+8 {
			t.Errorf("%s had %d units of %d, want about %d: %v", lane, n, total, want, units)
		}
	}
}

func TestALaneThatWasIdleHasSavedUpNoCredit(t *testing.T) {
	l := newLine(t, 1)
	for range 100 { // nobody else is there
		enter(t, l.q, "normal", "a").Leave()
	}
	held := enter(t, l.q, "normal", "a")
	for range 3 {
		l.up("normal", "a")
	}
	for range 12 {
		l.up("low", "a")
	}
	held.Leave()
	got := l.next(15)
	if n := len(slices.DeleteFunc(slices.Clone(got[:5]), func(s string) bool { return s == "low a" })); n < 3 {
		t.Errorf("a lane of weight 1 came first with what it had saved up: %v", got)
	}
}

func TestAPlaceIsNeverFreeWhileAnybodyWaits(t *testing.T) {
	q := turn.New(3, weights)
	var at, most atomic.Int32
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(claim([]string{"high", "normal", "low"}[i%3], fmt.Sprint(i%5)))
			defer cancel()
			if i%7 == 0 {
				time.AfterFunc(time.Duration(i)*10*time.Microsecond, cancel)
			}
			p, err := q.Enter(ctx)
			if err != nil {
				return
			}
			for range 5 {
				if n := at.Add(1); n > most.Load() {
					most.Store(n)
				}
				time.Sleep(20 * time.Microsecond)
				at.Add(-1)
				if !p.Keep() {
					p.Leave()
					if p.Return(context.Background()) != nil {
						return
					}
				}
			}
			p.Leave()
			p.Leave() // does nothing
		})
	}
	all.Wait()
	if most.Load() > 3 {
		t.Errorf("%d held one of 3 places", most.Load())
	}
	for i := range 3 {
		if q.Try(context.Background()) == nil {
			t.Fatalf("place %d is lost", i)
		}
	}
	if q.Try(context.Background()) != nil || q.Waiting() != 0 {
		t.Error("there is a fourth place, or somebody waits")
	}
}

func TestASparePlaceIsForALaneHeavierThanAllThatHold(t *testing.T) {
	l := newLine(t, 2)
	l.q.Spare(1)
	first, second := enter(t, l.q, "low", "a"), enter(t, l.q, "normal", "a")
	l.up("low", "a")    // as heavy as one that holds
	l.up("normal", "a") // likewise
	urgent := enter(t, l.q, "high", "a")
	l.up("high", "b") // the spare place is taken
	first.Leave()     // two hold a place again, as many as there are
	l.waiting(3)
	urgent.Leave()
	if got := l.next(1); got[0] != "high b" {
		t.Errorf("next was %s", got[0])
	}
	second.Leave()
	l.next(2)
	for range 2 {
		if l.q.Try(context.Background()) == nil {
			t.Error("a place is lost")
		}
	}
	if l.q.Try(context.Background()) != nil {
		t.Error("the spare place became a place")
	}
}

func TestTenantsOfALaneTakeTurns(t *testing.T) {
	l := newLine(t, 1)
	held := enter(t, l.q, "low", "flood")
	for range 6 {
		l.up("low", "flood")
	}
	l.up("low", "small")
	l.up("low", "other")
	held.Leave()
	got := l.next(8)
	want := []string{"low flood", "low small", "low other"}
	if !slices.Equal(got[:3], want) {
		t.Errorf("the turns were %v", got)
	}
}

func TestAHolderGoesOnUnlessSomebodyGoesFirst(t *testing.T) {
	for name, tc := range map[string]struct {
		lane, waits, tenant string
		want                []bool // what it is told after each unit
	}{
		"nobody waits":               {"low", "", "", []bool{true, true, true, true, true}},
		"a heavier lane":             {"low", "high", "a", []bool{false}},
		"a little heavier lane":      {"normal", "high", "b", []bool{false}},
		"another of its own tenant":  {"low", "low", "a", []bool{true, true, true, true, true, true}},
		"another tenant of its lane": {"low", "low", "b", []bool{true, true, true, false}},
		"a lighter lane":             {"normal", "low", "b", []bool{true, true, true, true, false}},
		"a much lighter lane":        {"high", "low", "a", append(slices.Repeat([]bool{true}, 16), false)},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLine(t, 1)
			p := enter(t, l.q, tc.lane, "a")
			if tc.waits != "" {
				l.up(tc.waits, tc.tenant)
			}
			var got []bool
			for range tc.want {
				got = append(got, p.Keep())
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("told %v, want %v", got, tc.want)
			}
			p.Leave()
		})
	}
}

func TestWhoGaveUpPassesItsTurnOn(t *testing.T) {
	l := newLine(t, 1)
	held := enter(t, l.q, "high", "a")
	ctx, cancel := context.WithCancel(claim("high", "a"))
	gone := make(chan error)
	go func() {
		_, err := l.q.Enter(ctx)
		gone <- err
	}()
	l.waiting(1)
	l.up("low", "a")
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Fatalf("a waiter whose context ended was told %v", err)
	}
	held.Leave()
	if got := l.next(1); got[0] != "low a" {
		t.Fatal(got)
	}
	enter(t, l.q, "high", "a")
}
