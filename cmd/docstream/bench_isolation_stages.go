package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// stageTimes are means over the records of a priority that one stage began with while a condition was measured.
type stageTimes struct {
	Stage   string        `json:"stage"`
	Records int           `json:"records"`
	Wait    time.Duration `json:"wait"` // from the record's being written to its work's beginning
	Work    time.Duration `json:"work"` // in a slot, the wait for a child included
}

// sums are what the histograms of a stage add up to.
type sums struct{ waits, waited, works, worked float64 }

// passed are the stages that a document passes, in its order.
var passed = []string{"prepare", "layout", "ocr", "compose"}

// look reads what the stages have added up so far for the lanes of a priority.
func (m *isolationMeasure) look(ctx context.Context, priority string) (map[string]sums, error) {
	d, err := m.service()
	if err != nil {
		return nil, err
	}
	families, err := scrape(ctx, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("the metrics of the service: %w", err)
	}
	out := map[string]sums{}
	add := func(name string, to func(*sums, *dto.Histogram)) {
		for _, one := range families[name].GetMetric() {
			labels := map[string]string{}
			for _, l := range one.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if strings.HasSuffix(labels["lane"], "."+priority) {
				s := out[labels["stage"]]
				to(&s, one.GetHistogram())
				out[labels["stage"]] = s
			}
		}
	}
	add("docstream_lane_wait_seconds", func(s *sums, h *dto.Histogram) {
		s.waits, s.waited = s.waits+float64(h.GetSampleCount()), s.waited+h.GetSampleSum()
	})
	add("docstream_stage_work_seconds", func(s *sums, h *dto.Histogram) {
		s.works, s.worked = s.works+float64(h.GetSampleCount()), s.worked+h.GetSampleSum()
	})
	return out, nil
}

// since are the means of what came between two looks.
func since(before, after map[string]sums) (out []stageTimes) {
	mean := func(sum, n float64) time.Duration {
		return time.Duration(sum / max(1, n) * float64(time.Second)).Round(time.Millisecond)
	}
	for _, stage := range passed {
		b, a := before[stage], after[stage]
		if n := a.waits - b.waits; n > 0 {
			out = append(out, stageTimes{stage, int(n), mean(a.waited-b.waited, n), mean(a.worked-b.worked, a.works-b.works)})
		}
	}
	return out
}

// during measures with a look before and after.
func (m *isolationMeasure) during(ctx context.Context, priority string, measure func() (liveTimes, error)) (liveTimes, []stageTimes, error) {
	before, err := m.look(ctx, priority)
	if err != nil {
		return liveTimes{}, nil, err
	}
	t, err := measure()
	if err != nil {
		return t, nil, err
	}
	after, err := m.look(ctx, priority)
	return t, since(before, after), err
}

// showStages prints where records waited.
func (m *isolationMeasure) showStages(name string, stages []stageTimes) {
	for _, s := range stages {
		fmt.Fprintf(m.stdout, "  %-12s %-8s %5d records  waited %6d ms  worked %6d ms on average\n", name, s.Stage, s.Records, s.Wait.Milliseconds(), s.Work.Milliseconds())
	}
}
