package pace

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestOpenLoopCountsTheWaitOfArrivals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := atomic.Int64{}
		stall := func(context.Context) int { // the first holds the only place for a second
			if calls.Add(1) == 1 {
				time.Sleep(time.Second)
			}
			return 202
		}
		samples := Open(t.Context(), 10, Bounds{InFlight: 1, Time: 2 * time.Second, Count: 1000}, stall)
		if len(samples) != 20 {
			t.Fatalf("%d requests in 2 s at 10 a second", len(samples))
		}
		for i, s := range samples {
			want := max(0, time.Second-time.Duration(i)*100*time.Millisecond)
			if s.Due != time.Duration(i)*100*time.Millisecond || s.Took != want {
				t.Errorf("request %d: due %v took %v, want %v", i, s.Due, s.Took, want)
			}
		}
		sum := Summarize(samples, 202, 2*time.Second)
		if sum.Accepted != 20 || sum.Rate != 10 || sum.Max != time.Second || sum.Waited != 9 || sum.P50 != 0 {
			t.Errorf("%+v", sum)
		}
	})
}

func TestOpenLoopDoesNotWaitForAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(context.Context) int { time.Sleep(time.Second); return 202 }
		samples := Open(t.Context(), 10, Bounds{InFlight: 100, Time: time.Second, Count: 1000}, slow)
		for _, s := range samples {
			if s.Took != time.Second || s.Waited != 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestClosedLoopFindsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		do := func(context.Context) int { time.Sleep(100 * time.Millisecond); return 202 }
		samples := Closed(t.Context(), Bounds{InFlight: 8, Time: 3 * time.Second, Count: 1000}, do)
		if r := Throughput(samples, 202, time.Second, 3*time.Second); r != 80 {
			t.Errorf("%v a second", r)
		}
		if n := len(Closed(t.Context(), Bounds{InFlight: 8, Time: time.Hour, Count: 20}, do)); n != 20 {
			t.Errorf("%d requests where 20 were allowed", n)
		}
	})
}

func TestAnEndedContextEndsARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 950*time.Millisecond)
		defer cancel()
		if n := len(Open(ctx, 10, Bounds{InFlight: 4, Time: time.Hour, Count: 1000}, func(context.Context) int { return 0 })); n != 10 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestSummary(t *testing.T) {
	var samples []Sample
	for i := range 1000 {
		samples = append(samples, Sample{Took: time.Duration(i+1) * time.Millisecond, Status: 202})
	}
	samples[3].Status, samples[4].Status = 503, 0
	s := Summarize(samples, 202, 10*time.Second)
	if s.P50 != 500*time.Millisecond || s.P90 != 900*time.Millisecond || s.P99 != 990*time.Millisecond || s.P999 != 999*time.Millisecond || s.Max != time.Second {
		t.Errorf("%+v", s)
	}
	if s.Accepted != 998 || s.Errors["503"] != 1 || s.Errors["none"] != 1 || s.Rate != 99.8 {
		t.Errorf("%+v", s)
	}
	if empty := Summarize(nil, 202, time.Second); empty.P99 != 0 {
		t.Errorf("%+v", empty)
	}
	if m := Median([]time.Duration{5, 1, 3}); m != 3 {
		t.Error(m)
	}
	if m := Median([]time.Duration{1, 3}); m != 2 || Median(nil) != 0 {
		t.Error(m)
	}
}

func TestMachineTimes(t *testing.T) {
	spent, stolen := busy("cpu  100 50 30 9999 7 1 2 40 3 0")
	if spent != 1830*time.Millisecond || stolen != 400*time.Millisecond {
		t.Errorf("%v, %v", spent, stolen)
	}
}
