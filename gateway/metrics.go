package gateway

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	uploaded prometheus.Counter
	active   prometheus.Gauge
	cache    *prometheus.CounterVec
	cold     *prometheus.CounterVec
	batches  prometheus.Gauge
	items    *prometheus.CounterVec

	coldSeconds prometheus.Histogram

	mu    sync.RWMutex
	known map[answered]series // what is counted with every request, found without hashing its labels anew
}

// answered tells apart what requests are counted by: each from few values, see observe.
type answered struct {
	route, method string
	status        int
}

type series struct {
	count prometheus.Counter
	took  prometheus.Observer
}

// answer counts a request.
func (m *metrics) answer(a answered, took time.Duration) {
	m.mu.RLock()
	s, ok := m.known[a]
	m.mu.RUnlock()
	if !ok {
		s = series{m.requests.WithLabelValues(a.route, a.method, strconv.Itoa(a.status)), m.seconds.WithLabelValues(a.route, a.method)}
		m.mu.Lock()
		m.known[a] = s
		m.mu.Unlock()
	}
	s.count.Inc()
	s.took.Observe(took.Seconds())
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		known: map[answered]series{},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "docstream_http_requests_total", Help: "Requests answered."}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "docstream_http_request_seconds", Help: "Time from the head of a request to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 120}}, []string{"route", "method"}),
		uploaded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "docstream_uploads_bytes_total", Help: "Bytes of files received, refused ones included."}),
		cache: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "docstream_cache_submissions_total",
			Help: "Submissions by whether the pages of an earlier job of the same document are kept: hit, miss, or off where that was not wanted."}, []string{"outcome"}),
		cold: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "docstream_cold_lookups_total",
			Help: "Look-ups of jobs that the view does not hold, by outcome: found in the object store, missing there, remembered from before, or failed."}, []string{"outcome"}),
		coldSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "docstream_cold_lookup_seconds", Help: "Time to look a job up in the object store.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}),
		batches: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "docstream_batches_open", Help: "Batches that have not ended, by the gateway that feeds them; 0 at the others."}),
		items: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "docstream_batch_items_total",
			Help: "Items of batches by outcome: refused, or how their job ended. Another gateway that takes over may count some again."}, []string{"outcome"}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{Name: "docstream_uploads_active", Help: "Uploads in flight."}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.seconds, m.uploaded, m.active, m.cache, m.cold, m.coldSeconds, m.batches, m.items)
	}
	return m
}
