package engine

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// DeviceStats are figures of a device since its process began.
type DeviceStats struct {
	Callers int           // slots that are connected
	Busy    time.Duration // in which a batch was computed
	Running time.Duration // of the batch that runs; 0: none
	Models  map[string]*ModelStats
}

// ModelStats are figures of one model.
type ModelStats struct {
	Rows Distribution // of a batch
	Wait Distribution // seconds from a call to its first batch
}

func (s *DeviceStats) model(name string) *ModelStats {
	m := s.Models[name]
	if m == nil {
		m = &ModelStats{newDistribution(1, 2, 4, 8, 16, 32, 64), newDistribution(.0003, .001, .003, .01, .03, .1, .3, 1)}
		s.Models[name] = m
	}
	return m
}

// Distribution counts values by upper bound.
type Distribution struct {
	Bounds []float64
	Counts []uint64 // not cumulative; values above the last bound are in Count alone
	Count  uint64
	Sum    float64
}

func newDistribution(bounds ...float64) Distribution {
	return Distribution{Bounds: bounds, Counts: make([]uint64, len(bounds))}
}

func (d *Distribution) observe(v float64) {
	d.Count++
	d.Sum += v
	if i, _ := slices.BinarySearch(d.Bounds, v); i < len(d.Bounds) {
		d.Counts[i]++
	}
}

func (d Distribution) clone() Distribution {
	d.Counts = slices.Clone(d.Counts)
	return d
}

// cumulative is what a histogram of Prometheus wants.
func (d Distribution) cumulative() map[float64]uint64 {
	out, sum := make(map[float64]uint64, len(d.Bounds)), uint64(0)
	for i, bound := range d.Bounds {
		sum += d.Counts[i]
		out[bound] = sum
	}
	return out
}

var (
	deviceRows = prometheus.NewDesc("docstream_engine_device_batch_rows", "Rows that went through a model of the shared device together.", []string{"model"}, nil)
	deviceWait = prometheus.NewDesc("docstream_engine_device_wait_seconds", "Time from a call to the shared device to its first batch.", []string{"model"}, nil)
	deviceBusy = prometheus.NewDesc("docstream_engine_device_busy_seconds_total", "Time in which the shared device computed; its rate is the busy share.", nil, nil)
	deviceFor  = prometheus.NewDesc("docstream_engine_device_slots", "Slots that the shared device serves now.", nil, nil)
)

// Describe names the metrics of a device.
func (d *Device) Describe(c chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{deviceRows, deviceWait, deviceBusy, deviceFor} {
		c <- desc
	}
}

// Collect gives the figures that the device was last asked for, a second ago at most while it works.
func (d *Device) Collect(c chan<- prometheus.Metric) {
	s := d.Stats()
	c <- prometheus.MustNewConstMetric(deviceBusy, prometheus.CounterValue, s.Busy.Seconds())
	c <- prometheus.MustNewConstMetric(deviceFor, prometheus.GaugeValue, float64(s.Callers))
	for _, name := range slices.Sorted(maps.Keys(s.Models)) {
		m := s.Models[name]
		c <- prometheus.MustNewConstHistogram(deviceRows, m.Rows.Count, m.Rows.Sum, m.Rows.cumulative(), name)
		c <- prometheus.MustNewConstHistogram(deviceWait, m.Wait.Count, m.Wait.Sum, m.Wait.cumulative(), name)
	}
}
