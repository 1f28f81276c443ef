package bench

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

func TestMedianOfRatios(t *testing.T) {
	pair := func(stream float64) Pair {
		return Pair{Engine: Run{Pages: 10, CPU: 10 * time.Second}, Stream: Run{Pages: 10, CPU: time.Duration(10 / stream * float64(time.Second))}}
	}
	for _, c := range []struct {
		ratios []float64
		want   float64
	}{{nil, 0}, {[]float64{0.8}, 0.8}, {[]float64{0.5, 0.9, 0.8}, 0.8}, {[]float64{0.5, 0.7, 0.9, 1}, 0.8}} {
		var pairs []Pair
		for _, r := range c.ratios {
			pairs = append(pairs, pair(r))
		}
		if got := Median(pairs); got < c.want-1e-6 || got > c.want+1e-6 {
			t.Errorf("median of %v is %v", c.ratios, got)
		}
	}
	var b bytes.Buffer
	if err := Write(&b, []Pair{pair(0.8)}); err != nil || !strings.Contains(b.String(), "median ratio of 1: 0.800") {
		t.Errorf("printed %q, %v", b.String(), err)
	}
}

func TestStatLine(t *testing.T) {
	id, p, err := parse("42 (a ) b) S 7 42 42 0 -1 4194304 1 2 3 4 150 50 30 20 20 0 1 0 100 0 0")
	if err != nil || id != 42 || p.parent != 7 || p.cpu != 2500*time.Millisecond {
		t.Errorf("%d %+v %v", id, p, err)
	}
	for _, bad := range []string{"", "42 S 1", "42 (x) S 1 2"} {
		if _, _, err := parse(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestOwnProcessIsFound(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc")
	}
	if _, err := Tree(os.Getpid()); err != nil {
		t.Error(err)
	}
	if Peak(os.Getpid()) == 0 {
		t.Error("no peak memory")
	}
}
