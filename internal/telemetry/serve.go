package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry returns a registry of one role's process: Go's and the process's own metrics, and what build it is.
func NewRegistry(role string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	version, revision := Build()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "docstream_build_info", Help: "Always 1; its labels name the role and the build.",
		ConstLabels: prometheus.Labels{"role": role, "version": version, "revision": revision, "go": runtime.Version()}})
	build.Set(1)
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build)
	return reg
}

// Handler serves a registry in Prometheus' text form and in OpenMetrics.
func Handler(reg *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg, EnableOpenMetrics: true, MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// ServeMetrics serves /metrics, /healthz and /readyz until ctx is done, for roles that have no gateway. It returns the address it
// listens on, port 0 resolved, and a function that waits for the end. ready may be nil; its error makes /readyz answer 503.
func ServeMetrics(ctx context.Context, addr string, reg *prometheus.Registry, ready func() error) (string, func() error, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return "", nil, fmt.Errorf("telemetry: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", Handler(reg))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { health(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if ready == nil {
			health(w, nil)
			return
		}
		health(w, ready())
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}

	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	ended := make(chan struct{})
	var result error
	go func() {
		defer close(ended)
		select {
		case result = <-done:
		case <-ctx.Done():
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			result = s.Shutdown(stop)
			<-done // http.ErrServerClosed
		}
	}()
	return l.Addr().String(), func() error { <-ended; return result }, nil
}

func health(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	body := map[string]string{"status": "ok"}
	if err != nil {
		body = map[string]string{"status": "not ready", "reason": Redact(err.Error())}
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(body) // the prober has gone: nobody to tell
}
