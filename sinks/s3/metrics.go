package s3

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	files *prometheus.CounterVec // topic, outcome
	bytes *prometheus.CounterVec // topic
	held  prometheus.GaugeFunc
	age   prometheus.GaugeFunc
}

func newMetrics(reg prometheus.Registerer, held, age func() float64) *metrics {
	m := &metrics{
		files: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "docstream_archive_files_total",
			Help: "Files of the archive by outcome: written, or found where another worker had written that part of the log."}, []string{"topic", "outcome"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "docstream_archive_bytes_total",
			Help: "Bytes written into the archive, compressed."}, []string{"topic"}),
		held: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "docstream_archive_held_bytes",
			Help: "Memory that holds records whose file is not stored yet."}, held),
		age: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "docstream_archive_age_seconds",
			Help: "How long the longest waiting record has been held for its file."}, age),
	}
	if reg != nil {
		reg.MustRegister(m.files, m.bytes, m.held, m.age)
	}
	return m
}
