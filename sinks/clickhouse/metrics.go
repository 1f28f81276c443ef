package clickhouse

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docstream/internal/fault"
)

const sinkName = "clickhouse"

type metrics struct {
	rows    *prometheus.CounterVec
	batches *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	return &metrics{
		rows: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "docstream_sink_rows_total", Help: "Rows written into a table, redelivered ones counted again."}, []string{"sink", "table"})),
		batches: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "docstream_sink_batches_total", Help: "Batches given to a sink, by how writing them ended."}, []string{"sink", "outcome"})),
		seconds: register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "docstream_sink_write_seconds", Help: "Time to write one batch into all its tables.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2.5, 11)}, []string{"sink"})), // 5 ms to 48 s
	}
}

// register adds a collector, or returns the one a sink opened earlier has added. A nil registry collects nothing.
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

func (m *metrics) observe(begun time.Time, err *error) {
	outcome := "ok"
	var f *fault.Error
	switch {
	case errors.As(*err, &f):
		outcome = f.Kind.String()
	case errors.Is(*err, context.Canceled) || errors.Is(*err, context.DeadlineExceeded):
		outcome = "cancelled"
	case *err != nil:
		outcome = fault.Unknown.String()
	}
	m.batches.WithLabelValues(sinkName, outcome).Inc()
	m.seconds.WithLabelValues(sinkName).Observe(time.Since(begun).Seconds())
}
