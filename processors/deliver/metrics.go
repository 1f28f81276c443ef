package deliver

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	attempts  *prometheus.CounterVec
	seconds   prometheus.Histogram
	waiting   prometheus.Gauge
	receivers prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "docstream_webhook_attempts_total", Help: "Attempts to send a webhook, by what came of them."}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "docstream_webhook_attempt_seconds", Help: "Time of an attempt.", Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 15}}),
		waiting:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "docstream_webhooks_waiting", Help: "Webhooks this worker holds that are due or will be."}),
		receivers: prometheus.NewGauge(prometheus.GaugeOpts{Name: "docstream_webhook_receivers", Help: "Receivers for which webhooks wait."}),
	}
	if reg != nil {
		reg.MustRegister(m.attempts, m.seconds, m.waiting, m.receivers)
	}
	return m
}
