package pace

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// Summary is what a run comes to. Quantiles are exact and over all requests, refused ones included.
type Summary struct {
	Count    int            `json:"count"`
	Accepted int            `json:"accepted"`
	Errors   map[string]int `json:"errors,omitempty"` // by status; "none": no answer
	Rate     float64        `json:"rate"`             // accepted a second
	Waited   int            `json:"waited"`           // found the bound full: sent 5 ms or more after they were due
	P50      time.Duration  `json:"p50"`
	P90      time.Duration  `json:"p90"`
	P99      time.Duration  `json:"p99"`
	P999     time.Duration  `json:"p999"`
	Max      time.Duration  `json:"max"`
}

// late is how long after its time a request is sent before it counts as one that waited.
const late = 5 * time.Millisecond

// Summarize counts the samples of a run that took so long.
func Summarize(samples []Sample, accepted int, took time.Duration) Summary {
	s := Summary{Count: len(samples), Errors: map[string]int{}}
	times := make([]time.Duration, 0, len(samples))
	for _, one := range samples {
		times = append(times, one.Took)
		if one.Waited >= late {
			s.Waited++
		}
		switch one.Status {
		case accepted:
			s.Accepted++
		case 0:
			s.Errors["none"]++
		default:
			s.Errors[strconv.Itoa(one.Status)]++
		}
	}
	s.Rate = float64(s.Accepted) / max(took.Seconds(), 1e-9)
	slices.Sort(times)
	s.P50, s.P90, s.P99, s.P999, s.Max = quantile(times, .5), quantile(times, .9), quantile(times, .99), quantile(times, .999), quantile(times, 1)
	return s
}

// quantile is the smallest of the sorted times that the share q does not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(max(int(math.Ceil(q*float64(len(sorted))))-1, 0), len(sorted)-1)]
}

// Median returns the middle of the values, the mean of two where there are two.
func Median(values []time.Duration) time.Duration {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// Throughput is the rate of accepted answers after the warm-up of a closed loop: those that came from then until end.
func Throughput(samples []Sample, accepted int, warm, end time.Duration) float64 {
	n := 0
	for _, s := range samples {
		if at := s.Due + s.Took; s.Status == accepted && at >= warm && at < end {
			n++
		}
	}
	return float64(n) / max((end-warm).Seconds(), 1e-9)
}
