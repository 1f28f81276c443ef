package view

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	ready    prometheus.Gauge
	jobs     prometheus.Gauge
	replicas prometheus.Gauge
	records  *prometheus.CounterVec
	ignored  *prometheus.CounterVec
	wait     prometheus.Histogram
	lookups  prometheus.Counter
	disk     prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		ready:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "docstream_view_ready", Help: "1 while the view can answer."}),
		jobs:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "docstream_view_jobs", Help: "Jobs the view holds."}),
		replicas: prometheus.NewGauge(prometheus.GaugeOpts{Name: "docstream_view_replicas", Help: "Gateways that live, this one included."}),
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "docstream_view_records_total", Help: "Records the view has read."}, []string{"topic"}),
		ignored: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "docstream_view_ignored_total", Help: "Records the view passed over: unsigned, unreadable or not what the topic is for."}, []string{"topic", "reason"}),
		wait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "docstream_view_wait_seconds", Help: "Time a look-up waited until the view was as new as the request.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}}),
		lookups: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "docstream_view_lookups_total", Help: "Times the view asked the brokers for the ends of the log, each for everybody who waited."}),
		disk: prometheus.NewGauge(prometheus.GaugeOpts{Name: "docstream_view_disk_bytes", Help: "Disk the view's store takes."}),
	}
	if reg != nil {
		reg.MustRegister(m.ready, m.jobs, m.replicas, m.records, m.ignored, m.wait, m.lookups, m.disk)
	}
	return m
}
