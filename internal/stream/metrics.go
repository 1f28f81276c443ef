package stream

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"

	"docstream/internal/pause"
)

// metrics are the harness's own; their names are decided once and for all.
type metrics struct {
	records      *prometheus.CounterVec   // stage, lane, outcome
	work         *prometheus.HistogramVec // stage, lane
	wait         *prometheus.HistogramVec // stage, lane
	transactions *prometheus.CounterVec   // stage, lane, outcome
	commit       *prometheus.HistogramVec // stage
	dead         *prometheus.CounterVec   // stage, code
	retries      *prometheus.CounterVec   // stage, class
	backlog      *prometheus.GaugeVec     // stage, lane
	seconds      *prometheus.GaugeVec     // stage, lane
	overdue      *prometheus.GaugeVec     // stage, lane
	restores     *prometheus.HistogramVec // stage
	keys         *prometheus.GaugeVec     // stage
	lost         *prometheus.CounterVec   // stage, lane
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.002, 2.5, 14)}, labels)
		reg.MustRegister(v)
		return v
	}
	return &metrics{
		records:      counter("docstream_lane_records_total", "Records by outcome: done, filtered, stopped, delayed, deferred or dead.", "stage", "lane", "outcome"),
		work:         histogram("docstream_stage_work_seconds", "Time a stage spent on one record.", "stage", "lane"),
		wait:         histogram("docstream_lane_wait_seconds", "Age of a record when its work began.", "stage", "lane"),
		transactions: counter("docstream_transactions_total", "Transactions by outcome: committed or aborted.", "stage", "lane", "outcome"),
		commit:       histogram("docstream_transaction_seconds", "Time from begin to end of a transaction.", "stage"),
		dead:         counter("docstream_dead_letters_total", "Records set aside, by error code.", "stage", "code"),
		retries:      counter("docstream_retries_total", "Further attempts, by whose fault the last one failed.", "stage", "class"),
		backlog:      gauge("docstream_lane_backlog_records", "Records of a lane nobody has finished.", "stage", "lane"),
		seconds:      gauge("docstream_lane_backlog_seconds", "Estimated work in a lane's backlog at the recent pace of one slot.", "stage", "lane"),
		overdue:      gauge("docstream_lane_overdue_records", "Records of a lane nobody has finished that are older than half of what the topic keeps.", "stage", "lane"),
		restores:     histogram("docstream_fold_restore_seconds", "Time to restore the state of one partition.", "stage"),
		keys:         gauge("docstream_fold_keys", "Keys the fold holds in memory.", "stage"),
		lost:         counter("docstream_log_lost_records_total", "Offsets that retention removed before a sink that keeps the log had read them.", "stage", "lane"),
	}
}

// observed is a lane whose backlog is published.
type observed struct {
	stage, lane, topic, group string
	pace                      *pace
}

// overdueEvery is how many looks at the backlog go by until the age of what waits is looked at: that changes by the hour.
const overdueEvery = 12

// observe publishes the backlog of every lane this process reads, every five seconds.
func (h *Harness) observe(ctx context.Context) error {
	cl, err := h.conn.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for turn := 0; pause.For(ctx, 5*time.Second); turn++ {
		for _, l := range h.lanes {
			if turn%overdueEvery == 0 {
				if n, err := h.overdue(ctx, adm, l); err == nil {
					h.metrics.overdue.WithLabelValues(l.stage, l.lane).Set(float64(n))
				}
			}
			n, err := backlog(ctx, adm, l.group, l.topic)
			if err != nil {
				continue // the lane itself reports that the broker is away
			}
			h.metrics.backlog.WithLabelValues(l.stage, l.lane).Set(float64(n))
			h.metrics.seconds.WithLabelValues(l.stage, l.lane).Set(float64(n) * l.pace.seconds())
		}
	}
	return ctx.Err()
}

func backlog(ctx context.Context, adm *kadm.Client, group, topic string) (int64, error) {
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	done, err := adm.FetchOffsetsForTopics(ctx, group, topic)
	if err != nil {
		return 0, err
	}
	var n int64
	ends.Each(func(e kadm.ListedOffset) {
		from := int64(0)
		if s, ok := starts.Lookup(e.Topic, e.Partition); ok {
			from = s.Offset
		}
		if o, ok := done.Lookup(e.Topic, e.Partition); ok && o.At > from {
			from = o.At
		}
		n += max(0, e.Offset-from)
	})
	return n, nil
}
