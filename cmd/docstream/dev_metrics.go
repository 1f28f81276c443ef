package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// serveMetrics serves the metrics of all roles at one address, each with its role as a label.
func (s *supervisor) serveMetrics() error {
	l, err := net.Listen("tcp", s.local("metrics"))
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	targets := map[string]string{"gateway": s.serving.API + "/metrics"}
	for _, name := range []string{"prepare", "fetch", "ocr", "track", "sink"} {
		targets[name] = "http://" + s.local(name) + "/metrics"
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
		_ = writeMetrics(w, gather(r.Context(), targets)) // the reader has gone: nobody to tell
	})
	s.metrics = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := s.metrics.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("metrics are not served any more", "error", err)
		}
	}()
	return nil
}

// gather reads every role's metrics; a role that does not answer is left out of this reading.
func gather(ctx context.Context, targets map[string]string) map[string]*dto.MetricFamily {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	all := map[string]*dto.MetricFamily{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for role, url := range targets {
		wg.Go(func() {
			families, err := scrape(ctx, url)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			merge(all, role, families)
		})
	}
	wg.Wait()
	return all
}

func scrape(ctx context.Context, url string) (map[string]*dto.MetricFamily, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "text/plain")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, errors.New(res.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(res.Body)
}

// merge adds a role's families under its label; a name two roles give different types keeps the first.
func merge(all map[string]*dto.MetricFamily, role string, families map[string]*dto.MetricFamily) {
	label := "role"
	for name, f := range families {
		for _, m := range f.Metric {
			m.Label = append(slices.DeleteFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetName() == label }),
				&dto.LabelPair{Name: &label, Value: &role})
		}
		switch have := all[name]; {
		case have == nil:
			all[name] = f
		case have.GetType() == f.GetType():
			have.Metric = append(have.Metric, f.Metric...)
		}
	}
}

func writeMetrics(w io.Writer, all map[string]*dto.MetricFamily) error {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if _, err := expfmt.MetricFamilyToText(w, all[name]); err != nil {
			return err
		}
	}
	return nil
}
