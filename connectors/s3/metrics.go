package s3

import "github.com/prometheus/client_golang/prometheus"

// metrics are the connector's own; their names are decided once and for all.
type metrics struct {
	messages prometheus.Counter
	records  *prometheus.CounterVec // outcome
	retries  prometheus.Counter
	seconds  prometheus.Histogram
	dead     *prometheus.CounterVec // stage, code
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		messages: prometheus.NewCounter(prometheus.CounterOpts{Name: "docstream_connector_messages_total", Help: "Messages whose outcome is durable."}),
		records: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "docstream_connector_records_total",
			Help: "Records of notifications by outcome: submitted, dead, or why they were filtered on purpose."}, []string{"outcome"}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{Name: "docstream_connector_retries_total", Help: "Further attempts at a batch because log or store did not answer."}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "docstream_connector_batch_seconds", Help: "Time from the receipt of a batch until all of it was durable.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2.5, 14)}),
		dead: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "docstream_dead_letters_total", Help: "Records set aside, by error code."}, []string{"stage", "code"}),
	}
	if reg != nil {
		reg.MustRegister(m.messages, m.records, m.retries, m.seconds, m.dead)
	}
	return m
}

func (m *metrics) count(outcome string, n int) {
	if n > 0 {
		m.records.WithLabelValues(outcome).Add(float64(n))
	}
}
