package blob

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docstream/internal/fault"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	return &metrics{
		requests: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "docstream_objects_requests_total", Help: "Requests to the object store, retries of one request not counted."},
			[]string{"op", "outcome"})),
		seconds: register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "docstream_objects_seconds", Help: "Time of a request to the object store, to the first byte of the answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12)}, // 1 ms to 24 s
			[]string{"op"})),
	}
}

// register adds a collector, or returns the one a store opened earlier has added. A nil registry collects nothing.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	var known prometheus.AlreadyRegisteredError
	if err := reg.Register(c); errors.As(err, &known) {
		if old, ok := known.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}

func (m *metrics) observe(op string, begun time.Time, err *error) {
	m.requests.WithLabelValues(op, outcome(*err)).Inc()
	m.seconds.WithLabelValues(op).Observe(time.Since(begun).Seconds())
}

func outcome(err error) string {
	var f *fault.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &f):
		return f.Kind.String()
	case errors.Is(err, ErrNotFound):
		return "not_found"
	case errors.Is(err, ErrExists):
		return "exists"
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return "cancelled"
	}
	return fault.Unknown.String()
}
