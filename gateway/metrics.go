package gateway

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	uploaded prometheus.Counter
	active   prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "docstream_http_requests_total", Help: "Requests answered."}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "docstream_http_request_seconds", Help: "Time from the head of a request to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 120}}, []string{"route", "method"}),
		uploaded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "docstream_uploads_bytes_total", Help: "Bytes of files received, refused ones included."}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{Name: "docstream_uploads_active", Help: "Uploads in flight."}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.seconds, m.uploaded, m.active)
	}
	return m
}
