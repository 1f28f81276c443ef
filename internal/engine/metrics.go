package engine

import (
	"context"
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"docstream/internal/fault"
)

type metrics struct {
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	restarts *prometheus.CounterVec
	cpu      prometheus.Counter
	rss      *prometheus.GaugeVec
	busy     prometheus.Gauge
}

// newMetrics registers the metrics; two pools on one registerer share them.
func newMetrics(reg prometheus.Registerer) *metrics {
	return &metrics{
		calls: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "docstream_engine_calls_total",
			Help: "Calls by method and outcome: ok, cancelled, or the error code."}, []string{"method", "outcome"})),
		seconds: register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "docstream_engine_call_seconds",
			Help: "Elapsed time of calls.", Buckets: []float64{.01, .03, .1, .3, 1, 3, 10, 30, 120}}, []string{"method"})),
		restarts: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "docstream_engine_restarts_total",
			Help: "Children that ended or could not be started, by reason."}, []string{"reason"})),
		cpu: register(reg, prometheus.NewCounter(prometheus.CounterOpts{Name: "docstream_engine_cpu_seconds_total",
			Help: "Processor time of the children during calls."})),
		rss: register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "docstream_engine_rss_bytes",
			Help: "Resident memory of the child of a slot, when last seen."}, []string{"slot"})),
		busy: register(reg, prometheus.NewGauge(prometheus.GaugeOpts{Name: "docstream_engine_busy_slots",
			Help: "Slots that are leased."})),
	}
}

func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	var there prometheus.AlreadyRegisteredError
	if err := reg.Register(c); errors.As(err, &there) {
		if old, ok := there.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}

func (m *metrics) observe(method string, u Usage, err error) {
	outcome := "ok"
	switch {
	case errors.Is(err, context.Canceled):
		outcome = "cancelled"
	case err != nil:
		outcome = string(fault.Of(err).Code)
	}
	m.calls.WithLabelValues(method, outcome).Inc()
	m.seconds.WithLabelValues(method).Observe(u.Wall.Seconds())
	m.cpu.Add(u.CPU.Seconds())
}

func label(slot int) string { return strconv.Itoa(slot) }
