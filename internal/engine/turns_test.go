package engine_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"docstream/internal/engine"
	"docstream/internal/fault"
	"docstream/internal/turn"
)

func claim(ctx context.Context, lane, tenant string) context.Context {
	return turn.With(ctx, turn.Claim{Lane: lane, Tenant: tenant})
}

func weighted() engine.Config {
	c := config()
	c.Weights = map[string]int{"high": 16, "normal": 4, "low": 1}
	return c
}

// waiting waits until so many wait for a place.
func waiting(t *testing.T, p *engine.Pool, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); p.Waiting() != n; time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatalf("%d wait, want %d", p.Waiting(), n)
		}
	}
}

// leased leases for somebody else, and hands the slot over when its turn has come.
func leased(t *testing.T, p *engine.Pool, lane, tenant string) <-chan *engine.Slot {
	t.Helper()
	out, n := make(chan *engine.Slot, 1), p.Waiting()
	go func() {
		s, err := p.Lease(claim(context.Background(), lane, tenant))
		if err != nil {
			t.Error(err)
		}
		out <- s
	}()
	waiting(t, p, n+1)
	return out
}

func open(t *testing.T, s *engine.Slot, document string) {
	t.Helper()
	if _, err := s.Call(t.Context(), "open", document, nil); err != nil {
		t.Fatal(err)
	}
}

func TestAnUrgentLeaseGoesBeforeThoseThatCameEarlier(t *testing.T) {
	p, _ := newPool(t, weighted())
	held, err := p.Lease(claim(t.Context(), "low", "a"))
	if err != nil {
		t.Fatal(err)
	}
	order := make(chan string, 8)
	for i, lane := range []string{"low", "low", "normal", "low", "high"} {
		go func() {
			s, err := p.Lease(claim(context.Background(), lane, "a"))
			if err != nil {
				t.Error(err)
				return
			}
			order <- lane
			s.Release()
		}()
		waiting(t, p, i+1)
	}
	held.Release()
	var got []string
	for range 5 {
		got = append(got, <-order)
	}
	if want := []string{"high", "normal", "low", "low", "low"}; !slices.Equal(got, want) {
		t.Errorf("the order was %v, want %v", got, want)
	}
}

func TestAChildAtWorkForALightLaneYieldsToOthers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may take niceness back") // others leave it as it is
	}
	p, _ := newPool(t, weighted())
	for _, tc := range []struct {
		lane string
		nice int
	}{{"high", 15}, {"low", 19}, {"normal", 17}, {"high", 15}, {"unheard of", 15}} {
		s, err := p.Lease(claim(t.Context(), tc.lane, "a"))
		if err != nil {
			t.Fatal(err)
		}
		if got := factsOf(t, s).Nice; got != tc.nice {
			t.Errorf("for the lane %s its niceness is %d, want %d", tc.lane, got, tc.nice)
		}
		s.Release()
	}
}

func TestATaskThatNobodyWaitsForKeepsItsChild(t *testing.T) {
	p, _ := newPool(t, weighted())
	ctx := claim(t.Context(), "low", "a")
	s, err := p.Lease(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	open(t, s, "mine")
	own := leased(t, p, "low", "a") // a document of the same tenant and lane waits until this one's turn is over
	for range 20 {
		if err := s.Between(ctx); err != nil || s.Fresh() {
			t.Fatalf("fresh %v, %v", s.Fresh(), err)
		}
	}
	s.Release()
	(<-own).Release()
}

// atWork begins a light task in a slot of a worker, and leases a child for it.
func atWork(t *testing.T, p *engine.Pool, slots *turn.Queue) (context.Context, *engine.Slot) {
	t.Helper()
	outer := claim(t.Context(), "low", "a")
	slot, err := slots.Enter(outer)
	if err != nil {
		t.Fatal(err)
	}
	ctx, task := turn.Begin(outer, slot, time.Hour)
	t.Cleanup(task.End)
	s, err := p.Lease(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return ctx, s
}

func TestATaskGivesItsPlaceToAnUrgentOneBetweenTwoPages(t *testing.T) {
	p, _ := newPool(t, weighted())
	slots := turn.New(1, map[string]int{"high": 16, "low": 1})
	ctx, s := atWork(t, p, slots)
	open(t, s, "mine")
	urgent := leased(t, p, "high", "b")
	back := make(chan error)
	go func() { back <- s.Between(ctx) }()
	u := <-urgent
	if got := factsOf(t, u); got.Opened != "mine" {
		t.Errorf("the urgent task has a child that opened %q", got.Opened)
	}
	open(t, u, "another")
	waiting(t, p, 1) // who gave way waits for its turn
	u.Release()
	if err := <-back; err != nil {
		t.Fatal(err)
	}
	if got := factsOf(t, s); got.Opened != "another" {
		t.Errorf("%+v", got)
	}
	s.Release()
	s.Release()
	lease(t, p).Release()
}

func TestWhoGaveWayAsksNoChildThatDiedMeanwhile(t *testing.T) {
	p, _ := newPool(t, weighted())
	ctx := claim(t.Context(), "low", "a")
	s, err := p.Lease(ctx)
	if err != nil {
		t.Fatal(err)
	}
	open(t, s, "mine")
	pid := factsOf(t, s).PID
	urgent := leased(t, p, "high", "b")
	back := make(chan error)
	go func() { back <- s.Between(ctx) }()
	u := <-urgent
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for len(p.PIDs()) > 0 {
		time.Sleep(time.Millisecond)
	}
	u.Release()
	if err := <-back; err != nil {
		t.Fatal(err)
	}
	if got := factsOf(t, s); got.PID == pid || got.Opened != "" {
		t.Errorf("%+v", got)
	}
	s.Release()
}

func TestATaskReturnsToItsOwnChildWhereThatIsFree(t *testing.T) {
	c := weighted()
	c.Slots = 3
	p, _ := newPool(t, c)
	slots := turn.New(1, c.Weights)
	ctx, s := atWork(t, p, slots)
	defer s.Release()
	open(t, s, "mine")
	urgent := make(chan *turn.Place)
	go func() {
		u, _ := slots.Enter(claim(context.Background(), "high", "b"))
		urgent <- u
	}()
	for slots.Waiting() != 1 {
		time.Sleep(100 * time.Microsecond)
	}
	back := make(chan error)
	go func() { back <- s.Between(ctx) }()
	u := <-urgent // the worker's slot is given up together with the place
	for slots.Waiting() != 1 {
		time.Sleep(100 * time.Microsecond)
	}
	lease(t, p).Release()
	u.Leave()
	if err := <-back; err != nil {
		t.Fatal(err)
	}
	if got := factsOf(t, s).Opened; got != "mine" {
		t.Errorf("its child has %q open", got)
	}
}

func TestTheDocumentsDeadlineStandsWhileItsTaskGivesWay(t *testing.T) {
	c := weighted()
	c.PageDeadline, c.DocumentDeadline = time.Second, time.Second
	p, _ := newPool(t, c)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx := claim(t.Context(), "low", "a")
	s, err := p.Lease(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	urgent := leased(t, p, "high", "b")
	back := make(chan error)
	go func() { back <- s.Between(ctx) }()
	u := <-urgent
	time.Sleep(2 * c.DocumentDeadline)
	u.Release()
	if err := <-back; err != nil {
		t.Fatal(err)
	}
	factsOf(t, s)
}

func TestCloseReachesWhoGivesWay(t *testing.T) {
	p, _ := newPool(t, weighted())
	ctx := claim(t.Context(), "low", "a")
	s, err := p.Lease(ctx)
	if err != nil {
		t.Fatal(err)
	}
	urgent := leased(t, p, "high", "b")
	back := make(chan error)
	go func() { back <- s.Between(ctx) }()
	u := <-urgent
	waiting(t, p, 1)
	p.Close()
	if err := <-back; fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
	s.Release() // does nothing
	if _, err := s.Call(ctx, "facts", nil, nil); err == nil {
		t.Error("a slot that was given up answers")
	}
	u.Release()
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Lease(stopped); errors.Is(err, context.Canceled) {
		t.Error("a closed pool answers before a stopped caller does")
	}
}
